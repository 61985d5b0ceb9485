// hugetlbfs as a memfd has it: pages of one size from a pool of the machine, an offset of its own making, and content that is always zero, for it has no write
// method and no mapping here gets a page (fs/hugetlbfs/inode.c; fs/read_write.c default_llseek; measured on 6.18.44).

import type { Errno } from "../../base/errno.ts";
import { S64_MAX } from "../../base/units.ts";
import type { Context, Machine } from "../machine.ts";
import { CutNeeded } from "../refine.ts";
import type { FileState } from "./state.ts";

export const isHuge = (file: FileState | undefined): boolean => file?.object.huge !== undefined;

/** Base pages of a huge page of the file. */
const pagesPerHuge = (file: FileState): number => 2 ** ((file.object.huge ?? 12) - 12);

/** Pages in the pool of a size: `machine { hugepages_2M = N }`. */
export function poolOf(machine: Machine, huge: number): bigint {
  return huge === 21 ? machine.setting("hugepages_2M") : huge === 30 ? machine.setting("hugepages_1G") : 0n;
}

/** Huge pages of the file's size that nobody holds. */
function left(machine: Machine, state: Int32Array, file: FileState): number {
  let held = 0;
  for (const other of machine.files) {
    if (other.object.huge !== file.object.huge) continue;
    other.frames.forEach((field, cell) => void (field.get(state) > 0 && (held += other.cells.end(cell) - other.cells.start(cell))));
  }
  return Number(poolOf(machine, file.object.huge ?? 12)) - held / pagesPerHuge(file);
}

/** One cell of an allocation; false where the pool has no page left. What was added before it stays. */
export function takeHuge(context: Context, file: FileState, cell: number): boolean {
  const { machine, state } = context;
  if (file.frames[cell].get(state) > 0) return true;
  const wanted = (file.cells.end(cell) - file.cells.start(cell)) / pagesPerHuge(file);
  const free = left(machine, state, file);
  if (free <= 0) return false;
  // Some of its pages would fit: they are told apart from here on.
  if (free < wanted) throw new CutNeeded(file.cells.space, file.cells.start(cell) + free * pagesPerHuge(file));
  file.frames[cell].set(state, 1);
  file.uptodate[cell].set(state, 1);
  if (context.telling) context.say(`${wanted} huge ${wanted === 1 ? "page" : "pages"} of the pool, cleared`);
  return true;
}

/** The range in base pages that fallocate works on: outward for an allocation, inward for a hole; what a hole covers in part stays, and is zero already. */
export function hugeRange(file: FileState, offset: bigint, end: bigint, punch: boolean): { from: number; to: number } {
  const size = 1n << BigInt(file.object.huge ?? 12);
  const [down, up] = [(value: bigint): bigint => value - (value % size), (value: bigint): bigint => value + ((size - (value % size)) % size)];
  const [from, to] = punch ? [up(offset), down(end)] : [down(offset), up(end)];
  return { from: Number(from >> 12n), to: Number((to < from ? from : to) >> 12n) };
}

const SEEK = { SET: 0, CUR: 1, END: 2, DATA: 3 } as const;

/** default_llseek: everything up to the end is data, and an offset is not looked at before the sum is. */
export function hugeSeek(from: bigint, offset: bigint, whence: number, size: bigint): bigint | Errno {
  if (whence === SEEK.SET) return offset;
  if (whence === SEEK.CUR) return wrapped(from + offset);
  if (whence === SEEK.END) return wrapped(size + offset);
  if (offset >= size) return "ENXIO";
  return whence === SEEK.DATA ? offset : size;
}

const wrapped = (sum: bigint): bigint => (sum > S64_MAX ? -1n : sum);
