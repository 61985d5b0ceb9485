// mmap, munmap, and what host threads do through a mapping (mm/mmap.c do_mmap; mm/shmem.c shmem_mmap, shmem_fault; mm/memory.c).

import type { Errno } from "../../base/errno.ts";
import { asU64, isPageAligned, PAGE_SIZE, pageUp, S64_MAX } from "../../base/units.ts";
import type { Call, CallId, Operand, Result } from "../../scenario/program.ts";
import { KILLED } from "../ends.ts";
import { FAILED } from "../handles.ts";
import { userFaultRefused } from "../kvm/gmem-file.ts";
import { BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf, MAP_ANONYMOUS, MAP_TYPE, mappingOfOperand, NotModelled } from "../objects.ts";
import { bound, byteResult, canRead, canWrite, fileOperand, openDescriptor, openOperand, plan, ZERO } from "../plan.ts";
import { INTERRUPTIBLE, isKillable, isKilled } from "../signals.ts";
import { holdCopy, tryAgain } from "./copying.ts";
import { addPage, isInaccessible, makeUptodate, offsetOf, sizeOf } from "./file.ts";
import { readRange, writeRange } from "./frames.ts";
import { copyOf, faultOwnPage, holeCovers, installPte } from "./gup.ts";
import { poolOf } from "./huge.ts";
import { COPY_ON_WRITE, narrowHostAccess } from "./narrow.ts";
import { MAP_POPULATE, populating } from "./populate.ts";
import { hostScope, mappingScope } from "./scopes.ts";
import { type FileState, fileCellOf, isAlone, type MappingState, type OpenState, PROT, permits, protOf, SEAL } from "./state.ts";
import { unmapsOf } from "./unmaps.ts";

/** MAP_FIXED, MAP_LOCKED, MAP_HUGETLB and the like change what mmap does; MAP_NORESERVE and MAP_STACK do not. */
const MAP_PLAIN = MAP_TYPE | MAP_ANONYMOUS | MAP_POPULATE | 0x4000n | 0x20000n;
/** TASK_SIZE_MAX with four levels of page tables: the last page of the lower half is a guard (arch/x86/include/asm/page_64_types.h). */
export const TASK_SIZE = (1n << 47n) - PAGE_SIZE;
/** The default of vm.mmap_min_addr. */
export const MMAP_MIN_ADDR = 0x10000n;

export function planMmap(machine: Machine, id: CallId, call: Call): Plan {
  const [length, prot, flags, offset] = [asU64(intOf(call, id, 1)), intOf(call, id, 2), intOf(call, id, 3), asU64(intOf(call, id, 5))];
  const anonymous = (flags & MAP_ANONYMOUS) !== 0n;
  if (flags & ~MAP_PLAIN)
    throw new NotModelled(id, "of the flags of mmap only MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MAP_POPULATE and MAP_NORESERVE are modelled");
  const file = anonymous ? undefined : fileOperand(machine, id, call.operands[4]);
  const index = machine.objects.mappingOf.get(id);
  const open = anonymous ? undefined : openOperand(machine, call.operands[4]);
  if (index === undefined && (anonymous || file !== undefined) && length > 0n && pageUp(length) <= TASK_SIZE) {
    throw new NotModelled(id, "a mapping of more than 64 TiB is not modelled");
  }
  const own = plan(id, call, {
    operations: ["mmap"],
    success: { kind: "handle", handle: "mapping" },
    file: file ?? -1,
    data: index,
    reads: ["handle", "file"],
    scope: () => mappingScope(machine, call, file, index),
    decode(context) {
      if (!isPageAligned(offset)) return "EINVAL";
      if (!anonymous) {
        const closed = openDescriptor(machine, context, call.operands[4]);
        if (closed) return closed;
      }
      return mmapRefuses(context, file === undefined ? undefined : machine.files[file], { length, prot, flags, offset, open });
    },
  });
  return flags & MAP_POPULATE ? populating(machine, own) : own;
}

