// Numbers of results, and events that are filled anew by each step.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { EventLists } from "../../src/model/events.ts";
import { RESULTS_MAX, Results, resultKey, TooManyValues } from "../../src/model/intern.ts";
import type { Result } from "../../src/scenario/program.ts";

const result: fc.Arbitrary<Result> = fc.oneof(
  fc.bigInt({ min: -3n, max: 5000n }).map((value): Result => ({ kind: "value", value })),
  fc
    .record({ value: fc.bigInt({ min: 0n, max: 3n }), data: fc.array(fc.nat(2), { minLength: 1, maxLength: 2 }) })
    .map((value): Result => ({ kind: "value", ...value })),
  fc.constantFrom("EINVAL", "EPERM", "EBADF").map((errno): Result => ({ kind: "errno", errno })),
  fc.constantFrom("SIGBUS", "SIGSEGV").map((signal): Result => ({ kind: "signal", signal })),
  fc.bigInt({ min: 0n, max: 3n }).map((value): Result => ({ kind: "exit", exit: "KVM_EXIT_MMIO", fields: [{ name: "len", value }] })),
  fc.constantFrom<Result>({ kind: "found" }, { kind: "blocks" }, { kind: "handle", handle: "fd" }),
);

it("two results have one number if and only if they are equal, whichever way it is asked for", () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(result, fc.boolean())), (list) => {
      const results = new Results();
      const numbers = new Map<string, number>();
      for (const [one, constant] of list) {
        const number = constant ? results.constant(one) : results.number(one);
        const key = resultKey(one);
        assert.equal(number, numbers.get(key) ?? numbers.size);
        numbers.set(key, number);
        assert.equal(resultKey(results.result(number)), key);
      }
      assert.equal(results.count, numbers.size);
    }),
  ));

it("more results than the state has room for are refused aloud", () => {
  const results = new Results();
  for (let value = 0n; value < BigInt(RESULTS_MAX); value++) results.number({ kind: "value", value });
  assert.throws(() => results.number({ kind: "value", value: BigInt(RESULTS_MAX) }), TooManyValues);
});

it("a step's events are a list of their own length, and the next step fills the same objects", () => {
  const lists = new EventLists();
  const first = lists.add(lists.none.length, "returned", 1, 2);
  assert.deepEqual(first, [{ kind: "returned", a: 1, b: 2 }]);
  const both = lists.add(first.length, "migrated", 3, 0);
  assert.deepEqual(both, [
    { kind: "returned", a: 1, b: 2 },
    { kind: "migrated", a: 3, b: 0 },
  ]);
  const next = lists.add(lists.none.length, "host-access", 7, 0);
  assert.deepEqual(next, [{ kind: "host-access", a: 7, b: 0 }]);
  assert.equal(next[0], both[0]);
  assert.equal(lists.none.length, 0);
});
