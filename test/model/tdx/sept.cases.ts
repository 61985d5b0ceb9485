// What each leaf on the secure EPT, TDH.MEM.TRACK, TDH.MR.EXTEND and TDH.VP.ENTER answer, by hand from the module's sources, in the order of their checks: a
// prepared state, the call, the status.

import type { Case, Row } from "./rows.ts";
import { building, running } from "./support.ts";
import { upTo } from "./td.ts";

const PAGES = "page = alloc_frame()\nother = alloc_frame()";
const lines = (...parts: readonly string[]): string => parts.join("\n");
/** Page `a` is mapped at 0x1000, page `p` pending at 0x2000; a second 2 MB has an empty table. */
const RUN = lines(
  running(2),
  "p = alloc_frame()\nTDH.MEM.PAGE.AUG(td, 0x2000, 0, p) = TDX_SUCCESS",
  "empty = alloc_frame()\nTDH.MEM.SEPT.ADD(td, 2M, 1, empty) = TDX_SUCCESS",
  PAGES,
);
const BUILD = lines(building(1), PAGES);
const FATAL = lines(RUN, "store_frame(a, 0x66)\nvcpu0: load(0x1000) = #MC");
const block = (gpa: string, level = 0): string => `TDH.MEM.RANGE.BLOCK(td, ${gpa}, ${level}) = TDX_SUCCESS`;
const TRACK = "TDH.MEM.TRACK(td) = TDX_SUCCESS";
const BLOCKED = lines(RUN, block("0x1000"), block("0x2000"), block("2M", 1));
const TRACKED = lines(BLOCKED, TRACK);

/** A page of 2 MB at 8M is pending; memory for another is free, and at 10M a table has the first pages of a third. */
const LARGE = lines(
  RUN,
  "large = alloc_frame(2M)\nTDH.MEM.PAGE.AUG(td, 8M, 1, large) = TDX_SUCCESS",
  "free = alloc_frame(2M)\nthird = alloc_frame(2M)\nsmall = alloc_frame()\nTDH.MEM.SEPT.ADD(td, 10M, 1, small) = TDX_SUCCESS",
  "TDH.MEM.PAGE.AUG(td, 10M, 0, third) = TDX_SUCCESS\nTDH.MEM.PAGE.AUG(td, 10M + 4K, 0, third + 4K) = TDX_SUCCESS",
);
const LARGE_BLOCKED = lines(LARGE, block("8M", 1), block("10M", 1));
const LARGE_TRACKED = lines(LARGE_BLOCKED, TRACK);
const ACCEPTED = lines(LARGE, "vcpu0: TDG.MEM.PAGE.ACCEPT(8M, 1) = TDX_SUCCESS", block("8M", 1), TRACK);
const SPLIT = lines(LARGE_TRACKED, "TDH.MEM.PAGE.DEMOTE(td, 8M, 1, page) = TDX_SUCCESS");
const SPLIT_TRACKED = lines(SPLIT, block("8M", 1), TRACK);
/** On a machine with interrupts a leaf may stop. */
const INTERRUPTS = "interrupts=1";

const SUCCESS = "TDX_SUCCESS";

/** Format, TDMR, lock and page type of the TDR. `against` holds it in a way that does not go with the call's. */
const tdr = (register: string, call: (td: string) => string, prepare: string, against: string): Case[] => [
  { answer: `TDX_OPERAND_INVALID/${register}`, prepare, call: call("0x1002") },
  { answer: `TDX_OPERAND_INVALID/${register}`, prepare, call: call("33 << 46 | 0x1000") },
  { answer: `TDX_OPERAND_ADDR_RANGE_ERROR/${register}`, prepare, call: call("0x1000") },
  { answer: `TDX_OPERAND_BUSY/${register}`, prepare, call: call("td"), against },
  { answer: `TDX_PAGE_METADATA_INCORRECT/${register}`, prepare, call: call("page") },
  { answer: `TDX_PAGE_METADATA_INCORRECT/${register}`, prepare, call: call("tdvpr0") },
];

