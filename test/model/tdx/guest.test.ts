// The guest's side of a TD that is driven directly: who sees what of each entry, TDG.MEM.PAGE.ACCEPT down its list of decisions, exits, TLBs and epochs.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answers, labelled, program, report } from "../support.ts";
import { building, running } from "./support.ts";

const scenario = (setup: string, body: string): string => `kernel 6.18\n${setup}\np = alloc_frame()\nq = alloc_frame()\n${body}\n`;
const results = (setup: string, body: string): Record<string, string> => labelled(scenario(setup, body));

/** Results of one line behind a setup. */
const last = (setup: string, before: string, line: string): string => results(setup, `${before}\n${line} @it`).it;

const RUN = running(2);
const VE = running(1, "TDH.MNG.INIT(td, 0)");
const WIDE = "TDH.MNG.INIT(td, gpaw=1)";
const AUG = "TDH.MEM.PAGE.AUG(td, 0x2000, 0, p) = TDX_SUCCESS";
const LARGE = "large = alloc_frame(2M)\nTDH.MEM.PAGE.AUG(td, 2M, 1, large) = TDX_SUCCESS";
const ACCEPT = "vcpu0: TDG.MEM.PAGE.ACCEPT(0x2000, 0)";
const violation = (gpa: string, eeq: number, more = ""): string => `exit EXIT_REASON_EPT_VIOLATION {gpa=${gpa}, eeq=${eeq}${more}}`;

describe("an access to a private page, by the state of its entry", () => {
  const cases: readonly (readonly [what: string, setup: string, before: string, gpa: string, answer: string])[] = [
    ["mapped", RUN, "", "0x1000", "0x41"],
    ["free", RUN, "", "0x2000", violation("0x2000", 0)],
    ["no table", RUN, "", "0x40000000", violation("0x40000000", 0)],
    ["pending, SEPT_VE_DISABLE", RUN, AUG, "0x2008", violation("0x2000", 6)],
    ["pending, #VE", VE, AUG, "0x2000", "#VE"],
    ["blocked", RUN, "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)", "0x1000", violation("0x1000", 0)],
    ["pending and blocked, never #VE", VE, `${AUG}\nTDH.MEM.RANGE.BLOCK(td, 0x2000, 0)`, "0x2000", violation("0x2000", 0)],
    ["behind a blocked table", RUN, "TDH.MEM.RANGE.BLOCK(td, 0, 1)", "0x1000", violation("0x1000", 0)],
    ["shared, by the constant", RUN, "", "SHARED|0x1000", violation("0x800000001000", 0)],
    ["shared, by bit 47", RUN, "", "0x800000001000", violation("0x800000001000", 0)],
  ];
  for (const [what, setup, before, gpa, answer] of cases) {
    it(`${what}: ${answer}`, () => {
      assert.equal(last(setup, before, `vcpu0: load(${gpa})`), answer);
      assert.equal(last(setup, before, `vcpu0: store(${gpa}, 5)`), answer === "0x41" ? "0" : answer);
    });
  }

  it("a TD with an address width of 52 bits has the shared bit at 51, and a tree of five levels", () => {
    const setup = building(1, WIDE).replace("repeat 3 as i {", "repeat 4 as i {").replace("3 - i", "4 - i");
    const end = "TDH.MR.FINALIZE(td) = TDX_SUCCESS";
    assert.equal(last(setup, end, "vcpu0: load(SHARED|0x1000)"), violation("0x8000000001000", 0));
    assert.equal(last(setup, `TDH.MEM.PAGE.ADD(td, 0x1000, p, q) = TDX_SUCCESS\n${end}`, "vcpu0: load(0x1000)"), "as found");
    assert.equal(last(setup, end, "TDH.MEM.PAGE.AUG(td, SHARED|0x1000, 0, p)"), "TDX_OPERAND_INVALID/RCX");
  });
});

