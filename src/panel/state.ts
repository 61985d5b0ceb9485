// The tables below the pages, of the TDX module: secure EPTs by level, PAMT, TDs, vCPUs, key ids. One tab stop for all of them, arrows walk the cells and from
// one table to the next; one line says which step last changed the cell that is looked at.

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { cellKey } from "../view/diff.ts";
import type { StateRow, StateTable } from "../view/rows.ts";
import { cellLook } from "./cells.ts";
import { type GridPlace, nextCell } from "./grid.ts";
import { type BlamedCell, TraceTable } from "./trace-table.ts";

/** In one of the tables, by its id. */
interface StatePlace extends GridPlace {
  readonly table: string;
}

class StateTables extends TraceTable<StatePlace> {
  get #tables(): readonly StateTable[] {
    return this.trace.steps[this.cursor]?.machine.tables ?? [];
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    super.willUpdate(changed);
    if (changed.has("trace")) this.focusAt = undefined;
    const at = this.focusAt;
    const table = at && this.#tables.find(({ id }) => id === at.table);
    if (at && table && at.row > table.rows.length) this.focusAt = { ...at, row: table.rows.length };
    if (at && !table) this.focusAt = undefined;
  }

  protected override render(): TemplateResult | typeof nothing {
    const tables = this.#tables;
    if (tables.length === 0) return nothing;
    const before = new Map((this.trace.steps[this.cursor - 1]?.machine.tables ?? []).flatMap((table) => table.rows.map((row) => [row.key, row])));
    const changed = new Set(this.trace.steps[this.cursor]?.changed ?? []);
    return html`<section class="state-tables" aria-label="TDX module" @keydown=${this.onKey} @focusin=${this.onFocus} @mouseover=${this.onHover}
      @mouseleave=${this.onLeave}>${tables.map((table) => this.#table(table, before, changed))}${this.blameLine("state-blame")}</section>`;
  }

  #table(table: StateTable, before: ReadonlyMap<string, StateRow>, changed: ReadonlySet<string>): TemplateResult {
    const { id, title, help, columns, rows } = table;
    // A column in which nothing stands at any row says nothing.
    const used = columns
      .map((column, at) => ({ column, at }))
      .filter(({ column, at }) => at === 0 || rows.some((row) => (row.cells[column.id]?.text ?? "") !== ""));
    return html`<div class="state-table" data-table=${id}><h2 id="state-${id}" title=${help}>${title}</h2>
      <div class="state-view"><table role="grid" aria-labelledby="state-${id}" aria-rowcount=${rows.length + 1} aria-colcount=${used.length}>
        <thead><tr role="row" aria-rowindex="1">${used.map(
          ({ column, at }) => html`<th scope="col" role="columnheader" data-state="${id} 0 ${at}" tabindex=${this.#stop(id, 0, at)}
            title=${column.help}>${column.title || html`<span class="hidden">field</span>`}<span class="hidden">: ${column.help}</span></th>`,
        )}</tr></thead>
        <tbody>${rows.map((row, index) => this.#row(table, row, index + 1, used, before.get(row.key), changed))}</tbody>
      </table></div></div>`;
  }

  #row(
    { id }: StateTable,
    row: StateRow,
    at: number,
    used: readonly { readonly column: StateTable["columns"][number]; readonly at: number }[],
    before: StateRow | undefined,
    changed: ReadonlySet<string>,
  ): TemplateResult {
    const depth = Math.min(row.depth ?? 0, 4);
    return html`<tr role="row" aria-rowindex=${at + 1}>
      <th scope="row" role="rowheader" class=${depth > 0 ? `depth-${depth}` : nothing} data-state="${id} ${at} 0" tabindex=${this.#stop(id, at, 0)}
        aria-label=${row.depth === undefined ? nothing : `${row.label}, ${row.depth} below the root`}><code>${row.label}</code></th>
      ${used.slice(1).map(({ column, at: place }) => {
        const key = cellKey(row.key, column.id);
        const { content, classes, title } = cellLook(this.trace, row.cells[column.id] ?? { text: "" }, before?.cells[column.id]?.text ?? "", changed.has(key));
        const isStop = this.#stop(id, at, place) === 0;
        return html`<td role="gridcell" data-state="${id} ${at} ${place}" tabindex=${isStop ? 0 : -1} title=${title || nothing}
          aria-describedby=${isStop ? "state-blame" : nothing} class=${classes}>${content}</td>`;
      })}</tr>`;
  }

  #stop(table: string, row: number, column: number): 0 | -1 {
    return this.tabIndexOf({ table, row, column });
  }

  protected override get firstStop(): StatePlace {
    return { table: this.#tables[0]?.id ?? "", row: 1, column: 1 };
  }

  protected override placeOf(target: EventTarget | null): StatePlace | undefined {
    const at = target instanceof Element ? target.closest<HTMLElement>("[data-state]")?.dataset.state : undefined;
    if (at === undefined) return undefined;
    const [table, row, column] = at.split(" ");
    return { table, row: Number(row), column: Number(column) };
  }

  protected override selectorOf({ table, row, column }: StatePlace): string {
    return `[data-state="${table} ${row} ${column}"]`;
  }

  protected override cellAt(place: StatePlace): BlamedCell | undefined {
    const table = this.#tables.find(({ id }) => id === place.table);
    const row = table?.rows[place.row - 1];
    const column = table?.columns[place.column];
    if (table === undefined || row === undefined || column === undefined) return undefined;
    return { key: cellKey(row.key, column.id), what: `${table.title}, ${column.title} of ${row.label}`, detail: row.cells[column.id]?.detail };
  }

  /** A column that is not shown is passed over, and behind the last row comes the next table. */
  protected override nextOf(event: KeyboardEvent, at: StatePlace): StatePlace | undefined {
    const tables = this.#tables;
    const index = tables.findIndex(({ id }) => id === at.table);
    const table = tables[index];
    if (table === undefined) return undefined;
    const shown = table.columns
      .map((_, column) => column)
      .filter((column) => this.querySelector(this.selectorOf({ table: at.table, row: 0, column })) !== null);
    const place = nextCell(event, { row: at.row, column: shown.indexOf(at.column) }, { row: table.rows.length, column: shown.length - 1 });
    if (place === undefined) return undefined;
    const stays = place.row === at.row && shown[place.column] === at.column;
    const beyond = event.key === "ArrowDown" ? tables[index + 1] : event.key === "ArrowUp" ? tables[index - 1] : undefined;
    if (stays && beyond) return { table: beyond.id, row: event.key === "ArrowDown" ? 0 : beyond.rows.length, column: 0 };
    return { table: at.table, row: place.row, column: shown[place.column] };
  }
}

customElements.define("memfd-state", StateTables);
