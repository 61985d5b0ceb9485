// The tables below the pages, of the TDX module: secure EPTs by level, PAMT, TDs, vCPUs, key ids. One tab stop for all of them, arrows walk the cells and from one
// table to the next; one line says which step last changed the cell that is looked at.

import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { type Blame, cellKey } from "../view/diff.ts";
import type { StateRow, StateTable, TraceView } from "../view/rows.ts";
import { cellLook } from "./cells.ts";
import { nextCell, stop } from "./pages.ts";
import { blameSentence } from "./words.ts";

/** A table by its id; row 0 is its head, column 0 the head of each row. */
export interface StatePlace {
  readonly table: string;
  readonly row: number;
  readonly column: number;
}

export class StateTables extends LitElement {
  static override properties = {
    trace: { attribute: false },
    blame: { attribute: false },
    cursor: { type: Number },
    focusAt: { state: true },
    looked: { state: true },
  };

  declare trace: TraceView;
  declare blame: Blame;
  declare cursor: number;
  /** The one tab stop; without one it is the first cell of the first table. */
  declare focusAt: StatePlace | undefined;
  declare looked: StatePlace | undefined;
  #chosen: StatePlace | undefined;

  constructor() {
    super();
    this.cursor = 0;
    this.focusAt = this.looked = undefined;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  get #tables(): readonly StateTable[] {
    return this.trace.steps[this.cursor]?.machine.tables ?? [];
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("trace")) this.focusAt = this.looked = this.#chosen = undefined;
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
    return html`<section class="state-tables" aria-label="TDX module" @keydown=${this.#key} @focusin=${this.#focused} @mouseover=${this.#hovered} @mouseleave=${() => {
      this.looked = this.#chosen;
      this.#tellCause();
    }}>${tables.map((table) => this.#table(table, before, changed))}${this.#blameLine()}</section>`;
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

  get #at(): StatePlace {
    return this.focusAt ?? { table: this.#tables[0]?.id ?? "", row: 1, column: 1 };
  }

  #stop(table: string, row: number, column: number): number {
    const at = this.#at;
    return at.table === table && at.row === row && at.column === column ? 0 : -1;
  }

  #blameLine(): TemplateResult {
    const chosen = this.#lookedKey();
    const blamed = chosen === undefined ? undefined : this.blame.last(chosen.key, this.cursor);
    return html`<div class="blame" id="state-blame">${
      chosen === undefined
        ? html`<span class="quiet">Point at a cell to see which step last changed it; Enter goes there.</span>`
        : html`<span>${blameSentence(this.trace, chosen.what, blamed, this.cursor)}${
            blamed === undefined || blamed === 0 || blamed === this.cursor
              ? nothing
              : html` <button class="link" @click=${() => this.#goTo(blamed)}>go there</button>`
          }${chosen.detail ? html` <span class="quiet">· ${chosen.detail}</span>` : nothing}</span>`
    }</div>`;
  }

  #lookedKey(): { key: string; what: string; detail: string | undefined } | undefined {
    const { looked } = this;
    const table = this.#tables.find(({ id }) => id === looked?.table);
    if (looked === undefined || table === undefined || looked.row === 0 || looked.column === 0) return undefined;
    const row = table.rows[looked.row - 1];
    const column = table.columns[looked.column];
    if (row === undefined || column === undefined) return undefined;
    return { key: cellKey(row.key, column.id), what: `${table.title}, ${column.title} of ${row.label}`, detail: row.cells[column.id]?.detail };
  }

  #focused(event: Event): void {
    const at = placeOf(event.target);
    if (at === undefined) return;
    this.focusAt = this.looked = this.#chosen = at;
    this.#tellCause();
  }

  #hovered(event: Event): void {
    const at = placeOf(event.target);
    if (at === undefined) return;
    this.looked = at;
    this.#tellCause();
  }

  #tellCause(): void {
    const chosen = this.#lookedKey();
    const step = chosen === undefined ? undefined : this.blame.last(chosen.key, this.cursor);
    this.dispatchEvent(new CustomEvent("memfd-cause", { detail: step ?? -1, bubbles: true }));
  }

  #goTo(step: number): void {
    this.dispatchEvent(new CustomEvent("memfd-go", { detail: step, bubbles: true }));
  }

  #key(event: KeyboardEvent): void {
    const at = placeOf(event.target);
    if (at === undefined) return;
    if (event.key === "Enter") {
      const chosen = this.#lookedKey();
      const step = chosen === undefined ? undefined : this.blame.last(chosen.key, this.cursor);
      if (step !== undefined) this.#goTo(step);
      return stop(event);
    }
    if (event.shiftKey || event.altKey || event.metaKey) return;
    const next = this.#next(event, at);
    if (next === undefined) return;
    stop(event);
    this.focusAt = next;
    void this.updateComplete.then(() => this.querySelector<HTMLElement>(`[data-state="${next.table} ${next.row} ${next.column}"]`)?.focus());
  }

  /** Where an arrow leads: a column that is not shown is passed over, and behind the last row comes the next table. */
  #next(event: KeyboardEvent, at: StatePlace): StatePlace | undefined {
    const tables = this.#tables;
    const index = tables.findIndex(({ id }) => id === at.table);
    const table = tables[index];
    if (table === undefined) return undefined;
    const shown = table.columns.map((_, column) => column).filter((column) => this.querySelector(`[data-state="${at.table} 0 ${column}"]`) !== null);
    const place = nextCell(event.key, event.ctrlKey, at.row, shown.indexOf(at.column), table.rows.length, shown.length - 1);
    if (place === undefined) return undefined;
    const stays = place.row === at.row && shown[place.column] === at.column;
    const beyond = event.key === "ArrowDown" ? tables[index + 1] : event.key === "ArrowUp" ? tables[index - 1] : undefined;
    if (stays && beyond) return { table: beyond.id, row: event.key === "ArrowDown" ? 0 : beyond.rows.length, column: 0 };
    return { table: at.table, row: place.row, column: shown[place.column] };
  }
}

function placeOf(target: EventTarget | null): StatePlace | undefined {
  const at = target instanceof Element ? target.closest<HTMLElement>("[data-state]")?.dataset.state : undefined;
  if (at === undefined) return undefined;
  const [table, row, column] = at.split(" ");
  return { table, row: Number(row), column: Number(column) };
}

customElements.define("memfd-state", StateTables);
