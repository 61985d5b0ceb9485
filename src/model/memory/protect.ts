// mprotect and madvise (mm/mprotect.c do_mprotect_pkey; mm/madvise.c do_madvise).

import { asU64, isPageAligned, pageUp } from "../../base/units.ts";
import type { Call, CallId, Operand, Result } from "../../scenario/program.ts";
import { type Resize, rangeOfBytes } from "../kvm/ranges.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf, MAP_ANONYMOUS, MAP_PRIVATE, MAP_TYPE, mappingOfOperand, NotModelled } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { dropPage } from "./file.ts";
import { release } from "./frames.ts";
import { failedAddress, isMapping, MMAP_MIN_ADDR, mappedCells, TASK_SIZE } from "./mapping.ts";
import { KEEP_SIZE, PUNCH_HOLE } from "./modes.ts";
import { type Populate, pagesFor } from "./populate.ts";
import { rangeCells, wholeCells } from "./resize.ts";
import { fileScope, mappingScope } from "./scopes.ts";
import { fileCellOf, type MappingState, PROT, protOf } from "./state.ts";
import { fileUnmaps, unmapsOf } from "./unmaps.ts";

const PROT_SEM = 8n;
const PROT_GROWS = 0x3000000n;
const NO_MEMORY: Result = { kind: "errno", errno: "ENOMEM" };
const NO_ACCESS: Result = { kind: "errno", errno: "EACCES" };

/** A range of one mapping of the scenario. `from` may lie anywhere where there is no mapping. */
interface Range {
  readonly mapping: number | undefined;
  readonly from: bigint;
  readonly length: bigint;
  readonly cells: readonly number[];
  /** It goes on behind the end of the mapping, where nothing of the scenario is. */
  readonly beyond: boolean;
}

export function rangeOf(machine: Machine, id: CallId, call: Call): Range {
  const [target, length] = [call.operands[0] as Operand, asU64(intOf(call, id, 1))];
  const mapping = mappingOfOperand(machine.program, machine.objects, target, call.actor);
  if (target.kind === "handle" && mapping === undefined && !isMapping(machine, target.handle))
    throw new NotModelled(id, `${call.spec} of a name that no mmap binds is not modelled`);
  const from = target.kind === "handle" ? target.offset : asU64(intOf(call, id, 0));
  if (target.kind === "int" && from >= MMAP_MIN_ADDR && from < TASK_SIZE && isPageAligned(from))
    throw new NotModelled(id, `${call.spec} of an address that no mmap of this scenario answers is not modelled`);
  const state = mapping === undefined ? undefined : machine.mappings[mapping];
  const plain = state !== undefined && from >= 0n && isPageAligned(from) && length > 0n && length <= TASK_SIZE;
  return {
    mapping,
    from,
    length,
    cells: plain ? mappedCells(state, from, length) : [],
    beyond: !plain || pageUp(from + length) >> 12n > BigInt(state.object.pages),
  };
}

/** The first address: in a mapping its offset, for where the mapping lies is not modelled. */
export const addressOf = (machine: Machine, context: Context, call: Call, range: Range): bigint =>
  failedAddress(machine, context.state, call.operands[0]) ?? range.from;

/** A mapping lies between vm.mmap_min_addr and the end of the address space, and a range that is long enough wraps from anywhere there. */
function wraps(id: CallId, call: Call, address: bigint, length: bigint): boolean {
  const whole = pageUp(length);
  if (call.operands[0].kind !== "handle") return address + whole >= 1n << 64n;
  if (whole > (1n << 64n) - MMAP_MIN_ADDR) return true;
  if (whole < (1n << 64n) - TASK_SIZE) return false;
  throw new NotModelled(id, `whether ${call.spec} wraps depends on the address of the mapping, which is not modelled`);
}

interface Protect {
  readonly range: Range;
  readonly prot: number;
}

