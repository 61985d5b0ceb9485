// Invalidation: what removes second-level mappings and makes faults in flight try again. The private file's notifier (v4 03/12, 12/12; v8 1/8, 8/8), the
// MMU notifier of host addresses, and the bookkeeping mmu_invalidate_in_progress / _seq / range (virt/kvm/kvm_main.c; v8 4/8).

import { formatAddress } from "../../base/units.ts";
import type { Result } from "../../scenario/program.ts";
import { type Context, type Machine, NEXT, type StepCode } from "../machine.ts";
import { PUNCH_HOLE } from "../memory/modes.ts";
import type { MappingState } from "../memory/state.ts";
import type { SlotConfig } from "../objects.ts";
import { dangling, USED } from "./kinds.ts";
import { type GfnRange, type Resize, toldOf, whyNot } from "./ranges.ts";
import { KINDS, PRIVATE, SHARED, type VmState } from "./state.ts";

/** What a conversion ioctl works on; `invalidate` then means its own gfns. */
export interface Conversion {
  readonly vm: number;
  readonly from: number;
  readonly to: number;
  readonly private: boolean;
}

/** A guest access in flight, as its plan has it. */
export interface GuestAccess {
  readonly vm: number;
  readonly vcpu: number;
  readonly gfn: number;
  /** Of the VM. */
  readonly cell: number;
  readonly byte: number;
  /** The byte's range in `machine.bytes`. */
  readonly range: number;
  /** What the guest asked for: 1 = private. */
  readonly kind: number;
  readonly value: number | undefined;
  /** How the access leaves the guest. */
  readonly mmio: Result;
  readonly mismatch: Result;
}

/** Removes EPT leaves of [from, to) and, when there were any, flushes the TLBs of every vCPU. In-progress IPIs are waited for, so this is one step. */
export function zap(context: Context, vm: VmState, range: GfnRange, kinds: readonly number[]): void {
  const { machine, state } = context;
  let flush = false;
  for (const kind of kinds) {
    const leaves = vm.ept[kind];
    for (let cell = 0; cell < leaves.length; cell++) {
      const leaf = leaves[cell];
      if (leaf === undefined || vm.cells.start(cell) < range.from || vm.cells.start(cell) >= range.to || leaf.get(state) === 0) continue;
      if (context.telling)
        context.say(`the EPT of ${vm.object.name} no longer maps gfn ${formatAddress(BigInt(vm.cells.start(cell)))} to frame ${leaf.get(state)}`);
      leaf.set(state, 0);
      flush = true;
    }
  }
  if (!flush) {
    if (context.telling) context.say("no EPT entry to remove");
    return;
  }
  for (const vcpu of machine.vcpus) {
    if (vcpu.object.vm !== vm.object.index) continue;
    for (const entries of vcpu.tlb) for (const entry of entries) entry?.set(state, 0);
  }
  if (context.telling) context.say("all TLBs are flushed");
}

/** mmu_invalidate_seq++: every fault of the VM in flight will see that it moved. */
export function moveSequence(context: Context, vm: VmState): void {
  for (const thread of context.machine.threads) if (faultOn(context, vm, thread)) thread.stale.set(context.state, 1);
}

/** The access whose fault is in flight in this thread, when it is one of this VM. */
function faultOn(context: Context, vm: VmState, thread: Context["thread"]): GuestAccess | undefined {
  const { machine, state } = context;
  if (thread.vm !== vm.object.index || thread.inFault.get(state) === 0) return undefined;
  const call = machine.instruction(state, thread.index)?.call;
  const plan = call === undefined ? undefined : machine.plans[call];
  const access = plan?.data as GuestAccess | undefined;
  if (!plan || !access) return undefined;
  // A pre-fault has come to one of its pages; where the attribute says what an access is, the fault has noted it.
  const gfn = access.mmio === undefined ? vm.cells.start(plan.cells[thread.page.get(state)]) : access.gfn;
  const kind = machine.features.access_kind === "attribute" ? thread.kind.get(state) : access.kind;
  return gfn === access.gfn && kind === access.kind ? access : { ...access, gfn, kind };
}

