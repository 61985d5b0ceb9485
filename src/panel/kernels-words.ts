// What the cells of the kernels' table say, on screen and to a screen reader; no DOM.

import { counted, grouped } from "../check/extent.ts";
import type { AnswerCell, CallRow, KernelColumn, KernelsView, ViolationCell } from "../view/kernels.ts";
import { notesText } from "../view/kernels-text.ts";
import type { IconName } from "./icons.ts";

export const VERDICT_WORDS = { pass: "pass", fail: "fail", incomplete: "incomplete", notRun: "not run" } as const;

export interface TableCell {
  readonly text: string;
  /** A sentence for the line beneath the table, the tooltip and the screen reader. */
  readonly detail: string;
  readonly icon?: IconName;
  /** Other than the reference kernel. */
  readonly differs: boolean;
  readonly wrong: boolean;
  /** Nothing is known here. */
  readonly quiet: boolean;
  readonly schedule?: string;
}

export interface TableRow {
  readonly key: string;
  readonly section: "calls" | "violations" | "expectations";
  readonly title: string;
  readonly subtitle: string;
  readonly file: string;
  readonly line: number;
  readonly cells: readonly TableCell[];
}

export const SECTIONS: Readonly<Record<TableRow["section"], string>> = {
  calls: "Calls that answer differently",
  violations: "Invariants that break",
  expectations: "Expectations that do not hold",
};

/** All rows, in the order in which they are shown. */
export function tableRows(view: KernelsView): TableRow[] {
  const calls = view.calls.map(
    (row): TableRow => ({
      ...place(row),
      section: "calls",
      title: row.call,
      subtitle: row.actor,
      cells: row.cells.map((cell, kernel) => answerCell(view, row, cell, kernel)),
    }),
  );
  const violations = view.violations.map((row): TableRow => {
    const reference = row.cells[view.reference]?.state;
    return {
      ...place(row),
      section: "violations",
      title: row.invariant,
      subtitle: row.call,
      cells: row.cells.map((cell, kernel) => violationCell(view.kernels[kernel], row.invariant, cell, reference)),
    };
  });
  const expectations = view.expectations.map((row): TableRow => {
    const reference = row.cells[view.reference];
    return {
      ...place(row),
      section: "expectations",
      title: row.what,
      subtitle: "",
      cells: row.cells.map((cell, kernel) => expectationCell(view.kernels[kernel], cell, reference)),
    };
  });
  return [...calls, ...violations, ...expectations];
}

/** Kernels that answer alike share a column; the one that the others are held against stands first in its own, and that column first of all. */
export function columnsOf(view: KernelsView): readonly (readonly [first: number, ...alike: number[]])[] {
  const columns = new Map<number, [number, ...number[]]>();
  const { reference } = view;
  const order = view.kernels.map((_, kernel) => kernel).filter((kernel) => kernel !== reference);
  for (const kernel of reference < 0 ? order : [reference, ...order]) {
    const { group } = view.kernels[kernel];
    const column = columns.get(group);
    if (column === undefined) columns.set(group, [kernel]);
    else column.push(kernel);
  }
  const silent = ([kernel]: readonly [number, ...number[]]): number => Number(view.kernels[kernel].verdict === "notRun");
  return [...columns.values()].sort((one, other) => silent(one) - silent(other));
}

/** `55 states`, `80–81 states`. */
export function statesOf(view: KernelsView, members: readonly number[]): string {
  const states = members.map((kernel) => view.kernels[kernel].states);
  const [least, most] = [Math.min(...states), Math.max(...states)];
  return `${least === most ? "" : `${grouped(least)}–`}${counted(most, "state")}`;
}

const place = ({ key, file, line }: { key: string; file: string; line: number }): Pick<TableRow, "key" | "file" | "line"> => ({ key, file, line });

const notRun = (column: KernelColumn): TableCell => ({
  text: "–",
  detail: `${column.kernel}: not run${column.reason === undefined ? "" : `, ${column.reason}`}`,
  differs: false,
  wrong: false,
  quiet: true,
});

function answerCell(view: KernelsView, row: CallRow, cell: AnswerCell, kernel: number): TableCell {
  const column = view.kernels[kernel];
  if (cell.answer < 0) return notRun(column);
  const texts = row.answers[cell.answer] ?? [];
  const text = texts.length === 0 ? "never reached" : texts.join(" or ");
  const differs = cell.answer !== (row.cells[view.reference]?.answer ?? 0);
  const against = differs ? `, other than ${view.kernels[view.reference]?.kernel ?? ""}` : "";
  const detail = `${column.kernel} answers ${text}${against}${cell.wrong ? "; the line expects something else" : ""}${cell.partial ? "; not every interleaving was explored" : ""}`;
  return {
    text: cell.partial ? `${text} …` : text,
    detail: texts.length === 0 ? detail.replace("answers never reached", "never reaches this call") : detail,
    ...(cell.wrong ? { icon: "fail" as const } : {}),
    differs,
    wrong: cell.wrong,
    quiet: false,
    ...(cell.schedule === undefined ? {} : { schedule: cell.schedule }),
  };
}

