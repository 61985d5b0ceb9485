// What an access to guest_memfd has in hand: the gfn, the kind of the access, and what has come in between.

import { formatAddress } from "../../base/units.ts";
import type { SlotConfig } from "../objects.ts";
import type { Context } from "../step.ts";
import { accessOf, cellOf, vmOf } from "./access.ts";
import { hasPrivateMemory } from "./gmem-file.ts";
import { PRIVATE, SHARED, type VmState } from "./state.ts";

export const isPrefault = (context: Context): boolean => context.operation.name === "KVM_PRE_FAULT_MEMORY";
/** Of the VM: the gfn's, or the one that the pre-fault has come to. */
export const faultCell = (context: Context): number => (isPrefault(context) ? context.cell : cellOf(context));
export const gfnOf = (context: Context): number => (isPrefault(context) ? vmOf(context).cells.start(context.cell) : accessOf(context).gfn);
export const gfnText = (context: Context): string => `gfn ${formatAddress(BigInt(gfnOf(context)))}`;
export const kindOf = (context: Context): number => context.thread.kind.get(context.state);

/** The kind of a gfn now; without private memory every gfn is shared. */
export function attributeKind(context: Context, vm: VmState, cell: number): number {
  if (!hasPrivateMemory(context.machine, vm.object.index)) return SHARED;
  return vm.converted[cell]?.get(context.state) === 1 ? PRIVATE : SHARED;
}

/** Which of the two kinds of mapping the one page table, or the TLB before it, has there. */
export function presentKind(context: Context): number {
  const { machine, state } = context;
  const { vcpu, cell, vm } = accessOf(context);
  const { tlb } = machine.vcpus[vcpu];
  const [shared, own] = [tlb[SHARED][cell], tlb[PRIVATE][cell]].map((entry) => entry?.get(state) ?? 0);
  if (own !== 0 || shared !== 0) return own !== 0 ? PRIVATE : SHARED;
  return (machine.vms[vm].ept[PRIVATE][cell]?.get(state) ?? 0) !== 0 ? PRIVATE : SHARED;
}

export const isOvertaken = (context: Context): boolean => {
  const { state, thread } = context;
  const vm = vmOf(context);
  const cell = faultCell(context);
  return thread.stale.get(state) === 1 || (vm.inProgress.get(state) > 0 && cell >= vm.rangeStart.get(state) && cell < vm.rangeEnd.get(state));
};

export const isFromFile = (config: SlotConfig, kind: number): boolean => kind === PRIVATE || config.gmemOnly;
