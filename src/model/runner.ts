// Runs one atomic step of one actor: finds the instruction, decodes the call when it begins, runs the step's code and moves the control position.

import { assert } from "../base/assert.ts";
import { ERRNO } from "../base/errno.ts";
import type { CallId, Result } from "../scenario/program.ts";
import { EVERYTHING, footprintOf } from "./footprint.ts";
import type { Machine, ThreadState } from "./machine.ts";
import { releaseFile } from "./memory/file.ts";
import { NoAnswer } from "./refine.ts";
import type { Instruction } from "./schedule.ts";
import { AGAIN, BLOCKED, type CompiledOperation, type Context, DONE, NEXT, type Plan } from "./step.ts";

/** Operations that begin again at their first step when their list is through: an access is retried until it hits. */
const LOOPING: ReadonlySet<string> = new Set(["fault", "host.load", "host.store"]);

/** What a handle holds; 0 until its call has returned. */
export const BOUND = 1;
export const CLOSED = 2;
/** A handle of a failed call: `FAILED + errno`. */
export const FAILED = 3;

export class Runner {
  readonly #machine: Machine;
  readonly #context: Context;

  constructor(machine: Machine, context: Context) {
    this.#machine = machine;
    this.#context = context;
  }

  step(state: Int32Array, actor: number, choice: number, said: string[] | undefined): number {
    const machine = this.#machine;
    const instruction = machine.instruction(state, actor);
    if (!instruction) return 0;
    machine.lastWrites = EVERYTHING;
    const owner = machine.atomicOwner.get(state);
    if (owner !== 0 && owner !== actor + 1) return 0;
    if (instruction.assertion) {
      machine.lastCall = -1;
      machine.lastStep = "assert";
      if (this.#fails(state, instruction.assertion)) machine.emit("assert-failed", instruction.assertion.site);
      said?.push("looks at the state");
      this.#leave(state, actor, instruction);
      return 1;
    }
    assert(instruction.call !== undefined, "an instruction is a call or an assertion");
    return this.#call(state, actor, instruction, instruction.call, choice, said);
  }

  #fails(state: Int32Array, { condition, site }: NonNullable<Instruction["assertion"]>): boolean {
    try {
      return this.#machine.evaluate(state, condition) === 0n;
    } catch (error) {
      if (error instanceof NoAnswer) error.site ??= site;
      throw error;
    }
  }

  #call(state: Int32Array, actor: number, instruction: Instruction, call: CallId, choice: number, said: string[] | undefined): number {
    const machine = this.#machine;
    const context = this.#context;
    const thread = machine.threads[actor];
    const plan = machine.plans[call];
    assert(plan, `call ${call} has no plan`);
    context.state = state;
    context.thread = thread;
    context.plan = plan;
    context.choice = choice;
    context.choices = 1;
    context.said = said;
    context.step = undefined;
    const running = thread.operation.get(state);
    let operation: CompiledOperation;
    if (running === 0) {
      if (this.#waits(state, call, undefined)) return 0;
      const refused = plan.decode(context);
      if (refused !== undefined) {
        machine.lastCall = call;
        machine.lastStep = "check_args";
        const result: Result = typeof refused === "string" ? { kind: "errno", errno: refused } : refused;
        this.#return(state, actor, instruction, call, machine.results.number(result));
        return 1;
      }
      operation = machine.operation(plan.select(context));
    } else operation = machine.operations[running - 1];
    const at = this.#skipEmptyLoop(operation, plan, thread.step.get(state));
    const step = operation.steps[at];
    context.operation = operation;
    context.step = step;
    if (this.#waits(state, call, step?.name)) return 0;
    machine.lastCall = call;
    machine.lastStep = step?.name ?? "";
    if (running === 0) plan.begin?.(context);
    const code = step ? step.run(context) : NEXT;
    if (code === BLOCKED) {
      if (running === 0) thread.offset.set(state, 0);
      return 0;
    }
    // lock_slots may have found, under the lock, that another operation of the call is due.
    operation = context.operation;
    thread.operation.set(state, operation.index + 1);
    if (instruction.atomicEnter) machine.atomicOwner.set(state, actor + 1);
    // A step that comes again for the next cell is not over: `order` waits for its last time.
    const again = code === AGAIN || (step?.loop !== undefined && thread.cursor.get(state) + 1 < plan.cells.length);
    if (step && !again) this.#mark(state, call, step.name);
    if (step && running !== 0) machine.lastWrites = footprintOf(step).writes;
    if (code === DONE) this.#return(state, actor, instruction, call, context.result);
    else this.#advance(state, actor, instruction, call, operation, plan, at, code);
    return context.choices;
  }

  #advance(state: Int32Array, actor: number, instruction: Instruction, call: CallId, operation: CompiledOperation, plan: Plan, at: number, code: number): void {
    const thread = this.#machine.threads[actor];
    if (code === AGAIN) {
      thread.step.set(state, at);
      return;
    }
    let next = code === NEXT ? at + 1 : code;
    const loop = operation.steps[at]?.loop;
    if (code === NEXT && loop && at === loop.last) {
      const cursor = thread.cursor.get(state) + 1;
      if (cursor < plan.cells.length) {
        thread.cursor.set(state, cursor);
        next = loop.first;
      } else thread.cursor.set(state, 0);
    }
    next = this.#skipEmptyLoop(operation, plan, next);
    if (next < operation.steps.length) thread.step.set(state, next);
    else if (LOOPING.has(operation.name)) thread.step.set(state, 0);
    else {
      const answer = thread.answer.get(state);
      this.#return(state, actor, instruction, call, answer > 0 ? answer - 1 : this.#machine.results.number(plan.success));
    }
  }

