// fstat, fstatfs and mincore: what user space can see of an inode and of the page cache (mm/shmem.c shmem_getattr, fs/stat.c; mm/mincore.c;
// fs/hugetlbfs/inode.c; measured on 6.18.44).

import { asU64, isPageAligned, PAGE_SIZE, pageUp } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import type { Scope } from "../layout.ts";
import { AGAIN, type Context, type Machine, type Plan, type StepCode } from "../machine.ts";
import { intOf, NotModelled } from "../objects.ts";
import { descriptor, fileOperand, plan, ZERO } from "../plan.ts";
import { isMadeInaccessible, sizeOf } from "./file.ts";
import { mappedCells, TASK_SIZE } from "./mapping.ts";
import { addressOf, rangeOf } from "./protect.ts";
import { both, fileScope, mappingScope } from "./scopes.ts";
import { type FileState, fileCellOf, type MappingState } from "./state.ts";

/** Offsets in struct stat and struct statfs, by which `catalogue/constants.ts` names the fields. */
const STAT = { nlink: 16n, mode: 24n, uid: 28n, size: 48n, blksize: 56n, blocks: 64n } as const;
const STATFS = { type: 0n, bsize: 8n } as const;
const S_IFREG = 0o100000n;
const TMPFS_MAGIC = 0x01021994n;
const HUGETLBFS_MAGIC = 0x958458f6n;
const ANON_INODE_FS_MAGIC = 0x09041934n;

const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];

/** fstat(fd, field), fstatfs(fd, field). */
export function planLook(machine: Machine, id: CallId, call: Call): Plan {
  const field = intOf(call, id, 1);
  const file = fileOperand(machine, id, call.operands[0]);
  const object = machine.objects.files[file ?? -1];
  const isShim = object !== undefined && isMadeInaccessible(machine, object) && (object.restricted === true || machine.features.marker === "shim");
  if (isShim) throw new NotModelled(id, `${call.spec} of the inode that wraps an inaccessible file is not modelled`);
  const known: readonly bigint[] = Object.values(call.spec === "fstat" ? STAT : STATFS);
  if (!known.includes(field)) throw new NotModelled(id, `this field of ${call.spec} is not modelled`);
  if (call.spec === "fstatfs" && object?.kind === "guest_memfd" && machine.features.gmem_inode !== "anonymous")
    throw new NotModelled(id, "the file system that guest_memfd has of its own in this release is not modelled");
  return plan(id, call, {
    operations: [call.spec],
    success: ZERO,
    file: file ?? -1,
    data: field,
    reads: ["handle"],
    scope: () => fileScope(machine, call, file),
    decode: (context) => descriptor(machine, context, call.operands[0]),
  });
}

/** generic_fillattr: no lock, each field by itself. */
const readAttributes: StepCode = {
  reads: ["file", "size", "page"],
  writes: [],
  jumps: [],
  run(context) {
    const value = attribute(context, fileOf(context), context.plan.data as bigint);
    context.say("reads the attributes of the inode");
    return context.done({ kind: "value", value });
  },
};

function attribute(context: Context, file: FileState, field: bigint): bigint {
  const { machine, state } = context;
  const { huge, kind } = file.object;
  switch (field) {
    case STAT.mode:
      return S_IFREG | BigInt(file.mode.get(state));
    case STAT.size:
      return sizeOf(machine, state, file);
    case STAT.uid:
      return machine.setting("uid");
    case STAT.nlink:
      return kind === "guest_memfd" ? 1n : 0n;
    case STAT.blksize:
      return 1n << BigInt(huge ?? 12);
    default:
      // guest_memfd does not count its pages.
      return kind === "guest_memfd" ? 0n : heldPages(state, file) * (PAGE_SIZE / 512n);
  }
}

function heldPages(state: Int32Array, { cells, frames }: FileState): bigint {
  let pages = 0;
  frames.forEach((field, cell) => void (field.get(state) > 0 && (pages += cells.end(cell) - cells.start(cell))));
  return BigInt(pages);
}

const readFileSystem: StepCode = {
  reads: ["file"],
  writes: [],
  jumps: [],
  run(context) {
    const { huge, kind } = fileOf(context).object;
    const magic = kind === "guest_memfd" ? ANON_INODE_FS_MAGIC : huge === undefined ? TMPFS_MAGIC : HUGETLBFS_MAGIC;
    context.say("reads the super block");
    return context.done({ kind: "value", value: context.plan.data === STATFS.type ? magic : 1n << BigInt(huge ?? 12) });
  },
};

