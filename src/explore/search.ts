// Exhaustive breadth-first search over the interleavings of a System: every reachable state once, every transition once, shortest schedules first.
// With `reduce`, steps that commute with all others are taken alone and runs of them are not stored; the answers stay, the schedules need not be the shortest.

import { assert } from "../base/assert.ts";
import { Gauge } from "./gauge.ts";
import { FULL, StateStore } from "./store.ts";
import type { Budget, Edge, Exploration, Observer, System } from "./system.ts";

export interface ExploreOptions {
  /** Use `System.alone`. Off: exact, and each first schedule is a shortest one. */
  readonly reduce?: boolean;
}

type Steps = { actor: number; choice: number }[];

const ACTOR_BITS = 8;
const MAX_ACTORS = 1 << ACTOR_BITS;
const MAX_CHOICES = 1 << (31 - ACTOR_BITS);
/** Steps taken in a row without storing a state; a cycle of such steps meets a stored state after at most so many. */
const MAX_CHAIN = 64;

const packAction = (actor: number, choice: number): number => actor | (choice << ACTOR_BITS);
const actorOf = (action: number): number => action & (MAX_ACTORS - 1);
const choiceOf = (action: number): number => action >>> ACTOR_BITS;

/**
 * Runs every interleaving within `budget` and tells `observer` what it meets. An `edge` always leaves the state that was last given to `state`.
 * The arrays given to the observer are the search's own: read them during the call, never write or keep them.
 */
export function explore(system: System, observer: Observer, budget: Budget, options: ExploreOptions = {}): Exploration {
  assert(system.actors <= MAX_ACTORS, `${system.actors} actors are more than ${MAX_ACTORS}`);
  const reduce = options.reduce === true && system.alone !== undefined;
  return (reduce ? new ReducedSearch(system, observer, budget) : new Search(system, observer, budget)).run();
}

/** The one Edge of a search, filled anew for each transition. */
class CurrentEdge implements Edge {
  actor = 0;
  choice = 0;
  private readonly search: Search;

  constructor(search: Search) {
    this.search = search;
  }

  schedule(): Steps {
    const steps = this.search.prefix();
    steps.push({ actor: this.actor, choice: this.choice });
    return steps;
  }
}

class Search {
  protected readonly system: System;
  protected readonly observer: Observer;
  protected readonly budget: Budget;
  protected readonly store: StateStore;
  protected readonly words: number;
  protected readonly actors: number;
  protected readonly edge: CurrentEdge;
  /** The state being expanded, its number, and the array that steps are run in. */
  protected readonly current: Int32Array;
  protected readonly scratch: Int32Array;
  protected number = 0;
  protected transitions = 0;
  private readonly hasState: boolean;
  private readonly hasEdge: boolean;
  private readonly hasEnd: boolean;
  private readonly scheduleHere: () => Steps;

  constructor(system: System, observer: Observer, budget: Budget) {
    this.system = system;
    this.observer = observer;
    this.budget = budget;
    this.words = system.words;
    this.actors = system.actors;
    this.store = new StateStore(system.words, budget.maxStates, budget.maxBytes);
    this.edge = new CurrentEdge(this);
    this.current = new Int32Array(system.words);
    this.scratch = new Int32Array(system.words);
    this.hasState = observer.state !== undefined;
    this.hasEdge = observer.edge !== undefined;
    this.hasEnd = observer.end !== undefined;
    this.scheduleHere = () => this.scheduleTo(this.number);
  }

  run(): Exploration {
    const gauge = new Gauge(this.budget);
    this.system.initial(this.scratch);
    let going = this.store.insert(this.scratch, -1, 0) !== FULL;
    while (going && this.number < this.store.count) {
      if (this.number >= gauge.nextPoll && gauge.poll(this.number)) break;
      going = this.expand(this.number);
      if (going) this.number += 1;
    }
    const limit = this.store.limit ?? gauge.limit;
    const summary = { states: this.store.count, transitions: this.transitions, complete: limit === undefined, milliseconds: gauge.elapsed() };
    return limit === undefined ? summary : { ...summary, limit };
  }

