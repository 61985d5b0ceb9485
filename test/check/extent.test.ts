// How far a run came, in words and numbers, and the reports of runs that have nothing else to say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cutShort, grouped, isOutOfMemory, limitText, progressText, shortCount } from "../../src/check/extent.ts";
import { locate } from "../../src/check/locate.ts";
import { program } from "../model/support.ts";

test("numbers are grouped, and short where they change quickly", () => {
  assert.deepEqual([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
  const counts = [0, 999, 999.6, 1000, 1234, 9949, 9950, 412_345, 999_499, 999_500, 1_234_567, 38_000_000];
  assert.deepEqual(counts.map(shortCount), ["0", "999", "1.0k", "1.0k", "1.2k", "9.9k", "10k", "412k", "999k", "1.0M", "1.2M", "38M"]);
  assert.equal(progressText({ states: 412_345, frontier: 38_120, rate: 320_000 }), "412k states, 38k to go, 320k/s");
});

test("a limit says which one it is and how far the run came", () => {
  const extent = { states: 412_345, frontier: 38_120, depth: 31 };
  assert.equal(limitText("states", extent), "the limit of 412,345 states, 38,120 to go at depth 31");
  assert.equal(limitText("time", extent), "the time limit after 412,345 states, 38,120 to go at depth 31");
  assert.equal(limitText("memory", { states: 1, frontier: 1, depth: 0 }), "the memory limit after 1 state, 1 to go at depth 0");
  assert.equal(limitText("cancelled", { states: 0, frontier: 0, depth: 0 }), "stopped before the first state");
});

test("a run whose findings are lost is incomplete, with one finding on the scenario's line", () => {
  const one = program("kernel v8\nclose(-1)");
  const report = cutShort(one, "memory", { states: 7, frontier: 3, depth: 2 });
  assert.equal(report.verdict, "incomplete");
  assert.deepEqual([report.exploration.states, report.exploration.frontier, report.exploration.depth, report.exploration.cut], [7, 3, 2, "memory"]);
  assert.equal(report.calls.length, one.calls.length);
  const message = "not all interleavings were explored: the memory limit after 7 states, 3 to go at depth 2";
  assert.deepEqual(
    locate(one, report).map((finding) => [finding.code, finding.message, finding.span]),
    [["MEMFD6001", message, one.sites[one.site]]],
  );
});

test("the engine's own words for the end of memory are known, an endless recursion is not among them", () => {
  const thrown = (work: () => unknown): unknown => {
    try {
      work();
    } catch (error) {
      return error;
    }
    return undefined;
  };
  assert.equal(isOutOfMemory(thrown(() => new ArrayBuffer(2 ** 52))), true);
  assert.equal(isOutOfMemory(thrown(() => new Int32Array(2 ** 40))), true);
  assert.equal(isOutOfMemory(thrown(() => "x".repeat(2 ** 30))), true);
  const deep = (): number => 1 + deep();
  assert.equal(isOutOfMemory(thrown(deep)), false);
  assert.equal(isOutOfMemory(new Error("allocation failed")), false);
});
