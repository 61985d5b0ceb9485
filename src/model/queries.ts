// State expressions: what `assert`, `exists`, `never` and `forall` ask of a state. 64-bit signed arithmetic; a condition is 0 or not 0.

import { ERRNO } from "../base/errno.ts";
import { asS64, asU64 } from "../base/units.ts";
import { cannotCompute, compute } from "../scenario/arithmetic.ts";
import { processOf } from "../scenario/processes.ts";
import type { BinaryOperator, CallId, Expression, Operand, Result, ResultPattern } from "../scenario/program.ts";
import { isDying, KILLED, lifeOfProcess } from "./ends.ts";
import { BOUND, FAILED } from "./handles.ts";
import { slotAt } from "./kvm/access.ts";
import { convertedKind, isPrivateSlot } from "./kvm/kinds.ts";
import { isAlive } from "./kvm/life.ts";
import { PRIVATE, SHARED } from "./kvm/state.ts";
import type { Machine } from "./machine.ts";
import { sizeOf } from "./memory/file.ts";
import { referencesOf } from "./memory/frames.ts";
import { FOUND } from "./memory/state.ts";
import { objectOfOperand, PAGES_OF_BLOCK, SHARED_BIT } from "./objects.ts";
import { NoAnswer } from "./refine.ts";
import { tdxQuery } from "./tdx/queries.ts";

export { NoAnswer };

const truth = (value: boolean): bigint => (value ? 1n : 0n);

/** What an expression asks of states, compiled once. Throws `NoAnswer` for a state that has no answer, never before it is asked. */
export type Compiled = (state: Int32Array) => bigint;

export function evaluate(machine: Machine, state: Int32Array, expression: Expression): bigint {
  return compileExpression(machine, expression)(state);
}

export function compileExpression(machine: Machine, expression: Expression): Compiled {
  switch (expression.kind) {
    case "int": {
      const { value } = expression;
      return () => value;
    }
    case "name":
      return compileName(machine, expression.handle);
    case "unary": {
      const of = compileExpression(machine, expression.of);
      if (expression.operator === "!") return (state) => truth(of(state) === 0n);
      return expression.operator === "-" ? (state) => asS64(-of(state)) : (state) => asS64(~of(state));
    }
    case "binary":
      return compileBinary(machine, expression.operator, expression.left, expression.right);
    case "query": {
      const { query: name, operands, field } = expression;
      const tdx = tdxQuery(machine, name, operands, field);
      if (tdx) return tdx;
      return (state) => query(machine, state, name, operands);
    }
    case "result": {
      const answer = compileAnswer(machine, expression.calls);
      return (state) => resultValue(answer(state));
    }
    case "matches": {
      const { pattern, negated } = expression;
      const answer = compileAnswer(machine, expression.calls);
      return (state) => {
        const result = answer(state);
        return truth((result !== undefined && matches(result, pattern)) !== negated);
      };
    }
  }
}

/** A result that is no integer (an exit, a byte as found) equals no integer. */
function compileIsOther(machine: Machine, expression: Expression): (state: Int32Array) => boolean {
  if (expression.kind !== "result") return () => false;
  const answer = compileAnswer(machine, expression.calls);
  return (state) => {
    const result = answer(state);
    return result !== undefined && !["value", "errno", "handle"].includes(result.kind);
  };
}

/** `name + 4K` of memory of 2 MB is one of its frames; undefined for all other sums. */
function compilePage(machine: Machine, name: Expression, offset: Expression): Compiled | undefined {
  if (name.kind !== "name" || offset.kind !== "int") return undefined;
  const index = machine.objects.driverOf.get(machine.program.handles[name.handle].call) ?? -1;
  const block = machine.objects.drivers[index]?.pages > 1 ? machine.tdx?.blocks[0] : undefined;
  if (!block) return undefined;
  const first = compileName(machine, name.handle);
  const page = Number(offset.value >> 12n);
  return (state) => {
    if ((offset.value & 4095n) !== 0n || page < 0 || page >= PAGES_OF_BLOCK) throw new NoAnswer("that is no page of this memory");
    return first(state) + BigInt(block.cells.one(page));
  };
}

function compileBinary(machine: Machine, operator: BinaryOperator, left: Expression, right: Expression): Compiled {
  const page = operator === "+" ? (compilePage(machine, left, right) ?? compilePage(machine, right, left)) : undefined;
  if (page) return page;
  const a = compileExpression(machine, left);
  const b = compileExpression(machine, right);
  if (operator === "&&") return (state) => (a(state) === 0n ? 0n : truth(b(state) !== 0n));
  if (operator === "||") return (state) => (a(state) !== 0n ? 1n : truth(b(state) !== 0n));
  const of = (state: Int32Array): bigint => {
    const value = compute(operator, a(state), b(state));
    if (value === undefined) throw new NoAnswer(cannotCompute(operator));
    return value;
  };
  if ((operator !== "==" && operator !== "!=") || (left.kind !== "result" && right.kind !== "result")) return of;
  const isOther = [compileIsOther(machine, left), compileIsOther(machine, right)];
  return (state) => (isOther[0](state) !== isOther[1](state) ? truth(operator === "!=") : of(state));
}