/** The life cycle of the TD, down to an OP_STATE that does not allow the leaf. */
const live = (call: string, opState = lines(upTo("allocated"), PAGES)): Case[] => [
  { answer: "TDX_TD_FATAL", prepare: FATAL, call },
  { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: lines(upTo("created"), PAGES), call },
  { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: lines(upTo("blocked"), PAGES), call },
  { answer: "TDX_TDCS_NOT_ALLOCATED", prepare: lines(upTo("configured"), PAGES), call },
  { answer: "TDX_OP_STATE_INCORRECT", prepare: opState, call },
];

/** Level and guest address. `at(gpa, level)` makes the call. */
const place = (at: (gpa: string, level: string) => string, prepare: string, levels: readonly string[], good: string): Case[] => [
  ...levels.map((level): Case => ({ answer: "TDX_OPERAND_INVALID/RCX", prepare, call: at("0", level) })),
  { answer: "TDX_OPERAND_INVALID/RCX", prepare, call: at("0x1800", good) },
  { answer: "TDX_OPERAND_INVALID/RCX", prepare, call: at("0x800000001000", good) },
  { answer: "TDX_OPERAND_INVALID/RCX", prepare, call: at("1 << 47 | 0x200000", good) },
  { answer: "TDX_OPERAND_INVALID/RCX", prepare, call: at("1 << 48", good) },
];

const newPage = (call: (page: string) => string, prepare: string): Case[] => [
  { answer: "TDX_OPERAND_INVALID/R8", prepare, call: call("0x1001") },
  { answer: "TDX_OPERAND_INVALID/R8", prepare, call: call("1 << 47") },
  { answer: "TDX_OPERAND_ADDR_RANGE_ERROR/R8", prepare, call: call("0x1000") },
  { answer: "TDX_OPERAND_BUSY/R8", prepare, call: call("page"), against: "TDH.MNG.CREATE(page, 34)" },
  // The leaf holds the TDR itself.
  { answer: "TDX_OPERAND_BUSY/R8", prepare, call: call("root") },
  { answer: "TDX_PAGE_METADATA_INCORRECT/R8", prepare, call: call("a") },
  { answer: "TDX_PAGE_METADATA_INCORRECT/R8", prepare, call: call("table[0]") },
];

/** A MEM leaf on `name(td, gpa, level…)` as far as the lock of its entry. */
interface Mem {
  readonly name: string;
  readonly more?: string;
  /** Without a level in the call. */
  readonly bare?: true;
  readonly levels: readonly string[];
  readonly good: string;
  readonly exclusive?: true;
  /** An entry that passes as far as its lock, and who has locked it. */
  readonly gpa: string;
  readonly locked?: string;
  readonly prepare?: string;
}

function toEntry({ name, more = "", bare, levels, good, exclusive, gpa, locked, prepare = RUN }: Mem): Case[] {
  const call = (td: string, at: string, level: string): string => `${name}(${td}, ${at}${bare ? "" : `, ${level}`}${more})`;
  const tree = exclusive ? "TDH.MEM.SEPT.RD(td, 0x3000, 0)" : "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)";
  return [
    ...tdr("RDX", (td) => call(td, gpa, good), RUN, "TDH.MNG.INIT(td) = _ @never"),
    ...live(call("td", "0", good)),
    ...place((at, level) => call("td", at, level), RUN, levels, good),
    { answer: "TDX_OPERAND_BUSY/SEPT_TREE", prepare: RUN, call: call("td", good === "0" ? "0x4000" : "2M", good), against: tree },
    { answer: "TDX_EPT_WALK_FAILED/RCX", prepare: RUN, call: call("td", good === "0" ? "1G" : "512G", good) },
    ...(locked === undefined ? [] : [{ answer: "TDX_OPERAND_BUSY/RCX", prepare, call: call("td", gpa, good), against: locked }]),
  ];
}

/** TDR shared is never held exclusive by a leaf that a running TD allows, so its lock is met while the TD is being built. */
const withTdrLock = (cases: readonly Case[], name: string, args: string): Case[] =>
  cases.map((one) =>
    one.against?.endsWith("@never") ? { ...one, prepare: BUILD, call: `${name}(td, ${args})`, against: "TDH.MEM.PAGE.ADD(td, 0x5000, other, other)" } : one,
  );

const mem = (of: Mem, args: string): Case[] => withTdrLock(toEntry(of), of.name, args);
const read = (gpa: string, level: number): string => `TDH.MEM.SEPT.RD(td, ${gpa}, ${level})`;

