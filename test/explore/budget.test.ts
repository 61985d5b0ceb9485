// Limits of the search: each is named, a hit limit is never complete, and the wish to stop is seen soon however slow the machine's steps are.

import assert from "node:assert/strict";
import { test } from "node:test";
import { explore } from "../../src/explore/search.ts";
import type { Budget, System } from "../../src/explore/system.ts";
import { grid, INSTANCES, PunchFault } from "./toys.ts";

const still: Budget = { maxStates: 1e7, maxMilliseconds: 1e6, maxBytes: 1 << 28, now: () => 0 };

/** A clock that each step of the machine moves on. */
function slowly(system: System, perStep: number): { system: System; now: () => number } {
  let time = 0;
  const step = (state: Int32Array, actor: number, choice: number): number => {
    time += perStep;
    return system.step(state, actor, choice);
  };
  return { system: { ...system, step }, now: () => time };
}

test("exactly as many states as allowed is complete; one fewer is not", () => {
  const system = new PunchFault(INSTANCES.M, "fixed");
  for (const reduce of [false, true]) {
    const all = explore(system, {}, still, { reduce });
    assert.equal(explore(system, {}, { ...still, maxStates: all.states }, { reduce }).complete, true);
    const cut = explore(system, {}, { ...still, maxStates: all.states - 1 }, { reduce });
    assert.deepEqual([cut.states, cut.complete, cut.limit], [all.states - 1, false, "states"]);
  }
});

test("memory is bounded by the budget, and the edge that does not fit is still reported", () => {
  let edges = 0;
  const cut = explore(grid(4, 60), { edge: () => void (edges += 1) }, { ...still, maxBytes: 1 << 20 });
  assert.deepEqual([cut.complete, cut.limit, edges], [false, "memory", cut.transitions]);
  assert.ok(cut.states > 10_000 && cut.states < (1 << 20) / 24, `${cut.states} states of 24 bytes in 1 MiB`);
});

test("time ends a search within milliseconds of its limit, also where one state takes long", () => {
  for (const perStep of [0.0005, 0.05, 1, 20]) {
    const { system, now } = slowly(grid(4, 30), perStep);
    const limit = 200;
    const cut = explore(system, {}, { ...still, maxMilliseconds: limit, now });
    assert.deepEqual([cut.complete, cut.limit], [false, "time"], `${perStep} ms a step`);
    // Four steps a state, polls at most about 8 ms or one state apart.
    assert.ok(cut.milliseconds <= limit + Math.max(16, 8 * perStep), `${perStep} ms a step: ended after ${cut.milliseconds} ms`);
  }
});

test("cancelled is asked before the first state, then at least every 1,024 states, and sooner where states are slow", () => {
  const before = explore(grid(2, 5), {}, { ...still, cancelled: () => true });
  assert.deepEqual([before.transitions, before.complete, before.limit], [0, false, "cancelled"]);
  for (const perStep of [0, 0.01, 0.5, 3]) {
    const { system, now } = slowly(grid(3, 40), perStep);
    let states = 0;
    let lastStates = 0;
    let lastTime = 0;
    let asked = 0;
    const cancelled = (): boolean => {
      assert.ok(states - lastStates <= 1024, `${states - lastStates} states without asking`);
      // The interval adapts from 1 state on; after that a poll is at most a few milliseconds or one state away.
      if (asked > 1) assert.ok(now() - lastTime <= Math.max(10, 3 * perStep), `${now() - lastTime} ms without asking`);
      lastStates = states;
      lastTime = now();
      asked += 1;
      return states > 20_000;
    };
    const cut = explore(system, { state: () => void (states += 1) }, { ...still, now, cancelled });
    assert.deepEqual([cut.complete, cut.limit], [false, "cancelled"]);
    assert.ok(cut.states < 41 ** 3 && asked > 20);
  }
});

test("an error of the observer or of a step comes through unchanged", () => {
  const failure = new Error("broken inside");
  const fail = (): never => {
    throw failure;
  };
  assert.throws(() => explore(grid(2, 2), { edge: fail }, still), failure);
  assert.throws(() => explore({ ...grid(2, 2), step: fail }, {}, still), failure);
});
