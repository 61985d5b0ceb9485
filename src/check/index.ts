// Program × kernel × budget → Report: compiles the machine, explores it, and judges what was found. The machine is compiled again with finer cells or more
// frames where a run asks for them, up to a limit that is an answer of its own.

import { ModelBug } from "../base/assert.ts";
import { explore } from "../explore/search.ts";
import { shorten } from "../explore/shorten.ts";
import type { Budget, Exploration } from "../explore/system.ts";
import { INVARIANTS, type Invariant, NO_DEADLOCK } from "../invariants/index.ts";
import { TooManyValues } from "../model/intern.ts";
import { Machine, type MachineOptions } from "../model/machine.ts";
import { NotModelled } from "../model/objects.ts";
import { resolveProfile } from "../model/profile/index.ts";
import type { Profile } from "../model/profile/types.ts";
import { NoAnswer } from "../model/queries.ts";
import { CutNeeded, MoreFramesNeeded } from "../model/refine.ts";
import type { CallId, Program, Site } from "../scenario/program.ts";
import { Collector } from "./collect.ts";
import { callReports, judgeAsserts, judgeExpected, judgeQuestions, judgeResults } from "./judge.ts";
import type { Refinement, Remark, Report, Schedule, Verdict, Violation } from "./report.ts";
import { storyOf } from "./story.ts";

export interface CheckOptions {
  readonly maxStates?: number;
  readonly maxMilliseconds?: number;
  readonly maxBytes?: number;
  readonly cancelled?: () => boolean;
  readonly now: () => number;
  /** Default: reductions come on when a run without them grows large. `true` and `false` are for tests and measurements. */
  readonly reduce?: boolean;
}

export const DEFAULT_LIMITS = { maxStates: 5_000_000, maxMilliseconds: 30_000, maxBytes: 1 << 30 } as const;

/** A run up to this size is explored plainly, so that its stories are shortest ones. */
const PLAIN_STATES = 20_000;
const MAX_COMPILES = 200;
const MORE_FRAMES = 4;
/** An actor is a byte of the explorer's records. */
const MAX_ACTORS = 255;
const COARSEST: Refinement = { cuts: [], extraFrames: 0 };

export function check(program: Program, options: CheckOptions): Report {
  const begin = options.now();
  try {
    const { profile, problems } = resolveProfile(program.profile);
    const remarks = problems.map(({ site, message }): Remark => ({ code: "MEMFD2090", severity: "error", site, message }));
    if (!profile) remarks.push({ code: "MEMFD5090", severity: "warning", site: program.site, message: `${program.profile.base} is not modelled yet` });
    if (!profile || remarks.length > 0) return unjudged(program, remarks, "the kernel is not one that the model has");
    if (program.actors.length > MAX_ACTORS) return tooLarge(program, `${program.actors.length} actors, at most ${MAX_ACTORS} are explored`);
    return checkUnder(program, profile, options, begin);
  } catch (error) {
    return answerTo(program, error);
  }
}

/** What was thrown on purpose becomes an answer on its line; anything else is a bug of the model and said to be one. */
function answerTo(program: Program, error: unknown): Report {
  if (error instanceof NotModelled) {
    return unjudged(program, [{ code: "MEMFD5091", severity: "warning", site: program.calls[error.call].site, message: error.message }], error.message);
  }
  if (error instanceof NoAnswer)
    return unjudged(program, [{ code: "MEMFD3023", severity: "error", site: error.site ?? program.site, message: error.message }], error.message);
  if (error instanceof TooManyValues) return tooLarge(program, error.message);
  if (error instanceof CutNeeded || error instanceof MoreFramesNeeded) {
    return tooLarge(program, `memory would have to be cut more than ${MAX_COMPILES} times (${error.message || error.name})`);
  }
  const message = error instanceof Error ? error.message : String(error);
  const kind = error instanceof ModelBug ? "" : `${error instanceof Error ? error.name : "error"}: `;
  return unjudged(
    program,
    [{ code: "MEMFD9001", severity: "error", site: program.site, message: `a bug of the model, not of this scenario: ${kind}${message}` }],
    "a bug of the model",
  );
}

function tooLarge(program: Program, limit: string): Report {
  return unjudged(program, [{ code: "MEMFD6001", severity: "warning", site: program.site, message: `not all interleavings were explored: ${limit}` }], limit);
}

function unjudged(program: Program, remarks: readonly Remark[], limit: string): Report {
  return {
    scenario: program.name,
    kernel: program.profile.name,
    verdict: "incomplete",
    calls: program.calls.map(() => ({ results: [] })),
    violations: [],
    remarks,
    witnesses: [],
    refinement: COARSEST,
    exploration: { states: 0, transitions: 0, complete: false, milliseconds: 0, limit },
  };
}

