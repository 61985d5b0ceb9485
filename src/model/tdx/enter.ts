// TDH.VP.ENTER, and the way out: a vCPU inside counts in REFCOUNT of the epoch in which it entered, and holds its TDVPR and the TDR shared. One that is
// suspected of being stepped asks first whether it would leave at once (td_transitions/tdh_vp_enter.c, td_exit.c, td_exit_stepping.c).

import type { Machine } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { ask, liveTd, tdvprOperand, tdvpsComplete, walkTo } from "./checks.ts";
import { busy, type Check, type Leaf, type LeafCall, MORE, SUCCESS } from "./leaf.ts";
import { acquire, release } from "./locks.ts";
import { FILTERED_ENTRY } from "./repeated.ts";
import type { TdState, TdVcpuState, TdxState } from "./state.ts";
import { isHeldAtTheDoor, listedGpa } from "./stepping.ts";
import { LEVEL, SEPT, VCPU } from "./tables.ts";
import { epochLock } from "./track.ts";
import { associate, flushProcessor, processorOf } from "./vp.ts";

function associateOnce(call: LeafCall): void {
  if (call.theVcpu.lp.get(call.state) === 0) associate(call);
}

/** adjust_tlb_tracking_state: the vCPU counts in the epoch that it finds, and hits no translation of an older one. */
function countIn(call: LeafCall): boolean {
  const { state, theTd: td, theVcpu: vcpu } = call;
  const epoch = td.epoch.get(state);
  const count = td.refcount[epoch & 1];
  count.set(state, count.get(state) + 1);
  const flushes = vcpu.epoch.get(state) !== epoch;
  if (flushes) flushProcessor(call, processorOf(call, vcpu));
  vcpu.epoch.set(state, epoch);
  return flushes;
}

/** revert_tlb_tracking_state: the count alone; what was flushed stays so. */
function countOut(state: Int32Array, td: TdState, vcpu: TdVcpuState): void {
  const count = td.refcount[vcpu.epoch.get(state) & 1];
  count.set(state, count.get(state) - 1);
}

/** The epoch's lock is dropped behind the count: where the filter comes next, before the entry is through. */
const sampleEpoch: Check = {
  ...epochLock("shared"),
  lock: (call) => (isHeldAtTheDoor(call.theVcpu, call.state) ? undefined : { lock: call.theTd.epochLock, mode: "shared" }),
};

/** is_epf_expected: any entry but a mapped one is a violation to come, also one that is pending where the guest would get a #VE. */
function leavesAgain(td: TdState, state: Int32Array, gpa: bigint): boolean {
  const entry = walkTo(td, state, Number(gpa >> 12n), LEVEL.PT);
  return entry?.state.get(state) !== SEPT.MAPPED;
}

const TREE_BUSY = busy("SEPT_TREE");

/**
 * td_entry_stepping_filter: with the tree locked, is the page that is listed still none that the guest can use? Then the exit is made up. Undefined: the vCPU
 * may enter. Others see it counted, and then the tree locked, before it is through.
 */
function filter(call: LeafCall, gpa: bigint): ReturnType<Leaf["commit"]> {
  const { state, theTd: td, theVcpu: vcpu } = call;
  const entry = (vcpu.stepping as NonNullable<TdVcpuState["stepping"]>).entry;
  if (entry.get(state) === FILTERED_ENTRY.NONE) {
    associateOnce(call);
    countIn(call);
    call.unlock(td.epochLock);
    entry.set(state, FILTERED_ENTRY.COUNTED);
    call.say(`${vcpu.object.name} is suspected of being stepped: it counts in epoch ${vcpu.epoch.get(state)}, and wants the secure EPT tree`);
    return MORE;
  }
  if (entry.get(state) === FILTERED_ENTRY.COUNTED) {
    entry.set(state, FILTERED_ENTRY.NONE);
    if (!acquire(state, td.tree, "exclusive")) {
      countOut(state, td, vcpu);
      call.say("the secure EPT tree is locked");
      return TREE_BUSY;
    }
    entry.set(state, FILTERED_ENTRY.LOCKED);
    call.say("the secure EPT tree is locked exclusive");
    return MORE;
  }
  entry.set(state, FILTERED_ENTRY.NONE);
  release(state, td.tree, "exclusive");
  if (!leavesAgain(td, state, gpa)) return undefined;
  countOut(state, td, vcpu);
  call.violation = gpa;
  call.say("the access would leave the guest again: it is not entered");
  return SUCCESS;
}

