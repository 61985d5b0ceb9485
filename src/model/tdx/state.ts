// State of the TDX module and of the hardware that knows it: where each word is. The PAMT by frame, key ids, TDs with their secure EPT, vCPUs with their TLBs.

import type { Cells } from "../cells.ts";
import type { Field, Layout } from "../layout.ts";
import { FOUND } from "../memory/state.ts";
import { PAGES_OF_BLOCK } from "../objects.ts";
import { type TryLock, tryLock } from "./locks.ts";
import type { TdObject, TdVcpuObject, TdxObjects } from "./objects.ts";
import { type RepeatedAccess, type SteppingState, steppingState } from "./repeated.ts";
import { GLOBAL_HKID, LEVEL, PRIVATE_HKIDS, PT, TDCS_PAGES, TDVPS_TDCX } from "./tables.ts";

/** The entry of one page, of 4 KB or of 2 MB. */
export interface PamtEntry {
  /** A `PT`. */
  readonly type: Field;
  /** 0 or 1 + index of the TD whose TDR it names. */
  readonly owner: Field;
  /** TD_EPOCH when the page, or the table under it, was blocked. */
  readonly bepoch: Field;
  readonly lock: TryLock;
}

/** Memory of alloc_frame(2M). */
export interface Block {
  readonly index: number;
  /** The frame of its first page, whose address is that of the block; those of its cells follow it. */
  readonly first: number;
  readonly cells: Cells;
  /** PAMT entry of 2 MB. Where it is PT_REG the pages are one, and the entries of 4 KB are not asked. */
  readonly pamt: PamtEntry;
}

/** What the hardware keeps of a frame beside its bytes. */
export interface LineState {
  /** By content range, whole lines: a `LINE`. */
  readonly owner: readonly Field[];
  /** Whether lines may lie modified in a cache under the shared key. */
  readonly sharedDirty: Field;
  /** Under which private key they may: 0 or 1 + index in `TdxState.keys`. */
  readonly privateDirty: Field;
}

/** Of a cache line, of which the hardware keeps these. */
export const LINE_BYTES = 64;

/** TD-owner bit of a line, and poison. */
export const LINE = { HOST: 0, TD: 1, POISON: 2 } as const;

/** An entry of a secure EPT: level and place stand still. */
export interface SeptEntry {
  readonly level: number;
  /** First gfn that it covers. */
  readonly gfn: number;
  /** A `SEPT`. */
  readonly state: Field;
  /** The page or the table that it names; 0 where it is free. */
  readonly frame: Field;
  /** Bit 11. */
  readonly lock: TryLock;
  /** Bit 52: a host leaf has found it locked. */
  readonly hostPriority: Field;
  /** ACCEPT_COUNTER of a pending page of 2 MB: cells of its block that are zeroed. Only where a scenario has such memory. */
  readonly accepted?: Field;
}

/** Entries of a table that no call names: they are alike, from the split of a large page until it is joined again. */
export interface RestOfTable {
  /** A `SEPT`. */
  readonly state: Field;
  /** The first frame of the block whose pages they name. */
  readonly first: Field;
}

export interface KeyState {
  readonly hkid: number;
  /** A `KOT`. */
  readonly state: Field;
  /** Packages that have not written their caches back since it was flushed, as bits. */
  readonly wbinvd: Field;
}

/** What TDH.PHYMEM.CACHE.WB keeps of one package between an interruption and its resumption (wbt_entries). */
export interface WriteBackState {
  /** 1: it has been interrupted half-way. */
  readonly interrupted: Field;
  /** By index in `TdxState.keys`, 1: the key was flushed when it began. */
  readonly keys: readonly Field[];
}

/** By gfn, by content range: 0 nothing known, else 1 + a byte, or 1 + `FOUND` for initial content that no name means. */
type Expected = ReadonlyMap<number, readonly Field[]>;