/** mprotect(addr, len, prot). */
export function planMprotect(machine: Machine, id: CallId, call: Call): Plan {
  const prot = asU64(intOf(call, id, 2));
  const range = rangeOf(machine, id, call);
  if (prot & (PROT_SEM | PROT_GROWS)) throw new NotModelled(id, "of the bits of prot only PROT_READ, PROT_WRITE and PROT_EXEC are modelled");
  return plan(id, call, {
    operations: ["mprotect"],
    success: ZERO,
    data: { range, prot: Number(prot & 7n) } satisfies Protect,
    reads: ["handle", "pte"],
    ...unmapsOf(machine, range.mapping, range.cells, (state, cell) => protOf(state, machine.mappings[range.mapping as number], cell) === Number(prot & 7n)),
    scope: () => mappingScope(machine, call, undefined, range.mapping),
    decode(context) {
      const address = addressOf(machine, context, call, range);
      if (!isPageAligned(address)) return "EINVAL";
      if (range.length === 0n) return ZERO;
      if (wraps(id, call, address, range.length)) return "ENOMEM";
      if (prot & ~7n) return "EINVAL";
      if (range.mapping === undefined || address !== range.from) return "ENOMEM";
      // Where no VMA changes before the end, or before one that refuses, nobody is told of anything.
      return walk(context, () => false);
    },
  });
}

/** The VMAs of the range, one after the other: the answer, or undefined where `change` stopped at one that gets a new protection. */
function walk(context: Context, change: (mapping: MappingState, cell: number) => boolean): Result | undefined {
  const { machine, state } = context;
  const { range, prot } = context.plan.data as Protect;
  const mapping = machine.mappings[range.mapping as number];
  for (const cell of range.cells) {
    if (mapping.mapped[cell].get(state) === 0) return NO_MEMORY;
    if (prot & PROT.WRITE && mapping.mayWrite.get(state) === 0) return NO_ACCESS;
    // The mount of guest_memfd is noexec, so its mappings have no VM_MAYEXEC (measured on 6.18.44).
    if (prot & PROT.EXEC && machine.files[mapping.object.file]?.object.kind === "guest_memfd") return NO_ACCESS;
    if (protOf(state, mapping, cell) !== prot && !change(mapping, cell)) return undefined;
  }
  return range.beyond ? NO_MEMORY : ZERO;
}

/** Under mmap_lock: VMAs and their PTEs. What comes before one that refuses stays changed. */
const changeVma: StepCode = {
  reads: ["pte"],
  writes: ["pte"],
  jumps: [],
  returns: false,
  run(context) {
    const { state } = context;
    const { prot } = context.plan.data as Protect;
    const answer = walk(context, (mapping, cell) => {
      mapping.prots?.[cell].set(state, prot);
      return true;
    });
    if (context.telling) context.say("the VMA has its new protection");
    return answer === undefined || answer === ZERO ? NEXT : context.remember(answer);
  },
};

const MADV = { POPULATE_READ: 22, POPULATE_WRITE: 23, DONTNEED: 4, FREE: 8, REMOVE: 9, DONTFORK: 10, DOFORK: 11 } as const;
/** NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTFORK, DOFORK, HUGEPAGE, NOHUGEPAGE, DONTDUMP, DODUMP, COLD: nothing here can see what they do. */
const SILENT: ReadonlySet<number> = new Set([0, 1, 2, 3, 10, 11, 14, 15, 16, 17, 20]);
/** DONTFORK, DOFORK: only a fork sees what they do. */
const ofForks = (machine: Machine, advice: number): boolean => (advice === MADV.DONTFORK || advice === MADV.DOFORK) && machine.program.processes !== undefined;
/** MERGEABLE, UNMERGEABLE, WIPEONFORK, KEEPONFORK, PAGEOUT, DONTNEED_LOCKED, COLLAPSE, hwpoison and guard pages. */
const OTHER: ReadonlySet<number> = new Set([12, 13, 18, 19, 21, 24, 25, 100, 101, 102, 103]);

interface Advice extends Resize {
  readonly mapping: Range;
}

