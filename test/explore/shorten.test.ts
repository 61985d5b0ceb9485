// The story with the fewest switches, against all shortest schedules of random machines one by one, and on the protocols whose best story is known.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { encodeSchedule, replay, type Schedule } from "../../src/explore/schedule.ts";
import { explore } from "../../src/explore/search.ts";
import { type Goal, shorten, shortenAll } from "../../src/explore/shorten.ts";
import type { Budget, System } from "../../src/explore/system.ts";
import { INSTANCES, PunchFault } from "./punch-fault.ts";
import { machine, type RandomMachine } from "./random.ts";
import { grid, philosophers } from "./toys.ts";

const unlimited: Budget = { maxStates: 1e7, maxMilliseconds: 1e6, maxBytes: 1 << 29, now: () => performance.now() };

const switchesOf = (schedule: Schedule): number => schedule.filter((step, at) => at > 0 && step.actor !== schedule[at - 1].actor).length;

/** The first schedule that a search meets for each violation of the machine. */
function firstSchedules(system: RandomMachine, reduce: boolean): Map<string, Schedule> {
  const before = new Int32Array(system.words);
  const found = new Map<string, Schedule>();
  explore(
    system,
    {
      state: (state) => before.set(state),
      edge(state, edge) {
        const key = system.violation(before, state, edge.actor);
        if (key !== undefined && !found.has(key)) found.set(key, edge.schedule());
      },
    },
    unlimited,
    { reduce },
  );
  return found;
}

/** Per violation [length, switches] of the best schedule, by a search over (state, last actor, switches) that keeps everything. */
function bestPlainly(system: RandomMachine, depth: number): Map<string, [number, number]> {
  const best = new Map<string, [number, number]>();
  const initial = new Int32Array(system.words);
  system.initial(initial);
  let layer = new Map([["", { state: initial, last: -1, switches: 0 }]]);
  for (let length = 1; length <= depth; length++) {
    const next: typeof layer = new Map();
    for (const { state, last, switches } of layer.values()) {
      for (let actor = 0; actor < system.actors; actor++) {
        const count = system.step(state.slice(), actor, 0);
        for (let choice = 0; choice < count; choice++) {
          const after = state.slice();
          system.step(after, actor, choice);
          const cost = switches + (last >= 0 && last !== actor ? 1 : 0);
          const key = system.violation(state, after, actor);
          const known = key === undefined ? undefined : best.get(key);
          if (key !== undefined && (known === undefined || (known[0] === length && known[1] > cost))) best.set(key, [length, cost]);
          next.set(`${after.join()}/${actor}/${cost}`, { state: after, last: actor, switches: cost });
        }
      }
    }
    layer = next;
  }
  return best;
}

test("on random machines the answer is a shortest schedule with the fewest switches, from a reduced search too", () => {
  let improved = 0;
  fc.assert(
    fc.property(machine, fc.boolean(), (system, reduce) => {
      const found = [...firstSchedules(system, reduce)].filter(([, schedule]) => schedule.length <= 10);
      const goals = found.map(([key, schedule]): Goal => ({ schedule, hit: (before, after, actor) => system.violation(before, after, actor) === key }));
      const best = bestPlainly(system, Math.max(0, ...found.map(([, schedule]) => schedule.length)));
      const together = shortenAll(system, goals, unlimited);
      for (const [at, [key, first]] of found.entries()) {
        const { schedule: answer, shortest } = shorten(system, goals[at], unlimited);
        assert.ok(shortest);
        assert.deepEqual([answer.length, switchesOf(answer)], best.get(key));
        assert.deepEqual(together[at], { schedule: answer, shortest });
        const before = new Int32Array(system.words);
        const after = new Int32Array(system.words);
        const outcome = replay(system, answer, (state, steps) => (steps === answer.length ? after : before).set(state));
        assert.ok(outcome.fits && system.violation(before, after, answer.at(-1)?.actor ?? -1) === key);
        if (switchesOf(answer) < switchesOf(first) || answer.length < first.length) improved += 1;
      }
    }),
    { numRuns: 1000 },
  );
  assert.ok(improved > 10, `only ${improved} schedules were improved`);
});

function staleStory(instance: keyof typeof INSTANCES, variant: "buggy" | "noseq"): { system: PunchFault; goal: Goal } {
  const system = new PunchFault(INSTANCES[instance], variant);
  let schedule: Schedule | undefined;
  const edge = (state: Int32Array, at: { schedule(): Schedule }): void => {
    if (schedule === undefined && system.stale(state)) schedule = at.schedule();
  };
  explore(system, { edge }, { ...unlimited, cancelled: () => schedule !== undefined });
  assert.ok(schedule);
  return { system, goal: { schedule, hit: (_, after) => system.stale(after) } };
}

