// The search with reductions: steps that commute with all others are taken alone (partial order), runs of them are not stored, and of states that differ only
// by exchanging equal actors one is kept (symmetry).

import { assert } from "../base/assert.ts";
import { AloneSteps } from "./independence.ts";
import { Batch, FULL } from "./store.ts";
import type { Budget, Observer, Symmetry, System } from "./system.ts";
import { actorOf, assertChoices, choiceOf, packAction, type Steps, stepOf, Walk } from "./walk.ts";
import { WalkedStates } from "./walked.ts";

/** Steps taken in a row without storing a state; a cycle of such steps meets a stored state after at most so many. */
const MAX_CHAIN = 64;

/** Beside the action of a record: a chain ended in its state because nobody can step alone there. */
const NOBODY_ALONE = 0x8000_0000 | 0;

/**
 * Persistent sets of one actor, chosen by `AloneSteps`. After a step, further alone-steps with one alternative follow at once and only the state behind them is
 * stored. Proviso against ignoring the other actors for ever: a stored state whose alone-steps lead to a state that is known is expanded fully, so every cycle
 * of the reduced graph has a state in which all actors took their steps (Emerson, Jha and Peled, Combining partial order and symmetry reductions, 1997).
 */
export class ReducedSearch extends Walk {
  private readonly symmetry: Symmetry | undefined;
  private readonly alone: AloneSteps | undefined;
  private readonly was: Uint8Array;
  /** Successors of the state being expanded, with their actions; the first `waiting` are not yet followed. One more is there to be written. */
  private readonly successors: Int32Array[] = [];
  private readonly actions: number[] = [];
  private waiting = 0;
  private readonly batch: Batch;
  private readonly walked: WalkedStates;
  /** For the next step of a chain, and the actions of a chain from the expanded state up to its tip. */
  private trial: Int32Array;
  private readonly chain = new Int32Array(MAX_CHAIN);
  private length = 0;
  private choices = 0;

  constructor(system: System, observer: Observer, budget: Budget) {
    super(system, observer, budget);
    this.symmetry = system.symmetry;
    this.alone = system.independence === undefined ? undefined : new AloneSteps(system.independence, system.actors, (words) => this.store.spare(words));
    this.was = new Uint8Array(system.actors);
    this.trial = new Int32Array(system.words);
    this.batch = new Batch(this.store);
    this.walked = new WalkedStates(this.store);
    this.successors.push(new Int32Array(system.words));
  }

  override scheduleOfEdge(actor: number, choice: number): Steps {
    const steps = this.scheduleTo(this.number);
    for (let at = 0; at < this.length; at++) steps.push(stepOf(this.chain[at]));
    steps.push({ actor, choice });
    return steps;
  }

  /**
   * Records hold the first action of a chain; the rest is found again by taking the same alone-steps from there. Where the state behind a chain was exchanged
   * for its representative, all that came before is exchanged in the same way: steps and actors commute with the exchange, and the initial state is the same.
   */
  protected override scheduleTo(number: number): Steps {
    const path: number[] = [];
    for (let at = number; this.store.parent(at) >= 0; at = this.store.parent(at)) path.push(at);
    const parts: number[][] = [];
    const moves: (Uint8Array | undefined)[] = [];
    let tip = new Int32Array(this.words);
    let trial = new Int32Array(this.words);
    for (const at of path.reverse()) {
      const part = [this.store.action(at) & ~NOBODY_ALONE];
      this.store.load(this.store.parent(at), tip);
      this.system.step(tip, actorOf(part[0]), choiceOf(part[0]));
      while (part.length < MAX_CHAIN) {
        const actor = this.findAlone(tip, trial, actorOf(part[part.length - 1]));
        if (actor < 0 || this.choices > 1) break;
        part.push(packAction(actor, 0));
        [tip, trial] = [trial, tip];
      }
      const was = new Uint8Array(this.actors);
      moves.push(this.symmetry?.canonicalise(tip, was) === true ? was : undefined);
      assert(this.store.holds(at, tip), "a chain of alone-steps does not lead back to its state");
      parts.push(part);
    }
    return exchanged(parts, moves, this.actors);
  }

  protected override begin(): number {
    this.system.initial(this.current);
    assert(this.symmetry?.canonicalise(this.current, this.was) !== true, "equal actors differ in the initial state");
    return this.store.insert(this.current, -1, 0);
  }

  protected override expandUpTo(end: number): boolean {
    for (; this.number < end; this.number++) if (!this.expand(this.number)) return false;
    return this.insertAll(this.batch);
  }

  private expand(number: number): boolean {
    this.store.load(number, this.current);
    this.tellState(this.current);
    const alone = this.store.action(number) < 0 ? -1 : this.findAlone(this.current, this.successors[0], 0);
    if (alone < 0) {
      for (let actor = 0; actor < this.actors; actor++) if (!this.gather(actor)) return false;
      if (this.waiting === 0) this.tellEnd();
      return this.follow(number, false) !== FULL;
    }
    // Whether what follows is known decides what else has to be taken, so nothing may wait in the batch.
    if (!this.gatherAlone(alone) || !this.insertAll(this.batch)) return false;
    const known = this.follow(number, true);
    if (known <= 0) return known !== FULL;
    this.tellState(this.current);
    for (let actor = 0; actor < this.actors; actor++) if (actor !== alone && !this.gather(actor)) return false;
    return this.follow(number, false) !== FULL;
  }

