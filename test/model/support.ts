// What the tests of the model share: from a text to its machines and reports, and results as the text writes them.

import assert from "node:assert/strict";
import { type CheckOptions, check, withMachine } from "../../src/check/index.ts";
import type { Report } from "../../src/check/report.ts";
import { analyse } from "../../src/language/index.ts";
import { resolveProfile } from "../../src/model/profile/index.ts";
import type { Profile } from "../../src/model/profile/types.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import { callSpec } from "../../src/scenario/catalogue/index.ts";
import { printResult } from "../../src/scenario/print.ts";
import type { CallId, Program } from "../../src/scenario/program.ts";

/** The programs of a text that has no error in it; warnings (a call that the kernel does not know) are let through. */
export function programs(text: string): readonly Program[] {
  const analysis = analyse("test.memfd", text, { imports: () => undefined });
  const errors = analysis.findings.filter((finding) => finding.severity === "error");
  assert.deepEqual(
    errors.map((finding) => `${finding.code} ${finding.message}: ${text.slice(finding.span.from, finding.span.to)}`),
    [],
    text,
  );
  return analysis.programs;
}

export function program(text: string): Program {
  const all = programs(text);
  assert.equal(all.length, 1, "one scenario under one kernel");
  return all[0];
}

/** A clock that stands still: no test depends on how fast the machine is. */
export const still = (): number => 0;

export function report(text: string, options: Partial<CheckOptions> = {}): Report {
  return check(program(text), { now: still, ...options });
}

export function profileOf(program: Program): Profile {
  const { profile, problems } = resolveProfile(program.profile);
  assert.deepEqual(problems, []);
  assert.ok(profile);
  return profile;
}

/** Runs `use` on the machine of a text, compiled again as `check` would. */
export function onMachine<T>(text: string, use: (machine: MachineSystem) => T): T {
  const one = program(text);
  return withMachine(one, profileOf(one), { cuts: [], extraFrames: 0 }, use);
}

/** The result set of a call as the text would write it, in the order of the alphabet. */
export function answers(program: Program, report: Report, call: CallId): string {
  const returns = callSpec(program.calls[call].spec).returns;
  return report.calls[call].results
    .map((outcome) => printResult(outcome.result, returns))
    .sort()
    .join(" or ");
}

export function callAt(program: Program, label: string): CallId {
  const found = program.calls.findIndex((call) => call.label === label);
  assert.ok(found >= 0, `no call @${label}`);
  return found;
}

/** Result sets by label. */
export function labelled(text: string, options: Partial<CheckOptions> = {}): Record<string, string> {
  const one = program(text);
  const judged = check(one, { now: still, ...options });
  assertJudged(judged, text);
  return Object.fromEntries(one.calls.flatMap((call, id) => (call.label === undefined ? [] : [[call.label, answers(one, judged, id)]])));
}

export function assertJudged(judged: Report, text: string): void {
  assert.deepEqual(
    judged.remarks.filter((remark) => remark.code === "MEMFD9001").map((remark) => remark.message),
    [],
    text,
  );
}

/** `invariant call.step`, in the order of the alphabet, without doubles. */
export function breaches(program: Program, report: Report): string[] {
  return [
    ...new Set(
      report.violations.map(
        (violation) => `${violation.invariant} ${program.calls[violation.call]?.label ?? program.calls[violation.call]?.spec ?? "-"}.${violation.step}`,
      ),
    ),
  ].sort();
}

/** What breaks in a text, watching everything. */
export function broken(text: string, options: Partial<CheckOptions> = {}): string[] {
  const one = program(text);
  const judged = check(one, { now: still, ...options });
  assertJudged(judged, text);
  assert.ok(judged.exploration.complete, `${judged.exploration.limit}\n${text}`);
  return breaches(one, judged);
}

/** The statements of one scenario pass under a kernel, in every interleaving and with nothing to remark. */
export function passes(body: string, kernel = "6.18"): void {
  const text = `scenario "s" {\n  kernel ${kernel}\n${body}\n}\n`;
  const answer = report(text);
  assert.deepEqual(
    [answer.verdict, ...answer.remarks.map(({ code, message }) => `${code} ${message}`), ...answer.violations.map(({ message }) => message)],
    ["pass"],
    text,
  );
  assert.ok(answer.exploration.complete);
}
