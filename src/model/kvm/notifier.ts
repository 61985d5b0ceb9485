// Invalidation: what removes second-level mappings and makes faults in flight try again. The private file's notifier (v4 03/12, 12/12; v8 1/8, 8/8), the
// MMU notifier of host addresses, and the bookkeeping mmu_invalidate_in_progress / _seq / range (virt/kvm/kvm_main.c; v8 4/8).

import { formatAddress } from "../../base/units.ts";
import { PUNCH_HOLE, type Resize } from "../memory/resize.ts";
import type { MappingState } from "../memory/state.ts";
import type { SlotConfig } from "../objects.ts";
import { type Context, NEXT, type StepCode } from "../step.ts";
import { KINDS, SHARED, type VmState } from "./state.ts";

/** What a conversion ioctl works on; `invalidate` then means its own gfns. */
export interface Conversion {
  readonly vm: number;
  readonly from: number;
  readonly to: number;
  readonly private: boolean;
}

export interface GfnRange {
  readonly from: number;
  readonly to: number;
}

/** A guest access in flight, as its plan has it. */
export interface GuestAccess {
  readonly vm: number;
  readonly vcpu: number;
  readonly gfn: number;
  readonly byte: number;
  /** What the guest asked for: 1 = private. */
  readonly kind: number;
  readonly value: number | undefined;
}

/** Removes EPT leaves of [from, to) and, when there were any, flushes the TLBs of every vCPU. In-progress IPIs are waited for, so this is one step. */
export function zap(context: Context, vm: VmState, range: GfnRange, kinds: readonly number[]): void {
  const { machine, state } = context;
  let flush = false;
  for (const kind of kinds) {
    vm.ept[kind].forEach((leaf, cell) => {
      if (!leaf || leaf.get(state) === 0 || vm.cells.start(cell) < range.from || vm.cells.start(cell) >= range.to) return;
      if (context.telling)
        context.say(`the EPT of ${vm.object.name} no longer maps gfn ${formatAddress(BigInt(vm.cells.start(cell)))} to frame ${leaf.get(state)}`);
      leaf.set(state, 0);
      flush = true;
    });
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
  eachFault(context, vm, (thread) => thread.stale.set(context.state, 1));
}

function eachFault(context: Context, vm: VmState, visit: (thread: Context["thread"], access: GuestAccess) => void): void {
  const { machine, state } = context;
  for (const thread of machine.threads) {
    if (thread.inFault.get(state) === 0) continue;
    const call = machine.instruction(state, thread.index)?.call;
    const access = call === undefined ? undefined : (machine.plans[call]?.data as GuestAccess | undefined);
    if (access && access.vm === vm.object.index) visit(thread, access);
  }
}

/** Ghost: faults that have decided what to install and whose gfn this invalidation is meant to cover. */
export function markHits(context: Context, vm: VmState, intended: GfnRange, kind?: number): void {
  if (!context.machine.options.invalidationGhost) return;
  eachFault(context, vm, (thread, access) => {
    if (thread.decided.get(context.state) === 0 || access.gfn < intended.from || access.gfn >= intended.to) return;
    if (kind === undefined || access.kind === kind) thread.hit.set(context.state, 1);
  });
}

/** The MMU notifier of a host range (kvm_unmap_hva_range): shared mappings go, the sequence moves. Begin and end fall together with the PTE change, see model.md 5.2. */
export function invalidateHva(context: Context, mapping: MappingState, cell: number): void {
  const { machine, state } = context;
  const [from, to] = [mapping.cells.start(cell), mapping.cells.end(cell)];
  for (const vm of machine.vms) {
    for (const slot of vm.slots) {
      const config = machine.objects.slots[slot.config.get(state) - 1];
      if (!config || config.mapping !== mapping.object.index) continue;
      const range = { from: config.gfn + Math.max(0, from - config.mappingPage), to: config.gfn + Math.min(config.pages, to - config.mappingPage) };
      if (range.from >= range.to) continue;
      markHits(context, vm, range, SHARED);
      zap(context, vm, range, [SHARED]);
      moveSequence(context, vm);
    }
  }
}

/** The range that this step is about: the loop's folio, or the whole call. In pages. */
function fileRange(context: Context): { from: number; to: number; fromBytes: number; toBytes: number } {
  const { machine, plan } = context;
  const data = plan.data as Resize;
  if (context.inLoop) {
    const { cells } = machine.files[plan.file];
    const [from, to] = [cells.start(context.cell), cells.end(context.cell)];
    return { from, to, fromBytes: from * 4096, toBytes: to * 4096 };
  }
  const [from, to] = [data.offset, data.call === "ftruncate" ? 1n << 63n : data.offset + data.length];
  return { from: Number(from >> 12n), to: Number((to + 4095n) >> 12n), fromBytes: Number(from), toBytes: Number(to) };
}

/** gfns that KVM's handler works out from what it was handed; undefined when it returns at once. */
function handlerRange(context: Context, config: SlotConfig): GfnRange | undefined {
  const { features } = context.machine;
  const range = fileRange(context);
  const [start, end] = features.notifier_units === "bytes" && !context.inLoop ? [range.fromBytes, range.toBytes] : [range.from, range.to];
  const base = features.notifier_base_gfn === "added" ? config.gfn : 0;
  const from = start > config.filePage ? base + start - config.filePage : base;
  const to = end < config.filePage + config.pages ? base + end - config.filePage : base + config.pages;
  return from < to ? { from, to } : undefined;
}

function intendedRange(context: Context, config: SlotConfig): GfnRange | undefined {
  const range = fileRange(context);
  const from = config.gfn + Math.max(0, range.from - config.filePage);
  const to = config.gfn + Math.min(config.pages, range.to - config.filePage);
  return from < to ? { from, to } : undefined;
}

/** A page that is added to the file makes shared mappings of its gfn wrong, and private ones not. */
function allocates(context: Context): boolean {
  const { call, mode } = context.plan.data as Resize;
  return call === "fallocate" && !(mode & PUNCH_HOLE);
}

/** The file's notifier list: every slot bound to it. */
function eachBinding(context: Context, visit: (vm: VmState, range: GfnRange | undefined, config: SlotConfig) => void): void {
  const { machine, state } = context;
  let told = false;
  for (const vm of machine.vms) {
    for (const slot of vm.slots) {
      const config = machine.objects.slots[slot.bound.get(state) - 1];
      if (!config || config.file !== context.plan.file) continue;
      const intended = intendedRange(context, config);
      if (intended) markHits(context, vm, intended, allocates(context) ? SHARED : undefined);
      const range = handlerRange(context, config);
      told = true;
      if (!range) context.say(`the handler of slot ${config.id} returns at once: ${rangeText(context)} lies outside the slot`);
      visit(vm, range, config);
    }
  }
  if (!told) context.say("no slot is bound to the file");
}

function rangeText(context: Context): string {
  const range = fileRange(context);
  return context.machine.features.notifier_units === "bytes"
    ? `it takes the byte offsets 0x${range.fromBytes.toString(16)} to 0x${range.toBytes.toString(16)} for page numbers and the range`
    : `the range of pages 0x${range.from.toString(16)} to 0x${range.to.toString(16)}`;
}

const BOTH = KINDS.map((_, kind) => kind);

/** One handler call that zaps and is done: under mmu_lock begin, unmap, flush, end. */
const invalidate: StepCode = {
  reads: ["slot", "ept", "faults", "thread"],
  writes: ["ept", "tlb", "faults", "notifier"],
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
    eachBinding(context, (vm, range) => {
      if (!range) return;
      zap(context, vm, range, BOTH);
      if (machine.features.notifier_seq === "moves") moveSequence(context, vm);
    });
    return NEXT;
  },
};

