// Runs one atomic step of one actor: finds the instruction, decodes the call when it begins, runs the step's code and moves the control position.

import { assert } from "../base/assert.ts";
import { ERRNO } from "../base/errno.ts";
import type { CallId, Expression, Result } from "../scenario/program.ts";
import { type CallCode, CallCodes, type OperationCode, type StepSlot } from "./codes.ts";
import { cutDead, goOn, isKilled, KILLED, skipMoot } from "./ends.ts";
import { EVERYTHING } from "./footprint.ts";
import { BOUND, FAILED } from "./handles.ts";
import { beginDestroy, DESTROY, keepVm } from "./kvm/life.ts";
import { beginRelease, RELEASE } from "./kvm/lifecycle.ts";
import { localFields } from "./kvm/tdx-state.ts";
import type { Field } from "./layout.ts";
import { AGAIN, BLOCKED, type Context, DONE, type Loop, type Machine, NEXT, type Plan } from "./machine.ts";
import { releaseFile } from "./memory/file.ts";
import { compileExpression } from "./queries.ts";
import { NoAnswer } from "./refine.ts";
import type { Instruction, Segment } from "./schedule.ts";
import { deliver } from "./signals.ts";
import type { ThreadState } from "./threads.ts";

export { LOOPING } from "./codes.ts";

type Condition = (state: Int32Array) => bigint;

export class Runner {
  readonly #machine: Machine;
  readonly #context: Context;
  readonly #codes: CallCodes;
  readonly #conditions = new Map<Expression, Condition>();
  /** By actor: what is cleared when a call returns. */
  readonly #locals: readonly (readonly Field[])[];

  constructor(machine: Machine, context: Context) {
    this.#machine = machine;
    this.#context = context;
    this.#codes = new CallCodes(machine);
    this.#locals = machine.threads.map(localsOf);
  }

  step(state: Int32Array, actor: number, choice: number, said: string[] | undefined): number {
    const machine = this.#machine;
    const instruction = machine.instruction(state, actor);
    if (!instruction) return 0;
    const owner = machine.atomicOwner.get(state);
    if (owner !== 0 && owner !== actor + 1) return 0;
    if (instruction.assertion) {
      machine.lastCall = -1;
      machine.lastStep = "assert";
      machine.lastWrites = 0;
      if (this.#fails(state, instruction.assertion)) machine.emit("assert-failed", instruction.assertion.site);
      said?.push("looks at the state");
      this.#leave(state, instruction);
      return 1;
    }
    assert(instruction.call !== undefined, "an instruction is a call or an assertion");
    return this.#call(state, actor, instruction, this.#codes.of(instruction), choice, said);
  }

  #fails(state: Int32Array, { condition, site }: NonNullable<Instruction["assertion"]>): boolean {
    let holds = this.#conditions.get(condition);
    if (!holds) this.#conditions.set(condition, (holds = compileExpression(this.#machine, condition)));
    try {
      return holds(state) === 0n;
    } catch (error) {
      if (error instanceof NoAnswer) error.site ??= site;
      throw error;
    }
  }