test("the story of the punch is one fault and then the punch; without the counter the punch runs whole between look-up and map", () => {
  for (const instance of ["S", "M", "L"] as const) {
    const { system, goal } = staleStory(instance, "buggy");
    const { schedule } = shorten(system, goal, unlimited);
    assert.match(encodeSchedule(schedule), /^([a-c])5 [b-e]$/);
  }
  for (const [instance, host] of [
    ["S", "8"],
    ["M", "10"],
    ["L", "12"],
  ] as const) {
    const { system, goal } = staleStory(instance, "noseq");
    const story = encodeSchedule(shorten(system, goal, unlimited).schedule);
    assert.match(story, new RegExp(`^([a-c])2 [b-e]${host} \\1(3)$`));
  }
});

test("a deadlock's story has each philosopher once", () => {
  const system = philosophers(4, 1, false);
  let schedule: Schedule = [];
  explore(system, { end: (_, finished, way) => void (finished || (schedule = way())) }, unlimited);
  const stuck = (_: Int32Array, after: Int32Array): boolean => [0, 1, 2, 3].every((who) => system.step(after.slice(), who, 0) === 0);
  assert.deepEqual([schedule.length, switchesOf(shorten(system, { schedule, hit: stuck }, unlimited).schedule)], [4, 3]);
});

/**
 * b and c step twice each, b's second only after c's first, and each order leaves a different history; then a forgets the history and steps once more. The
 * order that a search meets first (b c b c) has the most switches.
 */
const forgetful: System = {
  words: 4,
  actors: 3,
  initial: (state) => void state.fill(0),
  step(state, actor) {
    if (actor === 0) {
      if (state[1] < 2 || state[2] < 2 || state[3] === 2) return 0;
      state[0] = 0;
      state[3] += 1;
      return 1;
    }
    if (state[actor] === 2 || (actor === 1 && state[1] === 1 && state[2] === 0)) return 0;
    state[actor] += 1;
    state[0] = state[0] * 3 + actor;
    return 1;
  },
  finished: (state) => state[3] === 2,
};

test("a better way into a state replaces a worse one that was met before", () => {
  let schedule: Schedule = [];
  explore(forgetful, { end: (_, __, way) => void (schedule = way()) }, unlimited);
  assert.equal(encodeSchedule(schedule), "b c b c a2");
  assert.equal(encodeSchedule(shorten(forgetful, { schedule, hit: (_, after) => after[3] === 2 }, unlimited).schedule), "c2 b2 a2");
});

test("when the budget ends first, the schedule stays as it came; the empty schedule too", () => {
  const { system, goal } = staleStory("M", "noseq");
  const states = { ...unlimited, maxStates: 20 };
  for (const budget of [states, { ...unlimited, maxBytes: 30_000 }, { ...unlimited, cancelled: () => true }, { ...unlimited, maxStates: 0 }]) {
    assert.deepEqual(shorten(system, goal, budget), { schedule: goal.schedule, shortest: false });
  }
  assert.deepEqual(shorten(system, { schedule: [], hit: () => true }, unlimited), { schedule: [], shortest: true });
  const never: Goal = { schedule: goal.schedule, hit: () => false };
  assert.deepEqual(shorten(system, never, unlimited), { schedule: goal.schedule, shortest: false });
});

test("the work is bounded by the depth of the schedule", () => {
  let steps = 0;
  const space = grid(6, 1000);
  const step = (state: Int32Array, actor: number, choice: number): number => {
    steps += 1;
    return space.step(state, actor, choice);
  };
  const counted: System = { ...space, step };
  const schedule = [0, 1, 0, 1, 0].map((actor) => ({ actor, choice: 0 }));
  const { schedule: story } = shorten(counted, { schedule, hit: (_, after) => after[0] === 3 && after[1] === 2 }, unlimited);
  assert.equal(encodeSchedule(story), "a3 b2");
  // C(4 + 6, 6) states lie within four steps, each with six actors.
  assert.ok(steps <= 210 * 6, `${steps} steps`);
});

test("what was met in a layer that the budget cut off is still proven shortest", () => {
  const { system, goal } = staleStory("M", "noseq");
  const long = [...goal.schedule, ...goal.schedule];
  let looks = 0;
  const hit = (before: Int32Array, after: Int32Array, actor: number, choice: number): boolean => {
    const found = goal.hit(before, after, actor, choice);
    looks += found ? 1 : 0;
    return found;
  };
  const { schedule, shortest } = shorten(system, { schedule: long, hit }, { ...unlimited, cancelled: () => looks > 0 });
  assert.deepEqual([schedule.length, shortest], [goal.schedule.length, true]);
});

test("from the schedules of a reduced search to the shortest there are", () => {
  for (const instance of ["S", "M", "L"] as const) {
    for (const variant of ["buggy", "noseq"] as const) {
      const system = new PunchFault(INSTANCES[instance], variant);
      let schedule: Schedule | undefined;
      const edge = (state: Int32Array, at: { schedule(): Schedule }): void => {
        if (schedule === undefined && system.stale(state)) schedule = at.schedule();
      };
      explore(system, { edge }, { ...unlimited, cancelled: () => schedule !== undefined }, { reduce: true });
      assert.ok(schedule);
      const answer = shorten(system, { schedule, hit: (_, after) => system.stale(after) }, unlimited);
      assert.deepEqual([answer.schedule.length, answer.shortest], [staleStory(instance, variant).goal.schedule.length, true]);
    }
  }
});
