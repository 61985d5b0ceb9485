// Memory below the module: TD-owner bit, poison and machine check, host reads and writes, flushes, resets, the partial-write erratum.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { breaches, labelled, program, report } from "../support.ts";
import { running } from "./support.ts";

const SETUP = running(2);
const scenario = (body: string, machine = ""): string => `scenario "hardware" {\nkernel 6.18\n${machine}\n${SETUP}\np = alloc_frame()\n${body}\n}\n`;
/** Results by label; what the invariants say is asked elsewhere. */
const results = (body: string, machine = ""): Record<string, string> => labelled(scenario(`check no-deadlock\n${body}`, machine));
const broken = (body: string): string[] => breaches(program(scenario(body)), report(scenario(body)));

describe("the host reads and writes a page of a TD", () => {
  it("reads zeros, and the TD keeps what it has", () => {
    assert.deepEqual(results("vcpu0: store(0x1000, 9)\nload_frame(a) @host\nvcpu0: load(0x1000) @td"), { host: "0x00", td: "0x09" });
  });

  it("a full write goes through, is read back by the host, and ends the TD at its next touch", () => {
    const body = `store_frame(a, 5)\nload_frame(a) @host\nvcpu0: load(0x1000) @td\nvcpu1: load(0x1000) @other\nTDH.MEM.TRACK(td) @track\nload_frame(a) @after`;
    assert.deepEqual(results(body), { host: "0x05", td: "#MC", other: "TDX_TD_FATAL", track: "TDX_TD_FATAL", after: "#MC" });
    assert.equal(results("store_frame(a, 5)\nvcpu0: store(0x1000, 9) @it").it, "#MC");
  });

  it("a vCPU that is inside meanwhile goes on until it comes to the module; nothing of its structures is looked at any more", () => {
    const body = `TDH.VP.ENTER(vcpu1) = TDX_SUCCESS\nvcpu1: load(0x1000) = 0x41\nmovnti(a, 0x100, 1)\nvcpu0: load(0x1100) = #MC\nvcpu1: load(0x1000) @hit
vcpu1: load(0x5000) @exit\nassert epoch_refcount(td, 1) == 2 && vcpu_state(vcpu1) == VCPU_ACTIVE && vcpu_state(vcpu0) == VCPU_ACTIVE\nTDH.VP.FLUSH(vcpu1) @flush`;
    assert.deepEqual(results(body), { hit: "0x41", exit: "TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE", flush: "TDX_SUCCESS" });
    assert.deepEqual(report(scenario(`check no-deadlock\n${body}`)).remarks, []);
    const leaf = `TDH.VP.ENTER(vcpu1)\nstore_frame(a, 1)\nvcpu0: load(0x1100)\nvcpu1: TDG.MEM.PAGE.ACCEPT(0x5000, 0) @it`;
    assert.equal(results(leaf).it, "TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE");
  });

  it("poison is of one line: the others are the host's as before", () => {
    assert.deepEqual(results("store_frame(a, 5)\nvcpu0: load(0x1100) @td\nload_frame(a) @first\nmovnti(a, 0x140, 3)"), { td: "#MC", first: "0x05" });
  });

  it("a write that reaches memory late does it then: the line is modified in the cache of the host until it is flushed", () => {
    const late = `store_frame(p, 5)\nTDH.MEM.PAGE.AUG(td, 0x2000, 0, p)\nvcpu0: TDG.MEM.PAGE.ACCEPT(0x2000, 0)`;
    assert.equal(results(`${late}\nvcpu0: load(0x2000) @it`).it, "0x00");
    assert.equal(results(`${late}\nclflush(p)\nvcpu0: load(0x2000) @it`).it, "#MC");
    assert.deepEqual(broken(`check cache-flushed\n${late}`), ["cache-flushed TDH.MEM.PAGE.AUG.commit"]);
    assert.deepEqual(broken(`check cache-flushed\nstore_frame(p, 5)\nclflush(p)\nTDH.MEM.PAGE.AUG(td, 0x2000, 0, p)`), []);
  });
});