  /** A loop over no cell is passed over. */
  #skipEmptyLoop(operation: CompiledOperation, plan: Plan, at: number): number {
    const loop = operation.steps[at]?.loop;
    return loop && plan.cells.length === 0 ? loop.last + 1 : at;
  }

  #return(state: Int32Array, actor: number, instruction: Instruction, call: CallId, result: number): void {
    const machine = this.#machine;
    const thread = machine.threads[actor];
    machine.lastWrites = EVERYTHING;
    if (thread.begun.get(state) > 0) machine.emit("begin-without-end", actor, thread.begun.get(state));
    const wasRunning = thread.operation.get(state) > 0;
    clearLocals(thread, state);
    const {
      file,
      call: { spec },
    } = this.#context.plan;
    if (wasRunning && machine.closed.has(file) && spec !== "close") releaseFile(this.#context, file);
    const binds = machine.program.calls[call].binds;
    const answer = machine.results.result(result);
    if (binds !== undefined) machine.handles[binds].set(state, answer.kind === "errno" ? FAILED + ERRNO[answer.errno] : BOUND);
    machine.answers.get(call)?.set(state, result + 1);
    this.#mark(state, call, undefined);
    machine.emit("returned", call, result);
    this.#leave(state, actor, instruction);
  }

  /** To the actor's next instruction; the last one of a segment opens the next segment. */
  #leave(state: Int32Array, actor: number, instruction: Instruction): void {
    const machine = this.#machine;
    if (instruction.atomicLeave) machine.atomicOwner.set(state, 0);
    else if (instruction.atomicEnter) machine.atomicOwner.set(state, actor + 1);
    const segment = machine.segments[machine.segment.get(state)];
    if (segment.parallel) {
      const at = machine.threads[actor].at;
      at.set(state, at.get(state) + 1);
      if (segment.threads.some((thread, index) => machine.threads[index].at.get(state) < thread.length)) return;
      for (const thread of machine.threads) thread.at.set(state, 0);
    } else {
      const turn = machine.turn.get(state) + 1;
      machine.turn.set(state, turn);
      if (turn < segment.sequence.length) return;
      machine.turn.set(state, 0);
    }
    machine.segment.set(state, machine.segment.get(state) + 1);
  }

  /** True while `order` holds this call (or this step of it) back. */
  #waits(state: Int32Array, call: CallId, step: string | undefined): boolean {
    const { orders, marks } = this.#machine;
    return orders.waits.some((wait) => wait.call === call && wait.step === step && wait.marks.some((mark) => marks[mark].get(state) === 0));
  }

  /** Sets the marks that wait for this step, or with `undefined` for the call's return: an order on a step that never came is over then. */
  #mark(state: Int32Array, call: CallId, step: string | undefined): void {
    const { orders, marks } = this.#machine;
    for (const mark of orders.marks) if (mark.call === call && (step === undefined || mark.step === step)) marks[mark.mark].set(state, 1);
  }
}

/** Locals are cleared when dead, so that equal situations are equal states. */
function clearLocals(thread: ThreadState, state: Int32Array): void {
  for (const local of [
    thread.operation,
    thread.step,
    thread.offset,
    thread.cursor,
    thread.frame,
    thread.slot,
    thread.answer,
    thread.begun,
    thread.inFault,
    thread.stale,
    thread.decided,
    thread.hit,
  ]) {
    local.set(state, 0);
  }
}
