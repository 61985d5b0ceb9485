// Leaves that the guest calls on the secure EPT: TDG.MEM.PAGE.ACCEPT and TDG.MEM.PAGE.ATTR.RD. They take the lock of the entry and no other
// (td_dispatcher/vm_exits/tdg_mem_page_accept.c, tdg_mem_page_attr_rd.c).

import type { TdxOperandName, TdxStatusName } from "../../base/tdx-status.ts";
import { NotModelled } from "../objects.ts";
import { type Context, NEXT, type StepCode } from "../step.ts";
import { entryAt, isPrivateGpa, walkTo } from "./checks.ts";
import { exitTd } from "./enter.ts";
import { zeroPage } from "./hardware.ts";
import { actionOf, beforeLeaf, EEQ, goOn, refuseHigh, tdOfContext, vcpuOf, violation } from "./inside.ts";
import { expectZeros } from "./integrity.ts";
import { busy, statusResult } from "./leaf.ts";
import { acquire, release } from "./locks.ts";
import type { SeptEntry } from "./state.ts";
import { ALLOWED_ENTRY_STATES, LEVEL, PUBLIC_STATE, SEPT, SEPT_NAMES } from "./tables.ts";

/** The leaf returns to the guest; a host that waits for an entry was not in its way. */
function answer(context: Context, status: TdxStatusName, operand?: TdxOperandName): number {
  vcpuOf(context).hostWaits.set(context.state, 0);
  return goOn(context, statusResult(operand === undefined ? { status } : { status, operand }));
}

/** Behind its checks the leaf knows the entry; nothing but its lock is asked of it from there on. */
const entryOf = (context: Context): SeptEntry => {
  const { gfn, level } = actionOf(context);
  return entryAt(tdOfContext(context), gfn, level) as SeptEntry;
};

const levelOperand = (level: number): TdxOperandName | undefined => (level === LEVEL.PD ? "LVL_PD" : undefined);
const errorFields = (entry: SeptEntry | undefined, state: Int32Array): { name: string; value: bigint }[] => [
  { name: "level", value: BigInt(entry?.level ?? 0) },
  { name: "state", value: BigInt(PUBLIC_STATE[entry?.state.get(state) ?? 0]) },
];

/**
 * TDG.MEM.PAGE.ACCEPT: operands and walk, without any lock. Whether the entry is a leaf is remembered from here, and not asked again when it is locked: an entry
 * that was free and has become pending meanwhile counts as none (follows from the order in tdg_mem_page_accept.c).
 */
const acceptWalk: StepCode = {
  reads: ["td", "sept"],
  writes: ["td", "module"],
  jumps: ["vp_acquire", "td_leave"],
  run(context) {
    const { state } = context;
    const { gpa, gfn, level } = actionOf(context);
    const vcpu = vcpuOf(context);
    const elsewhere = beforeLeaf(context);
    if (elsewhere !== undefined) return elsewhere;
    const td = tdOfContext(context);
    refuseHigh(context);
    const aligned = (gpa & ((1n << BigInt(12 + 9 * Math.max(0, level))) - 1n)) === 0n;
    if (level < LEVEL.PT || level > LEVEL.PD || !aligned || actionOf(context).shared || !isPrivateGpa(td, state, gpa))
      return answer(context, "TDX_OPERAND_INVALID", "RCX");
    const entry = walkTo(td, state, gfn, level);
    if (entry?.level !== level) {
      if (context.telling) context.say(`the walk ends at level ${entry?.level}`);
      return violation(context, EEQ.ACCEPT, errorFields(entry, state));
    }
    vcpu.leaf.set(state, entry.state.get(state) >= SEPT.MAPPED ? 2 : 1);
    if (context.telling) context.say(`the walk finds the entry ${SEPT_NAMES[entry.state.get(state)]}`);
    return NEXT;
  },
};

/**
 * sept_lock_acquire_guest: an entry that is locked is busy, and so is one for which the host waits. The second time that this comes in a row it may have taken
 * too long, and the vCPU leaves; how long that is is a time. Undefined: it is locked.
 */
function lockFromGuest(context: Context, entry: SeptEntry): number | undefined {
  const { state } = context;
  const { hostWaits } = vcpuOf(context);
  if (!acquire(state, entry.lock, "exclusive")) {
    context.say("the entry is locked");
    return answer(context, "TDX_OPERAND_BUSY", "RCX");
  }
  if (entry.hostPriority.get(state) === 0) return undefined;
  release(state, entry.lock, "exclusive");
  context.say("the host waits for the entry");
  const again = hostWaits.get(state) === 1;
  hostWaits.set(state, 1);
  if (!again || context.pick(2) === 0) return goOn(context, statusResult(busy("RCX")));
  hostWaits.set(state, 0);
  exitTd(context.machine, state, vcpuOf(context));
  return actionOf(context).exits?.timeout(context) ?? context.always(statusResult({ status: "TDX_HOST_PRIORITY_BUSY_TIMEOUT" }));
}

