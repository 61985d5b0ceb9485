// The search against counts that other model checkers found, against machines whose answer is known, and against a plain explorer on random machines.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { replay } from "../../src/explore/schedule.ts";
import { explore } from "../../src/explore/search.ts";
import type { Budget, Location, Observer, System } from "../../src/explore/system.ts";
import { INSTANCES, PunchFault, type Variant } from "./punch-fault.ts";
import { explorePlainly, machine, type RandomMachine } from "./random.ts";
import { grid, lostUpdate, philosophers } from "./toys.ts";

const unlimited: Budget = { maxStates: 1e7, maxMilliseconds: 1e6, maxBytes: 1 << 29, now: () => performance.now() };

function endOf(system: System, schedule: readonly { actor: number; choice: number }[]): Int32Array {
  const last = new Int32Array(system.words);
  const outcome = replay(system, schedule, (state) => last.set(state));
  assert.deepEqual(outcome, { fits: true, steps: schedule.length });
  return last;
}

function shortestViolation(instance: keyof typeof INSTANCES, variant: Variant, reduce: boolean): number | undefined {
  const system = new PunchFault(INSTANCES[instance], variant);
  let steps: number | undefined;
  const cancelled = (): boolean => steps !== undefined;
  explore(
    system,
    {
      edge(state, edge) {
        if (steps !== undefined || !system.stale(state)) return;
        const schedule = edge.schedule();
        assert.deepEqual(endOf(system, schedule), state);
        steps = schedule.length;
      },
    },
    { ...unlimited, cancelled },
    { reduce },
  );
  return steps;
}

/** The methods of a system as functions of their own. */
const bound = (system: PunchFault): System & { symmetry: PunchFault["symmetry"] } => ({
  words: system.words,
  actors: system.actors,
  initial: (state) => system.initial(state),
  step: (state, actor, choice) => system.step(state, actor, choice),
  finished: (state) => system.finished(state),
  symmetry: system.symmetry,
});

test("the punch/fault protocol has exactly the states and transitions that SPIN counts", () => {
  const rows = [
    ["S", "fixed", 139, 199],
    ["S", "buggy", 117, 157],
    ["S", "noseq", 146, 205],
    ["M", "fixed", 3_348, 6_713],
    ["M", "buggy", 4_106, 7_353],
    ["M", "noseq", 4_031, 7_677],
    ["MA", "fixed", 43_119, 117_610],
    ["MA", "buggy", 62_293, 155_009],
    ["MA", "noseq", 55_463, 144_433],
  ] as const;
  for (const [name, variant, states, transitions] of rows) {
    const system = new PunchFault(INSTANCES[name], variant);
    let edges = 0;
    let expanded = 0;
    let stale = 0;
    let ends = 0;
    const observer: Observer = {
      state: () => void (expanded += 1),
      edge(state) {
        edges += 1;
        stale += system.stale(state) ? 1 : 0;
      },
      end(_, finished) {
        assert.ok(finished);
        ends += 1;
      },
    };
    const { milliseconds, bytes, depth, ...counts } = explore(system, observer, unlimited);
    assert.deepEqual(counts, { states, transitions, complete: true, frontier: 0, wentBack: true }, `${name} ${variant}`);
    assert.ok(bytes >= states * 20 && depth > 10);
    assert.deepEqual([expanded, edges], [states, transitions]);
    assert.equal(stale === 0, variant === "fixed");
    assert.ok(ends > 0 && milliseconds >= 0);
  }
});

test("the shortest way to a stale mapping is 6 steps with the punch first, and 13, 15, 17 without the sequence counter", () => {
  for (const name of ["S", "M", "L"] as const) assert.equal(shortestViolation(name, "buggy", false), 6);
  assert.deepEqual(
    (["S", "M", "L"] as const).map((name) => shortestViolation(name, "noseq", false)),
    [13, 15, 17],
  );
  for (const name of ["S", "M"] as const) {
    assert.equal(shortestViolation(name, "fixed", true), undefined);
    assert.ok((shortestViolation(name, "buggy", true) ?? 0) >= 6);
    assert.ok((shortestViolation(name, "noseq", true) ?? 0) >= 13);
  }
});

