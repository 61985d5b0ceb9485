// The cache key: equal where only spans differ, different where anything else does.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonical, programKey } from "../../src/server/key.ts";
import { program } from "./fake.ts";

test("moved spans leave the key as it is", () => {
  assert.equal(programKey(program("a", 4096n, 0)), programKey(program("a", 4096n, 77)));
  const moved = { ...program("a", 4096n), sites: [] };
  assert.equal(programKey(moved), programKey(program("a", 4096n)));
});

test("every other field counts", () => {
  const base = program("a", 4096n);
  const others = [
    program("b", 4096n),
    program("a", 8192n),
    { ...base, profile: { ...base.profile, name: "v8-x" } },
    { ...base, profile: { ...base.profile, edits: [{ kind: "without", operation: "o", step: "s", site: 0 } as const] } },
    { ...base, watch: { only: ["no-stale-mapping"] } },
    { ...base, safe: 1 },
    { ...base, expected: [{ invariant: "no-stale-mapping", site: 0 }] },
    { ...base, site: 1 },
  ];
  const keys = new Set([base, ...others].map((one) => programKey(one)));
  assert.equal(keys.size, others.length + 1);
});

test("the order in which an object was written does not count, and absent is as good as undefined", () => {
  assert.equal(canonical({ a: 1, b: [2n, "x"], c: undefined }), canonical({ b: [2n, "x"], a: 1 }));
});

test("kinds that print alike are told apart", () => {
  const values = [1, 1n, "1", "1n", true, "true", null, "null", [], {}, [1], { 0: 1 }, -0.5, 2n ** 64n];
  assert.equal(new Set(values.map((value) => canonical(value))).size, values.length);
});

test("canonical is injective on plain data", () => {
  const leaf = fc.oneof(fc.integer(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }), fc.string(), fc.boolean());
  const data = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, leaf, fc.array(tie("value"), { maxLength: 3 }), fc.dictionary(fc.string({ maxLength: 3 }), tie("value"), { maxKeys: 3 })),
  })).value;
  fc.assert(
    fc.property(data, data, (one, other) => {
      let same = true;
      try {
        assert.deepStrictEqual(Object.is(one, -0) ? 0 : one, Object.is(other, -0) ? 0 : other);
      } catch {
        same = false;
      }
      // Objects without a prototype are equal data all the same.
      if (same) assert.equal(canonical(one), canonical(other));
      else if (canonical(one) === canonical(other)) assert.equal(JSON.stringify(one, tagged), JSON.stringify(other, tagged));
    }),
  );
});

function tagged(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}