function compileName(machine: Machine, handle: number): Compiled {
  const field = machine.handles[handle];
  const { call } = machine.program.handles[handle];
  const answer = compileAnswer(machine, [call]);
  const driver = machine.drivers[machine.objects.driverOf.get(call) ?? -1];
  return (state) => {
    const bound = field.get(state);
    if (bound >= FAILED) return -BigInt(bound - FAILED);
    // The name of a frame is the frame: what `frame(fd, off)` and `sept(td, gpa).frame` answer.
    if (driver) return BigInt(driver.get(state));
    const result = answer(state);
    return result?.kind === "value" ? result.value : truth(bound === BOUND);
  };
}

/** Of a label in a `repeat`, the first call that has answered. A call whose thread is killed before it begins has met the same signal. */
export function compileAnswer(machine: Machine, calls: readonly CallId[]): (state: Int32Array) => Result | undefined {
  const fields = calls.map((call) => machine.answers.get(call)).filter((field) => field !== undefined);
  const mortal = calls.map((call) => machine.program.calls[call].actor).filter((actor) => lifeOfProcess(machine, processOf(machine.program, actor)));
  return (state) => {
    for (const field of fields) {
      const number = field.get(state);
      if (number > 0) return machine.results.result(number - 1);
    }
    return mortal.length > 0 && mortal.every((actor) => isDying(machine, state, actor)) ? KILLED : undefined;
  };
}

function resultValue(result: Result | undefined): bigint {
  if (result?.kind === "value") return result.value;
  if (result?.kind === "errno") return -BigInt(ERRNO[result.errno]);
  if (result?.kind === "handle") return 1n;
  throw new NoAnswer(result ? "the result is no integer; compare it with == or !=" : "the call has not returned");
}

/** Whether a result is what a pattern says. */
export function matches(result: Result, pattern: ResultPattern): boolean {
  switch (pattern.kind) {
    case "any":
    case "unknown":
      return true;
    case "ok":
      if (result.kind === "status") return result.status === "TDX_SUCCESS";
      return result.kind === "value" ? result.value >= 0n : result.kind === "handle" || result.kind === "found" || result.kind === "text";
    case "fails":
      return (
        result.kind === "errno" || result.kind === "signal" || result.kind === "exception" || (result.kind === "status" && result.status !== "TDX_SUCCESS")
      );
    case "blocks":
      return result.kind === "blocks";
    case "value":
      if (result.kind === "errno") return pattern.value === -BigInt(ERRNO[result.errno]);
      return result.kind === "value" && result.value === pattern.value && (!pattern.data || sameBytes(pattern.data, result.data));
    case "errno":
      return result.kind === "errno" && result.errno === pattern.errno;
    case "status":
      return result.kind === "status" && result.status === pattern.status && (pattern.operand === undefined || result.operand === pattern.operand);
    case "exit":
      return (
        result.kind === "exit" &&
        result.exit === pattern.exit &&
        pattern.fields.every((field) => result.fields.some((own) => own.name === field.name && asU64(own.value) === asU64(field.value)))
      );
    case "signal":
      return result.kind === "signal" && result.signal === pattern.signal;
    case "exception":
      return result.kind === "exception" && result.exception === pattern.exception;
    case "text":
      return result.kind === "text" && result.text === pattern.text;
  }
}

const sameBytes = (a: readonly number[], b: readonly number[] | undefined): boolean => a.length === b?.length && a.every((byte, index) => byte === b[index]);

const int = (operand: Operand | undefined): bigint => (operand?.kind === "int" ? operand.value : 0n);

function query(machine: Machine, state: Int32Array, name: string, operands: readonly Operand[]): bigint {
  if (operands[0]?.kind === "frame") return pageQuery(machine, state, name, operands[0]);
  if (operands[0]?.kind !== "handle") throw new NoAnswer(`${name} asks about a bound name`);
  const handle = machine.program.handles[operands[0].handle];
  if (handle.kind === "vm") return vmQuery(machine, state, name, machine.objects.vmOf.get(handle.call) ?? -1, int(operands[1]));
  if (handle.kind === "vcpu") return tlbQuery(machine, state, machine.objects.vcpuOf.get(handle.call) ?? -1, int(operands[1]));
  if (handle.kind === "frame") return frameQuery(machine, state, name, machine.objects.driverOf.get(handle.call) ?? -1);
  const index = objectOfOperand(machine.program, machine.objects.fileOf, operands[0]);
  if (index === undefined) throw new NoAnswer(`${handle.name} is no file of this scenario`);
  return fileQuery(machine, state, name, index, int(operands[1]));
}