/** The invariants that a scenario watches; what it expects to be broken is watched too. */
export function watched(program: Program): { invariants: Invariant[]; deadlock: boolean } {
  const { only, except } = program.watch;
  const expected = program.expected.map((expectation) => expectation.invariant);
  const isWatched = (name: string): boolean => expected.includes(name) || ((!only || only.includes(name)) && !except?.includes(name));
  return { invariants: INVARIANTS.filter((invariant) => isWatched(invariant.name)), deadlock: isWatched(NO_DEADLOCK) };
}

function machineOptions(invariants: readonly Invariant[]): MachineOptions {
  return Object.assign({}, ...invariants.map((invariant) => invariant.ghosts ?? {}));
}

/** Compiles the machine and uses it; compiled again with finer cells or more frames when `use` runs into the need. */
export function withMachine<T>(program: Program, profile: Profile, refinement: Refinement, use: (machine: Machine) => T): T {
  let options: MachineOptions = { ...machineOptions(watched(program).invariants), ...refinement };
  for (let compiles = 0; ; compiles++) {
    try {
      return use(new Machine(program, profile, options));
    } catch (error) {
      if (compiles >= MAX_COMPILES) throw error;
      options = refined(options, error);
    }
  }
}

/** The next compile, where an operation would tell pages of a cell apart or ran out of frames. */
function refined(options: MachineOptions, error: unknown): MachineOptions {
  if (error instanceof CutNeeded) {
    const cuts = options.cuts ?? [];
    if (cuts.some((cut) => cut.space === error.space && cut.at === error.at)) throw new ModelBug(`${error.message} does not help`);
    return { ...options, cuts: [...cuts, { space: error.space, at: error.at }] };
  }
  if (error instanceof MoreFramesNeeded) return { ...options, extraFrames: (options.extraFrames ?? 0) + MORE_FRAMES };
  throw error;
}

interface Run {
  readonly machine: Machine;
  readonly collector: Collector;
  readonly exploration: Exploration;
}

function checkUnder(program: Program, profile: Profile, options: CheckOptions, begin: number): Report {
  const { invariants, deadlock } = watched(program);
  const run = withMachine(program, profile, COARSEST, (machine) => exploreMachine(machine, invariants, options, begin));
  const { machine, collector, exploration } = run;
  const complete = exploration.complete && machine.limit === undefined;
  const calls = callReports(machine, collector);
  const budget = budgetOf(options, begin);
  const violations = violationsOf(program, run, budget);
  const stuck = deadlock ? deadlocksOf(program, run) : [];
  const all = [...violations, ...stuck];
  const remarks = [
    ...judgeResults(program, calls, complete),
    ...judgeExpected(program, all, complete),
    ...judgeQuestions(program, collector, complete),
    ...judgeAsserts(collector),
    ...noEnd(program, collector, complete),
  ];
  const limit = limitText(exploration, machine);
  if (limit !== undefined)
    remarks.push({ code: "MEMFD6001", severity: "warning", site: program.site, message: `not all interleavings were explored: ${limit}` });
  const failed = remarks.some((remark) => remark.severity === "error") || all.some((violation) => !violation.expected);
  const verdict: Verdict = failed ? "fail" : complete ? "pass" : "incomplete";
  return {
    scenario: program.name,
    kernel: profile.name,
    verdict,
    calls,
    violations: all,
    remarks,
    witnesses: witnessesOf(collector),
    refinement: { cuts: machine.options.cuts ?? [], extraFrames: machine.options.extraFrames ?? 0 },
    exploration: {
      states: exploration.states,
      transitions: exploration.transitions,
      complete,
      milliseconds: Math.round(options.now() - begin),
      ...(limit === undefined ? {} : { limit }),
    },
  };
}

function budgetOf(options: CheckOptions, begin: number): Budget {
  const maxMilliseconds = options.maxMilliseconds ?? DEFAULT_LIMITS.maxMilliseconds;
  return {
    maxStates: options.maxStates ?? DEFAULT_LIMITS.maxStates,
    maxBytes: options.maxBytes ?? DEFAULT_LIMITS.maxBytes,
    cancelled: options.cancelled,
    now: options.now,
    maxMilliseconds: Math.max(1, maxMilliseconds - (options.now() - begin)),
  };
}

