// What an invalidation of a TD takes away. Shared mappings go with its begin, as for every VM; private ones one by one in the steps behind it, for each of them
// means calls of the TDX module (virt/kvm/kvm_main.c, arch/x86/kvm/mmu/tdp_mmu.c). A hole takes private mappings only, a conversion those
// of the kind that ends, the deletion of a slot both.

import { type Context, NEXT, type StepCode } from "../machine.ts";
import { bindings, covered, useFreed } from "./gmem-invalidate.ts";
import { announceAll, type Conversion, end, markHits, zap } from "./notifier.ts";
import type { GfnRange } from "./ranges.ts";
import type { SlotCall } from "./slot-change.ts";
import { PRIVATE, SHARED, type VmState } from "./state.ts";
import { tdOf, vmIndexOf } from "./tdx-leaf.ts";

const vmOf = (context: Context): VmState => context.machine.vms[vmIndexOf(context.machine, context.plan)];
const isConversion = (context: Context): boolean => context.operation.name === "KVM_SET_MEMORY_ATTRIBUTES";
const isSlot = (context: Context): boolean => context.operation.name.startsWith("KVM_SET_USER_MEMORY_REGION");

/** gfns of the slot that is deleted or moved, as it was. */
function slotRange(context: Context, vm: VmState): GfnRange[] {
  const { machine, state, plan } = context;
  const { id } = plan.data as SlotCall;
  const config = machine.objects.slots[(vm.slots.find((slot) => slot.id === id)?.config.get(state) ?? 0) - 1];
  return config ? [{ from: config.gfn, to: config.gfn + config.pages }] : [];
}

function rangesOf(context: Context, vm: VmState): readonly GfnRange[] {
  if (isSlot(context)) return slotRange(context, vm);
  if (isConversion(context)) return covered(context, vm);
  return bindings(context, vm).map(({ range }) => range);
}

const takesPrivate = (context: Context): boolean => !isConversion(context) || !(context.plan.data as Conversion).private;

/** Cells whose mirror entries the call takes away, in the order of the gfns. */
export function privateZap(context: Context): number[] {
  const vm = vmOf(context);
  if (!takesPrivate(context)) return [];
  const ranges = rangesOf(context, vm);
  return [...tdOf(context).frozen.keys()]
    .filter((cell) => ranges.some(({ from, to }) => vm.cells.start(cell) >= from && vm.cells.start(cell) < to))
    .sort((a, b) => a - b);
}

/** mmu_invalidate_begin with the ranges; what is shared and ends with the call goes at once, and its TLB entries. */
const begin: StepCode = {
  reads: ["slot", "ept", "faults", "notifier", "kind"],
  writes: ["ept", "tlb", "faults", "notifier", "free"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const vm = vmOf(context);
    if (isConversion(context)) {
      const { private: toPrivate } = context.plan.data as Conversion;
      const ranges = covered(context, vm);
      for (const range of ranges) markHits(context, vm, range);
      if (ranges.length > 0) announceAll(context, vm, ranges);
      if (toPrivate) for (const range of ranges) zap(context, vm, range, [SHARED]);
      if (ranges.length === 0) context.say("no slot covers the range");
      return NEXT;
    }
    const met = bindings(context, vm);
    for (const { config, range, dangling } of met) {
      if (dangling) useFreed(context, config);
      markHits(context, vm, range, PRIVATE);
    }
    if (met.length === 0) context.say("no slot is bound there");
    const ranges = met.map(({ range }) => range);
    if (ranges.length > 0) announceAll(context, vm, ranges);
    return NEXT;
  },
};

const endOf: StepCode = {
  reads: ["slot", "faults", "notifier"],
  writes: ["faults", "notifier"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const vm = vmOf(context);
    if (rangesOf(context, vm).length > 0) end(context, vm);
    return NEXT;
  },
};

/** kvm_mmu_zap_memslot: the shared mappings of the slot. A TD has no quirk that would zap those of every slot. */
const zapSlot: StepCode = {
  reads: ["slot", "ept"],
  writes: ["ept", "tlb", "free"],
  jumps: [],
  returns: false,
  run(context) {
    const vm = vmOf(context);
    for (const range of slotRange(context, vm)) zap(context, vm, range, [SHARED]);
    return NEXT;
  },
};

export const zapSteps = { invalidate_begin: begin, invalidate_end: endOf, zap_slot: zapSlot };