/** madvise(addr, length, advice). */
export function planMadvise(machine: Machine, id: CallId, call: Call): Plan {
  const advice = Number(BigInt.asIntN(32, intOf(call, id, 2)));
  const range = rangeOf(machine, id, call);
  const known = SILENT.has(advice) || advice === MADV.DONTNEED || advice === MADV.FREE || advice === MADV.REMOVE;
  if (advice === MADV.POPULATE_READ || advice === MADV.POPULATE_WRITE) return planPopulate(machine, id, call, range, advice === MADV.POPULATE_WRITE);
  if (OTHER.has(advice)) throw new NotModelled(id, `madvise with advice ${advice} is not modelled`);
  const end = range.from + range.length;
  if (call.operands[0].kind === "int" && isPageAligned(range.from) && range.from < MMAP_MIN_ADDR && end > MMAP_MIN_ADDR && end < 1n << 64n)
    throw new NotModelled(id, "madvise of addresses that no mmap of this scenario answers is not modelled");
  const mapping = range.mapping === undefined ? undefined : machine.mappings[range.mapping];
  const file = mapping?.object.file;
  const remove = advice === MADV.REMOVE && mapping !== undefined;
  const hole = mapping && remove ? holeOf(mapping, range) : NO_HOLE;
  const cells = remove && file !== undefined ? rangeCells(machine.files[file], hole, true) : range.cells;
  return plan(id, call, {
    operations: [remove ? "madvise.remove" : advice === MADV.DONTNEED ? "madvise.dontneed" : ofForks(machine, advice) ? "madvise.fork" : "madvise"],
    success: range.beyond ? NO_MEMORY : ZERO,
    file: file ?? -1,
    cells,
    ...(remove ? fileUnmaps(machine, machine.files[file ?? -1], wholeCells(cells, hole.parts)) : {}),
    ...(advice === MADV.DONTNEED ? unmapsOf(machine, range.mapping, range.cells) : {}),
    data: hole,
    reads: ["handle", "pte"],
    scope: () => (remove ? fileScope(machine, call, file, cells) : mappingScope(machine, call, undefined, range.mapping)),
    decode(context) {
      const address = addressOf(machine, context, call, range);
      if (!known || !isPageAligned(address)) return "EINVAL";
      if (range.length === 0n) return ZERO;
      if (wraps(id, call, address, range.length)) return "EINVAL";
      return mapping === undefined || address !== range.from || range.cells.length === 0 ? "ENOMEM" : adviceRefuses(context, mapping, range, advice);
    },
  });
}

/** madvise_populate: faults the range in page by page, and answers what the first fault that fails says. */
function planPopulate(machine: Machine, id: CallId, call: Call, range: Range, write: boolean): Plan {
  const mapping = range.mapping === undefined ? undefined : machine.mappings[range.mapping];
  const first = Number(range.from >> 12n);
  const pages = mapping && range.cells.length > 0 ? Math.min(Number(pageUp(range.length) >> 12n), mapping.object.pages - first) : 0;
  return plan(id, call, {
    operations: ["madvise.populate"],
    success: ZERO,
    file: mapping?.object.file ?? -1,
    cells: pagesFor(id, call, pages),
    data: { mapping: range.mapping ?? -1, first, write, beyond: range.beyond } satisfies Populate,
    reads: ["handle", "pte"],
    scope: () => mappingScope(machine, call, undefined, range.mapping),
    decode(context) {
      const address = addressOf(machine, context, call, range);
      if (!isPageAligned(address)) return "EINVAL";
      if (range.length === 0n) return ZERO;
      if (wraps(id, call, address, range.length)) return "EINVAL";
      return mapping === undefined || address !== range.from || range.cells.length === 0 ? "ENOMEM" : undefined;
    },
  });
}

const NO_HOLE: Advice = {
  call: "fallocate",
  mode: 0n,
  offset: 0n,
  length: 0n,
  end: 0n,
  range: rangeOfBytes(0n, 0n),
  told: [],
  parts: new Map(),
  mapping: { mapping: undefined, from: 0n, length: 0n, cells: [], beyond: false },
};

/** madvise_remove: vfs_fallocate of the part of the file behind the range. */
function holeOf(mapping: MappingState, range: Range): Advice {
  const offset = (BigInt(mapping.object.filePage) << 12n) + range.from;
  const left = (BigInt(mapping.object.pages) << 12n) - range.from;
  const whole = pageUp(range.length);
  const length = whole < left ? whole : left;
  if (length <= 0n) return NO_HOLE;
  const end = offset + length;
  return { ...NO_HOLE, mode: KEEP_SIZE | PUNCH_HOLE, offset, length, end, range: rangeOfBytes(offset, end), told: [], parts: new Map(), mapping: range };
}