function fileQuery(machine: Machine, state: Int32Array, name: string, index: number, offset: bigint): bigint {
  const file = machine.files[index];
  const page = Number(asU64(offset) >> 12n);
  if (name === "size") return sizeOf(machine, state, file);
  if (name === "seals") return BigInt(file.seals.get(state));
  if (name === "mode") return BigInt(file.mode.get(state));
  if (name === "pages")
    return file.frames.reduce((sum, field, cell) => sum + (field.get(state) > 0 ? BigInt(file.cells.end(cell) - file.cells.start(cell)) : 0n), 0n);
  const cell = file.cells.at(page);
  if (name === "allocated") return truth(cell >= 0 && file.frames[cell].get(state) > 0);
  if (name === "bound") {
    return truth(
      machine.vms.some((vm) =>
        vm.slots.some((slot) => {
          const config = machine.objects.slots[slot.bound.get(state) - 1];
          return config?.file === index && page >= config.filePage && page < config.filePage + config.pages;
        }),
      ),
    );
  }
  const frame = cell < 0 ? 0 : file.frames[file.cells.one(page)].get(state);
  if (name === "frame") return BigInt(frame);
  if (name !== "value") throw new NoAnswer(`${name} is not modelled`);
  if (frame === 0) return 0n;
  if (file.uptodate[cell].get(state) === 0 && (machine.features.fresh_page === "zeroed" || file.shim.get(state) === 0)) return 0n;
  const byte = Number(asU64(offset) & 4095n);
  const value = machine.frames[frame].content[machine.bytes.range(byte, byte + 1)[0]].get(state);
  return value === FOUND ? -1n : BigInt(value & 255);
}

function vmQuery(machine: Machine, state: Int32Array, name: string, index: number, gpa: bigint): bigint {
  const vm = machine.vms[index];
  const gfn = Number((asU64(gpa) & ~SHARED_BIT) >> 12n);
  if (!vm) throw new NoAnswer("no such VM");
  if (name === "alive") return truth(isAlive(vm, state));
  if (name === "nr_premapped") {
    const td = machine.kvmTds?.vms[index];
    if (!td) throw new NoAnswer(`${vm.object.name} is no TD`);
    return BigInt(td.premapped.get(state));
  }
  if (name === "slots") return BigInt(vm.slots.filter((slot) => slot.config.get(state) > 0).length);
  const slot = slotAt(machine, state, vm, gfn);
  if (name === "attributes") {
    if (machine.features.private_kind !== "attribute" && (!slot || !isPrivateSlot(slot.config))) return 0n;
    const cell = vm.cells.at(gfn);
    const converted = cell < 0 ? undefined : convertedKind(machine, state, vm, cell);
    const file = machine.files[slot?.config.file ?? -1];
    const present = slot && file && file.frames[file.cells.at(slot.config.filePage + gfn - slot.config.gfn)]?.get(state) > 0;
    return (converted ?? (present ? PRIVATE : SHARED)) === PRIVATE ? 8n : 0n;
  }
  if (name !== "ept") throw new NoAnswer(`${name} is not modelled`);
  const cell = vm.cells.at(gfn);
  const kind = asU64(gpa) & SHARED_BIT ? SHARED : PRIVATE;
  const leaf = (of: number): number => (cell < 0 ? 0 : (vm.ept[of][cell]?.get(state) ?? 0));
  return BigInt(kind === SHARED ? leaf(SHARED) : leaf(PRIVATE) || leaf(SHARED));
}

function tlbQuery(machine: Machine, state: Int32Array, index: number, gpa: bigint): bigint {
  const vcpu = machine.vcpus[index];
  if (!vcpu) throw new NoAnswer("no such vCPU");
  const cell = machine.vms[vcpu.object.vm].cells.at(Number((asU64(gpa) & ~SHARED_BIT) >> 12n));
  const entry = (kind: number): number => (cell < 0 ? 0 : (vcpu.tlb[kind][cell]?.get(state) ?? 0));
  return BigInt(asU64(gpa) & SHARED_BIT ? entry(SHARED) : entry(PRIVATE) || entry(SHARED));
}

/** `refcount(frame(fd, off))`: of the page that the file holds there. */
function pageQuery(machine: Machine, state: Int32Array, name: string, operand: Operand & { kind: "frame" }): bigint {
  const file = machine.files[machine.objects.fileOf.get(machine.program.handles[operand.handle].call) ?? -1];
  const cell = file?.cells.at(Number(asU64(operand.offset) >> 12n)) ?? -1;
  if (name !== "refcount") throw new NoAnswer(`${name} is not modelled`);
  return BigInt(cell < 0 ? 0 : referencesOf(machine, state, file.frames[cell].get(state)));
}

function frameQuery(machine: Machine, state: Int32Array, name: string, index: number): bigint {
  const frame = machine.drivers[index]?.get(state) ?? 0;
  if (name === "refcount") return BigInt(referencesOf(machine, state, frame));
  throw new NoAnswer(`${name} is not modelled`);
}
