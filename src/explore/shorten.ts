// Of all shortest schedules that lead to something, one with the fewest switches between actors: the story that is easiest to follow.
// A second breadth-first search, layer by layer, that knows for each state and each actor that may have stepped last the least number of switches.

import { Gauge } from "./gauge.ts";
import type { Schedule } from "./schedule.ts";
import { FULL, StateStore } from "./store.ts";
import type { Budget, System } from "./system.ts";

export interface Goal {
  /** A schedule that gets there; the answer is never longer. */
  readonly schedule: Schedule;
  /**
   * Whether this transition is the one looked for. Called right behind the `step` that made it, before any other; so what the system noted of that step may be
   * read, and no other step run. Reads both states during the call only.
   */
  hit(before: Int32Array, after: Int32Array, actor: number, choice: number): boolean;
}

export interface Shortened {
  readonly schedule: Schedule;
  /** Proven: no schedule with fewer steps gets there. Otherwise it is the one that the goal came with. */
  readonly shortest: boolean;
}

/** Per state and last actor: [switches + 1 (0 = none such), number of the state before, its last actor, choice]. */
const ENTRY = 4;
const CHUNK_STATES = 1 << 9;

interface Best {
  readonly switches: number;
  readonly from: number;
  readonly last: number;
  readonly actor: number;
  readonly choice: number;
}

/** `shortenAll` for one goal. */
export function shorten(system: System, goal: Goal, budget: Budget): Shortened {
  return shortenAll(system, [goal], budget)[0];
}

/**
 * One schedule per goal: a shortest one, and among those one with the fewest switches. One search without reductions serves all goals and goes no deeper than
 * the longest of their schedules. Where the budget ends first, the goal keeps the schedule that it came with.
 */
export function shortenAll(system: System, goals: readonly Goal[], budget: Budget): Shortened[] {
  const depth = goals.reduce((most, goal) => Math.max(most, goal.schedule.length), 0);
  const search = new LayeredSearch(system, goals, budget);
  for (let layer = 0; layer < depth && search.advance(layer); layer++);
  return search.answers;
}

class LayeredSearch {
  readonly answers: Shortened[];
  private readonly system: System;
  private readonly goals: readonly Goal[];
  private readonly store: StateStore;
  private readonly gauge: Gauge;
  private readonly before: Int32Array;
  private readonly after: Int32Array;
  /** Goals without an answer, and the best edge to each in the layer at hand. */
  private open: number[];
  private readonly best: (Best | undefined)[];
  private readonly entries: Int32Array[] = [];
  private readonly perState: number;
  private layerStart = 0;
  /** Nobody looks at the states behind the layer at hand. */
  private final = false;
  private depth = 0;
  private transitions = 0;

  constructor(system: System, goals: readonly Goal[], budget: Budget) {
    this.system = system;
    this.goals = goals;
    this.answers = goals.map(({ schedule }) => ({ schedule, shortest: schedule.length === 0 }));
    this.open = goals.map((_, index) => index).filter((index) => goals[index].schedule.length > 0);
    this.best = goals.map(() => undefined);
    this.perState = system.actors * ENTRY;
    this.store = new StateStore(system.words, budget.maxStates, budget.maxBytes);
    this.gauge = new Gauge(budget, () => ({
      states: this.store.count,
      transitions: this.transitions,
      frontier: this.store.count - this.layerStart,
      depth: this.depth,
    }));
    this.before = new Int32Array(system.words);
    this.after = new Int32Array(system.words);
    system.initial(this.after);
    this.store.insert(this.after, -1, 0);
  }

