// Holds a program explored with reductions, each of them alone and both together, against the plain search.

import assert from "node:assert/strict";
import { Collector } from "../../src/check/collect.ts";
import { check, withMachine } from "../../src/check/index.ts";
import { explore } from "../../src/explore/search.ts";
import type { Exploration, System } from "../../src/explore/system.ts";
import { INVARIANTS } from "../../src/invariants/index.ts";
import { resultKey } from "../../src/model/intern.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import type { Program } from "../../src/scenario/program.ts";
import { profileOf, still } from "./support.ts";

/** A program whose plain graph is larger is not judged. */
const MAX_STATES = 500;

interface Answers {
  readonly exploration: Exploration;
  readonly found: unknown;
}

/** Everything that a report is made of. */
function answersOf(machine: MachineSystem, system: System, watch: readonly string[] | undefined, reduce: boolean, maxStates: number): Answers {
  const invariants = INVARIANTS.filter(({ name }) => watch === undefined || watch.includes(name));
  machine.watch(invariants.flatMap((invariant) => (invariant.state ? invariant.reads : [])));
  const collector = new Collector(machine, invariants);
  const exploration = explore(system, collector, { maxStates, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still }, { reduce });
  collector.close();
  const sites = (answers: ReadonlyMap<{ readonly kind: string }, unknown>): string[] => [...answers.keys()].map((question) => question.kind).sort();
  return {
    exploration,
    found: {
      results: collector.results.map((results) => [...results.keys()].map((number) => resultKey(machine.results.result(number))).sort()),
      breaches: [...collector.breaches.keys()].sort(),
      asserts: [...collector.failedAsserts.keys()].sort(),
      holds: sites(collector.holds),
      fails: sites(collector.fails),
      unanswered: sites(collector.unanswered),
      deadlocks: [...collector.deadlocks.keys()].sort(),
      ends: collector.ends > 0,
    },
  };
}

/** The machine as a system with one of its reductions only. */
function only(machine: MachineSystem, which: "independence" | "symmetry"): System {
  const { words, actors } = machine;
  return {
    words,
    actors,
    initial: (state) => machine.initial(state),
    step: (state, actor, choice) => machine.step(state, actor, choice),
    finished: (state) => machine.finished(state),
    ...(which === "independence" ? { independence: machine.independence } : {}),
    ...(which === "symmetry" && machine.symmetry ? { symmetry: machine.symmetry } : {}),
  };
}

export interface Sameness {
  /** Said where an answer differs. */
  readonly about: string;
  readonly maxStates?: number;
  /** Holds the subject and the step of each violation against the plain search's too, and the remarks. */
  readonly subjects?: boolean;
}

/** Fails where a report made with reductions has other answers than one made without; false where a limit was hit, and nothing compared. */
export function sameWithReductions(one: Program, { about, maxStates, subjects = false }: Sameness): boolean {
  const [plain, reduced] = [false, true].map((reduce) => {
    const { calls, verdict, remarks, violations, exploration } = check(one, { now: still, reduce, ...(maxStates === undefined ? {} : { maxStates }) });
    const broken = violations.map(({ invariant, subject, step }) => (subjects ? `${invariant} ${subject} ${step}` : invariant));
    return {
      complete: exploration.complete,
      found: {
        verdict,
        remarks: subjects ? remarks.map(({ message }) => message) : [],
        results: calls.map(({ results }) => results.map(({ result }) => resultKey(result)).sort()),
        violations: [...new Set(broken)].sort(),
      },
    };
  });
  if (!plain.complete || !reduced.complete) return false;
  assert.deepEqual(reduced.found, plain.found, about);
  return true;
}

export interface Counts {
  judged: number;
  fewerByOrder: number;
  equal: number;
  fewerBySymmetry: number;
}

/** Fails where a reduction changes an answer; a program that is too large is not counted. */
export function compare(one: Program, watch: readonly string[] | undefined, counts: Counts, maxStates = MAX_STATES): void {
  // What is watched decides which ghosts the state has, too.
  const watching = watch === undefined ? one : { ...one, watch: { only: watch } };
  withMachine(watching, profileOf(one), { cuts: [], extraFrames: 0 }, (machine) => {
    const plain = answersOf(machine, machine, watch, false, maxStates);
    if (!plain.exploration.complete) return;
    const both = answersOf(machine, machine, watch, true, maxStates);
    assert.deepEqual(both.found, plain.found, "both reductions");
    counts.judged += 1;
    assert.ok(both.exploration.states <= plain.exploration.states);
    if (!machine.symmetry) {
      if (both.exploration.transitions < plain.exploration.transitions) counts.fewerByOrder += 1;
      return;
    }
    counts.equal += 1;
    const order = answersOf(machine, only(machine, "independence"), watch, true, maxStates);
    const symmetry = answersOf(machine, only(machine, "symmetry"), watch, true, maxStates);
    assert.deepEqual(order.found, plain.found, "partial order alone");
    assert.deepEqual(symmetry.found, plain.found, "symmetry alone");
    if (order.exploration.transitions < plain.exploration.transitions) counts.fewerByOrder += 1;
    if (symmetry.exploration.transitions < plain.exploration.transitions) counts.fewerBySymmetry += 1;
  });
}

/** Counts of a run, as the test prints them, and that each reduction was really at work. */
export function assertAtWork(counts: Counts, programs: number): string {
  assert.ok(counts.judged > programs / 2, `${counts.judged} programs were small enough`);
  assert.ok(counts.fewerByOrder > counts.judged / 3, `partial order took transitions away from ${counts.fewerByOrder} of ${counts.judged}`);
  assert.ok(counts.fewerBySymmetry > counts.judged / 10, `symmetry took transitions away from ${counts.fewerBySymmetry} of ${counts.judged}`);
  return `${counts.judged} programs judged, fewer transitions by partial order in ${counts.fewerByOrder}, by symmetry in ${counts.fewerBySymmetry} of ${counts.equal} with equal actors`;
}
