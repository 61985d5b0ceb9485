// Memory of 2 MB beside the tables of sept.cases.ts: what alloc_frame(2M) gives, what the hardware keeps of it, an ACCEPT that an interrupt stops half-way.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { analyse } from "../../../src/language/index.ts";
import { labelled, report } from "../support.ts";
import { running } from "./support.ts";

const SETUP = `kernel 6.18\n${running(1)}\nlarge = alloc_frame(2M)\ntable3 = alloc_frame()`;
const AUG = "TDH.MEM.PAGE.AUG(td, 2M, 1, large) = TDX_SUCCESS";
const ACCEPT = "vcpu0: TDG.MEM.PAGE.ACCEPT(2M, 1) = TDX_SUCCESS";
const OUT = "TDH.MEM.RANGE.BLOCK(td, 2M, 1) = TDX_SUCCESS\nTDH.MEM.TRACK(td) = TDX_SUCCESS";
const text = (...lines: readonly string[]): string => [SETUP, ...lines, ""].join("\n");

describe("alloc_frame(2M)", () => {
  it("is as it was found, one page as the next", () => {
    assert.equal(labelled(text(AUG, "load_frame(large + 12K) @it")).it, "as found");
    assert.equal(labelled(text("store_frame(large, 0x5a)", "load_frame(large + 12K) @it")).it, "0x5a");
    assert.equal(labelled(text("store_frame(large + 8K, 0x5a)", "load_frame(large + 12K) @it")).it, "as found");
  });

  it("takes 512 frames of those that the machine has", () => {
    const limited = (frames: number): string =>
      `kernel 6.18\nmachine { frames = ${frames} }\na = alloc_frame()\nlarge = alloc_frame(2M) @it\nTDH.MNG.CREATE(a, 33)\n`;
    assert.equal(labelled(limited(512)).it, "-ENOMEM");
    assert.notEqual(labelled(limited(513)).it, "-ENOMEM");
  });

  for (const [line, why] of [
    ["alloc_frame(1G)", "other sizes are not modelled"],
    ["store_frame(large + 2M, 1)", "what lies behind the 2 MB of that name is not modelled"],
    ["store_frame(table3 + 4K, 1)", "what lies behind the 4 KB of that name is not modelled"],
    ["store_frame(large + 1, 1)", "write a multiple of 4K behind the name"],
  ] as const) {
    it(`${line}: ${why}`, () => {
      const { verdict, remarks } = report(text(line));
      assert.equal(verdict, "incomplete");
      assert.deepEqual(
        remarks.map(({ code }) => code),
        ["MEMFD5091"],
      );
      assert.ok(remarks[0].message.includes(why), remarks[0].message);
    });
  }

  it("name + 4K is one of its frames in conditions too", () => {
    const judged = report(
      text(AUG, ACCEPT, "vcpu0: load(0x203000)", "assert tlb(vcpu0, 0x203000) == large + 12K && 8K + large != large + 12K && tlb(vcpu0, 0x203000) != large"),
    );
    assert.equal(judged.verdict, "pass");
    assert.notEqual(report(text("assert large + 1 == large")).verdict, "pass");
  });

  it("is an address without an offset for TDs, and a name without one for all else", () => {
    const { findings } = analyse("test.memfd", text("TDH.MEM.TRACK(td + 4K)"), { imports: () => undefined });
    assert.deepEqual(
      findings.map(({ code }) => code),
      ["MEMFD2005"],
    );
  });
});