/** Pages that one mincore may ask about here: a digit of the answer each. */
const MAX_PAGES = 64n;

interface Incore {
  readonly mapping: number;
}

/** mincore(addr, length): a digit for each page, 1 where it is there. */
export function planIncore(machine: Machine, id: CallId, call: Call): Plan {
  const range = rangeOf(machine, id, call);
  const mapping = range.mapping === undefined ? undefined : machine.mappings[range.mapping];
  const pages = pageUp(range.length) >> 12n;
  if (mapping && pages > MAX_PAGES && range.length <= TASK_SIZE) throw new NotModelled(id, `mincore of more than ${MAX_PAGES} pages is not modelled`);
  const plain = mapping !== undefined && range.length > 0n && range.length <= TASK_SIZE && isPageAligned(range.from);
  const cells = plain ? mappedCells(mapping, range.from, pageUp(range.length)) : [];
  return plan(id, call, {
    operations: ["mincore"],
    success: { kind: "text", text: "" },
    file: mapping?.object.file ?? -1,
    cells,
    data: { mapping: range.mapping ?? -1 } satisfies Incore,
    reads: ["handle"],
    scope: () => incoreScope(machine, call, range.mapping),
    decode(context) {
      const address = addressOf(machine, context, call, range);
      if (!isPageAligned(address)) return "EINVAL";
      // access_ok: the range lies in user space.
      if (range.length > TASK_SIZE || asU64(address) + range.length > TASK_SIZE) return "ENOMEM";
      if (range.length === 0n) return { kind: "text", text: "" };
      return mapping === undefined || address !== range.from || range.beyond ? "ENOMEM" : undefined;
    },
  });
}

/** The mapping, and the page cache of the file behind it. */
function incoreScope(machine: Machine, call: Call, index: number | undefined): Scope {
  const file = index === undefined ? undefined : machine.mappings[index].object.file;
  return both(mappingScope(machine, call, undefined, index), fileScope(machine, call, file));
}

/**
 * fork copies page tables of a VMA that has an anon_vma, which its first store makes (vma_needs_copy, vmf_anon_prepare); neighbouring VMAs may be one. So where
 * nothing but zeroes is in the memory of a child, it may have no entry for a page that was only read.
 */
function checkCopied({ machine, state, plan }: Context, mapping: MappingState): void {
  const { anonymous, root, index } = mapping.object;
  if (anonymous !== true || root === index) return;
  const written = mapping.copies.some((copy) => machine.frames[copy?.get(state) ?? 0].content.some((bytes) => bytes.get(state) !== 0));
  if (!written) throw new NotModelled(plan.id, "which pages of a child are there that nobody has stored anything but zeroes to is not modelled");
}

/** Page by page: a page table entry, or a page in the cache that is up to date (mincore_page); one that was allocated and never used is not. */
const lookAtPages: StepCode = {
  reads: ["pte", "page", "uptodate", "content"],
  writes: [],
  jumps: [],
  run(context) {
    const { machine, state, thread } = context;
    const mapping = machine.mappings[(context.plan.data as Incore).mapping];
    const cell = context.cell;
    if (mapping.mapped[cell].get(state) === 0) return context.fail("ENOMEM");
    const file = machine.files[mapping.object.file];
    const fileCell = fileCellOf(file, mapping, cell);
    const inCache = file.frames[fileCell].get(state) > 0 && file.uptodate[fileCell].get(state) === 1;
    const there = (mapping.ptes[cell]?.get(state) ?? 0) > 0 || inCache;
    if (there && !inCache) checkCopied(context, mapping);
    const number = thread.answer.get(state);
    const before = number > 0 ? machine.results.result(number - 1) : undefined;
    const digits = (there ? "1" : "0").repeat(mapping.cells.end(cell) - mapping.cells.start(cell));
    const text = `${before?.kind === "text" ? before.text : ""}${digits}`;
    context.say(there ? "the page is there" : "the page is not there");
    if (context.cursor + 1 === context.plan.cells.length) return context.done({ kind: "text", text });
    context.remember({ kind: "text", text });
    thread.cursor.set(state, context.cursor + 1);
    return AGAIN;
  },
};

export const lookSteps = { read_attributes: readAttributes, read_file_system: readFileSystem, look_at_pages: lookAtPages };
