// State of files, mappings and frames: where each word is, and the questions that more than one operation asks of it.

import type { Call, CallId, HandleId, Program } from "../../scenario/program.ts";
import type { Cells } from "../cells.ts";
import { VALUES_MAX } from "../intern.ts";
import { type GmemState, gmemState } from "../kvm/gmem-state.ts";
import type { Field, Layout } from "../layout.ts";
import { type FileObject, handleOf, type MappingObject, type Objects, type OpenObject } from "../objects.ts";

export const SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE_WRITE: 16, INACCESSIBLE: 32, EXEC: 32 } as const;

/** Protection bits of a VMA, as mmap takes them. */
export const PROT = { READ: 1, WRITE: 2, EXEC: 4 } as const;

/** SHM_F_INACCESSIBLE (v5), USER_INACCESSIBLE (v6, v7); UNMOVABLE and UNRECLAIMABLE come together, with the first binding (v6 1/8). */
export const MARK = { INACCESSIBLE: 1, PINNED: 2 } as const;

/** Commands of fcntl on the flags of descriptors and open files. */
export const FCNTL = { GETFD: 1n, SETFD: 2n, GETFL: 3n, SETFL: 4n } as const;

/** struct inode and its address_space. */
export interface FileState {
  readonly object: FileObject;
  readonly cells: Cells;
  /** 1 from the step that installs it in a descriptor table. */
  readonly installed: Field;
  /** i_size, interned. */
  readonly size: Field;
  /** shmem_inode_info->seals. */
  readonly seals: Field;
  /** Bits of the seal word that make the file inaccessible; 0 in a kernel that has no such seal. */
  readonly inaccessibleSeal: number;
  /** Permission bits of i_mode. */
  readonly mode: Field;
  /** 1 where the inode is a shim that has no read, write or mmap (v8). */
  readonly shim: Field;
  /** Flags outside the seal word that mark the file: `MARK` (v5 to v7). */
  readonly marked: Field;
  /** inode rwsem: 0 or 1 + actor. */
  readonly lock: Field;
  /** The rwsem of v8's shim inode. */
  readonly shimLock: Field;
  /** inode->i_private of a punch in progress: 1 + the actor that announced it. */
  readonly hole: Field;
  /** i_mmap_writable denied (F_SEAL_WRITE). */
  readonly denied: Field;
  /** By cell: the frame in the page cache, 0 for none; for a cell of several pages 1 = all of them are there. */
  readonly frames: readonly Field[];
  readonly uptodate: readonly Field[];
  /** Folio lock: 0 or 1 + actor. */
  readonly folios: readonly Field[];
  /** Of a guest_memfd. */
  readonly gmem: GmemState | undefined;
}

/** struct file. */
export interface OpenState {
  readonly object: OpenObject;
  /** f_pos, interned. */
  readonly position: Field;
}

/** What F_SETFD and F_SETFL can change, where some call does: whether it is otherwise than its opening left it. */
export interface DescriptorFlags {
  readonly closeOnExec: ReadonlyMap<HandleId, Field>;
  /** By struct file: O_APPEND and O_NONBLOCK as bits 0 and 1. */
  readonly status: ReadonlyMap<number, Field>;
}

/** A VMA and its page-table entries. */
export interface MappingState {
  readonly object: MappingObject;
  readonly cells: Cells;
  /** By cell: 1 while the VMA covers it. */
  readonly mapped: readonly Field[];
  /** VM_MAYWRITE. */
  readonly mayWrite: Field;
  /** By cell: PROT_ bits, where some mprotect changes them. */
  readonly prots: readonly Field[] | undefined;
  /** By cell: VM_DONTCOPY, where some madvise sets it and processes fork. */
  readonly uncopied: readonly Field[] | undefined;
  /** By cell of one page: the frame in the PTE, 0 for none. */
  readonly ptes: readonly (Field | undefined)[];
  /** By cell of one page of a private mapping: the copy made on write. */
  readonly copies: readonly (Field | undefined)[];
  /** The same mapping in parents and children: what a private one held at the fork belongs to all of them. */
  readonly kin: MappingState[];
}

/** struct page: content by byte range, and what is known of its past. */
export interface FrameState {
  readonly content: readonly Field[];
  /** A guest wrote it through a private mapping since it was allocated. */
  readonly tainted: Field;
}

/**
 * Content of a byte range: a byte, or with `LEFT` a byte that was there before the frame's present allocation, or `FOUND`: bytes nobody in the scenario wrote.
 */
export const FOUND = 256;
export const LEFT = 512;
const CONTENT_MAX = LEFT | 255;

export function fileState(layout: Layout, object: FileObject, cells: Cells, frames: number, actors: number, inaccessibleSeal: number): FileState {
  const name = `file ${object.index}`;
  const at = (cell: number): string => `${name} cell ${cell}`;
  const each = Array.from({ length: cells.count }, (_, cell) => cell);
  return {
    object,
    cells,
    installed: layout.field("file", 1, `installed ${name}`),
    size: layout.field("size", VALUES_MAX, name),
    seals: layout.field("file", 63, `seals ${name}`),
    inaccessibleSeal,
    mode: layout.field("file", 0o7777, `mode ${name}`),
    shim: layout.field("file", 1, `shim ${name}`),
    marked: layout.field("file", 3, `marked ${name}`),
    lock: layout.actorField("lock", actors, `inode ${name}`),
    shimLock: layout.actorField("lock", actors, `shim ${name}`),
    hole: layout.actorField("hole", actors, name),
    denied: layout.field("file", 1, `denied ${name}`),
    frames: each.map((cell) => layout.field("page", cells.single(cell) ? frames : 1, at(cell))),
    uptodate: each.map((cell) => layout.field("uptodate", 1, at(cell))),
    folios: each.map((cell) => layout.actorField("lock", actors, `folio ${at(cell)}`)),
    gmem: gmemState(layout, object, actors),
  };
}

