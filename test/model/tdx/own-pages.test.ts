// Pages as the module itself reads and writes them: a page that is its own source, lines that are no longer the TD's, the module's own pages under the host's
// hands; and what a vCPU is told that rests inside while its TD dies.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { labelled, report } from "../support.ts";
import { building, running } from "./support.ts";
import { stages, upTo } from "./td.ts";

const text = (setup: string, body: string, machine = ""): string =>
  `scenario "own" {\nkernel 6.18\n${machine}\ncheck no-deadlock\n${setup}\np = alloc_frame()\nq = alloc_frame()\n${body}\n}\n`;
const results = (setup: string, body: string): Record<string, string> => labelled(text(setup, body));
const remarks = (setup: string, body: string, machine = ""): string[] =>
  report(text(setup, body, machine)).remarks.map(({ code, message }) => `${code} ${message}`);

const FINAL = "TDH.MR.FINALIZE(td) = TDX_SUCCESS";

describe("TDH.MEM.PAGE.ADD", () => {
  it("of a page that is its own source keeps what is in it: each line is read before it is written", () => {
    const body = `store_frame(p, 0x42)\nclflush(p)\nTDH.MEM.PAGE.ADD(td, 0x1000, p, p) = TDX_SUCCESS\n${FINAL}\nload_frame(p) @host\nvcpu0: load(0x1000) @td`;
    assert.deepEqual(results(building(1), body), { host: "0x00", td: "0x42" });
  });
  it("takes a source under a key id that is no private one, and none under a private one", () => {
    const add = (source: string): string => results(building(1), `TDH.MEM.PAGE.ADD(td, 0x1000, p, ${source}) @it`).it;
    assert.equal(add("31 << 46 | 0x1000"), "TDX_SUCCESS");
    assert.equal(add("32 << 46 | 0x1000"), "TDX_OPERAND_INVALID/R9");
  });
});

describe("bits of an operand that are no address", () => {
  const cases: readonly (readonly [call: string, answer: string])[] = [
    ["TDH.MEM.SEPT.RD(0x1001, 0, 0)", "TDX_OPERAND_ADDR_RANGE_ERROR/RDX"],
    ["TDH.MEM.SEPT.ADD(0x1001, 0, 1, p)", "TDX_OPERAND_ADDR_RANGE_ERROR/RDX"],
    ["TDH.MEM.SEPT.ADD(td, 2M, 1, 1 << 63 | 0x1000)", "TDX_OPERAND_ADDR_RANGE_ERROR/R8"],
    ["TDH.MEM.SEPT.ADD(td, 2M, 1, -1)", "TDX_OPERAND_INVALID/R8"],
    ["TDH.MEM.PAGE.DEMOTE(0x1001, 0, 1, p)", "TDX_OPERAND_ADDR_RANGE_ERROR/RDX"],
    ["TDH.MEM.PAGE.AUG(0x1001, 0, 0, p)", "TDX_OPERAND_INVALID/RDX"],
    ["TDH.VP.ENTER(1 << 53 | 1 << 52 | 0x1000)", "TDX_OPERAND_ADDR_RANGE_ERROR/RCX"],
    ["TDH.VP.ENTER(1 << 54 | 0x1000)", "TDX_OPERAND_INVALID/RCX"],
  ];
  for (const [call, answer] of cases) it(`${call}: ${answer}`, () => assert.equal(results(running(1), `${call} @it`).it, answer));
});

