// Invalidations of gfns from 6.8 on: begin once for the VM, add each range, zap, and later end once (virt/kvm/guest_memfd.c kvm_gmem_invalidate_begin and
// _end; virt/kvm/kvm_main.c kvm_handle_gfn_range, kvm_mmu_invalidate_begin, _range_add, _end), and the invalidate lock around them.

import type { Field } from "../layout.ts";
import { BLOCKED, type CompiledOperation, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import type { FileState } from "../memory/state.ts";
import type { SlotConfig } from "../objects.ts";
import { type GmemState, GUEST_MEMFD_FLAG_INIT_SHARED } from "./gmem-state.ts";
import { USED } from "./kinds.ts";
import { type Conversion, end, markHits, zap } from "./notifier.ts";
import type { GfnRange, Resize } from "./ranges.ts";
import { KINDS, PRIVATE, SHARED, type VmState } from "./state.ts";

const BOTH = KINDS.map((_, kind) => kind);
const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];
const gmemOf = (context: Context): GmemState => fileOf(context).gmem as GmemState;

/** True where a step comes behind `lock` and before `unlock` in its operation: locks are taken and dropped in the order of the list. */
function isUnder(operation: CompiledOperation, at: string, lock: string, unlock: string): boolean {
  const names = operation.steps.map((step) => step.name);
  const before = names.slice(0, names.indexOf(at));
  return before.lastIndexOf(lock) > before.lastIndexOf(unlock);
}

/** Classes of locks in their order, outermost first; `mmap_lock` stands inside none of the invalidate lock's sections. */
export const LOCKS = ["slots_lock", "invalidate lock", "mmap_lock"] as const;

/** Tells of a lock that is taken inside a section in which it must not be. */
export function checkLockOrder(context: Context, taken: number): void {
  const { step, operation } = context;
  if (step && isUnder(operation, step.name, "lock_invalidate", "unlock_invalidate")) context.machine.emit("lock-order", taken, 1);
}

const SHARED_LOCK: ReadonlySet<string> = new Set(["fallocate.allocate", "poison"]);
const isShared = (context: Context): boolean => SHARED_LOCK.has(context.operation.name);

const invalidateLockOf = (machine: Machine, plan: Plan): readonly Field[] => {
  const lock = machine.files[plan.file]?.gmem?.invalidateLock;
  return lock ? [lock] : [];
};

/** filemap_invalidate_lock; for an allocation and a memory error filemap_invalidate_lock_shared. */
const lockInvalidate: StepCode = {
  reads: ["lock"],
  writes: ["lock"],
  jumps: [],
  returns: false,
  acquires: invalidateLockOf,
  run(context) {
    const { state, thread } = context;
    const { invalidateLock, invalidateReaders } = gmemOf(context);
    if (invalidateLock.get(state) !== 0) return BLOCKED;
    const readers = invalidateReaders.get(state);
    if (isShared(context)) {
      invalidateReaders.set(state, readers + 1);
      context.say("the invalidate lock is taken, shared");
      return NEXT;
    }
    if (readers > 0) return BLOCKED;
    invalidateLock.set(state, thread.index + 1);
    context.say("the invalidate lock is taken");
    return NEXT;
  },
};

const unlockInvalidate: StepCode = {
  reads: ["lock"],
  writes: ["lock"],
  jumps: [],
  returns: false,
  run(context) {
    const { state, thread } = context;
    const { invalidateLock, invalidateReaders } = gmemOf(context);
    if (isShared(context)) invalidateReaders.set(state, Math.max(0, invalidateReaders.get(state) - 1));
    else if (invalidateLock.get(state) === thread.index + 1) invalidateLock.set(state, 0);
    context.say("the invalidate lock is released");
    return NEXT;
  },
};

/** One binding that the range of a call meets: the gfns, and whose slot it is. */
interface Meeting {
  readonly config: SlotConfig;
  readonly range: GfnRange;
  /** The slot structure has been freed. */
  readonly dangling: boolean;
}

/** Bindings of the file that overlap the call's range, in the order of the slots. */
export function bindings(context: Context, vm: VmState): Meeting[] {
  const { machine, state, plan } = context;
  const range = plan.data === undefined || context.operation.name === "release" ? undefined : (plan.data as Resize).range;
  const found: Meeting[] = [];
  const add = (config: SlotConfig, dangling: boolean): void => {
    if (config.file !== plan.file) return;
    const from = config.gfn + Math.max(0, (range?.from ?? 0) - config.filePage);
    const to = config.gfn + Math.min(config.pages, range === undefined ? config.pages : range.to - config.filePage);
    if (from < to) found.push({ config, range: { from, to }, dangling });
  };
  for (const slot of vm.slots) {
    if (!slot.gmem || !slot.files.has(plan.file)) continue;
    const live = machine.objects.slots[slot.bound.get(state) - 1];
    if (live?.guestMemfd) add(live, false);
    for (const [index, field] of slot.gmem.dangling) if (field.get(state) === 1) add(machine.objects.slots[index], true);
  }
  return found;
}

/** Which mappings a hole takes away (dca6c8853232, 5d3341d684be). */
function holeKinds(context: Context): readonly number[] {
  const filter = context.machine.features.zap_filter;
  if (filter === "none") return BOTH;
  return filter === "sharing" && fileOf(context).object.flags & GUEST_MEMFD_FLAG_INIT_SHARED ? [SHARED] : [PRIVATE];
}

