// For every kernel the calls in which it leaves the way of the reference kernel, the first one first.

import type { Report } from "../check/report.ts";
import { printCall } from "../scenario/print.ts";
import type { ActorId, CallId, Program, Site } from "../scenario/program.ts";
import { type CallDivergence, divergence, type KernelRunThrough, runThrough, turnsOf } from "./kernels-steps.ts";
import type { Place } from "./results.ts";

export interface DivergingCall extends CallDivergence, Place {
  readonly actor: string;
  readonly call: string;
}

export interface KernelDivergence {
  /** Index into `KernelsView.kernels`; `left` of each call is the reference, `right` this kernel. */
  readonly kernel: number;
  /** The first diverging step. Absent where no step differs on this run. */
  readonly first?: DivergingCall;
  /** Why its steps could not be compared. */
  readonly reason?: string;
  /** The first one inside `parallel`, where that is another. */
  readonly race?: DivergingCall;
  /** How many calls differ in their steps. */
  readonly calls: number;
}

/** A kernel under which the scenario was run. */
export interface Ran {
  /** Index into `KernelsView.kernels`. */
  readonly index: number;
  readonly program: Program;
  readonly report: Report;
  /** CallId by key, and the other way round; a call has the same key under every kernel. */
  readonly calls: ReadonlyMap<string, CallId>;
  readonly keys: readonly string[];
}

interface Answer {
  readonly story: { readonly kernel: string; readonly invariant: string } | undefined;
  readonly divergences: readonly KernelDivergence[];
}

export function divergencesFrom(ran: readonly Ran[], reference: Ran, placeOf: (run: number, site: Site) => Place): Answer {
  const told = storyFor([reference, ...ran.filter((each) => each !== reference)]);
  const turns = told === undefined ? [] : turnsFor(told.ran, reference, told.violation);
  const through = runThrough(ran, turns);
  const own = through[ran.indexOf(reference)];
  const story = told && { kernel: told.ran.report.kernel, invariant: told.ran.report.violations[told.violation].invariant };
  const others = ran.flatMap((each, at): KernelDivergence[] => {
    const other = through[at];
    if (each === reference) return [];
    if (typeof own === "string") return [{ kernel: each.index, calls: 0, reason: own }];
    if (typeof other === "string") return [{ kernel: each.index, calls: 0, reason: other }];
    return [kernelDivergence(each, reference, [own, other], placeOf)];
  });
  return { story, divergences: others };
}

/** An unexpected violation rather than an expected one, the reference's rather than another's. */
function storyFor(ran: readonly Ran[]): { ran: Ran; violation: number } | undefined {
  const found = ran.map((each) => ({ ran: each, violation: each.report.violations.findIndex((violation) => !violation.expected) }));
  const any = ran.map((each) => ({ ran: each, violation: each.report.violations.length > 0 ? 0 : -1 }));
  return [found[0], any[0], ...found, ...any].find((each) => each !== undefined && each.violation >= 0);
}

/** Actors go by their names: a kernel may have fewer of them. */
function turnsFor(told: Ran, reference: Ran, violation: number): ActorId[] {
  const ids = new Map(reference.program.actors.map((actor, id) => [actor.name, id]));
  return turnsOf(told.report, violation).flatMap((actor) => ids.get(told.program.actors[actor].name) ?? []);
}

function kernelDivergence(
  other: Ran,
  reference: Ran,
  runs: readonly [KernelRunThrough, KernelRunThrough],
  placeOf: (run: number, site: Site) => Place,
): KernelDivergence {
  const theirs = new Map(runs[1].calls.map((run) => [other.keys[run.call], run]));
  const parallel = parallelCalls(reference.program);
  const found = runs[0].calls.flatMap((run): (DivergingCall & { parallel: boolean })[] => {
    const same = theirs.get(reference.keys[run.call]);
    const parted = same && divergence(run, same, runs);
    if (parted === undefined) return [];
    const { program } = reference;
    const call = program.calls[run.call];
    const place = placeOf(reference.index, call.statement);
    return [{ ...parted, ...place, actor: program.actors[call.actor].name, call: printCall(program, run.call), parallel: parallel.has(run.call) }];
  });
  const loud = found.filter((each) => each.kind !== "silent");
  const [first] = loud.length > 0 ? loud : found;
  const race = loud.find((each) => each.parallel);
  const plain = ({ parallel: _, ...rest }: DivergingCall & { parallel: boolean }): DivergingCall => rest;
  return {
    kernel: other.index,
    ...(first === undefined ? {} : { first: plain(first) }),
    ...(race === undefined || race === first ? {} : { race: plain(race) }),
    calls: found.length,
  };
}

function parallelCalls(program: Program): ReadonlySet<CallId> {
  const calls = new Set<CallId>();
  const visit = (body: Program["body"]): void => {
    for (const statement of body) {
      if (statement.kind === "call") calls.add(statement.call);
      else if (statement.kind === "atomic") visit(statement.body);
    }
  };
  for (const statement of program.body) if (statement.kind === "parallel") for (const thread of statement.threads) visit(thread.body);
  return calls;
}
