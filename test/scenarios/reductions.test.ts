// Reductions change no answer of any scenario that ships: verdict, result sets, violated invariants, answered questions and deadlocks.

import assert from "node:assert/strict";
import { it } from "node:test";
import { check } from "../../src/check/index.ts";
import type { Report } from "../../src/check/report.ts";
import type { Program } from "../../src/scenario/program.ts";
import { answers, breaches, still } from "../model/support.ts";
import { analysed, SCENARIO_FILES } from "./engine.ts";

const told = (one: Program, report: Report): unknown => ({
  verdict: report.verdict,
  complete: report.exploration.complete,
  results: one.calls.map((_, call) => answers(one, report, call)),
  breaches: breaches(one, report),
  expected: report.violations.map(({ invariant, expected }) => `${invariant} ${expected}`).sort(),
  remarks: report.remarks.map(({ code, site }) => `${code} ${site}`).sort(),
  witnesses: report.witnesses.map(({ site }) => site).sort((a, b) => a - b),
});

let judged = 0;
let smaller = 0;

for (const file of SCENARIO_FILES) {
  it(`reductions change no answer of ${file}`, () => {
    for (const one of analysed(file).programs) {
      const plain = check(one, { now: still, reduce: false });
      const reduced = check(one, { now: still, reduce: true });
      assert.deepEqual(told(one, reduced), told(one, plain), `${one.name} under ${one.profile.name}`);
      assert.ok(reduced.exploration.states <= plain.exploration.states, one.name);
      if (!one.body.some((statement) => statement.kind === "parallel")) continue;
      judged += 1;
      if (2 * reduced.exploration.states <= plain.exploration.states) smaller += 1;
    }
  });
}

it("they halve the states of most races", () => assert.ok(judged > 5 && smaller > judged / 2, `${smaller} of ${judged}`));
