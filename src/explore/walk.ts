// What every breadth-first search over a System shares: the store and the numbers of its states, layers, limits and progress, and what the observer hears.

import { assert } from "../base/assert.ts";
import { Gauge } from "./gauge.ts";
import { type Batch, FULL, StateStore } from "./store.ts";
import type { Budget, Edge, Exploration, Observer, System } from "./system.ts";

export type Steps = { actor: number; choice: number }[];

// An action is an actor and the alternative that it took, in one number.
const ACTOR_BITS = 8;
export const MAX_ACTORS = 1 << ACTOR_BITS;
const MAX_CHOICES = 1 << (31 - ACTOR_BITS);

export const packAction = (actor: number, choice: number): number => actor | (choice << ACTOR_BITS);
export const actorOf = (action: number): number => action & (MAX_ACTORS - 1);
export const choiceOf = (action: number): number => action >>> ACTOR_BITS;
export const stepOf = (action: number): { actor: number; choice: number } => ({ actor: actorOf(action), choice: choiceOf(action) });

export function assertChoices(choices: number): void {
  assert(choices <= MAX_CHOICES, `a step with ${choices} alternatives`);
}

/** The steps along the parents of a record, where each record is one step from its parent. */
export function pathTo(store: StateStore, number: number): Steps {
  const steps: Steps = [];
  for (let at = number; store.parent(at) >= 0; at = store.parent(at)) steps.push(stepOf(store.action(at)));
  return steps.reverse();
}

/** The one Edge of a search, filled anew for each transition. */
class CurrentEdge implements Edge {
  actor = 0;
  choice = 0;
  private readonly walk: Walk;

  constructor(walk: Walk) {
    this.walk = walk;
  }

  schedule(): Steps {
    return this.walk.scheduleOfEdge(this.actor, this.choice);
  }
}

export abstract class Walk {
  protected readonly system: System;
  protected readonly observer: Observer;
  protected readonly store: StateStore;
  protected readonly words: number;
  protected readonly actors: number;
  protected readonly gauge: Gauge;
  /** The state being expanded, and its number. */
  protected readonly current: Int32Array;
  protected number = 0;
  /** First number behind the layer that is being expanded, and how far that layer lies from the initial state. */
  protected layerEnd = 1;
  private depth = 0;
  private transitions = 0;
  private readonly edge: CurrentEdge;
  private readonly hasEdge: boolean;
  private readonly hasEnd: boolean;
  private readonly hasState: boolean;
  private readonly saysWentBack: boolean;
  private wentBack = false;
  private readonly scheduleHere: () => Steps;

  constructor(system: System, observer: Observer, budget: Budget) {
    assert(system.actors <= MAX_ACTORS, `${system.actors} actors are more than ${MAX_ACTORS}`);
    this.system = system;
    this.observer = observer;
    this.words = system.words;
    this.actors = system.actors;
    this.store = new StateStore(system.words, budget.maxStates, budget.maxBytes);
    this.gauge = new Gauge(budget, () => this.counts());
    this.current = new Int32Array(system.words);
    this.edge = new CurrentEdge(this);
    this.hasState = observer.state !== undefined;
    this.hasEdge = observer.edge !== undefined;
    this.hasEnd = observer.end !== undefined;
    this.saysWentBack = system.wentBack !== undefined;
    this.scheduleHere = () => this.scheduleTo(this.number);
  }

  /** Expands state after state until none is left or a limit is met. */
  run(): Exploration {
    const { store, gauge } = this;
    let going = this.begin() !== FULL;
    while (going && this.number < store.count) {
      if (this.number >= gauge.nextPoll && gauge.poll(this.number)) break;
      if (this.number === this.layerEnd) {
        this.depth += 1;
        this.layerEnd = store.count;
      }
      going = this.expandUpTo(Math.min(this.layerEnd, gauge.nextPoll));
    }
    const limit = store.limit ?? gauge.limit;
    const { states, transitions, depth, frontier } = this.counts();
    const wentBack = this.wentBack || !this.saysWentBack;
    const summary = { states, transitions, complete: limit === undefined, milliseconds: gauge.elapsed(), depth, frontier, bytes: store.bytes, wentBack };
    return limit === undefined ? summary : { ...summary, limit };
  }

  /** The steps that lead to the edge at hand. */
  abstract scheduleOfEdge(actor: number, choice: number): Steps;

  /** The steps that lead to a stored state. */
  protected abstract scheduleTo(number: number): Steps;

  /** Expands the states from `this.number` on and moves it, at most to `end`, which lies in the same layer; false when the search has to stop. */
  protected abstract expandUpTo(end: number): boolean;

  /** Stores a batch. Where one of its states does not fit, the state that it came from and those behind that count as not expanded. */
  protected insertAll(batch: Batch): boolean {
    const fits = this.store.insertAll(batch);
    if (!fits) this.number = batch.refused;
    return fits;
  }

  /** Stores the initial state; what `insert` answers. */
  protected begin(): number {
    this.system.initial(this.current);
    return this.store.insert(this.current, -1, 0);
  }

  protected tellState(state: Int32Array): void {
    if (this.hasState) this.observer.state?.(state);
  }

  protected tellEdge(state: Int32Array, actor: number, choice: number): void {
    this.transitions += 1;
    if (this.saysWentBack && this.system.wentBack === true) this.wentBack = true;
    if (!this.hasEdge) return;
    const edge = this.edge;
    edge.actor = actor;
    edge.choice = choice;
    this.observer.edge?.(state, edge);
  }

  protected tellEnd(): void {
    if (this.hasEnd) this.observer.end?.(this.current, this.system.finished(this.current), this.scheduleHere);
  }

  private counts(): { states: number; transitions: number; frontier: number; depth: number } {
    return { states: this.store.count, transitions: this.transitions, frontier: this.store.count - this.number, depth: this.depth };
  }
}
