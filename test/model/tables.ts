// Table tests: one row per check of a call in the kernel's order. A row is one statement (its last call is the one that counts) and what it answers.

import assert from "node:assert/strict";
import { it } from "node:test";
import { check } from "../../src/check/index.ts";
import { answers, assertJudged, program, still } from "./support.ts";

/** A statement (or several, separated by `;`), what its last call answers under v4, and where that differs under v8. */
export type Row = readonly [statement: string, v4: string, v8?: string];

export const NOT_MODELLED = "not modelled";

/** What the last call of a text answers. */
export function lastAnswer(text: string): string {
  const one = program(text);
  const judged = check(one, { now: still });
  assertJudged(judged, text);
  const last = one.calls.length - 1;
  const remark = judged.remarks.find((candidate) => candidate.code === "MEMFD5091");
  if (remark) {
    assert.equal(judged.verdict, "incomplete");
    assert.equal(remark.site, one.calls[last].site, "the remark stands on the call's line");
    return NOT_MODELLED;
  }
  assert.ok(judged.exploration.complete, judged.exploration.limit);
  return answers(one, judged, last);
}

const VARIANTS = "kernel v4-or extends v4 { set_marker = or }\n";

export function table(name: string, setup: string, rows: readonly Row[], kernels: readonly string[] = ["v4", "v8"]): void {
  for (const kernel of kernels) {
    it(`${name} (${kernel})`, () => {
      const wanted = rows.map(([statement, v4, v8]) => [statement, kernel === "v8" ? (v8 ?? v4) : v4]);
      const actual = rows.map(([statement]) => [statement, lastAnswer(`${VARIANTS}kernel ${kernel}\n${setup}\n${statement}\n`)]);
      assert.deepEqual(actual, wanted);
    });
  }
}
