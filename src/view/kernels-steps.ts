// The same calls in the same order under several kernels, atomic step by atomic step: where two kernels first do something else.

import { withMachine } from "../check/index.ts";
import type { Refinement, Report, Schedule } from "../check/report.ts";
import { encodeSchedule } from "../explore/schedule.ts";
import { resolveProfile } from "../model/profile/index.ts";
import type { MachineSystem } from "../model/system.ts";
import { printAnswer } from "../scenario/print.ts";
import type { ActorId, CallId, Program } from "../scenario/program.ts";
import { cellKey, diffMachines, isLockKey } from "./diff.ts";
import { machineView } from "./machine.ts";
import { MAX_TRACE_STEPS, type MachineView, PAGE_COLUMNS, type StateTable } from "./rows.ts";

interface RanProgram {
  readonly program: Program;
  readonly report: Report;
}

/** A row of the machine that a step changed: what it is called, and what it holds now. */
interface Change {
  readonly name: string;
  readonly after: string;
}

interface StepRun {
  readonly name: string;
  readonly effect: string;
  /** Rows of state by key; locks and the positions of threads are how a step does it, not what. */
  readonly changes: ReadonlyMap<string, Change>;
  readonly result?: string;
  /** Locks that its actor holds after it. */
  readonly locks: readonly string[];
  /** Steps of the whole run up to and with this one. */
  readonly length: number;
}

interface CallRun {
  readonly call: CallId;
  readonly steps: readonly StepRun[];
  readonly returned: boolean;
  /** The step at which it stands, where it has not returned. */
  readonly waitsAt: string;
}

/** One kernel's run, call by call, in the order in which the calls began. */
export interface KernelRunThrough {
  readonly calls: readonly CallRun[];
  readonly schedule: Schedule;
  /** The schedule fits the cells and frames of the kernel's own report, so that a trace can be shown of it. */
  readonly replayable: boolean;
}

export interface Side {
  /** Empty where the call has no further step; with `at` 0 the step that it waits at. */
  readonly step: string;
  /** Which of the call's atomic steps, from 1; 0 where it takes none. */
  readonly at: number;
  /** The call is over with this step: nothing that it does answers to the other kernel's step. */
  readonly ended: boolean;
  readonly effect: string;
  readonly locks: readonly string[];
  /** Rows that this kernel's step leaves otherwise than the other's, as `name: value`. */
  readonly rows: readonly string[];
  readonly result?: string;
  /** Leads to this step under this kernel; `cursor` is its index in that trace. */
  readonly schedule?: string;
  readonly cursor?: number;
}

/**
 * `step`: another step comes first · `effect`: the same step leaves other state · `result` · `waits`: one of them does not return ·
 * `silent`: only steps that change no row and decide nothing here (checks, locks) differ.
 */
type DivergenceKind = "step" | "effect" | "result" | "waits" | "silent";

export interface CallDivergence {
  readonly kind: DivergenceKind;
  readonly left: Side;
  readonly right: Side;
}

const MAX_ROUNDS = 8;
const MAX_ROWS = 3;
const COLUMN_TITLES = new Map<string, string>(PAGE_COLUMNS.map((column) => [column.id, column.title]));

/** Whose turn it is, call by call, in a story: the actors in the order in which its calls begin. */
export function turnsOf(report: Report, violation: number): ActorId[] {
  const running = new Map<ActorId, CallId>();
  const turns: ActorId[] = [];
  for (const { actor, call } of report.violations[violation]?.story.steps ?? []) {
    if (running.get(actor) === call) continue;
    running.set(actor, call);
    turns.push(actor);
  }
  return turns;
}