describe("the module reads a line with the TD's key that the host has written", () => {
  const CHECKED = /^MEMFD5091 a machine check while the TDX module runs ends TDX/;
  const added = "TDH.MEM.PAGE.ADD(td, 0x1000, p, q) = TDX_SUCCESS";
  it("to measure it: the 256 bytes that it measures, no others", () => {
    assert.match(remarks(building(1), `${added}\nstore_frame(p, 1)\nTDH.MR.EXTEND(td, 0x1000)`).join(), CHECKED);
    assert.match(remarks(building(1), `${added}\nmovnti(p, 0x1f0, 1)\nTDH.MR.EXTEND(td, 0x1100)`).join(), CHECKED);
    assert.deepEqual(remarks(building(1), `${added}\nmovnti(p, 0x1f0, 1)\nTDH.MR.EXTEND(td, 0x1200) = TDX_SUCCESS`), []);
    assert.deepEqual(remarks(building(1), `${added}\nTDH.MR.EXTEND(td, 0x1f00) = TDX_SUCCESS`), []);
  });
  it("to relocate it, but for a page that is pending", () => {
    const blocked = (gpa: string): string => `TDH.MEM.RANGE.BLOCK(td, ${gpa}, 0)\nTDH.MEM.TRACK(td)`;
    assert.match(remarks(running(1), `store_frame(a, 1)\n${blocked("0x1000")}\nTDH.MEM.PAGE.RELOCATE(td, 0x1000, p)`).join(), CHECKED);
    const pending = "TDH.MEM.PAGE.AUG(td, 0x2000, 0, q)\nstore_frame(q, 1)";
    assert.deepEqual(remarks(running(1), `${pending}\n${blocked("0x2000")}\nTDH.MEM.PAGE.RELOCATE(td, 0x2000, p) = TDX_SUCCESS`), []);
  });
});

describe("the host writes to a page that the module has for itself", () => {
  const REFUSED = /^MEMFD5091 the page is the TDX module's own \(PT_(TDR|TDCX|TDVPR|EPT)\): a machine check/;
  const writes = ["store_frame(NAME, 1)", "movdir64b(NAME)", "movnti(NAME, 8, 1)"];
  for (const write of writes) {
    it(`${write} is not modelled for any of them`, () => {
      for (const name of ["root", "tdcx[0]", "tdvpr0", "vpcx0[1]", "table[2]"]) {
        assert.match(remarks(running(1), write.replace("NAME", name)).join(), REFUSED, name);
      }
    });
  }
  it("so is a flush of lines that were modified when the module got it", () => {
    assert.match(remarks(upTo("configured"), "store_frame(p, 1)\nTDH.MNG.ADDCX(td, p) = TDX_SUCCESS\nclflush(p)").join(), REFUSED);
    assert.deepEqual(remarks(upTo("configured"), "TDH.MNG.ADDCX(td, p) = TDX_SUCCESS\nclflush(p)"), []);
  });
  it("once the keys of the TD are gone nobody looks at them but at the TDR, and a page that is the host's again is any page", () => {
    assert.deepEqual(remarks(upTo("blocked"), "movdir64b(cx[0])\nmovdir64b(vp)\nmovdir64b(vx[0])"), []);
    assert.match(remarks(upTo("torn-down"), "movdir64b(tdr)").join(), REFUSED);
    const back = stages(["created", "blocked", "written-back", "torn-down"]);
    assert.deepEqual(remarks(back, "TDH.PHYMEM.PAGE.RECLAIM(tdr) = TDX_SUCCESS\nmovdir64b(tdr)"), []);
  });
  it("a read finds zeros and does no harm", () => {
    assert.equal(results(running(1), "load_frame(root) @it").it, "0x00");
  });
});

it("a vCPU that rests inside while its TD dies is told so when it is put out", () => {
  const body = (before: string): string =>
    `TDH.VP.ENTER(vcpu1) = TDX_SUCCESS\n${before}\nparallel {\n  vcpu1: run() @it\n  host: kick(vcpu1) @kick\n  order it.td_run before kick\n}`;
  assert.equal(results(running(2), body("")).it, "exit EXIT_REASON_EXTERNAL_INTERRUPT");
  assert.equal(results(running(2), body("store_frame(a, 1)\nvcpu0: load(0x1000) = #MC")).it, "TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE");
});
