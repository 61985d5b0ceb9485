// The machine: a world and its calls. A step is the unit of everything: atomic, labelled, with a declared footprint. This file says what a step, an operation
// and a call's plan are; the steps themselves stand with their subsystem (memory/, kvm/, tdx/), their order in the profile rows.

import { assert } from "../base/assert.ts";
import type { Errno } from "../base/errno.ts";
import type { ActorId, Call, CallId, Result } from "../scenario/program.ts";
import type { Field, Region, Scope } from "./layout.ts";
import type { Instruction } from "./schedule.ts";
import type { ThreadState } from "./threads.ts";
import { World } from "./world.ts";

/** What a step's code answers; a number of 0 or more is a jump to that step of the operation. */
export const NEXT = -1;
/** The same step again, for the next cell. */
export const AGAIN = -2;
/** Not enabled: a lock is held, a condition not met. Nothing was written. */
export const BLOCKED = -3;
/** The call returns `context.result`. */
export const DONE = -4;

/** What a step may touch, by regions; the plan of its call says which atoms of them it can reach (`scope.ts`). */
export interface Shape {
  readonly reads: readonly Region[];
  readonly writes: readonly Region[];
  /** False: it never ends the call. */
  readonly returns?: boolean;
}

export interface StepCode extends Shape {
  /** What it touches besides where some mapping copies on write. */
  readonly copying?: Shape;
  /** And where somebody sends signals; `returns: true` where it then may end the call. */
  readonly interruptible?: Shape;
  /** May report an event (`machine.events`); what judges it may look at the atoms that the step touches. */
  readonly events?: boolean;
  /** Names of the steps that it may jump to; without it any step of the operation. */
  readonly jumps?: readonly string[];
  /** It may find that another operation of the call is due, and goes on behind the same step there. */
  readonly switches?: boolean;
  /** Locks that must be free for this step in whatever state; while another actor holds one, it is `BLOCKED`. */
  readonly acquires?: (machine: Machine, plan: Plan, operation: CompiledOperation) => readonly Field[];
  /**
   * What it touches in this state, where that is less than declared: the one or the other constant shape. What it looks at for that must be among the
   * shape's `reads`, so that the answer stays while nobody writes them. It is asked whether or not the step
   * is enabled, and writes nothing.
   */
  readonly narrow?: (context: Context) => Shape | undefined;
  readonly run: (context: Context) => number;
  /** The second half of a step that performs a leaf of the TDX module; it becomes a step of its own, `NAME.commit`, directly behind. */
  readonly commits?: StepCode;
}

export interface CompiledStep extends StepCode {
  readonly name: string;
  /** Set inside a loop: the indexes of its first and last step. */
  readonly loop?: Loop;
}

/** Over the cells of the plan, or over the host mappings that it changes (`unmaps`), one after the other. */
export interface Loop {
  readonly first: number;
  readonly last: number;
  readonly over: "cells" | "mappings";
}

/** Pages of one host mapping that a call takes away or changes. */
export interface Unmapping {
  readonly mapping: number;
  /** Neighbours, of the mapping. */
  readonly cells: readonly number[];
  /** Of these cells, one that stays as it is. */
  readonly spares?: (state: Int32Array, cell: number) => boolean;
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
  /** Regions that `decode`, `begin` and `select` read. */
  readonly reads: readonly Region[];
  /** Which atoms the call can reach at all, over-approximated; without it every atom of the regions that its steps name. */
  scope?(): Scope;
  /** Argument checks in the kernel's order; touches nothing. An errno or a result ends the call. */
  decode(context: Context): Errno | Result | undefined;
  /** Looks at what the call did when it returns, before its locals are forgotten; reports events, changes nothing. */
  finish?(context: Context, result: Result): void;
  /** What the call takes over into its locals with its first step. */
  begin?(context: Context): void;
  /** Which of `operations` runs. */
  select(context: Context): string;
  /** What the call returns when its last step falls through. */
  readonly success: Result;
  /** What `*` steps loop over: page cells of `file`. */
  readonly file: number;
  readonly cells: readonly number[];
  /** Host mappings that the call changes, in the order in which MMU notifiers are told of them. */
  readonly unmaps?: readonly Unmapping[];
  /** No memory slot can ever have the mapping that it changes behind it: MMU notifiers have nothing to do. */
  readonly unheard?: boolean;
  /** The VM that it holds a descriptor of while it is under way, where that VM can come to an end (kvm/life.ts). */
  readonly vm?: number;
  /** What comes behind it, one plan after the other, before the call returns: the end of a process (exit.ts). */
  readonly parts?: readonly Plan[];
  /** Of such a part: it has nothing to do in this state, and is passed over. */
  idle?(state: Int32Array): boolean;
  /** Actors that its steps may take the rest of their calls from. */
  readonly cutsOff?: readonly ActorId[];
  /** Data of the subsystem; each plan maker knows its own. */
  readonly data: unknown;
}

/** A world with what is done in it. */
export class Machine extends World {
  /** The kernel's operations as steps. These three are made from the world (system.ts), and empty until then. */
  operations: readonly CompiledOperation[] = [];
  plans: readonly (Plan | undefined)[] = [];
  /** Files that some call closes, or unmaps step by step: a call on one of them may turn out to hold its last reference. */
  closed: ReadonlySet<number> = new Set();
  #operationOf: ReadonlyMap<string, CompiledOperation> | undefined;

  /** The plan behind an instruction: that of its call, or of the part of it. */
  planOf({ call, part }: Instruction): Plan | undefined {
    const whole = this.plans[call ?? -1];
    return part ? whole?.parts?.[part - 1] : whole;
  }

  /** The plan that an actor is at, or comes to next. */
  planAt(state: Int32Array, actor: ActorId): Plan | undefined {
    const instruction = this.instruction(state, actor);
    return instruction && this.planOf(instruction);
  }

  /** The step that an actor stands at, for views: name of the operation's step, or undefined between calls. */
  position(state: Int32Array, actor: ActorId): { call: CallId; operation: CompiledOperation; step: CompiledStep } | undefined {
    const instruction = this.instruction(state, actor);
    const operation = this.operations[this.threads[actor].operation.get(state) - 1];
    if (instruction?.call === undefined || !operation) return undefined;
    return { call: instruction.call, operation, step: operation.steps[this.threads[actor].step.get(state)] };
  }

  operation(name: string): CompiledOperation {
    this.#operationOf ??= new Map(this.operations.map((each) => [each.name, each]));
    const operation = this.#operationOf.get(name);
    assert(operation, `profile ${this.profile.name} has no operation ${name}`);
    return operation;
  }
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
  /** The step has gone `onward`. */
  advanced = false;
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
    return this.step?.loop?.over === "cells";
  }

  /** The host mapping that this step works on, where it stands in a loop over them. */
  get unmapping(): Unmapping | undefined {
    if (this.step?.loop?.over !== "mappings") return undefined;
    return this.plan.unmaps?.[this.thread.unmapping?.get(this.state) ?? 0];
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

  /** Like `done`, for a result that is the same object each time. */
  always(result: Result): number {
    this.result = this.machine.results.constant(result);
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

  /** A jump backwards that is no retry: the call has come on by one page or one leaf, and there is an end to that. */
  onward(name: string): number {
    this.advanced = true;
    return this.jump(name);
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