describe("a write of part of a line past the cache", () => {
  const body = "movnti(a, 8, 3)\nload_frame(a) @host\nvcpu0: load(0x1000) @td";
  it("with the erratum it poisons the line of a TD at once, for everybody", () => {
    assert.deepEqual(results(body, "machine { erratum = 1 }"), { host: "#MC", td: "#MC" });
  });
  it("elsewhere the line is the host's from then on", () => {
    assert.deepEqual(results(body), { host: "0x00", td: "#MC" });
  });
  it("a line of the host takes no harm, and MOVDIR64B takes poison away", () => {
    assert.equal(results("store_frame(p, 7)\nmovnti(p, 8, 3)\nload_frame(p) @it", "machine { erratum = 1 }").it, "0x07");
    const poisoned = "movnti(a, 8, 3)\nmovdir64b(a)\nload_frame(a) @it";
    assert.equal(results(poisoned, "machine { erratum = 1 }").it, "0x00");
  });
});

describe("a page that comes back from a TD", () => {
  const removed = `vcpu0: store(0x1000, 9)\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)\nTDH.MEM.TRACK(td)\nTDH.MEM.PAGE.REMOVE(td, 0x1000, 0) = TDX_SUCCESS`;
  it("neither the module nor the hardware shows its content", () => {
    assert.equal(results(`${removed}\nload_frame(a) @it`).it, "0x00");
  });
  it("lines that are still modified under the TD's key destroy what the host writes, unless they are written back first", () => {
    const flushed = `${removed}\nTDH.PHYMEM.PAGE.WBINVD(a, 33) = TDX_SUCCESS`;
    assert.deepEqual(broken(`check cache-flushed\n${removed}\nstore_frame(a, 5)`), ["cache-flushed store_frame.write_frame"]);
    assert.deepEqual(broken(`check cache-flushed\n${flushed}\nmovdir64b(a)\nstore_frame(a, 5)`), []);
    assert.equal(results(`${removed}\nstore_frame(a, 5)\nTDH.PHYMEM.PAGE.WBINVD(a, 33)\nload_frame(a) @it`).it, "0x00");
    assert.equal(results(`${flushed}\nmovdir64b(a)\nstore_frame(a, 5)\nload_frame(a) @it`).it, "0x05");
  });
  it("on a processor with the erratum a page that is not reset poisons at the next part of a line", () => {
    const flushed = `${removed}\nTDH.PHYMEM.PAGE.WBINVD(a, 33)`;
    assert.equal(results(`${flushed}\nmovnti(a, 0, 1)\nload_frame(a) @it`, "machine { erratum = 1 }").it, "#MC");
    assert.equal(results(`${flushed}\nmovdir64b(a)\nmovnti(a, 0, 1)\nload_frame(a) @it`, "machine { erratum = 1 }").it, "0x01");
  });
  it("comes to the next TD as zeros, whatever was in it", () => {
    const again = `${removed}\nTDH.MEM.PAGE.AUG(td, 0x2000, 0, a) = TDX_SUCCESS\nvcpu0: TDG.MEM.PAGE.ACCEPT(0x2000, 0)\nvcpu0: load(0x2000) @it`;
    assert.equal(results(again).it, "0x00");
  });
  it("relocated, it takes its content along", () => {
    const moved = `vcpu0: store(0x1000, 9)\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)\nTDH.MEM.TRACK(td)\nTDH.MEM.PAGE.RELOCATE(td, 0x1000, p) = TDX_SUCCESS`;
    const found = results(`${moved}\nassert pamt(a) == PT_NDA && pamt(p) == PT_REG && sept(td, 0x1000) == MAPPED\nvcpu0: load(0x1000) @it`);
    assert.equal(found.it, "0x09");
  });
});

it("a poisoned source ends TDX on the machine, which is not modelled", () => {
  const body = "movnti(a, 0, 1)\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)\nTDH.MEM.TRACK(td)\nTDH.MEM.PAGE.RELOCATE(td, 0x1000, p)";
  const judged = report(scenario(body, "machine { erratum = 1 }"));
  assert.deepEqual(
    judged.remarks.map((remark) => remark.code),
    ["MEMFD5091"],
  );
  assert.match(judged.remarks[0].message, /machine check while the TDX module runs/);
});
