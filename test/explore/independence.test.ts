// Who may step alone, on small control graphs drawn by hand: conflicts, futures, locks that keep others away, circles, and sets of more than one word.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { AloneSteps } from "../../src/explore/independence.ts";
import type { AtomSet, Footprint, Independence, Location } from "../../src/explore/system.ts";

const ATOMS = 40;
const plenty = (words: number): Int32Array => new Int32Array(words);
const set = (...atoms: number[]): AtomSet => {
  const words = new Int32Array(2);
  for (const atom of atoms) words[atom >>> 5] |= 1 << (atom & 31);
  return words;
};
const step = (reads: number[], writes: number[], visible = false): Footprint => ({ reads: set(...reads), writes: set(...writes), visible });
const place = (footprint: Footprint, next: number[] = [], acquires = 0): Location => ({ footprint, acquires, next });

/** A state is the location of each actor, then the locks that each holds. */
const graph = (locations: Location[], actors: number): Independence => ({
  locations,
  at: (state, actor) => state[actor],
  held: (state, actor) => state[actors + actor],
  footprint: (state, actor) => (state[actor] < 0 ? undefined : locations[state[actor]].footprint),
});

/** The actors that may step alone in a state. */
function alone(locations: Location[], places: number[], held: number[] = []): number[] {
  const steps = new AloneSteps(graph(locations, places.length), places.length, plenty);
  const state = Int32Array.from([...places, ...places.map((_, actor) => held[actor] ?? 0)]);
  const found: number[] = [];
  for (let actor = steps.next(state, 0, 0); actor >= 0; actor = steps.next(state, 0, actor + 1)) found.push(actor);
  return found;
}

test("readers of one atom are alone, a writer meets each of them, and a visible step is never alone", () => {
  const locations = [place(step([35], [])), place(step([], [35])), place(step([], [1])), place(step([], [2], true))];
  assert.deepEqual(alone(locations, [0, 0]), [0, 1]);
  assert.deepEqual(alone(locations, [0, 1]), []);
  assert.deepEqual(alone(locations, [1, 1]), []);
  assert.deepEqual(alone(locations, [0, 2]), [0, 1]);
  assert.deepEqual(alone(locations, [3, 2]), [1]);
  assert.deepEqual(alone(locations, [3, -1]), []);
  assert.deepEqual(alone(locations, [2, -1]), [0]);
});

test("what another may do much later counts, also round a circle", () => {
  const locations = [place(step([], [5])), place(step([], []), [2]), place(step([], []), [1, 3]), place(step([5], []))];
  assert.deepEqual(alone(locations, [0, 1]), [1]);
  assert.deepEqual(alone(locations, [0, 2]), [1]);
  assert.deepEqual(alone(locations, [1, 2]), [0, 1]);
});

test("a lock that an actor holds keeps the others from what lies behind it, and from no more than that", () => {
  // 0: inside the lock, writes 7. 1: takes the lock, then 2 reads 7. 3 reads 7 without it. 4: another lock, then 2. 5: the unlock.
  const lock = 9;
  const locations = [
    place(step([], [7]), [5]),
    place(step([lock], [lock]), [2], 1),
    place(step([7], [])),
    place(step([7], [])),
    place(step([10], [10]), [2], 2),
    place(step([], [lock])),
  ];
  assert.deepEqual(alone(locations, [0, 1], [1]), [0]);
  assert.deepEqual(alone(locations, [0, 1], [0]), []);
  assert.deepEqual(alone(locations, [0, 3], [1]), []);
  assert.deepEqual(alone(locations, [0, 4], [1]), [1]);
  assert.deepEqual(alone(locations, [0, 4], [3]), [0, 1]);
  assert.deepEqual(alone(locations, [0, 1, 3], [1]), []);
  // An unlock meets those who wait for the lock only once it is free.
  assert.deepEqual(alone(locations, [5, 1, 1], [1]), [0]);
  assert.deepEqual(alone(locations, [5, 1], [0]), []);
});

test("all in turn from any actor on, and those already tried are left out", () => {
  const steps = new AloneSteps(graph([place(step([], []))], 3), 3, plenty);
  const state = Int32Array.of(0, 0, 0, 0, 0, 0);
  assert.deepEqual([steps.next(state, 1, 0), steps.next(state, 1, 1), steps.next(state, 1, 2), steps.next(state, 1, 3)], [1, 2, 0, -1]);
});

test("on random graphs: as the definition says, actor by actor", () => {
  const atoms = fc.array(fc.nat(ATOMS - 1), { maxLength: 2 });
  const location = fc.record({ reads: atoms, writes: atoms, visible: fc.boolean(), acquires: fc.nat(3), next: fc.array(fc.nat(7), { maxLength: 2 }) });
  const states = fc.array(fc.tuple(fc.integer({ min: -1, max: 7 }), fc.nat(3)), { minLength: 2, maxLength: 5 });
  let some = 0;
  fc.assert(
    fc.property(fc.array(location, { minLength: 8, maxLength: 8 }), states, (rows, actors) => {
      const locations = rows.map(({ reads, writes, visible, acquires, next }) => place(step(reads, writes, visible), next, acquires));
      const places = actors.map(([at]) => at);
      const held = actors.map(([, locks]) => locks);
      const future = (from: number, locks: number, seen = new Set<number>()): Set<number> => {
        if (from < 0 || seen.has(from) || (rows[from].acquires & locks) !== 0) return seen;
        seen.add(from);
        for (const next of rows[from].next) future(next, locks, seen);
        return seen;
      };
      const expected = places.flatMap((at, actor) => {
        if (at < 0 || rows[at].visible) return [];
        const meets = places.some((other, index) => {
          if (index === actor) return false;
          return [...future(other, held[actor])].some((later) => {
            const mine = rows[at];
            const theirs = rows[later];
            return (
              mine.writes.some((atom) => theirs.reads.includes(atom) || theirs.writes.includes(atom)) || mine.reads.some((atom) => theirs.writes.includes(atom))
            );
          });
        });
        return meets ? [] : [actor];
      });
      assert.deepEqual(alone(locations, places, held), expected);
      some += expected.length > 0 ? 1 : 0;
    }),
    { numRuns: 2000 },
  );
  assert.ok(some > 100);
});

test("without memory for a future nobody is alone there, then and later; what was known stays known", () => {
  const locations = Array.from({ length: 200 }, (_, at) => place(step([], [at % ATOMS])));
  let room = true;
  const steps = new AloneSteps(graph(locations, 2), 2, (words) => (room ? new Int32Array(words) : undefined));
  const state = (a: number, b: number): Int32Array => Int32Array.of(a, b, 0, 0);
  assert.equal(steps.next(state(0, 1), 0, 0), 0);
  room = false;
  const answers = Array.from({ length: 99 }, (_, at) => steps.next(state(2 * at + 2, 2 * at + 3), 0, 0));
  assert.ok(answers.includes(-1));
  room = true;
  assert.deepEqual(
    Array.from({ length: 99 }, (_, at) => steps.next(state(2 * at + 2, 2 * at + 3), 0, 0)),
    answers,
  );
  assert.equal(steps.next(state(0, 1), 0, 0), 0);
});