/** The file of a `frame(fd, offset)` that a call names. */
export const fileOfFrame = (program: Program, objects: Objects, call: Call): number | undefined => {
  const [target] = call.operands;
  return target?.kind === "frame" ? objects.fileOf.get(program.handles[target.handle].call) : undefined;
};

/** By file with such an error, and by cell: whether its page has one. */
export function poisonedPages(layout: Layout, program: Program, objects: Objects, cells: readonly Cells[]): ReadonlyMap<number, readonly Field[]> {
  const pages = new Map<number, readonly Field[]>();
  for (const call of program.calls) {
    const file = call.spec === "poison" ? fileOfFrame(program, objects, call) : undefined;
    if (file === undefined || pages.has(file)) continue;
    pages.set(
      file,
      Array.from({ length: cells[file].count }, (_, cell) => layout.field("page", 1, `file ${file} cell ${cell}`)),
    );
  }
  return pages;
}

export function openState(layout: Layout, object: OpenObject): OpenState {
  return { object, position: layout.field("position", VALUES_MAX, `open ${object.index}`) };
}

export function descriptorFlags(layout: Layout, objects: Objects, calls: readonly Call[], handles: readonly { readonly call: CallId }[]): DescriptorFlags {
  const closeOnExec = new Map<HandleId, Field>();
  const status = new Map<number, Field>();
  for (const { spec, operands } of calls) {
    const [target, command] = operands;
    const handle = spec === "fcntl" ? handleOf(target) : undefined;
    if (handle === undefined || command?.kind !== "int") continue;
    const open = objects.openOf.get(handles[handle].call);
    const number = BigInt.asUintN(32, command.value);
    if (number === FCNTL.SETFD && !closeOnExec.has(handle)) closeOnExec.set(handle, layout.field("handle", 1, `${handle}`));
    if (number === FCNTL.SETFL && open !== undefined && !status.has(open)) status.set(open, layout.field("position", 3, `open ${open}`));
  }
  return { closeOnExec, status };
}

export function mappingState(layout: Layout, object: MappingObject, cells: Cells, frames: number): MappingState {
  const each = Array.from({ length: cells.count }, (_, cell) => cell);
  const at = (cell: number): string => `map ${object.index} cell ${cell}`;
  const single =
    (region: "pte" | "page") =>
    (cell: number): Field | undefined =>
      cells.single(cell) ? layout.field(region, frames, at(cell)) : undefined;
  return {
    object,
    cells,
    mayWrite: layout.field("pte", 1, `map ${object.index}`),
    prots: object.reprotected ? each.map((cell) => layout.field("pte", 7, at(cell))) : undefined,
    uncopied: object.unforked ? each.map((cell) => layout.field("pte", 1, at(cell))) : undefined,
    mapped: each.map((cell) => layout.field("pte", 1, at(cell))),
    ptes: each.map(single("pte")),
    copies: object.shared ? each.map(() => undefined) : each.map(single("page")),
    kin: [],
  };
}

export function linkKin(mappings: readonly MappingState[]): readonly MappingState[] {
  for (const copy of mappings) {
    const root = mappings[copy.object.root];
    if (copy === root) continue;
    for (const other of [root, ...root.kin]) other.kin.push(copy);
    copy.kin.push(root, ...root.kin.filter((other) => other !== copy));
  }
  return mappings;
}

/** PageAnonExclusive: nobody else has the page that a private mapping holds at a cell. */
export function isAlone(state: Int32Array, mapping: MappingState, cell: number): boolean {
  const own = mapping.copies[cell]?.get(state);
  for (const other of mapping.kin) if (own !== 0 && other.copies[cell]?.get(state) === own) return false;
  return true;
}

export function frameState(layout: Layout, ranges: number): FrameState {
  return { content: Array.from({ length: ranges }, () => layout.field("content", CONTENT_MAX)), tainted: layout.field("content", 1) };
}

/** Zeroes the bytes of a frame; what the hardware keeps of its lines is another matter (tdx/hardware.ts). */
export function clearBytes(state: Int32Array, frame: FrameState): void {
  for (const field of frame.content) field.set(state, 0);
}

/** PROT_ bits of a mapping's cell. */
export function protOf(state: Int32Array, mapping: MappingState, cell: number): number {
  return mapping.prots?.[cell]?.get(state) ?? mapping.object.prot;
}

/** PROT_WRITE without PROT_READ can be read all the same. */
export const permits = (prot: number, store: boolean): boolean => (prot & (store ? 2 : 3)) !== 0;

/** A store reaches the frame that the PTE of this page names, without a copy. */
export function isWritable(state: Int32Array, mapping: MappingState, page: number): boolean {
  const cell = mapping.cells.at(page);
  if (!(protOf(state, mapping, cell) & PROT.WRITE)) return false;
  return mapping.object.shared || (mapping.copies[cell]?.get(state) === mapping.ptes[cell]?.get(state) && isAlone(state, mapping, cell));
}

/** The file cell behind a mapping's cell. */
export function fileCellOf(file: FileState, mapping: MappingState, cell: number): number {
  return file.cells.at(mapping.cells.start(cell) + mapping.object.filePage);
}
