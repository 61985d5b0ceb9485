// What the tables of a trace have in common, the pages and the tables below them: one tab stop, keys that walk the cells, and a line that says which step last
// changed the cell that is looked at.

import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import type { Blame } from "../view/diff.ts";
import type { TraceView } from "../view/rows.ts";
import { type GridPlace, stop } from "./grid.ts";
import { blameSentence } from "./words.ts";

/** A cell that the blame line can speak of; heads are none. */
export interface BlamedCell {
  /** A `cellKey`. */
  readonly key: string;
  readonly what: string;
  readonly detail: string | undefined;
}

/** Tells the panel by events: `memfd-go` with a step to go to, `memfd-cause` with the step that the looked-at cell blames, or -1. */
export abstract class TraceTable<Place extends GridPlace> extends LitElement {
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
  /** The one tab stop; undefined before anybody was here: `firstStop`. */
  declare focusAt: Place | undefined;
  /** What the blame line speaks of: the hovered cell, else the one that was focused or clicked last. */
  declare looked: Place | undefined;
  #chosen: Place | undefined;

  constructor() {
    super();
    this.cursor = 0;
    this.focusAt = this.looked = undefined;
  }

  protected abstract get firstStop(): Place;

  protected abstract placeOf(target: EventTarget | null): Place | undefined;

  /** The element at a place, as a selector; no other place has the same. */
  protected abstract selectorOf(place: Place): string;

  protected abstract cellAt(place: Place): BlamedCell | undefined;

  /** Where a key leads; undefined for one that does not walk. */
  protected abstract nextOf(event: KeyboardEvent, at: Place): Place | undefined;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("trace")) this.looked = this.#chosen = undefined;
  }

  protected tabIndexOf(place: Place): 0 | -1 {
    return this.selectorOf(place) === this.selectorOf(this.focusAt ?? this.firstStop) ? 0 : -1;
  }

  protected blameLine(id: string): TemplateResult {
    const cell = this.#lookedCell();
    if (cell === undefined)
      return html`<div class="blame" id=${id}><span class="quiet">Point at a cell to see which step last changed it; Enter goes there.</span></div>`;
    const blamed = this.#blamedStep();
    const elsewhere = blamed !== undefined && blamed !== 0 && blamed !== this.cursor;
    return html`<div class="blame" id=${id}><span>${blameSentence(this.trace, cell.what, blamed, this.cursor)}${
      elsewhere ? html` <button class="link" @click=${() => this.#goTo(blamed)}>go there</button>` : nothing
    }${cell.detail ? html` <span class="quiet">· ${cell.detail}</span>` : nothing}</span></div>`;
  }

  protected onFocus(event: Event): void {
    const at = this.placeOf(event.target);
    if (at === undefined) return;
    this.focusAt = this.#chosen = at;
    this.#look(at);
  }

  protected onHover(event: Event): void {
    const at = this.placeOf(event.target);
    if (at === undefined || (this.looked !== undefined && this.selectorOf(at) === this.selectorOf(this.looked))) return;
    this.#look(at);
  }

  protected onLeave(): void {
    this.#look(this.#chosen);
  }

  /** Arrows walk the cells (`,` and `.` step in time here). */
  protected onKey(event: KeyboardEvent): void {
    const at = this.placeOf(event.target);
    if (at === undefined) return;
    if (event.key === "Enter") {
      const step = this.#blamedStep();
      if (step !== undefined) this.#goTo(step);
      return stop(event);
    }
    if (event.shiftKey || event.altKey || event.metaKey) return;
    const next = this.nextOf(event, at);
    if (next === undefined) return;
    stop(event);
    this.focusAt = next;
    void this.updateComplete.then(() => this.querySelector<HTMLElement>(this.selectorOf(next))?.focus());
  }

  #lookedCell(): BlamedCell | undefined {
    const { looked } = this;
    return looked === undefined || looked.row === 0 || looked.column === 0 ? undefined : this.cellAt(looked);
  }

  #blamedStep(): number | undefined {
    const cell = this.#lookedCell();
    return cell === undefined ? undefined : this.blame.last(cell.key, this.cursor);
  }

  #look(at: Place | undefined): void {
    this.looked = at;
    this.dispatchEvent(new CustomEvent("memfd-cause", { detail: this.#blamedStep() ?? -1, bubbles: true }));
  }

  #goTo(step: number): void {
    this.dispatchEvent(new CustomEvent("memfd-go", { detail: step, bubbles: true }));
  }
}
