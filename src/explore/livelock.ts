// Is there a reachable state from which no end can be reached? Judged on the whole graph, without reductions: a plain search that keeps every edge, and a walk
// backwards from the ends. What the walk does not meet is caught, and somewhere in there a strongly connected component has no way out.

import { Gauge } from "./gauge.ts";
import type { Schedule } from "./schedule.ts";
import { FULL, StateStore } from "./store.ts";
import type { Budget, System } from "./system.ts";
import { assertChoices, packAction, pathTo, type Steps, stepOf } from "./walk.ts";

export interface LivelockAnswer {
  /** The whole graph was seen; otherwise nothing is judged. */
  readonly complete: boolean;
  readonly states: number;
  readonly found?: Livelock;
}

export interface Livelock {
  /** From the initial state to one on the round. Its first `caught` steps are a shortest way to any state from which no end can be reached. */
  readonly schedule: Schedule;
  readonly caught: number;
  /** One round of steps, at least one, that leads from there back to the same state. */
  readonly cycle: Schedule;
}

/** Edges between two looks at the clock. */
const EDGES_A_POLL = 1 << 16;
const CHUNK_SHIFT = 16;
const CHUNK_MASK = (1 << CHUNK_SHIFT) - 1;

/** An end is a state in which nobody can step. Bounded by `budget`, its memory included. */
export function findLivelock(system: System, budget: Budget): LivelockAnswer {
  const graph = new Graph(system, budget);
  const complete = graph.build();
  const states = graph.states;
  if (!complete) return { complete, states };
  const saved = graph.canEnd();
  if (saved === undefined) return { complete: false, states };
  let caught = 0;
  while (caught < states && saved[caught] !== 0) caught += 1;
  if (caught === states) return { complete, states };
  const found = graph.roundFrom(caught);
  return found === undefined ? { complete: false, states } : { complete, states, found };
}

/** Numbers in the order in which they came, in chunks that count into the memory of a store. */
class Numbers {
  length = 0;
  private readonly store: StateStore;
  private readonly chunks: Int32Array[] = [];

  constructor(store: StateStore) {
    this.store = store;
  }

  /** False when there is no memory left. */
  push(value: number): boolean {
    const index = this.length & CHUNK_MASK;
    if (index === 0) {
      const chunk = this.store.beside(CHUNK_MASK + 1);
      if (chunk === undefined) return false;
      this.chunks.push(chunk);
    }
    this.chunks[this.length >>> CHUNK_SHIFT][index] = value;
    this.length += 1;
    return true;
  }

  at(index: number): number {
    return this.chunks[index >>> CHUNK_SHIFT][index & CHUNK_MASK];
  }
}

class Graph {
  private readonly system: System;
  private readonly store: StateStore;
  private readonly gauge: Gauge;
  /** By state its first edge, and one more behind the last; by edge the state it leads to. Edges are in the order of actors and choices. */
  private readonly first: Numbers;
  private readonly targets: Numbers;
  private readonly before: Int32Array;
  private readonly after: Int32Array;

  constructor(system: System, budget: Budget) {
    this.system = system;
    this.store = new StateStore(system.words, budget.maxStates, budget.maxBytes);
    this.first = new Numbers(this.store);
    this.targets = new Numbers(this.store);
    this.before = new Int32Array(system.words);
    this.after = new Int32Array(system.words);
    this.gauge = new Gauge(budget, () => ({
      states: this.store.count,
      transitions: this.targets.length,
      frontier: this.store.count - this.first.length,
      depth: 0,
    }));
  }

  get states(): number {
    return this.store.count;
  }

  build(): boolean {
    const { system, store, first, targets, gauge } = this;
    system.initial(this.after);
    if (store.insert(this.after, -1, 0) === FULL) return false;
    for (let number = 0; number < store.count; number++) {
      if (number >= gauge.nextPoll && gauge.poll(number)) return false;
      if (!first.push(targets.length) || !this.expand(number)) return false;
    }
    return first.push(targets.length);
  }

  private expand(number: number): boolean {
    const { store, targets } = this;
    return this.eachStep(number, (action) => {
      const inserted = store.insert(this.after, number, action);
      return inserted !== FULL && targets.push(inserted < 0 ? ~inserted : inserted);
    });
  }

  /** Runs every step of a state in the order of its edges, leaving the result in `after`; stops and answers false where `visit` does. */
  private eachStep(number: number, visit: (action: number) => boolean): boolean {
    const { system, store, before, after } = this;
    store.load(number, before);
    for (let actor = 0; actor < system.actors; actor++) {
      let choices = 1;
      for (let choice = 0; choice < choices; choice++) {
        after.set(before);
        const answered = system.step(after, actor, choice);
        if (choice === 0) choices = answered;
        if (choices === 0) break;
        assertChoices(choices);
        if (!visit(packAction(actor, choice))) return false;
      }
    }
    return true;
  }

