// Exhaustive breadth-first search over the interleavings of a System: every reachable state once, every transition once, shortest schedules first.
// With `reduce` the search of reduced.ts takes its place: fewer states, the same answers, schedules that need not be the shortest.

import { ReducedSearch } from "./reduced.ts";
import { Batch } from "./store.ts";
import type { Budget, Exploration, Observer, System } from "./system.ts";
import { assertChoices, packAction, pathTo, type Steps, Walk } from "./walk.ts";

export interface ExploreOptions {
  /** Use `System.independence` and `System.symmetry`. Off: exact, and each first schedule is a shortest one. */
  readonly reduce?: boolean;
}

/**
 * Runs every interleaving within `budget` and tells `observer` what it meets. An `edge` always leaves the state that was last given to `state`.
 * The arrays given to the observer are the search's own: read them during the call, never write or keep them.
 */
export function explore(system: System, observer: Observer, budget: Budget, options: ExploreOptions = {}): Exploration {
  const reduce = options.reduce === true && (system.independence !== undefined || system.symmetry !== undefined);
  return (reduce ? new ReducedSearch(system, observer, budget) : new Search(system, observer, budget)).run();
}

class Search extends Walk {
  private readonly batch: Batch;

  constructor(system: System, observer: Observer, budget: Budget) {
    super(system, observer, budget);
    this.batch = new Batch(this.store);
  }

  override scheduleOfEdge(actor: number, choice: number): Steps {
    return [...this.scheduleTo(this.number), { actor, choice }];
  }

  protected override scheduleTo(number: number): Steps {
    return pathTo(this.store, number);
  }

  protected override expandUpTo(end: number): boolean {
    const { store, current } = this;
    for (; this.number < end; this.number++) {
      store.load(this.number, current);
      this.tellState(current);
      if (!this.expand()) return false;
    }
    return this.insertAll(this.batch);
  }

  /** Takes every step of the current state. Steps run in the array that the batch keeps, so no result is copied before it is stored. */
  private expand(): boolean {
    const { system, actors, words, current, batch } = this;
    let enabled = false;
    let clean = false;
    for (let actor = 0; actor < actors; actor++) {
      const next = batch.states[batch.count];
      // A step that is not enabled leaves its array untouched, so the next actor can use it as it is.
      if (!clean) for (let i = 0; i < words; i++) next[i] = current[i];
      const choices = system.step(next, actor, 0);
      clean = choices === 0;
      if (clean) continue;
      enabled = true;
      this.tellEdge(next, actor, 0);
      if (batch.push(this.number, packAction(actor, 0)) && !this.insertAll(batch)) return false;
      if (choices > 1 && !this.takeOthers(actor, choices)) return false;
    }
    if (!enabled) this.tellEnd();
    return true;
  }

  private takeOthers(actor: number, choices: number): boolean {
    assertChoices(choices);
    const { system, words, current, batch } = this;
    for (let choice = 1; choice < choices; choice++) {
      const next = batch.states[batch.count];
      for (let i = 0; i < words; i++) next[i] = current[i];
      system.step(next, actor, choice);
      this.tellEdge(next, actor, choice);
      if (batch.push(this.number, packAction(actor, choice)) && !this.insertAll(batch)) return false;
    }
    return true;
  }
}
