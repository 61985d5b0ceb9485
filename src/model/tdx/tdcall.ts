// TDG.MEM.PAGE.ACCEPT, and what leaves of the guest on the secure EPT share: they take the lock of the entry and no other
// (td_dispatcher/vm_exits/tdg_mem_page_accept.c).

import type { TdxOperandName, TdxStatusName } from "../../base/tdx-status.ts";
import type { Field } from "../layout.ts";
import { AGAIN, type Context, NEXT, type StepCode } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { blockAt } from "./blocks.ts";
import { entryAt, walkTo } from "./checks.ts";
import { exitTd, isInside } from "./enter.ts";
import { zeroPage } from "./hardware.ts";
import { actionOf, beforeLeaf, EEQ, goOn, isPrivateTarget, targetOf, tdOfContext, vcpuOf, violation } from "./inside.ts";
import { expectZeros } from "./integrity.ts";
import { busy, statusResult } from "./leaf.ts";
import { acquire, release } from "./locks.ts";
import type { SeptEntry } from "./state.ts";
import { forgetViolations } from "./stepping.ts";
import { LEVEL, PUBLIC_STATE, SEPT, SEPT_NAMES } from "./tables.ts";

/** The leaf returns to the guest; a host that waits for an entry was not in its way. */
export function answer(context: Context, status: TdxStatusName, operand?: TdxOperandName): number {
  vcpuOf(context).hostWaits.set(context.state, 0);
  return goOn(context, statusResult(operand === undefined ? { status } : { status, operand }));
}

/** Behind its checks the leaf knows the entry; nothing but its lock is asked of it from there on. */
const entryOf = (context: Context): SeptEntry => {
  const { level } = actionOf(context);
  const { gfn } = targetOf(context);
  return entryAt(tdOfContext(context), gfn, level) as SeptEntry;
};

/** A level as the details of a status; that of 4 KB is 0, no operand. */
export const levelOperand = (level: number): TdxOperandName | undefined => [undefined, "LVL_PD" as const, "LVL_PDPT" as const][level];
export const errorFields = (entry: SeptEntry | undefined, state: Int32Array): { name: string; value: bigint }[] => [
  { name: "level", value: BigInt(entry?.level ?? 0) },
  { name: "state", value: BigInt(PUBLIC_STATE[entry?.state.get(state) ?? 0]) },
];

/**
 * TDG.MEM.PAGE.ACCEPT: operands and walk, without any lock. Whether the entry is a leaf is remembered from here, and not asked again when it is locked: an
 * entry that was free and has become pending meanwhile counts as none (follows from the order in tdg_mem_page_accept.c).
 */
const acceptWalk: StepCode = {
  reads: ["td", "sept"],
  writes: ["td", "module"],
  jumps: ["vp_acquire", "td_leave"],
  run(context) {
    const { state } = context;
    const { level } = actionOf(context);
    const vcpu = vcpuOf(context);
    const elsewhere = beforeLeaf(context);
    if (elsewhere !== undefined) return elsewhere;
    const td = tdOfContext(context);
    const target = targetOf(context);
    const { gpa, gfn } = target;
    const misplaced = level < LEVEL.PT || level > LEVEL.PD || (gpa & ((1n << BigInt(12 + 9 * level)) - 1n)) !== 0n;
    if (misplaced || !isPrivateTarget(target)) return answer(context, "TDX_OPERAND_INVALID", "RCX");
    const entry = walkTo(td, state, gfn, level);
    if (entry?.level !== level) {
      if (context.telling) context.say(`the walk ends at level ${entry?.level}`);
      if (entry?.state.get(state) === SEPT.MAPPED) return answer(context, "TDX_PAGE_ALREADY_ACCEPTED", levelOperand(entry.level));
      return violation(context, EEQ.ACCEPT, errorFields(entry, state));
    }
    vcpu.leaf.set(state, entry.state.get(state) >= SEPT.MAPPED ? 2 : 1);
    if (context.telling) context.say(`the walk finds the entry ${SEPT_NAMES[entry.state.get(state)]}`);
    return NEXT;
  },
};

/** Why a leaf of the guest is about to drop the lock of an entry, in the field of its thread: the host waits for it, or it is none that the leaf works on. */
const DROPS = { HOST_WAITS: 1, UNSUITED: 2 } as const;

/**
 * sept_lock_acquire_guest: an entry that is locked is busy, and so is one for which the host waits; which of them it is shows once it is locked. The step comes
 * again to drop the lock, for the host may meet it. A number is a code of machine.ts.
 */
export function lockFromGuest(context: Context, entry: SeptEntry, suits: boolean): "locked" | "unsuited" | number {
  const { state, thread } = context;
  const refusal = thread.refusal as Field;
  const drops = refusal.get(state);
  if (drops > 0) {
    refusal.set(state, 0);
    release(state, entry.lock, "exclusive");
    return drops === DROPS.HOST_WAITS ? giveWay(context) : "unsuited";
  }
  if (!acquire(state, entry.lock, "exclusive")) {
    context.say("the entry is locked");
    return answer(context, "TDX_OPERAND_BUSY", "RCX");
  }
  const hostWaits = entry.hostPriority.get(state) === 1;
  if (!hostWaits && suits) return "locked";
  refusal.set(state, hostWaits ? DROPS.HOST_WAITS : DROPS.UNSUITED);
  context.say(hostWaits ? "the entry is locked, and the host waits for it" : `the entry is locked, and ${SEPT_NAMES[entry.state.get(state)]}`);
  context.advanced = true;
  return AGAIN;
}