interface MmapArguments {
  readonly length: bigint;
  readonly prot: bigint;
  readonly flags: bigint;
  readonly offset: bigint;
  readonly open: OpenState | undefined;
}

/** do_mmap, in its order; the seals are looked at with the mapping itself (map_vma). */
function mmapRefuses(context: Context, file: FileState | undefined, { length, prot, flags, offset, open }: MmapArguments): Errno | undefined {
  if (length === 0n) return "EINVAL";
  if (pageUp(length) > TASK_SIZE) return "ENOMEM";
  // file_mmap_ok: the range ends at or below s_maxbytes.
  const huge = file?.object.huge;
  if (huge !== undefined && length & ((1n << BigInt(huge)) - 1n)) return "EINVAL";
  if (file && offset >> 12n > (S64_MAX - pageUp(length)) >> 12n) return "EOVERFLOW";
  const type = flags & MAP_TYPE;
  if (type !== 1n && type !== 2n && !(type === 3n && file)) return "EINVAL";
  if (!file) return undefined;
  const { state } = context;
  if (!canRead(open) || (type !== 2n && prot & BigInt(PROT.WRITE) && !canWrite(open))) return "EACCES";
  if (file.shim.get(state) === 1) return "ENODEV";
  return isInaccessible(state, file) ? "EPERM" : undefined;
}

const WRITE_SEALS = SEAL.WRITE | SEAL.FUTURE_WRITE;

/** seal_check_write and mapping_map_writable: EPERM, or what VM_MAYWRITE of the mapping becomes. */
function mayWriteUnder(machine: Machine, state: Int32Array, mapping: MappingState): "EPERM" | 0 | 1 {
  const { shared, readOnly, prot } = mapping.object;
  if (!shared) return 1;
  if (readOnly) return 0;
  const { seals, denied } = machine.files[mapping.object.file];
  const sealed = seals.get(state) & WRITE_SEALS;
  if (sealed && prot & PROT.WRITE) return "EPERM";
  if (machine.features.shared_readonly === "counts") {
    if (denied.get(state) === 1) return "EPERM";
    return sealed & SEAL.FUTURE_WRITE ? 0 : 1;
  }
  if (sealed) return 0;
  return denied.get(state) === 1 ? "EPERM" : 1;
}

const mappingOf = (context: Context): MappingState => context.machine.mappings[context.plan.data as number];

const mapVma: StepCode = {
  reads: ["file"],
  writes: ["pte"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const mapping = mappingOf(context);
    const mayWrite = mayWriteUnder(machine, state, mapping);
    if (mayWrite === "EPERM") return context.fail("EPERM");
    if (machine.files[mapping.object.file].object.huge !== undefined) return reserveHuge(context);
    // A range that some call names may have cut cells behind the end.
    for (let cell = 0; cell < mapping.cells.count && mapping.cells.start(cell) < mapping.object.pages; cell++) {
      mapping.mapped[cell].set(state, 1);
      mapping.prots?.[cell].set(state, mapping.object.prot);
    }
    mapping.mayWrite.set(state, mayWrite);
    if (context.telling) context.say("a VMA; pages come at the first access");
    return NEXT;
  },
};

/** hugetlb_reserve_pages: the pool of the machine is empty (measured on 6.18.44). */
function reserveHuge(context: Context): number {
  const { shared, filePage } = mappingOf(context).object;
  const huge = context.machine.files[context.plan.file].object.huge ?? 12;
  if (filePage % 2 ** (huge - 12) !== 0) return context.fail("EINVAL");
  if (poolOf(context.machine, huge) > 0n) throw new NotModelled(context.plan.id, "the reservations of mappings of hugetlbfs are not modelled");
  if (!shared) throw new NotModelled(context.plan.id, "a private mapping of a hugetlbfs file is not modelled");
  return context.fail("ENOMEM");
}

