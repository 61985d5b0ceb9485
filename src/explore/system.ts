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
  /** What steps touch, from which partial-order reduction is derived (independence.ts). Without it nothing is taken alone. */
  readonly independence?: Independence;
  /** Actors that do the same and can be exchanged. Must hold for every state that the search can reach. */
  readonly symmetry?: Symmetry;
  /**
   * True after a `step` that went back to a control position which its actor had left before (a retry). A system whose runs can only go round in a circle
   * through such steps says so here; where a search saw none, its graph has no circle and nobody can be caught in one (livelock.ts).
   */
  readonly wentBack?: boolean;
}

/**
 * A set of atoms: bit `atom & 31` of word `atom >>> 5`. An atom is a piece of the state that steps touch as a whole: a page-table entry, a counter, a lock.
 * Two steps of which neither writes an atom that the other reads or writes commute.
 */
export type AtomSet = Int32Array;

export interface Footprint {
  readonly reads: AtomSet;
  readonly writes: AtomSet;
  /** The observer must see this step in its place: it writes what an invariant reads, reports an event, or returns. */
  readonly visible: boolean;
}

/** A control position of one actor: what the step there may touch in any state, and where its actor may stand behind it. */
export interface Location {
  readonly footprint: Footprint;
  /** Locks (bits) that have to be free for this step; while another actor holds one of them this step cannot be taken. */
  readonly acquires: number;
  /** Numbers of the locations behind it, over-approximated; empty at the end of the actor's program. */
  readonly next: readonly number[];
}

export interface Independence {
  readonly locations: readonly Location[];
  /** Number of the location at which an actor stands; -1 when it has no step left that others could meet. */
  at(state: Int32Array, actor: number): number;
  /** Locks (bits) that an actor holds now. */
  held(state: Int32Array, actor: number): number;
  /**
   * The footprint of the next step in this very state: the location's own, or a smaller one where the state already says what the step will not do (a page
   * that is there is not allocated). What it looked at for that must be among its `reads`. `undefined`: never to be taken alone here.
   */
  footprint(state: Int32Array, actor: number): Footprint | undefined;
}

export interface Symmetry {
  /**
   * Rewrites `state` to the one representative of all states that differ only by exchanging equal actors. `was[i]` becomes the actor whose place `i` took
   * over; `i` itself for those that stayed. Answers whether anybody moved.
   */
  canonicalise(state: Int32Array, was: Uint8Array): boolean;
}

/** One transition, valid only during the callback unless `schedule()` is called. */
export interface Edge {
  readonly actor: number;
  readonly choice: number;
  /**
   * All steps from the initial state up to and with this one: run from there, they lead to exactly the state that was reported. Under symmetry these are the
   * steps of the representative, with equal actors exchanged all along.
   */
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
  /** Bytes of the state store, its table, and all else that a search keeps. */
  readonly maxBytes: number;
  /** Asked every 1,024 states. */
  readonly cancelled?: () => boolean;
  /** Milliseconds from any origin; injected, for the model reads no clock. */
  readonly now: () => number;
  /** Told at least ten times a second while a search runs, where one is given. */
  readonly progress?: (progress: Progress) => void;
}

/** How far a search has come. */
export interface Progress {
  readonly states: number;
  readonly transitions: number;
  /** States that are known and not yet expanded. */
  readonly frontier: number;
  /** Steps from the initial state to those that are expanded now. */
  readonly depth: number;
  readonly milliseconds: number;
}

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  readonly complete: boolean;
  readonly milliseconds: number;
  /** Greatest distance from the initial state that was expanded, in stored states; with reductions a chain of steps counts as one. */
  readonly depth: number;
  /** States still to be expanded when it ended; 0 when it is complete. */
  readonly frontier: number;
  /** Bytes of the state store at its end. */
  readonly bytes: number;
  /** Some step went back (`System.wentBack`), or the system does not say. */
  readonly wentBack: boolean;
  /** `states`, `time`, `memory` or `cancelled` where it is not complete. */
  readonly limit?: "states" | "time" | "memory" | "cancelled";
}
