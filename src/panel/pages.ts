// The page table: a row per guest or file page, a column per owner, as an ARIA grid with one tab stop. Changed cells show what they were;
// the cell under the pointer or the focus answers which step last changed it.

import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { type Blame, cellKey } from "../view/diff.ts";
import type { Cell, ColumnId, PageRow, TraceView } from "../view/rows.ts";
import { cellLook } from "./cells.ts";
import { blameSentence } from "./words.ts";

export interface CellChoice {
  readonly row: number;
  readonly column: number;
}

export class Pages extends LitElement {
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
  /** The one tab stop: row 0 is the header, column 0 the address. */
  declare focusAt: CellChoice;
  /** What the blame line speaks of: the hovered cell, else the one that was focused or clicked last. */
  declare looked: CellChoice | undefined;
  #chosen: CellChoice | undefined;
  #scrolled = -1;

  constructor() {
    super();
    this.cursor = 0;
    this.focusAt = { row: 1, column: 1 };
    this.looked = undefined;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  get #rows(): readonly PageRow[] {
    return this.trace.steps[this.cursor]?.machine.pages ?? [];
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    const rows = this.#rows.length;
    if (this.focusAt.row > rows) this.focusAt = { row: Math.max(0, rows), column: this.focusAt.column };
    if (changed.has("trace")) this.looked = this.#chosen = undefined;
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
    return html`<div class="pages-view" @keydown=${this.#key} @focusin=${this.#focused} @mouseover=${this.#hovered} @mouseleave=${() => {
      this.looked = this.#chosen;
      this.#tellCause();
    }}>
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
    ${this.#blameLine()}`;
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

  #stop(row: number, column: number): number {
    return row === this.focusAt.row && column === this.focusAt.column ? 0 : -1;
  }

  #blameLine(): TemplateResult {
    const chosen = this.#lookedKey();
    const blamed = chosen === undefined ? undefined : this.blame.last(chosen.key, this.cursor);
    const detail = chosen?.cell?.detail;
    return html`<div class="blame" id="blame-line">${
      chosen === undefined
        ? html`<span class="quiet">Point at a cell to see which step last changed it; Enter goes there.</span>`
        : html`<span>${blameSentence(this.trace, chosen.what, blamed, this.cursor)}${
            blamed === undefined || blamed === 0 || blamed === this.cursor
              ? nothing
              : html` <button class="link" @click=${() => this.#goTo(blamed)}>go there</button>`
          }${detail ? html` <span class="quiet">· ${detail}</span>` : nothing}</span>`
    }</div>`;
  }

  #lookedKey(): { key: string; what: string; cell: Cell | undefined } | undefined {
    const { looked } = this;
    if (looked === undefined || looked.row === 0 || looked.column === 0) return undefined;
    const row = this.#rows[looked.row - 1];
    const column = this.trace.columns[looked.column - 1];
    if (row === undefined || column === undefined) return undefined;
    return { key: cellKey(row.key, column.id), what: `${column.title} of ${row.label}`, cell: row.cells[column.id] };
  }

  #focused(event: Event): void {
    const at = choiceOf(event.target);
    if (at === undefined) return;
    this.focusAt = at;
    this.looked = this.#chosen = at;
    this.#tellCause();
  }

  #hovered(event: Event): void {
    const at = choiceOf(event.target);
    if (at === undefined || (at.row === this.looked?.row && at.column === this.looked.column)) return;
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

  /** Arrows walk the cells (`,` and `.` step in time here); what is handled does not reach the panel's own keys. */
  #key(event: KeyboardEvent): void {
    const rows = this.#rows.length;
    const columns = this.trace.columns.length;
    const { row, column } = this.focusAt;
    if (event.key === "Enter") {
      const chosen = this.#lookedKey();
      const step = chosen === undefined ? undefined : this.blame.last(chosen.key, this.cursor);
      if (step !== undefined) this.#goTo(step);
      return stop(event);
    }
    if (event.shiftKey || event.altKey || event.metaKey) return;
    const next = nextCell(event.key, event.ctrlKey, row, column, rows, columns);
    if (next === undefined) return;
    stop(event);
    this.focusAt = next;
    void this.updateComplete.then(() => this.querySelector<HTMLElement>(`[data-at="${next.row}/${next.column}"]`)?.focus());
  }
}

export function nextCell(key: string, control: boolean, row: number, column: number, rows: number, columns: number): CellChoice | undefined {
  switch (key) {
    case "ArrowLeft":
      return { row, column: Math.max(0, column - 1) };
    case "ArrowRight":
      return { row, column: Math.min(columns, column + 1) };
    case "ArrowUp":
      return { row: Math.max(0, row - 1), column };
    case "ArrowDown":
      return { row: Math.min(rows, row + 1), column };
    case "Home":
      return { row: control ? 0 : row, column: 0 };
    case "End":
      return { row: control ? rows : row, column: columns };
    default:
      return undefined;
  }
}

/** A range may break after its dash, so that one far address does not widen the column. */
function breakable(label: string): TemplateResult {
  return html`${label.split("–").map((part, index) => (index === 0 ? part : html`–<wbr />${part}`))}`;
}

export function choiceOf(target: EventTarget | null): CellChoice | undefined {
  const at = target instanceof Element ? target.closest<HTMLElement>("[data-at]")?.dataset.at : undefined;
  if (at === undefined) return undefined;
  const [row, column] = at.split("/").map(Number);
  return { row, column };
}

export function stop(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}

customElements.define("memfd-pages", Pages);
