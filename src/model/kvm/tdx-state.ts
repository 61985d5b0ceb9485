// What KVM keeps of a TD (struct kvm_tdx, struct vcpu_tdx, mmu_lock, the mirror of the secure EPT), and the locals of threads that run its TDX code. A leaf of
// the mirror is `VmState.ept` of the private kind; what stands here is the rest of it.

import type { Field, Layout } from "../layout.ts";
import type { SeptEntry, TdState, TdVcpuState, TdxState } from "../tdx/state.ts";
import { LEVEL, TDCS_PAGES, TDVPS_TDCX } from "../tdx/tables.ts";
import type { VmState } from "./state.ts";

/** kvm_tdx->state. */
export const TD_STATE = { UNINITIALIZED: 0, INITIALIZED: 1, RUNNABLE: 2 } as const;

/** kvm->arch.irqchip_mode. */
export const IRQCHIP = { NONE: 0, KERNEL: 1, SPLIT: 2 } as const;

/** A table of the mirror: the page behind `sp->external_spt`, and whether the entry that names it is FROZEN. */
export interface MirrorTable {
  /** The entry of the secure EPT that names the table. */
  readonly entry: SeptEntry;
  /** The page that KVM gave to the module; 0 while the mirror has no table there. */
  readonly frame: Field;
  readonly frozen: Field;
}

export interface KvmTd {
  readonly vm: number;
  /** The module's half. */
  readonly td: TdState;
  /** A `TD_STATE`. */
  readonly state: Field;
  /** kvm_tdx->hkid: 0 while there is none, else index in `TdxState.keys`. */
  readonly hkid: Field;
  /** nr_premapped. */
  readonly premapped: Field;
  /** kvm->arch.pre_fault_allowed. */
  readonly prefault: Field;
  /** kvm->vm_bugged, and kvm->vm_dead, which it sets too. */
  readonly bugged: Field;
  readonly dead: Field;
  /** wait_for_sept_zap. */
  readonly waits: Field;
  /** How many of its vCPUs, in the order of their making, the holder of kvm->lock has locked. Only where a kernel locks them all. */
  readonly locked: Field | undefined;
  /** Who has locked them: 0 or 1 + actor. Only one at a time begins to. */
  readonly locker: Field | undefined;
  /** vm_terminated, where a scenario asks for it. */
  readonly terminated: Field | undefined;
  /** An `IRQCHIP`, where the scenario sets it up itself; elsewhere it is split, as every VMM has it for a TD. */
  readonly irqchip: Field | undefined;
  /** mmu_lock: 0 or 1 + the actor who holds it for write, and how many hold it for read. */
  readonly mmuWriter: Field;
  readonly mmuReaders: Field;
  /** By cell of the VM that the mirror can have a leaf in: it is FROZEN. */
  readonly frozen: ReadonlyMap<number, Field>;
  /** By cell: the page on which the secure EPT has a reference. */
  readonly pins: ReadonlyMap<number, Field>;
  readonly tables: readonly MirrorTable[];
  readonly tdr: Field;
  readonly tdcs: readonly Field[];
}

export interface KvmTdVcpu {
  readonly vcpu: number;
  readonly tdVcpu: TdVcpuState;
  /** VCPU_TD_STATE_INITIALIZED. */
  readonly initialized: Field;
  /** KVM_REQ_OUTSIDE_GUEST_MODE is on its way: it was in the guest when the request was made, and has not left since. */
  readonly kicked: Field;
  /** On its way into the guest: an IPI that is sent now finds it there. */
  readonly entering: Field;
  /** 0, or 1 + number of the MapGPA call that waits for user space, and the part of its range that went there. */
  readonly hypercall: Field;
  readonly part: Field;
  /** kvm_run->hypercall.ret is not 0, for a kernel that leaves it as it is. */
  readonly ret: Field | undefined;
  readonly tdvpr: Field;
  readonly tdcx: readonly Field[];
}

