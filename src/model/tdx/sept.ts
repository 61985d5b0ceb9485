// Leaves that work on the secure EPT and its pages (vmm_dispatcher/api_calls/tdh_mem_*.c, tdh_mr_extend.c); those that join and split pages are in large.ts.

import type { TdxStatus } from "../../base/tdx-status.ts";
import { formatAddress } from "../../base/units.ts";
import { NotModelled } from "../objects.ts";
import { blockAt, frameBehind, namedBehind, pamtBehind, restBehind } from "./blocks.ts";
import {
  ask,
  blocked,
  entryState,
  entryStateOf,
  freeRange,
  gfnOfCall,
  liveTd,
  mappedPage,
  newPage,
  pageInfo,
  privateGpa,
  tdrOperand,
  toEntry,
  toLeafEntry,
  tracked,
  walk,
  walkTo,
} from "./checks.ts";
import { copyPage, MODULE_MACHINE_CHECK } from "./hardware.ts";
import { expectNothing, expectPage } from "./integrity.ts";
import { type Check, type Leaf, type LeafCall, MALFORMED } from "./leaf.ts";
import { assignBlock, assignPage, freePage, setEntry } from "./pages.ts";
import { LINE } from "./state.ts";
import { isLeafState, LEVEL, PT, SEPT, SEPT_NAMES, type SeptState } from "./tables.ts";

const gpaText = (call: LeafCall): string => `gpa ${formatAddress(BigInt(gfnOfCall(call)) << 12n)}`;

/** Writes the entry and tells it. */
export function change(call: LeafCall, to: SeptState, frame: number): void {
  const was = entryStateOf(call);
  const from = SEPT_NAMES[was];
  setEntry(call, call.theEntry, to, frame);
  if (to === SEPT.FREE && isLeafState(was)) expectNothing(call.state, call.theTd, call.theEntry);
  const where = call.theEntry.level === LEVEL.PT ? gpaText(call) : `the entry of level ${call.theEntry.level} of ${gpaText(call)}`;
  call.say(`${where}: ${from} becomes ${SEPT_NAMES[to]}${to === SEPT.FREE ? "" : `, frame ${frame}`}`);
}

/** Version 0 takes the page only for a free entry; a table that is there already is an answer of later versions with a flag. */
const entryFree: Check = ask("the entry is free", { status: "TDX_EPT_ENTRY_STATE_INCORRECT", operand: "RCX" }, (call) => entryStateOf(call) !== SEPT.FREE);

/** NULL_PA, which says that there is no new page: an answer of later versions as well, and looked at before the table that is there already. */
const NO_PAGE = (1n << 64n) - 1n;
const givenPage: Check = ask("the page in R8 is not all ones", { status: "TDX_OPERAND_INVALID", operand: "R8" }, (call) => {
  return call.registers.values?.page === NO_PAGE;
});

const septAdd: Leaf = {
  name: "TDH.MEM.SEPT.ADD",
  number: 3,
  checks: [...toLeafEntry("TDH.MEM.SEPT.ADD", "shared", "shared", LEVEL.PD, undefined), givenPage, entryFree, ...newPage("R8")],
  writes: ["td", "sept", "pamt", "content"],
  commit(call) {
    const page = call.registers.page as number;
    change(call, SEPT.NL_MAPPED, page);
    assignPage(call, page, PT.EPT, call.theTd);
    return undefined;
  },
};

/** The page whose content PAGE.ADD copies is one of the host: any address without a key id. */
const sourcePage: Check = ask("the page in R9 is 4 KB aligned and carries no key id", { status: "TDX_OPERAND_INVALID", operand: "R9" }, (call) => {
  return (call.registers.source ?? MALFORMED) === MALFORMED;
});

/** The module reads a page of the host. */
function refusePoison(call: LeafCall, frame: number): void {
  const bad = call.tdx.lines[frame]?.owner.some((line) => line.get(call.state) === LINE.POISON);
  if (bad) throw new NotModelled(call.context.plan.id, MODULE_MACHINE_CHECK);
}

/** The module reads bytes of a TD's page with the TD's key: each line has to be the TD's. */
function refuseForeign({ tdx, machine, state, context }: LeafCall, frame: number, from = 0, to = 4096): void {
  const touched = (range: number): boolean => machine.bytes.start(range) < to && machine.bytes.end(range) > from;
  const bad = tdx.lines[frame].owner.some((line, range) => touched(range) && line.get(state) !== LINE.TD);
  if (bad) throw new NotModelled(context.plan.id, MODULE_MACHINE_CHECK);
}

