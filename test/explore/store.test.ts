// The state store against a Map, its limits, and its hash on states that differ little.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { FULL, hashOf, StateStore } from "../../src/explore/store.ts";

const GENEROUS = 1 << 28;

test("insert numbers new states in order, finds known ones and keeps their first parent and action", () => {
  const states = fc.array(fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 4, maxLength: 4 }), { maxLength: 400 });
  fc.assert(
    fc.property(states, (rows) => {
      const store = new StateStore(4, 1000, GENEROUS);
      const known = new Map<string, { number: number; from: number }>();
      for (const [from, row] of rows.entries()) {
        const expected = known.get(row.join());
        const answer = store.insert(Int32Array.from(row), from, from * 3);
        assert.equal(answer, expected === undefined ? known.size : ~expected.number);
        if (expected === undefined) known.set(row.join(), { number: known.size, from });
      }
      const into = new Int32Array(4);
      for (const [text, { number, from }] of known) {
        store.load(number, into);
        assert.equal(into.join(), text);
        assert.ok(store.holds(number, into));
        assert.deepEqual([store.parent(number), store.action(number)], [from, from * 3]);
      }
      assert.equal(store.count, known.size);
    }),
  );
});

test("states, parents and actions survive the growth over many chunks and tables", () => {
  const store = new StateStore(61, 1 << 20, GENEROUS);
  const state = new Int32Array(61);
  const count = 60_000;
  const write = (number: number): Int32Array => state.fill(number).fill(number >>> 5, 30);
  for (let number = 0; number < count; number++) assert.equal(store.insert(write(number), number - 1, number ^ 5), number);
  assert.ok(store.bytes > 3 * (4 << 20), "more than three chunks");
  for (let number = 0; number < count; number += 7) {
    assert.equal(store.insert(write(number), 0, 0), ~number);
    assert.deepEqual([store.parent(number), store.action(number), store.holds(number, state)], [number - 1, number ^ 5, true]);
  }
  assert.equal(store.count, count);
});

test("a full store says of what, keeps what it has, and still knows it", () => {
  for (const [maxStates, maxBytes, limit] of [
    [10, GENEROUS, "states"],
    [1e9, 200_000, "memory"],
    [0, GENEROUS, "states"],
    [10, 0, "memory"],
  ] as const) {
    const store = new StateStore(3, maxStates, maxBytes);
    let number = 0;
    while (store.insert(Int32Array.of(number, 0, 0), -1, 0) !== FULL) number += 1;
    assert.equal(store.limit, limit);
    assert.equal(store.count, number);
    assert.ok(limit === "states" ? number === maxStates : store.bytes <= maxBytes);
    if (maxBytes === 200_000) assert.ok(number > 2_500, `${number} states of 20 bytes and their table in 200,000`);
    for (let known = 0; known < number; known++) assert.equal(store.insert(Int32Array.of(known, 0, 0), -1, 0), ~known);
  }
});

test("no array is allocated beyond the limit, and a refused allocation is a limit, not a crash", () => {
  const store = new StateStore(1 << 21, 1e9, Number.MAX_SAFE_INTEGER);
  const real = globalThis.Int32Array;
  globalThis.Int32Array = new Proxy(real, {
    construct(target, args: [number]) {
      if (args[0] > 1 << 20) throw new RangeError("Array buffer allocation failed");
      return new target(...args);
    },
  });
  try {
    assert.equal(store.insert(new real(4), -1, 0), FULL);
  } finally {
    globalThis.Int32Array = real;
  }
  assert.equal(store.limit, "memory");
});

test("the hash tells apart states that differ in few bits, in any word, and spreads them over its top bits", () => {
  for (const words of [2, 5, 32]) {
    const state = new Int32Array(words);
    const hashes = new Set<number>();
    const buckets = new Int32Array(1 << 8);
    let count = 0;
    for (let a = 0; a < words * 32; a++) {
      for (let b = a + 1; b < Math.min(words * 32, a + 130); b++) {
        state[a >> 5] ^= 1 << (a & 31);
        state[b >> 5] ^= 1 << (b & 31);
        const hash = hashOf(state, words);
        hashes.add(hash);
        buckets[hash >>> 24] += 1;
        count += 1;
        state.fill(0);
      }
    }
    // With 32 good bits n states have about n² / 2³³ equal pairs: 2 of 130,000.
    assert.ok(count - hashes.size <= 12, `${count - hashes.size} of ${count} hashes are equal`);
    const mean = count / buckets.length;
    const chi = buckets.reduce((sum, found) => sum + (found - mean) ** 2 / mean, 0);
    assert.ok(chi < 400, `uneven top bits, χ² of 255 degrees ${chi}`);
  }
});