/** Blocked and tracked, for a leaf on `gpa` and `level`. */
const blockedTracked = (call: string): Case[] => [
  { answer: "TDX_GPA_RANGE_NOT_BLOCKED/RCX", prepare: RUN, call },
  { answer: "TDX_GPA_RANGE_NOT_BLOCKED/RCX", prepare: lines(RUN, TRACK), call },
  { answer: "TDX_TLB_TRACKING_NOT_DONE/RCX", prepare: BLOCKED, call },
];

const AUG: Mem = {
  name: "TDH.MEM.PAGE.AUG",
  more: ", page",
  levels: ["2", "3", "8"],
  good: "0",
  gpa: "0x3000",
  locked: read("0x3000", 0),
};
const SEPT_ADD: Mem = { name: "TDH.MEM.SEPT.ADD", more: ", page", levels: ["0", "4", "8"], good: "1", gpa: "4M", locked: read("4M", 1) };

export const SEPT_ROWS: Readonly<Record<string, Row>> = {
  "TDH.MEM.SEPT.ADD": {
    cases: [
      ...mem(SEPT_ADD, "2M, 1, page"),
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.SEPT.ADD(td, 0, 1, page)" },
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: BLOCKED, call: "TDH.MEM.SEPT.ADD(td, 2M, 1, page)" },
      // NULL_PA: asked before the table that is there, unlike other pages that are none.
      { answer: "TDX_OPERAND_INVALID/R8", prepare: RUN, call: "TDH.MEM.SEPT.ADD(td, 0, 1, -1)" },
      ...newPage((page) => `TDH.MEM.SEPT.ADD(td, 4M, 1, ${page})`, RUN),
      { answer: SUCCESS, prepare: RUN, call: "TDH.MEM.SEPT.ADD(td, 4M, 1, page)" },
      { answer: SUCCESS, prepare: BUILD, call: "TDH.MEM.SEPT.ADD(td, 1G, 2, page)" },
    ],
  },
  "TDH.MEM.SEPT.REMOVE": {
    cases: [
      ...mem(
        {
          name: "TDH.MEM.SEPT.REMOVE",
          levels: ["0", "4"],
          good: "1",
          exclusive: true,
          gpa: "2M",
          locked: "vcpu0: TDG.MEM.PAGE.ACCEPT(2M, 1)",
          prepare: TRACKED,
        },
        "0, 1",
      ),
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.SEPT.REMOVE(td, 4M, 1)" },
      ...blockedTracked("TDH.MEM.SEPT.REMOVE(td, 2M, 1)"),
      { answer: "TDX_EPT_PAGE_NOT_FREE/RCX", prepare: lines(RUN, block("0", 1), TRACK), call: "TDH.MEM.SEPT.REMOVE(td, 0, 1)" },
      { answer: SUCCESS, prepare: TRACKED, call: "TDH.MEM.SEPT.REMOVE(td, 2M, 1)" },
      { answer: SUCCESS, prepare: BUILD, call: "TDH.MEM.SEPT.REMOVE(td, 0, 1)" },
    ],
  },
  "TDH.MEM.SEPT.RD": {
    cases: [
      ...mem({ name: "TDH.MEM.SEPT.RD", levels: ["4", "8"], good: "0", gpa: "0x3000", locked: "TDH.MEM.PAGE.AUG(td, 0x3000, 0, page)" }, "0, 0"),
      { answer: SUCCESS, prepare: RUN, call: "TDH.MEM.SEPT.RD(td, 0x3000, 0)" },
      { answer: SUCCESS, prepare: TRACKED, call: "TDH.MEM.SEPT.RD(td, 2M, 1)" },
      { answer: SUCCESS, prepare: BUILD, call: "TDH.MEM.SEPT.RD(td, 0, 3)" },
    ],
  },
  "TDH.MEM.PAGE.ADD": {
    cases: [
      ...tdr("RDX", (td) => `TDH.MEM.PAGE.ADD(${td}, 0x1000, page, other)`, BUILD, "TDH.MEM.SEPT.RD(td, 0, 3)"),
      ...live("TDH.MEM.PAGE.ADD(td, 0, page, other)", RUN),
      ...place((gpa) => `TDH.MEM.PAGE.ADD(td, ${gpa}, page, other)`, BUILD, [], "0"),
      { answer: "TDX_EPT_WALK_FAILED/RCX", prepare: BUILD, call: "TDH.MEM.PAGE.ADD(td, 2M, page, other)" },
      {
        answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX",
        prepare: lines(BUILD, "TDH.MEM.PAGE.AUG(td, 0x1000, 0, page)"),
        call: "TDH.MEM.PAGE.ADD(td, 0x1000, other, other)",
      },
      { answer: "TDX_OPERAND_INVALID/R9", prepare: BUILD, call: "TDH.MEM.PAGE.ADD(td, 0x1000, page, 0x1001)" },
      { answer: "TDX_OPERAND_INVALID/R9", prepare: BUILD, call: "TDH.MEM.PAGE.ADD(td, 0x1000, page, 33 << 46)" },
      ...newPage((page) => `TDH.MEM.PAGE.ADD(td, 0x1000, ${page}, other)`, lines(BUILD, "a = alloc_frame()\nTDH.MEM.PAGE.AUG(td, 0x3000, 0, a)")),
      { answer: SUCCESS, prepare: BUILD, call: "TDH.MEM.PAGE.ADD(td, 0x1000, page, other)" },
      { answer: SUCCESS, prepare: BUILD, call: "TDH.MEM.PAGE.ADD(td, 0x1000, page, 0x1000)" },
    ],
  },
  "TDH.MEM.PAGE.AUG": {
    cases: [
      ...mem(AUG, "0x1000, 0, page"),
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.PAGE.AUG(td, 0x1000, 0, page)" },
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.PAGE.AUG(td, 0x2000, 0, page)" },
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: BLOCKED, call: "TDH.MEM.PAGE.AUG(td, 0x1000, 0, page)" },
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.PAGE.AUG(td, 2M, 1, page)" },
      { answer: "TDX_OPERAND_INVALID/R8", prepare: RUN, call: "TDH.MEM.PAGE.AUG(td, 4M, 1, page)" },
      { answer: "TDX_OPERAND_INVALID/R8", prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 4M, 1, free + 4K)" },
      { answer: "TDX_OPERAND_INVALID/R8", prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 4M, 1, 0x1000)" },
      ...newPage((page) => `TDH.MEM.PAGE.AUG(td, 0x3000, 0, ${page})`, RUN),
      { answer: "TDX_OPERAND_ADDR_RANGE_ERROR/R8", prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 4M, 1, 0x200000)" },
      { answer: "TDX_OPERAND_BUSY/R8", prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 4M, 1, free)", against: "TDH.PHYMEM.PAGE.RDMD(free + 4K)" },
      { answer: "TDX_OPERAND_BUSY/R8", prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 0x3000, 0, free + 4K)", against: "TDH.MEM.PAGE.AUG(td, 4M, 1, free)" },
      { answer: "TDX_PAGE_METADATA_INCORRECT/R8", prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 4M, 1, large)" },
      { answer: "TDX_PAGE_METADATA_INCORRECT/R8", prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 4M, 1, third)" },
      { answer: "TDX_PAGE_METADATA_INCORRECT/R8", prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 0x3000, 0, large + 4K)" },
      { answer: SUCCESS, prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 4M, 1, free)" },
      { answer: SUCCESS, prepare: LARGE, call: "TDH.MEM.PAGE.AUG(td, 0x3000, 0, free + 4K)" },
      { answer: SUCCESS, prepare: RUN, call: "TDH.MEM.PAGE.AUG(td, 0x3000, 0, page)" },
      { answer: SUCCESS, prepare: BUILD, call: "TDH.MEM.PAGE.AUG(td, 0x3000, 0, page)" },
    ],
  },
  "TDH.MEM.RANGE.BLOCK": {
    cases: [
      ...mem({ name: "TDH.MEM.RANGE.BLOCK", levels: ["4", "8"], good: "0", exclusive: true, gpa: "0x2000" }, "0, 1"),
      { answer: "TDX_OPERAND_BUSY/RCX", prepare: RUN, call: "TDH.MEM.RANGE.BLOCK(td, 0x2000, 0)", against: "vcpu0: TDG.MEM.PAGE.ACCEPT(0x2000, 0)" },
      { answer: "TDX_GPA_RANGE_ALREADY_BLOCKED/RCX", prepare: BLOCKED, call: "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)" },
      { answer: "TDX_GPA_RANGE_ALREADY_BLOCKED/RCX", prepare: BLOCKED, call: "TDH.MEM.RANGE.BLOCK(td, 0x2000, 0)" },
      { answer: "TDX_GPA_RANGE_ALREADY_BLOCKED/RCX", prepare: BLOCKED, call: "TDH.MEM.RANGE.BLOCK(td, 2M, 1)" },
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.RANGE.BLOCK(td, 0x3000, 0)" },
      { answer: SUCCESS, prepare: LARGE, call: "TDH.MEM.RANGE.BLOCK(td, 8M, 1)" },
      { answer: SUCCESS, prepare: RUN, call: "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)" },
      { answer: SUCCESS, prepare: RUN, call: "TDH.MEM.RANGE.BLOCK(td, 0x2000, 0)" },
      { answer: SUCCESS, prepare: RUN, call: "TDH.MEM.RANGE.BLOCK(td, 0, 3)" },
    ],
  },
  "TDH.MEM.RANGE.UNBLOCK": {
    cases: [
      ...mem(
        {
          name: "TDH.MEM.RANGE.UNBLOCK",
          levels: ["4", "8"],
          good: "0",
          exclusive: true,
          gpa: "0x1000",
          locked: "vcpu0: TDG.MEM.PAGE.ACCEPT(0x1000, 0)",
          prepare: TRACKED,
        },
        "0, 1",
      ),
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.RANGE.UNBLOCK(td, 0x1000, 0)" },
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.RANGE.UNBLOCK(td, 0x3000, 0)" },
      { answer: "TDX_TLB_TRACKING_NOT_DONE/SEPT_TREE", prepare: BLOCKED, call: "TDH.MEM.RANGE.UNBLOCK(td, 0x1000, 0)" },
      { answer: "TDX_TLB_TRACKING_NOT_DONE/SEPT_TREE", prepare: LARGE_BLOCKED, call: "TDH.MEM.RANGE.UNBLOCK(td, 8M, 1)" },
      { answer: SUCCESS, prepare: LARGE_TRACKED, call: "TDH.MEM.RANGE.UNBLOCK(td, 8M, 1)" },
      { answer: SUCCESS, prepare: TRACKED, call: "TDH.MEM.RANGE.UNBLOCK(td, 0x1000, 0)" },
      { answer: SUCCESS, prepare: TRACKED, call: "TDH.MEM.RANGE.UNBLOCK(td, 2M, 1)" },
      { answer: SUCCESS, prepare: lines(BUILD, block("0", 1)), call: "TDH.MEM.RANGE.UNBLOCK(td, 0, 1)" },
    ],
  },
  "TDH.MEM.TRACK": {
    cases: [
      ...tdr("RCX", (td) => `TDH.MEM.TRACK(${td})`, BUILD, "TDH.MEM.PAGE.ADD(td, 0x5000, other, other)"),
      ...live("TDH.MEM.TRACK(td)"),
      { answer: "TDX_OPERAND_BUSY/TD_EPOCH", prepare: RUN, call: "TDH.MEM.TRACK(td)", against: "TDH.VP.ENTER(vcpu0)" },
      { answer: "TDX_PREVIOUS_TLB_EPOCH_BUSY", prepare: lines(RUN, "TDH.VP.ENTER(vcpu0)", TRACK), call: "TDH.MEM.TRACK(td)" },
      { answer: SUCCESS, prepare: lines(RUN, "TDH.VP.ENTER(vcpu0)"), call: "TDH.MEM.TRACK(td)" },
      { answer: SUCCESS, prepare: lines(RUN, "TDH.VP.ENTER(vcpu0)", TRACK, "kick(vcpu0)", "TDH.VP.ENTER(vcpu0)"), call: "TDH.MEM.TRACK(td)" },
    ],
  },
  "TDH.MEM.PAGE.REMOVE": {
    cases: [
      ...mem({ name: "TDH.MEM.PAGE.REMOVE", levels: ["3", "8"], good: "0", gpa: "0x1000", locked: read("0x1000", 0) }, "0x1000, 0"),
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.PAGE.REMOVE(td, 0x3000, 0)" },
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: TRACKED, call: "TDH.MEM.PAGE.REMOVE(td, 2M, 1)" },
      ...blockedTracked("TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)"),
      ...blockedTracked("TDH.MEM.PAGE.REMOVE(td, 0x2000, 0)"),
      {
        answer: "TDX_TLB_TRACKING_NOT_DONE/RCX",
        prepare: lines(RUN, "TDH.VP.ENTER(vcpu0)", block("0x1000"), TRACK),
        call: "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)",
      },
      { answer: "TDX_TLB_TRACKING_NOT_DONE/RCX", prepare: LARGE_BLOCKED, call: "TDH.MEM.PAGE.REMOVE(td, 8M, 1)" },
      { answer: SUCCESS, prepare: LARGE_TRACKED, call: "TDH.MEM.PAGE.REMOVE(td, 8M, 1)" },
      { answer: SUCCESS, prepare: TRACKED, call: "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)" },
      { answer: SUCCESS, prepare: lines(RUN, block("0x1000"), TRACK, "TDH.VP.ENTER(vcpu0)"), call: "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)" },
      { answer: SUCCESS, prepare: lines(BUILD, "TDH.MEM.PAGE.ADD(td, 0x1000, page, other)"), call: "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)" },
    ],
  },
  "TDH.MEM.PAGE.RELOCATE": {
    cases: [
      ...mem({ name: "TDH.MEM.PAGE.RELOCATE", more: ", page", bare: true, levels: [], good: "0", gpa: "0x1000", locked: read("0x1000", 0) }, "0x1000, page"),
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.PAGE.RELOCATE(td, 0x3000, page)" },
      { answer: "TDX_OPERAND_INVALID/R8", prepare: RUN, call: "TDH.MEM.PAGE.RELOCATE(td, 0x1000, a)" },
      ...blockedTracked("TDH.MEM.PAGE.RELOCATE(td, 0x1000, page)"),
      ...newPage((page) => `TDH.MEM.PAGE.RELOCATE(td, 0x2000, ${page})`, TRACKED),
      { answer: SUCCESS, prepare: TRACKED, call: "TDH.MEM.PAGE.RELOCATE(td, 0x1000, page)" },
      { answer: SUCCESS, prepare: TRACKED, call: "TDH.MEM.PAGE.RELOCATE(td, 0x2000, page)" },
    ],
  },
  "TDH.MEM.PAGE.PROMOTE": {
    cases: [
      ...mem({ name: "TDH.MEM.PAGE.PROMOTE", levels: ["0", "3"], good: "1", gpa: "2M", locked: read("2M", 1) }, "0, 1"),
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.PAGE.PROMOTE(td, 4M, 1)" },
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: LARGE, call: "TDH.MEM.PAGE.PROMOTE(td, 8M, 1)" },
      ...blockedTracked("TDH.MEM.PAGE.PROMOTE(td, 2M, 1)"),
      // Of a TD that is being built nothing has to be blocked, so that another thread is at an entry of the table.
      { answer: "TDX_OPERAND_BUSY/RCX", prepare: BUILD, call: "TDH.MEM.PAGE.PROMOTE(td, 0, 1)", against: "TDH.MEM.PAGE.AUG(td, 0, 0, page)" },
      { answer: "TDX_EPT_INVALID_PROMOTE_CONDITIONS/RCX", prepare: TRACKED, call: "TDH.MEM.PAGE.PROMOTE(td, 2M, 1)" },
      { answer: "TDX_EPT_INVALID_PROMOTE_CONDITIONS/RCX", prepare: LARGE_TRACKED, call: "TDH.MEM.PAGE.PROMOTE(td, 10M, 1)" },
      { answer: "TDX_EPT_INVALID_PROMOTE_CONDITIONS/RCX", prepare: lines(RUN, block("0", 2), TRACK), call: "TDH.MEM.PAGE.PROMOTE(td, 0, 2)" },
      {
        answer: "TDX_EPT_INVALID_PROMOTE_CONDITIONS/RCX",
        prepare: lines(SPLIT, "vcpu0: TDG.MEM.PAGE.ACCEPT(8M + 12K, 0) = TDX_SUCCESS", block("8M", 1), TRACK),
        call: "TDH.MEM.PAGE.PROMOTE(td, 8M, 1)",
      },
      {
        answer: "TDX_EPT_INVALID_PROMOTE_CONDITIONS/RCX",
        prepare: lines(SPLIT, block("8M + 12K"), TRACK, "TDH.MEM.PAGE.REMOVE(td, 8M + 12K, 0) = TDX_SUCCESS", block("8M", 1), TRACK),
        call: "TDH.MEM.PAGE.PROMOTE(td, 8M, 1)",
      },
      {
        answer: "TDX_OPERAND_BUSY/RCX",
        prepare: SPLIT_TRACKED,
        call: "TDH.MEM.PAGE.PROMOTE(td, 8M, 1)",
        against: "TDH.PHYMEM.PAGE.RDMD(large + 12K)",
      },
      { answer: "TDX_INTERRUPTED_RESTARTABLE", machine: INTERRUPTS, prepare: SPLIT_TRACKED, call: "TDH.MEM.PAGE.PROMOTE(td, 8M, 1)" },
      { answer: SUCCESS, prepare: SPLIT_TRACKED, call: "TDH.MEM.PAGE.PROMOTE(td, 8M, 1)" },
    ],
  },
  "TDH.MEM.PAGE.DEMOTE": {
    cases: [
      ...mem({ name: "TDH.MEM.PAGE.DEMOTE", more: ", page", levels: ["0", "3"], good: "1", gpa: "2M", locked: read("2M", 1) }, "0, 1, page"),
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: RUN, call: "TDH.MEM.PAGE.DEMOTE(td, 2M, 1, page)" },
      { answer: "TDX_EPT_ENTRY_STATE_INCORRECT/RCX", prepare: TRACKED, call: "TDH.MEM.PAGE.DEMOTE(td, 4M, 1, page)" },
      { answer: "TDX_GPA_RANGE_NOT_BLOCKED/RCX", prepare: LARGE, call: "TDH.MEM.PAGE.DEMOTE(td, 8M, 1, page)" },
      { answer: "TDX_TLB_TRACKING_NOT_DONE/RCX", prepare: LARGE_BLOCKED, call: "TDH.MEM.PAGE.DEMOTE(td, 8M, 1, page)" },
      ...newPage((page) => `TDH.MEM.PAGE.DEMOTE(td, 8M, 1, ${page})`, LARGE_TRACKED),
      { answer: "TDX_PAGE_METADATA_INCORRECT/R8", prepare: LARGE_TRACKED, call: "TDH.MEM.PAGE.DEMOTE(td, 8M, 1, large + 4K)" },
      {
        answer: "TDX_OPERAND_BUSY/RCX",
        prepare: LARGE_TRACKED,
        call: "TDH.MEM.PAGE.DEMOTE(td, 8M, 1, page)",
        against: "TDH.PHYMEM.PAGE.RDMD(large)",
      },
      { answer: "TDX_INTERRUPTED_RESTARTABLE", machine: INTERRUPTS, prepare: LARGE_TRACKED, call: "TDH.MEM.PAGE.DEMOTE(td, 8M, 1, page)" },
      { answer: SUCCESS, prepare: LARGE_TRACKED, call: "TDH.MEM.PAGE.DEMOTE(td, 8M, 1, page)" },
      { answer: SUCCESS, prepare: ACCEPTED, call: "TDH.MEM.PAGE.DEMOTE(td, 8M, 1, page)" },
      { answer: SUCCESS, prepare: LARGE_TRACKED, call: "TDH.MEM.PAGE.DEMOTE(td, 8M, 1, free + 4K)" },
    ],
  },
  "TDH.MR.EXTEND": {
    cases: [
      ...tdr("RDX", (td) => `TDH.MR.EXTEND(${td}, 0x1000)`, BUILD, "TDH.MEM.SEPT.RD(td, 0, 3)"),
      ...live("TDH.MR.EXTEND(td, 0x1000)", RUN),
      { answer: "TDX_OPERAND_INVALID/RCX", prepare: BUILD, call: "TDH.MR.EXTEND(td, 0x1080)" },
      { answer: "TDX_OPERAND_INVALID/RCX", prepare: BUILD, call: "TDH.MR.EXTEND(td, 0x800000001000)" },
      { answer: "TDX_EPT_ENTRY_NOT_PRESENT/RCX", prepare: BUILD, call: "TDH.MR.EXTEND(td, 0x1000)" },
      { answer: "TDX_EPT_ENTRY_NOT_PRESENT/RCX", prepare: BUILD, call: "TDH.MR.EXTEND(td, 4M)" },
      { answer: "TDX_EPT_ENTRY_NOT_PRESENT/RCX", prepare: lines(BUILD, "TDH.MEM.PAGE.AUG(td, 0x1000, 0, page)"), call: "TDH.MR.EXTEND(td, 0x1000)" },
      { answer: SUCCESS, prepare: lines(BUILD, "TDH.MEM.PAGE.ADD(td, 0x1000, page, other)"), call: "TDH.MR.EXTEND(td, 0x1f00)" },
    ],
  },
  "TDH.VP.ENTER": {
    cases: [
      { answer: "TDX_OPERAND_INVALID/RCX", prepare: RUN, call: "TDH.VP.ENTER(0x1001)" },
      { answer: "TDX_OPERAND_ADDR_RANGE_ERROR/RCX", prepare: RUN, call: "TDH.VP.ENTER(0x1000)" },
      { answer: "TDX_OPERAND_BUSY/RCX", prepare: BUILD, call: "TDH.VP.ENTER(vcpu0)", against: "TDH.VP.FLUSH(vcpu0)" },
      { answer: "TDX_PAGE_METADATA_INCORRECT/RCX", prepare: RUN, call: "TDH.VP.ENTER(page)" },
      { answer: "TDX_PAGE_METADATA_INCORRECT/RCX", prepare: RUN, call: "TDH.VP.ENTER(vpcx0[0])" },
      { answer: "TDX_OPERAND_BUSY/TDR", prepare: BUILD, call: "TDH.VP.ENTER(vcpu0)", against: "TDH.MEM.PAGE.ADD(td, 0x5000, other, other)" },
      { answer: "TDX_TD_FATAL", prepare: FATAL, call: "TDH.VP.ENTER(vcpu1)" },
      { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: upTo("blocked"), call: "TDH.VP.ENTER(vcpu)" },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: BUILD, call: "TDH.VP.ENTER(vcpu0)" },
      {
        answer: "TDX_TDCX_NUM_INCORRECT",
        prepare: lines(BUILD, "vp = alloc_frame()\nvcpu = TDH.VP.CREATE(td, vp)\nTDH.MR.FINALIZE(td) = TDX_SUCCESS"),
        call: "TDH.VP.ENTER(vcpu)",
      },
      { answer: "TDX_VCPU_STATE_INCORRECT", prepare: lines(RUN, "TDH.VP.ENTER(vcpu0)"), call: "TDH.VP.ENTER(vcpu0)" },
      { answer: "TDX_VCPU_ASSOCIATED", prepare: RUN, call: "TDH.VP.ENTER(vcpu0, 5)" },
      { answer: "TDX_VCPU_ASSOCIATED", prepare: lines(RUN, "TDH.VP.FLUSH(vcpu0)"), call: "TDH.VP.ENTER(vcpu0, 5)", against: "TDH.VP.ENTER(vcpu0, 6)" },
      { answer: "TDX_OPERAND_BUSY/TD_EPOCH", prepare: RUN, call: "TDH.VP.ENTER(vcpu0)", against: "TDH.MEM.TRACK(td)" },
      {
        answer: "TDX_OPERAND_BUSY/SEPT_TREE",
        prepare: lines(RUN, "repeat 7 as i {\n  vcpu0: load(0x7000)\n}"),
        call: "TDH.VP.ENTER(vcpu0)",
        against: "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)",
      },
      { answer: SUCCESS, prepare: RUN, call: "TDH.VP.ENTER(vcpu0)" },
      { answer: SUCCESS, prepare: lines(RUN, "TDH.VP.FLUSH(vcpu0) = TDX_SUCCESS"), call: "TDH.VP.ENTER(vcpu0, 5)" },
      { answer: SUCCESS, prepare: lines(RUN, "TDH.VP.ENTER(vcpu0)", "kick(vcpu0)"), call: "TDH.VP.ENTER(vcpu0)" },
    ],
    impossible: { TDX_TDCS_NOT_ALLOCATED: "the TD of a vCPU has its TDCS" },
  },
};
