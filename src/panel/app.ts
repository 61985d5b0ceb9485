// The panel itself: holds the trace, the one cursor and what is unfolded; takes messages, keys and clicks, and tells the extension.

import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { Blame } from "../view/diff.ts";
import type { FromPanel, PanelState, ToPanel } from "../view/messages.ts";
import type { TraceView } from "../view/rows.ts";
import { copyStoryButton } from "./copy-story.ts";
import { type Host, readMessage } from "./host.ts";
import { firstCursor, type OutlineRow, outline, rowOfStep, stepAtLine } from "./outline.ts";
import "./kernels.ts";
import "./pages.ts";
import { type Move, moveOfKey, Player, target } from "./player.ts";
import { facts, header, notice, stepCard, transport } from "./sections.ts";
import "./state.ts";
import { type KernelsShown, kernelsTab, type Tab, tabs } from "./tabs.ts";
import "./timeline.ts";
import type { Timeline } from "./timeline.ts";
import { announcement } from "./words.ts";

/** Screen readers get the step where the cursor rests, not every step of a held-down key. */
const ANNOUNCE_AFTER_MILLISECONDS = 150;

export class Panel extends LitElement {
  static override properties = {
    trace: { state: true },
    cursor: { state: true },
    open: { state: true },
    cause: { state: true },
    said: { state: true },
    noticeText: { state: true },
    refused: { state: true },
    tab: { state: true },
    kernels: { state: true },
  };

