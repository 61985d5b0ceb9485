// Random calls on the TDX module by two host threads and two vCPUs: operands of every owner, type and state, leaves in every order.

import * as fc from "fast-check";
import { building, running, scenario } from "./support.ts";

/** Mostly the operand that fits, now and then one that does not. */
const mostly = (good: readonly string[], bad: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...good) }, { weight: 1, arbitrary: fc.constantFrom(...bad) });

const td = mostly(["td"], ["page0", "root", "0x1000", "0x1001", "tdvpr0"]);
const page = mostly(["page0", "page1", "page2"], ["a", "table[2]", "root", "0x2001", "0x7000", "large", "large + 4K"]);
const gpa = mostly(["0x1000", "0x2000", "0x1000"], ["0", "0x200000", "0x1800", "SHARED|0x1000", "0x800000001000"]);
/** Places in the second 2 MB, where a scenario may have one page. */
const LARGE = [
  "TDH.MEM.PAGE.AUG(td, 2M, 1, large)",
  "TDH.MEM.RANGE.BLOCK(td, 2M, 1)",
  "TDH.MEM.RANGE.UNBLOCK(td, 2M, 1)",
  "TDH.MEM.PAGE.REMOVE(td, 2M, 1)",
  "TDH.MEM.PAGE.DEMOTE(td, 2M, 1, page2)",
  "TDH.MEM.PAGE.PROMOTE(td, 2M, 1)",
  "TDH.MEM.RANGE.BLOCK(td, 0x203000, 0)",
  "TDH.MEM.PAGE.REMOVE(td, 0x203000, 0)",
  "TDH.MEM.PAGE.AUG(td, 0x203000, 0, large + 0x3000)",
  "TDH.PHYMEM.PAGE.RDMD(large + 0x3000)",
  "store_frame(large, 7)",
  "clflush(large)",
];
const level = mostly(["0"], ["1", "1", "2", "3", "4", "8"]);
const tableGpa = mostly(["0", "0x200000"], ["0x1000", "0x40000000"]);
const tableLevel = mostly(["1"], ["0", "2", "3", "4"]);
const vcpu = mostly(["vcpu0", "vcpu1"], ["tdvpr0", "page0"]);

/** A leaf on the secure EPT and its pages, or what the host does below the module. */
export const hostCall: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(td, gpa, level, page).map((args) => `TDH.MEM.PAGE.AUG(${args.join(", ")})`) },
  { weight: 4, arbitrary: fc.tuple(td, gpa, level).map((args) => `TDH.MEM.RANGE.BLOCK(${args.join(", ")})`) },
  { weight: 4, arbitrary: fc.tuple(td, gpa, level).map((args) => `TDH.MEM.PAGE.REMOVE(${args.join(", ")})`) },
  { weight: 4, arbitrary: td.map((of) => `TDH.MEM.TRACK(${of})`) },
  { weight: 6, arbitrary: fc.constantFrom(...LARGE) },
  { weight: 2, arbitrary: fc.tuple(td, gpa, page).map((args) => `TDH.MEM.PAGE.RELOCATE(${args.join(", ")})`) },
  { weight: 2, arbitrary: fc.tuple(td, gpa, level).map((args) => `TDH.MEM.RANGE.UNBLOCK(${args.join(", ")})`) },
  { weight: 2, arbitrary: fc.constantFrom("vcpu0", "vcpu1").map((of) => `kick(${of})`) },
  { weight: 2, arbitrary: vcpu.map((of) => `TDH.VP.ENTER(${of})`) },
  fc.tuple(td, tableGpa, tableLevel, page).map((args) => `TDH.MEM.SEPT.ADD(${args.join(", ")})`),
  fc.tuple(td, tableGpa, tableLevel).map((args) => `TDH.MEM.SEPT.REMOVE(${args.join(", ")})`),
  fc.tuple(td, tableGpa, tableLevel).map((args) => `TDH.MEM.RANGE.BLOCK(${args.join(", ")})`),
  fc.tuple(td, tableGpa, tableLevel).map((args) => `TDH.MEM.RANGE.UNBLOCK(${args.join(", ")})`),
  fc.tuple(td, gpa, level).map((args) => `TDH.MEM.SEPT.RD(${args.join(", ")})`),
  fc.tuple(td, tableGpa, tableLevel).map((args) => `TDH.MEM.PAGE.PROMOTE(${args.join(", ")})`),
  fc.tuple(td, tableGpa, tableLevel, page).map((args) => `TDH.MEM.PAGE.DEMOTE(${args.join(", ")})`),
  fc.tuple(td, gpa, page, page).map((args) => `TDH.MEM.PAGE.ADD(${args.join(", ")})`),
  fc.tuple(td, gpa).map((args) => `TDH.MR.EXTEND(${args.join(", ")})`),
  td.map((of) => `TDH.MR.FINALIZE(${of})`),
  fc
    .tuple(fc.constantFrom("page0", "page1", "a"), fc.constantFrom("store_frame", "clflush", "movdir64b", "load_frame"))
    .map(([frame, call]) => (call === "store_frame" ? `store_frame(${frame}, 7)` : `${call}(${frame})`)),
);