/** The address that the name of a failed mmap holds, its negative errno, with the offset of the operand; undefined for any other operand. */
export function failedAddress(machine: Machine, state: Int32Array, operand: Operand | undefined): bigint | undefined {
  if (operand?.kind !== "handle") return undefined;
  const value = machine.handles[operand.handle].get(state);
  return value >= FAILED ? asU64(operand.offset - BigInt(value - FAILED)) : undefined;
}

export function mappedCells(mapping: MappingState, from: bigint, length: bigint): number[] {
  const first = Number(from >> 12n);
  const last = Math.min(Number(pageUp(from + length) >> 12n), mapping.object.pages);
  return first < last ? mapping.cells.range(first, last) : [];
}

const SEGFAULT: Result = { kind: "signal", signal: "SIGSEGV" };
const BUS_ERROR: Result = { kind: "signal", signal: "SIGBUS" };

interface HostAccess {
  readonly mapping: number;
  readonly page: number;
  /** The byte's range in `machine.bytes`. */
  readonly range: number;
  /** Undefined for a load. */
  readonly value: number | undefined;
}

const access = (context: Context): HostAccess => context.plan.data as HostAccess;

/** An mmap that no object stands for cannot succeed (planMmap), so its name holds a negative errno: an address that nothing is mapped at. */
export const isMapping = (machine: Machine, handle: number): boolean => machine.program.handles[handle].kind === "mapping";

function planNoMapping(machine: Machine, id: CallId, call: Call): Plan {
  const target = call.operands[0];
  if (target?.kind !== "handle" || !isMapping(machine, target.handle))
    throw new NotModelled(id, "a host access through anything but a mapping of this scenario is not modelled");
  return plan(id, call, { operations: [call.spec], success: ZERO, decode: () => SEGFAULT });
}

/** load(map, off), store(map, off, value). */
export function planHostAccess(machine: Machine, id: CallId, call: Call): Plan {
  const target = call.operands[0];
  const index = mappingOfOperand(machine.program, machine.objects, target, call.actor);
  if (index === undefined) return planNoMapping(machine, id, call);
  if (machine.poisoned.has(machine.mappings[index].object.file))
    throw new NotModelled(id, "an access of the host to a file of which a page has a memory error is not modelled");
  const at = intOf(call, id, 1) + (target?.kind === "handle" ? target.offset : 0n);
  const store = call.spec === "host.store";
  const mapping = machine.mappings[index];
  const page = Number(at >> 12n);
  const data: HostAccess = {
    mapping: index,
    page,
    range: at >= 0n && page < mapping.object.pages ? machine.bytes.one(Number(at & 4095n)) : 0,
    value: store ? Number(intOf(call, id, 2) & 0xffn) : undefined,
  };
  return plan(id, call, {
    operations: [call.spec],
    success: ZERO,
    data,
    file: mapping.object.file,
    ...(store && !mapping.object.shared && data.page < mapping.object.pages && at >= 0n ? unmapsOf(machine, index, [mapping.cells.at(page)]) : {}),
    reads: ["handle", "pte"],
    scope: () => hostScope(machine, call, index, page),
    decode(context) {
      if (!bound(machine, context.state, target) || at < 0n || page >= mapping.object.pages) return SEGFAULT;
      const cell = mapping.cells.one(page);
      return mapping.mapped[cell].get(context.state) === 0 && (mapping.ptes[cell]?.get(context.state) ?? 0) === 0 ? SEGFAULT : undefined;
    },
  });
}