test("a reduced search of the protocol stores what is left when lock-held steps, unlocks and equal vCPUs are taken out", () => {
  // A hand-written rule of the same kind left 77, 812 and 46,281 states.
  const rows = [
    ["S", 77],
    ["M", 812],
    ["L", 46_281],
  ] as const;
  for (const [name, most] of rows) {
    const reduced = explore(new PunchFault(INSTANCES[name], "fixed"), {}, unlimited, { reduce: true });
    assert.ok(reduced.complete && reduced.states <= most, `${name}: ${reduced.states}`);
  }
});

test("symmetry alone leaves as many states of the protocol as Rumur's scalarsets do", () => {
  for (const [name, states] of [
    ["S", 139],
    ["M", 1_745],
    ["L", 128_745],
  ] as const) {
    const { words, actors, initial, step, finished, symmetry } = bound(new PunchFault(INSTANCES[name], "fixed"));
    assert.equal(explore({ words, actors, initial, step, finished, symmetry }, {}, unlimited, { reduce: true }).states, states);
  }
});

test("philosophers deadlock after one step each, and not when one of them takes the other fork first", () => {
  for (const count of [2, 3, 5]) {
    const ends: { finished: boolean; steps: number }[] = [];
    const observer: Observer = { end: (_, finished, schedule) => void ends.push({ finished, steps: schedule().length }) };
    assert.ok(explore(philosophers(count, 2, false), observer, unlimited).complete);
    assert.deepEqual(ends.filter((end) => !end.finished)[0], { finished: false, steps: count });
    assert.deepEqual(
      ends.filter((end) => end.finished),
      [{ finished: true, steps: count * 2 * 3 }],
    );
    ends.length = 0;
    explore(philosophers(count, 2, true), observer, unlimited);
    assert.deepEqual(ends, [{ finished: true, steps: count * 2 * 3 }]);
  }
});

test("a counter without a lock ends anywhere between 2 and all of the increments", () => {
  const finals = new Set<number>();
  const system = lostUpdate(3, 3);
  const { complete } = explore(system, { end: (state, finished) => void (finished && finals.add(state[0])) }, unlimited);
  assert.ok(complete);
  assert.deepEqual(
    [...finals].sort((a, b) => a - b),
    [2, 3, 4, 5, 6, 7, 8, 9],
  );
});

test("a space that outgrows chunks and tables is still counted exactly", () => {
  const { states, transitions, complete } = explore(grid(3, 62), {}, unlimited);
  assert.deepEqual([states, transitions, complete], [63 ** 3, 3 * 62 * 63 ** 2, true]);
});

interface Seen {
  readonly ends: Map<string, { depth: number; finished: boolean }>;
  readonly violations: Map<string, number>;
  readonly answers: Map<string, number>;
}

/** Explores and checks on the way that each edge leaves the state last announced, and that every schedule leads where it says. */
function observe(system: RandomMachine, reduce: boolean): Seen & { states: number; transitions: number; wentBack: boolean } {
  const seen: Seen = { ends: new Map(), violations: new Map(), answers: new Map() };
  const before = new Int32Array(system.words);
  const observer: Observer = {
    state: (state) => before.set(state),
    edge(state, edge) {
      const next = before.slice();
      assert.ok(system.step(next, edge.actor, edge.choice) > edge.choice);
      assert.deepEqual(next, state);
      const keys = [
        [seen.violations, system.violation(before, state, edge.actor)],
        [seen.answers, system.answer(before, edge.actor)],
      ] as const;
      for (const [map, key] of keys) {
        if (key === undefined || map.has(key)) continue;
        const schedule = edge.schedule();
        assert.deepEqual(schedule.at(-1), { actor: edge.actor, choice: edge.choice });
        assert.deepEqual(endOf(system, schedule), state);
        map.set(key, schedule.length);
      }
    },
    end(state, finished, schedule) {
      assert.deepEqual(endOf(system, schedule()), state);
      assert.ok(!seen.ends.has(state.join()), "an end is reported once");
      seen.ends.set(state.join(), { depth: schedule().length, finished });
    },
  };
  const { states, transitions, complete, wentBack } = explore(system, observer, unlimited, { reduce });
  assert.ok(complete);
  return { ...seen, states, transitions, wentBack };
}