/** The second time in a row that the leaf gives way to the host it may have taken too long, and the vCPU leaves; how long that is is a time. */
function giveWay(context: Context): number {
  const { state } = context;
  const vcpu = vcpuOf(context);
  vcpu.leaf.set(state, 0);
  const again = vcpu.hostWaits.get(state) === 1;
  vcpu.hostWaits.set(state, 1);
  if (!again || context.pick(2) === 0) return goOn(context, statusResult(busy("RCX")));
  vcpu.hostWaits.set(state, 0);
  forgetViolations(vcpu, state);
  exitTd(context.machine, state, vcpu);
  return actionOf(context).exits?.timeout(context) ?? context.always(statusResult({ status: "TDX_HOST_PRIORITY_BUSY_TIMEOUT" }));
}

const acceptAcquire: StepCode = {
  reads: ["td", "sept", "module"],
  writes: ["td", "module"],
  jumps: ["td_leave"],
  run(context) {
    const { state } = context;
    const { leaf } = vcpuOf(context);
    const entry = entryOf(context);
    const wasLeaf = leaf.get(state) === 2;
    const now = entry.state.get(state);
    const locked = lockFromGuest(context, entry, now === SEPT.PENDING && wasLeaf);
    if (locked === AGAIN) return AGAIN;
    if (locked === "locked") {
      context.say("the entry is pending, and locked");
      return NEXT;
    }
    leaf.set(state, 0);
    if (typeof locked === "number") return locked;
    if (context.telling) context.say(`the entry is ${SEPT_NAMES[now]}`);
    if (now !== SEPT.FREE && !wasLeaf) return answer(context, "TDX_PAGE_SIZE_MISMATCH", levelOperand(entry.level));
    if (now === SEPT.MAPPED) return answer(context, "TDX_PAGE_ALREADY_ACCEPTED", levelOperand(entry.level));
    return violation(context, EEQ.ACCEPT, errorFields(entry, state));
  },
};

function pendingFrame(context: Context): number {
  const frame = entryOf(context).frame.get(context.state);
  if (frame === 0) throw new NotModelled(context.plan.id, "what a module does that takes an entry away while it is being accepted is not modelled");
  return frame;
}

function zero(context: Context, frame: number): void {
  zeroPage(context.machine, context.state, frame);
  if (context.telling) context.say(`frame ${frame} is zeroed under the TD's key`);
}

const acceptZero: StepCode = {
  reads: ["td", "sept"],
  writes: ["content"],
  jumps: [],
  returns: false,
  run(context) {
    if (entryOf(context).level !== LEVEL.PT)
      throw new NotModelled(context.plan.id, "KVM maps pages of 4 KB; what KVM_RUN does with one of 2 MB is not modelled");
    zero(context, pendingFrame(context));
    return NEXT;
  },
};

/** An interrupt may be pending: on a machine that has them, and where the scenario sends one. */
const hasInterrupts = ({ machine }: Context): boolean => machine.setting("interrupts") === 1n || machine.program.calls.some(({ spec }) => spec === "kick");

/**
 * Of 2 MB one page of 4 KB after the other is zeroed, and behind each an interrupt may be let in: the entry keeps how many are done, the vCPU leaves without an
 * answer and is entered again, where the leaf runs anew.
 */
const acceptZeroLarge: StepCode = {
  reads: ["td", "sept"],
  writes: ["content", "td", "sept", "module"],
  jumps: ["accept_zero_large", "vp_acquire"],
  returns: false,
  run(context) {
    const { machine, state } = context;
    const entry = entryOf(context);
    const first = pendingFrame(context);
    const block = machine.tdx && blockAt(machine.tdx, first);
    const done = entry.accepted?.get(state) ?? 0;
    zero(context, first + done);
    if (!block || done + 1 === block.cells.count) return NEXT;
    entry.accepted?.set(state, done + 1);
    if (!hasInterrupts(context) || context.pick(2) === 0) return context.onward("accept_zero_large");
    const vcpu = vcpuOf(context);
    // The whole entry is written with the count in it, and a mark of host priority is lost.
    entry.hostPriority.set(state, 0);
    release(state, entry.lock, "exclusive");
    vcpu.leaf.set(state, 0);
    vcpu.hostWaits.set(state, 0);
    const rests = vcpu.rests.get(state);
    exitTd(machine, state, vcpu);
    vcpu.rests.set(state, rests);
    context.say("an interrupt: the vCPU leaves, and the rest of the page is not zeroed yet");
    return context.onward("vp_acquire");
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
    entry.accepted?.set(state, 0);
    expectZeros(state, tdOfContext(context), entry);
    release(state, entry.lock, "exclusive");
    vcpuOf(context).leaf.set(state, 0);
    context.say("PENDING becomes MAPPED");
    return answer(context, "TDX_SUCCESS");
  },
};

/** In front of an ACCEPT that may come back to here: a vCPU that is inside goes to its walk. */
const acceptBegin: StepCode = {
  reads: ["td"],
  writes: [],
  jumps: ["accept_walk"],
  returns: false,
  run: (context) => (isInside(context.state, vcpuOf(context)) ? context.jump("accept_walk") : NEXT),
};

export const tdcallSteps = {
  accept_begin: acceptBegin,
  accept_walk: acceptWalk,
  accept_acquire: acceptAcquire,
  accept_zero: acceptZero,
  accept_zero_large: acceptZeroLarge,
  accept_commit: acceptCommit,
};
