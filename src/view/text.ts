// The long form of a story in 80 columns (story.ts has the short one): everything that was set up, who took which step of which call, which rule breaks, and
// the page tables at that moment.

import { profile } from "../scenario/catalogue/index.ts";
import { sideBySide, table, wrap } from "./columns.ts";
import { cellKey } from "./diff.ts";
import type { Cell, ColumnId, FactRow, MachineView, PageRow, StateTable, TraceView, TraceViolation } from "./rows.ts";
import { actorName, callName, indent } from "./story-words.ts";

interface TextOptions {
  readonly width?: number;
}

const MAX_ROWS = 24;
const MAX_LANES = 3;

export function traceText(view: TraceView, options: TextOptions = {}): string {
  const width = options.width ?? 80;
  const told = view.violations.find((violation) => !violation.expected) ?? view.violations[0];
  const moment = told?.step ?? view.steps.length - 1;
  const sections = [
    heading(view, width),
    ...view.violations.map((violation) => violationText(view, violation, width)),
    ...story(view, width),
    moment >= 0 ? machineText(view, moment, width) : [],
    ending(view, width),
  ];
  return `${sections
    .filter((section) => section.length > 0)
    .map((section) => section.map((line) => line.trimEnd()).join("\n"))
    .join("\n\n")}\n`;
}

function heading(view: TraceView, width: number): string[] {
  const title = profile(view.kernel)?.title;
  const { base, changes } = view.variant ?? { base: view.kernel, changes: [] };
  const variant = view.variant === undefined ? [] : changes.length === 0 ? [`${view.kernel} is ${base}`] : [`${view.kernel} is ${base} with`];
  return [
    ...wrap(`"${view.scenario}"`, width, " "),
    ...wrap(`Kernel ${view.kernel}${title ? `: ${title}` : ""}`, width, "  "),
    ...indent(
      [
        ...variant.flatMap((line) => wrap(line, width - 4, "  ")),
        ...indent(
          changes.flatMap((line) => wrap(line, width - 6, "  ")),
          "  ",
        ),
      ],
      "    ",
    ),
  ];
}

function stepName(view: TraceView, index: number): string {
  const step = view.steps[index];
  return `step ${index} (${actorName(view, step.actor)}, ${callName(step)}: ${step.step})`;
}

function violationText(view: TraceView, violation: TraceViolation, width: number): string[] {
  const lines = wrap(
    `${violation.invariant} breaks in ${stepName(view, violation.step)}, line ${violation.line}${violation.expected ? ", as the scenario expects" : ""}.`,
    width,
  );
  return [
    ...lines,
    ...indent(wrap(`Rule: ${violation.statement}`, width - 2, "  "), "  "),
    ...indent(wrap(`Here: ${violation.message}`, width - 2, "  "), "  "),
  ];
}

/** The steps in stretches that ran one after the other or at the same time. */
function stretches(view: TraceView): { parallel: boolean; from: number; to: number }[] {
  const found: { parallel: boolean; from: number; to: number }[] = [];
  view.steps.forEach((step, index) => {
    if (step.actor < 0) return;
    const last = found.at(-1);
    if (last && last.parallel === step.parallel) last.to = index + 1;
    else found.push({ parallel: step.parallel, from: index, to: index + 1 });
  });
  return found;
}

function story(view: TraceView, width: number): string[][] {
  return stretches(view).map((stretch, index) => {
    const indexes = Array.from({ length: stretch.to - stretch.from }, (_, step) => stretch.from + step);
    if (!stretch.parallel) return [index === 0 ? "First, one after the other:" : "Then, one after the other:", "", ...sequence(view, indexes, width)];
    const actors = [...new Set(indexes.map((step) => view.steps[step].actor))].sort((a, b) => a - b);
    const names = actors.map((actor) => actorName(view, actor));
    if (actors.length === 1) return [`Then, at the same time as others, ${names[0]} alone gets to run:`, "", ...list(view, indexes, width)];
    const intro = wrap(`Then ${names.slice(0, -1).join(", ")} and ${names.at(-1)} run at the same time:`, width);
    return [...intro, "", ...(actors.length <= MAX_LANES ? lanes(view, indexes, actors, width) : list(view, indexes, width))];
  });
}