const acceptAcquire: StepCode = {
  reads: ["td", "sept", "module"],
  writes: ["td", "module"],
  jumps: ["td_leave"],
  run(context) {
    const { state } = context;
    const vcpu = vcpuOf(context);
    const entry = entryOf(context);
    const wasLeaf = vcpu.leaf.get(state) === 2;
    vcpu.leaf.set(state, 0);
    const refusal = lockFromGuest(context, entry);
    if (refusal !== undefined) return refusal;
    const now = entry.state.get(state);
    const refused = now !== SEPT.PENDING || !wasLeaf;
    if (!refused) {
      vcpu.leaf.set(state, 2);
      context.say("the entry is pending, and locked");
      return NEXT;
    }
    release(state, entry.lock, "exclusive");
    if (context.telling) context.say(`the entry is ${SEPT_NAMES[now]}`);
    if (now !== SEPT.FREE && !wasLeaf) return answer(context, "TDX_PAGE_SIZE_MISMATCH", levelOperand(entry.level));
    if (now === SEPT.MAPPED) return answer(context, "TDX_PAGE_ALREADY_ACCEPTED", levelOperand(entry.level));
    return violation(context, EEQ.ACCEPT, errorFields(entry, state));
  },
};

const acceptZero: StepCode = {
  reads: ["td", "sept"],
  writes: ["content"],
  jumps: [],
  returns: false,
  run(context) {
    const frame = entryOf(context).frame.get(context.state);
    if (frame === 0) throw new NotModelled(context.plan.id, "what a module does that takes an entry away while it is being accepted is not modelled");
    zeroPage(context.machine, context.state, frame);
    if (context.telling) context.say(`frame ${frame} is zeroed under the TD's key`);
    return NEXT;
  },
};

/** The whole entry is written from the copy that was read when it was locked, so that a mark of host priority is lost. */
const acceptCommit: StepCode = {
  reads: ["td", "sept"],
  writes: ["td", "sept", "module"],
  jumps: ["td_leave"],
  run(context) {
    const { state } = context;
    const entry = entryOf(context);
    entry.state.set(state, SEPT.MAPPED);
    entry.hostPriority.set(state, 0);
    expectZeros(state, tdOfContext(context), entry.gfn);
    release(state, entry.lock, "exclusive");
    vcpuOf(context).leaf.set(state, 0);
    context.say("PENDING becomes MAPPED");
    return answer(context, "TDX_SUCCESS");
  },
};

/** TDG.MEM.PAGE.ATTR.RD: walk and lock are one here, for nothing is asked of the entry before it is locked. */
const attributesAcquire: StepCode = {
  reads: ["td", "sept", "module"],
  writes: ["td", "module"],
  jumps: ["vp_acquire", "td_leave"],
  run(context) {
    const { state } = context;
    const { gpa, gfn, shared } = actionOf(context);
    const vcpu = vcpuOf(context);
    const elsewhere = beforeLeaf(context);
    if (elsewhere !== undefined) return elsewhere;
    const td = tdOfContext(context);
    refuseHigh(context);
    if (shared || !isPrivateGpa(td, state, gpa)) return answer(context, "TDX_OPERAND_INVALID", "RCX");
    const entry = walkTo(td, state, gfn, LEVEL.PT) as SeptEntry;
    const refusal = lockFromGuest(context, entry);
    if (refusal !== undefined) return refusal;
    if (ALLOWED_ENTRY_STATES["TDG.MEM.PAGE.ATTR.RD"].includes(entry.state.get(state))) {
      vcpu.leaf.set(state, 2);
      context.say("the entry is locked");
      return NEXT;
    }
    release(state, entry.lock, "exclusive");
    if (context.telling) context.say(`the walk ends at level ${entry.level}, ${SEPT_NAMES[entry.state.get(state)]}`);
    return violation(context, EEQ.NONE);
  },
};

/** It reads, and drops the lock: a mark of host priority stays. */
const attributesCommit: StepCode = {
  reads: ["td", "sept"],
  writes: ["td", "module"],
  jumps: ["td_leave"],
  run(context) {
    const { state } = context;
    const { gfn } = actionOf(context);
    const entry = entryAt(tdOfContext(context), gfn, LEVEL.PT) as SeptEntry;
    release(state, entry.lock, "exclusive");
    vcpuOf(context).leaf.set(state, 0);
    if (context.telling) context.say(`reads the attributes of the page, ${SEPT_NAMES[entry.state.get(state)]}`);
    return answer(context, "TDX_SUCCESS");
  },
};

export const tdcallSteps = {
  accept_walk: acceptWalk,
  accept_acquire: acceptAcquire,
  accept_zero: acceptZero,
  accept_commit: acceptCommit,
  attributes_acquire: attributesAcquire,
  attributes_commit: attributesCommit,
};
