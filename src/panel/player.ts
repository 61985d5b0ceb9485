// The cursor in time and its movements: by step, by row, between violations, and playing. No DOM, so that tests drive it with a clock of their own.

import type { TraceView } from "../view/rows.ts";
import { type OutlineRow, stepBeyond } from "./outline.ts";

export type Move = "next" | "previous" | "nextViolation" | "previousViolation" | "first" | "last" | "up" | "down";

/** The step that `move` leads to from `cursor`; `cursor` itself where it leads nowhere. */
export function target(trace: TraceView, rows: readonly OutlineRow[], cursor: number, move: Move): number {
  const last = Math.max(0, trace.steps.length - 1);
  switch (move) {
    case "next":
      return Math.min(last, cursor + 1);
    case "previous":
      return Math.max(0, cursor - 1);
    case "first":
      return 0;
    case "last":
      return last;
    case "up":
      return stepBeyond(rows, cursor, -1) ?? cursor;
    case "down":
      return stepBeyond(rows, cursor, 1) ?? cursor;
    default:
      return violationBeyond(trace, cursor, move === "nextViolation" ? 1 : -1) ?? cursor;
  }
}

export function violationBeyond(trace: TraceView, cursor: number, direction: 1 | -1): number | undefined {
  const beyond = trace.violations.map((violation) => violation.step).filter((step) => (step - cursor) * direction > 0);
  if (beyond.length === 0) return undefined;
  return direction > 0 ? Math.min(...beyond) : Math.max(...beyond);
}

export const PLAY_MILLISECONDS = 800;

/** One step per beat; stops at the end and where an invariant breaks, so that the reader sees it. */
export class Player {
  readonly #advance: () => boolean;
  readonly #changed: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `advance` moves one step and answers whether to go on. */
  constructor(advance: () => boolean, changed: () => void) {
    this.#advance = advance;
    this.#changed = changed;
  }

  get playing(): boolean {
    return this.#timer !== undefined;
  }

  toggle(): void {
    if (this.playing) this.stop();
    else this.#start();
  }

  #start(): void {
    this.#timer = setInterval(() => {
      if (!this.#advance()) this.stop();
    }, PLAY_MILLISECONDS);
    this.#changed();
    if (!this.#advance()) this.stop();
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#changed();
  }
}

/** Keys that work everywhere in the panel, but for controls that use them themselves. */
export function moveOfKey(key: string, shift: boolean): Move | undefined {
  switch (key) {
    case "ArrowRight":
      return shift ? "nextViolation" : "next";
    case "ArrowLeft":
      return shift ? "previousViolation" : "previous";
    case "Home":
      return "first";
    case "End":
      return "last";
    case ".":
      return "next";
    case ",":
      return "previous";
    default:
      return undefined;
  }
}
