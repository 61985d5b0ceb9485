// State of files, mappings and frames: where each word is, and the questions that more than one operation asks of it.

import type { Cells } from "../cells.ts";
import { VALUES_MAX } from "../intern.ts";
import type { Field, Layout } from "../layout.ts";
import type { FileObject, MappingObject } from "../objects.ts";

export const SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE_WRITE: 16, INACCESSIBLE: 32 } as const;

/** struct inode and its address_space. */
export interface FileState {
  readonly object: FileObject;
  readonly cells: Cells;
  /** 1 from the step that installs it in a descriptor table. */
  readonly installed: Field;
  /** i_size, interned. */
  readonly size: Field;
  /** Offset of the open file description, interned. */
  readonly position: Field;
  /** shmem_inode_info->seals. */
  readonly seals: Field;
  /** 1 where the inode is a shim that has no read, write or mmap (v8). */
  readonly shim: Field;
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
}

/** A VMA and its page-table entries. */
export interface MappingState {
  readonly object: MappingObject;
  readonly cells: Cells;
  /** By cell: 1 while the VMA covers it. */
  readonly mapped: readonly Field[];
  /** VM_MAYWRITE of a shared mapping. */
  readonly mayWrite: Field;
  /** By cell of one page: the frame in the PTE, 0 for none. */
  readonly ptes: readonly (Field | undefined)[];
  /** By cell of one page of a private mapping: the copy made on write. */
  readonly copies: readonly (Field | undefined)[];
}

/** struct page: content by byte range, and what is known of its past. */
export interface FrameState {
  readonly content: readonly Field[];
  /** A guest wrote it through a private mapping since it was allocated. */
  readonly tainted: Field;
}

/** Content of a byte range: a byte, or with `LEFT` a byte that was there before the frame's present allocation, or `FOUND`: bytes nobody in the scenario wrote. */
export const FOUND = 256;
export const LEFT = 512;
const CONTENT_MAX = LEFT | 255;

export function fileState(layout: Layout, object: FileObject, cells: Cells, frames: number, actors: number): FileState {
  const file = (max: number): Field => layout.field("file", max);
  const page = (max: number): Field => layout.field("page", max);
  const each = Array.from({ length: cells.count }, (_, cell) => cell);
  return {
    object,
    cells,
    installed: file(1),
    size: file(VALUES_MAX),
    position: file(VALUES_MAX),
    seals: file(63),
    shim: file(1),
    lock: file(actors),
    shimLock: file(actors),
    hole: file(actors),
    denied: file(1),
    frames: each.map((cell) => page(cells.single(cell) ? frames : 1)),
    uptodate: each.map(() => page(1)),
    folios: each.map(() => page(actors)),
  };
}

export function mappingState(layout: Layout, object: MappingObject, cells: Cells, frames: number): MappingState {
  const each = Array.from({ length: cells.count }, (_, cell) => cell);
  const single =
    (region: "pte" | "page") =>
    (cell: number): Field | undefined =>
      cells.single(cell) ? layout.field(region, frames) : undefined;
  return {
    object,
    cells,
    mayWrite: layout.field("pte", 1),
    mapped: each.map(() => layout.field("pte", 1)),
    ptes: each.map(single("pte")),
    copies: object.shared ? each.map(() => undefined) : each.map(single("page")),
  };
}

export function frameState(layout: Layout, ranges: number): FrameState {
  return { content: Array.from({ length: ranges }, () => layout.field("content", CONTENT_MAX)), tainted: layout.field("content", 1) };
}

/** The file cell behind a mapping's cell. */
export function fileCellOf(file: FileState, mapping: MappingState, cell: number): number {
  return file.cells.at(mapping.cells.start(cell) + mapping.object.filePage);
}
