// A step is the unit of everything: atomic, labelled, with a declared footprint. This file says what a step, an operation and a call's plan are; the steps
// themselves stand with their subsystem (memory/, kvm/), their order in the profile rows.

import type { Errno } from "../base/errno.ts";
import type { Call, CallId, Result } from "../scenario/program.ts";
import type { Region } from "./layout.ts";
import type { Machine, ThreadState } from "./machine.ts";

/** What a step's code answers; a number of 0 or more is a jump to that step of the operation. */
export const NEXT = -1;
/** The same step again, for the next cell. */
export const AGAIN = -2;
/** Not enabled: a lock is held, a condition not met. Nothing was written. */
export const BLOCKED = -3;
/** The call returns `context.result`. */
export const DONE = -4;

export interface StepCode {
  readonly reads: readonly Region[];
  readonly writes: readonly Region[];
  /** May report an event (`machine.events`), and so is never hidden by a reduction. */
  readonly events?: boolean;
  readonly run: (context: Context) => number;
}

export interface CompiledStep extends StepCode {
  readonly name: string;
  /** Set inside a loop over cells: the indexes of its first and last step. */
  readonly loop?: { readonly first: number; readonly last: number };
}

/** An operation under one profile: its steps in order. */
export interface CompiledOperation {
  readonly name: string;
  readonly index: number;
  readonly steps: readonly CompiledStep[];
  readonly labels: ReadonlyMap<string, number>;
}

/** The static half of a call: what its arguments say, worked out before anything runs. */
export interface Plan {
  readonly id: CallId;
  readonly call: Call;
  /** Operations that `select` may answer; the footprint of the call is theirs. */
  readonly operations: readonly string[];
  /** Regions that `decode` reads. */
  readonly reads: readonly Region[];
  /** Argument checks in the kernel's order; touches nothing. An errno or a result ends the call. */
  decode(context: Context): Errno | Result | undefined;
  /** What the call takes over into its locals with its first step. */
  begin?(context: Context): void;
  /** Which of `operations` runs. */
  select(context: Context): string;
  /** What the call returns when its last step falls through. */
  readonly success: Result;
  /** What `*` steps loop over: page cells of `file`. */
  readonly file: number;
  readonly cells: readonly number[];
  /** Data of the subsystem; each plan maker knows its own. */
  readonly data: unknown;
}

/** One running step: the state, who runs, and what it may answer. One object, reused. */
export class Context {
  readonly machine: Machine;
  state!: Int32Array;
  thread!: ThreadState;
  plan!: Plan;
  operation!: CompiledOperation;
  step!: CompiledStep | undefined;
  choice = 0;
  choices = 1;
  /** Number of the result in `machine.results`. */
  result = 0;
  /** Sentences about what the step did; undefined while exploring. */
  said: string[] | undefined;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Position of the loop over `plan.cells`. */
  get cursor(): number {
    return this.thread.cursor.get(this.state);
  }

  /** The cell that this step works on: the loop's, when the step stands in one. */
  get cell(): number {
    return this.plan.cells[this.cursor];
  }

  get inLoop(): boolean {
    return this.step?.loop !== undefined;
  }

  /** For a step that works cell by cell: on to the next cell, or past the last one. A step inside a written loop leaves that to the loop. */
  each(): number {
    if (this.inLoop) return NEXT;
    const next = this.cursor + 1;
    if (next < this.plan.cells.length) {
      this.thread.cursor.set(this.state, next);
      return AGAIN;
    }
    this.thread.cursor.set(this.state, 0);
    return NEXT;
  }

  done(result: Result): number {
    this.result = this.machine.results.number(result);
    return DONE;
  }

  fail(errno: Errno): number {
    return this.done({ kind: "errno", errno });
  }

  /** Returns `result` when the operation ends, and goes on with the next step. */
  remember(result: Result): number {
    this.thread.answer.set(this.state, this.machine.results.number(result) + 1);
    return NEXT;
  }

  /** To the step of that name; where a variant has dropped it, to the step behind this one. */
  jump(name: string): number {
    return this.operation.labels.get(name) ?? NEXT;
  }

  /** A free choice among `count` alternatives; at most one in a step. */
  pick(count: number): number {
    this.choices = count;
    return this.choice < count ? this.choice : 0;
  }

  get telling(): boolean {
    return this.said !== undefined;
  }

  say(text: string): void {
    this.said?.push(text);
  }
}
