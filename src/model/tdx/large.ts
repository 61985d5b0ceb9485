// Leaves that join 512 pages into a larger one and split it again (tdh_mem_page_promote.c, tdh_mem_page_demote.c). Both look for a pending interrupt before
// they change anything, and answer that they can be called again.

import type { TdxStatus } from "../../base/tdx-status.ts";
import { PAGES_OF_BLOCK } from "../objects.ts";
import { blockAt, namedBehind, pageOf, restBehind } from "./blocks.ts";
import { blocked, entryStateOf, joinedPages, mappedPage, newPage, toLeafEntry, tracked } from "./checks.ts";
import { directLines } from "./hardware.ts";
import { busy, type Check, type Leaf, type LeafCall, type Locking } from "./leaf.ts";
import { assignPage, freePage, joinPages, setEntry, splitPages } from "./pages.ts";
import { change, UNBLOCKED_STATE } from "./sept.ts";
import type { Block, SeptEntry } from "./state.ts";
import { LEVEL, PT, SEPT, type SeptState } from "./tables.ts";

const RESTARTABLE: TdxStatus = { status: "TDX_INTERRUPTED_RESTARTABLE" };
const NOT_ALIKE: TdxStatus = { status: "TDX_EPT_INVALID_PROMOTE_CONDITIONS", operand: "RCX" };

/** A free choice on a machine with interrupts. */
const isInterrupted = (call: LeafCall): boolean => call.machine.setting("interrupts") === 1n && call.context.pick(2) === 1;

const childrenOf = (call: LeafCall): SeptEntry[] => namedBehind(call.theTd, call.theEntry);

/** The block that the pages behind a table of level 0 make up, as far as its first entry says. Nothing that a scenario has is aligned to 1 GB. */
function blockBehind(call: LeafCall): Block | undefined {
  if (!call.entry || !call.td || call.entry.level !== LEVEL.PD) return undefined;
  const first = childrenOf(call)[0]?.frame.get(call.state) ?? 0;
  const block = blockAt(call.tdx, first);
  return block?.first === first ? block : undefined;
}

/** sept_lock_acquire_host of one entry of the table. */
function lockChild(call: LeafCall, child: SeptEntry): TdxStatus | undefined {
  if (!call.take(child.lock, "exclusive")) {
    child.hostPriority.set(call.state, 1);
    return busy("RCX");
  }
  child.hostPriority.set(call.state, 0);
  return undefined;
}

/**
 * is_sept_page_valid_for_merge: entry by entry, each is locked and then held against the first one, which has to be mapped or pending and aligned. An entry
 * that no call names is like its neighbours in the rest of the table, which nobody locks.
 */
function joinable(call: LeafCall): TdxStatus | undefined {
  const { state } = call;
  const children = childrenOf(call);
  const rest = restBehind(call.theTd, call.theEntry);
  const [first] = children;
  let next = call.theEntry.gfn;
  const block = blockBehind(call);
  const like = first?.state.get(state);
  // All pages of an unnamed run lie where the split has put them.
  const restFits = (): boolean => rest !== undefined && block !== undefined && rest.state.get(state) === like && rest.first.get(state) === block.first;
  for (const child of children) {
    if (child.gfn !== next && !restFits()) return NOT_ALIKE;
    next = child.gfn + 512 ** child.level;
    const refused = lockChild(call, child);
    if (refused) return refused;
    const is = child.state.get(state);
    if (child === first && (block === undefined || (is !== SEPT.MAPPED && is !== SEPT.PENDING))) return NOT_ALIKE;
    if (is !== like || !block || child.frame.get(state) !== pageOf(block, child.gfn % PAGES_OF_BLOCK)) return NOT_ALIKE;
  }
  return next !== call.theEntry.gfn + 512 ** call.theEntry.level && !restFits() ? NOT_ALIKE : undefined;
}

const alike: Check = {
  what: "its 512 entries, locked one by one: mapped or pending, all alike, their pages neighbours from an aligned one on",
  answers: [busy("RCX"), NOT_ALIKE],
  test: joinable,
  holds: (call) => childrenOf(call).map((child): Locking => ({ lock: child.lock, mode: "exclusive" })),
};

const pagePromote: Leaf = {
  name: "TDH.MEM.PAGE.PROMOTE",
  number: 23,
  checks: [
    ...toLeafEntry("TDH.MEM.PAGE.PROMOTE", "shared", "shared", LEVEL.PD, LEVEL.PDPT),
    mappedPage(),
    blocked,
    tracked(),
    alike,
    joinedPages((call) => blockBehind(call)?.first ?? 0),
  ],
  interruptions: [RESTARTABLE],
  writes: ["td", "sept", "pamt"],
  commit(call) {
    const { state, theTd: td, mapped: table } = call;
    if (isInterrupted(call)) return RESTARTABLE;
    const block = call.checked(blockBehind(call));
    const children = childrenOf(call);
    const to = children[0].state.get(state) as SeptState;
    joinPages(call, block);
    change(call, to, block.first);
    for (const child of children) setEntry(call, child, SEPT.FREE, 0);
    const rest = restBehind(td, call.theEntry);
    rest?.state.set(state, SEPT.FREE);
    rest?.first.set(state, 0);
    freePage(call, table, td);
    call.output = table;
    call.say(`512 pages are one of 2 MB; the table, frame ${table}, is the host's again`);
    return undefined;
  },
};

/** The table is filled, past the cache, before the last that may stop the leaf: the host has its page back with lines that are not its own. */
const leaveTable = ({ machine, state, registers }: LeafCall): void => directLines(machine, state, registers.page as number);

const pageDemote: Leaf = {
  name: "TDH.MEM.PAGE.DEMOTE",
  number: 15,
  checks: [
    ...toLeafEntry("TDH.MEM.PAGE.DEMOTE", "shared", "shared", LEVEL.PD, LEVEL.PDPT),
    blocked,
    tracked(),
    ...newPage("R8"),
    { ...joinedPages((call) => call.mapped), contended: leaveTable },
  ],
  interruptions: [RESTARTABLE],
  acquires: ["content"],
  writes: ["td", "sept", "pamt", "content"],
  commit(call) {
    const { state, theTd: td, theEntry: entry } = call;
    if (isInterrupted(call)) {
      leaveTable(call);
      return RESTARTABLE;
    }
    const block = call.checked(blockAt(call.tdx, call.mapped));
    const table = call.registers.page as number;
    const from = entryStateOf(call);
    const to = UNBLOCKED_STATE.get(from) ?? (from as SeptState);
    splitPages(call, block);
    for (const child of childrenOf(call)) setEntry(call, child, to, pageOf(block, child.gfn % PAGES_OF_BLOCK));
    const rest = restBehind(td, entry);
    rest?.state.set(state, to);
    rest?.first.set(state, block.first);
    change(call, SEPT.NL_MAPPED, table);
    assignPage(call, table, PT.EPT, td);
    call.say(`the page of 2 MB is 512 pages now, behind the table in frame ${table}`);
    return undefined;
  },
};

export const largeLeaves: readonly Leaf[] = [pagePromote, pageDemote];