  /** The steps that lead to the state whose edge is being reported. */
  prefix(): Steps {
    return this.scheduleTo(this.number);
  }

  protected scheduleTo(number: number): Steps {
    const steps: Steps = [];
    for (let at = number; this.store.parent(at) >= 0; at = this.store.parent(at)) {
      const action = this.store.action(at);
      steps.push({ actor: actorOf(action), choice: choiceOf(action) });
    }
    return steps.reverse();
  }

  /** Takes every step of a state; false when the search has to stop. */
  protected expand(number: number): boolean {
    const { system, actors, words, current, scratch } = this;
    this.store.load(number, current);
    if (this.hasState) this.observer.state?.(current);
    let enabled = false;
    let clean = false;
    for (let actor = 0; actor < actors; actor++) {
      // A step that is not enabled leaves its array untouched, so the next actor can use it as it is.
      if (!clean) for (let i = 0; i < words; i++) scratch[i] = current[i];
      const choices = system.step(scratch, actor, 0);
      clean = choices === 0;
      if (clean) continue;
      enabled = true;
      if (!this.take(number, actor, 0)) return false;
      if (choices > 1 && !this.takeOthers(number, actor, choices)) return false;
    }
    if (!enabled) this.reportEnd();
    return true;
  }

  protected reportEnd(): void {
    if (this.hasEnd) this.observer.end?.(this.current, this.system.finished(this.current), this.scheduleHere);
  }

  protected report(state: Int32Array, actor: number, choice: number): void {
    this.transitions += 1;
    if (!this.hasEdge) return;
    const edge = this.edge;
    edge.actor = actor;
    edge.choice = choice;
    this.observer.edge?.(state, edge);
  }

  private takeOthers(number: number, actor: number, choices: number): boolean {
    assert(choices <= MAX_CHOICES, `a step with ${choices} alternatives`);
    const { system, words, current, scratch } = this;
    for (let choice = 1; choice < choices; choice++) {
      for (let i = 0; i < words; i++) scratch[i] = current[i];
      system.step(scratch, actor, choice);
      if (!this.take(number, actor, choice)) return false;
    }
    return true;
  }

  private take(number: number, actor: number, choice: number): boolean {
    this.report(this.scratch, actor, choice);
    return this.store.insert(this.scratch, number, packAction(actor, choice)) !== FULL;
  }
}

/**
 * Persistent sets of one actor, chosen by `System.alone`. After a step, further alone-steps with one alternative follow at once and only the state behind
 * them is stored. Proviso against ignoring the other actors for ever: a stored state whose alone-steps lead to a state that is known is expanded fully, so
 * every cycle of the reduced graph has a state in which all actors took their steps.
 */
class ReducedSearch extends Search {
  /** Successors of the state being expanded, not yet followed: [action, state…]. */
  private pending: Int32Array;
  private pendingCount = 0;
  /** The state at the tip of the chain, the array for its next step, and the actions from the expanded state up to it. */
  private readonly tip: Int32Array;
  private readonly trial: Int32Array;
  private readonly chain: number[] = [];
  private choices = 0;

  constructor(system: System, observer: Observer, budget: Budget) {
    super(system, observer, budget);
    this.pending = new Int32Array((system.words + 1) * 16);
    this.tip = new Int32Array(system.words);
    this.trial = new Int32Array(system.words);
  }

  override prefix(): Steps {
    const steps = super.prefix();
    for (const action of this.chain) steps.push({ actor: actorOf(action), choice: choiceOf(action) });
    return steps;
  }

