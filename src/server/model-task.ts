// What the server (or the command line) and a model worker say to each other, and the work itself: a check or a trace of one Program. Runs in the worker.

import { type Forecast, Forecaster } from "../check/forecast.ts";
import { type CheckOptions, check, DEFAULT_LIMITS } from "../check/index.ts";
import { PilotRuns } from "../check/pilot.ts";
import type { Report } from "../check/report.ts";
import { type Suggestions, suggest } from "../check/suggest/index.ts";
import type { Progress } from "../explore/system.ts";
import type { MachineSystem } from "../model/system.ts";
import type { Program, Site } from "../scenario/program.ts";
import { type KernelRun, type KernelsOptions, type KernelsView, kernelsView } from "../view/kernels.ts";
import type { Place } from "../view/results.ts";
import type { TraceView } from "../view/rows.ts";
import { trace } from "../view/trace.ts";
import { sizeOf } from "./size.ts";

export type ModelTask =
  /** A limit that is absent is check's own. */
  | { readonly kind: "check"; readonly program: Program; readonly maxStates?: number; readonly maxMilliseconds?: number; readonly maxBytes?: number }
  /** `lines[site]` is the line (from 1) of each site, for the worker has no text. */
  | { readonly kind: "trace"; readonly program: Program; readonly report: Report; readonly schedule?: string; readonly lines: readonly number[] }
  | KernelsTask
  | SuggestTask;

/** Which order saves it? `taken`: names of kernels that a new variant must not have. */
export interface SuggestTask {
  readonly kind: "suggest";
  readonly program: Program;
  readonly report: Report;
  readonly taken?: readonly string[];
  readonly maxStates?: number;
  readonly maxMilliseconds?: number;
}

/** One scenario under several kernels: what each run found, to be compared. `places[run][site]` stands for the text that the worker does not have. */
interface KernelsTask extends Omit<KernelsOptions, "placeOf"> {
  readonly kind: "kernels";
  readonly runs: readonly KernelRun[];
  readonly places: readonly (readonly Place[])[];
}

export interface ModelRequest {
  readonly id: number;
  readonly task: ModelTask;
  /** One word that turns 1 when the run shall stop. Absent where the host shares no memory. */
  readonly stop?: Int32Array;
}

/** How a run stands that is not done yet. */
export interface Live {
  readonly progress: Progress;
  /** States found per second, over the last stretch. */
  readonly rate: number;
  /** There once it is plain that the run will not finish. */
  readonly forecast?: Forecast;
}

/** `bytes`: about what the answer takes in memory, for caches. */
export type ModelAnswer =
  /** `stopped`: it was told to stop and is not complete for that reason. */
  | { readonly kind: "report"; readonly id: number; readonly report: Report; readonly bytes?: number; readonly stopped?: boolean }
  | { readonly kind: "trace"; readonly id: number; readonly trace: TraceView; readonly bytes?: number }
  | { readonly kind: "suggestions"; readonly id: number; readonly suggestions: Suggestions }
  | { readonly kind: "kernels"; readonly id: number; readonly view: KernelsView }
  | { readonly kind: "failed"; readonly id: number; readonly message: string };

export type ModelMessage = ModelAnswer | { readonly kind: "progress"; readonly id: number; readonly live: Live };

/** Least time between two words about a run; the search speaks every 80 ms or so, but nobody promises that it does not speak more often. */
const NEWS_MILLISECONDS = 70;
/** Steps that are run ahead between two words, for the forecast: a few milliseconds. */
const PILOT_STEPS = 800;

/** Never throws: what goes wrong is an answer. `tell` hears, about ten times a second, how far a check has come. */
export function perform(request: ModelRequest, tell: (message: ModelMessage) => void): ModelAnswer {
  const { id, task, stop } = request;
  try {
    if (task.kind === "trace") {
      const view = trace(task.program, task.report, { schedule: task.schedule, lineOf: lineFinder(task) });
      return { kind: "trace", id, trace: view, bytes: sizeOf(view) };
    }
    if (task.kind === "kernels") {
      const placeOf = (run: number, site: Site): Place => task.places[run]?.[site] ?? task.at;
      return { kind: "kernels", id, view: kernelsView(task.runs, { ...task, placeOf }) };
    }
    const cancelled = stop === undefined ? undefined : () => Atomics.load(stop, 0) !== 0;
    const now = () => performance.now();
    if (task.kind === "suggest") {
      const { program, report, taken, maxStates, maxMilliseconds } = task;
      return { kind: "suggestions", id, suggestions: suggest(program, report, { taken, maxStates, maxMilliseconds, cancelled, now }) };
    }
    const { program, maxStates, maxMilliseconds, maxBytes } = task;
    const hooks = reporter(task, (live) => tell({ kind: "progress", id, live }), now);
    const report = check(program, { maxStates, maxMilliseconds, maxBytes, cancelled, now, ...hooks });
    return { kind: "report", id, report, bytes: sizeOf(report), stopped: !report.exploration.complete && cancelled?.() === true };
  } catch (error) {
    return { kind: "failed", id, message: error instanceof Error ? error.message : String(error) };
  }
}

/** What a check tells while it runs, as news of it. */
function reporter(task: ModelTask & { kind: "check" }, tell: (live: Live) => void, now: () => number): Pick<CheckOptions, "progress" | "exploring"> {
  const { maxStates, maxMilliseconds, maxBytes } = { ...DEFAULT_LIMITS, ...given(task) };
  let pilot: PilotRuns | undefined;
  let machine: MachineSystem | undefined;
  const forecaster = new Forecaster({ maxStates, maxMilliseconds, maxBytes }, () => {
    if (machine !== undefined) pilot ??= new PilotRuns(machine);
    return pilot?.advance(PILOT_STEPS);
  });
  let last = { states: 0, at: now() };
  const progress = (far: Progress): void => {
    const forecast = forecaster.hear(far);
    const at = now();
    if (at - last.at < NEWS_MILLISECONDS) return;
    // A search that began anew with finer cells counts from nothing.
    const found = far.states < last.states ? far.states : far.states - last.states;
    tell({ progress: far, rate: (found * 1000) / (at - last.at), ...(forecast === undefined ? {} : { forecast }) });
    last = { states: far.states, at };
  };
  const exploring = (next: MachineSystem): void => {
    machine = next;
    pilot = undefined;
  };
  return { progress, exploring };
}

/** Without the fields that are there and undefined, which would hide a default. */
function given<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}

function lineFinder(task: ModelTask & { kind: "trace" }): (span: { file: string; from: number }) => { file: string; line: number } {
  const lines = new Map<string, number>();
  task.program.sites.forEach((span, site) => lines.set(`${span.from} ${span.file}`, task.lines[site]));
  return (span) => ({ file: span.file, line: lines.get(`${span.from} ${span.file}`) ?? 1 });
}