/** TDR and TDCS. */
export interface TdState {
  readonly object: TdObject;
  /** The frame of its TDR; 0 while there is no such TD. */
  readonly tdr: Field;
  /** A `LIFECYCLE`. */
  readonly lifecycle: Field;
  readonly fatal: Field;
  /** Index in `TdxState.keys`. */
  readonly key: Field;
  /** Packages on which the key is configured, as bits. */
  readonly configured: Field;
  readonly numTdcx: Field;
  /** 4 KB pages that it owns, without the TDR. */
  readonly chldcnt: Field;
  /** An `OP_STATE`; while there is no TDCS it is 0. */
  readonly opState: Field;
  /** TD_EPOCH, absolute. */
  readonly epoch: Field;
  /** REFCOUNT by parity: vCPUs inside that entered in an epoch of it. */
  readonly refcount: readonly [Field, Field];
  readonly numVcpus: Field;
  readonly numAssociated: Field;
  readonly maxVcpus: Field;
  /** SEPT_VE_DISABLE: an access to a pending page exits in place of a #VE. */
  readonly veDisable: Field;
  /** 1: the guest address width is 52 bits, and the shared bit is bit 51. */
  readonly wide: Field;
  /** Level of the root's entries: 3 or 4. */
  readonly pwl: Field;
  /** `secure_ept_lock`. */
  readonly tree: TryLock;
  readonly epochLock: TryLock;
  /** `[level]`: by the gfn of the entry shifted to its level. */
  readonly entries: readonly ReadonlyMap<number, SeptEntry>[];
  /** By the place of a table of level 0; empty where no memory of 2 MB is. */
  readonly rests: ReadonlyMap<number, RestOfTable>;
  /** Ghost; empty unless private-integrity is watched. */
  readonly expected: Expected;
}

/** TDVPS, and the logical processor's TLB for it. */
export interface TdVcpuState {
  readonly object: TdVcpuObject;
  /** The frame of its TDVPR; 0 while there is no such vCPU. */
  readonly tdvpr: Field;
  /** 0 or 1 + index of its TD. */
  readonly td: Field;
  readonly numTdcx: Field;
  /** A `VCPU`; of a vCPU that was inside when its TD died it stays what it was. */
  readonly state: Field;
  /** It is in the guest. */
  readonly inside: Field;
  /** 0 or 1 + the logical processor that it is associated with. */
  readonly lp: Field;
  /** Some processor is entering it: the association is compared and set at once. */
  readonly association: TryLock;
  /** TD_EPOCH at its last entry. */
  readonly epoch: Field;
  /** Entered by a TDH.VP.ENTER of the scenario: it stays inside until it exits or is kicked. */
  readonly rests: Field;
  /** Inside a TDG leaf, where no interrupt reaches it: 0, or what its walk found: 1 no leaf entry, 2 a leaf entry; of ATTR.RD and .WR 2 + the level. */
  readonly leaf: Field;
  /** hp_lock_busy: its last TDCALL gave way to a host that waits for an entry. */
  readonly hostWaits: Field;
  /** What counts its EPT violations, where they can become too many. */
  readonly stepping?: SteppingState;
  /** By gfn: the frame that the TLB has for the private page, 0 for none. */
  readonly tlb: ReadonlyMap<number, Field>;
}

export interface TdxState {
  readonly objects: TdxObjects;
  readonly keys: readonly KeyState[];
  readonly kotLock: TryLock;
  /** `wbinvd_entry` locks, by package. */
  readonly cacheLocks: readonly TryLock[];
  /** By package; none on a machine without interrupts. */
  readonly writeBacks: readonly WriteBackState[];
  /** The processor's own locks of its key tables (PCONFIG), by package. */
  readonly keyTables: readonly TryLock[];
  readonly tds: readonly TdState[];
  readonly vcpus: readonly TdVcpuState[];
  /** Of 4 KB, by frame; of `[0]`, which is no frame, nothing is asked. */
  readonly pamt: readonly PamtEntry[];
  /** Memory of alloc_frame(2M). */
  readonly blocks: readonly Block[];
  readonly lines: readonly LineState[];
  readonly packages: number;
}

/** TD_EPOCH and what is compared with it: a scenario with more TLB shoot-downs is refused aloud. */
export const EPOCH_MAX = 1023;

