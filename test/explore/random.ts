// Random small machines for property tests: threads of a few operations over three-valued shared variables, with waits, free choices, loops, locks, retries and
// threads that run the same program; and an explorer that is as plain as can be (a Map of strings, no store, no reduction) to hold the real one against.

import * as fc from "fast-check";
import type { Footprint, Independence, Location, Symmetry, System } from "../../src/explore/system.ts";

type Operation =
  | { readonly kind: "set" | "fill"; readonly to: number; readonly value: number }
  | { readonly kind: "add"; readonly to: number; readonly from: number }
  | { readonly kind: "load" | "read"; readonly from: number }
  | { readonly kind: "store"; readonly to: number }
  | { readonly kind: "wait"; readonly from: number; readonly value: number }
  | { readonly kind: "pick"; readonly to: number; readonly count: number }
  | { readonly kind: "loop"; readonly from: number; readonly value: number; readonly target: number }
  | { readonly kind: "lock" | "unlock"; readonly lock: number }
  | { readonly kind: "try"; readonly lock: number; readonly target: number };

const VARIABLES = 4;
const VALUES = 3;
const LOCKS = 2;
/** Per thread: pc, mask of locks held, register. */
const LOCAL = 3;
const FIRST_LOCAL = VARIABLES + LOCKS;
/** Variables that the observer's predicate reads. */
const WATCHED = 0b11;

const variable = fc.nat(VARIABLES - 1);
const value = fc.nat(VALUES - 1);
const lock = fc.nat(LOCKS - 1);
const target = fc.nat(4);
const kind = <K extends string>(name: K): fc.Arbitrary<K> => fc.constant(name);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("set" as const, "fill" as const), to: variable, value }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("add"), to: variable, from: variable }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("load"), from: variable }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("store"), to: variable }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("wait"), from: variable, value }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("pick"), to: variable, count: fc.integer({ min: 2, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("read"), from: variable }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("loop"), from: variable, value, target }) },
  { weight: 2, arbitrary: fc.record({ kind: kind("lock"), lock }) },
  { weight: 2, arbitrary: fc.record({ kind: kind("unlock"), lock }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("try"), lock, target }) },
);

/** Threads of one to three programs; equal numbers run the same one. */
export const machine = fc
  .tuple(fc.array(fc.array(operation, { minLength: 1, maxLength: 5 }), { minLength: 3, maxLength: 3 }), fc.array(fc.nat(2), { minLength: 2, maxLength: 3 }))
  .map(([programs, runs]) => new RandomMachine(programs, runs));

const NOTHING: Footprint = { reads: Int32Array.of(0), writes: Int32Array.of(0), visible: false };

function footprintOf(op: Operation): Footprint {
  const atoms = (reads: number, writes: number): Footprint => ({
    reads: Int32Array.of(reads),
    writes: Int32Array.of(writes),
    visible: op.kind === "read" || (writes & WATCHED) !== 0,
  });
  switch (op.kind) {
    case "set":
    case "pick":
    case "store":
      return atoms(0, 1 << op.to);
    case "fill":
      return atoms(1 << op.to, 1 << op.to);
    case "add":
      return atoms((1 << op.from) | (1 << op.to), 1 << op.to);
    case "load":
    case "read":
    case "wait":
    case "loop":
      return atoms(1 << op.from, 0);
    default:
      return atoms(1 << (VARIABLES + op.lock), 1 << (VARIABLES + op.lock));
  }
}

const backTo = (op: Operation): number => (op.kind === "loop" || op.kind === "try" ? op.target : Number.POSITIVE_INFINITY);

export class RandomMachine implements System {
  readonly words: number;
  readonly actors: number;
  readonly programs: readonly (readonly Operation[])[];
  /** By thread: the program that it runs. */
  readonly runs: readonly number[];
  readonly independence: Independence;
  readonly symmetry: Symmetry;
  wentBack = false;

  constructor(programs: readonly (readonly Operation[])[], runs: readonly number[]) {
    this.programs = programs;
    this.runs = runs;
    this.actors = runs.length;
    this.words = FIRST_LOCAL + LOCAL * runs.length;
    this.independence = this.independent();
    this.symmetry = { canonicalise: (state, was) => this.sort(state, was) };
  }

  initial(state: Int32Array): void {
    state.fill(0);
  }

  step(state: Int32Array, actor: number, choice: number): number {
    const at = FIRST_LOCAL + LOCAL * actor;
    const pc = state[at];
    const op = this.programs[this.runs[actor]][pc];
    this.wentBack = false;
    if (op === undefined || (op.kind === "wait" && state[op.from] !== op.value)) return 0;
    if (op.kind === "lock" && state[VARIABLES + op.lock] !== 0) return 0;
    const back = (op.kind === "loop" && state[op.from] === op.value) || (op.kind === "try" && state[VARIABLES + op.lock] !== 0);
    state[at] = back ? Math.min(backTo(op), pc) : pc + 1;
    this.wentBack = back;
    if (op.kind === "set" || (op.kind === "fill" && state[op.to] === 0)) state[op.to] = op.value;
    else if (op.kind === "add") state[op.to] = (state[op.to] + state[op.from]) % VALUES;
    else if (op.kind === "pick") state[op.to] = choice;
    else if (op.kind === "load") state[at + 2] = state[op.from];
    else if (op.kind === "store") state[op.to] = state[at + 2];
    else if (op.kind === "lock" || (op.kind === "try" && !back)) {
      state[VARIABLES + op.lock] = 1;
      state[at + 1] |= 1 << op.lock;
    } else if (op.kind === "unlock" && (state[at + 1] >> op.lock) & 1) {
      state[VARIABLES + op.lock] = 0;
      state[at + 1] &= ~(1 << op.lock);
    }
    return op.kind === "pick" ? op.count : 1;
  }