describe("TDG.MEM.PAGE.ACCEPT", () => {
  const at = (gpa: string, level: string): string => `vcpu0: TDG.MEM.PAGE.ACCEPT(${gpa}, ${level})`;
  const cases: readonly (readonly [what: string, before: string, call: string, answer: string])[] = [
    ["a level that there is none of", "", at("0", "2"), "TDX_OPERAND_INVALID/RCX"],
    ["a level wider than any register", "", at("0x3000", "1G"), "TDX_OPERAND_INVALID/RCX"],
    ["a level below them all", "", at("0x3000", "-1"), "TDX_OPERAND_INVALID/RCX"],
    ["a guest address that is not aligned", "", at("0x2800", "0"), "TDX_OPERAND_INVALID/RCX"],
    ["not aligned to 2 MB", "", at("0x2000", "1"), "TDX_OPERAND_INVALID/RCX"],
    ["a shared address", "", at("SHARED|0x2000", "0"), "TDX_OPERAND_INVALID/RCX"],
    ["a missing table", "", at("0x40000000", "0"), violation("0x40000000", 1, ", level=2, state=0")],
    ["a blocked table", "TDH.MEM.RANGE.BLOCK(td, 0, 1)", at("0x1000", "0"), violation("0x1000", 1, ", level=1, state=0x81")],
    ["a table at the level that is asked for", "", at("0", "1"), "TDX_PAGE_SIZE_MISMATCH/LVL_PD"],
    ["mapped already", "", at("0x1000", "0"), "TDX_PAGE_ALREADY_ACCEPTED"],
    ["free", "", at("0x2000", "0"), violation("0x2000", 1, ", level=0, state=0")],
    ["free at 2 MB", "", at("2M", "1"), violation("0x200000", 1, ", level=1, state=0")],
    ["blocked", "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)", at("0x1000", "0"), violation("0x1000", 1, ", level=0, state=1")],
    ["pending and blocked", `${AUG}\nTDH.MEM.RANGE.BLOCK(td, 0x2000, 0)`, at("0x2000", "0"), violation("0x2000", 1, ", level=0, state=3")],
    ["pending", AUG, at("0x2000", "0"), "TDX_SUCCESS"],
    ["pending, of 2 MB", LARGE, at("2M", "1"), "TDX_SUCCESS"],
    ["4 KB of a pending page of 2 MB", LARGE, at("0x203000", "0"), violation("0x203000", 1, ", level=1, state=2")],
    ["4 KB of a blocked page of 2 MB", `${LARGE}\nTDH.MEM.RANGE.BLOCK(td, 2M, 1)`, at("0x203000", "0"), violation("0x203000", 1, ", level=1, state=3")],
    ["4 KB of a mapped page of 2 MB", `${LARGE}\nvcpu0: TDG.MEM.PAGE.ACCEPT(2M, 1)`, at("0x203000", "0"), "TDX_PAGE_ALREADY_ACCEPTED/LVL_PD"],
    ["mapped already, of 2 MB", `${LARGE}\nvcpu0: TDG.MEM.PAGE.ACCEPT(2M, 1)`, at("2M", "1"), "TDX_PAGE_ALREADY_ACCEPTED/LVL_PD"],
  ];
  for (const [what, before, call, answer] of cases) it(`${what}: ${answer}`, () => assert.equal(last(RUN, before, call), answer));

  it("zeroes the page, whatever was in it, and maps it", () => {
    const body = `store_frame(p, 0x77)\nclflush(p)\n${AUG}\n${ACCEPT}\nvcpu0: load(0x2000) @load\nassert sept(td, 0x2000) == MAPPED && sept(td, 0x2000).level == 0`;
    const one = program(scenario(RUN, body));
    assert.equal(report(scenario(RUN, body)).verdict, "pass");
    assert.equal(answers(one, report(scenario(RUN, body)), one.calls.length - 1), "0x00");
  });

  it("gives way where the host waits for the entry, until a host leaf has had it, and may leave as it takes too long", () => {
    const waiting = `${AUG}\nparallel {\n  one { TDH.MEM.SEPT.RD(td, 0x2000, 0) }\n  two { TDH.MEM.SEPT.RD(td, 0x2000, 0) @two }\n}`;
    assert.equal(results(RUN, waiting).two, "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS");
    assert.equal(last(RUN, waiting, ACCEPT), "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS");
    // The second time in a row it may have taken too long; a leaf in between that returns otherwise begins it anew.
    const again = (between: string): string => last(RUN, `${waiting}\n${ACCEPT} = TDX_OPERAND_BUSY/RCX or TDX_SUCCESS\n${between}`, ACCEPT);
    assert.equal(again(""), "TDX_HOST_PRIORITY_BUSY_TIMEOUT or TDX_OPERAND_BUSY/RCX or TDX_PAGE_ALREADY_ACCEPTED");
    assert.equal(again("vcpu0: TDG.MEM.PAGE.ATTR.RD(0x1000)"), "TDX_OPERAND_BUSY/RCX or TDX_PAGE_ALREADY_ACCEPTED");
    assert.equal(last(RUN, `${waiting}\nTDH.MEM.SEPT.RD(td, 0x2000, 0)`, ACCEPT), "TDX_SUCCESS");
  });

  it("an entry that becomes pending between its walk and its lock counts as no leaf", () => {
    const race = `parallel {\n  one { TDH.MEM.PAGE.AUG(td, 0x2000, 0, p) }\n  vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0) @it }\n}`;
    assert.equal(
      results(RUN, race).it,
      ["TDX_OPERAND_BUSY/RCX", "TDX_PAGE_SIZE_MISMATCH", "TDX_SUCCESS", violation("0x2000", 1, ", level=0, state=0")].sort().join(" or "),
    );
  });
});