export interface TdxSizes {
  /** By vCPU: accesses that can have it taken for one that is being stepped. */
  readonly repeated: readonly (readonly RepeatedAccess[])[];
  readonly frames: number;
  readonly actors: number;
  readonly packages: number;
  /** Content ranges of a frame. */
  readonly ranges: number;
  /** Whether a leaf may find an interrupt pending. */
  readonly interrupts: boolean;
  /** Whether private-integrity is watched. */
  readonly integrity: boolean;
  /** How many alloc_frame(2M) there are, and how their pages are partitioned. */
  readonly blocks: number;
  readonly blockCells: Cells;
}

export function tdxState(layout: Layout, objects: TdxObjects, sizes: TdxSizes): TdxState {
  const { frames, packages, ranges } = sizes;
  // A vCPU inside holds two locks shared while its actor, and every other one, may be in a leaf.
  const sharers = sizes.actors + objects.vcpus.length;
  const keys = [GLOBAL_HKID, ...objects.hkids.filter(isPrivateKey)].map((hkid, index): KeyState => {
    const name = `hkid ${hkid}`;
    return { hkid, state: layout.field("td", index === 0 ? 0 : 3, name), wbinvd: layout.field("td", (1 << packages) - 1, name) };
  });
  const pamtEntry = (name: string): PamtEntry => ({
    type: layout.field("pamt", PT.EPT, name),
    owner: layout.field("pamt", objects.tds.length, name),
    bepoch: layout.field("pamt", EPOCH_MAX, name),
    lock: tryLock(layout, `pamt ${name}`, sharers),
  });
  const pamt = Array.from({ length: frames + 1 }, (_, frame) => pamtEntry(`frame ${frame}`));
  const blocks = Array.from({ length: sizes.blocks }, (_, index): Block => {
    const first = frames + 1 - (sizes.blocks - index) * sizes.blockCells.count;
    return { index, first, cells: sizes.blockCells, pamt: pamtEntry(`2 MB at frame ${first}`) };
  });
  return {
    objects,
    keys,
    kotLock: tryLock(layout, "kot", sharers),
    cacheLocks: Array.from({ length: packages }, (_, index) => tryLock(layout, `wbcache ${index}`, sharers)),
    writeBacks: Array.from({ length: sizes.interrupts ? packages : 0 }, (_, index) => ({
      interrupted: layout.field("td", 1, `wbcache ${index}`),
      keys: keys.map(() => layout.field("td", 1, `wbcache ${index}`)),
    })),
    keyTables: Array.from({ length: packages }, (_, index) => tryLock(layout, `ket ${index}`, sharers)),
    tds: objects.tds.map((td) => tdState(layout, td, objects, keys.length, sharers, sizes)),
    vcpus: objects.vcpus.map((vcpu) => tdVcpuState(layout, vcpu, objects, sizes)),
    pamt,
    blocks,
    lines: Array.from({ length: frames + 1 }, () => ({
      owner: Array.from({ length: ranges }, () => layout.field("content", LINE.POISON)),
      sharedDirty: layout.field("content", 1),
      privateDirty: layout.field("content", keys.length),
    })),
    packages,
  };
}

/** Key ids outside of it are no private ones, and the first is the module's own. */
const isPrivateKey = (hkid: number): boolean => hkid > GLOBAL_HKID && hkid < PRIVATE_HKIDS.first + PRIVATE_HKIDS.count;

function tdState(layout: Layout, object: TdObject, objects: TdxObjects, keys: number, sharers: number, sizes: TdxSizes): TdState {
  const { frames, packages, ranges, integrity } = sizes;
  const name = `td ${object.index}`;
  const field = (max: number): Field => layout.field("td", max, name);
  const epoch = (max: number): Field => layout.field("td", max, `${name} epoch`);
  const vcpus = Math.max(1, objects.vcpus.length);
  return {
    object,
    tdr: field(frames),
    lifecycle: field(3),
    fatal: field(1),
    key: field(keys),
    configured: field((1 << packages) - 1),
    numTdcx: field(TDCS_PAGES.max),
    chldcnt: layout.field("td", frames + sizes.blocks * PAGES_OF_BLOCK, `${name} children`),
    opState: field(2),
    epoch: epoch(EPOCH_MAX),
    refcount: [epoch(vcpus), epoch(vcpus)],
    numVcpus: field(vcpus),
    numAssociated: field(vcpus),
    maxVcpus: field(0xffff),
    veDisable: field(1),
    wide: field(1),
    pwl: field(LEVEL.PML5),
    tree: tryLock(layout, `tree ${name}`, sharers),
    epochLock: tryLock(layout, `epoch ${name}`, sharers),
    entries: Array.from({ length: LEVEL.PML5 + 1 }, (_, level) => entriesAt(layout, name, level, objects.gfns, sharers, sizes)),
    rests: restsOf(layout, name, objects.gfns, sizes),
    expected: integrity ? expectedFields(layout, name, objects.gfns, ranges) : new Map(),
  };
}

