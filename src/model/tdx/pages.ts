// What leaves do to pages and entries: the PAMT entry of a page that changes hands, the entry that names it, the lines of the hardware.

import { PAGES_OF_BLOCK } from "../objects.ts";
import { framesOf, pamtOf } from "./blocks.ts";
import { judgeHandOver, ownLines } from "./hardware.ts";
import type { LeafCall } from "./leaf.ts";
import type { Block, PamtEntry, SeptEntry, TdState } from "./state.ts";
import { type PageType, PT, SEPT, type SeptState } from "./tables.ts";

/** Index of the module's own key in `TdxState.keys`. */
export const GLOBAL_KEY = 0;

/** A page becomes the module's, for a TD; the root page of a TD has no owner. */
export function assignPage(call: LeafCall, frame: number, type: PageType, owner: TdState | undefined): void {
  const { state } = call;
  const key = owner ? owner.key.get(state) : GLOBAL_KEY;
  judgeHandOver(call.machine, state, frame, key);
  give(call, call.tdx.pamt[frame], type, owner, 1);
  // The module makes its own pages under a private key: its own for a TDR, else that of the TD. A page of a TD it writes only where the leaf says so.
  if (type !== PT.REG) ownLines(call.machine, state, frame, key);
}

/** All of a block becomes one page of a TD. */
export function assignBlock(call: LeafCall, block: Block, owner: TdState): void {
  for (const frame of framesOf(block)) judgeHandOver(call.machine, call.state, frame, owner.key.get(call.state));
  give(call, block.pamt, PT.REG, owner, PAGES_OF_BLOCK);
}

function give({ state }: LeafCall, entry: PamtEntry, type: PageType, owner: TdState | undefined, pages: number): void {
  entry.type.set(state, type);
  entry.owner.set(state, owner ? owner.object.index + 1 : 0);
  entry.bepoch.set(state, 0);
  if (owner) owner.chldcnt.set(state, owner.chldcnt.get(state) + pages);
}

/** The page is nobody's again; its content and its lines stay as they are (no leaf flushes or clears). BEPOCH means nothing until the next owner sets it. */
export function freePage(call: LeafCall, frame: number, owner: TdState | undefined): void {
  const { state, tdx } = call;
  const entry = pamtOf(tdx, state, frame);
  const pages = entry === tdx.pamt[frame] ? 1 : PAGES_OF_BLOCK;
  forgetPage(state, entry);
  if (owner) owner.chldcnt.set(state, owner.chldcnt.get(state) - pages);
}

function forgetPage(state: Int32Array, entry: PamtEntry): void {
  entry.type.set(state, PT.NDA);
  entry.owner.set(state, 0);
  entry.bepoch.set(state, 0);
}

/** pamt_demote: each of the pages of 4 KB has the type and the owner that the large page had, and no BEPOCH. */
export function splitPages({ state, tdx }: LeafCall, block: Block): void {
  const { type, owner } = block.pamt;
  for (const frame of framesOf(block)) {
    tdx.pamt[frame].type.set(state, type.get(state));
    tdx.pamt[frame].owner.set(state, owner.get(state));
    tdx.pamt[frame].bepoch.set(state, 0);
  }
  forgetPage(state, block.pamt);
}

/** pamt_promote: the large page has the type and the owner of its first one. What its BEPOCH was before is not asked until the next block sets it. */
export function joinPages({ state, tdx }: LeafCall, block: Block): void {
  const { type, owner } = tdx.pamt[block.first];
  block.pamt.type.set(state, type.get(state));
  block.pamt.owner.set(state, owner.get(state));
  for (const frame of framesOf(block)) forgetPage(state, tdx.pamt[frame]);
}

/** The whole entry is written, so that a mark of host priority which came meanwhile is lost. */
export function setEntry(call: LeafCall, entry: SeptEntry, state: SeptState, frame: number): void {
  entry.state.set(call.state, state);
  entry.frame.set(call.state, state === SEPT.FREE ? 0 : frame);
  entry.hostPriority.set(call.state, 0);
  entry.accepted?.set(call.state, 0);
}
