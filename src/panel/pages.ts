// The page table: a row per guest or file page, a column per owner, as an ARIA grid with one tab stop. Changed cells show what they were;
// the cell under the pointer or the focus answers which step last changed it.

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { cellKey } from "../view/diff.ts";
import type { Cell, ColumnId, PageRow } from "../view/rows.ts";
import { cellLook } from "./cells.ts";
import { type GridPlace, gridPlaceOf, nextCell } from "./grid.ts";
import { type BlamedCell, TraceTable } from "./trace-table.ts";

class Pages extends TraceTable<GridPlace> {
  #scrolled = -1;

  get #rows(): readonly PageRow[] {
    return this.trace.steps[this.cursor]?.machine.pages ?? [];
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    super.willUpdate(changed);
    const { row, column } = this.focusAt ?? this.firstStop;
    if (row > this.#rows.length) this.focusAt = { row: this.#rows.length, column };
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("cursor") && this.#scrolled !== this.cursor) this.#showChange();
  }

  /** Brings the first broken or changed cell into the table's own scroll area; the page itself stays where it is. */
  #showChange(): void {
    this.#scrolled = this.cursor;
    const view = this.querySelector<HTMLElement>(".pages-view");
    const cell = this.querySelector<HTMLElement>("td.broken") ?? this.querySelector<HTMLElement>("td.changed");
    if (view === null || cell === null || view.contains(document.activeElement)) return;
    const head = this.querySelector("thead")?.clientHeight ?? 0;
    const side = this.querySelector<HTMLElement>("tbody th")?.offsetWidth ?? 0;
    const outer = view.getBoundingClientRect();
    const inner = cell.getBoundingClientRect();
    if (inner.top < outer.top + head) view.scrollTop -= outer.top + head - inner.top;
    else if (inner.bottom > outer.bottom) view.scrollTop += inner.bottom - outer.bottom;
    if (inner.left < outer.left + side) view.scrollLeft -= outer.left + side - inner.left;
    else if (inner.right > outer.right) view.scrollLeft += inner.right - outer.right;
  }

  protected override render(): TemplateResult {
    const { columns } = this.trace;
    const rows = this.#rows;
    const before = new Map((this.trace.steps[this.cursor - 1]?.machine.pages ?? []).map((row) => [row.key, row]));
    const changed = new Set(this.trace.steps[this.cursor]?.changed ?? []);
    const spaces = new Set(rows.map((row) => row.space)).size > 1;
    return html`<div class="pages-view" @keydown=${this.onKey} @focusin=${this.onFocus} @mouseover=${this.onHover} @mouseleave=${this.onLeave}>
      <table role="grid" aria-label="Pages across all owners" aria-rowcount=${rows.length + 1} aria-colcount=${columns.length + 1}>
        <thead><tr role="row" aria-rowindex="1">
          <th scope="col" role="columnheader" data-at="0/0" tabindex=${this.#stop(0, 0)} title="guest physical address or file offset">page</th>
          ${columns.map(
            (column, index) => html`<th scope="col" role="columnheader" data-at="0/${index + 1}" tabindex=${this.#stop(0, index + 1)}
            title=${column.help}>${column.title}<span class="hidden">: ${column.help}</span></th>`,
          )}
        </tr></thead>
        <tbody>${rows.map((row, index) => this.#row(row, index + 1, before.get(row.key), changed, spaces))}</tbody>
      </table>
      ${rows.length === 0 ? html`<p class="quiet pad">No page is bound or mapped at this step.</p>` : nothing}
    </div>
    ${this.blameLine("blame-line")}`;
  }

  #row(row: PageRow, at: number, before: PageRow | undefined, changed: ReadonlySet<string>, spaces: boolean): TemplateResult {
    const { columns } = this.trace;
    const empty = columns.every(({ id }) => (row.cells[id]?.text ?? "") === "");
    return html`<tr role="row" aria-rowindex=${at + 1} class=${empty ? "empty" : ""}>
      <th scope="row" role="rowheader" data-at="${at}/0" tabindex=${this.#stop(at, 0)} title="${row.space} ${row.label}" aria-label="${row.space} ${row.label}">
        ${spaces ? html`<span class="space">${row.space}</span>` : nothing}<code>${breakable(row.label)}</code></th>
      ${columns.map(({ id }, index) => this.#cell(row, id, at, index + 1, before, changed.has(cellKey(row.key, id))))}
    </tr>`;
  }

  #cell(row: PageRow, id: ColumnId, at: number, column: number, beforeRow: PageRow | undefined, changed: boolean): TemplateResult {
    const cell: Cell = row.cells[id] ?? { text: "" };
    const { content, classes, title } = cellLook(this.trace, cell, beforeRow?.cells[id]?.text ?? "", changed);
    return html`<td role="gridcell" data-at="${at}/${column}" data-column=${id} tabindex=${this.#stop(at, column)} title=${title || nothing}
      aria-describedby=${this.#stop(at, column) === 0 ? "blame-line" : nothing} class=${classes}>${content}</td>`;
  }

  #stop(row: number, column: number): 0 | -1 {
    return this.tabIndexOf({ row, column });
  }

  protected override get firstStop(): GridPlace {
    return { row: 1, column: 1 };
  }

  protected override placeOf(target: EventTarget | null): GridPlace | undefined {
    return gridPlaceOf(target);
  }

  protected override selectorOf({ row, column }: GridPlace): string {
    return `[data-at="${row}/${column}"]`;
  }

  protected override cellAt({ row: at, column: place }: GridPlace): BlamedCell | undefined {
    const row = this.#rows[at - 1];
    const column = this.trace.columns[place - 1];
    if (row === undefined || column === undefined) return undefined;
    return { key: cellKey(row.key, column.id), what: `${column.title} of ${row.label}`, detail: row.cells[column.id]?.detail };
  }

  protected override nextOf(event: KeyboardEvent, at: GridPlace): GridPlace | undefined {
    return nextCell(event, at, { row: this.#rows.length, column: this.trace.columns.length });
  }
}

/** A range may break after its dash, so that one far address does not widen the column. */
function breakable(label: string): TemplateResult {
  return html`${label.split("–").map((part, index) => (index === 0 ? part : html`–<wbr />${part}`))}`;
}

customElements.define("memfd-pages", Pages);
