// The timeline: time runs downwards, one lane per actor inside `parallel`, a plain log outside. A treegrid whose rows are drawn only where they are seen.

import { html, LitElement, nothing, type PropertyValues, svg, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import type { TraceView } from "../view/rows.ts";
import { icon } from "./icons.ts";
import { type OutlineRow, rowOfStep } from "./outline.ts";
import { actorName, callText } from "./words.ts";

/** Below this many rows all are drawn: find-in-page and screen readers see the whole. */
const WINDOW_FROM = 400;
/** Rows come and go in blocks, so that most movements draw nothing new. */
const BLOCK = 12;
/** A lane narrower than this cannot hold a step's name beside its mark. */
const LANE_WITH_TEXT = 132;
/** A lane narrower than this shows the step's name alone: three words of an effect help nobody. */
const LANE_WITH_EFFECT = 300;

export class Timeline extends LitElement {
  static override properties = {
    trace: { attribute: false },
    rows: { attribute: false },
    cursor: { type: Number },
    cause: { type: Number },
    width: { state: true },
    from: { state: true },
    to: { state: true },
  };

  declare trace: TraceView;
  declare rows: readonly OutlineRow[];
  declare cursor: number;
  /** The step that the selected cell blames; -1 without one. */
  declare cause: number;
  declare width: number;
  declare from: number;
  declare to: number;
  #rowHeight = 24;
  /** Share of each lane in the width, by the longest step and result in it. */
  #shares: readonly number[] = [];
  #resize: ResizeObserver | undefined;

  constructor() {
    super();
    this.cursor = 0;
    this.cause = -1;
    this.width = 600;
    this.from = 0;
    this.to = 60;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#resize = new ResizeObserver(() => {
      this.width = this.clientWidth;
      this.#look();
    });
    this.#resize.observe(this);
  }

  override disconnectedCallback(): void {
    this.#resize?.disconnect();
    super.disconnectedCallback();
  }

  get #view(): HTMLElement | null {
    return this.querySelector(".timeline-view");
  }

  /** Row height follows the editor's font size; the windows of rows need it in whole pixels. */
  #look(): void {
    const view = this.#view;
    if (view === null) return;
    this.#rowHeight = Math.round(Number.parseFloat(getComputedStyle(view).fontSize) * 1.9);
    view.style.setProperty("--row", `${this.#rowHeight}px`);
    const blocks = view.scrollTop / this.#rowHeight / BLOCK;
    this.from = Math.max(0, (Math.floor(blocks) - 1) * BLOCK);
    this.to = (Math.ceil(blocks + view.clientHeight / this.#rowHeight / BLOCK) + 1) * BLOCK;
  }

  protected override firstUpdated(): void {
    this.width = this.clientWidth;
    this.#look();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("rows") || changed.has("trace")) this.#shares = shares(this.trace, this.rows);
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("cursor") || changed.has("rows")) this.#reveal();
  }

  #reveal(): void {
    const view = this.#view;
    if (view === null) return;
    const height = this.#rowHeight;
    const top = rowOfStep(this.rows, this.cursor) * height;
    const head = this.querySelector<HTMLElement>(".lane-heads")?.offsetHeight ?? 0;
    if (top < view.scrollTop + height) view.scrollTop = top - height;
    else if (top + 3 * height + head > view.scrollTop + view.clientHeight) view.scrollTop = top + 3 * height + head - view.clientHeight;
    this.#look();
  }

  focusCursor(): void {
    this.#reveal();
    void this.updateComplete.then(() => this.querySelector<HTMLElement>(".timeline-row.current")?.focus({ preventScroll: true }));
  }

  protected override render(): TemplateResult {
    const { rows, trace } = this;
    const whole = rows.length <= WINDOW_FROM;
    const from = whole ? 0 : Math.min(this.from, rows.length);
    const to = whole ? rows.length : Math.min(this.to, rows.length);
    const lanes = trace.actors.length;
    const lane = (this.width - 60) / Math.max(1, lanes);
    const wide = lane >= LANE_WITH_TEXT;
    const current = rowOfStep(rows, this.cursor);
    const cause = this.cause > 0 && this.cause < this.cursor ? rowOfStep(rows, this.cause) : -1;
    const parallel = wide && lanes > 1 && rows.some((row) => row.kind === "step" && row.parallel);
    const classes = `timeline-view ${wide ? "wide" : "compact"} ${lane < LANE_WITH_EFFECT ? "terse" : ""}`;
    return html`<div class=${classes} role="treegrid" aria-label="Timeline" aria-readonly="true" aria-rowcount=${rows.length} @scroll=${() => this.#look()}>
      ${parallel ? this.#heads() : nothing}
      ${this.#spacer(from)}
      ${repeat(
        rows.slice(from, to),
        (_, index) => from + index,
        (row, index) => this.#row(row, from + index, wide, current, cause),
      )}
      ${this.#spacer(rows.length - to)}
    </div>`;
  }

  #spacer(rows: number): TemplateResult | typeof nothing {
    return rows > 0 ? html`<svg class="spacer" width="1" height=${rows * this.#rowHeight} aria-hidden="true"></svg>` : nothing;
  }

  #heads(): TemplateResult {
    return html`<div class="lane-heads" aria-hidden="true"><span class="gutter"></span>
      ${this.trace.actors.map((actor, lane) => html`<span class="lane-head actor-${lane % 6}" title=${actor.name} .style=${`flex-grow: ${this.#shares[lane]}`}><span class="dot"></span>${actor.name}</span>`)}</div>`;
  }

  #row(row: OutlineRow, index: number, wide: boolean, current: number, cause: number): TemplateResult {
    const isCurrent = index === current;
    const arc = cause < 0 || index < cause || index > current ? "" : index === cause ? "arc-from" : index === current ? "arc-to" : "arc-through";
    const classes = `timeline-row kind-${row.kind} ${isCurrent ? "current" : ""} ${row.parallel ? "parallel" : ""} ${row.nested ? "nested" : ""} ${arc}
      ${row.first > this.cursor ? "future" : ""}`;
    return html`<div class=${classes} role="row" aria-rowindex=${index + 1} aria-level=${row.nested || row.kind === "violation" ? 2 : 1}
        aria-expanded=${row.open ?? nothing} aria-selected=${isCurrent} tabindex=${isCurrent ? 0 : -1} data-step=${row.last} data-row=${index}
        @click=${(event: Event) => this.#click(event, row)} @dblclick=${() => this.#ask("reveal", row.last)}>
      <span class="gutter" role="gridcell" aria-label=${this.#numberWords(row)}>${this.#number(row)}${this.#arc(arc)}</span>
      ${wide && row.parallel && row.kind !== "band" && this.trace.actors.length > 1 ? this.#lanes(row) : this.#line(row, wide)}
    </div>`;
  }

  #number(row: OutlineRow): string | typeof nothing {
    if (row.kind === "call" && row.last > row.first && row.open !== true)
      return row.first <= this.cursor && this.cursor < row.last ? `${this.cursor}` : `${row.last}`;
    return row.kind === "step" || (row.kind === "call" && row.open !== true) || row.kind === "start" ? `${row.last}` : nothing;
  }

  #numberWords(row: OutlineRow): string {
    if (row.kind === "call" && row.last > row.first) return `steps ${row.first} to ${row.last}`;
    return row.kind === "step" || row.kind === "call" || row.kind === "start" ? `step ${row.last}` : "";
  }

  #arc(arc: string): TemplateResult | typeof nothing {
    if (arc === "") return nothing;
    const middle = this.#rowHeight / 2;
    const bottom = this.#rowHeight;
    const path =
      arc === "arc-from"
        ? svg`<path d="M11 ${middle} H6 Q3 ${middle} 3 ${middle + 3} V${bottom}" /><circle class="solid" cx="11" cy=${middle} r="1.8" />`
        : arc === "arc-to"
          ? svg`<path d="M3 0 V${middle - 3} Q3 ${middle} 6 ${middle} H11 M8 ${middle - 3} L11.5 ${middle} 8 ${middle + 3}" />`
          : svg`<path d="M3 0 V${bottom}" />`;
    return html`<svg class="arc" width="13" height=${bottom} aria-hidden="true">${path}</svg>`;
  }

  /** Inside `parallel`, wide: the step's name stands in its actor's own column, as in the two-column diagrams of kernel changelogs. */
  #lanes(row: OutlineRow): TemplateResult {
    const { length } = this.trace.actors;
    const long = row.kind === "violation" || row.kind === "caption" || Boolean(this.trace.steps[row.last].result);
    const covered = long ? freeLanes(row, length) : 0;
    return html`<span class="lanes" role="gridcell">${Array.from({ length }, (_, lane) => {
      const own = lane === row.actor;
      if (lane > row.actor && lane <= row.actor + covered) return nothing;
      // As a property: the content security policy refuses style attributes, not the object model.
      const grow = `flex-grow: ${this.#shares.slice(lane, lane + 1 + (own ? covered : 0)).reduce((sum, share) => sum + share, 0)}`;
      return html`<span class="lane actor-${lane % 6}" .style=${grow}>${this.#track(row, lane)}${own ? this.#words(row, false) : nothing}</span>`;
    })}</span>`;
  }

  /** Outside `parallel`, or too narrow for columns: the marks at the left, then the words after the actor's name. */
  #line(row: OutlineRow, wide: boolean): TemplateResult {
    const lanes = !wide && row.parallel && row.kind !== "band" ? this.trace.actors.map((_, lane) => lane) : row.actor >= 0 ? [row.actor] : [];
    return html`<span class="line" role="gridcell">
      ${lanes.map((lane) => html`<span class="track-only actor-${lane % 6}">${this.#track(row, lane)}</span>`)}
      <span class="actor-${Math.max(0, row.actor) % 6} words-outer">${this.#words(row, true)}</span></span>`;
  }

  #track(row: OutlineRow, lane: number): TemplateResult {
    const bottom = this.#rowHeight;
    const middle = bottom / 2;
    const own = lane === row.actor && row.kind !== "violation";
    const busy = (row.through & (1 << lane)) !== 0 && lane < 31;
    const bar = own
      ? svg`${row.up ? svg`<path class="bar" d="M8 0 V${middle}" />` : nothing}${row.down ? svg`<path class="bar" d="M8 ${middle} V${bottom}" />` : nothing}`
      : busy
        ? svg`<path class="bar" d="M8 0 V${bottom}" />`
        : nothing;
    return html`<svg class="track" width="16" height=${bottom} aria-hidden="true" focusable="false">
      ${row.parallel ? svg`<path class="life" d="M8 0 V${bottom}" />` : nothing}${bar}${own ? this.#mark(row, middle) : nothing}</svg>`;
  }

  #mark(row: OutlineRow, y: number): TemplateResult | typeof nothing {
    const broken = this.trace.steps[row.last].violations.map((index) => this.trace.violations[index]);
    if (row.kind === "caption") return svg`<path class="bar" d="M3.5 ${y} H12.5" />` as TemplateResult;
    if (row.kind === "call" && row.last > row.first) return svg`<rect class="mark" x="3.5" y=${y - 4.5} width="9" height="9" rx="2.2" />` as TemplateResult;
    if (broken.length > 0) {
      return (
        broken.every((violation) => violation?.expected)
          ? svg`<path class="mark foreseen" d="M8 ${y - 6.4} L14.4 ${y} L8 ${y + 6.4} L1.6 ${y} Z" />`
          : svg`<path class="mark broken" d="M8 ${y - 6} L14 ${y + 4.8} H2 Z" />`
      ) as TemplateResult;
    }
    return row.kind === "step" || row.kind === "call" ? (svg`<circle class="mark" cx="8" cy=${y} r="4.2" />` as TemplateResult) : nothing;
  }

  #words(row: OutlineRow, named: boolean): TemplateResult {
    const { trace } = this;
    const step = trace.steps[row.last];
    const who = named && row.actor >= 0 ? html`<span class="who">${actorName(trace, row.actor)}</span>` : nothing;
    switch (row.kind) {
      case "start":
        return html`<span class="words quiet">before the first step</span>`;
      case "band":
        return html`<span class="words band">${row.parallel ? "parallel" : "after the parallel block"}</span>`;
      case "caption":
        return html`<span class="words caption" title=${callText(step)}>${who}<code>${callText(step)}</code></span>`;
      case "violation": {
        const violation = trace.violations[row.violation ?? 0];
        return html`<button class="words breaks ${violation.expected ? "expected" : "unexpected"}" tabindex="-1" title="${violation.message} Show the line."
          @click=${() => this.#ask("reveal", row.first)}>${icon(violation.expected ? "expected" : "violation")}
          <span class="ellipsis"><b>${violation.invariant}</b>
          ${violation.expected ? html` <i>expected</i>` : nothing} <span class="quiet">${violation.message}</span></span></button>`;
      }
      case "call":
        return html`<span class="words">${row.open === undefined ? nothing : this.#twistie(row)}${who}
          <code class="ellipsis" title=${callText(step)}>${callText(step)}</code>
          ${this.#inside(row)}${this.#result(row.last)}</span>`;
      default:
        return html`<span class="words" title="${step.step}: ${step.effect}">${who}<code class="label">${step.step}</code>${this.#result(row.last)}
          <span class="effect ellipsis">${step.effect}</span></span>`;
    }
  }

  #inside(row: OutlineRow): TemplateResult | typeof nothing {
    const within = row.open === false && row.first <= this.cursor && this.cursor < row.last;
    return within
      ? html`<span class="within">${this.trace.steps[this.cursor].step} ${this.cursor - row.first + 1}/${row.last - row.first + 1}</span>`
      : nothing;
  }

  #result(step: number): TemplateResult | typeof nothing {
    const { result } = this.trace.steps[step];
    return !result ? nothing : html`<code class="result" title="returns ${result}">= ${result}</code>`;
  }

  #twistie(row: OutlineRow): TemplateResult {
    const words = `${row.open ? "Fold" : "Unfold"} the ${row.last - row.first + 1} steps of this call`;
    return html`<button class="twistie" tabindex="-1" title=${words} aria-label=${words} @click=${(event: Event) => {
      event.stopPropagation();
      this.#ask("fold", row.first);
    }}>${icon(row.open ? "open" : "closed")}</button>`;
  }

  #click(event: Event, row: OutlineRow): void {
    if (event.defaultPrevented || row.kind === "band") return;
    this.#ask("go", row.kind === "call" && row.open !== true ? row.last : row.first);
  }

  #ask(what: "go" | "reveal" | "fold", step: number): void {
    this.dispatchEvent(new CustomEvent(`memfd-${what}`, { detail: step, bubbles: true }));
  }
}

const LEAST_SHARE = 9;
const MOST_SHARE = 34;
/** Characters that the mark before a step takes, and the frame around a result. */
const MARK = 4;
const FRAME = 6;

/** Characters that the longest step of each lane takes with its result, within bounds: no lane is squeezed out, and none takes all. */
function shares(trace: TraceView, rows: readonly OutlineRow[]): number[] {
  const longest = trace.actors.map(({ name }) => Math.min(LEAST_SHARE + 5, Math.max(LEAST_SHARE, name.length + MARK)));
  for (const row of rows) {
    if (row.kind !== "step" || !row.parallel || row.actor < 0) continue;
    const { step, result } = trace.steps[row.last];
    const length = MARK + step.length + (result ? result.length + FRAME : 0);
    longest[row.actor] = Math.min(MOST_SHARE, Math.max(longest[row.actor], length));
  }
  return longest;
}

/** How many lanes to the right of the row's own have no call open, so that a long text may run over them. */
function freeLanes(row: OutlineRow, lanes: number): number {
  let free = 0;
  while (row.actor + free + 1 < lanes && (row.through & (1 << (row.actor + free + 1))) === 0) free += 1;
  return free;
}

customElements.define("memfd-timeline", Timeline);
