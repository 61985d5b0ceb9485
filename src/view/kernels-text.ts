// Kernels side by side as text of 80 columns: equal kernels share a column, each distinct answer has a letter, and the legend stands beneath.

import { counted, grouped } from "../check/extent.ts";
import { beside, wrap } from "./columns.ts";
import type { CallRow, ExpectationRow, KernelColumn, KernelsView, ViolationCell, ViolationRow } from "./kernels.ts";
import type { DivergingCall, KernelDivergence } from "./kernels-diverge.ts";
import type { Side } from "./kernels-steps.ts";
import type { Place } from "./results.ts";

const WIDTH = 80;
/** Columns of the text that a matrix may take from the calls. */
const MOST_MATRIX = 48;
const WORDS = { pass: "pass", fail: "FAIL", incomplete: "incomplete", notRun: "not run" } as const;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const MARKS: Readonly<Record<ViolationCell["state"], string>> = { breaks: "x", expected: "e", holds: ".", unknown: "?", unwatched: " ", notRun: "-" };
const LEGEND: readonly (readonly [string, string])[] = [
  ["x", "breaks"],
  ["e", "breaks, as expected"],
  [".", "holds"],
  ["?", "not known"],
  ["-", "not run"],
];

interface Layout {
  readonly view: KernelsView;
  /** Kernels by group; a column of the matrix each. */
  readonly groups: readonly (readonly number[])[];
  /** Columns of the text that a column of the matrix takes; 0 where so many groups have no room beside the calls and their numbers are written out. */
  readonly cell: number;
}