  declare trace: TraceView | undefined;
  declare cursor: number;
  declare open: ReadonlySet<number>;
  declare cause: number;
  declare said: string;
  declare noticeText: string;
  declare refused: string;
  declare tab: Tab;
  declare kernels: KernelsShown | undefined;
  host: Host | undefined;
  #rows: readonly OutlineRow[] = [];
  #blame = new Blame([]);
  #state: PanelState | undefined;
  #saying: ReturnType<typeof setTimeout> | undefined;
  #player = new Player(
    () => this.#beat(),
    () => this.requestUpdate(),
  );

  constructor() {
    super();
    this.trace = undefined;
    this.cursor = 0;
    this.open = new Set();
    this.cause = -1;
    this.said = "";
    this.noticeText = "";
    this.refused = "";
    this.tab = "pages";
    this.kernels = undefined;
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener("message", this.#message);
    window.addEventListener("keydown", this.#key);
    this.#state = this.host?.load();
    this.#post({ type: "ready", ...(this.#state === undefined ? {} : { state: this.#state }) });
  }

  override disconnectedCallback(): void {
    window.removeEventListener("message", this.#message);
    window.removeEventListener("keydown", this.#key);
    this.#player.stop();
    clearTimeout(this.#saying);
    super.disconnectedCallback();
  }

  #post(message: FromPanel): void {
    this.host?.post(message);
  }

  #message = (event: MessageEvent): void => {
    const message = readMessage(event.data);
    if (message === undefined) return;
    switch (message.type) {
      case "trace":
        if (message.front === true) this.tab = "pages";
        this.#show(message.trace, message.cursor, message.state);
        break;
      case "kernels":
        this.#showKernels(message);
        break;
      case "select": {
        const step = this.trace === undefined ? undefined : stepAtLine(this.trace, message.file, message.line, this.cursor);
        if (step !== undefined) this.#go(step);
        break;
      }
      case "notice":
        this.noticeText = message.text;
        this.refused = "";
        if (message.keep !== true) this.#forget();
        break;
      case "refused":
        this.refused = message.reason;
        this.#forget();
        break;
    }
  };

  #forget(): void {
    this.#player.stop();
    this.trace = undefined;
    this.#rows = [];
    this.#blame = new Blame([]);
  }

  #show(trace: TraceView, cursor: number | undefined, state: PanelState | undefined): void {
    const old = this.trace;
    const same = old !== undefined && old.scenario === trace.scenario && old.kernel === trace.kernel && old.schedule === trace.schedule;
    this.#player.stop();
    this.noticeText = "";
    this.refused = "";
    this.trace = trace;
    this.#blame = new Blame(trace.steps);
    if (!same) this.open = new Set();
    this.cause = -1;
    const wanted = cursor ?? (same ? this.cursor : firstCursor(trace));
    this.cursor = Math.min(Math.max(0, Math.trunc(wanted)), Math.max(0, trace.steps.length - 1));
    this.#state = state ?? this.#state;
    this.#save();
    this.#say();
    if (cursor !== this.cursor) this.#post({ type: "cursor", step: this.cursor });
  }

  /** While a newer comparison is made the older one stays. */
  #showKernels({ type: _, front, stale, state, ...shown }: Extract<ToPanel, { type: "kernels" }>): void {
    if (stale === true && this.tab === "kernels") return this.#post({ type: "kernels" });
    const stays = shown.done !== undefined || shown.notice !== undefined ? this.kernels?.view : undefined;
    this.kernels = Object.keys(shown).length === 0 ? undefined : { ...(stays === undefined ? {} : { view: stays }), ...shown };
    if (front === true) this.tab = "kernels";
    this.#state = state ?? this.#state;
    this.#save();
  }

  #choose(tab: Tab): void {
    this.tab = tab;
    this.#player.stop();
    this.#save();
    if (tab === "kernels" && this.kernels === undefined) this.#post({ type: "kernels" });
  }

  #save(): void {
    if (this.#state === undefined) return;
    const { view: _, ...state } = this.#state;
    this.host?.save({ ...state, cursor: this.cursor, ...(this.tab === "kernels" ? { view: "kernels" as const } : {}) });
  }

  #say(): void {
    clearTimeout(this.#saying);
    this.#saying = setTimeout(() => {
      this.said = this.trace === undefined ? "" : announcement(this.trace, this.cursor);
    }, ANNOUNCE_AFTER_MILLISECONDS);
  }

  #go(step: number): void {
    if (this.trace === undefined || step === this.cursor || this.trace.steps[step] === undefined) return;
    this.cursor = step;
    this.cause = -1;
    this.#save();
    this.#say();
    this.#post({ type: "cursor", step });
  }

  #move(move: Move): void {
    if (this.trace === undefined) return;
    this.#player.stop();
    this.#go(target(this.trace, this.#rows, this.cursor, move));
  }

  #beat(): boolean {
    if (this.trace === undefined) return false;
    const last = this.trace.steps.length - 1;
    this.#go(Math.min(last, this.cursor + 1));
    return this.cursor < last && this.trace.steps[this.cursor].violations.length === 0;
  }

  #play(): void {
    if (this.trace === undefined) return;
    if (!this.#player.playing && this.cursor === this.trace.steps.length - 1) this.#go(0);
    this.#player.toggle();
  }

  #reveal(at: number): void {
    const step = this.trace?.steps[at];
    if (this.trace === undefined || step === undefined || step.actor < 0) return;
    this.#go(at);
    this.#post({ type: "reveal", step: at, file: this.trace.files[step.file] ?? "", line: step.line });
  }

  #fold(first: number, unfold = !this.open.has(first)): void {
    const open = new Set(this.open);
    if (unfold) open.add(first);
    else open.delete(first);
    this.open = open;
  }

  #key = (event: KeyboardEvent): void => {
    if (this.trace === undefined || this.tab === "kernels" || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target instanceof Element ? event.target : undefined;
    if (at?.closest("select") != null) return;
    const slider = at?.matches("input[type=range]") === true;
    const button = at?.closest("button, summary") != null;
    const timeline = at?.closest("memfd-timeline") != null;
    if (this.#handle(event, slider, button, timeline)) event.preventDefault();
  };

  #handle(event: KeyboardEvent, slider: boolean, button: boolean, timeline: boolean): boolean {
    const move =
      timeline && (event.key === "ArrowUp" || event.key === "ArrowDown") ? (event.key === "ArrowUp" ? "up" : "down") : moveOfKey(event.key, event.shiftKey);
    if (move !== undefined) {
      this.#move(move);
      if (timeline) void this.#refocus();
      return true;
    }
    const key = event.key.toLowerCase();
    if (key === "p" || (event.key === " " && !button && !slider)) {
      this.#play();
      return true;
    }
    if (!timeline || button) return false;
    if (event.key === "Enter") {
      this.#reveal(this.cursor);
      return true;
    }
    const row = this.#rows[rowOfStep(this.#rows, this.cursor)];
    const call = row?.nested === true ? this.#rows.findLast((other) => other.kind === "call" && other.first <= row.first) : row;
    if (call?.open === undefined || !["+", "=", "-"].includes(event.key)) return false;
    this.#fold(call.first, event.key !== "-");
    void this.#refocus();
    return true;
  }

  /** The focused row may have moved or been folded away: the focus goes where the cursor is, once that is drawn. */
  async #refocus(): Promise<void> {
    await this.updateComplete;
    this.querySelector<Timeline>("memfd-timeline")?.focusCursor();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (this.trace !== undefined && (changed.has("trace") || changed.has("open"))) this.#rows = outline(this.trace, this.open);
  }

  /** The tabs stand in one place of one template: what is beneath them changes, and they keep the focus. */
  protected override render(): TemplateResult {
    const known = this.trace !== undefined || this.kernels !== undefined;
    const panel = html`<div id="tab-panel" role=${known ? "tabpanel" : nothing} aria-labelledby=${known ? `tab-${this.tab}` : nothing}>${
      this.tab === "kernels" ? kernelsTab(this.kernels ?? {}, (message) => this.#post(message)) : this.#pages()
    }</div>`;
    return html`<main class="panel">${known ? tabs(this.tab, (tab) => this.#choose(tab)) : nothing}${panel}</main>`;
  }

  #pages(): TemplateResult {
    const { trace, cursor } = this;
    if (trace === undefined) return this.#nothing();
    if (trace.steps.length === 0) return notice("No steps", "This story has no steps: nothing of the scenario ran.", false);
    return html`
      ${header(
        trace,
        (schedule) => this.#post({ type: "story", schedule }),
        copyStoryButton((message) => this.#post(message)),
      )}
      ${this.noticeText === "" ? nothing : html`<p class="banner" role="status">${this.noticeText}</p>`}
      ${transport(trace, cursor, this.#player.playing, this.#transport)}
      <div class="body">
        <section class="time" aria-label="Time">
          <memfd-timeline .trace=${trace} .rows=${this.#rows} .cursor=${cursor} .cause=${this.cause}
            @memfd-go=${(event: CustomEvent<number>) => this.#seek(event.detail)} @memfd-reveal=${(event: CustomEvent<number>) => this.#reveal(event.detail)}
            @memfd-fold=${(event: CustomEvent<number>) => this.#fold(event.detail)}></memfd-timeline>
        </section>
        <div class="state">
          <memfd-pages .trace=${trace} .blame=${this.#blame} .cursor=${cursor} @memfd-go=${(event: CustomEvent<number>) => this.#seek(event.detail)}
            @memfd-cause=${(event: CustomEvent<number>) => {
              this.cause = event.detail;
            }}></memfd-pages>
          ${stepCard(trace, cursor, this.#blame, { reveal: (step) => this.#reveal(step), go: (step) => this.#seek(step) })}
          <memfd-state .trace=${trace} .blame=${this.#blame} .cursor=${cursor} @memfd-go=${(event: CustomEvent<number>) => this.#seek(event.detail)}
            @memfd-cause=${(event: CustomEvent<number>) => {
              this.cause = event.detail;
            }}></memfd-state>
          ${facts(trace, cursor, this.#blame)}
        </div>
      </div>
      <div class="hidden" role="status" aria-live="polite">${this.said}</div>`;
  }

  readonly #transport = { move: (move: Move) => this.#move(move), seek: (step: number) => this.#seek(step), play: () => this.#play() };

  #seek(step: number): void {
    this.#player.stop();
    this.#go(step);
  }

  #nothing(): TemplateResult {
    if (this.refused !== "") return notice("This trace cannot be shown", `${this.refused}.`, true);
    if (this.noticeText !== "") return notice("No story to show", this.noticeText, false);
    return notice("Waiting for a scenario", "Choose “Show page tables” over a scenario in a .memfd file.", false);
  }
}

customElements.define("memfd-panel", Panel);