  #call(state: Int32Array, actor: number, instruction: Instruction, code: CallCode, choice: number, said: string[] | undefined): number {
    const machine = this.#machine;
    const context = this.#context;
    const thread = machine.threads[actor];
    const { plan } = code;
    context.state = state;
    context.thread = thread;
    context.plan = plan;
    context.choice = choice;
    context.choices = 1;
    context.advanced = false;
    context.said = said;
    const running = thread.operation.get(state);
    let operation: OperationCode;
    if (running === 0) {
      if (code.waits !== undefined && isHeld(state, code.waits)) return 0;
      context.step = undefined;
      const refused = plan.decode(context);
      if (refused !== undefined) return this.#refuse(state, actor, instruction, code, refused);
      operation = this.#codes.named(code, plan.select(context));
    } else operation = this.#codes.operation(code, running - 1);
    const at = operation.start(thread.step.get(state));
    const slot = operation.slots[at];
    context.operation = operation.operation;
    context.step = slot?.step;
    if (slot?.waits !== undefined && isHeld(state, slot.waits)) return 0;
    if (running === 0) plan.begin?.(context);
    const answer = slot === undefined ? NEXT : this.#run(state, thread, slot);
    if (answer === BLOCKED) {
      if (running === 0) thread.offset.set(state, 0);
      return 0;
    }
    machine.lastCall = plan.id;
    machine.lastStep = slot?.name ?? "";
    // lock_slots may have found, under the lock, that another operation of the call is due.
    if (context.operation !== operation.operation) operation = this.#codes.operation(code, context.operation.index);
    thread.operation.set(state, operation.operation.index + 1);
    if (instruction.atomicEnter) machine.atomicOwner.set(state, actor + 1);
    if (slot !== undefined) {
      machine.lastWrites = running === 0 ? slot.writes | this.#codes.window : slot.writes;
      // A step that comes again for the next cell is not over: `order` waits for its last time.
      if (slot.marks !== undefined && answer !== AGAIN && !comesAgain(state, thread, plan, slot.step.loop)) setAll(state, slot.marks);
    } else machine.lastWrites = this.#codes.window;
    if (answer === DONE) this.#return(state, actor, instruction, code, context.result);
    else this.#advance(state, actor, instruction, code, operation, at, answer);
    return context.choices;
  }

  /** Runs the step's code. A step that comes again, has not moved its cursor and does not say that it has come on is a retry. */
  #run(state: Int32Array, thread: ThreadState, slot: StepSlot): number {
    const before = thread.cursor.get(state);
    const answer = slot.step.run(this.#context);
    if (answer === AGAIN && thread.cursor.get(state) <= before && !this.#context.advanced) this.#machine.wentBack = true;
    return answer;
  }

  #refuse(state: Int32Array, actor: number, instruction: Instruction, code: CallCode, refused: string | Result): number {
    const machine = this.#machine;
    machine.lastCall = code.plan.id;
    machine.lastStep = "check_args";
    machine.lastWrites = 0;
    const number =
      typeof refused === "string" ? machine.results.number({ kind: "errno", errno: refused as keyof typeof ERRNO }) : machine.results.number(refused);
    // A call that is refused has no parts behind its first.
    this.#return(state, actor, instruction, code, number, instruction.part === 0 ? 1 + (instruction.rest ?? 0) : 1);
    return 1;
  }

  #advance(state: Int32Array, actor: number, instruction: Instruction, code: CallCode, operation: OperationCode, at: number, answer: number): void {
    const machine = this.#machine;
    const thread = machine.threads[actor];
    if (answer === AGAIN) {
      thread.step.set(state, at);
      return;
    }
    let next = answer;
    if (answer === NEXT) {
      next = at + 1;
      const loop = operation.operation.steps[at]?.loop;
      if (loop !== undefined && at === loop.last) {
        const cursor = loop.over === "cells" ? thread.cursor : thread.unmapping;
        const more = comesAgain(state, thread, code.plan, loop);
        cursor?.set(state, more ? cursor.get(state) + 1 : 0);
        if (more) next = loop.first;
      }
    } else if (answer <= at && !this.#context.advanced) machine.wentBack = true;
    next = operation.start(next);
    if (next < operation.slots.length) thread.step.set(state, next);
    else if (operation.retries) {
      machine.wentBack = true;
      thread.step.set(state, 0);
    } else {
      const given = thread.answer.get(state);
      this.#return(state, actor, instruction, code, given > 0 ? given - 1 : machine.results.constant(code.plan.success));
    }
  }

  /** The call returns, or `over` instructions of it that are over. */
  #return(state: Int32Array, actor: number, instruction: Instruction, code: CallCode, result: number, over = 1): void {
    const machine = this.#machine;
    const thread = machine.threads[actor];
    machine.lastWrites |= this.#codes.returned;
    const begun = thread.begun.get(state);
    if (begun > 0) machine.emit("begin-without-end", actor, begun);
    const wasRunning = thread.operation.get(state) > 0;
    if (thread.frame.get(state) > 0) machine.emit("reference-leaked", thread.frame.get(state), actor);
    const running = machine.operations[thread.operation.get(state) - 1]?.name;
    const released = running === RELEASE || running === DESTROY;
    if (wasRunning && !released) code.plan.finish?.(this.#context, machine.results.result(result));
    for (const local of this.#locals[actor]) local.set(state, 0);
    const last = wasRunning && !released ? this.#drops(state, code, result) : undefined;
    if (last !== undefined) {
      // What it answers waits for the release, which this thread runs before it returns to user space.
      machine.lastWrites = EVERYTHING;
      thread.answer.set(state, result + 1);
      thread.operation.set(state, machine.operation(last).index + 1);
      return;
    }
    if (code.releases && wasRunning) {
      machine.lastWrites |= this.#codes.released;
      releaseFile(this.#context, code.plan.file);
    }
    if (code.last || over > 1) this.#answer(state, code, this.#bind(state, instruction, code, result));
    this.#leave(state, instruction, over);
  }

  /** The name of what the call makes; and what it answers, which a thread that is killed does not hear. */
  #bind(state: Int32Array, { actor, call = -1 }: Instruction, { binds }: CallCode, result: number): number {
    const machine = this.#machine;
    if (binds !== undefined) {
      const answer = machine.results.result(result);
      const failed = answer.kind === "errno" ? ERRNO[answer.errno] : answer.kind === "status" && answer.status !== "TDX_SUCCESS" ? ERRNO.EIO : 0;
      binds.set(state, failed > 0 ? FAILED + failed : BOUND);
    }
    if (machine.processes.signals[actor]) deliver(machine, state, actor, machine.results.result(result));
    return machine.processes.lives.length > 0 && isKilled(machine, state, actor, call) ? machine.results.constant(KILLED) : result;
  }

  #answer(state: Int32Array, { answer, marks, plan }: CallCode, result: number): void {
    answer?.set(state, result + 1);
    if (marks !== undefined) setAll(state, marks);
    this.#machine.emit("returned", plan.id as CallId, result);
  }

  /** The operation that follows a call which has dropped the last reference on its guest_memfd or its VM. */
  #drops(state: Int32Array, code: CallCode, result: number): string | undefined {
    const machine = this.#machine;
    if (code.defers && beginRelease(machine, state, code.plan)) return RELEASE;
    if (code.destroys === undefined) return undefined;
    // What makes a descriptor has not dropped anything but where it fails.
    const makes = machine.results.result(result).kind === "handle";
    if (makes && code.binds === undefined) keepVm(machine, state, code.destroys);
    return !makes && beginDestroy(machine, state, code.destroys) ? DESTROY : undefined;
  }

  /** To the actor's next instruction; the last one of a segment opens the next segment. */
  #leave(state: Int32Array, instruction: Instruction, over = 1): void {
    const machine = this.#machine;
    const { actor } = instruction;
    const segment = machine.segments[machine.segment.get(state)];
    const list = segment.parallel ? segment.threads[actor] : segment.sequence;
    const place = segment.parallel ? machine.threads[actor].at : machine.turn;
    const next = place.get(state) + over;
    if (list[next - 1].atomicLeave) machine.atomicOwner.set(state, 0);
    else if (instruction.atomicEnter) machine.atomicOwner.set(state, actor + 1);
    place.set(state, next);
    if (machine.processes.lives.length > 0) goOn(machine, state, instruction, segment);
    if (isOver(machine, state, segment)) this.#open(state);
  }

  /** The next segment in which somebody has something to do. */
  #open(state: Int32Array): void {
    const machine = this.#machine;
    for (const thread of machine.threads) thread.at.set(state, 0);
    machine.turn.set(state, 0);
    const next = machine.segment.get(state) + 1;
    machine.segment.set(state, next);
    const segment = machine.segments[next];
    if (machine.processes.lives.length === 0 || segment === undefined) return;
    if (segment.parallel) cutDead(machine, state);
    else skipMoot(machine, state, segment);
    if (isOver(machine, state, segment)) this.#open(state);
  }
}