const STATE_WORDS: Readonly<Record<ViolationCell["state"], string>> = {
  breaks: "breaks",
  expected: "breaks, as expected",
  holds: "holds",
  unknown: "not known",
  unwatched: "not watched",
  notRun: "not run",
};

function violationCell(column: KernelColumn, invariant: string, cell: ViolationCell, reference: ViolationCell["state"] | undefined): TableCell {
  if (cell.state === "notRun") return notRun(column);
  const broken = cell.state === "breaks" || cell.state === "expected";
  const at = cell.step === undefined ? "" : ` at ${cell.step}`;
  return {
    text: broken ? (cell.step ?? "breaks") : STATE_WORDS[cell.state],
    detail: `${column.kernel}: ${invariant} ${STATE_WORDS[cell.state]}${at}${cell.message === undefined ? "" : `: ${cell.message}`}`,
    ...(broken ? { icon: cell.state === "expected" ? ("expected" as const) : ("violation" as const) } : {}),
    differs: cell.state !== reference,
    wrong: cell.state === "breaks",
    quiet: !broken && cell.state !== "holds",
    ...(cell.schedule === undefined ? {} : { schedule: cell.schedule }),
  };
}

function expectationCell(column: KernelColumn, cell: string | null, reference: string | null | undefined): TableCell {
  if (cell === null) {
    const unknown =
      column.verdict === "notRun" ? notRun(column) : { ...notRun(column), text: "?", detail: `${column.kernel}: not known, the run was cut short` };
    return unknown;
  }
  const broken = cell !== "";
  return {
    text: broken ? "does not hold" : "holds",
    detail: `${column.kernel}: ${broken ? cell : "holds"}`,
    ...(broken ? { icon: "fail" as const } : {}),
    differs: broken !== ((reference ?? "") !== ""),
    wrong: broken,
    quiet: false,
  };
}

/** What a kernel's heading says beside its name. */
export function columnDetail(view: KernelsView, index: number): string {
  const column = view.kernels[index];
  const states = column.verdict === "notRun" ? "" : `, ${counted(column.states, "state")}${column.complete ? ", all interleavings" : ""}`;
  const reason = column.reason === undefined ? "" : `: ${column.reason}`;
  const changes = column.changes.length === 0 ? "" : `; ${column.base} with ${column.changes.join("; ")}`;
  const notes = notesText(view, column).replaceAll("`", "");
  const same = view.kernels.filter((other, at) => at !== index && other.group === column.group).map((other) => other.kernel);
  const equal = same.length === 0 ? "" : `; answers like ${same.join(", ")}`;
  return `${column.kernel}: ${VERDICT_WORDS[column.verdict]}${states}${reason}${changes}${equal}${notes}`;
}

/** Kernels without an answer in one list: those that were not run for the same reasons stand together. */
export function alike(columns: readonly KernelColumn[]): KernelColumn[][] {
  const groups: KernelColumn[][] = [];
  for (const column of columns) {
    const group = column.verdict === "notRun" ? groups.find(([first]) => first.verdict === "notRun" && first.group === column.group) : undefined;
    if (group) group.push(column);
    else groups.push([column]);
  }
  return groups;
}

/** What is said of the first of them, without what the list of their names says already. */
export function groupDetail(view: KernelsView, members: readonly KernelColumn[]): string {
  const [first] = members;
  const detail = columnDetail(view, view.kernels.indexOf(first)).slice(first.kernel.length + 2);
  if (members.length === 1) return detail;
  return detail.replace(/; answers like [^;]*/, "").replaceAll(` in ${first.kernel};`, " there;");
}

export function summaryOf(view: KernelsView): string {
  const count = (verdict: KernelColumn["verdict"]): number => view.kernels.filter((column) => column.verdict === verdict).length;
  const parts = (["fail", "incomplete", "notRun", "pass"] as const).flatMap((verdict) =>
    count(verdict) > 0 ? [`${count(verdict)} ${VERDICT_WORDS[verdict]}`] : [],
  );
  const calls =
    view.calls.length === 0
      ? "every call answers alike"
      : `${view.calls.length} call${view.calls.length === 1 ? "" : "s"} of ${view.calls.length + view.agreed} answer${view.calls.length === 1 ? "s" : ""} differently`;
  return `${view.kernels.length} kernels: ${parts.join(", ")}; ${view.reference < 0 ? "none was run" : calls}.`;
}