export function kernelsText(view: KernelsView): string {
  const groups: number[][] = [];
  view.kernels.forEach((column, index) => {
    groups[column.group] = [...(groups[column.group] ?? []), index];
  });
  const cell = view.calls.some((row) => row.cells.some(({ partial, wrong }) => partial && wrong)) ? 4 : 3;
  const layout = { view, groups, cell: groups.length * cell > MOST_MATRIX ? 0 : cell };
  const sections = [
    wrap(`"${view.scenario}", ${view.file}:${view.line}, side by side`, WIDTH, "  "),
    verdicts(layout),
    calls(layout),
    violations(layout),
    expectations(layout),
    divergences(layout),
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => line.trimEnd()).join("\n"))
    .join("\n\n")}\n`;
}

/** Wrapped, and set in by so many columns; further lines by four more. */
const indented = (text: string, by: number, width: number): string[] => wrap(text, width - by, "    ").map((line) => " ".repeat(by) + line);

const names = (view: KernelsView, indexes: readonly number[]): string => indexes.map((index) => view.kernels[index].kernel).join(", ");
const lineOf = (view: KernelsView, place: Place): string => linesOf(view, [place]);

function verdicts({ view, groups }: Layout): string[] {
  const lines = groups.flatMap((members, number) => {
    const first = view.kernels[members[0]];
    const head = `${String(number + 1).padStart(3)}  ${WORDS[first.verdict].padEnd(10)}  `;
    return beside(head, `${names(view, members)}${extent(view, members, first)}`, head.length, WIDTH);
  });
  if (view.unmodelled.length === 0) return lines;
  return [...lines, ...beside("     not modelled yet  ", view.unmodelled.join(", "), 23, WIDTH)];
}

function extent(view: KernelsView, members: readonly number[], first: KernelColumn): string {
  const notes = notesText(view, first);
  if (first.verdict === "notRun") return `: ${first.reason ?? ""}${notes}`;
  const states = members.map((index) => view.kernels[index].states);
  const least = Math.min(...states);
  const most = Math.max(...states);
  const text = least === most ? counted(most, "state") : `${grouped(least)} to ${counted(most, "state")}`;
  return ` (${text}${first.reason === undefined ? "" : `, not all: ${first.reason}`})${notes}`;
}

/** Of a kernel that has none of a scenario's calls the first few say it. */
const MOST_NOTES = 3;

/** `; line 4: …; line 9: …; and 12 more of the kind`. */
export function notesText(view: Pick<KernelsView, "file">, column: KernelColumn): string {
  const notes = mergedNotes(column).map(({ message, places }) => `; ${linesOf(view, places)}: ${message}`);
  const more = notes.length > MOST_NOTES ? `; and ${notes.length - MOST_NOTES} more of the kind` : "";
  return `${notes.slice(0, MOST_NOTES).join("")}${more}`;
}

/** What is said of several lines is said once. */
function mergedNotes({ notes }: KernelColumn): { readonly message: string; readonly places: readonly Place[] }[] {
  const merged = new Map<string, Place[]>();
  for (const { message, ...place } of notes) merged.set(message, [...(merged.get(message) ?? []), place]);
  return [...merged].map(([message, places]) => ({ message, places }));
}

/** `line 7` · `lines 37, 38` · `lib.memfd:4`. */
function linesOf(view: Pick<KernelsView, "file">, places: readonly Place[]): string {
  const here = [...new Set(places.filter((place) => place.file === view.file).map((place) => place.line))];
  const elsewhere = places.filter((place) => place.file !== view.file).map((place) => `${place.file}:${place.line}`);
  return [...(here.length === 0 ? [] : [`line${here.length === 1 ? "" : "s"} ${here.join(", ")}`]), ...new Set(elsewhere)].join(", ");
}

/** A heading with the numbers of the groups at the right edge, as above each matrix. */
function matrixHead({ groups, cell }: Layout, title: string): string {
  return title.padEnd(WIDTH - groups.length * cell) + groups.map((_, number) => (cell === 0 ? "" : String(number + 1).padStart(cell))).join("");
}

/** Text beside its row of the matrix; what is longer goes on beneath. */
function matrixRow({ cell }: Layout, text: string, marks: readonly string[]): string[] {
  const width = marks.length * cell;
  if (cell > 0)
    return indented(text, 2, WIDTH - width - 1).map((line, at) =>
      at > 0 ? line : line.padEnd(WIDTH - width) + marks.map((mark) => mark.padStart(cell)).join(""),
    );
  const numbers = [...new Set(marks)]
    .filter((mark) => mark.trim() !== "")
    .map((mark) => `${mark} ${marks.flatMap((other, at) => (other === mark ? [at + 1] : [])).join(" ")}`);
  return [...indented(text, 2, WIDTH), ...indented(numbers.join(", "), 4, WIDTH)];
}

function calls(layout: Layout): string[] {
  const { view } = layout;
  if (view.calls.length === 0) return view.reference < 0 ? [] : [`Calls: ${view.agreed === 1 ? "the one call answers" : `all ${view.agreed} answer`} alike.`];
  const rest = view.agreed === 0 ? "" : ` (${view.agreed} more answer${view.agreed === 1 ? "s" : ""} alike)`;
  return [
    matrixHead(layout, "Calls that answer differently"),
    ...view.calls.flatMap((row) => callRow(layout, row)),
    ...(rest === "" ? [] : [`  ${rest.trim()}`]),
  ];
}

function callRow(layout: Layout, row: CallRow): string[] {
  const { view, groups } = layout;
  const marks = groups.map(([index]) => {
    const { answer, partial, wrong } = row.cells[index];
    return answer < 0 ? "-" : `${wrong ? "!" : ""}${LETTERS[answer] ?? "*"}${partial ? "?" : ""}`;
  });
  const head = matrixRow(layout, `${lineOf(view, row)}, ${row.actor}: ${row.call}`, marks);
  const legend = row.answers.flatMap((texts, number) => {
    const wrong = row.cells.some((cell) => cell.answer === number && cell.wrong);
    return beside(
      `      ${LETTERS[number] ?? "*"}  `,
      `${texts.length === 0 ? "never reached" : texts.join(" or ")}${wrong ? " (! not what the line expects)" : ""}`,
      9,
      WIDTH,
    );
  });
  return [...head, ...legend];
}

function violations(layout: Layout): string[] {
  const { view, groups } = layout;
  if (view.violations.length === 0) return [];
  const used = new Set(view.violations.flatMap((row) => row.cells.map((cell) => MARKS[cell.state])));
  const legend = LEGEND.filter(([mark]) => used.has(mark)).map(([mark, words]) => `${mark} ${words}`);
  return [
    matrixHead(layout, "Invariants that break"),
    ...view.violations.flatMap((row) => violationRow(layout, row, groups)),
    ...indented(legend.join(", "), 2, WIDTH),
  ];
}

function violationRow(layout: Layout, row: ViolationRow, groups: Layout["groups"]): string[] {
  const { view } = layout;
  const marks = groups.map(([index]) => MARKS[row.cells[index].state]);
  const steps = [...new Set(row.cells.flatMap((cell) => cell.step ?? []))].join(", ");
  const where = row.call === "" ? "" : `, ${lineOf(view, row)}, ${row.call}`;
  return matrixRow(layout, `${row.invariant}${steps === "" ? "" : ` at ${steps}`}${where}`, marks);
}

function expectations(layout: Layout): string[] {
  const { view, groups } = layout;
  if (view.expectations.length === 0) return [];
  const mark = (cell: string | null, index: number): string =>
    cell === null ? (view.kernels[index].verdict === "notRun" ? "-" : "?") : cell === "" ? "." : "x";
  const row = (each: ExpectationRow): string[] =>
    matrixRow(
      layout,
      `${lineOf(view, each)}, ${each.what}`,
      groups.map(([index]) => mark(each.cells[index], index)),
    );
  return [matrixHead(layout, "Expectations that do not hold"), ...view.expectations.flatMap(row)];
}

function divergences({ view }: Layout): string[] {
  if (view.divergences.length === 0) return [];
  const reference = view.kernels[view.reference].kernel;
  const told = mergedDivergences(view).flatMap(([members, each]) => divergence(view, reference, names(view, members), each));
  return [...wrap(`First step that differs from ${reference} (${orderOfCalls(view)})`, WIDTH, "  "), ...told];
}

/** Along which run the steps were compared. */
export const orderOfCalls = ({ story }: KernelsView): string =>
  story === undefined ? "the calls in the order of the text" : `the calls in the order of the story of ${story.invariant} under ${story.kernel}`;

/** Kernels of which the same is to be said, together; kernels of one group next to each other. */
export function mergedDivergences(view: KernelsView): (readonly [kernels: readonly number[], KernelDivergence])[] {
  const found = new Map<string, [number[], KernelDivergence]>();
  const group = (each: KernelDivergence): number => view.kernels[each.kernel].group;
  for (const each of [...view.divergences].sort((a, b) => group(a) - group(b) || a.kernel - b.kernel)) {
    const key = JSON.stringify([each.first, each.race, each.calls, each.reason], (name, value) =>
      name === "schedule" || name === "cursor" ? undefined : value,
    );
    const known = found.get(key);
    if (known) known[0].push(each.kernel);
    else found.set(key, [[each.kernel], each]);
  }
  return [...found.values()].map(([kernels, each]) => [kernels.sort((a, b) => a - b), each]);
}

function divergence(view: KernelsView, reference: string, kernels: string, each: KernelDivergence): string[] {
  if (each.first === undefined) return indented(`${kernels}: ${withoutParting(each)}`, 2, WIDTH);
  const more = each.calls - (each.race === undefined ? 1 : 2);
  return [
    ...parting(view, reference, kernels, kernels, each.first),
    ...(each.race === undefined ? [] : parting(view, reference, kernels, "and then, in parallel", each.race)),
    ...(more > 0 ? [`    (${counted(more, "more call")} with other steps)`] : []),
  ];
}

export const withoutParting = ({ reason }: KernelDivergence): string => (reason === undefined ? "no step differs" : `its steps are not compared: ${reason}`);

function parting(view: KernelsView, reference: string, kernels: string, head: string, call: DivergingCall): string[] {
  const silent = call.kind === "silent" ? "; no effect here" : "";
  const [short] = kernels.split(", ");
  const margin = 4 + Math.min(16, Math.max(reference.length, short.length)) + 2;
  const side = (kernel: string, own: Side, other: Side): string[] => beside(`    ${kernel.slice(0, 16)}`, sideText(own, other), margin, WIDTH);
  return [
    ...indented(`${head}: ${lineOf(view, call)}, ${call.actor}: ${call.call}${silent}`, 2, WIDTH),
    ...side(reference, call.left, call.right),
    ...side(short, call.right, call.left),
  ];
}

/** `truncate: page 0x1000 leaves the file (holding ram inode_lock)`. */
export function sideText(own: Side, other: Side): string {
  if (own.at === 0) return own.step === "" ? "takes no further step" : `waits at ${own.step}`;
  const result = own.result === undefined ? "" : `returns ${own.result}`.trimEnd();
  if (own.ended) return `${result === "" ? "returns" : result} after ${own.step}, and changes nothing more`;
  const locks = own.locks.length === 0 ? "" : ` (holding ${own.locks.join(", ")})`;
  const said = own.effect !== "" && own.effect !== other.effect ? [own.effect] : own.rows;
  const what = [...said, ...(own.result === other.result ? [] : [result])].filter((part) => part !== "").join("; ");
  return `${own.step}${locks}${what === "" ? "" : `: ${what}`}`;
}