test("on random machines: the states, transitions, ends, violations, answers and shortest lengths of a plain explorer", () => {
  fc.assert(
    fc.property(machine, (system) => assert.deepEqual(observe(system, false), explorePlainly(system))),
    { numRuns: 300 },
  );
});

const sorted = (keys: Iterable<string>): string[] => [...new Set(keys)].sort();

test("on random machines: a reduced search has the same ends, violations and answers, and every schedule of it replays", () => {
  let smaller = 0;
  const runs = 2000;
  fc.assert(
    fc.property(machine, fc.boolean(), fc.boolean(), (system, independent, symmetric) => {
      const all = explorePlainly(system);
      const part = Object.create(system, {
        independence: { value: independent ? system.independence : undefined },
        symmetry: { value: symmetric ? system.symmetry : undefined },
      }) as RandomMachine;
      const reduced = observe(part, true);
      const text = (end: string): string => system.text(Int32Array.from(end.split(","), Number));
      assert.deepEqual(sorted([...reduced.ends.keys()].map(text)), sorted([...all.ends.keys()].map(text)));
      if (!symmetric) assert.deepEqual(sorted(reduced.ends.keys()), sorted(all.ends.keys()));
      assert.deepEqual(sorted(reduced.violations.keys()), sorted(all.violations.keys()));
      assert.deepEqual(sorted(reduced.answers.keys()), sorted(all.answers.keys()));
      assert.equal(reduced.wentBack, all.wentBack);
      assert.ok(reduced.states <= all.states);
      smaller += reduced.states < all.states ? 1 : 0;
    }),
    { numRuns: runs },
  );
  assert.ok(smaller > runs / 4, `only ${smaller} of ${runs} machines were reduced`);
});

test("on random instances of the protocol: a reduced search judges as a plain one does, and its schedules lead where they say", () => {
  const size = (most: number): fc.Arbitrary<number> => fc.integer({ min: 1, max: most });
  const instance = fc.record({ pages: size(2), vcpus: size(3), hosts: size(2), faults: size(2), allocators: fc.nat(1), rounds: size(2) });
  fc.assert(
    fc.property(instance, fc.constantFrom<Variant>("fixed", "buggy", "noseq"), (sizes, variant) => {
      const system = new PunchFault(sizes, variant);
      const facts = (
        reduce: boolean,
      ): { facts: string[]; schedules: Map<string, { schedule: readonly { actor: number; choice: number }[]; state: Int32Array }> } => {
        const schedules: ReturnType<typeof facts>["schedules"] = new Map();
        const before = new Int32Array(system.words);
        const note = (key: string, state: Int32Array, schedule: () => { actor: number; choice: number }[]): void => {
          if (!schedules.has(key)) schedules.set(key, { schedule: schedule(), state: state.slice() });
        };
        const outcome = explore(
          system,
          {
            state: (state) => before.set(state),
            edge(state, edge) {
              const actor = edge.actor < sizes.vcpus ? "vcpu" : `host ${edge.actor}`;
              if (!system.stale(before) && system.stale(state)) note(`${actor} at ${system.independence.at(before, edge.actor)}`, state, () => edge.schedule());
            },
            end: (state, finished, schedule) => note(`${finished} ${state[0]} ${state[1]}`, state, schedule),
          },
          { ...unlimited, maxStates: 60_000 },
          { reduce },
        );
        return { facts: outcome.complete ? sorted(schedules.keys()) : [], schedules };
      };
      const all = facts(false);
      const reduced = facts(true);
      if (all.facts.length > 0) assert.deepEqual(reduced.facts, all.facts);
      for (const { schedule, state } of reduced.schedules.values()) assert.deepEqual(endOf(system, schedule), state);
    }),
    { numRuns: 40 },
  );
});