  /** Records hold the first action of a chain; the rest is found again by taking the same alone-steps from there. */
  protected override scheduleTo(number: number): Steps {
    const path: number[] = [];
    for (let at = number; this.store.parent(at) >= 0; at = this.store.parent(at)) path.push(at);
    const steps: Steps = [];
    const state = new Int32Array(this.words);
    const trial = new Int32Array(this.words);
    for (const at of path.reverse()) {
      const action = this.store.action(at);
      this.store.load(this.store.parent(at), state);
      this.system.step(state, actorOf(action), choiceOf(action));
      steps.push({ actor: actorOf(action), choice: choiceOf(action) });
      for (let length = 0; !this.store.holds(at, state); length++) {
        const actor = this.findAlone(state, trial);
        assert(actor >= 0 && length < MAX_CHAIN, "a chain of alone-steps does not lead back to its state");
        steps.push({ actor, choice: 0 });
        state.set(trial);
      }
    }
    return steps;
  }

  protected override expand(number: number): boolean {
    this.store.load(number, this.current);
    this.observer.state?.(this.current);
    const alone = this.findAlone(this.current, this.trial);
    if (alone < 0) {
      for (let actor = 0; actor < this.actors; actor++) this.gather(actor);
      if (this.pendingCount === 0) this.reportEnd();
      return this.follow(number) !== FULL;
    }
    this.gather(alone);
    const known = this.follow(number);
    if (known <= 0) return known !== FULL;
    this.observer.state?.(this.current);
    for (let actor = 0; actor < this.actors; actor++) if (actor !== alone) this.gather(actor);
    return this.follow(number) !== FULL;
  }

  /** The first actor that may step alone and can, with `trial` as the state behind its first alternative and `choices` their number; else -1. */
  private findAlone(state: Int32Array, trial: Int32Array): number {
    const { system, actors, words } = this;
    for (let actor = 0; actor < actors; actor++) {
      if (!system.alone?.(state, actor)) continue;
      for (let i = 0; i < words; i++) trial[i] = state[i];
      this.choices = system.step(trial, actor, 0);
      if (this.choices > 0) return actor;
    }
    return -1;
  }

  /** Takes all alternatives of one actor's step in `current` and keeps the states behind them. */
  private gather(actor: number): void {
    const { system, words, current, scratch } = this;
    let choices = 1;
    for (let choice = 0; choice < choices; choice++) {
      for (let i = 0; i < words; i++) scratch[i] = current[i];
      const answered = system.step(scratch, actor, choice);
      if (choice === 0) choices = answered;
      if (choices === 0) return;
      assert(choices <= MAX_CHOICES, `a step with ${choices} alternatives`);
      this.report(scratch, actor, choice);
      const base = this.pendingCount * (words + 1);
      if (base + words + 1 > this.pending.length) {
        const larger = new Int32Array(this.pending.length * 2);
        larger.set(this.pending);
        this.pending = larger;
      }
      this.pending[base] = packAction(actor, choice);
      for (let i = 0; i < words; i++) this.pending[base + 1 + i] = scratch[i];
      this.pendingCount += 1;
    }
  }

  /** Follows each gathered state to the end of its chain and stores that; answers how many of those were known, or `FULL`. */
  private follow(number: number): number {
    const { words, tip, trial, chain, pending } = this;
    const count = this.pendingCount;
    this.pendingCount = 0;
    let known = 0;
    for (let at = 0; at < count; at++) {
      const base = at * (words + 1);
      for (let i = 0; i < words; i++) tip[i] = pending[base + 1 + i];
      chain.push(pending[base]);
      while (chain.length < MAX_CHAIN) {
        const actor = this.findAlone(tip, trial);
        if (actor < 0 || this.choices > 1) break;
        this.observer.state?.(tip);
        this.report(trial, actor, 0);
        chain.push(packAction(actor, 0));
        for (let i = 0; i < words; i++) tip[i] = trial[i];
      }
      chain.length = 0;
      const inserted = this.store.insert(tip, number, pending[base]);
      if (inserted === FULL) return FULL;
      if (inserted < 0) known += 1;
    }
    return known;
  }
}
