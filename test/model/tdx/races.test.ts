// Races on a TD that is driven directly: removal of a page against its acceptance and an access, BLOCK against ACCEPT, what each skipped step of the protocol
// of TLB tracking answers, and leaves of two threads on one page.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { breaches, labelled, program, report } from "../support.ts";
import { building, running } from "./support.ts";

const scenario = (setup: string, body: string): string => `kernel 6.18\n${setup}\np = alloc_frame()\nq = alloc_frame()\n${body}\n`;
const RUN = running(2);
const results = (body: string, setup = RUN): Record<string, string> => labelled(scenario(setup, body));
const SET = (text: string | undefined): ReadonlySet<string> => new Set(text?.split(" or "));

const AUG = "TDH.MEM.PAGE.AUG(td, 0x2000, 0, p) = TDX_SUCCESS";
const REMOVAL = "TDH.MEM.RANGE.BLOCK(td, 0x2000, 0) @block; TDH.MEM.TRACK(td) @track; kick(vcpu0); TDH.MEM.PAGE.REMOVE(td, 0x2000, 0) @remove";

describe("PAGE.REMOVE against ACCEPT against an access", () => {
  const race = `${AUG}\nparallel {\n  vmm { ${REMOVAL} }\n  vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0) @accept; load(0x2000) @load }\n}`;

  it("answers what the module's locks, tracking and walk allow, and nothing else", () => {
    const found = results(race);
    assert.deepEqual(SET(found.block), new Set(["TDX_SUCCESS", "TDX_OPERAND_BUSY/RCX"]));
    assert.deepEqual(SET(found.track), new Set(["TDX_SUCCESS", "TDX_OPERAND_BUSY/TD_EPOCH"]));
    // An ACCEPT that finds the page blocked has the entry locked while it finds that.
    assert.deepEqual(SET(found.remove), new Set(["TDX_SUCCESS", "TDX_OPERAND_BUSY/RCX", "TDX_GPA_RANGE_NOT_BLOCKED/RCX", "TDX_TLB_TRACKING_NOT_DONE/RCX"]));
    assert.ok(SET(found.accept).has("TDX_SUCCESS") && SET(found.accept).has("TDX_OPERAND_BUSY/RCX"), found.accept);
    assert.ok(SET(found.load).has("0x00") && SET(found.load).has("exit EXIT_REASON_EPT_VIOLATION {gpa=0x2000, eeq=0}"), found.load);
  });

  it("breaks no rule: no TLB leads to a page that is gone", () => {
    const text = scenario(RUN, race);
    const judged = report(text);
    assert.ok(judged.exploration.complete);
    assert.deepEqual(breaches(program(text), judged), []);
  });

  it("where every step of the host succeeds the page is gone; where BLOCK met the lock of ACCEPT nothing of it is", () => {
    const text = scenario(
      RUN,
      `${race}\nnever result(block) == TDX_SUCCESS && result(track) == TDX_SUCCESS && result(remove) == TDX_SUCCESS && sept(td, 0x2000) != FREE
never result(block) != TDX_SUCCESS && pamt(p) != PT_REG
exists result(block) == TDX_OPERAND_BUSY/RCX && result(accept) == TDX_SUCCESS && sept(td, 0x2000) == MAPPED
exists result(accept) == TDX_SUCCESS && result(remove) == TDX_SUCCESS && pamt(p) == PT_NDA`,
    );
    assert.deepEqual(report(text).remarks, []);
  });
});

it("BLOCK against ACCEPT: the one that comes second answers TDX_OPERAND_BUSY/RCX, or finds what the first has left", () => {
  const found = results(`${AUG}\nparallel {\n  vmm { TDH.MEM.RANGE.BLOCK(td, 0x2000, 0) @block }\n  vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0) @accept }\n}`);
  assert.deepEqual(SET(found.block), new Set(["TDX_SUCCESS", "TDX_OPERAND_BUSY/RCX"]));
  assert.deepEqual(SET(found.accept), new Set(["TDX_SUCCESS", "TDX_OPERAND_BUSY/RCX", "exit EXIT_REASON_EPT_VIOLATION {gpa=0x2000, eeq=1, level=0, state=3}"]));
});