/** kvm_mmu_invalidate_begin, unmap, flush: until the end, faults in the range try again. */
const invalidateBegin: StepCode = {
  reads: ["slot", "ept", "faults", "thread", "notifier"],
  writes: ["ept", "tlb", "faults", "notifier", "thread"],
  run(context) {
    const { state, thread } = context;
    eachBinding(context, (vm, range) => {
      if (!range) return;
      const count = vm.inProgress.get(state) + 1;
      vm.inProgress.set(state, count);
      widen(context, vm, range, count === 1);
      thread.begun.set(state, thread.begun.get(state) + 1);
      if (context.telling) context.say(`mmu_invalidate_in_progress of ${vm.object.name} becomes ${count}`);
      zap(context, vm, range, BOTH);
    });
    return NEXT;
  },
};

/** The range of the invalidations in progress is their hull. */
function widen(context: Context, vm: VmState, range: GfnRange, first: boolean): void {
  const { state } = context;
  const cells = vm.cells.range(range.from, range.to);
  const [start, end] = [cells[0], cells[cells.length - 1] + 1];
  vm.rangeStart.set(state, first ? start : Math.min(start, vm.rangeStart.get(state)));
  vm.rangeEnd.set(state, first ? end : Math.max(end, vm.rangeEnd.get(state)));
}

/** kvm_mmu_invalidate_end: the sequence moves, then in_progress falls. */
const invalidateEnd: StepCode = {
  reads: ["slot", "faults", "thread", "notifier"],
  writes: ["faults", "notifier", "thread"],
  run(context) {
    const { machine, state, thread } = context;
    eachBinding(context, (vm, range) => {
      if (!range) return;
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
    });
    return NEXT;
  },
};

export const notifierSteps = { invalidate, invalidate_begin: invalidateBegin, invalidate_end: invalidateEnd, notify_fallocate: invalidate };
