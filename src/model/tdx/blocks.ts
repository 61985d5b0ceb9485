// Memory that alloc_frame(2M) gives: 512 pages at a 2 MB boundary, which the secure EPT can map by one entry of level 1. It is partitioned as all memory is:
// its frames stand for runs of pages that no call tells apart (common/memory_handlers/pamt_manager.c has the PAMT by size).

import { asU64 } from "../../base/units.ts";
import type { CallId, Operand } from "../../scenario/program.ts";
import type { Machine } from "../machine.ts";
import { NotModelled, objectOfOperand, PAGES_OF_BLOCK } from "../objects.ts";
import type { Block, PamtEntry, RestOfTable, SeptEntry, TdState, TdxState } from "./state.ts";
import { isLeafState, LEVEL, PT, SEPT } from "./tables.ts";

export function blockAt(tdx: TdxState, frame: number): Block | undefined {
  for (const block of tdx.blocks) if (frame >= block.first && frame < block.first + block.cells.count) return block;
  return undefined;
}

export const pageOf = (block: Block, page: number): number => block.first + block.cells.at(page);
/** How many pages of 4 KB a frame stands for. */
export const pagesOf = (block: Block, frame: number): number => block.cells.end(frame - block.first) - block.cells.start(frame - block.first);
export const framesOf = (block: Block): number[] => Array.from({ length: block.cells.count }, (_, cell) => block.first + cell);

/** The page that `name + offset` means, or undefined for a name alone: all that alloc_frame() gave. Throws NotModelled where the memory has no such page. */
export function pageInBlock({ objects, program }: Machine, id: CallId, operand: Operand | undefined): number | undefined {
  if (operand?.kind !== "handle" || operand.offset === 0n) return undefined;
  const { pages } = objects.drivers[objectOfOperand(program, objects.driverOf, operand) as number];
  const page = Number(asU64(operand.offset) >> 12n);
  if ((operand.offset & 4095n) !== 0n) throw new NotModelled(id, "the host works on whole pages here: write a multiple of 4K behind the name");
  if (page < pages) return page;
  throw new NotModelled(id, `what lies behind the ${pages === 1 ? "4 KB" : "2 MB"} of that name is not modelled`);
}

/** The frames of one page of a block, or of all of it; of other memory the one that there is. */
export function framesNamed({ tdx }: Machine, first: number, page: number | undefined): number[] {
  const block = tdx && blockAt(tdx, first);
  if (!block) return [first];
  return page === undefined ? framesOf(block) : [pageOf(block, page)];
}

/** The same in words. */
export function pagesText({ tdx }: Machine, first: number, page: number | undefined): string {
  const block = tdx && blockAt(tdx, first);
  if (!block) return `frame ${first}`;
  return page === undefined ? `the 2 MB at frame ${first}` : `frame ${pageOf(block, page)}`;
}

/** The PAMT entry at which a walk for the frame ends. */
export function pamtOf(tdx: TdxState, state: Int32Array, frame: number): PamtEntry {
  const block = tdx.blocks.length > 0 ? blockAt(tdx, frame) : undefined;
  return block?.pamt.type.get(state) === PT.REG ? block.pamt : tdx.pamt[frame];
}

/** An entry that maps 2 MB by itself. */
export const isLarge = (entry: SeptEntry, state: Int32Array): boolean => entry.level === LEVEL.PD && isLeafState(entry.state.get(state));

/** The PAMT entry of the page, of whichever size, or of the table that an entry names. */
export function pamtBehind(tdx: TdxState, state: Int32Array, entry: SeptEntry): PamtEntry {
  const frame = entry.frame.get(state);
  return (isLarge(entry, state) ? blockAt(tdx, frame)?.pamt : undefined) ?? tdx.pamt[frame];
}

/** The frame to which a leaf entry leads for a page that it covers. */
export function frameBehind(tdx: TdxState, state: Int32Array, entry: SeptEntry, gfn: number): number {
  const frame = entry.frame.get(state);
  const block = isLarge(entry, state) ? blockAt(tdx, frame) : undefined;
  return block ? pageOf(block, gfn % PAGES_OF_BLOCK) : frame;
}

/** The entry that maps a page, whatever stands above it: that of its 2 MB where it is a leaf, else that of level 0. */
export function leafEntry(td: TdState, state: Int32Array, gfn: number): SeptEntry | undefined {
  const large = td.entries[LEVEL.PD].get(Math.floor(gfn / PAGES_OF_BLOCK));
  return large && isLeafState(large.state.get(state)) ? large : td.entries[LEVEL.PT].get(gfn);
}

/** Entries of level 0 in the table behind one of level 1 that calls name, in their order. */
export function namedBehind(td: TdState, entry: SeptEntry): SeptEntry[] {
  const end = entry.gfn + 512 ** entry.level;
  return [...td.entries[entry.level - 1].values()].filter(({ gfn }) => gfn >= entry.gfn && gfn < end);
}

export const restBehind = (td: TdState, entry: SeptEntry): RestOfTable | undefined =>
  entry.level === LEVEL.PD ? td.rests.get(entry.gfn / PAGES_OF_BLOCK) : undefined;

/** Frames that unnamed entries of tables map, each with the TD's entry above them. */
export function unnamedFrames(tdx: TdxState, state: Int32Array, td: TdState): number[] {
  const frames: number[] = [];
  for (const [place, rest] of td.rests) {
    if (rest.state.get(state) === SEPT.FREE) continue;
    const block = blockAt(tdx, rest.first.get(state));
    if (!block) continue;
    for (let cell = 0; cell < block.cells.count; cell++) {
      if (!td.entries[LEVEL.PT].has(place * PAGES_OF_BLOCK + block.cells.start(cell))) frames.push(block.first + cell);
    }
  }
  return frames;
}
