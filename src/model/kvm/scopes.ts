// What calls on VMs, slots and vCPUs can reach, and guest accesses.

import type { Call, HandleId } from "../../scenario/program.ts";
import type { Scope } from "../layout.ts";
import type { Machine } from "../machine.ts";
import type { VcpuObject } from "../objects.ts";
import { every, Reach } from "../scope.ts";
import type { Conversion, GuestAccess } from "./notifier.ts";
import { KINDS } from "./state.ts";

/** One gfn: its leaves, its own TLB entry, what any slot can ever have behind it. */
export function guestScope(machine: Machine, { vm: index, vcpu, gfn }: GuestAccess, handle: HandleId): Scope {
  const vm = machine.vms[index];
  const reach = new Reach(machine).handles([handle]);
  const cell = vm.cells.at(gfn);
  for (const kind of KINDS.keys()) reach.fields([vm.ept[kind][cell], machine.vcpus[vcpu].tlb[kind][cell]]);
  reach.fields([vm.inProgress, vm.converted[cell], machine.vcpus[vcpu].reader]);
  for (const slot of vm.slots) if (gfn >= slot.first && gfn < slot.end) reach.fields([slot.config, slot.invalid]);
  for (const config of machine.objects.slots) {
    if (config.vm !== index || gfn < config.gfn || gfn >= config.gfn + config.pages) continue;
    const file = config.file === undefined ? undefined : machine.files[config.file];
    if (file) reach.file(file.object.index, [file.cells.at(config.filePage + gfn - config.gfn)]);
    // A fault that finds nobody refer to the guest_memfd any more gets no page of it.
    if (file?.gmem) reach.slot(config).holders(file.object.index);
    const mapping = config.mapping === undefined ? undefined : machine.mappings[config.mapping];
    if (!mapping) continue;
    const page = config.mappingPage + gfn - config.gfn;
    const backing = machine.files[mapping.object.file];
    reach.mapping(mapping, [mapping.cells.at(page)]).file(mapping.object.file, [backing.cells.at(page + mapping.object.filePage)]);
    if (!mapping.object.shared) reach.notified(mapping);
  }
  return reach.scope();
}

/** The slots of the VM, what a deleted one held, and the whole second level. */
export function slotScope(machine: Machine, call: Call, index: number | undefined, id: number): Scope {
  const reach = new Reach(machine).operands(call);
  if (index === undefined) return reach.scope();
  const vm = machine.vms[index];
  reach.fields([vm.slotsLock]).secondLevel(index);
  for (const config of machine.objects.slots) {
    if (config.vm !== index) continue;
    reach.slot(config);
    if (config.id === id && config.file !== undefined) reach.lifetime(config.file);
  }
  return reach.scope();
}

export function conversionScope(machine: Machine, call: Call, { vm: index, from, to }: Conversion): Scope {
  const vm = machine.vms[index];
  const reach = new Reach(machine).operands(call);
  if (!vm) return reach.scope();
  const cells = every(vm.converted).filter((cell) => vm.cells.end(cell) > from && vm.cells.start(cell) < to);
  for (const cell of cells) reach.fields([vm.converted[cell], vm.writers[cell], ...vm.ept.map((leaves) => leaves[cell])]);
  // A part of an entry takes the rest of it along, and a neighbour may have made the node that an entry needs.
  if (machine.features.conversion_store === "multi_index" || machine.features.entry_memory === "may_run_out") reach.fields([...vm.converted, ...vm.writers]);
  return reach.fields([vm.kvmLock, vm.inProgress, vm.rangeStart, vm.rangeEnd]).vcpus(index).scope();
}

/** KVM_CREATE_VM and KVM_CREATE_VCPU; of a vCPU's rivals it looks at how far they are. */
export function creationScope(machine: Machine, call: Call, rivals: readonly VcpuObject[]): Scope {
  const reach = new Reach(machine).operands(call).handles(rivals.map((rival) => rival.handle));
  const makers = new Set(rivals.map((rival) => machine.program.calls[rival.call].actor));
  return reach.progress([...makers]).scope();
}
