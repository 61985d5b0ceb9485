// What the runner needs to know of a call, looked up once: the marks that `order` sets and waits for, by step, and where its answer goes.

import { assert } from "../base/assert.ts";
import type { CallId } from "../scenario/program.ts";
import { bits } from "./footprint.ts";
import { RELEASE } from "./kvm/lifecycle.ts";
import type { Field } from "./layout.ts";
import type { CompiledOperation, CompiledStep, Machine, Plan } from "./machine.ts";
import type { Instruction } from "./schedule.ts";

/** Operations that begin again at their first step when their list is through: an access is retried until it hits. */
export const LOOPING: ReadonlySet<string> = new Set(["fault", "host.load", "host.store"]);

/** One step as one call runs it. */
export interface StepSlot {
  readonly step: CompiledStep;
  readonly name: string;
  /** Regions that it writes, as bits. */
  readonly writes: number;
  /** Marks that must be set before it. */
  readonly waits: readonly Field[] | undefined;
  /** Marks that it sets. */
  readonly marks: readonly Field[] | undefined;
}

/** One operation as one call runs it. */
export class OperationCode {
  readonly operation: CompiledOperation;
  readonly slots: readonly StepSlot[];
  readonly retries: boolean;
  /** By step: where an actor that comes to it really stands. */
  readonly #starts: readonly number[];

  constructor(operation: CompiledOperation, slots: readonly StepSlot[], plan: Plan) {
    this.operation = operation;
    this.slots = slots;
    this.retries = LOOPING.has(operation.name);
    this.#starts = operation.steps.map((_, at) => passedOver(operation, plan, at));
  }

  /** The step at which an actor that comes to `at` really stands. */
  start(at: number): number {
    return this.#starts[at] ?? at;
  }
}

/** Steps of a loop that runs over nothing are passed over, and MMU notifiers that nobody has to hear. */
export function passedOver(operation: CompiledOperation, plan: Plan, at: number): number {
  const step = operation.steps[at];
  if (step === undefined) return at;
  const { loop } = step;
  if (loop && (loop.over === "cells" ? plan.cells : (plan.unmaps ?? [])).length === 0) return passedOver(operation, plan, loop.last + 1);
  return plan.unheard && NOTIFIERS.has(step.name) ? passedOver(operation, plan, at + 1) : at;
}

/** Steps that an operation has for secondary MMUs only. */
const NOTIFIERS: ReadonlySet<string> = new Set(["mn_start", "mn_end"]);

export interface CallCode {
  readonly plan: Plan;
  /** By number of the operation, for a call that `order` names; all others share theirs. */
  readonly operations: (OperationCode | undefined)[] | undefined;
  /** Marks that must be set before the call begins, and those that its return sets. */
  readonly waits: readonly Field[] | undefined;
  readonly marks: readonly Field[] | undefined;
  /** Nothing of the call comes behind it. */
  readonly last: boolean;
  readonly binds: Field | undefined;
  readonly answer: Field | undefined;
  /** The operation that was chosen last, for most calls only ever have one. */
  name: string;
  chosen: OperationCode | undefined;
  /** When it returns it may turn out to have held the last reference on its file. */
  readonly releases: boolean;
  /** The same for a guest_memfd, whose release is an operation of its own. */
  readonly defers: boolean;
  /** The VM that it may turn out to have held the last reference on. */
  readonly destroys: number | undefined;
}

export class CallCodes {
  /** Regions, as bits, that the first step of a call writes beside its own; those of its return; and those of the release of a file at its return. */
  readonly window = bits(["control"]);
  readonly returned = bits(["control", "schedule", "handle", "result", "mark"]);
  readonly released = bits(["page", "uptodate", "content"]);
  readonly #machine: Machine;
  readonly #codes: (CallCode | undefined)[] = [];
  /** By call, of those that go on in parts. */
  readonly #parts = new Map<CallId, (CallCode | undefined)[]>();
  /** Operations of calls that no `order` names, by what such calls pass over. */
  readonly #plain = new Map<number, (OperationCode | undefined)[]>();
  /** By call: step (`undefined`: the call itself) → marks. */
  readonly #waits = new Map<CallId, Map<string | undefined, Field[]>>();
  readonly #marks = new Map<CallId, Map<string | undefined, Field[]>>();