/** What a vCPU does in the guest. */
export const guestCall: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: gpa.map((at) => `load(${at})`) },
  { weight: 2, arbitrary: gpa.map((at) => `store(${at}, 9)`) },
  { weight: 3, arbitrary: fc.tuple(gpa, level).map((args) => `TDG.MEM.PAGE.ACCEPT(${args.join(", ")})`) },
  gpa.map((at) => `TDG.MEM.PAGE.ATTR.RD(${at})`),
  fc.tuple(gpa, level).map((args) => `TDG.MEM.PAGE.ATTR.WR(${args.join(", ")})`),
  fc.constantFrom("load(0x2000)", "load(0x2000)", "load(1 << 48)", "hlt()", "TDG.VP.VMCALL.HLT()"),
  { weight: 2, arbitrary: fc.constantFrom("TDG.MEM.PAGE.ACCEPT(2M, 1)", "TDG.MEM.PAGE.ACCEPT(0x203000, 0)", "load(0x203008)", "store(0x200000, 4)") },
  fc.constant("TDG.VP.VMCALL.MAPGPA(0x1000, 4K)"),
);

const PAGES_MADE = "\n  page0 = alloc_frame()\n  page1 = alloc_frame()\n  page2 = alloc_frame()\n  large = alloc_frame(2M)\n";
/** So many violations of one access that its page is listed. */
const SUSPECTED = "repeat 7 as i { vcpu0: load(0x2000) }";
const BUILT = "\n  a = alloc_frame()\n";

/** A scenario: a TD that runs or is being built, some calls one after the other, then two threads and two vCPUs at once. */
export function leafRace(most: number): fc.Arbitrary<string> {
  const calls = (of: fc.Arbitrary<string>, count: number): fc.Arbitrary<string[]> => fc.array(of, { minLength: 0, maxLength: count });
  return fc
    .tuple(
      fc.constantFrom(true, true, false),
      fc.constantFrom("TDH.MNG.INIT(td)", "TDH.MNG.INIT(td, 0)"),
      calls(fc.oneof({ weight: 6, arbitrary: hostCall }, { weight: 1, arbitrary: fc.constant(SUSPECTED) }), 4),
      calls(hostCall, most),
      calls(hostCall, most),
    )
    .chain(([runs, init, before, one, two]) =>
      fc.tuple(calls(guestCall, most), calls(guestCall, most - 1)).map(([first, second]) => {
        const block = (actor: string, list: readonly string[]): string => (list.length === 0 ? "" : `    ${actor} { ${list.join("; ")} }\n`);
        const threads = block("one", one) + block("two", two) + block("vcpu0", first) + block("vcpu1", second);
        const setup = (runs ? running(2, init) : building(2, init) + BUILT) + PAGES_MADE;
        return scenario(`  ${before.join("\n  ")}\n${threads === "" ? "" : `  parallel {\n${threads}  }`}`, setup);
      }),
    );
}