/** Runs all Programs on equal cells and frames, so that their rows have equal keys. A sentence where the model has no answer. */
export function runThrough(runs: readonly RanProgram[], turns: readonly ActorId[]): (KernelRunThrough | string)[] {
  let refinement = runs.map((run) => run.report.refinement).reduce(union, { cuts: [], extraFrames: 0 });
  for (let round = 0; ; round++) {
    const before = refinement;
    const found = runs.map(({ program, report }): KernelRunThrough | string => {
      const { profile } = resolveProfile(program.profile);
      if (!profile) return `${program.profile.base} is not modelled`;
      try {
        return withMachine(program, profile, before, (machine) => {
          const used = { cuts: machine.options.cuts ?? [], extraFrames: machine.options.extraFrames ?? 0 };
          const ran = callByCall(machine, turns);
          refinement = union(refinement, used);
          return { ...ran, replayable: sameRefinement(used, report.refinement) };
        });
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    });
    if (sameRefinement(before, refinement) || round >= MAX_ROUNDS) return found;
  }
}

function union(a: Refinement, b: Refinement): Refinement {
  const missing = b.cuts.filter((cut) => !a.cuts.some((other) => other.space === cut.space && other.at === cut.at));
  return { cuts: [...a.cuts, ...missing], extraFrames: Math.max(a.extraFrames, b.extraFrames) };
}

const sameRefinement = (a: Refinement, b: Refinement): boolean =>
  a.extraFrames === b.extraFrames && a.cuts.length === b.cuts.length && union(a, b).cuts.length === a.cuts.length;

interface Walk {
  readonly machine: MachineSystem;
  readonly state: Int32Array;
  readonly calls: Map<CallId, { steps: StepRun[]; returned: boolean; waitsAt: string }>;
  readonly schedule: { actor: ActorId; choice: number }[];
  view: MachineView;
}

/** Every call runs to its end before the next one begins; only where it has to wait do others go on. */
function callByCall(machine: MachineSystem, turns: readonly ActorId[]): Omit<KernelRunThrough, "replayable"> {
  const state = new Int32Array(machine.words);
  machine.initial(state);
  const walk: Walk = { machine, state, calls: new Map(), schedule: [], view: machineView(machine, state) };
  const actors = machine.program.actors.map((_, actor) => actor);
  const wishes = [...turns];
  /** Actors that went round in a circle since anybody else moved. */
  const circling = new Set<ActorId>();
  while (walk.schedule.length < MAX_TRACE_STEPS) {
    const wish = wishes.shift();
    const order = wish === undefined ? actors : [wish, ...actors.filter((actor) => actor !== wish)];
    const moved = order.find((actor) => {
      if (circling.has(actor)) return false;
      const end = advance(walk, actor);
      if (end === "circle") circling.add(actor);
      return end === "returned" || end === "waits";
    });
    if (moved === undefined) break;
    circling.clear();
  }
  for (const actor of actors) {
    const position = machine.position(state, actor);
    const run = position && walk.calls.get(position.call);
    if (position && run) run.waitsAt = position.step?.name ?? "";
  }
  return { calls: [...walk.calls].map(([call, run]) => ({ call, ...run })), schedule: walk.schedule };
}

/** One call (or assertion) of an actor, as far as it comes. `stuck`: not a single step. */
function advance(walk: Walk, actor: ActorId): "returned" | "waits" | "circle" | "stuck" {
  const { machine, state, schedule } = walk;
  const seen = new Set([state.join()]);
  for (let steps = 0; schedule.length < MAX_TRACE_STEPS; steps++) {
    const said: string[] = [];
    if (machine.step(state, actor, 0, said) === 0) return steps === 0 ? "stuck" : "waits";
    schedule.push({ actor, choice: 0 });
    const ended = machine.lastCall < 0 || machine.events.some((event) => event.kind === "returned");
    if (machine.lastCall >= 0) record(walk, actor, said);
    if (ended) return "returned";
    const key = state.join();
    if (seen.has(key)) return "circle";
    seen.add(key);
  }
  return "circle";
}

function record(walk: Walk, actor: ActorId, said: readonly string[]): void {
  const { machine, state } = walk;
  const { program } = machine;
  const call = machine.lastCall;
  const event = machine.events.find((candidate) => candidate.kind === "returned");
  const answer = event && machine.results.result(event.b);
  const result = answer && printAnswer(program.calls[call], answer);
  const effect = said.length > 0 ? said.join("; ") : answer?.kind === "errno" ? `refused: ${answer.errno}` : "";
  const name = machine.lastStep;
  const view = machineView(machine, state);
  const own = program.actors[actor].name;
  const locks = view.facts.filter((fact) => fact.group === "lock" && fact.value === own).map((fact) => fact.name);
  const step: StepRun = {
    name,
    effect,
    changes: changesOf(walk.view, view),
    locks,
    length: walk.schedule.length,
    ...(result === undefined ? {} : { result }),
  };
  walk.view = view;
  const run = walk.calls.get(call);
  if (run === undefined) walk.calls.set(call, { steps: [step], returned: event !== undefined, waitsAt: "" });
  else {
    run.steps.push(step);
    run.returned = event !== undefined;
  }
}

function changesOf(before: MachineView, after: MachineView): Map<string, Change> {
  const facts = new Map([...before.facts, ...after.facts].map((fact) => [fact.key, fact]));
  const rows = new Map([...before.pages, ...after.pages].map((row) => [row.key, row]));
  const cells = new Map([...(before.tables ?? []), ...(after.tables ?? [])].flatMap(cellNames));
  const found = new Map<string, Change>();
  for (const change of diffMachines(before, after)) {
    const fact = facts.get(change.key);
    if (fact?.group === "lock" || fact?.group === "thread" || isLockKey(change.key)) continue;
    const slash = change.key.lastIndexOf("/");
    const row = fact === undefined ? rows.get(change.key.slice(0, slash)) : undefined;
    const name = fact?.name ?? cells.get(change.key) ?? `${COLUMN_TITLES.get(change.key.slice(slash + 1)) ?? ""} of ${row?.space ?? ""} ${row?.label ?? ""}`;
    found.set(change.key, { name, after: change.after ?? "" });
  }
  return found;
}

/** `PAMT, type of 17`, by the key of the cell. */
const cellNames = ({ title, columns, rows }: StateTable): [string, string][] =>
  rows.flatMap((row) => columns.slice(1).map((column): [string, string] => [cellKey(row.key, column.id), `${title}, ${column.title} of ${row.label}`]));

const isTelling = (step: StepRun): boolean => step.changes.size > 0;
const resultOf = (run: CallRun): string | undefined => run.steps.at(-1)?.result;

/** Where two kernels' runs of one call part; undefined where they do the same, step by step. What changes state comes before what only looks at it. */
export function divergence(left: CallRun, right: CallRun, runs: readonly [KernelRunThrough, KernelRunThrough]): CallDivergence | undefined {
  const parted = (kind: DivergenceKind, a: StepRun | undefined, b: StepRun | undefined): CallDivergence => ({
    kind,
    left: sideOf(left, a, b, runs[0]),
    right: sideOf(right, b, a, runs[1]),
  });
  const [own, other] = [left, right].map((run) => run.steps.filter(isTelling));
  for (let at = 0; at < Math.max(own.length, other.length); at++) {
    const [a, b] = [own[at], other[at]];
    if (a !== undefined && b !== undefined && a.name === b.name && sameChanges(a, b)) continue;
    const waits = (a === undefined && !left.returned) || (b === undefined && !right.returned);
    return parted(waits ? "waits" : a?.name === b?.name ? "effect" : "step", a, b);
  }
  if (left.returned !== right.returned) return parted("waits", undefined, undefined);
  if (resultOf(left) !== resultOf(right)) return parted("result", undefined, undefined);
  for (let at = 0; at < Math.max(left.steps.length, right.steps.length); at++) {
    const [a, b] = [left.steps[at], right.steps[at]];
    if (a?.name !== b?.name) return parted("silent", a, b);
  }
  return undefined;
}

const sameChanges = (a: StepRun, b: StepRun): boolean =>
  a.changes.size === b.changes.size && [...a.changes].every(([key, change]) => b.changes.get(key)?.after === change.after);

/**
 * A side without a step that answers to the other's shows its step of the same name, which did nothing here; else how the call ends: the step with which it
 * returned, or at which it waits.
 */
function sideOf(run: CallRun, own: StepRun | undefined, other: StepRun | undefined, through: KernelRunThrough): Side {
  const namesake =
    own === undefined && other !== undefined ? run.steps.findLast((candidate) => candidate.name === other.name && !isTelling(candidate)) : undefined;
  const step = own ?? namesake ?? (run.returned ? run.steps.at(-1) : undefined);
  if (step === undefined) return { step: run.waitsAt, at: 0, ended: false, effect: "", locks: [], rows: [] };
  const changes = [...step.changes].filter(([key, change]) => other?.changes.get(key)?.after !== change.after).map(([, change]) => change);
  const rows = changes.slice(0, MAX_ROWS).map((change) => `${change.name}: ${change.after === "" ? "nothing" : change.after}`);
  const left = changes.length - rows.length;
  return {
    step: step.name,
    at: run.steps.indexOf(step) + 1,
    ended: own === undefined && namesake === undefined,
    effect: step.effect,
    locks: step.locks,
    rows: left > 0 ? [...rows, `and ${left} more`] : rows,
    ...(step.result === undefined ? {} : { result: step.result }),
    ...(through.replayable ? { schedule: encodeSchedule(through.schedule), cursor: step.length } : {}),
  };
}