  /** The first actor that may step alone and can, with `trial` as the state behind its first alternative and `choices` their number; else -1. */
  private findAlone(state: Int32Array, trial: Int32Array, first: number): number {
    const { system, alone, words, actors } = this;
    if (alone === undefined) return -1;
    for (let actor = alone.next(state, first, 0); actor >= 0; ) {
      for (let i = 0; i < words; i++) trial[i] = state[i];
      this.choices = system.step(trial, actor, 0);
      if (this.choices > 0) return actor;
      actor = alone.next(state, first, actor - first + (actor < first ? actors : 0) + 1);
    }
    return -1;
  }

  /** Keeps what `findAlone` left in the first successor, and takes the other alternatives of that step. */
  private gatherAlone(actor: number): boolean {
    const choices = this.choices;
    this.tellEdge(this.successors[0], actor, 0);
    return this.keep(packAction(actor, 0)) && (choices === 1 || this.gatherChoices(actor, 1, choices));
  }

  /** Takes all alternatives of one actor's step in `current` and keeps the states behind them; false when there is no memory. */
  private gather(actor: number): boolean {
    const { system, words, current } = this;
    const next = this.successors[this.waiting];
    for (let i = 0; i < words; i++) next[i] = current[i];
    const choices = system.step(next, actor, 0);
    if (choices === 0) return true;
    this.tellEdge(next, actor, 0);
    return this.keep(packAction(actor, 0)) && (choices === 1 || this.gatherChoices(actor, 1, choices));
  }

  private gatherChoices(actor: number, from: number, to: number): boolean {
    assertChoices(to);
    const { system, words, current } = this;
    for (let choice = from; choice < to; choice++) {
      const next = this.successors[this.waiting];
      for (let i = 0; i < words; i++) next[i] = current[i];
      system.step(next, actor, choice);
      this.tellEdge(next, actor, choice);
      if (!this.keep(packAction(actor, choice))) return false;
    }
    return true;
  }

  private keep(action: number): boolean {
    this.actions[this.waiting] = action;
    this.waiting += 1;
    if (this.waiting < this.successors.length) return true;
    const more = this.store.beside(this.words);
    if (more === undefined) return false;
    this.successors.push(more);
    return true;
  }

  /**
   * Follows each gathered state to the end of its chain, or to where an earlier chain went on, and stores the representative of the end, at once or with the
   * next batch. Answers `FULL`, or how many ends are known to have been stored before.
   */
  private follow(number: number, atOnce: boolean): number {
    const { chain, symmetry, successors, actions, batch, walked } = this;
    const count = this.waiting;
    this.waiting = 0;
    let known = 0;
    for (let at = 0; at < count; at++) {
      let action = actions[at];
      chain[0] = action;
      this.length = 1;
      let tip = successors[at];
      walked.begin();
      let met = walked.meets(tip);
      while (!met && this.length < MAX_CHAIN) {
        const actor = this.findAlone(tip, this.trial, actorOf(chain[this.length - 1]));
        if (actor < 0) action |= NOBODY_ALONE;
        if (actor < 0 || this.choices > 1) break;
        this.tellState(tip);
        this.tellEdge(this.trial, actor, 0);
        chain[this.length++] = packAction(actor, 0);
        successors[at] = this.trial;
        this.trial = tip;
        tip = successors[at];
        met = walked.meets(tip);
      }
      this.length = 0;
      if (met) {
        known += 1;
        continue;
      }
      symmetry?.canonicalise(tip, this.was);
      if (atOnce) {
        const inserted = this.store.insert(tip, number, action);
        if (inserted === FULL) return FULL;
        if (inserted < 0) known += 1;
      } else {
        // The batch keeps the tip, and what it had ready in that place becomes ours.
        successors[at] = batch.states[batch.count];
        batch.states[batch.count] = tip;
        if (batch.push(number, action) && !this.insertAll(batch)) return FULL;
      }
    }
    return known;
  }
}

/**
 * One schedule of parts behind each of which actors may have changed places. `moves[k][i]`: who was at place `i` before the exchange behind part `k`. The last
 * state keeps its actors; each part is told in their names.
 */
function exchanged(parts: readonly (readonly number[])[], moves: readonly (Uint8Array | undefined)[], actors: number): Steps {
  const place = Uint8Array.from({ length: actors }, (_, actor) => actor);
  const steps: Steps = [];
  for (let part = parts.length - 1; part >= 0; part--) {
    const was = moves[part];
    if (was !== undefined) {
      const later = place.slice();
      for (let to = 0; to < actors; to++) place[was[to]] = later[to];
    }
    for (let at = parts[part].length - 1; at >= 0; at--) {
      const { actor, choice } = stepOf(parts[part][at]);
      steps.push({ actor: place[actor], choice });
    }
  }
  return steps.reverse();
}