test("chains that run into each other are followed once: a reduced search takes few more steps than there are, and as many each time", () => {
  for (const variant of ["fixed", "buggy", "noseq"] as const) {
    const system = new PunchFault(INSTANCES.MA, variant);
    const all = explore(system, {}, unlimited);
    const counts = [0, 1].map(() => explore(Object.create(system, { symmetry: { value: undefined } }), {}, unlimited, { reduce: true }));
    assert.ok(counts[0].transitions < all.transitions && counts[0].states < all.states / 2, variant);
    assert.deepEqual([counts[1].states, counts[1].transitions], [counts[0].states, counts[0].transitions]);
  }
});

/** `length` locations of an actor that runs round them, each touching `atoms`. */
const ring = (base: number, length: number, atoms: number): Location[] =>
  Array.from({ length }, (_, at) => ({
    footprint: { reads: Int32Array.of(atoms), writes: Int32Array.of(atoms), visible: false },
    acquires: 0,
    next: [base + ((at + 1) % length)],
  }));

test("an actor that steps alone for ever does not hide what another one does", () => {
  for (const period of [1, 2, 7, 63, 64, 65, 200]) {
    const locations = [...ring(0, period, 1), { footprint: { reads: Int32Array.of(0), writes: Int32Array.of(2), visible: true }, acquires: 0, next: [] }];
    const spinner: System = {
      words: 2,
      actors: 2,
      initial: (state) => void state.fill(0),
      step(state, actor) {
        if (actor === 0) state[0] = (state[0] + 1) % period;
        else if (state[1] === 0) state[1] = 1;
        else return 0;
        return 1;
      },
      finished: () => false,
      independence: {
        locations,
        at: (state, actor) => (actor === 0 ? state[0] : state[1] === 0 ? period : -1),
        held: () => 0,
        footprint: (state, actor) => (actor === 0 ? locations[state[0]].footprint : locations[period].footprint),
      },
    };
    let seen = false;
    const outcome = explore(spinner, { edge: (state) => void (seen ||= state[1] === 1) }, unlimited, { reduce: true });
    assert.ok(seen && outcome.complete, `period ${period}`);
    assert.ok(outcome.states <= 2 * period, `period ${period}: ${outcome.states} states`);
  }
});

test("a circle of alone-steps through symmetric states hides nobody either", () => {
  // a and b swap a token for ever; by symmetry the two states are one, so a chain leads back to the state it came from.
  const locations: Location[] = [
    { footprint: { reads: Int32Array.of(0), writes: Int32Array.of(0), visible: false }, acquires: 0, next: [0] },
    { footprint: { reads: Int32Array.of(0), writes: Int32Array.of(2), visible: true }, acquires: 0, next: [] },
  ];
  const swap: System = {
    words: 3,
    actors: 3,
    initial: (state) => void state.set([0, 0, 0]),
    step(state, actor) {
      if (actor < 2) state[actor] = 1 - state[actor];
      else if (state[2] === 0) state[2] = 1;
      else return 0;
      return 1;
    },
    finished: () => false,
    symmetry: {
      canonicalise(state, was) {
        was.set([0, 1, 2]);
        if (state[0] <= state[1]) return false;
        state.set([state[1], state[0]]);
        was.set([1, 0, 2]);
        return true;
      },
    },
    independence: {
      locations,
      at: (state, actor) => (actor < 2 ? 0 : state[2] === 0 ? 1 : -1),
      held: () => 0,
      footprint: (_, actor) => locations[actor < 2 ? 0 : 1].footprint,
    },
  };
  let seen = false;
  const outcome = explore(swap, { edge: (state) => void (seen ||= state[2] === 1) }, unlimited, { reduce: true });
  assert.ok(seen && outcome.complete);
});