/** Locals of a thread in KVM's TDX code. */
export interface TdLocals {
  /** 0 or 1 + the cell of the VM whose mirror entry is in work. */
  readonly cell: Field;
  /** The page that is on its way out. */
  readonly frame: Field;
  /** A page that nobody but this thread has: a table on its way in. */
  readonly table: Field;
  /** The source page of KVM_TDX_INIT_MEM_REGION, with a reference. */
  readonly source: Field;
  /** The leaf in work was busy once, and no vCPU may enter. */
  readonly again: Field;
  /** A count of the call's own: packages, control pages, the level of a table. */
  readonly index: Field;
}

/** All that KVM keeps of its TDs. */
export interface KvmTds {
  /** By VM. */
  readonly vms: readonly (KvmTd | undefined)[];
  /** By vCPU. */
  readonly vcpus: readonly (KvmTdVcpu | undefined)[];
  /** By actor. */
  readonly locals: readonly TdLocals[];
  /** By index in `TdxState.keys`: tdx_guest_keyid_pool has given it out. */
  readonly keyids: readonly Field[];
  /** By actor: on the list of its processor is a vCPU that has been freed. Empty for kernels that take it off, and where no id is given twice. */
  readonly listed: readonly Field[];
  /** tdx_lock: 0 or 1 + actor. */
  readonly tdxLock: Field;
  /** By package: who calls the module on its first processor, on which nobody else runs meanwhile: 0 or 1 + actor. */
  readonly processors: readonly Field[];
}

/** What only some scenarios and kernels have. */
export interface KvmTdExtras {
  /** MapGPA calls of the scenario, and the most parts that one has. */
  readonly hypercalls: number;
  readonly parts: number;
  /** Some sub-command locks every vCPU. */
  readonly guarded: boolean;
  readonly terminates: boolean;
  /** VMs whose interrupt controller the scenario sets up. */
  readonly irqchips: ReadonlySet<number>;
  readonly listed: boolean;
  readonly staleRet: boolean;
}

interface KvmTdSizes extends KvmTdExtras {
  readonly frames: number;
  readonly actors: number;
}

/** Undefined where no VM is a TD: such a scenario costs nothing. */
export function kvmTds(layout: Layout, vms: readonly VmState[], tdx: TdxState | undefined, locals: readonly TdLocals[], sizes: KvmTdSizes): KvmTds | undefined {
  if (!tdx?.tds.some((td) => td.object.vm !== undefined)) return undefined;
  const tds = vms.map((vm, index) => {
    const td = tdx.tds.find((one) => one.object.vm === index);
    return td && kvmTd(layout, vm, td, tdx, sizes);
  });
  const vcpus: (KvmTdVcpu | undefined)[] = [];
  for (const tdVcpu of tdx.vcpus) {
    const { vcpu } = tdVcpu.object;
    if (vcpu !== undefined) vcpus[vcpu] = kvmTdVcpu(layout, vcpu, tdVcpu, sizes);
  }
  return {
    vms: tds,
    vcpus,
    locals,
    keyids: tdx.keys.map((key) => layout.field("td", 1, `keyid ${key.hkid}`)),
    listed: Array.from({ length: sizes.listed ? sizes.actors : 0 }, (_, actor) => layout.field("td", 1, `listed ${actor}`)),
    tdxLock: layout.actorField("lock", sizes.actors, "tdx_lock"),
    processors: Array.from({ length: tdx.packages }, (_, index) => layout.actorField("lock", sizes.actors, `processor ${index}`)),
  };
}

