// The one place that publishes diagnostics. Language findings go out with the answers that are known already; answers of a run follow as they come.

import type { Diagnostic, PublishDiagnosticsParams } from "vscode-languageserver";

/** A document's diagnostics as known now. */
export interface Collected {
  readonly version: number;
  readonly diagnostics: Diagnostic[];
}

/** Most runs end within this time; waiting for them spares the squiggles a flicker at each keystroke. */
export const SETTLE_MILLISECONDS = 15;
/** While a long list of scenarios runs, squiggles come in strokes of this length; the first answers do not wait for one. */
export const PROGRESS_MILLISECONDS = 100;

const EMPTY = "[]";

interface State {
  timer?: ReturnType<typeof setTimeout>;
  /** What the client has; a repetition of it is not sent. */
  sent?: string;
  /** When answers of runs last went out; what a change of the text sends holds up no answer. */
  stroke?: number;
}

export class Publisher {
  readonly #states = new Map<string, State>();
  readonly #collect: (uri: string) => Collected | undefined;
  readonly #send: (params: PublishDiagnosticsParams) => void;
  readonly #pending: (uri: string) => boolean;
  readonly #now: () => number;

  constructor(hooks: {
    /** Undefined when the document is not open any more. */
    collect(uri: string): Collected | undefined;
    /** Cheap: is any run of the document pending? */
    pending(uri: string): boolean;
    send(params: PublishDiagnosticsParams): void;
    /** Milliseconds; a test stops the clock. */
    now?(): number;
  }) {
    this.#now = hooks.now ?? (() => performance.now());
    this.#collect = hooks.collect;
    this.#pending = hooks.pending;
    this.#send = hooks.send;
  }

  /** The text changed. */
  changed(uri: string): void {
    this.#plan(uri, SETTLE_MILLISECONDS, true);
  }

  /** An answer came. */
  progressed(uri: string): void {
    const { sent = EMPTY, stroke = Number.NEGATIVE_INFINITY } = this.#states.get(uri) ?? {};
    // Where nothing is shown nothing can flicker.
    const settle = sent === EMPTY ? 0 : SETTLE_MILLISECONDS;
    this.#plan(uri, Math.max(settle, PROGRESS_MILLISECONDS - (this.#now() - stroke)), false);
  }

  closed(uri: string): void {
    const state = this.#states.get(uri);
    clearTimeout(state?.timer);
    this.#states.delete(uri);
    this.#send({ uri, diagnostics: [] });
  }

  dispose(): void {
    for (const state of this.#states.values()) clearTimeout(state.timer);
    this.#states.clear();
  }

  /**
   * Now if nothing is pending, else after `delay`; a plan that exists is replaced only by a text change, so that steady progress cannot put it off for ever.
   */
  #plan(uri: string, delay: number, replace: boolean): void {
    const state = this.#states.get(uri) ?? {};
    this.#states.set(uri, state);
    if (!this.#pending(uri)) {
      clearTimeout(state.timer);
      state.timer = undefined;
      this.#publish(uri, !replace);
      return;
    }
    if (state.timer !== undefined && !replace) return;
    clearTimeout(state.timer);
    state.timer = setTimeout(() => {
      state.timer = undefined;
      this.#publish(uri, !replace);
    }, delay);
  }

  /** `answers`: because answers of runs came. */
  #publish(uri: string, answers: boolean): void {
    const state = this.#states.get(uri);
    const collected = state === undefined ? undefined : this.#collect(uri);
    if (state === undefined || collected === undefined) return;
    const { version, diagnostics } = collected;
    const sent = JSON.stringify(diagnostics);
    if (sent === state.sent) return;
    state.sent = sent;
    if (answers) state.stroke = this.#now();
    this.#send({ uri, version, diagnostics });
  }
}