function exploreMachine(machine: Machine, invariants: readonly Invariant[], options: CheckOptions, begin: number): Run {
  const regions = new Set<string>(invariants.flatMap((invariant) => (invariant.state ? invariant.reads : [])));
  machine.watch(regions);
  const attempt = (budget: Budget, reduce: boolean): Run => {
    const collector = new Collector(machine, invariants);
    return { machine, collector, exploration: explore(machine, collector, budget, { reduce }) };
  };
  const budget = budgetOf(options, begin);
  if (options.reduce !== undefined || budget.maxStates <= PLAIN_STATES) return attempt(budget, options.reduce ?? false);
  const plain = attempt({ ...budget, maxStates: PLAIN_STATES }, false);
  if (plain.exploration.limit !== "states") return plain;
  return attempt(budgetOf(options, begin), true);
}

function limitText(exploration: Exploration, machine: Machine): string | undefined {
  if (exploration.complete) return machine.limit;
  const texts = { states: `the limit of ${exploration.states} states`, time: "the time limit", memory: "the memory limit", cancelled: "stopped" } as const;
  return exploration.limit === undefined ? "unknown limit" : texts[exploration.limit];
}

/** Violations in the order of the text, each with the story that is shortest and, among those, switches least between actors. */
function violationsOf(program: Program, run: Run, budget: Budget): Violation[] {
  const { machine, collector } = run;
  return [...collector.breaches.values()].map((breach): Violation => {
    const schedule = shorter(machine, breach.schedule, breach.invariant, breach.call, breach.step, budget);
    const { story, state } = storyOf(machine, schedule);
    const { subject, message } = breach.invariant.describe(machine, breach.subject, state);
    const expected = program.expected.some((expectation) => expectation.invariant === breach.invariant.name);
    return { invariant: breach.invariant.name, subject, call: breach.call, step: breach.step, expected, message, story };
  });
}

function shorter(machine: Machine, schedule: Schedule, invariant: Invariant, call: CallId, step: string, budget: Budget): Schedule {
  const hit = (before: Int32Array, after: Int32Array, actor: number, choice: number): boolean => {
    const again = Int32Array.from(before);
    machine.step(again, actor, choice);
    if (machine.lastCall !== call || machine.lastStep !== step) return false;
    if (invariant.event) return machine.events.some((event) => invariant.event?.(machine, event, after) !== undefined);
    const old = new Set<number>();
    let broken = false;
    invariant.state?.(machine, before, (subject) => old.add(subject));
    invariant.state?.(machine, after, (subject) => {
      if (!old.has(subject)) broken = true;
    });
    return broken;
  };
  return shorten(
    machine,
    { schedule, hit },
    { ...budget, maxStates: Math.min(budget.maxStates, PLAIN_STATES), maxMilliseconds: Math.min(budget.maxMilliseconds, 200) },
  );
}

/** Ends where a call can never return, unless each of them is expected to block. */
function deadlocksOf(program: Program, run: Run): Violation[] {
  const { machine, collector } = run;
  return [...collector.deadlocks.values()].flatMap(({ calls, schedule }): Violation[] => {
    const unexpected = calls.filter((call) => !program.calls[call].expect?.any.some((pattern) => pattern.kind === "blocks"));
    if (unexpected.length === 0) return [];
    const { story } = storyOf(machine, schedule);
    const names = unexpected.map((call) => program.actors[program.calls[call].actor].name).join(" and ");
    const last = story.steps.at(-1)?.step ?? "";
    const expected = program.expected.some((expectation) => expectation.invariant === NO_DEADLOCK);
    return [{ invariant: NO_DEADLOCK, subject: names, call: unexpected[0], step: last, expected, message: `nobody can go on: ${names} wait for ever`, story }];
  });
}

/** A scenario none of whose schedules comes to an end answers no exists, never or forall. */
function noEnd(program: Program, collector: Collector, complete: boolean): Remark[] {
  if (collector.ends > 0 || !complete || program.questions.length === 0) return [];
  return program.questions.map(
    (question): Remark => ({
      code: "MEMFD3025",
      severity: "error",
      site: question.site,
      message: "no schedule comes to an end, so there is no final state to ask",
    }),
  );
}

function witnessesOf(collector: Collector): { site: Site; schedule: Schedule }[] {
  const witnesses = [...collector.failedAsserts].map(([site, schedule]) => ({ site, schedule }));
  for (const [question, schedule] of collector.holds) if (question.kind !== "forall") witnesses.push({ site: question.site, schedule });
  for (const [question, schedule] of collector.fails) if (question.kind === "forall") witnesses.push({ site: question.site, schedule });
  return witnesses;
}