/** Everybody has come to the end of their part. */
function isOver(machine: Machine, state: Int32Array, segment: Segment): boolean {
  if (!segment.parallel) return machine.turn.get(state) >= segment.sequence.length;
  for (let index = 0; index < segment.threads.length; index++) if (machine.threads[index].at.get(state) < segment.threads[index].length) return false;
  return true;
}

/** True while `order` holds a call or a step back: some mark is not set yet. */
function isHeld(state: Int32Array, marks: readonly Field[]): boolean {
  for (const mark of marks) if (mark.get(state) === 0) return true;
  return false;
}

function setAll(state: Int32Array, marks: readonly Field[]): void {
  for (const mark of marks) mark.set(state, 1);
}

/** A loop has not come to its last cell or mapping. */
function comesAgain(state: Int32Array, thread: ThreadState, plan: Plan, loop: Loop | undefined): boolean {
  if (loop === undefined) return false;
  if (loop.over === "cells") return thread.cursor.get(state) + 1 < plan.cells.length;
  return (thread.unmapping?.get(state) ?? 0) + 1 < (plan.unmaps?.length ?? 0);
}

/** Locals are cleared when dead, so that equal situations are equal states. */
function localsOf(thread: ThreadState): Field[] {
  return [
    ...(thread.td ? localFields(thread.td) : []),
    thread.operation,
    thread.step,
    thread.offset,
    thread.cursor,
    ...(thread.unmapping ? [thread.unmapping] : []),
    thread.frame,
    thread.slot,
    thread.answer,
    ...(thread.refusal ? [thread.refusal] : []),
    thread.seals,
    thread.begun,
    thread.stored,
    thread.inFault,
    thread.kind,
    thread.page,
    thread.stale,
    thread.decided,
    thread.hit,
  ];
}
