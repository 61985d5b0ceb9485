// The timeline's rows, computed from a trace without a DOM: sequential calls folded into one row each, every atomic step inside `parallel`,
// and for each row which lanes have a call open, so that the steps of one call can be drawn joined.

import type { TraceView } from "../view/rows.ts";

export interface OutlineRow {
  /**
   * `call` stands for steps first…last outside `parallel`; `step` is one atomic step (`nested` under an open call, else inside `parallel`);
   * `caption` is where a call begins inside `parallel`; `band` opens or closes a `parallel` block; `violation` follows the row that causes it.
   */
  readonly kind: "start" | "call" | "step" | "caption" | "band" | "violation";
  readonly first: number;
  readonly last: number;
  /** -1 for `start` and `band`. */
  readonly actor: number;
  readonly parallel: boolean;
  readonly nested: boolean;
  /** `call` rows of more than one step can be opened. */
  readonly open?: boolean;
  /** Index into `TraceView.violations`. */
  readonly violation?: number;
  /** Lanes other than `actor` that have a call open across this row, one bit each; lanes from 31 on are not drawn joined. */
  readonly through: number;
  /** The lane's own bar goes on above and below the mark. */
  readonly up: boolean;
  readonly down: boolean;
}

const PLAIN = { parallel: false, nested: false, through: 0, up: false, down: false };
const bit = (lane: number): number => (lane >= 0 && lane < 31 ? 1 << lane : 0);

/** `open` holds the first step of each sequential call that is unfolded. */
export function outline(trace: TraceView, open: ReadonlySet<number>): OutlineRow[] {
  const rows: OutlineRow[] = [];
  const { steps } = trace;
  if (steps.length > 0) rows.push({ ...PLAIN, kind: "start", first: 0, last: 0, actor: -1 });
  let at = 1;
  while (at < steps.length) at = steps[at].parallel ? parallelBlock(trace, at, rows) : sequentialCall(trace, at, open, rows);
  return rows;
}

function violationRows(trace: TraceView, step: number, parallel: boolean, through: number, rows: OutlineRow[]): void {
  const { actor, violations } = trace.steps[step];
  for (const violation of violations) {
    rows.push({ ...PLAIN, kind: "violation", first: step, last: step, actor, parallel, violation, through, up: false, down: false });
  }
}

function sequentialCall(trace: TraceView, first: number, open: ReadonlySet<number>, rows: OutlineRow[]): number {
  const { steps } = trace;
  const { actor, callId } = steps[first];
  let last = first;
  // Assertions have no call that would make one row of several.
  while (callId >= 0 && last + 1 < steps.length && !steps[last + 1].parallel && steps[last + 1].callId === callId && steps[last + 1].actor === actor) last += 1;
  const unfolded = last > first && open.has(first);
  rows.push({ ...PLAIN, kind: "call", first, last, actor, ...(last > first ? { open: unfolded } : {}) });
  for (let step = first; step <= last; step += 1) {
    if (unfolded) rows.push({ ...PLAIN, kind: "step", first: step, last: step, actor, nested: true, up: true, down: step < last });
    violationRows(trace, step, false, 0, rows);
  }
  return last + 1;
}

function parallelBlock(trace: TraceView, from: number, rows: OutlineRow[]): number {
  const { steps } = trace;
  let end = from;
  while (end < steps.length && steps[end].parallel) end += 1;
  const ends = callEnds(trace, from, end);
  rows.push({ ...PLAIN, kind: "band", first: from, last: from, actor: -1, parallel: true });
  const openCall = new Map<number, number>();
  let mask = 0;
  for (let at = from; at < end; at += 1) {
    const { actor, callId } = steps[at];
    const lane = bit(actor);
    if (openCall.get(actor) !== callId) {
      openCall.set(actor, callId);
      mask |= lane;
      rows.push({ ...PLAIN, kind: "caption", first: at, last: at, actor, parallel: true, through: mask & ~lane, down: true });
    }
    const down = !ends.has(at);
    rows.push({ ...PLAIN, kind: "step", first: at, last: at, actor, parallel: true, through: mask & ~lane, up: true, down });
    if (!down) {
      mask &= ~lane;
      openCall.delete(actor);
    }
    violationRows(trace, at, true, mask, rows);
  }
  if (end < steps.length) rows.push({ ...PLAIN, kind: "band", first: end, last: end, actor: -1, parallel: false });
  return end;
}

/** The steps after which their actor's call is over, within from…end. */
function callEnds(trace: TraceView, from: number, end: number): Set<number> {
  const ends = new Set<number>();
  const next = new Map<number, number>();
  for (let at = end - 1; at >= from; at -= 1) {
    const { actor, callId } = trace.steps[at];
    if (next.get(actor) !== callId) ends.add(at);
    next.set(actor, callId);
  }
  return ends;
}

/** The row that shows the cursor: the step's own one, or the folded call around it. */
export function rowOfStep(rows: readonly OutlineRow[], step: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rows[middle].first <= step) low = middle;
    else high = middle - 1;
  }
  for (let index = low; index >= 0; index -= 1) {
    const row = rows[index];
    if (shows(row, step)) return index;
    if (row.last < step && (row.kind === "step" || row.kind === "call")) break;
  }
  return Math.max(0, low);
}

const shows = (row: OutlineRow, step: number): boolean =>
  (row.kind === "start" || row.kind === "step" || (row.kind === "call" && row.open !== true)) && row.first <= step && step <= row.last;

/** The next step where ↑ or ↓ stops: the end of the neighbouring row's call, or its one step. */
export function stepBeyond(rows: readonly OutlineRow[], step: number, direction: 1 | -1): number | undefined {
  for (let index = rowOfStep(rows, step) + direction; index >= 0 && index < rows.length; index += direction) {
    const row = rows[index];
    if (row.kind === "start" || row.kind === "step" || (row.kind === "call" && row.open !== true)) return row.last;
  }
  return undefined;
}

/** Where the panel stands first: on what the reader came for. */
export function firstCursor(trace: TraceView): number {
  const worst = trace.violations.find((violation) => !violation.expected) ?? trace.violations[0];
  return worst?.step ?? Math.max(0, trace.steps.length - 1);
}

/** The step that the editor's line stands for: one that breaks something, else the end of a call there; nearest to the cursor. */
export function stepAtLine(trace: TraceView, file: string, line: number, cursor: number): number | undefined {
  const here = trace.files.indexOf(file);
  const onLine = (index: number): boolean => trace.steps[index].file === here && trace.steps[index].line === line;
  if (here < 0 || (trace.steps[cursor]?.actor >= 0 && onLine(cursor))) return undefined;
  const breaking: number[] = [];
  const endOf = new Map<number, number>();
  for (let index = 1; index < trace.steps.length; index += 1) {
    if (!onLine(index)) continue;
    endOf.set(trace.steps[index].callId, index);
    if (trace.steps[index].violations.length > 0) breaking.push(index);
  }
  const pool = breaking.length > 0 ? breaking : [...endOf.values()];
  return pool.reduce<number | undefined>((best, index) => (best === undefined || Math.abs(index - cursor) < Math.abs(best - cursor) ? index : best), undefined);
}