const conversionKinds = (context: Context, toPrivate: boolean): readonly number[] =>
  context.machine.features.zap_filter === "none" ? BOTH : [toPrivate ? SHARED : PRIVATE];

/** kvm_mmu_invalidate_begin, _range_add for each range (the hull of all in progress), unmap, flush: one section under mmu_lock. */
function beginRanges(context: Context, vm: VmState, ranges: readonly GfnRange[], kinds: readonly number[]): void {
  if (ranges.length === 0) return;
  const { state, thread } = context;
  const count = vm.inProgress.get(state) + 1;
  vm.inProgress.set(state, count);
  thread.begun.set(state, thread.begun.get(state) + 1);
  if (context.telling) context.say(`mmu_invalidate_in_progress of ${vm.object.name} becomes ${count}`);
  ranges.forEach((range, index) => {
    const [start, end] = [vm.cells.boundary(range.from), vm.cells.boundary(range.to)];
    const first = count === 1 && index === 0;
    vm.rangeStart.set(state, first ? start : Math.min(start, vm.rangeStart.get(state)));
    vm.rangeEnd.set(state, first ? end : Math.max(end, vm.rangeEnd.get(state)));
    zap(context, vm, range, kinds);
  });
}

/** kvm_mmu_invalidate_end: the sequence moves, then in_progress falls. */
function endRanges(context: Context, vm: VmState, any: boolean): void {
  if (any) end(context, vm);
}

const vmOfFile = (context: Context): VmState => context.machine.vms[fileOf(context).object.vm as number];

/** A hole, and the release of the file: every gfn that is bound there. */
const beginFile: StepCode = {
  reads: ["slot", "ept", "faults", "notifier"],
  writes: ["ept", "tlb", "faults", "notifier", "free"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const vm = vmOfFile(context);
    const met = bindings(context, vm);
    for (const { config, range, dangling } of met) {
      if (dangling) useFreed(context, config);
      markHits(context, vm, range, config.gmemOnly ? undefined : PRIVATE);
    }
    if (met.length === 0) context.say("no slot is bound there");
    beginRanges(
      context,
      vm,
      met.map(({ range }) => range),
      holeKinds(context),
    );
    return NEXT;
  },
};

/** A binding leads to a slot structure that has been freed: what lies there is taken for what lay there. */
export function useFreed(context: Context, config: SlotConfig): void {
  context.machine.emit("dangling-pointer", USED, config.index);
  if (context.telling) context.say(`the binding leads to slot ${config.id}, whose structure has been freed`);
}

const endFile: StepCode = {
  reads: ["slot", "faults", "notifier"],
  writes: ["faults", "notifier"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const vm = vmOfFile(context);
    endRanges(context, vm, bindings(context, vm).length > 0);
    return NEXT;
  },
};

/** gfns of a conversion that some slot covers. */
export function covered(context: Context, vm: VmState): GfnRange[] {
  const { machine, state } = context;
  const { from, to } = context.plan.data as Conversion;
  return vm.slots.flatMap((slot) => {
    const config = machine.objects.slots[slot.config.get(state) - 1];
    const range = config && { from: Math.max(from, config.gfn), to: Math.min(to, config.gfn + config.pages) };
    return range && range.from < range.to ? [range] : [];
  });
}

const beginConversion: StepCode = {
  ...beginFile,
  run(context) {
    const { vm: index, private: toPrivate } = context.plan.data as Conversion;
    const vm = context.machine.vms[index];
    const ranges = covered(context, vm);
    for (const range of ranges) markHits(context, vm, range);
    if (ranges.length === 0) context.say("no slot covers the range");
    beginRanges(context, vm, ranges, conversionKinds(context, toPrivate));
    return NEXT;
  },
};

const endConversion: StepCode = {
  ...endFile,
  run(context) {
    const vm = context.machine.vms[(context.plan.data as Conversion).vm];
    endRanges(context, vm, covered(context, vm).length > 0);
    return NEXT;
  },
};

export const invalidateLockSteps = { lock_invalidate: lockInvalidate, unlock_invalidate: unlockInvalidate };
export const fileInvalidateSteps = { invalidate_begin: beginFile, invalidate_end: endFile };
export const conversionInvalidateSteps = { invalidate_begin: beginConversion, invalidate_end: endConversion };

/** slots_lock of the VM that a plan is about. */
export function slotsLockSteps(vmOf: (machine: Machine, plan: Plan) => VmState): { readonly lock: StepCode; readonly unlock: StepCode } {
  const lock: StepCode = {
    reads: ["lock"],
    writes: ["lock"],
    jumps: [],
    returns: false,
    acquires: (machine, plan) => [vmOf(machine, plan).slotsLock],
    events: true,
    run(context) {
      const { slotsLock } = vmOf(context.machine, context.plan);
      if (slotsLock.get(context.state) !== 0) return BLOCKED;
      checkLockOrder(context, 0);
      slotsLock.set(context.state, context.thread.index + 1);
      context.say("slots_lock taken");
      return NEXT;
    },
  };
  const unlock: StepCode = {
    reads: [],
    writes: ["lock"],
    jumps: [],
    returns: false,
    run(context) {
      vmOf(context.machine, context.plan).slotsLock.set(context.state, 0);
      context.say("slots_lock released");
      return NEXT;
    },
  };
  return { lock, unlock };
}
