// KVM's MMU notifier for host addresses, in its two halves around a change of the host page tables (virt/kvm/kvm_main.c kvm_mmu_notifier_invalidate_range_start
// and _end, __kvm_handle_hva_range): between them no fault maps what goes, and no slot set is swapped, so that both halves find the same slots.

import { type Context, type Machine, NEXT, type StepCode, type Unmapping } from "../machine.ts";
import type { MappingState } from "../memory/state.ts";
import { ownerOfVm } from "../processes.ts";
import { hears, useVm } from "./life.ts";
import { announceAll, end, gfnsAt, type HostSlot, hvaKinds, markHits, slotsAt, zap } from "./notifier.ts";
import type { GfnRange } from "./ranges.ts";
import { SHARED, type VmState } from "./state.ts";

/** VMs of the process that may have host memory behind a slot: what the notifier of another one does nobody can see. */
function heard(machine: Machine, { mapping }: Pick<Unmapping, "mapping">): readonly VmState[] {
  const { mappings, slots } = machine.objects;
  const isHeard = (vm: number): boolean => slots.some((config) => config.vm === vm && config.mapping !== undefined);
  return machine.vms.filter(({ object: { index } }) => ownerOfVm(machine, index) === mappings[mapping].process && isHeard(index));
}

/** Slots of the active set that the range of host addresses meets. */
function met(machine: Machine, state: Int32Array, vm: VmState, { mapping: index, cells }: Unmapping): HostSlot[] {
  const mapping = machine.mappings[index];
  return slotsAt(machine, state, vm, mapping, mapping.cells.start(cells[0]), mapping.cells.end(cells[cells.length - 1]));
}

/** mn_active_invalidate_count++; under mmu_lock, where some slot is met: in_progress++, the range of each such slot, unmap, flush. */
const mnStart: StepCode = {
  reads: ["slot", "ept", "faults", "notifier", "pte"],
  writes: ["ept", "tlb", "faults", "notifier", "free"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, state, unmapping } = context;
    if (unmapping === undefined) return NEXT;
    for (const vm of heard(machine, unmapping)) {
      if (!hears(vm, state)) continue;
      useVm(context, vm);
      vm.activeNotifiers.set(state, vm.activeNotifiers.get(state) + 1);
      const slots = met(machine, state, vm, unmapping);
      if (slots.length === 0) {
        if (context.telling) context.say(`no slot of ${vm.object.name} has this memory`);
        continue;
      }
      announceAll(
        context,
        vm,
        slots.map(({ config, from, to }) => gfnsAt(config, from, to)),
      );
      for (const { config, from, to } of slots) {
        markHits(context, vm, gfnsAt(config, from, to), SHARED);
        for (const part of changed(machine.mappings[unmapping.mapping], state, unmapping, from, to))
          zap(context, vm, gfnsAt(config, part.from, part.to), hvaKinds(machine));
      }
    }
    return NEXT;
  },
};

/** Pages of [from, to) that the call changes: what has its new protection already is left alone. */
function changed(mapping: MappingState, state: Int32Array, { cells, spares }: Unmapping, from: number, to: number): GfnRange[] {
  if (!spares) return [{ from, to }];
  const parts: GfnRange[] = [];
  for (const cell of cells) {
    const part = { from: Math.max(from, mapping.cells.start(cell)), to: Math.min(to, mapping.cells.end(cell)) };
    if (part.from < part.to && !spares(state, cell)) parts.push(part);
  }
  return parts;
}

/** Under mmu_lock, where some slot is met: seq++, in_progress--. Then mn_active_invalidate_count--, for which swaps of the slots wait. */
const mnEnd: StepCode = {
  reads: ["slot", "faults", "notifier"],
  writes: ["faults", "notifier"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, state, thread, unmapping } = context;
    if (unmapping === undefined) return NEXT;
    let gone = false;
    for (const vm of heard(machine, unmapping)) {
      if (!hears(vm, state)) {
        gone = true;
        continue;
      }
      useVm(context, vm);
      if (met(machine, state, vm, unmapping).length > 0) end(context, vm);
      else if (context.telling) context.say(`no slot of ${vm.object.name} has this memory`);
      vm.activeNotifiers.set(state, Math.max(0, vm.activeNotifiers.get(state) - 1));
    }
    // A VM whose destruction has taken its notifier away meanwhile is not told, and nobody will look at its count any more.
    if (gone) thread.begun.set(state, 0);
    return NEXT;
  },
};

/**
 * kvm_mmu_notifier_change_pte: while some invalidation is in progress, a leaf of the page leads to the new frame. The start of the copy's own invalidation
 * has taken it away, so only a kernel without that start has one left.
 */
export function changeSptes(context: Context, unmapping: Unmapping, frame: number): void {
  const { machine, state } = context;
  for (const vm of heard(machine, unmapping)) {
    const slots = hears(vm, state) ? met(machine, state, vm, unmapping) : [];
    if (slots.length === 0 || vm.inProgress.get(state) === 0) continue;
    for (const { config, from } of slots) {
      const { from: gfn, to } = gfnsAt(config, from, from + 1);
      const cell = vm.cells.at(gfn);
      if ((vm.ept[SHARED][cell]?.get(state) ?? 0) === 0) continue;
      zap(context, vm, { from: gfn, to }, [SHARED]);
      vm.ept[SHARED][cell]?.set(state, frame);
      if (context.telling) context.say(`the MMU notifier changes the EPT entry to frame ${frame}`);
    }
  }
}

export const hvaSteps = { mn_start: mnStart, mn_end: mnEnd };
