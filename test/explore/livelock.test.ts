// Livelock: machines that are caught and machines that look as if they were, schedules that replay, and a plain judge on random machines.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { findLivelock, type Livelock } from "../../src/explore/livelock.ts";
import { encodeSchedule, replay } from "../../src/explore/schedule.ts";
import type { Budget, System } from "../../src/explore/system.ts";
import { machine, type RandomMachine } from "./random.ts";
import { grid, philosophers } from "./toys.ts";

const unlimited: Budget = { maxStates: 1e7, maxMilliseconds: 1e6, maxBytes: 1 << 29, now: () => performance.now() };

/** Runs schedule and round; answers the state on the round. */
function assertRound(system: System, { schedule, cycle, caught }: Livelock): Int32Array {
  assert.ok(cycle.length > 0 && caught <= schedule.length);
  const states: string[] = [];
  let last = new Int32Array(0);
  const outcome = replay(system, [...schedule, ...cycle], (state) => {
    states.push(state.join());
    last = state.slice();
  });
  assert.equal(outcome.fits, true);
  assert.equal(states.at(-1), states[schedule.length], "the round ends where it began");
  return last;
}

/**
 * Two actors that take two locks in opposite order by trying: who misses the second one puts the first one down and starts anew. `stubborn`: who misses keeps
 * what he has and tries again, and nobody ever gives up. Words: lock 0, lock 1, then a pc per actor (3 = has both, 4 = finished).
 */
const tryLockers = (stubborn: boolean): System => ({
  words: 4,
  actors: 2,
  initial: (state) => void state.fill(0),
  step(state, actor) {
    const pc = state[2 + actor];
    const first = actor;
    const second = 1 - actor;
    if (pc === 4) return 0;
    if (pc === 0) {
      if (state[first] === 0) {
        state[first] = 1;
        state[2 + actor] = 1;
      }
    } else if (pc === 1) {
      if (state[second] === 0) {
        state[second] = 1;
        state[2 + actor] = 3;
      } else if (!stubborn) state[2 + actor] = 2;
    } else {
      state[first] = 0;
      if (pc === 3) state[second] = 0;
      state[2 + actor] = pc === 3 ? 4 : 0;
    }
    return 1;
  },
  finished: (state) => state[2] === 4 && state[3] === 4,
});

/** a spins until word 0 is set; b sets it where there is a `setter`, else only counts to three. */
const spinner = (setter: boolean): System => ({
  words: 3,
  actors: 2,
  initial: (state) => void state.fill(0),
  step(state, actor) {
    if (actor === 1) {
      if (state[2] === 3) return 0;
      state[2] += 1;
      if (setter && state[2] === 3) state[0] = 1;
      return 1;
    }
    if (state[1] === 2) return 0;
    // Reads the flag, then acts on what it read.
    state[1] = state[1] === 1 ? 0 : state[0] === 1 ? 2 : 1;
    return 1;
  },
  finished: (state) => state[1] === 2,
});

test("two who keep one lock and try for the other are caught once each has one; two who give way are not", () => {
  const { found, complete } = findLivelock(tryLockers(true), unlimited);
  assert.ok(complete && found);
  assert.equal(encodeSchedule(found.schedule), "a b");
  assert.equal(found.caught, 2);
  assert.deepEqual([...assertRound(tryLockers(true), found)].slice(0, 2), [1, 1]);
  const polite = findLivelock(tryLockers(false), unlimited);
  assert.deepEqual([polite.complete, polite.found], [true, undefined]);
});

test("a spinner whose flag nobody sets is caught from the start; with a setter it is not", () => {
  const { found, complete } = findLivelock(spinner(false), unlimited);
  assert.ok(complete && found);
  assert.equal(found.caught, 0);
  const state = assertRound(spinner(false), found);
  // In a component without a way out b has counted to its end: what it still does is no part of the round.
  assert.equal(state[2], 3);
  assert.ok(found.cycle.every(({ actor }) => actor === 0));
  assert.equal(findLivelock(spinner(true), unlimited).found, undefined);
});

test("a machine that always ends, also in a deadlock, is no livelock", () => {
  for (const system of [grid(3, 4), philosophers(3, 1, false)]) {
    const { complete, found, states } = findLivelock(system, unlimited);
    assert.deepEqual([complete, found], [true, undefined]);
    assert.ok(states > 20);
  }
});

test("a budget that ends first is not a judgement", () => {
  const all = findLivelock(grid(3, 30), unlimited);
  assert.deepEqual(all, { complete: true, states: 31 ** 3 });
  for (const budget of [
    { ...unlimited, maxStates: 100 },
    { ...unlimited, maxBytes: 1 << 20 },
    { ...unlimited, maxBytes: 0 },
    { ...unlimited, cancelled: () => true },
  ]) {
    const { complete, found } = findLivelock(grid(3, 30), budget);
    assert.deepEqual([complete, found], [false, undefined]);
  }
});

/** Numbers of the states from which no end can be reached, by their distance; by sweeps until nothing changes. */
function caughtPlainly(system: RandomMachine): { least: number | undefined } {
  const initial = new Int32Array(system.words);
  system.initial(initial);
  const depth = new Map([[initial.join(), 0]]);
  const queue = [initial];
  const edges: [string, string][] = [];
  const saved = new Set<string>();
  for (const state of queue) {
    let able = false;
    for (let actor = 0; actor < system.actors; actor++) {
      const count = system.step(state.slice(), actor, 0);
      for (let choice = 0; choice < count; choice++) {
        const next = state.slice();
        system.step(next, actor, choice);
        able = true;
        edges.push([state.join(), next.join()]);
        if (depth.has(next.join())) continue;
        depth.set(next.join(), (depth.get(state.join()) ?? 0) + 1);
        queue.push(next);
      }
    }
    if (!able) saved.add(state.join());
  }
  for (let before = -1; before !== saved.size; ) {
    before = saved.size;
    for (const [from, to] of edges) if (saved.has(to)) saved.add(from);
  }
  const caught = [...depth].filter(([state]) => !saved.has(state)).map(([, at]) => at);
  return { least: caught.length === 0 ? undefined : Math.min(...caught) };
}

test("on random machines: caught exactly where a plain judge says so, by a shortest schedule, in a round that goes on for ever", () => {
  let found = 0;
  fc.assert(
    fc.property(machine, (system) => {
      const answer = findLivelock(system, unlimited);
      assert.ok(answer.complete);
      assert.equal(answer.found?.caught, caughtPlainly(system).least);
      if (answer.found === undefined) return;
      found += 1;
      assertRound(system, answer.found);
    }),
    { numRuns: 400 },
  );
  assert.ok(found > 10, `only ${found} machines were caught`);
});
