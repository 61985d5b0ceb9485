// Limits of the search: each is named, a hit limit is never complete, and the wish to stop is seen soon however slow the machine's steps are.

import assert from "node:assert/strict";
import { test } from "node:test";
import { explore } from "../../src/explore/search.ts";
import type { Budget, Progress, System } from "../../src/explore/system.ts";
import { INSTANCES, PunchFault } from "./punch-fault.ts";
import { grid } from "./toys.ts";

const still: Budget = { maxStates: 1e7, maxMilliseconds: 1e6, maxBytes: 1 << 28, now: () => 0 };

/** A clock that each step of the machine moves on. */
function slowly(system: System, perStep: number): { system: System; now: () => number } {
  let time = 0;
  const step = (state: Int32Array, actor: number, choice: number): number => {
    time += perStep;
    return system.step(state, actor, choice);
  };
  return { system: Object.create(system, { step: { value: step } }), now: () => time };
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

test("progress is told at least every 100 ms however slow a state is, and says how far the search has come", () => {
  for (const reduce of [false, true]) {
    for (const perStep of [0.0005, 0.01, 0.5, 4]) {
      const { system, now } = slowly(new PunchFault(INSTANCES.L, "fixed"), perStep);
      const told: Progress[] = [];
      const progress = (at: Progress): void => void told.push(at);
      const { states, transitions, depth, frontier, milliseconds } = explore(system, {}, { ...still, now, progress, maxMilliseconds: 1000 }, { reduce });
      const times = [0, ...told.map((at) => at.milliseconds), milliseconds];
      for (const [index, at] of times.slice(1).entries()) assert.ok(at - times[index] <= 100, `${perStep} ms a step: ${at - times[index]} ms without a word`);
      for (const [index, at] of told.slice(1).entries()) {
        const before = told[index];
        assert.ok(at.states >= before.states && at.transitions > before.transitions && at.depth >= before.depth);
      }
      const last = told.at(-1);
      assert.ok(last === undefined || (last.states <= states && last.transitions <= transitions && last.depth <= depth && last.frontier > 0));
      assert.ok(told.length >= 2 || milliseconds < 300);
      assert.ok(frontier >= 0 && frontier < states);
    }
  }
});

test("depth counts layers, and an end before its time says how much was left", () => {
  const whole = explore(grid(3, 4), {}, still);
  assert.deepEqual([whole.depth, whole.frontier], [12, 0]);
  assert.ok(whole.bytes >= 125 * 20);
  // Layer d of two counters has d + 1 states: 15 states are five layers, and the 16th does not fit.
  const cut = explore(grid(2, 100), {}, { ...still, maxStates: 15 });
  assert.deepEqual([cut.states, cut.depth, cut.frontier], [15, 4, 5]);
});

test("a system that says when it goes back is believed; one that does not say may", () => {
  const system = grid(2, 3);
  assert.equal(explore(system, {}, still).wentBack, true);
  assert.equal(explore({ ...system, wentBack: false }, {}, still).wentBack, false);
  const once = { ...system, wentBack: false };
  const step = (state: Int32Array, actor: number, choice: number): number => {
    const choices = system.step(state, actor, choice);
    once.wentBack = choices > 0 && state[0] === 2 && state[1] === 3;
    return choices;
  };
  assert.equal(explore(Object.assign(once, { step }), {}, still).wentBack, true);
});

test("no memory for anything that a search needs beside its states is a limit too", () => {
  const real = globalThis.Int32Array;
  const wide: System = {
    words: 64,
    actors: 1,
    initial: (state) => void state.fill(0),
    step: (state, _, choice) => {
      if (state[0] !== 0) return 0;
      state[0] = choice + 1;
      return 10_000;
    },
    finished: () => true,
    independence: { locations: [], at: () => -1, held: () => 0, footprint: () => undefined },
  };
  let made = 0;
  globalThis.Int32Array = new Proxy(real, {
    construct(target, args: [number]) {
      made += 1;
      if (made > 1000) throw new RangeError("Array buffer allocation failed");
      return new target(...args);
    },
  });
  try {
    for (const reduce of [false, true]) {
      made = 0;
      const { complete, limit } = explore(wide, {}, { ...still, maxBytes: reduce ? 1 << 28 : 1 << 20 }, { reduce });
      assert.deepEqual([complete, limit], [false, "memory"]);
    }
  } finally {
    globalThis.Int32Array = real;
  }
});
