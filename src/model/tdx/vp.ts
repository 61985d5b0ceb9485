// Leaves that make a vCPU: its root page, its control pages, its initial state (vmm_dispatcher/api_calls/tdh_vp_*.c).

import type { TdxStatus } from "../../base/tdx-status.ts";
import { ask, liveTd, newPage, tdrOperand, tdvprOperand, tdvpsComplete } from "./checks.ts";
import type { Leaf, LeafCall } from "./leaf.ts";
import { assignPage } from "./pages.ts";
import type { TdVcpuState } from "./state.ts";
import { PT, TDVPS_TDCX, VCPU } from "./tables.ts";

export const vpCreate: Leaf = {
  name: "TDH.VP.CREATE",
  number: 10,
  checks: [...tdrOperand("RDX", "shared"), ...liveTd("TDH.VP.CREATE"), ...newPage("RCX")],
  writes: ["td", "pamt", "content"],
  commit(call) {
    const { state, tdx, theTd: td } = call;
    const vcpu = tdx.vcpus[call.registers.makes as number];
    const page = call.registers.page as number;
    vcpu.tdvpr.set(state, page);
    vcpu.td.set(state, td.object.index + 1);
    assignPage(call, page, PT.TDVPR, td);
    call.say(`frame ${page} is the root of ${vcpu.object.name}, a vCPU of ${td.object.name}`);
    return undefined;
  },
};

const uninitialized = ask("the vCPU is not initialised", { status: "TDX_VCPU_STATE_INCORRECT" }, (call) => {
  return call.theVcpu.state.get(call.state) !== VCPU.UNINITIALIZED;
});

export const vpAddcx: Leaf = {
  name: "TDH.VP.ADDCX",
  number: 4,
  checks: [
    ...tdvprOperand("RDX", "exclusive"),
    ...liveTd("TDH.VP.ADDCX"),
    uninitialized,
    ask("the TDVPS has room", { status: "TDX_TDCX_NUM_INCORRECT" }, (call) => call.theVcpu.numTdcx.get(call.state) >= TDVPS_TDCX.max),
    ...newPage("RCX"),
  ],
  writes: ["td", "pamt", "content"],
  commit(call) {
    const { state, theVcpu: vcpu } = call;
    vcpu.numTdcx.set(state, vcpu.numTdcx.get(state) + 1);
    assignPage(call, call.registers.page as number, PT.TDCX, call.theTd);
    call.say(`frame ${call.registers.page} is control page ${vcpu.numTdcx.get(state)} of ${vcpu.object.name}`);
    return undefined;
  },
};

/** The logical processor on which a leaf on a vCPU runs: the one that is said, else the one of the association, else one of its own. */
export function processorOf(call: LeafCall, vcpu: TdVcpuState): number {
  const associated = vcpu.lp.get(call.state);
  return call.registers.lp ?? (associated > 0 ? associated - 1 : vcpu.object.index);
}

/** associate_vcpu: the TD counts how many of its vCPUs some processor may have translations of. */
export function associate(call: LeafCall): void {
  const { state, theTd: td, theVcpu: vcpu } = call;
  vcpu.lp.set(state, processorOf(call, vcpu) + 1);
  td.numAssociated.set(state, td.numAssociated.get(state) + 1);
}

/** Vacates the TLB of every vCPU of the TD that is associated with a processor, but for `except`: INVEPT is by the EPTP, which they share. */
export function flushProcessor(call: LeafCall, lp: number, except?: TdVcpuState): void {
  for (const vcpu of call.tdx.vcpus) {
    if (vcpu === except || vcpu.lp.get(call.state) !== lp + 1 || vcpu.td.get(call.state) !== call.theVcpu.td.get(call.state)) continue;
    for (const entry of vcpu.tlb.values()) entry.set(call.state, 0);
  }
}

const TOO_MANY: TdxStatus = { status: "TDX_MAX_VCPUS_EXCEEDED" };

export const vpInit: Leaf = {
  name: "TDH.VP.INIT",
  number: 22,
  checks: [...tdvprOperand("RCX", "exclusive", (call) => call.machine.features.td_vp_init), ...liveTd("TDH.VP.INIT"), tdvpsComplete, uninitialized],
  interruptions: [TOO_MANY],
  writes: ["td"],
  commit(call) {
    const { state, theTd: td, theVcpu: vcpu } = call;
    // The TDR is shared, so that another vCPU may be initialised meanwhile: counted and compared in one go (_lock_xadd_32b).
    if (td.numVcpus.get(state) >= td.maxVcpus.get(state)) return TOO_MANY;
    td.numVcpus.set(state, td.numVcpus.get(state) + 1);
    associate(call);
    vcpu.state.set(state, VCPU.READY);
    call.say(`${vcpu.object.name} is ready, associated with processor ${processorOf(call, vcpu)}`);
    return undefined;
  },
};

export const vpLeaves: readonly Leaf[] = [vpCreate, vpAddcx, vpInit];
