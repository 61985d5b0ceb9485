// The text of a schedule: exact inverse, readable form, an answer for any garbage; and the replay, which says where a schedule does not fit.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { decodeSchedule, encodeSchedule, MAX_SCHEDULE_STEPS, replay } from "../../src/explore/schedule.ts";
import type { System } from "../../src/explore/system.ts";
import { grid } from "./toys.ts";

const step = (actor: number, choice = 0): { actor: number; choice: number } => ({ actor, choice });

test("runs of one actor are counted, choices are marked, actors are letters", () => {
  const schedule = [...Array.from({ length: 7 }, () => step(0)), step(1), step(2), step(2), step(0, 2)];
  assert.equal(encodeSchedule(schedule), "a7 b c2 a1!2");
  assert.equal(encodeSchedule([step(25), step(26), step(27, 1), step(27, 1), step(701), step(702)]), "z aa ab2!1 zz aaa");
  assert.equal(encodeSchedule([]), "");
});

test("decode is the inverse of encode, also for a text with any white space between its runs", () => {
  const choices = fc.oneof(fc.constant(0), fc.nat(3), fc.nat(0x7fff_ffff));
  const entry = fc.tuple(fc.oneof(fc.nat(3), fc.nat(1000)), choices).map(([actor, choice]) => step(actor, choice));
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 60 }), fc.constantFrom(" ", "\n", "\t  ", "\r\n\u00a0"), (schedule, space) => {
      const text = encodeSchedule(schedule);
      assert.deepEqual(decodeSchedule(text), { ok: true, schedule });
      assert.deepEqual(decodeSchedule(`${space}${text.replaceAll(" ", space)}${space}`), { ok: true, schedule });
    }),
    { numRuns: 500 },
  );
});

test("what is no schedule gets the place of the word and a sentence", () => {
  const rows = [
    ["a7 B c", 3, 4],
    ["a0", 0, 2],
    ["a07", 0, 3],
    ["7a", 0, 2],
    ["a!", 0, 2],
    ["a!01", 0, 4],
    ["a b-1", 2, 5],
    ["a,b", 0, 3],
    ["  a!4294967296 b", 2, 14],
    ["abcdefgh", 0, 8],
  ] as const;
  for (const [text, from, to] of rows) {
    const decoded = decodeSchedule(text);
    assert.ok(!decoded.ok, text);
    assert.deepEqual([decoded.from, decoded.to], [from, to], text);
    assert.match(decoded.message, /\w{3,}/);
  }
});

test("a short text cannot ask for gigabytes of steps", () => {
  assert.equal(decodeSchedule("a999999999").ok, false);
  assert.equal(decodeSchedule("a600000 b600000").ok, false);
  assert.equal(decodeSchedule("a99999999999").ok, false);
  const most = decodeSchedule(`a${MAX_SCHEDULE_STEPS}`);
  assert.ok(most.ok && most.schedule.length === MAX_SCHEDULE_STEPS);
});

test("any text whatever is answered; what is accepted reads the same after encoding it anew", () => {
  const pieces = fc
    .array(fc.constantFrom("a", "b", "z", "!", "0", "1", "9", " ", "-", "é", "\n", "!2", "a3"), { maxLength: 20 })
    .map((parts) => parts.join(""));
  let accepted = 0;
  fc.assert(
    fc.property(fc.oneof(fc.string(), pieces), (text) => {
      const decoded = decodeSchedule(text);
      if (!decoded.ok) {
        assert.ok(decoded.from >= 0 && decoded.from < decoded.to && decoded.to <= text.length && decoded.message.length < 200);
        return;
      }
      accepted += 1;
      assert.deepEqual(decodeSchedule(encodeSchedule(decoded.schedule)), decoded);
    }),
    { numRuns: 2000 },
  );
  assert.ok(accepted > 20, `only ${accepted} texts were accepted`);
});

/** One actor that picks 0, 1 or 2 into word 0, and one that may add ten once something was picked. */
const picker: System = {
  words: 2,
  actors: 2,
  initial: (state) => void state.fill(0),
  step(state, actor, choice) {
    if (actor === 0) {
      if (state[1] !== 0) return 0;
      state[0] = choice;
      state[1] = 1;
      return 3;
    }
    if (state[1] !== 1) return 0;
    state[0] += 10;
    state[1] = 2;
    return 1;
  },
  finished: (state) => state[1] === 2,
};

test("replay visits the initial state and the result of every step", () => {
  const visited: string[] = [];
  const outcome = replay(picker, [step(0, 2), step(1)], (state, steps) => void visited.push(`${steps}: ${state.join()}`));
  assert.deepEqual(outcome, { fits: true, steps: 2 });
  assert.deepEqual(visited, ["0: 0,0", "1: 2,1", "2: 12,2"]);
});

test("replay says which entry does not fit and why", () => {
  const run = (schedule: { actor: number; choice: number }[]): unknown[] => {
    let last = "";
    const outcome = replay(picker, schedule, (state) => void (last = state.join()));
    return outcome.fits ? [outcome.steps, last] : [outcome.steps, outcome.reason, outcome.alternatives, last];
  };
  assert.deepEqual(run([]), [0, "0,0"]);
  assert.deepEqual(run([step(1)]), [0, "cannot step", 0, "0,0"]);
  assert.deepEqual(run([step(0, 3)]), [0, "no such choice", 3, "0,0"]);
  assert.deepEqual(run([step(0, -1)]), [0, "no such choice", 3, "0,0"]);
  assert.deepEqual(run([step(0, 1), step(2)]), [1, "no such actor", 0, "1,1"]);
  assert.deepEqual(run([step(0, 1), step(-1)]), [1, "no such actor", 0, "1,1"]);
  assert.deepEqual(run([step(0, 1), step(1), step(1)]), [2, "cannot step", 0, "11,2"]);
  assert.deepEqual(run([step(0, 1), step(1, 1)]), [1, "no such choice", 1, "1,1"]);
});

test("a long schedule replays in one go", () => {
  const decoded = decodeSchedule("a100000 b100000");
  assert.ok(decoded.ok);
  let sum = 0;
  assert.deepEqual(
    replay(grid(2, 100_000), decoded.schedule, (state) => void (sum = state[0] + state[1])),
    { fits: true, steps: 200_000 },
  );
  assert.equal(sum, 200_000);
});