  /** By state 1 where an end can be reached from it; `undefined` when there is no memory or no time for that. */
  canEnd(): Int32Array | undefined {
    const { store, first, targets, gauge, states } = this;
    // The graph turned round: by state where its sources begin, filled by counting.
    const begin = store.beside(states + 2);
    const sources = store.beside(targets.length);
    const saved = store.beside(states);
    const queue = store.beside(states);
    if (!begin || !sources || !saved || !queue) return undefined;
    for (let edge = 0; edge < targets.length; edge++) begin[targets.at(edge) + 2] += 1;
    for (let state = 2; state < states + 2; state++) begin[state] += begin[state - 1];
    let open = 0;
    for (let state = 0, edge = 0; state < states; state++) {
      const end = first.at(state + 1);
      if (edge === end) {
        saved[state] = 1;
        queue[open++] = state;
      }
      for (; edge < end; edge++) {
        sources[begin[targets.at(edge) + 1]++] = state;
        if (edge % EDGES_A_POLL === 0 && gauge.poll(states)) return undefined;
      }
    }
    for (let done = 0; done < open; done++) {
      if (done % EDGES_A_POLL === 0 && gauge.poll(states)) return undefined;
      for (let at: number = begin[queue[done]]; at < begin[queue[done] + 1]; at++) {
        const source = sources[at];
        if (saved[source] !== 0) continue;
        saved[source] = 1;
        queue[open++] = source;
      }
    }
    return saved;
  }

  /** The way to a caught state, on into a component without a way out, and round in it. */
  roundFrom(caught: number): Livelock | undefined {
    const component = this.bottomFrom(caught);
    if (component === undefined) return undefined;
    const into = this.shortestWay(caught, (state) => component[state] !== 0, true);
    if (into === undefined) return undefined;
    const round = this.shortestWay(into.to, (state) => state === into.to, false);
    if (round === undefined) return undefined;
    const way = pathTo(this.store, caught);
    return { schedule: [...way, ...into.steps], caught: way.length, cycle: round.steps };
  }

  /**
   * Marks the first strongly connected component that Tarjan's algorithm closes (Depth-first search and linear graph algorithms, 1972), from `root` on; no edge
   * leaves it. Without recursion: `stack` is the open component, `trail` the way from the root, `edges` the next edge of each state on it.
   */
  private bottomFrom(root: number): Int32Array | undefined {
    const { store, first, targets, states } = this;
    const order = store.beside(states);
    const low = store.beside(states);
    const edges = store.beside(states);
    const stack = store.beside(states);
    const trail = store.beside(states);
    if (!order || !low || !edges || !stack || !trail) return undefined;
    let met = 0;
    let depth = 0;
    const enter = (state: number): void => {
      stack[met] = state;
      met += 1;
      order[state] = low[state] = met;
      edges[state] = first.at(state);
      trail[depth++] = state;
    };
    enter(root);
    for (;;) {
      if (met % EDGES_A_POLL === 0 && this.gauge.poll(states)) return undefined;
      const state = trail[depth - 1];
      if (edges[state] < first.at(state + 1)) {
        const target = targets.at(edges[state]++);
        if (order[target] === 0) enter(target);
        else low[state] = Math.min(low[state], order[target]);
      } else if (low[state] === order[state]) {
        // The first component that closes: nothing was taken off the stack before, so all from here on belongs to it.
        const marks = trail.fill(0);
        for (let member = order[state] - 1; member < met; member++) marks[stack[member]] = 1;
        return marks;
      } else {
        depth -= 1;
        const parent = trail[depth - 1];
        low[parent] = Math.min(low[parent], low[state]);
      }
    }
  }

  /** A shortest way, of no step if `empty` and `from` itself will do, to a state that `wanted` wants. */
  private shortestWay(from: number, wanted: (state: number) => boolean, empty: boolean): { to: number; steps: Steps } | undefined {
    if (empty && wanted(from)) return { to: from, steps: [] };
    const { store, first, targets, states } = this;
    // By state 1 + the edge by which it was reached, and the state which that edge leaves.
    const reached = store.beside(states);
    const parent = store.beside(states);
    const queue = store.beside(states);
    if (!reached || !parent || !queue) return undefined;
    let open = 0;
    queue[open++] = from;
    for (let done = 0; done < open; done++) {
      if (done % EDGES_A_POLL === 0 && this.gauge.poll(states)) return undefined;
      const state = queue[done];
      for (let edge = first.at(state); edge < first.at(state + 1); edge++) {
        const target = targets.at(edge);
        if (reached[target] !== 0) continue;
        reached[target] = edge + 1;
        parent[target] = state;
        if (wanted(target)) return { to: target, steps: this.stepsBack(from, target, reached, parent) };
        if (target !== from) queue[open++] = target;
      }
    }
    return undefined;
  }

  private stepsBack(from: number, to: number, reached: Int32Array, parent: Int32Array): Steps {
    const steps: Steps = [];
    for (let state = to; steps.length === 0 || state !== from; state = parent[state]) {
      let left = reached[state] - 1 - this.first.at(parent[state]);
      this.eachStep(parent[state], (action) => {
        if (left === 0) steps.push(stepOf(action));
        left -= 1;
        return left >= 0;
      });
    }
    return steps.reverse();
  }
}
