// What leaves do to pages and entries: the PAMT entry of a page that changes hands, the entry that names it, the lines of the hardware.

import { judgeHandOver, ownLines } from "./hardware.ts";
import type { LeafCall } from "./leaf.ts";
import type { SeptEntry, TdState } from "./state.ts";
import { type PageType, PT, SEPT, type SeptState } from "./tables.ts";

/** Index of the module's own key in `TdxState.keys`. */
export const GLOBAL_KEY = 0;

/** A page becomes the module's, for a TD; the root page of a TD has no owner. */
export function assignPage(call: LeafCall, frame: number, type: PageType, owner: TdState | undefined): void {
  const { state, tdx } = call;
  const entry = tdx.pamt[frame];
  const key = owner ? owner.key.get(state) : GLOBAL_KEY;
  judgeHandOver(call.machine, state, frame, key);
  entry.type.set(state, type);
  entry.owner.set(state, owner ? owner.object.index + 1 : 0);
  entry.bepoch.set(state, 0);
  if (owner) owner.chldcnt.set(state, owner.chldcnt.get(state) + 1);
  // The module makes its own pages under a private key: its own for a TDR, else that of the TD. A page of a TD it writes only where the leaf says so.
  if (type !== PT.REG) ownLines(call.machine, state, frame, key);
}

/** The page is nobody's again; its content and its lines stay as they are (no leaf flushes or clears). BEPOCH means nothing until the next owner sets it. */
export function freePage(call: LeafCall, frame: number, owner: TdState | undefined): void {
  const entry = call.tdx.pamt[frame];
  entry.type.set(call.state, PT.NDA);
  entry.owner.set(call.state, 0);
  entry.bepoch.set(call.state, 0);
  if (owner) owner.chldcnt.set(call.state, owner.chldcnt.get(call.state) - 1);
}

/** The whole entry is written, so that a mark of host priority which came meanwhile is lost. */
export function setEntry(call: LeafCall, entry: SeptEntry, state: SeptState, frame: number): void {
  entry.state.set(call.state, state);
  entry.frame.set(call.state, state === SEPT.FREE ? 0 : frame);
  entry.hostPriority.set(call.state, 0);
}
