// What the explorer needs to know of a machine, and nothing more: a flat state, actors that take atomic steps, and an observer. Toy machines can
// play the part, so the search is tested without a kernel.

export interface System {
  /** Length of a state in 32-bit words. */
  readonly words: number;
  readonly actors: number;
  /** Writes the initial state. */
  initial(state: Int32Array): void;
  /**
   * Runs the next atomic step of `actor` in place, taking alternative `choice` where the step has a free choice.
   * Returns how many alternatives the step has in this state: 0 = the actor cannot step (finished or not enabled) and `state` is untouched.
   */
  step(state: Int32Array, actor: number, choice: number): number;
  /** True when nothing is left to do: an end, not a deadlock. */
  finished(state: Int32Array): boolean;
  /**
   * True when the next step of `actor` is invisible to the observer and commutes with everything that any other actor may still do,
   * so that it can be taken alone. Called only when reductions are on. Must be sound; may always answer false.
   */
  alone?(state: Int32Array, actor: number): boolean;
}

/** One transition, valid only during the callback unless `schedule()` is called. */
export interface Edge {
  readonly actor: number;
  readonly choice: number;
  /** All steps from the initial state up to and with this one. */
  schedule(): { actor: number; choice: number }[];
}

export interface Observer {
  /** The state that is expanded next; before its edges. */
  state?(state: Int32Array): void;
  /** After a step has run; `state` is its result. Also called for edges into states seen before. */
  edge?(state: Int32Array, edge: Edge): void;
  /** A state in which nobody can step. `finished` as the system says; false = deadlock. */
  end?(state: Int32Array, finished: boolean, schedule: () => { actor: number; choice: number }[]): void;
}

export interface Budget {
  readonly maxStates: number;
  readonly maxMilliseconds: number;
  /** Bytes of the state store and its table. */
  readonly maxBytes: number;
  /** Asked every 1,024 states. */
  readonly cancelled?: () => boolean;
  /** Milliseconds from any origin; injected, for the model reads no clock. */
  readonly now: () => number;
}

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  readonly complete: boolean;
  readonly milliseconds: number;
  /** `states`, `time`, `memory` or `cancelled` where it is not complete. */
  readonly limit?: "states" | "time" | "memory" | "cancelled";
}