  /** Takes the edges that leave the states at distance `layer`; false when there is nothing more to do. */
  advance(layer: number): boolean {
    const from = this.layerStart;
    const to = this.store.count;
    this.layerStart = to;
    this.depth = layer;
    this.open = this.open.filter((index) => this.goals[index].schedule.length > layer);
    if (from === to || this.open.length === 0) return false;
    this.final = this.open.every((index) => this.goals[index].schedule.length === layer + 1);
    let going = true;
    for (let number = from; going && number < to; number++) {
      going = (number < this.gauge.nextPoll || !this.gauge.poll(number)) && this.expand(number, layer);
    }
    // All layers before this one were seen whole, so what was met in it is as short as can be, also where the rest of it was cut off.
    for (const index of this.open) {
      const best = this.best[index];
      if (best !== undefined) this.answers[index] = { schedule: this.scheduleOf(best), shortest: true };
    }
    this.open = this.open.filter((index) => this.best[index] === undefined);
    return going;
  }

  private expand(number: number, layer: number): boolean {
    const { system, before, after } = this;
    this.store.load(number, before);
    for (let actor = 0; actor < system.actors; actor++) {
      let choices = 1;
      let last = -2;
      let switches = 0;
      for (let choice = 0; choice < choices; choice++) {
        after.set(before);
        const answered = system.step(after, actor, choice);
        if (choice === 0) choices = answered;
        if (choices === 0) break;
        this.transitions += 1;
        if (last === -2) {
          last = layer === 0 ? -1 : this.bestLast(number, actor);
          switches = last < 0 ? 0 : this.switchesOf(number, last) + (last === actor ? 0 : 1);
        }
        this.look(switches, number, last, actor, choice);
        if (!this.final && !this.relax(switches, number, last, actor, choice)) return false;
      }
    }
    return true;
  }

  /** The actor that best steps last before `actor` steps: with the fewest switches in all, itself if that is no worse. */
  private bestLast(number: number, actor: number): number {
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let last = 0; last < this.system.actors; last++) {
      const switches = this.switchesOf(number, last);
      if (switches < 0) continue;
      const cost = switches + (last === actor ? 0 : 1);
      if (cost < least || (cost === least && last === actor)) {
        best = last;
        least = cost;
      }
    }
    return best;
  }

  private look(switches: number, from: number, last: number, actor: number, choice: number): void {
    for (const index of this.open) {
      const best = this.best[index];
      if (best !== undefined && best.switches <= switches) continue;
      if (this.goals[index].hit(this.before, this.after, actor, choice)) this.best[index] = { switches, from, last, actor, choice };
    }
  }

  private relax(switches: number, from: number, last: number, actor: number, choice: number): boolean {
    const inserted = this.store.insert(this.after, from, 0);
    if (inserted === FULL) return false;
    const number = inserted < 0 ? ~inserted : inserted;
    // A state of an earlier layer: no shortest schedule comes back to it.
    if (number < this.layerStart) return true;
    const chunk = this.chunkOf(number);
    if (chunk === undefined) return false;
    const at = (number % CHUNK_STATES) * this.perState + actor * ENTRY;
    if (chunk[at] !== 0 && chunk[at] <= switches + 1) return true;
    chunk[at] = switches + 1;
    chunk[at + 1] = from;
    chunk[at + 2] = last;
    chunk[at + 3] = choice;
    return true;
  }

  private chunkOf(number: number): Int32Array | undefined {
    const index = Math.floor(number / CHUNK_STATES);
    while (this.entries.length <= index) {
      const chunk = this.store.beside(CHUNK_STATES * this.perState);
      if (chunk === undefined) return undefined;
      this.entries.push(chunk);
    }
    return this.entries[index];
  }

  /** -1 where no shortest schedule to this state ends with a step of `last`. */
  private switchesOf(number: number, last: number): number {
    return this.entries[Math.floor(number / CHUNK_STATES)][(number % CHUNK_STATES) * this.perState + last * ENTRY] - 1;
  }

  private scheduleOf(best: Best): Schedule {
    const steps = [{ actor: best.actor, choice: best.choice }];
    let { from, last } = best;
    while (last >= 0) {
      const at = (from % CHUNK_STATES) * this.perState + last * ENTRY;
      const chunk = this.entries[Math.floor(from / CHUNK_STATES)];
      steps.push({ actor: last, choice: chunk[at + 3] });
      from = chunk[at + 1];
      last = chunk[at + 2];
    }
    return steps.reverse();
  }
}
