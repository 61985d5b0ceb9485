// TDH.VP.ENTER, and the way out: a vCPU inside counts in REFCOUNT of the epoch in which it entered, and holds its TDVPR and the TDR shared
// (td_transitions/tdh_vp_enter.c, td_exit.c).

import type { Machine } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { ask, liveTd, tdvprOperand, tdvpsComplete } from "./checks.ts";
import type { Leaf, LeafCall } from "./leaf.ts";
import { release } from "./locks.ts";
import type { TdState, TdVcpuState, TdxState } from "./state.ts";
import { VCPU } from "./tables.ts";
import { epochLock } from "./track.ts";
import { associate, flushProcessor, processorOf } from "./vp.ts";

function associateOnce(call: LeafCall): void {
  if (call.theVcpu.lp.get(call.state) === 0) associate(call);
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
    epochLock("shared"),
  ],
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
    const epoch = td.epoch.get(state);
    const count = td.refcount[epoch & 1];
    count.set(state, count.get(state) + 1);
    associateOnce(call);
    // A vCPU that is new on its processor has no entry there; TDH.VP.FLUSH has seen to that.
    const flushes = vcpu.epoch.get(state) !== epoch;
    flushProcessor(call, lp, flushes ? undefined : vcpu);
    vcpu.epoch.set(state, epoch);
    vcpu.state.set(state, VCPU.ACTIVE);
    vcpu.inside.set(state, 1);
    vcpu.rests.set(state, call.registers.stays ? 1 : 0);
    // The locks of TDVPR and TDR stay until the TD exits.
    call.keep(tdx.pamt[vcpu.tdvpr.get(state)].lock);
    call.keep(tdx.pamt[td.tdr.get(state)].lock);
    call.say(`${vcpu.object.name} is in the guest, epoch ${epoch}${flushes ? ", its TLB flushed" : ""}`);
    return undefined;
  },
};

export const isInside = (state: Int32Array, vcpu: TdVcpuState): boolean => vcpu.inside.get(state) === 1;

export function tdOf(tdx: TdxState, state: Int32Array, vcpu: TdVcpuState): TdState {
  return tdx.tds[vcpu.td.get(state) - 1];
}

/**
 * A TD exit: the vCPU is ready to be entered again. What its TLB holds stays until the next entry, or TDH.VP.FLUSH. Out of a TD that has died it leaves without a
 * look at its structures: REFCOUNT goes on counting it, and its state stays what it was.
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
