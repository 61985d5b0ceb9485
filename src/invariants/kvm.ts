// Invariants of KVM: private or shared, and the bookkeeping of invalidations. Predicates, moments and exemptions are those of model.md 3.

import { formatAddress } from "../base/units.ts";
import { convertedKind, isPrivateSlot, slotAt } from "../model/kvm/fault.ts";
import type { Conversion } from "../model/kvm/notifier.ts";
import { KINDS, PRIVATE, SHARED, type VmState } from "../model/kvm/state.ts";
import type { Machine } from "../model/machine.ts";
import type { SlotConfig } from "../model/objects.ts";
import type { Invariant } from "./types.ts";

/** Private or shared, as this kernel decides it (model.md 3): a page in the private file, or the xarray. */
function kindOf(machine: Machine, state: Int32Array, vm: VmState, cell: number, config: SlotConfig): number {
  const converted = convertedKind(machine, state, vm, cell);
  if (converted !== undefined) return converted;
  const file = machine.files[config.file as number];
  const page = config.filePage + vm.cells.start(cell) - config.gfn;
  return (file.frames[file.cells.at(page)]?.get(state) ?? 0) > 0 ? PRIVATE : SHARED;
}

/** A conversion of the gfn is under way: in its open window an old mapping may still be there, as in munmap. */
function inWindow(machine: Machine, state: Int32Array, vm: VmState, cell: number, config: SlotConfig): boolean {
  for (const thread of machine.threads) {
    const call = machine.position(state, thread.index)?.call;
    const plan = call === undefined ? undefined : machine.plans[call];
    if (!plan) continue;
    const conversion = plan.data as Partial<Conversion> | undefined;
    const gfn = vm.cells.start(cell);
    if (plan.operations[0].startsWith("KVM_MEMORY_ENCRYPT_")) {
      if (conversion?.vm === vm.object.index && gfn >= (conversion.from ?? 0) && gfn < (conversion.to ?? 0)) return true;
    } else if (machine.features.private_kind === "page_in_file" && plan.file === config.file && ["fallocate", "ftruncate"].includes(plan.call.spec)) {
      if (plan.cells.includes(machine.files[plan.file].cells.at(config.filePage + gfn - config.gfn))) return true;
    }
  }
  return false;
}

const attributesRespected: Invariant = {
  name: "attributes-respected",
  reads: ["ept", "kind", "page", "slot", "thread"],
  state(machine, state, broken) {
    for (const vm of machine.vms) {
      for (const kind of [SHARED, PRIVATE]) {
        vm.ept[kind].forEach((leaf, cell) => {
          if (!leaf || leaf.get(state) === 0) return;
          const slot = slotAt(machine, state, vm, vm.cells.start(cell));
          if (!slot || !isPrivateSlot(slot.config) || slot.config.file === undefined || inWindow(machine, state, vm, cell, slot.config)) return;
          if (kindOf(machine, state, vm, cell, slot.config) !== kind) broken((vm.object.index * 0x10000 + cell) * 2 + kind);
        });
      }
    }
  },
  describe(machine, subject) {
    const kind = subject % 2;
    const place = (subject - kind) / 2;
    const vm = machine.vms[Math.floor(place / 0x10000)];
    const gfn = `gfn ${formatAddress(BigInt(vm.cells.start(place % 0x10000)))}`;
    return { subject: `${vm.object.name} ${gfn}`, message: `${vm.object.name} has a ${KINDS[kind]} mapping of ${gfn}, which is ${KINDS[1 - kind]} now` };
  },
};

const noLostInvalidation: Invariant = {
  name: "no-lost-invalidation",
  reads: ["fault"],
  ghosts: { invalidationGhost: true },
  event: (_machine, event) => (event.kind === "install-after-invalidate" ? event.a * 0x10000 + event.b : undefined),
  describe(machine, subject) {
    const index = Math.floor(subject / 0x10000);
    const actor = machine.program.actors[index].name;
    const vcpu = machine.objects.vcpus.find((candidate) => candidate.handle === machine.program.actors[index].handle);
    const gfn = vcpu ? formatAddress(BigInt(machine.vms[vcpu.vm].cells.start(subject % 0x10000))) : "";
    return {
      subject: `${actor} gfn ${gfn}`,
      message: `the fault of ${actor} installs gfn ${gfn} although an invalidation of it began after the fault had looked it up`,
    };
  },
};

/** Subjects: a VM for an end without a begin, 0x10000 + actor for a begin without an end. */
const invalidateBalanced: Invariant = {
  name: "invalidate-balanced",
  reads: ["notifier"],
  event(_machine, event) {
    if (event.kind === "end-without-begin") return event.a;
    return event.kind === "begin-without-end" ? 0x10000 + event.a : undefined;
  },
  describe(machine, subject) {
    if (subject < 0x10000) {
      const vm = machine.vms[subject].object.name;
      return { subject: vm, message: `mmu_invalidate_in_progress of ${vm} would fall below 0: an end without a begin` };
    }
    const actor = machine.program.actors[subject - 0x10000].name;
    return { subject: actor, message: `the call of ${actor} returns and leaves an invalidation begun: mmu_invalidate_in_progress stays raised` };
  },
};

export const kvmInvariants: readonly Invariant[] = [attributesRespected, noLostInvalidation, invalidateBalanced];