  finished(state: Int32Array): boolean {
    return this.runs.every((program, actor) => state[FIRST_LOCAL + LOCAL * actor] === this.programs[program].length);
  }

  private independent(): Independence {
    const bases: number[] = [];
    const locations: Location[] = [];
    for (const program of this.programs) {
      const base = locations.length;
      bases.push(base);
      for (const [pc, op] of program.entries()) {
        const next = (backTo(op) === Number.POSITIVE_INFINITY ? [pc + 1] : [pc + 1, Math.min(backTo(op), pc)]).filter((to) => to < program.length);
        locations.push({ footprint: footprintOf(op), acquires: op.kind === "lock" ? 1 << op.lock : 0, next: next.map((to) => base + to) });
      }
    }
    const opAt = (state: Int32Array, actor: number): Operation | undefined => this.programs[this.runs[actor]][state[FIRST_LOCAL + LOCAL * actor]];
    return {
      locations,
      at: (state, actor) => (opAt(state, actor) === undefined ? -1 : bases[this.runs[actor]] + state[FIRST_LOCAL + LOCAL * actor]),
      held: (state, actor) => state[FIRST_LOCAL + LOCAL * actor + 1],
      footprint(state, actor) {
        const op = opAt(state, actor);
        if (op === undefined) return undefined;
        if (op.kind === "unlock" && ((state[FIRST_LOCAL + LOCAL * actor + 1] >> op.lock) & 1) === 0) return NOTHING;
        if (op.kind === "fill" && state[op.to] !== 0) return { reads: Int32Array.of(1 << op.to), writes: Int32Array.of(0), visible: false };
        return footprintOf(op);
      },
    };
  }

  private sort(state: Int32Array, was: Uint8Array): boolean {
    const local = (actor: number): number[] => [...state.subarray(FIRST_LOCAL + LOCAL * actor, FIRST_LOCAL + LOCAL * (actor + 1))];
    const weight = ([pc, held, register]: number[]): number => (pc * 4 + held) * 4 + register;
    let moved = false;
    const locals = this.runs.map((_, actor) => local(actor));
    for (let actor = 0; actor < this.actors; actor++) was[actor] = actor;
    for (const program of new Set(this.runs)) {
      const places = this.runs.flatMap((runs, actor) => (runs === program ? [actor] : []));
      const sorted = [...places].sort((a, b) => weight(locals[a]) - weight(locals[b]));
      for (const [index, place] of places.entries()) {
        was[place] = sorted[index];
        moved ||= sorted[index] !== place;
        state.set(locals[sorted[index]], FIRST_LOCAL + LOCAL * place);
      }
    }
    return moved;
  }

  /** The text of a state's representative. */
  text(state: Int32Array): string {
    const copy = state.slice();
    this.symmetry.canonicalise(copy, new Uint8Array(this.actors));
    return copy.join();
  }

  /** The observer's invariant. */
  broken(state: Int32Array): boolean {
    return state[0] === 2 && state[1] !== 1;
  }

  /** What the step of `actor` out of `state` answers, where it answers something. */
  answer(state: Int32Array, actor: number): string | undefined {
    const pc = state[FIRST_LOCAL + LOCAL * actor];
    const op = this.programs[this.runs[actor]][pc];
    return op?.kind === "read" ? `${this.runs[actor]}@${pc}=${state[op.from]}` : undefined;
  }

  /** The violation that this edge is, if it is one. */
  violation(before: Int32Array, after: Int32Array, actor: number): string | undefined {
    return !this.broken(before) && this.broken(after) ? `${this.runs[actor]}@${before[FIRST_LOCAL + LOCAL * actor]}` : undefined;
  }
}

export interface Plain {
  readonly states: number;
  readonly transitions: number;
  /** Text of each end → its distance and whether it is finished. */
  readonly ends: Map<string, { depth: number; finished: boolean }>;
  /** Violation → length of a shortest schedule to it. */
  readonly violations: Map<string, number>;
  readonly answers: Map<string, number>;
  /** Some step went back. */
  readonly wentBack: boolean;
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
  let wentBack = false;
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
        wentBack ||= system.wentBack;
        note(plain.violations, system.violation(state, next, actor), depth + 1);
        note(plain.answers, system.answer(state, actor), depth + 1);
        if (depths.has(next.join())) continue;
        depths.set(next.join(), depth + 1);
        queue.push(next);
      }
    }
    if (!enabled) plain.ends.set(state.join(), { depth, finished: system.finished(state) });
  }
  return { states: queue.length, transitions, wentBack, ...plain };
}