/** Ghost: faults that have decided what to install and whose gfn this invalidation is meant to cover. */
export function markHits(context: Context, vm: VmState, intended: GfnRange, kind?: number): void {
  if (!context.machine.options.invalidationGhost) return;
  for (const thread of context.machine.threads) {
    const access = faultOn(context, vm, thread);
    if (!access || thread.decided.get(context.state) === 0 || access.gfn < intended.from || access.gfn >= intended.to) continue;
    if (kind === undefined || access.kind === kind) thread.hit.set(context.state, 1);
  }
}

/** Without a filter (up to 6.13) whatever is mapped at the gfns goes; the series keeps private mappings apart. */
export const hvaKinds = (machine: Machine): readonly number[] =>
  machine.features.access_kind === "attribute" && machine.features.zap_filter === "none" ? [SHARED, PRIVATE] : [SHARED];

/** A slot that a range of host memory meets, as pages of the mapping. */
export interface HostSlot {
  readonly config: SlotConfig;
  readonly from: number;
  readonly to: number;
}

/** Slots of the active set behind which pages [from, to) of a mapping are. */
export function slotsAt(machine: Machine, state: Int32Array, vm: VmState, { object: { index } }: MappingState, from: number, to: number): HostSlot[] {
  return vm.slots.flatMap((slot) => {
    const config = slot.mappings.has(index) ? machine.objects.slots[slot.config.get(state) - 1] : undefined;
    if (config?.mapping !== index) return [];
    const meets = { config, from: Math.max(from, config.mappingPage), to: Math.min(to, config.mappingPage + config.pages) };
    return meets.from < meets.to ? [meets] : [];
  });
}

/** gfns of pages of the mapping behind a slot. */
export const gfnsAt = ({ mappingPage, gfn }: SlotConfig, from: number, to: number): GfnRange => ({
  from: gfn + from - mappingPage,
  to: gfn + to - mappingPage,
});

/**
 * Both halves of the MMU notifier (hva.ts) around a change of one page that nobody can look into: the folio is locked, so that a fault can only have taken the
 * page before, and finds that the sequence has moved. A swap of slots would wait, and goes on.
 */
export function invalidateHva(context: Context, mapping: MappingState, cell: number): void {
  const { machine, state } = context;
  for (const vm of machine.vms) {
    for (const { config, from, to } of slotsAt(machine, state, vm, mapping, mapping.cells.start(cell), mapping.cells.end(cell))) {
      const range = gfnsAt(config, from, to);
      markHits(context, vm, range, SHARED);
      zap(context, vm, range, hvaKinds(machine));
      moveSequence(context, vm);
    }
  }
}

/** A page that is added to the file makes shared mappings of its gfn wrong, and private ones not. */
function allocates(context: Context): boolean {
  const { call, mode } = context.plan.data as Resize;
  return call === "fallocate" && !(mode & PUNCH_HOLE);
}

/** The file's notifier list: every slot bound to it. */
function eachBinding(context: Context, visit: (context: Context, vm: VmState, range: GfnRange) => void): void {
  const { machine, state } = context;
  let told = false;
  for (const vm of machine.vms) {
    for (const slot of vm.slots) {
      if (!slot.files.has(context.plan.file)) continue;
      const config = machine.objects.slots[slot.bound.get(state) - 1];
      if (!config || config.file !== context.plan.file) continue;
      const { intended, range } = toldOf(context, config);
      if (dangling(machine, state, slot)) {
        machine.emit("dangling-pointer", USED, config.index);
        if (context.telling) context.say(`the notifier list leads to the structure that slot ${config.id} had, which has been freed`);
      }
      if (intended) markHits(context, vm, intended, allocates(context) ? SHARED : undefined);
      told = true;
      if (range) visit(context, vm, range);
      else if (context.telling) context.say(whyNot(context, config));
    }
  }
  if (!told) context.say("no slot is bound to the file");
}

export const BOTH = KINDS.map((_, kind) => kind);

/** Every root of the VM becomes obsolete: all of its mappings go, and faults in flight start over. */
export function zapAll(context: Context, vm: VmState): void {
  zap(context, vm, { from: 0, to: Number.MAX_SAFE_INTEGER }, BOTH);
  moveSequence(context, vm);
}