function isPrivateAnonymous(machine: Machine, mapping: MappingState): boolean {
  const flags = machine.program.calls[mapping.object.call].operands[3];
  return flags?.kind === "int" && (flags.value & MAP_ANONYMOUS) !== 0n && (flags.value & MAP_TYPE) === MAP_PRIVATE;
}

function adviceRefuses(context: Context, mapping: MappingState, range: Range, advice: number): "EINVAL" | "EACCES" | "ENOMEM" | Result | undefined {
  const { machine, state, plan: own } = context;
  const there = range.cells.filter((cell) => mapping.mapped[cell].get(state) === 1).length;
  if (there === 0) return "ENOMEM";
  if (there < range.cells.length && advice !== MADV.DONTNEED) {
    if (ofForks(machine, advice)) return undefined;
    if (SILENT.has(advice)) return "ENOMEM";
    throw new NotModelled(own.id, "madvise of a range that is unmapped in part is not modelled");
  }
  if (advice === MADV.FREE) {
    if (!isPrivateAnonymous(machine, mapping)) return "EINVAL";
    throw new NotModelled(own.id, "MADV_FREE of anonymous memory is not modelled");
  }
  if (advice !== MADV.REMOVE) return undefined;
  if (isPrivateAnonymous(machine, mapping)) return "EINVAL";
  const { file, shared } = mapping.object;
  if (machine.files[file].object.kind === "guest_memfd") throw new NotModelled(own.id, "MADV_REMOVE on guest_memfd is not modelled");
  if (!shared || mapping.mayWrite.get(state) === 0) return "EACCES";
  const writable = range.cells.every((cell) => protOf(state, mapping, cell) & PROT.WRITE);
  if (machine.features.shared_readonly === "free" || writable) return undefined;
  throw new NotModelled(own.id, "MADV_REMOVE on a mapping without PROT_WRITE before Linux 6.7 is not modelled");
}

/** VM_DONTCOPY of what is mapped there, and ENOMEM behind it where not everything is. */
const markVma: StepCode = {
  reads: ["pte"],
  writes: ["pte"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, plan: own } = context;
    const mapping = machine.mappings[mappingIndex(context)];
    const left = intOf(own.call, own.id, 2) === BigInt(MADV.DONTFORK);
    for (const cell of own.cells) {
      if (mapping.mapped[cell].get(state) === 1) mapping.uncopied?.[cell].set(state, left ? 1 : 0);
      else context.remember(NO_MEMORY);
    }
    if (context.telling) context.say(left ? "a child will not have it" : "a child will have it");
    return NEXT;
  },
};

/** zap_page_range: each page by itself, for faults on others go on meanwhile. A private copy is lost; anonymous memory is. */
const zapRange: StepCode = {
  reads: ["pte", "page", "reference"],
  writes: ["pte", "page", "uptodate", "free", "content"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state } = context;
    const cell = context.cell;
    const mapping = machine.mappings.find((one) => one.object.index === mappingIndex(context)) as MappingState;
    if (mapping.mapped[cell].get(state) === 1) zapCell(context, mapping, cell);
    else context.remember(NO_MEMORY);
    return context.each();
  },
};

const mappingIndex = (context: Context): number =>
  mappingOfOperand(context.machine.program, context.machine.objects, context.plan.call.operands[0], context.plan.call.actor) as number;

function zapCell(context: Context, mapping: MappingState, cell: number): void {
  const { machine, state } = context;
  mapping.ptes[cell]?.set(state, 0);
  const copy = mapping.copies[cell]?.get(state) ?? 0;
  mapping.copies[cell]?.set(state, 0);
  release(context, copy);
  const file = machine.files[mapping.object.file];
  if (isPrivateAnonymous(machine, mapping)) dropPage(context, file, fileCellOf(file, mapping, cell));
  if (context.telling) context.say("the page table entry is gone; the page of the file stays");
}

export const protectSteps = { change_vma: changeVma, zap_range: zapRange, mark_vma: markVma };
