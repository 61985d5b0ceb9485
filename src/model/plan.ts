// Helpers for making plans: defaults, the checks that most calls begin with, and results that several calls return.

import type { Errno } from "../base/errno.ts";
import type { Call, CallId, HandleKind, Operand, Result } from "../scenario/program.ts";
import { BOUND } from "./handles.ts";
import type { Context, Machine, Plan } from "./machine.ts";
import type { OpenState } from "./memory/state.ts";
import { NotModelled, O_ACCMODE, O_PATH, objectOfOperand } from "./objects.ts";
import { descriptorOf } from "./processes.ts";

export const ZERO: Result = { kind: "value", value: 0n };
const FOUND_BYTE: Result = { kind: "found" };
const BYTES: readonly Result[] = Array.from({ length: 256 }, (_, byte) => ({ kind: "value", value: BigInt(byte) }));

export function plan(id: CallId, call: Call, parts: Partial<Plan> & Pick<Plan, "operations" | "success">): Plan {
  const [first] = parts.operations;
  return { id, call, reads: [], decode: () => undefined, select: () => first, file: -1, cells: [], data: undefined, ...parts };
}

/** fdget_raw: EBADF for a descriptor that is not open in the caller's process. */
export function descriptor(machine: Machine, context: Context, operand: Operand | undefined): Errno | undefined {
  const field = operand?.kind === "handle" ? descriptorOf(machine, context.plan.call.actor, operand.handle) : undefined;
  return field?.get(context.state) === BOUND ? undefined : "EBADF";
}

/** fdget: EBADF for one of O_PATH, too. */
export function openDescriptor(machine: Machine, context: Context, operand: Operand | undefined): Errno | undefined {
  const open = openOperand(machine, operand);
  return open && (open.object.flags & O_PATH) !== 0n ? "EBADF" : descriptor(machine, context, operand);
}

/** struct file behind a descriptor operand. */
export function openOperand(machine: Machine, operand: Operand | undefined): OpenState | undefined {
  return machine.opens[objectOfOperand(machine.program, machine.objects.openOf, operand) ?? -1];
}

/** FMODE_READ and FMODE_WRITE of a descriptor. */
export const canRead = (open: OpenState | undefined): boolean => open === undefined || (open.object.flags & O_ACCMODE) !== 1n;
export const canWrite = (open: OpenState | undefined): boolean => open === undefined || (open.object.flags & O_ACCMODE) !== 0n;

/** True when a name is bound to what its call made. */
export function bound(machine: Machine, state: Int32Array, operand: Operand | undefined): boolean {
  return operand?.kind === "handle" && machine.handles[operand.handle].get(state) === BOUND;
}

/** The file behind a descriptor operand; undefined for an integer such as -1. Other kinds of objects are not modelled here. */
export function fileOperand(machine: Machine, id: CallId, operand: Operand | undefined): number | undefined {
  if (operand?.kind !== "handle") return undefined;
  const handle = machine.program.handles[operand.handle];
  const kinds: readonly HandleKind[] = ["fd", "value"];
  if (!kinds.includes(handle.kind)) throw new NotModelled(id, `${handle.name} is no file; this call on it is not modelled`);
  return machine.objects.fileOf.get(handle.call);
}

/** What an access of one byte returns; below 0 it is one that nobody in the scenario wrote. */
export function byteResult(byte: number, context: Context, text: string): Result {
  if (context.telling) context.say(byte < 0 ? `${text} what lay there before` : `${text}: 0x${byte.toString(16)}`);
  return byte < 0 ? FOUND_BYTE : BYTES[byte];
}
