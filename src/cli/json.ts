// `--format json`, version 1: one object, nothing else. Fields may be added to it, never changed.

import { callResults } from "../view/results.ts";
import { type CheckedScenario, type Outcome, verdict } from "./outcome.ts";
import { jsonSuggestions } from "./suggest.ts";

export function jsonReport(outcome: Outcome): string {
  const findings = outcome.findings.map(({ file, line, column, endLine, endColumn, severity, code, message }) => ({
    file,
    line,
    column,
    endLine,
    endColumn,
    severity,
    code,
    message,
  }));
  return `${JSON.stringify({ version: 1, verdict: verdict(outcome), scenarios: outcome.scenarios.map(scenario), findings }, undefined, 2)}\n`;
}

function scenario({ loaded, run }: CheckedScenario): unknown {
  const { program, report } = run;
  const placeOf = loaded.siteOf(program);
  // A step of an assert has a place of its own; a circle without an end may belong to no call.
  const lineOf = (call: number, site = program.site): number => placeOf(program.calls[call]?.site ?? site).line;
  const { file, line } = placeOf(program.site);
  const { states, transitions, complete, milliseconds, depth, frontier, limit, cut } = report.exploration;
  const extent = { states, transitions, complete, milliseconds, depth, frontier };
  return {
    file,
    name: report.scenario,
    kernel: report.kernel,
    line,
    verdict: report.verdict,
    calls: callResults(program, report, placeOf),
    violations: report.violations.map((violation) => ({
      invariant: violation.invariant,
      line: lineOf(violation.call),
      expected: violation.expected,
      message: violation.message,
      story: violation.story.steps.map(({ actor, call, site, step, effect }) => ({
        actor: program.actors[actor].name,
        line: lineOf(call, site),
        step,
        effect,
      })),
    })),
    ...(run.suggestions === undefined ? {} : { suggestions: jsonSuggestions(run.suggestions, program) }),
    exploration: { ...extent, ...(limit === undefined ? {} : { limit }), ...(cut === undefined ? {} : { cut }) },
  };
}
