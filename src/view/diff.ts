// What one step changed in the machine, cell by cell, and which step last changed a cell (blame). Keys are those of `TraceStep.changed`.

import { type Cell, type MachineView, PAGE_COLUMNS, type PageRow, type StateRow, type StateTable, type TraceStep } from "./rows.ts";

/** `rowKey/columnId`. Row keys may hold slashes themselves; column ids do not. */
export const cellKey = (row: string, column: string): string => `${row}/${column}`;

export interface Change {
  readonly key: string;
  /** Text before and after; undefined where the row or fact was not there. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

const COLUMNS = PAGE_COLUMNS.map(({ id }) => id);

/** Changed cells in the order of the tables, then changed facts. A row that appears or goes counts with its non-empty cells. */
export function diffMachines(before: MachineView, after: MachineView): Change[] {
  const changes: Change[] = [];
  diffRows(before.pages, after.pages, COLUMNS, changes);
  const tables = new Map((before.tables ?? []).map((table) => [table.id, table]));
  for (const table of after.tables ?? []) {
    diffRows(tables.get(table.id)?.rows ?? [], table.rows, columnsOf(table), changes);
    tables.delete(table.id);
  }
  for (const table of tables.values()) diffRows(table.rows, [], columnsOf(table), changes);
  const facts = new Map(before.facts.map((fact) => [fact.key, fact.value]));
  for (const fact of after.facts) {
    const value = facts.get(fact.key);
    if (value !== fact.value) changes.push({ key: fact.key, before: value, after: fact.value });
    facts.delete(fact.key);
  }
  for (const [key, value] of facts) changes.push({ key, before: value, after: undefined });
  return changes;
}

const columnsOf = ({ columns }: StateTable): string[] => columns.slice(1).map(({ id }) => id);

type Row = Pick<PageRow | StateRow, "key"> & { readonly cells: Readonly<Record<string, Cell>> };

function diffRows(before: readonly Row[], after: readonly Row[], columns: readonly string[], into: Change[]): void {
  const old = new Map(before.map((row) => [row.key, row]));
  for (const row of after) {
    diffRow(row.key, old.get(row.key), row, columns, into);
    old.delete(row.key);
  }
  for (const row of old.values()) diffRow(row.key, row, undefined, columns, into);
}

function diffRow(key: string, before: Row | undefined, after: Row | undefined, columns: readonly string[], into: Change[]): void {
  for (const id of columns) {
    const was = before?.cells[id];
    const is = after?.cells[id];
    if (!sameCell(was, is)) into.push({ key: cellKey(key, id), before: was?.text, after: is?.text });
  }
}

/** Cells of tables that say who holds a lock: what changes them comes and goes with every call. */
export const isLockKey = (key: string): boolean => key.endsWith("/lock") || key.startsWith("td/locks/");

/** `broken` is a verdict about the cell, not its content: a cell that another step's deed makes wrong has not itself changed. */
function sameCell(a: Cell | undefined, b: Cell | undefined): boolean {
  return (a?.text ?? "") === (b?.text ?? "") && (a?.detail ?? "") === (b?.detail ?? "");
}

export function changedKeys(before: MachineView, after: MachineView): string[] {
  return diffMachines(before, after).map((change) => change.key);
}

/** Answers which step last changed a cell or fact. Built once per trace, so that moving over a table costs no walk over the steps. */
export class Blame {
  readonly #steps = new Map<string, number[]>();

  constructor(steps: readonly Pick<TraceStep, "changed">[]) {
    steps.forEach((step, index) => {
      for (const key of step.changed) {
        const list = this.#steps.get(key);
        if (list === undefined) this.#steps.set(key, [index]);
        else if (list[list.length - 1] !== index) list.push(index);
      }
    });
  }

  /** The latest step up to and with `at` that changed `key`; undefined where it is as it was in the beginning. */
  last(key: string, at: number): number | undefined {
    const list = this.#steps.get(key) ?? [];
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] <= at) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : list[low - 1];
  }
}