describe("TDG.MEM.PAGE.ATTR.RD", () => {
  const cases: readonly (readonly [what: string, before: string, gpa: string, answer: string])[] = [
    ["a shared address", "", "SHARED|0x1000", "TDX_OPERAND_INVALID/RCX"],
    ["mapped", "", "0x1000", "TDX_SUCCESS"],
    ["inside its page", "", "0x1234", "TDX_SUCCESS"],
    ["pending", AUG, "0x2000", "TDX_SUCCESS"],
    ["free", "", "0x2000", violation("0x2000", 0)],
    ["no table", "", "0x40000000", violation("0x40000000", 0)],
    ["blocked", "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)", "0x1000", violation("0x1000", 0)],
  ];
  for (const [what, before, gpa, answer] of cases) {
    it(`${what}: ${answer}`, () => assert.equal(last(RUN, before, `vcpu0: TDG.MEM.PAGE.ATTR.RD(${gpa})`), answer));
  }
  it("holds the entry while it reads it", () => {
    const found = results(RUN, "parallel {\n  one { TDH.MEM.RANGE.BLOCK(td, 0x1000, 0) @block }\n  vcpu0 { TDG.MEM.PAGE.ATTR.RD(0x1000) @read }\n}");
    assert.deepEqual(found, {
      block: "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS",
      read: ["TDX_OPERAND_BUSY/RCX", "TDX_SUCCESS", violation("0x1000", 0)].sort().join(" or "),
    });
  });
});

describe("what is out of scope says so on its line", () => {
  const cases: readonly (readonly [line: string, why: RegExp])[] = [
    ["TDH.EXPORT.PAUSE(td)", /migrated/],
    ["TDH.IMPORT.MEM(td, 1, 2, 3)", /migrated/],
    ["TDH.MEM.RD(td, 0x1000)", /debugged/],
    ["vcpu0: TDG.VP.ENTER(1)", /nested/],
    ["vcpu0: TDG.MR.REPORT()", /measurement/],
    ["vcpu0: TDG.VP.INFO()", /metadata/],
    ["vcpu0: TDG.VM.WR(1, 2)", /NOTIFY_ENABLES/],
  ];
  for (const [line, why] of cases) {
    it(line, () => {
      const { verdict, remarks } = report(scenario(RUN, line));
      assert.equal(verdict, "incomplete");
      assert.deepEqual(
        remarks.map((remark) => remark.code),
        ["MEMFD5091"],
      );
      assert.match(remarks[0].message, why);
    });
  }
});