/** Calls outside `parallel`: one line each, with the atomic steps only where a rule breaks in them. */
function sequence(view: TraceView, indexes: readonly number[], width: number): string[] {
  const calls = runsOfCalls(view, indexes);
  const ranges = calls.map((steps) => (steps.length === 1 ? `${steps[0]}` : `${steps[0]}-${steps[steps.length - 1]}`));
  const numbers = Math.max(...ranges.map((range) => range.length));
  const names = Math.max(...calls.map((steps) => actorName(view, view.steps[steps[0]].actor).length));
  const margin = numbers + names + 6;
  return calls.flatMap((steps, number) => {
    const first = view.steps[steps[0]];
    const result = steps.map((step) => view.steps[step].result).findLast((each) => each !== undefined);
    const head = `  ${ranges[number].padStart(numbers)}  ${actorName(view, first.actor).padEnd(names)}  `;
    const text = wrap(`${first.call}${result ? ` = ${result}` : ""}`, width - margin, "    ");
    const broken = steps.some((step) => view.steps[step].violations.length > 0);
    const detail = broken ? steps.flatMap((step) => stepLines(view, step, width - margin - 2)) : [];
    return [...text.map((line, index) => (index === 0 ? head : " ".repeat(margin)) + line), ...indent(detail, " ".repeat(margin + 2))];
  });
}

function runsOfCalls(view: TraceView, indexes: readonly number[]): number[][] {
  const calls: number[][] = [];
  for (const index of indexes) {
    const last = calls.at(-1);
    if (last && view.steps[last[0]].callId === view.steps[index].callId) last.push(index);
    else calls.push([index]);
  }
  return calls;
}

/** One atomic step: its name, what it did, and the rules that it breaks. */
function stepLines(view: TraceView, index: number, width: number): string[] {
  const step = view.steps[index];
  const broken = step.violations.map((violation) => view.violations[violation]?.invariant).filter((name) => name !== undefined);
  return [
    ...wrap(step.effect ? `${step.step}: ${step.effect}` : step.step, width, "  "),
    ...broken.flatMap((name) => wrap(`!! ${name} breaks here`, width, "   ")),
  ];
}

/** All steps below each other, each with its actor. */
function list(view: TraceView, indexes: readonly number[], width: number): string[] {
  const margin = Math.max(...indexes.map((index) => actorName(view, view.steps[index].actor).length)) + 2;
  let call = -1;
  return indexes.flatMap((index) => {
    const step = view.steps[index];
    const room = width - 5 - margin;
    const head = step.callId === call ? [] : wrap(step.call, room, "    ");
    call = step.callId;
    const tail = step.result ? [`= ${step.result}`] : [];
    const block = [...head, ...indent([...stepLines(view, index, room - 2), ...tail], "  ")];
    return block.map(
      (line, number) =>
        (number === head.length ? `${index}`.padStart(4) : "    ") + (number === 0 ? ` ${actorName(view, step.actor)}` : "").padEnd(margin + 1) + line,
    );
  });
}

/** One lane per actor, time downwards, as commit messages draw a race. */
function lanes(view: TraceView, indexes: readonly number[], actors: readonly number[], width: number): string[] {
  const gap = 2;
  const lane = Math.floor((width - 4 - gap * actors.length) / actors.length);
  const widths = [4, ...actors.map(() => lane)];
  const names = actors.map((actor) => [actorName(view, actor), "-".repeat(lane)]);
  const lines = sideBySide([["", ""], ...names], widths, gap);
  const calls = new Map<number, number>();
  for (const index of indexes) {
    const step = view.steps[index];
    const head = calls.get(step.actor) === step.callId ? [] : wrap(step.call, lane, "    ");
    calls.set(step.actor, step.callId);
    const block = [...head, ...indent(stepLines(view, index, lane - 2), "  "), ...(step.result ? wrap(`= ${step.result}`, lane, "  ") : [])];
    const number = [...head.map(() => ""), `${index}`.padStart(4)];
    lines.push(...sideBySide([number, ...actors.map((actor) => (actor === step.actor ? block : []))], widths, gap));
  }
  return lines;
}

function machineText(view: TraceView, moment: number, width: number): string[] {
  const step = view.steps[moment];
  const when = step.actor < 0 ? "before anything ran" : `after ${stepName(view, moment)}`;
  const changed = new Set(step.changed);
  return [
    ...wrap(`Memory ${when}:`, width),
    "",
    ...pageTable(view, step.machine, changed, width),
    ...blame(view, moment, width),
    ...(step.machine.tables ?? []).flatMap((each) => stateTable(each, changed, width)),
    ...factLines(step.machine.facts, changed, width),
  ];
}

const isEmpty = (cell: Cell | undefined): boolean => cell === undefined || cell.text === "";