function kvmTd(layout: Layout, vm: VmState, td: TdState, tdx: TdxState, sizes: KvmTdSizes): KvmTd {
  const { frames, actors } = sizes;
  const name = `kvm ${vm.object.index}`;
  const field = (max: number): Field => layout.field("td", max, name);
  const cells = [...tdx.objects.gfns].map((gfn) => vm.cells.at(gfn)).filter((cell) => cell >= 0 && vm.cells.single(cell));
  const byCell = (region: "ept" | "page", max: number, what: string): Map<number, Field> =>
    new Map(cells.map((cell) => [cell, layout.field(region, max, `${name} ${what} ${cell}`)]));
  const tables = td.entries.flatMap((entries, level) => (level < LEVEL.PD ? [] : [...entries.values()]));
  return {
    vm: vm.object.index,
    td,
    state: field(TD_STATE.RUNNABLE),
    hkid: field(tdx.keys.length),
    premapped: field(Math.max(1, cells.length)),
    prefault: field(1),
    bugged: field(1),
    dead: field(1),
    waits: layout.field("td", 1, `${name} waits`),
    locked: sizes.guarded && tdx.vcpus.length > 0 ? layout.field("td", tdx.vcpus.length, `vcpus ${name}`) : undefined,
    locker: sizes.guarded && tdx.vcpus.length > 0 ? layout.actorField("td", actors, `vcpus ${name}`) : undefined,
    terminated: sizes.terminates ? field(1) : undefined,
    irqchip: sizes.irqchips.has(vm.object.index) ? field(IRQCHIP.SPLIT) : undefined,
    mmuWriter: layout.actorField("lock", actors, `mmu ${name}`),
    mmuReaders: layout.field("lock", actors, `mmu readers ${name}`),
    frozen: byCell("ept", 1, "frozen"),
    pins: byCell("page", frames, "pin"),
    tables: tables.map((entry) => {
      const where = `${name} table level ${entry.level} gfn ${entry.gfn}`;
      return { entry, frame: layout.field("ept", frames, where), frozen: layout.field("ept", 1, where) };
    }),
    tdr: layout.field("td", frames, `${name} pages`),
    tdcs: Array.from({ length: TDCS_PAGES.min }, () => layout.field("td", frames, `${name} pages`)),
  };
}

function kvmTdVcpu(layout: Layout, vcpu: number, tdVcpu: TdVcpuState, { frames, hypercalls, parts, staleRet }: KvmTdSizes): KvmTdVcpu {
  const name = `kvm vcpu ${vcpu}`;
  return {
    vcpu,
    tdVcpu,
    initialized: layout.field("td", 1, name),
    kicked: layout.field("td", 1, `${name} kicked`),
    entering: layout.field("td", 1, `${name} kicked`),
    hypercall: layout.field("td", hypercalls, name),
    part: layout.field("td", parts, name),
    ret: staleRet ? layout.field("td", 1, name) : undefined,
    tdvpr: layout.field("td", frames, `${name} pages`),
    tdcx: Array.from({ length: TDVPS_TDCX.min }, () => layout.field("td", frames, `${name} pages`)),
  };
}

/** Of a thread, in a scenario with TDs. */
export function tdLocals(layout: Layout, actor: number, cells: number, frames: number): TdLocals {
  const own = (max: number): Field => layout.field("thread", max, `actor ${actor}`);
  return {
    cell: own(cells),
    frame: own(frames),
    table: layout.field("reference", frames, `actor ${actor}`),
    source: layout.field("reference", frames, `actor ${actor}`),
    again: own(1),
    index: own(255),
  };
}

/** Cleared when a call returns. */
export const localFields = ({ cell, frame, table, source, again, index }: TdLocals): Field[] => [cell, frame, table, source, again, index];

/** Who of KVM's TDX code holds frames: control pages and tables, and references of the secure EPT and of threads under way. */
export function tdHolders(kvmTds: KvmTds | undefined): { readonly owners: readonly Field[]; readonly references: readonly Field[] } {
  if (!kvmTds) return { owners: [], references: [] };
  const vms = kvmTds.vms.filter((vm) => vm !== undefined);
  const vcpus = kvmTds.vcpus.filter((vcpu) => vcpu !== undefined);
  return {
    owners: [
      ...vms.flatMap((vm) => [vm.tdr, ...vm.tdcs, ...vm.tables.map((table) => table.frame)]),
      ...vcpus.flatMap((vcpu) => [vcpu.tdvpr, ...vcpu.tdcx]),
      ...kvmTds.locals.map((local) => local.table),
    ],
    references: [...vms.flatMap((vm) => [...vm.pins.values()]), ...kvmTds.locals.map((local) => local.source)],
  };
}
