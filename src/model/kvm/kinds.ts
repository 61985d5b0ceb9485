// Private or shared: which slots have private memory, which accesses are ordinary ones, and what kind a gfn is.

import type { Machine } from "../machine.ts";
import { KVM_MEM_PRIVATE, type SlotConfig } from "../objects.ts";
import { PRIVATE, SHARED, type VmState } from "./state.ts";

export const isPrivateSlot = (config: SlotConfig): boolean => (config.flags & KVM_MEM_PRIVATE) !== 0;

/** Whether the access is an ordinary one: shared, or in a slot whose memory is not private where the kernel does not ask further (model.md, rule 2). */
export const isOrdinary = (machine: Machine, config: SlotConfig, kind: number): boolean =>
  kind === SHARED || (!isPrivateSlot(config) && machine.features.ordinary_slot === "ordinary");

/** The kind of a gfn where an ioctl decides it; undefined where pages in the file do. */
export function convertedKind(machine: Machine, state: Int32Array, vm: VmState, cell: number): number | undefined {
  if (machine.features.private_kind === "page_in_file") return undefined;
  const standard = machine.features.default_kind === "private" ? PRIVATE : SHARED;
  return vm.converted[cell].get(state) !== 0 ? 1 - standard : standard;
}