/** The rows to show, and the columns that say anything in them. */
function pageTable(view: TraceView, machine: MachineView, changed: ReadonlySet<string>, width: number): string[] {
  const touched = (row: PageRow): boolean => view.columns.some(({ id }) => row.cells[id]?.broken !== undefined || changed.has(`${row.key}/${id}`));
  const filled = machine.pages.filter((row) => view.columns.some(({ id }) => !isEmpty(row.cells[id])));
  const rows = filled.length <= MAX_ROWS ? filled : filled.filter(touched).slice(0, MAX_ROWS);
  if (rows.length === 0) return [filled.length === 0 ? "  (no page is mapped or allocated)" : `  (${filled.length} rows, none changed)`];
  const columns = view.columns.filter(({ id }) => rows.some((row) => !isEmpty(row.cells[id])));
  const mark = (row: PageRow, id: ColumnId): string => {
    const cell = row.cells[id];
    const text = isEmpty(cell) ? "-" : cell.text;
    return `${text}${cell?.broken ? "!" : ""}${changed.has(`${row.key}/${id}`) ? "*" : ""}`;
  };
  const spaces = new Set(rows.map((row) => row.space)).size > 1;
  const headings = [...(spaces ? [""] : []), "address", ...columns.map((column) => column.title)];
  const body = rows.map((row) => [...(spaces ? [row.space] : []), row.label, ...columns.map(({ id }) => mark(row, id))]);
  const anyBroken = rows.some((row) => columns.some(({ id }) => row.cells[id]?.broken));
  const anyChanged = rows.some((row) => columns.some(({ id }) => changed.has(`${row.key}/${id}`)));
  const legend = [anyBroken ? "! breaks the rule" : "", anyChanged ? "* changed by this step" : ""].filter((each) => each !== "").join("   ");
  return [
    ...indent(table(headings, body, width - 2), "  "),
    ...(rows.length < filled.length ? [`  (${filled.length - rows.length} more rows, unchanged)`] : []),
    ...(legend ? ["", `  ${legend}`] : []),
  ];
}

/** A table of the TDX module; the rows of a tree are set in by their level. */
function stateTable({ title, columns, rows }: StateTable, changed: ReadonlySet<string>, width: number): string[] {
  const used = columns.slice(1).filter(({ id }) => rows.some((row) => !isEmpty(row.cells[id])));
  const body = rows.map((row) => [
    `${".".repeat(row.depth ?? 0)}${row.label}`,
    ...used.map(({ id }) => {
      const cell = row.cells[id];
      return `${isEmpty(cell) ? "-" : cell.text}${cell?.broken ? "!" : ""}${changed.has(cellKey(row.key, id)) ? "*" : ""}`;
    }),
  ]);
  return ["", `  ${title}`, ...indent(table([columns[0].title, ...used.map((column) => column.title)], body, width - 4), "    ")];
}

/** For each cell that breaks a rule: what it holds and which step made it so. */
function blame(view: TraceView, moment: number, width: number): string[] {
  const lines: string[] = [];
  for (const row of view.steps[moment].machine.pages) {
    for (const { id, title } of view.columns) {
      const cell = row.cells[id];
      if (!cell?.broken) continue;
      let last = moment;
      while (last > 0 && !view.steps[last].changed.includes(`${row.key}/${id}`)) last -= 1;
      const origin = last > 0 ? `; since ${stepName(view, last)}, line ${view.steps[last].line}` : "";
      lines.push(...wrap(`- ${title} of ${row.label}: ${cell.detail ?? cell.text}${origin}`, width - 2, "  "));
    }
  }
  return lines.length === 0 ? [] : ["", ...indent(lines, "  ")];
}

function factLines(facts: readonly FactRow[], changed: ReadonlySet<string>, width: number): string[] {
  if (facts.length === 0) return [];
  const rows = facts.filter((fact) => fact.value !== "").slice(0, MAX_ROWS * 2);
  const margin = Math.min(30, Math.max(...rows.map((fact) => fact.name.length), 0)) + 4;
  const text = rows.flatMap((fact) =>
    wrap(`${fact.value}${changed.has(fact.key) ? " *" : ""}`, width - margin).map(
      (line, number) => (number === 0 ? `  ${wrap(fact.name, margin - 4)[0]}`.padEnd(margin) : " ".repeat(margin)) + line,
    ),
  );
  return text.length === 0 ? [] : ["", ...text];
}

function ending(view: TraceView, width: number): string[] {
  return [
    ...wrap(`Verdict: ${view.verdict}. ${view.summary}`, width),
    ...wrap("The steps are those of a model of this kernel, sequentially consistent; time and memory barriers are not modelled.", width),
    ...(view.schedule ? wrap(`Schedule: ${view.schedule}`, width, "  ") : []),
  ];
}
