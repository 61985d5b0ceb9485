// What a vCPU of a TD that is in the guest does next, and what becomes of it then: it goes on inside, leaves at the end of its actor's block, or exits.

import type { TdxStatus } from "../../base/tdx-status.ts";
import type { Result } from "../../scenario/program.ts";
import type { Context } from "../machine.ts";
import { sharedBitOf } from "./checks.ts";
import { exitTd, isInside, tdOf } from "./enter.ts";
import { type Hpa, statusResult } from "./leaf.ts";
import type { TdState, TdVcpuState, TdxState } from "./state.ts";
import { forgetViolations, logViolation } from "./stepping.ts";

/** The plan data of what a vCPU of a TD does. */
export interface TdAction {
  /** Index in `TdxState.vcpus`. */
  readonly vcpu: number;
  /** The page that its handle stands for. */
  readonly page: (state: Int32Array) => Hpa;
  /** The last of its actor's block: behind it the vCPU leaves the guest. */
  readonly last: boolean;
  /** Where it goes in a TD with a guest address width of 48 bits, and in one with 52. */
  readonly narrow: Target;
  readonly wide: Target;
  /** Of an access whose violations are counted: its index in `SteppingState.accesses`. */
  readonly access?: number;
  /** Of an access: the byte in its page, its content range, and what is stored. */
  readonly byte: number;
  readonly range: number;
  readonly value: number | undefined;
  /** Of a leaf. */
  readonly level: number;
  readonly attributes?: AttributesWritten;
  /** The exit of TDG.VP.VMCALL. */
  readonly exit?: Result;
  /** Where KVM runs the vCPU: what it does with what ends an access; codes of machine.ts. */
  readonly exits?: GuestExits;
}

/** What a call of TDG.MEM.PAGE.ATTR.WR asks for beside its page. */
export interface AttributesWritten {
  readonly refused: TdxStatus | undefined;
}

/** What a guest physical address is for a TD. */
export interface Target {
  /** Unsigned, without the shared bit; `shared` where it was set. */
  readonly gpa: bigint;
  readonly gfn: number;
  readonly shared: boolean;
  /** It has a bit above the shared one. */
  readonly beyond: boolean;
}

export interface GuestExits {
  readonly violation: (context: Context, eeq: bigint) => number;
  /** An access with the shared bit. */
  readonly shared: (context: Context) => number;
  /** The vCPU took a machine check; or another one did, and this one has left at the next that brought it to the module. */
  readonly machineCheck: (context: Context) => number;
  readonly dead: (context: Context) => number;
  /** The host has waited too long for an entry. */
  readonly timeout: (context: Context) => number;
}

export const actionOf = (context: Context): TdAction => context.plan.data as TdAction;
export const vcpuOf = (context: Context): TdVcpuState => (context.machine.tdx as TdxState).vcpus[actionOf(context).vcpu];
export const tdOfContext = (context: Context): TdState => tdOf(context.machine.tdx as TdxState, context.state, vcpuOf(context));

/** Extended exit qualifications. */
export const EEQ = { NONE: 0n, ACCEPT: 1n, ATTR_WR: 5n, PENDING_EPT_VIOLATION: 6n } as const;

/** Which bit of an address is the shared one hangs on the TD. */
export const targetOf = (context: Context): Target => actionOf(context)[tdOfContext(context).wide.get(context.state) === 1 ? "wide" : "narrow"];

/** check_gpa_validity of what a leaf is given: inside the address width, and private. */
export const isPrivateTarget = ({ shared, beyond }: Target): boolean => !shared && !beyond;

/** The exit that an EPT violation is; the guest address without its offset. */
export const violationResult = (gpa: bigint, eeq: bigint, more: readonly ExitField[] = []): Result => ({
  kind: "exit",
  exit: "EXIT_REASON_EPT_VIOLATION",
  fields: [{ name: "gpa", value: gpa & ~4095n }, { name: "eeq", value: eeq }, ...more],
});
interface ExitField {
  readonly name: string;
  readonly value: bigint;
}

/** Whatever brings a vCPU of a TD that has died on another one to the module ends there; undefined while the TD lives. */
export function leaveDead(context: Context): number | undefined {
  if (tdOfContext(context).fatal.get(context.state) === 0) return undefined;
  exitTd(context.machine, context.state, vcpuOf(context));
  context.say("the TD is fatal");
  return actionOf(context).exits?.dead(context) ?? context.always(statusResult({ status: "TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE" }));
}

/** What comes before each call of the guest on the module: a vCPU that is outside is entered, one of a dead TD leaves. Undefined: the leaf runs. */
export function beforeLeaf(context: Context): number | undefined {
  return isInside(context.state, vcpuOf(context)) ? leaveDead(context) : context.jump("vp_acquire");
}

/**
 * An EPT violation: the vCPU leaves with the guest address and an extended exit qualification. One of an access to private memory is logged
 * (td_ept_violation_exit); any other has another RIP than what was logged before.
 */
export function violation(context: Context, eeq: bigint, more: readonly ExitField[] = []): number {
  const { exits, access } = actionOf(context);
  const { gpa, shared } = targetOf(context);
  const dead = leaveDead(context);
  if (dead !== undefined) return dead;
  logViolation(vcpuOf(context), context.state, shared ? undefined : access);
  if (exits) return exits.violation(context, eeq);
  const bit = shared ? sharedBitOf(tdOfContext(context), context.state) : 0n;
  exitTd(context.machine, context.state, vcpuOf(context));
  return context.done(violationResult(gpa | bit, eeq, more));
}

/** The guest goes on: inside, or out where its block ends here. */
export function goOn(context: Context, result: Result): number {
  const { last } = actionOf(context);
  forgetViolations(vcpuOf(context), context.state);
  if (!last || vcpuOf(context).rests.get(context.state) === 1) return context.always(result);
  context.remember(result);
  return context.jump("td_leave");
}