/** One entry for each block of the level in which some page is named. */
function entriesAt(layout: Layout, td: string, level: number, gfns: ReadonlySet<number>, sharers: number, sizes: TdxSizes): Map<number, SeptEntry> {
  const { frames, blocks, blockCells } = sizes;
  return new Map(
    placesAt(gfns, level).map((place) => {
      const gfn = place * 512 ** level;
      const name = `${td} level ${level} gfn ${gfn}`;
      const entry: SeptEntry = {
        level,
        gfn,
        state: layout.field("sept", 6, name),
        frame: layout.field("sept", frames, name),
        lock: tryLock(layout, `entry ${name}`, sharers),
        hostPriority: layout.field("module", 1, `entry ${name}`),
        ...(blocks > 0 && level === LEVEL.PD ? { accepted: layout.field("sept", blockCells.count, name) } : {}),
      };
      return [place, entry];
    }),
  );
}

function restsOf(layout: Layout, td: string, gfns: ReadonlySet<number>, { blocks, frames }: TdxSizes): Map<number, RestOfTable> {
  const places = blocks > 0 ? placesAt(gfns, LEVEL.PD) : [];
  return new Map(
    places.map((place) => {
      const name = `${td} level 0 behind ${place}`;
      return [place, { state: layout.field("sept", 6, name), first: layout.field("sept", frames, name) }];
    }),
  );
}

const placesAt = (gfns: ReadonlySet<number>, level: number): number[] => [...new Set([...gfns].map((gfn) => placeAt(gfn, level)))].sort((a, b) => a - b);

/** Which entry of a level covers a gfn. */
export const placeAt = (gfn: number, level: number): number => Math.floor(gfn / 512 ** level);

function expectedFields(layout: Layout, td: string, gfns: ReadonlySet<number>, ranges: number): Expected {
  return new Map([...gfns].map((gfn) => [gfn, Array.from({ length: ranges }, () => layout.field("td", FOUND + 1, `${td} expects`))]));
}

function tdVcpuState(layout: Layout, object: TdVcpuObject, objects: TdxObjects, { frames, repeated }: TdxSizes): TdVcpuState {
  const name = `td vcpu ${object.index}`;
  const field = (max: number): Field => layout.field("td", max, name);
  return {
    object,
    tdvpr: field(frames),
    td: field(objects.tds.length),
    numTdcx: field(TDVPS_TDCX.max),
    state: field(3),
    inside: field(1),
    lp: field(255),
    association: tryLock(layout, `association ${name}`, 1),
    epoch: field(EPOCH_MAX),
    rests: field(1),
    leaf: field(4),
    hostWaits: field(1),
    stepping: steppingState(layout, name, repeated[object.index]),
    tlb: new Map([...objects.touched[object.index]].map((gfn) => [gfn, layout.field("tlb", frames, `${name} gfn ${gfn}`)])),
  };
}

/** The TD whose root page a frame is. */
export function tdAt(tdx: TdxState, state: Int32Array, frame: number): TdState | undefined {
  return frame > 0 ? tdx.tds.find((td) => td.tdr.get(state) === frame) : undefined;
}

/** The vCPU whose root page a frame is. */
export function tdVcpuAt(tdx: TdxState, state: Int32Array, frame: number): TdVcpuState | undefined {
  return frame > 0 ? tdx.vcpus.find((vcpu) => vcpu.tdvpr.get(state) === frame) : undefined;
}
