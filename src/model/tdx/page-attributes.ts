// TDG.MEM.PAGE.ATTR.RD and .WR: the attributes of a page, which the guest reads, and which it may set for nested VMs alone. A TD here has none, so that each
// attribute and each flag but 0 is refused, and nothing is ever written (td_dispatcher/vm_exits/tdg_mem_page_attr_rd.c, tdg_mem_page_attr_wr.c).

import type { TdxOperandName } from "../../base/tdx-status.ts";
import { AGAIN, type Context, NEXT, type StepCode } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { entryAt, walkTo } from "./checks.ts";
import { type AttributesWritten, actionOf, beforeLeaf, EEQ, isPrivateTarget, targetOf, tdOfContext, vcpuOf, violation } from "./inside.ts";
import { isRefused } from "./leaf.ts";
import { release } from "./locks.ts";
import type { SeptEntry } from "./state.ts";
import { ALLOWED_ENTRY_STATES, isLeafState, LEVEL, SEPT, SEPT_NAMES } from "./tables.ts";
import { answer, errorFields, levelOperand, lockFromGuest } from "./tdcall.ts";

const VMS = 4n;
const BITS_OF_VM = 16n;

/** Attributes and flags are checked by VM; the L1 VM takes none, and there is no other. */
export function attributesWritten(attributes: bigint, flags: bigint): AttributesWritten {
  const refused = (operand: TdxOperandName): AttributesWritten => ({ refused: { status: "TDX_OPERAND_INVALID", operand } });
  for (let vm = 0n; vm < VMS; vm++) {
    const of = (word: bigint): bigint => (word >> (vm * BITS_OF_VM)) & 0xffffn;
    if (of(attributes) !== 0n) return refused("RDX");
    if (of(flags) !== 0n) return refused("R8");
  }
  return { refused: undefined };
}

/** The entry at which the walk of the leaf ends, and which it locks. */
const entryOf = (context: Context): SeptEntry | undefined => {
  const { level, attributes } = actionOf(context);
  return walkTo(tdOfContext(context), context.state, targetOf(context).gfn, attributes ? level : LEVEL.PT);
};

/** What is wrong with the operands alone. */
function refusedOperand(context: Context): TdxOperandName | undefined {
  const { level, attributes } = actionOf(context);
  const target = targetOf(context);
  if (attributes?.refused) return attributes.refused.operand;
  const misplaced = level < LEVEL.PT || level > LEVEL.PDPT || (target.gpa & ((1n << BigInt(12 + 9 * level)) - 1n)) !== 0n;
  return (attributes && misplaced) || !isPrivateTarget(target) ? "RCX" : undefined;
}

/** Walk and lock are one here, for nothing is asked of the entry before it is locked. */
const acquire: StepCode = {
  reads: ["td", "sept", "module"],
  writes: ["td", "module"],
  jumps: ["vp_acquire", "td_leave"],
  run(context) {
    if (isRefused(context)) return refuse(context);
    const { state } = context;
    const elsewhere = beforeLeaf(context);
    if (elsewhere !== undefined) return elsewhere;
    const { attributes, level } = actionOf(context);
    const wrong = refusedOperand(context);
    if (wrong) return answer(context, "TDX_OPERAND_INVALID", wrong);
    const entry = entryOf(context);
    if (attributes && entry?.level !== level) {
      if (context.telling) context.say(`the walk ends at level ${entry?.level}`);
      return violation(context, EEQ.ATTR_WR, errorFields(entry, state));
    }
    if (!entry) return violation(context, EEQ.NONE);
    const locked = lockFromGuest(context, entry, suits(entry, state));
    if (locked === "locked" || locked === AGAIN) vcpuOf(context).leaf.set(state, 2 + entry.level);
    if (locked !== "locked") return locked as number;
    context.say("the entry is locked");
    return NEXT;
  },
};

const suits = (entry: SeptEntry, state: Int32Array): boolean => ALLOWED_ENTRY_STATES["TDG.MEM.PAGE.ATTR.RD"].includes(entry.state.get(state));

/** The entry is none that the leaf works on, or the host waits for it: its lock is dropped. */
function refuse(context: Context): number {
  const { state } = context;
  const entry = lockedEntry(context);
  const { leaf } = vcpuOf(context);
  leaf.set(state, 0);
  const locked = lockFromGuest(context, entry, false);
  if (typeof locked === "number") return locked;
  const now = entry.state.get(state);
  if (context.telling) context.say(`the walk ends at level ${entry.level}, ${SEPT_NAMES[now]}`);
  const { attributes } = actionOf(context);
  if (attributes && now !== SEPT.FREE && !isLeafState(now)) return answer(context, "TDX_PAGE_SIZE_MISMATCH", levelOperand(entry.level));
  return attributes ? violation(context, EEQ.ATTR_WR, errorFields(entry, state)) : violation(context, EEQ.NONE);
}

/** By its level: a table above it may be blocked meanwhile. */
function lockedEntry(context: Context): SeptEntry {
  const level = vcpuOf(context).leaf.get(context.state) - 2;
  const entry = level < 0 ? undefined : entryAt(tdOfContext(context), targetOf(context).gfn, level);
  if (entry) return entry;
  throw new NotModelled(context.plan.id, "what a module does that reads the attributes of a page without having found its entry is not modelled");
}

/** It reads, and drops the lock: a mark of host priority stays. */
const commit: StepCode = {
  reads: ["td", "sept"],
  writes: ["td", "module"],
  jumps: ["td_leave"],
  run(context) {
    const { state } = context;
    const { leaf } = vcpuOf(context);
    const entry = lockedEntry(context);
    release(state, entry.lock, "exclusive");
    leaf.set(state, 0);
    if (context.telling) context.say(`the page is ${SEPT_NAMES[entry.state.get(state)]}, and readable, writable and executable for the TD`);
    return answer(context, "TDX_SUCCESS");
  },
};

export const attributeSteps = { attributes_acquire: acquire, attributes_commit: commit };
