// Private or shared: which slots have private memory, which accesses are ordinary ones, and what kind a gfn is.

import type { Machine } from "../machine.ts";
import { KVM_MEM_PRIVATE, type SlotConfig } from "../objects.ts";
import { PRIVATE, SHARED, type SlotState, type VmState } from "./state.ts";

export const isPrivateSlot = (config: SlotConfig): boolean => (config.flags & KVM_MEM_PRIVATE) !== 0;

/** Whether the access is an ordinary one: shared, or in a slot whose memory is not private where the kernel does not ask further. */
export const isOrdinary = (machine: Machine, config: SlotConfig, kind: number): boolean =>
  kind === SHARED || (!isPrivateSlot(config) && machine.features.ordinary_slot === "ordinary");

/** What "dangling-pointer" is about: a freed structure is followed, a slot or a file is freed while the other side leads to it. */
export const USED = 0;
export const SLOT_FREED = 1;
export const FILE_FREED = 2;

/** In the series: the slot is no longer private, and the notifier list of the file leads to the structure that it had when it was. */
export function dangling(machine: Machine, state: Int32Array, slot: SlotState): boolean {
  const [bound, config] = [slot.bound.get(state), machine.objects.slots[slot.config.get(state) - 1]];
  return bound !== 0 && config !== undefined && !isPrivateSlot(config);
}

/** The kind of a gfn where an ioctl decides it; undefined where pages in the file do. */
export function convertedKind(machine: Machine, state: Int32Array, vm: VmState, cell: number): number | undefined {
  if (machine.features.private_kind === "page_in_file") return undefined;
  const standard = machine.features.default_kind === "private" ? PRIVATE : SHARED;
  return vm.converted[cell].get(state) !== 0 ? 1 - standard : standard;
}
