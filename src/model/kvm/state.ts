// State of VMs, memory slots, second-level page tables and TLBs: where each word is.

import type { Cells } from "../cells.ts";
import type { Field, Layout } from "../layout.ts";
import type { SlotConfig, VcpuObject, VmObject } from "../objects.ts";
import { type GmemSlot, gmemSlot } from "./gmem-state.ts";

/**
 * Alive, and for ever where a descriptor without a name holds it; then how far kvm_destroy_vm (life.ts) has come: begun, MMU notifier unregistered, freed, or
 * freed while the notifier is still registered.
 */
export const LIFE = { ALIVE: 0, KEPT: 1, BEGUN: 2, UNREGISTERED: 3, FREED: 4, LISTENING: 5 } as const;

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
  /** kvm->lock: 0 or 1 + actor. */
  readonly kvmLock: Field;
  /** By slot id in the order of `slotIds`. */
  readonly slots: readonly SlotState[];
  readonly slotIds: readonly number[];
  /** 0 alive, then how far its destruction has come (life.ts); undefined where it cannot come to an end. */
  readonly life: Field | undefined;
  /** The mm that it belongs to is gone, and so is its MMU notifier; undefined where that mm stays. */
  readonly orphan: Field | undefined;
  /** kvm->mn_active_invalidate_count: host mappings being taken away, for which a swap of the slots waits. */
  readonly activeNotifiers: Field;
  /** kvm->mmu_invalidate_in_progress. */
  readonly inProgress: Field;
  /** kvm->mmu_invalidate_range_start and _end, as indexes into `cells.bounds`. */
  readonly rangeStart: Field;
  readonly rangeEnd: Field;
  /** By cell: not 0 where the gfn was converted away from the default kind (mem_attr_array); where ranges are entries, which entry it is in. */
  readonly converted: readonly Field[];
  /** Ghost, by cell: 0 or 1 + the actor whose conversion gave the gfn its kind; empty where no store can fail or nobody watches. */
  readonly writers: readonly Field[];
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
  /** Of a slot that some call gives a guest_memfd. */
  readonly gmem: GmemSlot | undefined;
  /** The gfns [first, end) outside of which no call of the scenario puts it, the files that it may be bound to and the mappings that may stand behind it. */
  readonly first: number;
  readonly end: number;
  readonly files: ReadonlySet<number | undefined>;
  readonly mappings: ReadonlySet<number | undefined>;
}

export interface VcpuState {
  readonly object: VcpuObject;
  /** synchronize_srcu still waits for this vCPU's fault. */
  readonly reader: Field;
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
  entries = 1,
  writers = false,
  mortal = false,
  orphaned = false,
): VmState {
  const name = `vm ${object.index}`;
  const slotIds = [...new Set(configs.filter((config) => config.vm === object.index).map((config) => config.id))];
  const slotsLock = layout.actorField("lock", actors, `slots ${name}`);
  const slots = slotIds.map((id) => ({
    id,
    ...reachOf(configs.filter((config) => config.vm === object.index && config.id === id)),
    config: layout.field("slot", configs.length, `${name} id ${id}`),
    invalid: layout.field("slot", 1, `${name} id ${id}`),
    bound: layout.field("slot", configs.length, `${name} bound ${id}`),
    gmem: gmemSlot(
      layout,
      name,
      id,
      configs.filter((config) => config.vm === object.index && config.id === id),
    ),
  }));
  const inProgress = layout.field("notifier", (configs.length + 1) * actors, name);
  const bounds = Math.max(1, cells.bounds.length);
  return {
    object,
    cells,
    slotsLock,
    kvmLock: layout.actorField("lock", actors, `kvm ${name}`),
    slots,
    slotIds,
    life: mortal ? layout.field("slot", LIFE.LISTENING, `${name} life`) : undefined,
    orphan: orphaned ? layout.field("slot", 1, `${name} orphan`) : undefined,
    activeNotifiers: layout.field("notifier", Math.max(1, actors), `${name} active`),
    inProgress,
    rangeStart: layout.field("notifier", bounds, name),
    rangeEnd: layout.field("notifier", bounds, name),
    converted: Array.from({ length: cells.count }, (_, cell) => layout.field("kind", entries, `${name} cell ${cell}`)),
    writers: writers ? Array.from({ length: cells.count }, (_, cell) => layout.actorField("kind", actors, `${name} cell ${cell}`)) : [],
    ept: leaves(layout, "ept", name, cells, frames),
  };
}

function reachOf(configs: readonly SlotConfig[]): Pick<SlotState, "first" | "end" | "files" | "mappings"> {
  return {
    first: Math.min(...configs.map((config) => config.gfn)),
    end: Math.max(...configs.map((config) => config.gfn + config.pages)),
    files: new Set(configs.map((config) => config.file)),
    mappings: new Set(configs.map((config) => config.mapping)),
  };
}

export function vcpuState(layout: Layout, object: VcpuObject, cells: Cells, touched: ReadonlySet<number>, frames: number): VcpuState {
  const name = `vcpu ${object.index}`;
  return { object, reader: layout.field("srcu", 1, name), tlb: leaves(layout, "tlb", name, cells, frames, touched) };
}

function leaves(layout: Layout, region: "ept" | "tlb", name: string, cells: Cells, frames: number, touched?: ReadonlySet<number>): (Field | undefined)[][] {
  return KINDS.map((kind) =>
    Array.from({ length: cells.count }, (_, cell) =>
      cells.single(cell) && (!touched || touched.has(cells.start(cell))) ? layout.field(region, frames, `${name} ${kind} cell ${cell}`) : undefined,
    ),
  );
}
