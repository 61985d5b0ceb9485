// What a vCPU of a TD that is in the guest does next, and what becomes of it then: it goes on inside, leaves at the end of its actor's block, or exits.

import type { Result } from "../../scenario/program.ts";
import { NotModelled } from "../objects.ts";
import type { Context } from "../step.ts";
import { sharedBitOf } from "./checks.ts";
import { exitTd, isInside, tdOf } from "./enter.ts";
import { type Hpa, statusResult } from "./leaf.ts";
import type { TdState, TdVcpuState, TdxState } from "./state.ts";

/** The plan data of what a vCPU of a TD does. */
export interface TdAction {
  /** Index in `TdxState.vcpus`. */
  readonly vcpu: number;
  /** The page that its handle stands for. */
  readonly page: (state: Int32Array) => Hpa;
  /** The last of its actor's block: behind it the vCPU leaves the guest. */
  readonly last: boolean;
  /** Guest physical address, unsigned, without the shared bit; `shared` where it was set. */
  readonly gpa: bigint;
  readonly gfn: number;
  readonly shared: boolean;
  /** Bit 47 was set, which is the shared bit of a 48-bit address width only. */
  readonly high?: boolean;
  /** Of an access: the byte in its page, its content range, and what is stored. */
  readonly byte: number;
  readonly range: number;
  readonly value: number | undefined;
  /** Of a leaf. */
  readonly level: number;
  /** The exit of TDG.VP.VMCALL. */
  readonly exit?: Result;
  /** Where KVM runs the vCPU: what it does with what ends an access; codes of step.ts. */
  readonly exits?: GuestExits;
}

export interface GuestExits {
  readonly violation: (context: Context, eeq: bigint) => number;
  /** An access with the shared bit. */
  readonly shared: (context: Context) => number;
  /** The TD is fatal. */
  readonly machineCheck: (context: Context) => number;
  /** The host has waited too long for an entry. */
  readonly timeout: (context: Context) => number;
}

export const actionOf = (context: Context): TdAction => context.plan.data as TdAction;
export const vcpuOf = (context: Context): TdVcpuState => (context.machine.tdx as TdxState).vcpus[actionOf(context).vcpu];
export const tdOfContext = (context: Context): TdState => tdOf(context.machine.tdx as TdxState, context.state, vcpuOf(context));

/** Extended exit qualifications. */
export const EEQ = { NONE: 0n, ACCEPT: 1n, PENDING_EPT_VIOLATION: 6n } as const;

/** Addresses are told apart below bit 47: those above it, which a TD with 52 bits has, would be others. */
export function refuseHigh(context: Context): void {
  if (actionOf(context).high && tdOfContext(context).wide.get(context.state) === 1)
    throw new NotModelled(context.plan.id, "private addresses from 128 TB on, in a TD with a guest address of 52 bits, are not modelled");
}

/** Whatever brings a vCPU of a TD that has died on another one to the module ends there; undefined while the TD lives. */
export function leaveDead(context: Context): number | undefined {
  if (tdOfContext(context).fatal.get(context.state) === 0) return undefined;
  exitTd(context.machine, context.state, vcpuOf(context));
  context.say("the TD is fatal");
  return actionOf(context).exits?.machineCheck(context) ?? context.always(statusResult({ status: "TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE" }));
}

/** What comes before each call of the guest on the module: a vCPU that is outside is entered, one of a dead TD leaves. Undefined: the leaf runs. */
export function beforeLeaf(context: Context): number | undefined {
  return isInside(context.state, vcpuOf(context)) ? leaveDead(context) : context.jump("vp_acquire");
}

/** An EPT violation: the vCPU leaves with the guest address and an extended exit qualification. */
export function violation(context: Context, eeq: bigint, more: readonly { readonly name: string; readonly value: bigint }[] = []): number {
  const { gpa, shared, exits } = actionOf(context);
  const dead = leaveDead(context);
  if (dead !== undefined) return dead;
  if (exits) return exits.violation(context, eeq);
  const asked = (gpa & ~4095n) | (shared ? sharedBitOf(tdOfContext(context), context.state) : 0n);
  exitTd(context.machine, context.state, vcpuOf(context));
  const fields = [{ name: "gpa", value: asked }, { name: "eeq", value: eeq }, ...more];
  return context.done({ kind: "exit", exit: "EXIT_REASON_EPT_VIOLATION", fields });
}

/** The guest goes on: inside, or out where its block ends here. */
export function goOn(context: Context, result: Result): number {
  const { last } = actionOf(context);
  if (!last || vcpuOf(context).rests.get(context.state) === 1) return context.always(result);
  context.remember(result);
  return context.jump("td_leave");
}
