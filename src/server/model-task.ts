// What the server and its model worker say to each other, and the work itself: a check or a trace of one Program. Runs in the worker.

import { check } from "../check/index.ts";
import type { Report } from "../check/report.ts";
import type { Program } from "../scenario/program.ts";
import type { TraceView } from "../view/rows.ts";
import { trace } from "../view/trace.ts";

export type ModelTask =
  | { readonly kind: "check"; readonly program: Program; readonly maxStates: number; readonly maxMilliseconds: number }
  /** `lines[site]` is the line (from 1) of each site, for the worker has no text. */
  | { readonly kind: "trace"; readonly program: Program; readonly report: Report; readonly schedule?: string; readonly lines: readonly number[] };

export interface ModelRequest {
  readonly id: number;
  readonly task: ModelTask;
  /** One word that turns 1 when the run shall stop. Absent where the host shares no memory. */
  readonly stop?: Int32Array;
}

export type ModelAnswer =
  /** `stopped`: it was told to stop and is not complete for that reason. */
  | { readonly kind: "report"; readonly id: number; readonly report: Report; readonly stopped?: boolean }
  | { readonly kind: "trace"; readonly id: number; readonly trace: TraceView }
  | { readonly kind: "failed"; readonly id: number; readonly message: string };

/** Never throws: what goes wrong is an answer. */
export function perform(request: ModelRequest): ModelAnswer {
  const { id, task, stop } = request;
  try {
    if (task.kind === "trace") return { kind: "trace", id, trace: trace(task.program, task.report, { schedule: task.schedule, lineOf: lineFinder(task) }) };
    const cancelled = stop === undefined ? undefined : () => Atomics.load(stop, 0) !== 0;
    const limits = { maxStates: task.maxStates, maxMilliseconds: task.maxMilliseconds };
    const report = check(task.program, { ...limits, cancelled, now: () => performance.now() });
    return { kind: "report", id, report, stopped: !report.exploration.complete && cancelled?.() === true };
  } catch (error) {
    return { kind: "failed", id, message: error instanceof Error ? error.message : String(error) };
  }
}

function lineFinder(task: ModelTask & { kind: "trace" }): (span: { file: string; from: number }) => { file: string; line: number } {
  const lines = new Map<string, number>();
  task.program.sites.forEach((span, site) => lines.set(`${span.from} ${span.file}`, task.lines[site]));
  return (span) => ({ file: span.file, line: lines.get(`${span.from} ${span.file}`) ?? 1 });
}