export const vpEnter: Leaf = {
  name: "TDH.VP.ENTER",
  number: 0,
  checks: [
    ...tdvprOperand("RCX", "shared"),
    ...liveTd("TDH.VP.ENTER"),
    tdvpsComplete,
    ask("the vCPU is ready", { status: "TDX_VCPU_STATE_INCORRECT" }, (call) => call.theVcpu.state.get(call.state) !== VCPU.READY),
    ask("it is associated with no other processor", { status: "TDX_VCPU_ASSOCIATED" }, (call) => {
      const lp = call.theVcpu.lp.get(call.state);
      return lp !== 0 && lp !== processorOf(call, call.theVcpu) + 1;
    }),
    {
      what: "no other processor is about to enter it",
      answers: [{ status: "TDX_VCPU_ASSOCIATED" }],
      lock: (call) => ({ lock: call.theVcpu.association, mode: "exclusive" }),
      // An entry that fails behind this leaves it associated.
      effect: associateOnce,
    },
    sampleEpoch,
  ],
  interruptions: [TREE_BUSY],
  acquires: ["td"],
  writes: ["td", "tlb"],
  commit(call) {
    const { state, tdx, theTd: td, theVcpu: vcpu } = call;
    const lp = processorOf(call, vcpu);
    if (tdx.vcpus.some((other) => other !== vcpu && other.lp.get(state) === lp + 1 && isInside(state, other)))
      throw new NotModelled(
        call.context.plan.id,
        `two vCPUs inside on processor ${lp} at once are not possible; leave one, or give them processors of their own`,
      );
    const gpa = listedGpa(vcpu, state);
    const refused = gpa === undefined ? undefined : filter(call, gpa);
    if (refused) return refused;
    associateOnce(call);
    // A vCPU that is new on its processor has no entry there; TDH.VP.FLUSH has seen to that.
    const flushes = gpa === undefined && countIn(call);
    flushProcessor(call, lp, vcpu);
    vcpu.state.set(state, VCPU.ACTIVE);
    vcpu.inside.set(state, 1);
    vcpu.rests.set(state, call.registers.stays ? 1 : 0);
    // The locks of TDVPR and TDR stay until the TD exits.
    call.keep(tdx.pamt[vcpu.tdvpr.get(state)].lock);
    call.keep(tdx.pamt[td.tdr.get(state)].lock);
    call.say(`${vcpu.object.name} is in the guest, epoch ${vcpu.epoch.get(state)}${flushes ? ", its TLB flushed" : ""}`);
    return undefined;
  },
};

export const isInside = (state: Int32Array, vcpu: TdVcpuState): boolean => vcpu.inside.get(state) === 1;

export function tdOf(tdx: TdxState, state: Int32Array, vcpu: TdVcpuState): TdState {
  return tdx.tds[vcpu.td.get(state) - 1];
}

/**
 * A TD exit: the vCPU is ready to be entered again. What its TLB holds stays until the next entry, or TDH.VP.FLUSH. Out of a TD that has died it leaves without
 * a look at its structures: REFCOUNT goes on counting it, and its state stays what it was.
 */
export function exitTd({ tdx }: Machine, state: Int32Array, vcpu: TdVcpuState): void {
  if (!tdx || !isInside(state, vcpu)) return;
  const td = tdOf(tdx, state, vcpu);
  if (td.fatal.get(state) === 0) {
    const count = td.refcount[vcpu.epoch.get(state) & 1];
    count.set(state, count.get(state) - 1);
    vcpu.state.set(state, VCPU.READY);
  }
  vcpu.inside.set(state, 0);
  vcpu.rests.set(state, 0);
  release(state, tdx.pamt[vcpu.tdvpr.get(state)].lock, "shared");
  release(state, tdx.pamt[td.tdr.get(state)].lock, "shared");
}

/** A machine check inside: the TD is fatal from here on, and the vCPU leaves. */
export function dieInside(machine: Machine, state: Int32Array, vcpu: TdVcpuState): void {
  if (!machine.tdx) return;
  tdOf(machine.tdx, state, vcpu).fatal.set(state, 1);
  exitTd(machine, state, vcpu);
}