/** One handler call that zaps and is done: under mmu_lock begin, unmap, flush, end. */
const invalidate: StepCode = {
  reads: ["slot", "ept", "faults"],
  writes: ["ept", "tlb", "faults", "free"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine } = context;
    const conversion = context.plan.data as Partial<Conversion>;
    if (conversion.vm !== undefined) {
      const vm = machine.vms[conversion.vm];
      const range = { from: conversion.from ?? 0, to: conversion.to ?? 0 };
      markHits(context, vm, range);
      zap(context, vm, range, BOTH);
      moveSequence(context, vm);
      return NEXT;
    }
    eachBinding(context, invalidateRange);
    return NEXT;
  },
};

function invalidateRange(context: Context, vm: VmState, range: GfnRange): void {
  zap(context, vm, range, BOTH);
  if (context.machine.features.notifier_seq === "moves") moveSequence(context, vm);
}

/** kvm_mmu_invalidate_begin, unmap, flush: until the end, faults in the range try again. */
const invalidateBegin: StepCode = {
  reads: ["slot", "ept", "faults", "notifier"],
  writes: ["ept", "tlb", "faults", "notifier", "free"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    eachBinding(context, begin);
    return NEXT;
  },
};

function begin(context: Context, vm: VmState, range: GfnRange): void {
  announce(context, vm, range);
  zap(context, vm, range, BOTH);
}

/** mmu_invalidate_in_progress++, and the range. */
export const announce = (context: Context, vm: VmState, range: GfnRange): void => announceAll(context, vm, [range]);

/**
 * The same for several ranges of one invalidation. Up to v7 the range is one of host addresses; their hull keeps off the same faults as that of the gfns,
 * and some that may go on, which only try again.
 */
export function announceAll(context: Context, vm: VmState, ranges: readonly GfnRange[]): void {
  const { machine, state, thread } = context;
  const count = vm.inProgress.get(state) + 1;
  vm.inProgress.set(state, count);
  const replaces = machine.features.range_add === "replaces";
  ranges.forEach((range, index) => void widen(context, vm, range, count === 1 && (index === 0 || replaces)));
  thread.begun.set(state, thread.begun.get(state) + 1);
  if (context.telling) context.say(`mmu_invalidate_in_progress of ${vm.object.name} becomes ${count}`);
}

/** The range of the invalidations in progress is their hull. */
function widen(context: Context, vm: VmState, range: GfnRange, first: boolean): void {
  const { state } = context;
  const start = vm.cells.boundary(range.from);
  const end = vm.cells.boundary(range.to);
  vm.rangeStart.set(state, first ? start : Math.min(start, vm.rangeStart.get(state)));
  vm.rangeEnd.set(state, first ? end : Math.max(end, vm.rangeEnd.get(state)));
}

/** kvm_mmu_invalidate_end: the sequence moves, then in_progress falls. */
const invalidateEnd: StepCode = {
  reads: ["slot", "faults", "notifier"],
  writes: ["faults", "notifier"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    eachBinding(context, end);
    return NEXT;
  },
};

export function end(context: Context, vm: VmState): void {
  const { machine, state, thread } = context;
  moveSequence(context, vm);
  const count = vm.inProgress.get(state);
  thread.begun.set(state, Math.max(0, thread.begun.get(state) - 1));
  if (count === 0) {
    machine.emit("end-without-begin", vm.object.index);
    if (context.telling) context.say(`mmu_invalidate_in_progress of ${vm.object.name} would fall below 0`);
    return;
  }
  vm.inProgress.set(state, count - 1);
  if (count === 1) {
    vm.rangeStart.set(state, 0);
    vm.rangeEnd.set(state, 0);
  }
  if (context.telling) context.say(`mmu_invalidate_seq of ${vm.object.name} moves, in_progress becomes ${count - 1}`);
}

export const notifierSteps = { invalidate, invalidate_begin: invalidateBegin, invalidate_end: invalidateEnd, notify_fallocate: invalidate };