  constructor(machine: Machine) {
    this.#machine = machine;
    for (const { call, step, marks } of machine.orders.waits) for (const mark of marks) note(this.#waits, call, step, machine.marks[mark]);
    for (const { call, step, mark } of machine.orders.marks) {
      note(this.#marks, call, step, machine.marks[mark]);
      // An order on a step that never came is over when the call returns.
      if (step !== undefined) note(this.#marks, call, undefined, machine.marks[mark]);
    }
  }

  of({ call = -1, part = 0, rest = 0 }: Instruction): CallCode {
    if (part === 0) return (this.#codes[call] ??= this.#make(this.#machine.plans[call], call, part, rest));
    let parts = this.#parts.get(call);
    if (!parts) this.#parts.set(call, (parts = []));
    return (parts[part] ??= this.#make(this.#machine.plans[call]?.parts?.[part - 1], call, part, rest));
  }

  operation(code: CallCode, index: number): OperationCode {
    const codes = code.operations ?? this.#shared(code.plan);
    return (codes[index] ??= this.#operation(code.plan, this.#machine.operations[index]));
  }

  /** The code of the operation that `select` has named. */
  named(code: CallCode, name: string): OperationCode {
    if (code.chosen === undefined || code.name !== name) {
      code.chosen = this.operation(code, this.#machine.operation(name).index);
      code.name = name;
    }
    return code.chosen;
  }

  #shared(plan: Plan): (OperationCode | undefined)[] {
    const key = (plan.cells.length === 0 ? 1 : 0) + (plan.unmaps?.length ? 0 : 2) + (plan.unheard ? 4 : 0);
    let codes = this.#plain.get(key);
    if (!codes) this.#plain.set(key, (codes = []));
    return codes;
  }

  /** The whole call waits before its first part, and has returned behind its last. */
  #make(plan: Plan | undefined, call: CallId, part: number, rest: number): CallCode {
    const machine = this.#machine;
    assert(plan, `call ${call} has no plan`);
    const { binds } = machine.program.calls[call];
    return {
      plan,
      operations: this.#waits.has(call) || this.#marks.has(call) ? [] : undefined,
      waits: part === 0 ? this.#waits.get(call)?.get(undefined) : undefined,
      marks: this.#marks.get(call)?.get(undefined),
      last: rest === 0,
      binds: binds === undefined ? undefined : machine.handles[binds],
      answer: machine.answers.get(call),
      name: "",
      chosen: undefined,
      releases: machine.closed.has(plan.file) && plan.call.spec !== "close" && machine.files[plan.file].gmem === undefined,
      defers: machine.closed.has(plan.file) && plan.operations.includes(RELEASE),
      destroys: plan.vm,
    };
  }

  #operation(plan: Plan, operation: CompiledOperation): OperationCode {
    const waits = this.#waits.get(plan.id);
    const marks = this.#marks.get(plan.id);
    const slots = operation.steps.map(
      (step): StepSlot => ({ step, name: step.name, writes: bits(step.writes), waits: waits?.get(step.name), marks: marks?.get(step.name) }),
    );
    return new OperationCode(operation, slots, plan);
  }
}

function note(table: Map<CallId, Map<string | undefined, Field[]>>, call: CallId, step: string | undefined, mark: Field): void {
  let steps = table.get(call);
  if (!steps) table.set(call, (steps = new Map()));
  const marks = steps.get(step);
  if (!marks) steps.set(step, [mark]);
  else if (!marks.includes(mark)) marks.push(mark);
}
