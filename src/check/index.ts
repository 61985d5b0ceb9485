// Program × kernel × budget → Report: compiles the machine, explores it, and judges what was found. The machine is compiled again with finer cells or more
// frames where a run asks for them, up to a limit that is an answer of its own.

import { ModelBug } from "../base/assert.ts";
import { explore } from "../explore/search.ts";
import type { Budget, Exploration, Progress } from "../explore/system.ts";
import { INVARIANTS, type Invariant, NO_DEADLOCK, NO_LIVELOCK } from "../invariants/index.ts";
import { TooManyValues } from "../model/intern.ts";
import { NotModelled } from "../model/objects.ts";
import { resolveProfile } from "../model/profile/index.ts";
import type { Profile } from "../model/profile/types.ts";
import { NoAnswer } from "../model/queries.ts";
import { CutNeeded, MoreFramesNeeded } from "../model/refine.ts";
import { MachineSystem } from "../model/system.ts";
import type { MachineOptions } from "../model/world.ts";
import type { Program, Site } from "../scenario/program.ts";
import { Collector } from "./collect.ts";
import { cutShort, isOutOfMemory, limitText, tooLarge, unjudged } from "./extent.ts";
import { callReports, judgeAsserts, judgeExpected, judgeQuestions, judgeResults } from "./judge.ts";
import type { Refinement, Remark, Report, Schedule, Verdict } from "./report.ts";
import { deadlocksOf, livelocksOf, type Run, violationsOf } from "./violations.ts";

export interface CheckOptions {
  readonly maxStates?: number;
  readonly maxMilliseconds?: number;
  readonly maxBytes?: number;
  readonly cancelled?: () => boolean;
  readonly now: () => number;
  /** Told at least ten times a second how far the exploration has come. */
  readonly progress?: (progress: Progress) => void;
  /** Told the machine before it is explored: again where it was compiled anew. Whoever is told of progress may step it meanwhile. */
  readonly exploring?: (machine: MachineSystem) => void;
  /**
   * Partial order and symmetry. By default they are on for every run that passes `PLAIN_STATES`; below, a plain search is over sooner and its stories are
   * shortest ones at once. `true` and `false` are for measurements, and where the number of all states is wanted.
   */
  readonly reduce?: boolean;
}

export const DEFAULT_LIMITS = { maxStates: 5_000_000, maxMilliseconds: 30_000, maxBytes: 1 << 30 } as const;

/** So many states cost a plain search less than compiling the reductions does. */
const PLAIN_STATES = 1_000;
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
  if (isOutOfMemory(error)) return cutShort(program, "memory");
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

/** The invariants that a scenario watches; what it expects to be broken is watched too. */
export function watched(program: Program): { invariants: Invariant[]; deadlock: boolean; livelock: boolean } {
  const { only, except } = program.watch;
  const expected = program.expected.map((expectation) => expectation.invariant);
  const isWatched = (name: string): boolean => expected.includes(name) || ((!only || only.includes(name)) && !except?.includes(name));
  return { invariants: INVARIANTS.filter((invariant) => isWatched(invariant.name)), deadlock: isWatched(NO_DEADLOCK), livelock: isWatched(NO_LIVELOCK) };
}

/** The scenario asks for no-livelock by name, so a run that cannot judge it is not complete. */
const namesLivelock = (program: Program): boolean =>
  program.watch.only?.includes(NO_LIVELOCK) === true || program.expected.some((expectation) => expectation.invariant === NO_LIVELOCK);

function machineOptions(invariants: readonly Invariant[]): MachineOptions {
  return Object.assign({}, ...invariants.map((invariant) => invariant.ghosts ?? {}));
}

