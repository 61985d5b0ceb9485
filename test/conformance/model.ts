// The model's side: a text → its programs, and of each program the one answer per call that a sequential run has.

import { check } from "../../src/check/index.ts";
import type { Report } from "../../src/check/report.ts";
import { answerText } from "../../src/export/c/answer.ts";
import { analyse } from "../../src/language/index.ts";
import type { Program } from "../../src/scenario/program.ts";

/** Two tests may ask for the same table one after the other. */
let last: { readonly file: string; readonly text: string; readonly programs: readonly Program[] } | undefined;

/** All programs of a text; a finding of the language is a mistake of the test. */
export function programsOf(file: string, text: string): readonly Program[] {
  if (last?.file !== file || last.text !== text) last = { file, text, programs: analysed(file, text) };
  return last.programs;
}

function analysed(file: string, text: string): readonly Program[] {
  const { findings, programs } = analyse(file, text, { imports: () => undefined });
  const errors = findings.filter((finding) => finding.severity === "error");
  if (errors.length > 0) {
    const [first] = errors;
    throw new Error(`${file}: ${first.code} ${first.message}: ${JSON.stringify(text.slice(first.span.from, first.span.to))}`);
  }
  return programs;
}

export interface ModelRun {
  readonly report: Report;
  readonly answers: readonly string[];
  /** Why the model has no single answer: not modelled, a limit, several results, or a violation that a correct kernel cannot show. */
  readonly problem: string | undefined;
  /** Every call has its answer, but not every choice of free frames was explored. */
  readonly limit: string | undefined;
}

const runs = new WeakMap<Program, ModelRun>();

export function runModel(program: Program): ModelRun {
  let run = runs.get(program);
  if (!run) runs.set(program, (run = modelRun(program)));
  return run;
}

function modelRun(program: Program): ModelRun {
  const report = check(program, { now: () => performance.now() });
  const answers = report.calls.map(({ results }) => results.map(({ result }) => answerText(result)).join(" | "));
  const limit = report.exploration.complete || !answers.every((answer) => answer !== "") ? undefined : report.exploration.limit;
  return { report, answers, problem: problemOf(report, limit), limit };
}

function problemOf(report: Report, limit: string | undefined): string | undefined {
  if (!report.exploration.complete && limit === undefined)
    return `incomplete: ${report.exploration.limit}; ${report.remarks.map((remark) => remark.message).join("; ")}`;
  const several = report.calls.findIndex((call) => call.results.length !== 1);
  if (several >= 0) return `call ${several} has ${report.calls[several].results.length} results`;
  const violation = report.violations.find((each) => !each.expected);
  if (violation) return `${violation.invariant} is violated: ${violation.message}`;
  const broken = report.remarks.find((remark) => remark.severity === "error");
  return broken && `${broken.code} ${broken.message}`;
}
