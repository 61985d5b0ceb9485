// Steps of an `assert` in a trace: on their own line, with their condition, inside `parallel` where they stand there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { outline } from "../../src/panel/outline.ts";
import { traceOf } from "../panel/tdx-trace.ts";

const TEXT = `scenario "s" {
  kernel 6.18
  ram = memfd_create("ram", 0)
  assert pages(ram) == 0
  assert size(ram) == 0
  parallel {
    vmm { ftruncate(ram, 4K); assert size(ram) == 4K; pwrite(ram, "a", 0) }
    other { pread(ram, 1, 0) }
  }
}
`;
const lineOf = (part: string): number => TEXT.slice(0, TEXT.indexOf(part)).split("\n").length;

test("an assertion stands on its line with its condition", () => {
  const asserting = traceOf(TEXT).steps.filter(({ step }) => step === "assert");
  assert.deepEqual(
    asserting.map(({ line, asserts, parallel }) => [line, asserts, parallel]),
    [
      [lineOf("assert pages"), "pages(ram) == 0", false],
      [lineOf("assert size(ram) == 0"), "size(ram) == 0", false],
      [lineOf("assert size(ram) == 4K"), "size(ram) == 4K", true],
    ],
  );
});

test("in the timeline each has a row of its own, and none ends the parallel block", () => {
  const rows = outline(traceOf(TEXT), new Set());
  assert.equal(rows.filter(({ kind, parallel }) => kind === "band" && parallel).length, 1);
  const trace = traceOf(TEXT);
  const alone = rows.filter(({ kind, first }) => kind === "call" && trace.steps[first].asserts !== undefined);
  assert.deepEqual(
    alone.map(({ first, last }) => last - first),
    [0, 0],
  );
});
