// From what an exploration met to the violations of a report: each broken invariant with the shortest story that shows it, the ends at which nobody can go on,
// and the circles out of which nobody comes.

import { findLivelock } from "../explore/livelock.ts";
import { type Goal, shortenAll } from "../explore/shorten.ts";
import type { Budget, Exploration } from "../explore/system.ts";
import { type Invariant, NO_DEADLOCK, NO_LIVELOCK } from "../invariants/index.ts";
import type { MachineSystem } from "../model/system.ts";
import type { CallId, Program } from "../scenario/program.ts";
import type { Breach } from "./breach.ts";
import type { Collector } from "./collect.ts";
import type { Report, Violation } from "./report.ts";
import { storyOf } from "./story.ts";

export interface Run {
  readonly machine: MachineSystem;
  readonly collector: Collector;
  readonly exploration: Exploration;
  /** Partial order and symmetry were used. */
  readonly reduced: boolean;
}

/** The second search, for shorter stories: so many states and milliseconds at most, whatever the run itself may take. */
const STORY_STATES = 200_000;
const STORY_MILLISECONDS = 1_000;
/** The unreduced graph in which no-livelock is judged; larger where the scenario names it. */
const LIVELOCK_STATES = 100_000;
const LIVELOCK_MILLISECONDS = 1_000;

const isExpected = (program: Program, invariant: string): boolean => program.expected.some((expectation) => expectation.invariant === invariant);
const within = (budget: Budget, maxStates: number, maxMilliseconds: number): Budget => ({
  ...budget,
  progress: undefined,
  maxStates: Math.min(budget.maxStates, maxStates),
  maxMilliseconds: Math.min(budget.maxMilliseconds, maxMilliseconds),
});

/** Violations in the order in which they were met, each with the story that is shortest and, among those, switches least between actors. */
export function violationsOf(program: Program, { machine, collector }: Run, budget: Budget): Violation[] {
  const breaches = [...collector.breaches.values()];
  if (breaches.length === 0) return [];
  const goals = breaches.map((breach) => goalOf(machine, breach));
  const answers = shortenAll(machine, goals, within(budget, STORY_STATES, STORY_MILLISECONDS));
  return breaches.map((breach, index): Violation => {
    const { story, state } = storyOf(machine, answers[index].schedule, answers[index].shortest);
    const { subject, message } = breach.invariant.describe(machine, subjectIn(machine, breach, story.schedule) ?? breach.subject, state);
    const { name } = breach.invariant;
    return { invariant: name, subject, call: breach.call, step: breach.step, expected: isExpected(program, name), message, story };
  });
}

function goalOf(machine: MachineSystem, breach: Breach): Goal {
  return {
    schedule: breach.schedule,
    hit: (before, after) =>
      machine.lastCall === breach.call && machine.lastStep === breach.step && brokenBy(machine, breach.invariant, before, after) !== undefined,
  };
}

/** The subject for which the step that has just run from `before` to `after` breaks the invariant. */
function brokenBy(machine: MachineSystem, invariant: Invariant, before: Int32Array, after: Int32Array): number | undefined {
  if (invariant.event) {
    for (const event of machine.events) {
      const subject = invariant.event(machine, event, after);
      if (subject !== undefined) return subject;
    }
    return undefined;
  }
  const old = new Set<number>();
  let broken: number | undefined;
  invariant.state?.(machine, before, (subject) => old.add(subject));
  invariant.state?.(machine, after, (subject) => {
    if (broken === undefined && !old.has(subject)) broken = subject;
  });
  return broken;
}

/** What the last step of a schedule breaks: another schedule than the one first met may break the rule for another subject. */
function subjectIn(machine: MachineSystem, breach: Breach, schedule: Violation["story"]["schedule"]): number | undefined {
  const before = new Int32Array(machine.words);
  const after = new Int32Array(machine.words);
  machine.initial(after);
  for (const { actor, choice } of schedule) {
    before.set(after);
    if (machine.step(after, actor, choice) === 0) return undefined;
  }
  return brokenBy(machine, breach.invariant, before, after);
}

/** Ends where a call can never return, unless each of them is expected to block. */
export function deadlocksOf(program: Program, { machine, collector }: Run): Violation[] {
  return [...collector.deadlocks.values()].flatMap(({ calls, schedule }): Violation[] => {
    const unexpected = calls.filter((call) => !program.calls[call].expect?.any.some((pattern) => pattern.kind === "blocks"));
    if (unexpected.length === 0) return [];
    const { story, state } = storyOf(machine, schedule, false);
    const names = actorNames(program, unexpected);
    const at = (call: CallId): string => machine.position(state, program.calls[call].actor)?.step.name ?? "its first step";
    const step = at(unexpected[0]);
    const waits = unexpected.map((call) => `${program.actors[program.calls[call].actor].name} waits for ever at ${at(call)}`);
    const message = `nobody can go on: ${waits.join(", ")}`;
    return [{ invariant: NO_DEADLOCK, subject: names, call: unexpected[0], step, expected: isExpected(program, NO_DEADLOCK), message, story }];
  });
}

const actorNames = (program: Program, calls: readonly CallId[]): string =>
  [...new Set(calls.map((call) => program.actors[program.calls[call].actor].name))].join(" and ");

/**
 * no-livelock is about the whole graph, so it is judged without reductions. Where the exploration met no step that goes back there is no circle, and nothing
 * to judge. `named`: the scenario asks for it, so it may take as long as the run itself.
 */
export function livelocksOf(
  program: Program,
  { machine, exploration }: Run,
  budget: Budget,
  named: boolean,
): { violations: Violation[]; notJudged: Report["notJudged"] } {
  if (!exploration.complete) return { violations: [], notJudged: [{ invariant: NO_LIVELOCK, reason: "not all interleavings were explored" }] };
  if (!exploration.wentBack) return { violations: [], notJudged: [] };
  const bounded = named ? { ...budget, progress: undefined } : within(budget, LIVELOCK_STATES, LIVELOCK_MILLISECONDS);
  const { complete, states, found } = findLivelock(machine, bounded);
  if (!found)
    return { violations: [], notJudged: complete ? [] : [{ invariant: NO_LIVELOCK, reason: `its graph has more than ${states} states without reductions` }] };
  const { story, state } = storyOf(machine, [...found.schedule, ...found.cycle], true);
  const calls: CallId[] = [];
  for (let actor = 0; actor < machine.actors; actor++) {
    const call = machine.instruction(state, actor)?.call;
    if (call !== undefined) calls.push(call);
  }
  const names = actorNames(program, calls);
  const last = story.steps.at(-1);
  const violation: Violation = {
    invariant: NO_LIVELOCK,
    subject: names,
    call: last?.call ?? calls[0] ?? -1,
    step: last?.step ?? "",
    expected: isExpected(program, NO_LIVELOCK),
    message: `${names} can step for ever and never come to an end: what they wait for no longer happens`,
    story: { ...story, round: found.cycle.length },
  };
  return { violations: [violation], notJudged: [] };
}
