// The kernels side by side: a column for those that answer alike, a row per call, invariant and expectation on which they differ, as an ARIA grid with one tab
// stop; below it who is in which column, and the first step at which each kernel leaves the way of the one that the scenario names.

import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { fileName } from "../base/file-name.ts";
import type { KernelsView } from "../view/kernels.ts";
import type { DivergingCall, KernelDivergence } from "../view/kernels-diverge.ts";
import type { Side } from "../view/kernels-steps.ts";
import { mergedDivergences, orderOfCalls, sideText, withoutParting } from "../view/kernels-text.ts";
import type { FromPanel } from "../view/messages.ts";
import { type GridPlace, gridPlaceOf, nextCell, stop } from "./grid.ts";
import { icon } from "./icons.ts";
import {
  alike,
  columnDetail,
  columnsOf,
  groupDetail,
  SECTIONS,
  statesOf,
  summaryOf,
  type TableCell,
  type TableRow,
  tableRows,
  VERDICT_WORDS,
} from "./kernels-words.ts";

export class Kernels extends LitElement {
  static override properties = {
    view: { attribute: false },
    focusAt: { state: true },
    looked: { state: true },
  };

  declare view: KernelsView;
  /** The one tab stop: row 0 is the header, column 0 the call. */
  declare focusAt: GridPlace;
  /** What the line beneath the table speaks of. */
  declare looked: GridPlace | undefined;
  #rows: readonly TableRow[] = [];
  #columns: ReturnType<typeof columnsOf> = [];

  constructor() {
    super();
    this.focusAt = { row: 0, column: 1 };
    this.looked = undefined;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has("view")) return;
    this.#rows = tableRows(this.view);
    this.#columns = columnsOf(this.view);
    this.looked = undefined;
    const { row, column } = this.focusAt;
    this.focusAt = { row: Math.min(row, this.#rows.length), column: Math.min(column, this.#columns.length) };
  }

  protected override render(): TemplateResult {
    const { view } = this;
    return html`<header>
        <div class="title"><h1>${view.scenario}</h1></div>
        <p class="summary">${summaryOf(view)}</p>
      </header>
      ${this.#table()}
      <p class="blame" id="kernels-line">${this.#line()}</p>
      ${this.#alike()}
      ${this.#silent()}
      ${view.divergences.length === 0 ? nothing : this.#divergences()}`;
  }

  #table(): TemplateResult {
    return html`<div class="pages-view kernels-view" @keydown=${this.#key} @focusin=${this.#focused} @click=${this.#clicked} @mouseover=${this.#hovered}
      @mouseleave=${() => {
        this.looked = this.contains(document.activeElement) ? this.focusAt : undefined;
      }}>
      <table role="grid" class="kernels-table" aria-label="Kernels side by side" aria-rowcount=${-1} aria-colcount=${this.#columns.length + 1}>
        <thead role="rowgroup"><tr role="row">
          <th scope="col" role="columnheader" data-at="0/0" tabindex=${this.#stop(0, 0)}>kernel</th>
          ${this.#columns.map((members, index) => this.#head(members, index))}
        </tr></thead>
        ${(["calls", "violations", "expectations"] as const).map((section) => this.#section(section))}
      </table>
    </div>`;
  }