/** Translate and touch are one step. */
const accessHost: StepCode = {
  reads: ["pte", "page", "content"],
  writes: ["content"],
  interruptible: INTERRUPTIBLE,
  jumps: [],
  narrow: (context) => (isKillable(context) ? undefined : narrowHostAccess(context)),
  events: true,
  run(context) {
    const { machine, state } = context;
    // Behind its page fault a thread that is killed does not come back to the instruction.
    if (isKilled(context)) return context.always(KILLED);
    const { mapping: index, page, range, value } = access(context);
    const mapping = machine.mappings[index];
    const cell = mapping.cells.one(page);
    const frame = mapping.ptes[cell]?.get(state) ?? 0;
    if ((frame === 0 && mapping.mapped[cell].get(state) === 0) || !permits(protOf(state, mapping, cell), value !== undefined)) return context.always(SEGFAULT);
    const copied = frame !== 0 && mapping.copies[cell]?.get(state) === frame && isAlone(state, mapping, cell);
    if (frame === 0 || (value !== undefined && !mapping.object.shared && !copied)) {
      if (context.telling) context.say(frame === 0 ? "no PTE: page fault" : "the PTE is read-only: copy on write");
      return NEXT;
    }
    machine.emit("host-access", frame);
    if (value === undefined) return context.done(byteResult(readRange(context, frame, range), context, context.telling ? `loads from frame ${frame}` : ""));
    writeRange(context, frame, range, value);
    if (context.telling) context.say(`stores 0x${value.toString(16)} into frame ${frame}`);
    return context.done(ZERO);
  },
};

/** shmem_fault: a fault into a range that is being punched waits. */
const waitHole: StepCode = {
  reads: ["hole", "control"],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    const { machine } = context;
    const { mapping: index, page } = access(context);
    const mapping = machine.mappings[index];
    const file = machine.files[mapping.object.file];
    return holeCovers(context, file, file.cells.at(page + mapping.object.filePage)) ? BLOCKED : NEXT;
  },
};

/** The page fault, under the folio lock: page of the file (allocated and cleared when it is not there), then the PTE. */
const lookupHost: StepCode = {
  reads: ["size", "lock", "page", "pte", "uptodate"],
  writes: ["page", "uptodate", "content", "free", "pte"],
  copying: COPY_ON_WRITE,
  jumps: [],
  events: true,
  run(context) {
    const { machine, state } = context;
    const { mapping: index, page, value } = access(context);
    const mapping = machine.mappings[index];
    const file = machine.files[mapping.object.file];
    const cell = mapping.cells.one(page);
    const fileCell = fileCellOf(file, mapping, cell);
    // The access that comes next finds out why it may not.
    if (mapping.mapped[cell].get(state) === 0 || !permits(protOf(state, mapping, cell), value !== undefined)) return NEXT;
    if (faultOwnPage(context, mapping, cell, value !== undefined)) return tryAgain(context);
    const refused = file.gmem && userFaultRefused(machine, file, BigInt(page + mapping.object.filePage));
    if (refused && context.telling) context.say(refused);
    const beyond = refused !== undefined || (file.object.kind === "memfd" && BigInt(page + mapping.object.filePage) << 12n >= sizeOf(machine, state, file));
    if (beyond) return context.always(BUS_ERROR);
    if (file.folios[fileCell].get(state) !== 0) return BLOCKED;
    if (file.frames[fileCell].get(state) === 0) {
      addPage(context, file, fileCell);
      makeUptodate(context, file, fileCell);
      if (value !== undefined && !mapping.object.shared) return tryAgain(context);
    }
    makeUptodate(context, file, fileCell);
    const frame = file.frames[fileCell].get(state);
    if (value !== undefined && !mapping.object.shared && holdCopy(context, mapping, cell, frame)) return NEXT;
    installPte(context, mapping, cell, value !== undefined && !mapping.object.shared ? copyOf(context, mapping, cell, frame) : frame);
    if (context.telling) context.say(`the host page table maps frame ${mapping.ptes[cell]?.get(state)} (${offsetOf(file, fileCell)})`);
    return tryAgain(context);
  },
};

export const mappingSteps = { map_vma: mapVma, access_host: accessHost, wait_hole: waitHole };
export const lookupHostPage = lookupHost;