/** The tree and its entries are locked by the TDR, which is held exclusive. */
const pageAdd: Leaf = {
  name: "TDH.MEM.PAGE.ADD",
  number: 2,
  checks: [
    ...tdrOperand("RDX", "exclusive"),
    ...liveTd("TDH.MEM.PAGE.ADD"),
    pageInfo(LEVEL.PT, LEVEL.PT),
    privateGpa,
    walk,
    entryState("TDH.MEM.PAGE.ADD"),
    sourcePage,
    ...newPage("R8"),
  ],
  writes: ["td", "sept", "pamt", "content"],
  commit(call) {
    const { machine, state, registers } = call;
    const page = registers.page as number;
    change(call, SEPT.MAPPED, page);
    assignPage(call, page, PT.REG, call.theTd);
    refusePoison(call, registers.source as number);
    copyPage(machine, state, registers.source as number, page, true);
    expectPage(machine, state, call.theTd, gfnOfCall(call), page);
    call.say(`frame ${page} gets the content of frame ${registers.source}`);
    return undefined;
  },
};

const pageAug: Leaf = {
  name: "TDH.MEM.PAGE.AUG",
  number: 6,
  checks: [...toLeafEntry("TDH.MEM.PAGE.AUG", "shared", "shared", LEVEL.PT, LEVEL.PD), ...freeRange("R8")],
  writes: ["td", "sept", "pamt"],
  commit(call) {
    const page = call.registers.page as number;
    change(call, SEPT.PENDING, page);
    const block = call.theEntry.level === LEVEL.PD ? blockAt(call.tdx, page) : undefined;
    if (block) assignBlock(call, block, call.theTd);
    else assignPage(call, page, PT.REG, call.theTd);
    return undefined;
  },
};

const BLOCKED_STATE = new Map<number, SeptState>([
  [SEPT.NL_MAPPED, SEPT.NL_BLOCKED],
  [SEPT.MAPPED, SEPT.BLOCKED],
  [SEPT.PENDING, SEPT.PENDING_BLOCKED],
]);
export const UNBLOCKED_STATE = new Map<number, SeptState>([...BLOCKED_STATE].map(([plain, state]) => [state, plain as SeptState]));

const ALREADY_BLOCKED: TdxStatus = { status: "TDX_GPA_RANGE_ALREADY_BLOCKED", operand: "RCX" };
const STATE_INCORRECT: TdxStatus = { status: "TDX_EPT_ENTRY_STATE_INCORRECT", operand: "RCX" };

const blockable: Check = {
  what: "the entry is in use and not blocked",
  answers: [ALREADY_BLOCKED, STATE_INCORRECT],
  test(call) {
    const state = entryStateOf(call);
    if (BLOCKED_STATE.has(state)) return undefined;
    return UNBLOCKED_STATE.has(state) ? ALREADY_BLOCKED : STATE_INCORRECT;
  },
};

const rangeBlock: Leaf = {
  name: "TDH.MEM.RANGE.BLOCK",
  number: 7,
  checks: [...toEntry("TDH.MEM.RANGE.BLOCK", "shared", "exclusive", LEVEL.PT, undefined), blockable],
  writes: ["sept", "pamt"],
  commit(call) {
    const epoch = call.theTd.epoch.get(call.state);
    change(call, BLOCKED_STATE.get(entryStateOf(call)) as SeptState, call.mapped);
    pamtBehind(call.tdx, call.state, call.theEntry).bepoch.set(call.state, epoch);
    call.say(`BEPOCH of frame ${call.mapped} is ${epoch}`);
    return undefined;
  },
};

const rangeUnblock: Leaf = {
  name: "TDH.MEM.RANGE.UNBLOCK",
  number: 39,
  checks: [...toLeafEntry("TDH.MEM.RANGE.UNBLOCK", "shared", "exclusive", LEVEL.PT, undefined), tracked("SEPT_TREE")],
  writes: ["sept"],
  commit(call) {
    change(call, UNBLOCKED_STATE.get(entryStateOf(call)) as SeptState, call.mapped);
    return undefined;
  },
};

/** The entry is free, and the page or the table that it named the host's; RCX says which. */
function giveBack(call: LeafCall): void {
  const { mapped } = call;
  change(call, SEPT.FREE, 0);
  freePage(call, mapped, call.theTd);
  call.output = mapped;
}