  #head(members: readonly [number, ...number[]], index: number): TemplateResult {
    const { view } = this;
    const { verdict } = view.kernels[members[0]];
    return html`<th scope="col" role="columnheader" data-at="0/${index + 1}" tabindex=${this.#stop(0, index + 1)} class="kernel-head ${verdict}"
      title=${columnDetail(view, members[0])}>
      <span class="kernel-name">${members.map((kernel) => view.kernels[kernel].kernel).join(", ")}</span>
      <span class="kernel-verdict">${verdict === "notRun" ? nothing : icon(verdict)}${VERDICT_WORDS[verdict]}</span>
      ${verdict === "notRun" ? nothing : html`<span class="quiet kernel-states">${statesOf(view, members)}</span>`}
      ${members[0] === view.reference ? html`<span class="kernel-reference">reference</span>` : nothing}
    </th>`;
  }

  /** A column opens the page tables of its first kernel; here are those of the others in it. */
  #alike(): TemplateResult | typeof nothing {
    const shared = this.#columns.filter(([first, ...others]) => others.length > 0 && this.view.kernels[first].verdict !== "notRun");
    if (shared.length === 0) return nothing;
    return html`<ul class="kernel-notes" aria-label="Kernels that answer alike">
      ${shared.map(
        (members) =>
          html`<li>${members.map((kernel, index) => {
            const { kernel: name } = this.view.kernels[kernel];
            return html`${index === 0 ? nothing : ", "}<button class="link" @click=${() => this.#open(name)}><span class="hidden">page tables of </span>${name}</button>`;
          })} <span class="quiet">answer alike</span></li>`,
      )}
    </ul>`;
  }

  #section(section: TableRow["section"]): TemplateResult | typeof nothing {
    const rows = this.#rows.map((row, index) => ({ row, at: index + 1 })).filter(({ row }) => row.section === section);
    if (rows.length === 0) return nothing;
    return html`<tbody role="rowgroup">
      <tr role="row" class="section"><th role="rowheader" scope="rowgroup" colspan=${this.#columns.length + 1}><span>${SECTIONS[section]}</span></th></tr>
      ${rows.map(
        ({ row, at }) => html`<tr role="row">
        <th scope="row" role="rowheader" data-at="${at}/0" tabindex=${this.#stop(at, 0)} title="Show this line in the editor">
          <span class="quiet kernel-where">${this.#where(row)}${row.subtitle === "" ? "" : html` · ${breakable(row.subtitle)}`}</span>
          <code>${breakable(row.title)}</code></th>
        ${this.#columns.map(([kernel], index) => this.#cell(row.cells[kernel], at, index + 1))}
      </tr>`,
      )}
    </tbody>`;
  }

  #cell(cell: TableCell, row: number, column: number): TemplateResult {
    const classes = `${cell.differs ? "differs" : ""} ${cell.wrong ? "wrong" : ""} ${cell.quiet ? "unknown" : ""}`;
    return html`<td role="gridcell" data-at="${row}/${column}" tabindex=${this.#stop(row, column)} class=${classes} title=${cell.detail}
      aria-describedby=${this.#stop(row, column) === 0 ? "kernels-line" : nothing}>
      ${cell.differs ? html`<span class="unlike" aria-hidden="true">≠</span><span class="hidden">differs: </span>` : nothing}${cell.icon === undefined ? nothing : icon(cell.icon)}<code>${cell.text}</code>
    </td>`;
  }

  #where({ file, line }: { readonly file: string; readonly line: number }): string {
    return file === this.view.file ? `line ${line}` : `${fileName(file)}:${line}`;
  }

  #stop(row: number, column: number): number {
    return row === this.focusAt.row && column === this.focusAt.column ? 0 : -1;
  }

  #line(): TemplateResult | string {
    const { looked, view } = this;
    const hint = html`<span class="quiet">≠ other than ${view.kernels[view.reference]?.kernel ?? "the rest"}. Enter or a click opens that kernel’s page tables, in the first column the line.</span>`;
    if (looked === undefined) return hint;
    const row = this.#rows[looked.row - 1];
    if (looked.column === 0) return row === undefined ? hint : `${row.title}, ${this.#where(row)}`;
    const kernel = this.#columns[looked.column - 1]?.[0] ?? 0;
    return row === undefined ? columnDetail(view, kernel) : (row.cells[kernel]?.detail ?? "");
  }

  /** Kernels without an answer are named, never left out. */
  #silent(): TemplateResult | typeof nothing {
    const { kernels, unmodelled } = this.view;
    const noted = kernels.filter((column) => column.notes.length > 0 || column.verdict === "notRun" || column.verdict === "incomplete");
    if (noted.length === 0 && unmodelled.length === 0) return nothing;
    return html`<ul class="kernel-notes">
      ${alike(noted).map((members) => html`<li><b>${members.map((column) => column.kernel).join(", ")}</b> <span class="quiet">${groupDetail(this.view, members)}</span></li>`)}
      ${unmodelled.length === 0 ? nothing : html`<li><span class="quiet">Not modelled yet: ${unmodelled.join(", ")}.</span></li>`}
    </ul>`;
  }

  #divergences(): TemplateResult {
    const { view } = this;
    const reference = view.kernels[view.reference].kernel;
    return html`<section class="partings" aria-label="First step that differs">
      <h2>First step that differs from ${reference}</h2>
      <p class="quiet">Along ${orderOfCalls(view)}.</p>
      ${mergedDivergences(view).map(([members, each]) => this.#divergence(reference, members, each))}
    </section>`;
  }

  #divergence(reference: string, members: readonly number[], each: KernelDivergence): TemplateResult {
    const names = members.map((index) => this.view.kernels[index].kernel);
    if (each.first === undefined) return html`<article class="card"><h3>${names.join(", ")}</h3><p class="quiet">${withoutParting(each)}</p></article>`;
    const more = each.calls - (each.race === undefined ? 1 : 2);
    return html`<article class="card">
      <h3>${names.join(", ")}</h3>
      ${this.#parting(reference, names[0], each.first)}
      ${each.race === undefined ? nothing : html`<p class="quiet">and then, in parallel</p>${this.#parting(reference, names[0], each.race)}`}
      ${more > 0 ? html`<p class="quiet">${more} more call${more === 1 ? "" : "s"} with other steps.</p>` : nothing}
    </article>`;
  }

  #parting(reference: string, kernel: string, call: DivergingCall): TemplateResult {
    const side = (name: string, own: Side, other: Side): TemplateResult => html`<dt>${name}</dt><dd>${sideText(own, other)}
      ${own.schedule === undefined ? nothing : html`<button class="link" @click=${() => this.#open(name, own.schedule, own.cursor)}>page tables<span class="hidden"> of ${name} at ${own.step}</span></button>`}</dd>`;
    return html`<p><button class="link" @click=${() => this.#post({ type: "line", file: call.file, line: call.line })}>${this.#where(call)}</button>
        <span class="who">${call.actor}</span> <code>${call.call}</code>${call.kind === "silent" ? html` <span class="quiet">no effect here</span>` : nothing}</p>
      <dl class="sides">${side(reference, call.left, call.right)}${side(kernel, call.right, call.left)}</dl>`;
  }

  #post(message: FromPanel): void {
    this.dispatchEvent(new CustomEvent("memfd-post", { detail: message, bubbles: true }));
  }

  #open(kernel: string, schedule?: string, cursor?: number): void {
    this.#post({ type: "kernel", kernel, ...(schedule === undefined ? {} : { schedule }), ...(cursor === undefined ? {} : { cursor }) });
  }

  #activate({ row, column }: GridPlace): void {
    const found = this.#rows[row - 1];
    const index = this.#columns[column - 1]?.[0];
    const kernel = index === undefined ? undefined : this.view.kernels[index];
    const at = kernel?.verdict === "notRun" ? (kernel.notes[0] ?? found) : found;
    if (index !== undefined && kernel !== undefined && kernel.verdict !== "notRun") this.#open(kernel.kernel, found?.cells[index]?.schedule);
    else if (at !== undefined) this.#post({ type: "line", file: at.file, line: at.line });
  }

  #focused(event: Event): void {
    const at = gridPlaceOf(event.target);
    if (at !== undefined) this.focusAt = this.looked = at;
  }

  #hovered(event: Event): void {
    const at = gridPlaceOf(event.target);
    if (at !== undefined) this.looked = at;
  }

  #clicked(event: Event): void {
    const at = gridPlaceOf(event.target);
    if (at !== undefined) this.#activate(at);
  }

  #key(event: KeyboardEvent): void {
    if (event.shiftKey || event.altKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      this.#activate(this.focusAt);
      return stop(event);
    }
    const next = nextCell(event, this.focusAt, { row: this.#rows.length, column: this.#columns.length });
    if (next === undefined) return;
    stop(event);
    this.focusAt = next;
    void this.updateComplete.then(() => this.querySelector<HTMLElement>(`[data-at="${next.row}/${next.column}"]`)?.focus());
  }
}

/** Flags may part behind their bars, so that a long call does not widen its column. */
const breakable = (text: string): TemplateResult => html`${text.split("|").map((part, index) => (index === 0 ? part : html`|<wbr />${part}`))}`;

customElements.define("memfd-kernels", Kernels);
