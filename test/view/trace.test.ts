// A trace has an end: what is cut is said where the verdict stands, and nothing is said of a run that is whole.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_TRACE_STEPS } from "../../src/view/rows.ts";
import { traceOf } from "../panel/tdx-trace.ts";

const calls = (count: number): string => `kernel 6.18\nscenario "s" { repeat ${count} as i { close(-1) = -EBADF } }\n`;

test("a trace that is cut says so", () => {
  const cut = traceOf(calls(MAX_TRACE_STEPS + 1));
  assert.equal(cut.steps.length - 1, MAX_TRACE_STEPS);
  assert.match(cut.summary, /; the first 2,000 steps are shown$/);
  const whole = traceOf(calls(MAX_TRACE_STEPS));
  assert.equal(whole.steps.length - 1, MAX_TRACE_STEPS);
  assert.doesNotMatch(whole.summary, /shown/);
});