describe("a step of the protocol that is left out", () => {
  const inside = "TDH.VP.ENTER(vcpu0) = TDX_SUCCESS\nvcpu0: load(0x1000)";
  const cases: readonly (readonly [left: string, before: string, call: string, answer: string])[] = [
    ["BLOCK", `${inside}\nTDH.MEM.TRACK(td)\nkick(vcpu0)`, "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)", "TDX_GPA_RANGE_NOT_BLOCKED/RCX"],
    ["TRACK", `${inside}\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)\nkick(vcpu0)`, "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)", "TDX_TLB_TRACKING_NOT_DONE/RCX"],
    ["the kick", `${inside}\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)\nTDH.MEM.TRACK(td)`, "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)", "TDX_TLB_TRACKING_NOT_DONE/RCX"],
    ["the kick, and TRACK again", `${inside}\nTDH.MEM.TRACK(td)`, "TDH.MEM.TRACK(td)", "TDX_PREVIOUS_TLB_EPOCH_BUSY"],
    [
      "the kick before TRACK in place of behind it",
      `${inside}\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)\nkick(vcpu0)\nTDH.VP.ENTER(vcpu0)\nTDH.MEM.TRACK(td)`,
      "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)",
      "TDX_TLB_TRACKING_NOT_DONE/RCX",
    ],
    ["PAGE.REMOVE: the page is given again", "", "TDH.MEM.PAGE.AUG(td, 0x2000, 0, a)", "TDX_PAGE_METADATA_INCORRECT/R8"],
    ["nothing", `${inside}\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)\nTDH.MEM.TRACK(td)\nkick(vcpu0)`, "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)", "TDX_SUCCESS"],
    [
      "nothing, and the vCPU is back inside",
      `${inside}\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)\nTDH.MEM.TRACK(td)\nkick(vcpu0)\nTDH.VP.ENTER(vcpu0)`,
      "TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)",
      "TDX_SUCCESS",
    ],
  ];
  for (const [left, before, call, answer] of cases) it(`${left}: ${answer}`, () => assert.equal(results(`${before}\n${call} @it`).it, answer));

  it("before the TD may run none of it is needed", () => {
    assert.equal(results("TDH.MEM.PAGE.AUG(td, 0x1000, 0, p)\nTDH.MEM.PAGE.REMOVE(td, 0x1000, 0) @it", building(1)).it, "TDX_SUCCESS");
  });

  it("whatever is left out, the module keeps the translations of a TD safe", () => {
    for (const [, before, call] of cases) {
      const text = scenario(RUN, `check tlb-tracked, sept-pamt-agree\n${before}\n${call}`);
      assert.deepEqual(breaches(program(text), report(text)), [], before);
    }
  });
});

describe("two host threads", () => {
  const race = (one: string, two: string, before = ""): Record<string, string> =>
    results(`${before}\nparallel {\n  one { ${one} @one }\n  two { ${two} @two }\n}`);

  it("one page for two guest pages: the PAMT gives it to one of them", () => {
    const found = race("TDH.MEM.PAGE.AUG(td, 0x2000, 0, p)", "TDH.MEM.PAGE.AUG(td, 0x3000, 0, p)");
    assert.equal(found.one, "TDX_OPERAND_BUSY/R8 or TDX_PAGE_METADATA_INCORRECT/R8 or TDX_SUCCESS");
    assert.equal(found.two, found.one);
  });
  it("two pages for one guest page: the entry takes one of them", () => {
    const found = race("TDH.MEM.PAGE.AUG(td, 0x2000, 0, p)", "TDH.MEM.PAGE.AUG(td, 0x2000, 0, q)");
    assert.equal(found.one, "TDX_EPT_ENTRY_STATE_INCORRECT/RCX or TDX_OPERAND_BUSY/RCX or TDX_SUCCESS");
  });
  it("BLOCK wants the tree for itself, others share it", () => {
    const found = race("TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)", "TDH.MEM.PAGE.AUG(td, 0x2000, 0, p)");
    assert.equal(found.one, "TDX_OPERAND_BUSY/SEPT_TREE or TDX_SUCCESS");
    assert.equal(found.two, "TDX_OPERAND_BUSY/SEPT_TREE or TDX_SUCCESS");
    const shared = race("TDH.MEM.PAGE.AUG(td, 0x3000, 0, q)", "TDH.MEM.PAGE.AUG(td, 0x2000, 0, p)");
    assert.deepEqual(shared, { one: "TDX_SUCCESS", two: "TDX_SUCCESS" });
  });
  it("TRACK against TRACK, and against an entry", () => {
    assert.equal(race("TDH.MEM.TRACK(td)", "TDH.MEM.TRACK(td)").one, "TDX_OPERAND_BUSY/TD_EPOCH or TDX_SUCCESS");
    const entering = race("TDH.MEM.TRACK(td)", "TDH.VP.ENTER(vcpu0)");
    assert.deepEqual(entering, { one: "TDX_OPERAND_BUSY/TD_EPOCH or TDX_SUCCESS", two: "TDX_OPERAND_BUSY/TD_EPOCH or TDX_SUCCESS" });
  });
  it("an entry that meets TRACK has associated the vCPU all the same", () => {
    const body = `TDH.VP.FLUSH(vcpu0) = TDX_SUCCESS\nparallel {\n  one { TDH.MEM.TRACK(td) }\n  two { TDH.VP.ENTER(vcpu0) @enter }\n}\nTDH.VP.FLUSH(vcpu1) = TDX_SUCCESS
exists result(enter) == TDX_OPERAND_BUSY/TD_EPOCH\nkick(vcpu0)\nTDH.MNG.VPFLUSHDONE(td) = TDX_FLUSHVP_NOT_DONE`;
    assert.deepEqual(report(scenario(RUN, body)).remarks, []);
  });
  it("a vCPU inside holds its TDR shared: what wants it exclusive is busy", () => {
    const found = results(
      "TDH.VP.ENTER(vcpu0) = TDX_SUCCESS\nTDH.MNG.VPFLUSHDONE(td) @done\nTDH.VP.FLUSH(vcpu0) @flush\nTDH.MEM.PAGE.AUG(td, 0x2000, 0, p) @aug",
    );
    assert.deepEqual(found, { done: "TDX_OPERAND_BUSY/RCX", flush: "TDX_OPERAND_BUSY/RCX", aug: "TDX_SUCCESS" });
  });
});
