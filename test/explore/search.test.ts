// The search against counts that other model checkers found, against machines whose answer is known, and against a plain explorer on random machines.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { replay } from "../../src/explore/schedule.ts";
import { explore } from "../../src/explore/search.ts";
import type { Budget, Observer, System } from "../../src/explore/system.ts";
import { explorePlainly, machine, type RandomMachine } from "./random.ts";
import { grid, INSTANCES, lostUpdate, PunchFault, philosophers, type Variant } from "./toys.ts";

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

test("the punch/fault protocol has exactly the states and transitions that SPIN counts", () => {
  const rows = [
    ["S", "fixed", 139, 199],
    ["S", "buggy", 117, 157],
    ["S", "noseq", 146, 205],
    ["M", "fixed", 3_348, 6_713],
    ["M", "buggy", 4_106, 7_353],
    ["M", "noseq", 4_031, 7_677],
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
    const { milliseconds, ...counts } = explore(system, observer, unlimited);
    assert.deepEqual(counts, { states, transitions, complete: true }, `${name} ${variant}`);
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

test("a reduced search of the protocol stores less than a half and takes fewer transitions", () => {
  for (const name of ["S", "M"] as const) {
    const system = new PunchFault(INSTANCES[name], "fixed");
    const all = explore(system, {}, unlimited);
    const reduced = explore(system, {}, unlimited, { reduce: true });
    assert.ok(reduced.complete && reduced.states < all.states / 2 && reduced.transitions < all.transitions);
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
function observe(system: RandomMachine, reduce: boolean): Seen & { states: number; transitions: number } {
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
  const { states, transitions, complete } = explore(system, observer, unlimited, { reduce });
  assert.ok(complete);
  return { ...seen, states, transitions };
}

test("on random machines: the states, transitions, ends, violations, answers and shortest lengths of a plain explorer", () => {
  fc.assert(
    fc.property(machine, (system) => assert.deepEqual(observe(system, false), explorePlainly(system))),
    { numRuns: 300 },
  );
});

test("on random machines: a reduced search has the same ends, violations and answers", () => {
  const sorted = (map: Map<string, unknown>): string[] => [...map.keys()].sort();
  let smaller = 0;
  const runs = 500;
  fc.assert(
    fc.property(machine, (system) => {
      const all = explorePlainly(system);
      const reduced = observe(system, true);
      assert.deepEqual(sorted(reduced.ends), sorted(all.ends));
      assert.deepEqual(sorted(reduced.violations), sorted(all.violations));
      assert.deepEqual(sorted(reduced.answers), sorted(all.answers));
      assert.ok(reduced.states <= all.states);
      smaller += reduced.states < all.states ? 1 : 0;
    }),
    { numRuns: runs },
  );
  assert.ok(smaller > runs / 4, `only ${smaller} of ${runs} machines were reduced`);
});

test("an actor that steps alone for ever does not hide what another one does", () => {
  for (const period of [1, 2, 7, 63, 64, 65, 200]) {
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
      alone: (_, actor) => actor === 0,
    };
    let seen = false;
    const outcome = explore(spinner, { edge: (state) => void (seen ||= state[1] === 1) }, unlimited, { reduce: true });
    assert.ok(seen && outcome.complete, `period ${period}`);
  }
});