describe("in and out", () => {
  it("a vCPU enters with what it does first and leaves at the end of its block; TDH.VP.ENTER stays until a kick", () => {
    const body = `
vcpu0 { load(0x1000); load(0x1000) }
assert vcpu_state(vcpu0) == VCPU_READY && epoch_refcount(td, 1) == 0
TDH.VP.ENTER(vcpu0) = TDX_SUCCESS
vcpu0: load(0x1000) = 0x41
assert vcpu_state(vcpu0) == VCPU_ACTIVE && epoch_refcount(td, 1) == 1 && epoch_refcount(td, 0) == 0
kick(vcpu0)
assert vcpu_state(vcpu0) == VCPU_READY && epoch_refcount(td, 1) == 0
kick(vcpu0)
vcpu1: TDG.VP.VMCALL.MAPGPA(SHARED|0x3000, 4K) = exit EXIT_REASON_TDCALL {r11=0x10001, r12=0x8000000003000, r13=4096}
assert vcpu_state(vcpu1) == VCPU_READY`;
    const judged = report(scenario(RUN, body));
    assert.deepEqual([judged.verdict, judged.remarks.map((remark) => remark.message)], ["pass", []]);
  });

  it("run() rests in the guest until it is kicked", () => {
    assert.equal(results(RUN, "parallel {\n  vcpu0: run() @it\n  one: kick(vcpu0)\n}").it, "blocks or exit EXIT_REASON_EXTERNAL_INTERRUPT");
    const inside = "TDH.VP.ENTER(vcpu0)\nparallel {\n  vcpu0: run() @it\n  one: kick(vcpu0) @kick\n  order it.td_run before kick\n}";
    assert.equal(results(RUN, inside).it, "exit EXIT_REASON_EXTERNAL_INTERRUPT");
  });

  it("a TLB entry hits until the vCPU enters in another epoch", () => {
    const body = `
TDH.VP.ENTER(vcpu0) = TDX_SUCCESS
vcpu0: load(0x1000) = 0x41
TDH.MEM.RANGE.BLOCK(td, 0x1000, 0) = TDX_SUCCESS
vcpu0: load(0x1000) = 0x41
TDH.MEM.TRACK(td) = TDX_SUCCESS
assert epoch(td) == 2 && bepoch(a) == 1 && epoch_refcount(td, 1) == 1
vcpu0: load(0x1000) = 0x41
TDH.MEM.PAGE.REMOVE(td, 0x1000, 0) = TDX_TLB_TRACKING_NOT_DONE/RCX
TDH.MEM.TRACK(td) = TDX_PREVIOUS_TLB_EPOCH_BUSY
kick(vcpu0)
assert tlb(vcpu0, 0x1000) != NONE && tlb(vcpu0, 0x1000) == sept(td, 0x1000).frame
TDH.MEM.PAGE.REMOVE(td, 0x1000, 0) = TDX_SUCCESS
assert pamt(a) == PT_NDA && tlb(vcpu0, 0x1000) != NONE
TDH.VP.ENTER(vcpu0) = TDX_SUCCESS
assert tlb(vcpu0, 0x1000) == NONE && epoch_refcount(td, 0) == 1
vcpu0: load(0x1000) = exit EXIT_REASON_EPT_VIOLATION {gpa=0x1000, eeq=0}
assert epoch_refcount(td, 0) == 0`;
    const judged = report(scenario(RUN, body));
    assert.deepEqual([judged.verdict, judged.remarks.map((remark) => remark.message), judged.violations], ["pass", [], []]);
  });

  it("two vCPUs that share a processor flush each other's entries, and are not inside at once", () => {
    const shared = `TDH.VP.FLUSH(vcpu1) = TDX_SUCCESS\nTDH.VP.ENTER(vcpu0) = TDX_SUCCESS\nvcpu0: load(0x1000)\nkick(vcpu0)`;
    const body = `${shared}\nassert tlb(vcpu0, 0x1000) != NONE\nTDH.VP.ENTER(vcpu1, 0) = TDX_SUCCESS\nassert tlb(vcpu0, 0x1000) == NONE`;
    assert.deepEqual(report(scenario(RUN, body)).remarks, []);
    const both = report(scenario(RUN, `TDH.VP.FLUSH(vcpu1)\nTDH.VP.ENTER(vcpu0)\nTDH.VP.ENTER(vcpu1, 0)`));
    assert.match(both.remarks.map((remark) => remark.message).join(), /two vCPUs inside on processor 0/);
  });
});