/** Compiles the machine and uses it; compiled again with finer cells or more frames when `use` runs into the need. */
export function withMachine<T>(program: Program, profile: Profile, refinement: Refinement, use: (machine: MachineSystem) => T): T {
  let options: MachineOptions = { ...machineOptions(watched(program).invariants), ...refinement };
  for (let compiles = 0; ; compiles++) {
    try {
      return use(new MachineSystem(program, profile, options));
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

function checkUnder(program: Program, profile: Profile, options: CheckOptions, begin: number): Report {
  // The searches behind the first one see schedules that reductions left out, so they too may find that cells have to be cut.
  return withMachine(program, profile, COARSEST, (machine) =>
    reportOf(program, exploreMachine(machine, watched(program).invariants, options, begin), options, begin),
  );
}

function reportOf(program: Program, run: Run, options: CheckOptions, begin: number): Report {
  const { machine, collector, exploration } = run;
  const { deadlock, livelock } = watched(program);
  const asked = namesLivelock(program);
  const budget = budgetOf(options, begin);
  const circles = livelock ? livelocksOf(program, run, budget, asked) : { violations: [], notJudged: [] };
  const violations = [...violationsOf(program, run, budget), ...(deadlock ? deadlocksOf(program, run) : []), ...circles.violations];
  const limit =
    limitOf(exploration, machine) ?? (asked ? circles.notJudged.map(({ invariant, reason }) => `${invariant} is not judged: ${reason}`)[0] : undefined);
  const complete = limit === undefined;
  const calls = callReports(machine, collector);
  const remarks = [
    ...judgeResults(program, calls, complete),
    ...judgeExpected(program, violations, complete),
    ...judgeQuestions(program, collector, complete),
    ...judgeAsserts(collector),
    ...noEnd(program, collector, complete),
  ];
  if (limit !== undefined)
    remarks.push({ code: "MEMFD6001", severity: "warning", site: program.site, message: `not all interleavings were explored: ${limit}` });
  const failed = remarks.some((remark) => remark.severity === "error") || violations.some((violation) => !violation.expected);
  const verdict: Verdict = failed ? "fail" : complete ? "pass" : "incomplete";
  return {
    scenario: program.name,
    kernel: machine.profile.name,
    verdict,
    calls,
    violations,
    remarks,
    witnesses: witnessesOf(collector),
    notJudged: circles.notJudged,
    refinement: { cuts: machine.options.cuts ?? [], extraFrames: machine.options.extraFrames ?? 0 },
    exploration: {
      states: exploration.states,
      transitions: exploration.transitions,
      complete,
      milliseconds: Math.round(options.now() - begin),
      reduced: run.reduced,
      depth: exploration.depth,
      frontier: exploration.frontier,
      ...(limit === undefined ? {} : { limit }),
      ...(exploration.limit === undefined ? {} : { cut: exploration.limit }),
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
    ...(options.progress ? { progress: options.progress } : {}),
    maxMilliseconds: Math.max(1, maxMilliseconds - (options.now() - begin)),
  };
}

function exploreMachine(machine: MachineSystem, invariants: readonly Invariant[], options: CheckOptions, begin: number): Run {
  const regions = new Set<string>(invariants.flatMap((invariant) => (invariant.state ? invariant.reads : [])));
  machine.watch(regions);
  options.exploring?.(machine);
  const attempt = (budget: Budget, reduced: boolean): Run => {
    const collector = new Collector(machine, invariants);
    const exploration = explore(machine, collector, budget, { reduce: reduced });
    collector.close();
    return { machine, collector, exploration, reduced };
  };
  const budget = budgetOf(options, begin);
  if (options.reduce !== undefined || budget.maxStates <= PLAIN_STATES) return attempt(budget, options.reduce ?? true);
  const plain = attempt({ ...budget, maxStates: PLAIN_STATES }, false);
  return plain.exploration.limit === "states" ? attempt(budgetOf(options, begin), true) : plain;
}

function limitOf(exploration: Exploration, machine: MachineSystem): string | undefined {
  if (exploration.complete) return machine.limit;
  return exploration.limit === undefined ? "unknown limit" : limitText(exploration.limit, exploration);
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
