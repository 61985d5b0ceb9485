// Runs of a machine straight from its beginning to its end, each with another choice of who goes on: how long a full run is, and how often it branches. The
// forecast holds a search that goes on against it.

import { AloneSteps } from "../explore/independence.ts";
import type { MachineSystem } from "../model/system.ts";
import type { Pilot, Stretch } from "./forecast.ts";

const RUNS = 2;
/** A run that is longer is no news: far less is too much for any search. */
const MOST_STEPS = 10_000;
/** As in the search: alone-steps in a row that store no state. */
const MAX_CHAIN = 64;
/** Beside the words of the state: its parent, its action, its places in the table. */
const RECORD_BYTES = 16;

/** Walks a little at a time, for whoever waits for the search shall not wait for this. The machine is one that `watch` was called on. */
export class PilotRuns {
  readonly #machine: MachineSystem;
  readonly #alone: AloneSteps | undefined;
  readonly #done: { stretches: Stretch[]; levels: number }[] = [];
  #walk: Walk;

  constructor(machine: MachineSystem) {
    this.#machine = machine;
    this.#alone = machine.independence === undefined ? undefined : new AloneSteps(machine.independence, machine.actors, (words) => new Int32Array(words));
    this.#walk = new Walk(machine, this.#alone, 1);
  }

  /** Takes about so many steps more; answers when all runs are at their end. Undefined for ever where a run needs another machine: it will come. */
  advance(steps: number): Pilot | undefined {
    try {
      for (let left = steps; left > 0 && this.#done.length < RUNS; ) {
        left -= this.#walk.advance(left);
        if (!this.#walk.ended) continue;
        this.#done.push(this.#walk.count());
        this.#walk = new Walk(this.#machine, this.#alone, this.#done.length + 1);
      }
    } catch {
      return undefined;
    }
    if (this.#done.length < RUNS) return undefined;
    const shortest = this.#done.reduce((least, run) => (run.levels < least.levels ? run : least));
    return { ...shortest, bytesPerState: this.#machine.words * Int32Array.BYTES_PER_ELEMENT + RECORD_BYTES };
  }
}

interface Count {
  readonly threads: Set<number>;
  steps: number;
  branching: number;
  /** By actor: branching steps. */
  readonly own: Map<number, number>;
}

class Walk {
  readonly #machine: MachineSystem;
  readonly #alone: AloneSteps | undefined;
  readonly #state: Int32Array;
  readonly #trial: Int32Array;
  readonly #counts = new Map<number, Count>();
  #random: number;
  #steps = 0;
  #levels = 0;
  #ended = false;

  constructor(machine: MachineSystem, alone: AloneSteps | undefined, seed: number) {
    this.#machine = machine;
    this.#alone = alone;
    this.#state = new Int32Array(machine.words);
    this.#trial = new Int32Array(machine.words);
    this.#random = seed;
    machine.initial(this.#state);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Answers how many steps it took. */
  advance(steps: number): number {
    const before = this.#steps;
    while (!this.#ended && this.#steps - before < steps) {
      if (this.#steps < MOST_STEPS && this.#level()) this.#levels += 1;
      else this.#ended = true;
    }
    return this.#steps - before;
  }

  count(): { stretches: Stretch[]; levels: number } {
    const equal = this.#machine.symmetry !== undefined;
    return { levels: this.#levels, stretches: [...this.#counts.values()].map((count) => stretchOf(count, equal)) };
  }

  /** From one stored state to the next. */
  #level(): boolean {
    if (!this.#stepAlone(false) && !this.#stepAnyone()) return false;
    for (let chain = 1; chain < MAX_CHAIN && this.#stepAlone(true); chain++);
    return true;
  }

  /** `chained`: only a step without alternatives. */
  #stepAlone(chained: boolean): boolean {
    const alone = this.#alone;
    if (alone === undefined) return false;
    for (let actor = alone.next(this.#state, 0, 0); actor >= 0; actor = alone.next(this.#state, 0, actor + 1)) {
      const choices = this.#try(actor);
      if (choices === 0) continue;
      if (chained && choices > 1) return false;
      this.#take(actor, choices, false);
      return true;
    }
    return false;
  }

  /** Whoever comes first, from a place by chance; and whether anybody else could have gone. */
  #stepAnyone(): boolean {
    const { actors } = this.#machine;
    const first = this.#below(actors);
    let taken = -1;
    let others = false;
    for (let turn = 0; turn < actors && !others; turn++) {
      const actor = (first + turn) % actors;
      if (this.#try(actor) === 0) continue;
      others = taken >= 0;
      if (!others) taken = actor;
    }
    if (taken >= 0) this.#take(taken, this.#try(taken), others);
    return taken >= 0;
  }

  #try(actor: number): number {
    this.#trial.set(this.#state);
    return this.#machine.step(this.#trial, actor, 0);
  }

  #take(actor: number, choices: number, branching: boolean): void {
    const segment = this.#machine.segment.get(this.#state);
    const parallel = this.#machine.segments[segment]?.parallel === true;
    this.#machine.step(this.#state, actor, choices > 1 ? this.#below(choices) : 0);
    this.#steps += 1;
    if (!parallel) return;
    const count = this.#counts.get(segment) ?? { threads: new Set(), steps: 0, branching: 0, own: new Map() };
    this.#counts.set(segment, count);
    count.threads.add(actor);
    count.steps += 1;
    if (!branching) return;
    count.branching += 1;
    count.own.set(actor, (count.own.get(actor) ?? 0) + 1);
  }

  /** A whole number below `bound`; the same ones every time (Numerical Recipes' linear congruence). */
  #below(bound: number): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * bound);
  }
}

function stretchOf({ threads, steps, branching, own }: Count, equal: boolean): Stretch {
  let positions = 0;
  for (const steps of own.values()) positions += Math.log2(steps + 1);
  if (equal) for (let of = 2; of <= threads.size; of++) positions -= Math.log2(of);
  return { threads: threads.size, steps, branching, positions };
}