describe("what the hardware keeps of a page of 2 MB", () => {
  it("every page of it is zeroed by ACCEPT and belongs to the TD", () => {
    const body = [`store_frame(large, 0x77)\nclflush(large)`, AUG, ACCEPT, "vcpu0: load(0x2fe008) @it", "load_frame(large + 0xfe000) @host"];
    assert.equal(labelled(text(...body)).it, "0x00");
    assert.equal(labelled(text(...body)).host, "0x00");
  });

  it("lines that the host has not flushed break cache-flushed when it is given away, on whichever page they lie", () => {
    const { violations } = report(text("store_frame(large + 12K, 1)", AUG));
    assert.deepEqual(
      violations.map(({ invariant }) => invariant),
      ["cache-flushed"],
    );
    assert.deepEqual(report(text("store_frame(large + 12K, 1)\nclflush(large)", AUG)).violations, []);
  });

  it("a store of the host into one page of it ends the TD at that page only", () => {
    const broken = [AUG, ACCEPT, "store_frame(large + 12K, 0x66)"];
    assert.equal(labelled(text(...broken, "vcpu0: load(0x204000) @it")).it, "0x00");
    assert.equal(labelled(text(...broken, "vcpu0: load(0x203000) @it")).it, "#MC");
  });

  it("what the TD stored is there when the page is split and joined", () => {
    const body = [AUG, ACCEPT, "vcpu0: store(0x203010, 0x5a)", OUT, "TDH.MEM.PAGE.DEMOTE(td, 2M, 1, table3) = TDX_SUCCESS", "vcpu0: load(0x203010) @split"];
    const joined = [...body, OUT, "TDH.MEM.PAGE.PROMOTE(td, 2M, 1) = TDX_SUCCESS", "vcpu0: load(0x203010) @joined"];
    assert.deepEqual(labelled(text(...joined)), { split: "0x5a", joined: "0x5a" });
    assert.equal(report(text(...joined)).verdict, "pass");
  });
});

it("512 pages that were added one by one are joined, if they lie side by side", () => {
  const added = (first: string): string =>
    text(
      "TDH.MEM.SEPT.ADD(td, 2M, 1, table3) = TDX_SUCCESS",
      "page = alloc_frame()",
      `TDH.MEM.PAGE.AUG(td, 2M, 0, ${first}) = TDX_SUCCESS`,
      "repeat 511 as i { TDH.MEM.PAGE.AUG(td, 2M + 4K + i * 4K, 0, large + 4K + i * 4K) = TDX_SUCCESS }",
      OUT,
      "TDH.MEM.PAGE.PROMOTE(td, 2M, 1) @it",
      "vcpu0: TDG.MEM.PAGE.ACCEPT(2M, 1) @accept",
    );
  assert.deepEqual(labelled(added("large")), { it: "TDX_SUCCESS", accept: "TDX_SUCCESS" });
  assert.equal(labelled(added("page")).it, "TDX_EPT_INVALID_PROMOTE_CONDITIONS/RCX");
});

describe("an interrupt in an ACCEPT of 2 MB", () => {
  const race = `parallel {
  vmm { kick(vcpu0); TDH.MEM.RANGE.BLOCK(td, 2M, 1) @block; TDH.MEM.TRACK(td); TDH.MEM.PAGE.REMOVE(td, 2M, 1) @remove }
  vcpu0 { TDG.MEM.PAGE.ACCEPT(2M, 1) @accept }
}`;

  it("lets the host in between, and what is left to zero is zeroed later", () => {
    const quiet = labelled(text(AUG, "vcpu0: load(0x205000)", race.replace("kick(vcpu0); ", "")));
    const found = labelled(text(AUG, "vcpu0: load(0x205000)", race));
    assert.ok(quiet.block.includes("TDX_OPERAND_BUSY/RCX") && found.block.includes("TDX_SUCCESS"), found.block);
    const stopped = "BLOCK while the page is accepted in part, then no ACCEPT any more";
    assert.ok(found.accept.includes("exit EXIT_REASON_EPT_VIOLATION"), `${stopped}: ${found.accept}`);
    assert.equal(report(text(AUG, race)).violations.length, 0);
  });

  it("changes nothing of the answer where nobody comes between, whether it rests inside or not", () => {
    for (const enter of ["", "TDH.VP.ENTER(vcpu0) = TDX_SUCCESS"]) {
      const body = text(AUG, enter, "vcpu0: TDG.MEM.PAGE.ACCEPT(2M, 1) @accept", "vcpu0: load(0x205000) @load", "kick(vcpu0)");
      assert.deepEqual(labelled(body), { accept: "TDX_SUCCESS", load: "0x00" });
    }
    const calls = text(AUG, "vcpu0: TDG.MEM.PAGE.ACCEPT(2M, 1) @accept", "vcpu0: load(0x205000) @load");
    assert.deepEqual(labelled(calls.replace("kernel 6.18", "kernel 6.18\nmachine { interrupts = 1 }")), { accept: "TDX_SUCCESS", load: "0x00" });
  });
});
