// State of VMs, memory slots, second-level page tables and TLBs: where each word is.

import type { Cells } from "../cells.ts";
import type { Field, Layout } from "../layout.ts";
import type { SlotConfig, VcpuObject, VmObject } from "../objects.ts";

/** Kinds of a second-level mapping and of an access. Slots without private backing have ordinary accesses, which are kept as shared. */
export const SHARED = 0;
export const PRIVATE = 1;
export const KINDS = ["shared", "private"] as const;

/** struct kvm. */
export interface VmState {
  readonly object: VmObject;
  readonly cells: Cells;
  /** kvm->slots_lock: 0 or 1 + actor. */
  readonly slotsLock: Field;
  /** By slot id in the order of `slotIds`. */
  readonly slots: readonly SlotState[];
  readonly slotIds: readonly number[];
  /** vCPUs that synchronize_srcu still waits for, a bit each. */
  readonly readers: Field;
  /** kvm->mmu_invalidate_in_progress. */
  readonly inProgress: Field;
  /** kvm->mmu_invalidate_range_start and _end, as indexes into `cells.bounds`. */
  readonly rangeStart: Field;
  readonly rangeEnd: Field;
  /** By cell: 1 where the gfn was converted away from the default kind (mem_attr_array). */
  readonly converted: readonly Field[];
  /** EPT leaves, `[kind][cell]`; only cells of one page have them. */
  readonly ept: readonly (readonly (Field | undefined)[])[];
}

export interface SlotState {
  readonly id: number;
  /** What faults see: 0 or 1 + number of the SlotConfig. */
  readonly config: Field;
  /** KVM_MEMSLOT_INVALID. */
  readonly invalid: Field;
  /** Whose file holds the notifier: 0 or 1 + number of the SlotConfig. */
  readonly bound: Field;
}

export interface VcpuState {
  readonly object: VcpuObject;
  /** TLB, `[kind][cell]` of the VM's cells. */
  readonly tlb: readonly (readonly (Field | undefined)[])[];
}

export function vmState(
  layout: Layout,
  object: VmObject,
  cells: Cells,
  configs: readonly SlotConfig[],
  frames: number,
  actors: number,
  vcpus: number,
): VmState {
  const slotIds = [...new Set(configs.filter((config) => config.vm === object.index).map((config) => config.id))];
  const slotsLock = layout.field("slot", actors);
  const readers = layout.field("srcu", 2 ** Math.max(1, vcpus) - 1);
  const slots = slotIds.map((id) => ({
    id,
    config: layout.field("slot", configs.length),
    invalid: layout.field("slot", 1),
    bound: layout.field("slot", configs.length),
  }));
  const inProgress = layout.field("notifier", Math.max(1, configs.length * actors));
  const bounds = Math.max(1, cells.bounds.length);
  return {
    object,
    cells,
    slotsLock,
    slots,
    slotIds,
    readers,
    inProgress,
    rangeStart: layout.field("notifier", bounds),
    rangeEnd: layout.field("notifier", bounds),
    converted: Array.from({ length: cells.count }, () => layout.field("kind", 1)),
    ept: leaves(layout, "ept", cells, frames),
  };
}

export function vcpuState(layout: Layout, object: VcpuObject, cells: Cells, touched: ReadonlySet<number>, frames: number): VcpuState {
  return { object, tlb: leaves(layout, "tlb", cells, frames, touched) };
}

function leaves(layout: Layout, region: "ept" | "tlb", cells: Cells, frames: number, touched?: ReadonlySet<number>): (Field | undefined)[][] {
  return KINDS.map(() =>
    Array.from({ length: cells.count }, (_, cell) =>
      cells.single(cell) && (!touched || touched.has(cells.start(cell))) ? layout.field(region, frames) : undefined,
    ),
  );
}
