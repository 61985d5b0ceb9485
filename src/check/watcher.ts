// Judges predicates over states along an exploration: a violation is an edge, a subject for which the predicate held before the step and not after.
// Nothing is made anew per state or edge.

import type { Invariant } from "../invariants/index.ts";
import { bits } from "../model/footprint.ts";
import type { Machine } from "../model/machine.ts";

/** Numbers of subjects, in the order in which they were found. */
class Subjects {
  count = 0;
  /** Subjects are numbers beyond 32 bits. */
  #numbers = new Float64Array(16);
  readonly add = (subject: number): void => {
    if (this.count === this.#numbers.length) {
      const larger = new Float64Array(this.count * 2);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.count++] = subject;
  };

  at(index: number): number {
    return this.#numbers[index];
  }

  has(subject: number): boolean {
    for (let index = 0; index < this.count; index++) if (this.#numbers[index] === subject) return true;
    return false;
  }
}

interface Row {
  readonly invariant: Invariant;
  readonly check: (state: Int32Array, broken: (subject: number) => void) => void;
  /** Regions whose change may break it, as bits. */
  readonly reads: number;
  readonly before: Subjects;
  readonly after: Subjects;
  /** `before` tells of the present state. */
  judged: boolean;
}

export interface Broken {
  readonly invariant: Invariant;
  readonly subject: number;
}

export class Watcher {
  readonly #rows: readonly Row[];
  readonly #reads: number;
  /** The state from which steps are told. */
  readonly #present: Int32Array;

  constructor(machine: Machine, invariants: readonly Invariant[]) {
    this.#rows = invariants.flatMap((invariant): Row[] => {
      const { state } = invariant;
      if (!state) return [];
      const check = invariant.compile?.(machine) ?? ((of, broken) => state(machine, of, broken));
      return [{ invariant, check, reads: regionsOf(invariant), before: new Subjects(), after: new Subjects(), judged: false }];
    });
    this.#reads = this.#rows.reduce((reads, row) => reads | row.reads, 0);
    this.#present = new Int32Array(machine.words);
  }

  /** The steps that are told next leave this state. */
  from(state: Int32Array): void {
    const present = this.#present;
    for (let word = 0; word < present.length; word++) present[word] = state[word];
    for (const row of this.#rows) row.judged = false;
  }

  /** After a step that wrote `writes`: what it broke, or nothing. */
  broken(state: Int32Array, writes: number): Broken[] | undefined {
    if ((writes & this.#reads) === 0) return undefined;
    let broken: Broken[] | undefined;
    for (const row of this.#rows) {
      if ((writes & row.reads) === 0) continue;
      const { invariant, after, before } = row;
      after.count = 0;
      row.check(state, after.add);
      if (after.count === 0) continue;
      if (!row.judged) {
        before.count = 0;
        row.check(this.#present, before.add);
        row.judged = true;
      }
      for (let index = 0; index < after.count; index++) {
        const subject = after.at(index);
        if (!before.has(subject)) broken = [...(broken ?? []), { invariant, subject }];
      }
    }
    return broken;
  }
}

/** An invariant that looks at which calls are under way is judged where one begins and where one returns. */
function regionsOf(invariant: Invariant): number {
  const windows = invariant.reads.includes("thread");
  return bits([...invariant.reads.filter((region) => region !== "thread"), ...(windows ? ["control"] : [])]);
}