const pageRemove: Leaf = {
  name: "TDH.MEM.PAGE.REMOVE",
  number: 29,
  checks: [...toLeafEntry("TDH.MEM.PAGE.REMOVE", "shared", "shared", LEVEL.PT, LEVEL.PDPT), mappedPage(), blocked, tracked()],
  writes: ["td", "sept", "pamt"],
  commit(call) {
    const size = call.theEntry.level === LEVEL.PD ? "the 2 MB at frame" : "frame";
    giveBack(call);
    call.say(`${size} ${call.output} is the host's again, neither flushed nor cleared`);
    return undefined;
  },
};

/** States of the entries in the table behind an entry: of those that calls name, and of the rest where they are not free. */
function statesBehind({ theTd: td, theEntry: entry, state }: LeafCall): number[] {
  return [...namedBehind(td, entry).map((one) => one.state.get(state)), restBehind(td, entry)?.state.get(state) ?? SEPT.FREE];
}

const septRemove: Leaf = {
  name: "TDH.MEM.SEPT.REMOVE",
  number: 30,
  checks: [
    ...toLeafEntry("TDH.MEM.SEPT.REMOVE", "shared", "exclusive", LEVEL.PD, undefined),
    mappedPage(),
    blocked,
    tracked(),
    ask("each of its 512 entries is free", { status: "TDX_EPT_PAGE_NOT_FREE", operand: "RCX" }, (call) => {
      return statesBehind(call).some((is) => is !== SEPT.FREE);
    }),
  ],
  writes: ["td", "sept", "pamt"],
  commit(call) {
    giveBack(call);
    return undefined;
  },
};

const septRead: Leaf = {
  name: "TDH.MEM.SEPT.RD",
  number: 25,
  checks: toEntry("TDH.MEM.SEPT.RD", "shared", "shared", LEVEL.PT, undefined),
  writes: [],
  commit(call) {
    call.say(`${gpaText(call)}, level ${call.theEntry.level}: ${SEPT_NAMES[entryStateOf(call)]}`);
    call.output = call.mapped;
    return undefined;
  },
};

const pageRelocate: Leaf = {
  name: "TDH.MEM.PAGE.RELOCATE",
  number: 5,
  checks: [
    ...toLeafEntry("TDH.MEM.PAGE.RELOCATE", "shared", "shared", LEVEL.PT, LEVEL.PT),
    ask("the new page is another one", { status: "TDX_OPERAND_INVALID", operand: "R8" }, (call) => call.registers.page === call.mapped),
    mappedPage(),
    blocked,
    tracked(),
    ...newPage("R8"),
  ],
  writes: ["td", "sept", "pamt", "content"],
  commit(call) {
    const { machine, state, mapped, theTd: td } = call;
    const page = call.registers.page as number;
    const from = entryStateOf(call);
    const pending = from === SEPT.PENDING || from === SEPT.PENDING_BLOCKED;
    if (!pending) {
      refuseForeign(call, mapped);
      copyPage(machine, state, mapped, page, false);
    }
    freePage(call, mapped, td);
    assignPage(call, page, PT.REG, td);
    change(call, UNBLOCKED_STATE.get(from) ?? (from as SeptState), page);
    call.output = mapped;
    return undefined;
  },
};

const NOT_PRESENT: TdxStatus = { status: "TDX_EPT_ENTRY_NOT_PRESENT", operand: "RCX" };

/** The walk of MR.EXTEND ends at a page that the TD uses, or nowhere. */
const presentPage: Check = {
  what: "the page is mapped",
  answers: [NOT_PRESENT],
  resolve(call) {
    call.entry = call.td && walkTo(call.td, call.state, gfnOfCall(call), LEVEL.PT);
  },
  test: (call) => (entryStateOf(call) === SEPT.MAPPED ? undefined : NOT_PRESENT),
};

const mrExtend: Leaf = {
  name: "TDH.MR.EXTEND",
  number: 16,
  checks: [
    ...tdrOperand("RDX", "exclusive"),
    ...liveTd("TDH.MR.EXTEND"),
    ask("the guest address is 256 bytes aligned", { status: "TDX_OPERAND_INVALID", operand: "RCX" }, (call) => ((call.registers.gpa ?? 0n) & 255n) !== 0n),
    privateGpa,
    presentPage,
  ],
  writes: [],
  commit(call) {
    const from = Number((call.registers.gpa ?? 0n) & 4095n);
    refuseForeign(call, frameBehind(call.tdx, call.state, call.theEntry, gfnOfCall(call)), from, from + 256);
    call.say(`256 bytes of ${gpaText(call)} are measured`);
    return undefined;
  },
};

export const septLeaves: readonly Leaf[] = [septAdd, pageAdd, pageAug, rangeBlock, rangeUnblock, pageRemove, septRemove, septRead, pageRelocate, mrExtend];
