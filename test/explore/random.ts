// Random small machines for property tests: threads of a few operations over three-valued shared variables, with waits, free choices and loops; and an
// explorer that is as plain as can be (a Map of strings, no store, no reduction) to hold the real one against.

import * as fc from "fast-check";
import type { System } from "../../src/explore/system.ts";

type Operation =
  | { readonly kind: "set"; readonly to: number; readonly value: number }
  | { readonly kind: "add"; readonly to: number; readonly from: number }
  | { readonly kind: "wait"; readonly from: number; readonly value: number }
  | { readonly kind: "pick"; readonly to: number; readonly count: number }
  | { readonly kind: "read"; readonly from: number }
  | { readonly kind: "loop"; readonly from: number; readonly value: number; readonly target: number };

const VARIABLES = 5;
const VALUES = 3;
/** Bit masks of the variables that the observer's predicate reads. */
const WATCHED = 0b11;

const variable = fc.nat(VARIABLES - 1);
const value = fc.nat(VALUES - 1);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("set" as const), to: variable, value }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("add" as const), to: variable, from: variable }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait" as const), from: variable, value }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pick" as const), to: variable, count: fc.integer({ min: 2, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("read" as const), from: variable }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("loop" as const), from: variable, value, target: fc.nat(4) }) },
);

export const machine = fc
  .array(fc.array(operation, { minLength: 1, maxLength: 5 }), { minLength: 2, maxLength: 3 })
  .map((threads) => new RandomMachine(threads));

const readsOf = (op: Operation): number => (op.kind === "set" || op.kind === "pick" ? 0 : (1 << op.from) | (op.kind === "add" ? 1 << op.to : 0));
const writesOf = (op: Operation): number => (op.kind === "set" || op.kind === "pick" || op.kind === "add" ? 1 << op.to : 0);

export class RandomMachine implements System {
  readonly words: number;
  readonly actors: number;
  readonly threads: readonly (readonly Operation[])[];
  /** Per thread and pc: what it may read and write from there on. */
  private readonly future: { reads: number; writes: number }[][];

  constructor(threads: readonly (readonly Operation[])[]) {
    this.threads = threads;
    this.actors = threads.length;
    this.words = VARIABLES + threads.length;
    this.future = threads.map((thread) => thread.map((_, pc) => futureOf(thread, pc)));
  }

  initial(state: Int32Array): void {
    state.fill(0);
  }

  step(state: Int32Array, actor: number, choice: number): number {
    const pc = state[VARIABLES + actor];
    const op = this.threads[actor][pc];
    if (op === undefined || (op.kind === "wait" && state[op.from] !== op.value)) return 0;
    state[VARIABLES + actor] = op.kind === "loop" && state[op.from] === op.value ? Math.min(op.target, pc) : pc + 1;
    if (op.kind === "set") state[op.to] = op.value;
    if (op.kind === "add") state[op.to] = (state[op.to] + state[op.from]) % VALUES;
    if (op.kind === "pick") state[op.to] = choice;
    return op.kind === "pick" ? op.count : 1;
  }

  finished(state: Int32Array): boolean {
    return this.threads.every((thread, actor) => state[VARIABLES + actor] === thread.length);
  }

  alone(state: Int32Array, actor: number): boolean {
    const op = this.threads[actor][state[VARIABLES + actor]];
    if (op === undefined || writesOf(op) & WATCHED) return false;
    return this.threads.every((_, other) => {
      const future = this.future[other][state[VARIABLES + other]];
      if (other === actor || future === undefined) return true;
      return (writesOf(op) & (future.reads | future.writes)) === 0 && (readsOf(op) & future.writes) === 0;
    });
  }

  /** The observer's invariant. */
  broken(state: Int32Array): boolean {
    return state[0] === 2 && state[1] !== 1;
  }

  /** What the step of `actor` out of `state` answers, where it answers something. */
  answer(state: Int32Array, actor: number): string | undefined {
    const pc = state[VARIABLES + actor];
    const op = this.threads[actor][pc];
    return op?.kind === "read" ? `${actor}@${pc}=${state[op.from]}` : undefined;
  }

  /** The violation that this edge is, if it is one. */
  violation(before: Int32Array, after: Int32Array, actor: number): string | undefined {
    return !this.broken(before) && this.broken(after) ? `${actor}@${before[VARIABLES + actor]}` : undefined;
  }
}

function futureOf(thread: readonly Operation[], from: number): { reads: number; writes: number } {
  const seen = new Set<number>();
  const open = [from];
  let reads = 0;
  let writes = 0;
  for (let pc = open.pop(); pc !== undefined; pc = open.pop()) {
    const op = thread[pc];
    if (op === undefined || seen.has(pc)) continue;
    seen.add(pc);
    reads |= readsOf(op);
    writes |= writesOf(op);
    open.push(pc + 1);
    if (op.kind === "loop") open.push(Math.min(op.target, pc));
  }
  return { reads, writes };
}

export interface Plain {
  readonly states: number;
  readonly transitions: number;
  /** Text of each end → its distance and whether it is finished. */
  readonly ends: Map<string, { depth: number; finished: boolean }>;
  /** Violation → length of a shortest schedule to it. */
  readonly violations: Map<string, number>;
  readonly answers: Map<string, number>;
}

export function explorePlainly(system: RandomMachine): Plain {
  const initial = new Int32Array(system.words);
  system.initial(initial);
  const depths = new Map([[initial.join(), 0]]);
  const queue = [initial];
  const plain = { ends: new Map<string, { depth: number; finished: boolean }>(), violations: new Map<string, number>(), answers: new Map<string, number>() };
  const note = (map: Map<string, number>, key: string | undefined, depth: number): void => {
    if (key !== undefined && !map.has(key)) map.set(key, depth);
  };
  let transitions = 0;
  for (const state of queue) {
    const depth = depths.get(state.join()) ?? 0;
    let enabled = false;
    for (let actor = 0; actor < system.actors; actor++) {
      const count = system.step(state.slice(), actor, 0);
      for (let choice = 0; choice < count; choice++) {
        enabled = true;
        transitions += 1;
        const next = state.slice();
        system.step(next, actor, choice);
        note(plain.violations, system.violation(state, next, actor), depth + 1);
        note(plain.answers, system.answer(state, actor), depth + 1);
        if (depths.has(next.join())) continue;
        depths.set(next.join(), depth + 1);
        queue.push(next);
      }
    }
    if (!enabled) plain.ends.set(state.join(), { depth, finished: system.finished(state) });
  }
  return { states: queue.length, transitions, ...plain };
}
