// What an access to guest_memfd has in hand: the gfn, the kind of the access, the page of the file, and what has come in between.

import { formatAddress } from "../../base/units.ts";
import type { Context } from "../machine.ts";
import { addPage, isPoisoned, isReferenced } from "../memory/file.ts";
import { framesLeft } from "../memory/frames.ts";
import type { FileState } from "../memory/state.ts";
import type { SlotConfig } from "../objects.ts";
import { accessOf, cellOf, endFault, vmOf } from "./access.ts";
import { hasPrivateMemory } from "./gmem-file.ts";
import { isPrivateSlot } from "./kinds.ts";
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

/** mmu_invalidate_retry_gfn: an invalidation of the cell is in progress, or has been since the snapshot. */
export function isOvertakenAt({ state, thread }: Context, vm: VmState, cell: number): boolean {
  return thread.stale.get(state) === 1 || (vm.inProgress.get(state) > 0 && cell >= vm.rangeStart.get(state) && cell < vm.rangeEnd.get(state));
}

export const isOvertaken = (context: Context): boolean => isOvertakenAt(context, vmOf(context), faultCell(context));

/** The cell of the guest_memfd that is bound at a gfn, or why there is none. */
export function boundPage(
  { machine, state }: Context,
  vm: VmState,
  config: SlotConfig,
  gfn: number,
): { readonly file: FileState; readonly cell: number } | string {
  if (!isPrivateSlot(config)) return "the slot has no guest_memfd";
  const file = config.file === undefined ? undefined : machine.files[config.file];
  const slot = vm.slots.find((one) => one.id === config.id);
  if (!file || slot?.gmem?.file.get(state) !== 1 || !isReferenced(machine, state, file)) return "the file is gone";
  return { file, cell: file.cells.at(config.filePage + gfn - config.gfn) };
}

type GmemPage =
  | { readonly is: "page"; readonly frame: number }
  | { readonly is: "broken"; readonly frame: number }
  | { readonly is: "locked" }
  | { readonly is: "no memory" };

/** __kvm_gmem_get_pfn: a page of the file, allocated where there is none; a folio that is locked is waited for. */
export function gmemPage(context: Context, file: FileState, cell: number): GmemPage {
  const { machine, state } = context;
  if (file.folios[cell].get(state) !== 0) return { is: "locked" };
  const present = file.frames[cell].get(state);
  if (present === 0 && framesLeft(machine, state) < file.cells.end(cell) - file.cells.start(cell)) return { is: "no memory" };
  if (isPoisoned(machine, state, file.object.index, cell)) return { is: "broken", frame: present };
  return { is: "page", frame: present || addPage(context, file, cell) };
}

/** The fault ends at a page with a memory error (folio_test_hwpoison): until c31745d2c508 the reference of the look-up was forgotten. */
export function leaveBrokenPage(context: Context, frame: number): void {
  const leaked = context.machine.features.poisoned_page === "leaked";
  context.say(`frame ${frame} has a memory error: EHWPOISON${leaked ? ", and the reference on it is kept" : ""}`);
  endFault(context);
  context.thread.frame.set(context.state, leaked ? frame : 0);
}

export const isFromFile = (config: SlotConfig, kind: number): boolean => kind === PRIVATE || config.gmemOnly;
