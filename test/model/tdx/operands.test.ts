// What the arguments of a leaf mean: frames of alloc_frame() and of files, names of TDs and vCPUs, integers, names that have failed.

import assert from "node:assert/strict";
import { it } from "node:test";
import { labelled } from "../support.ts";
import { running } from "./support.ts";

const results = (body: string, machine = ""): Record<string, string> => labelled(`scenario "operands" {\nkernel 6.18\n${machine}\n${running(2)}\n${body}\n}\n`);

it("a page of a file is one for the module too, a hole is none; what the TD stores the host reads as zeros", () => {
  const body = `mem = memfd_create("mem", 0)\nftruncate(mem, 8K)\npwrite(mem, 0x55, 0)
TDH.MEM.PAGE.AUG(td, 0x2000, 0, frame(mem, 0)) @page\nTDH.MEM.PAGE.AUG(td, 0x3000, 0, frame(mem, 4K)) @hole
vcpu0: TDG.MEM.PAGE.ACCEPT(0x2000, 0)\nvcpu0: store(0x2000, 7)\npread(mem, 1, 0) @host\nvcpu0: load(0x2000) @td`;
  assert.deepEqual(results(body), { page: "TDX_SUCCESS", hole: "TDX_OPERAND_ADDR_RANGE_ERROR/R8", host: '1 "\\000"', td: "0x07" });
});

it("a name stands for the page that its call was given; one whose call has failed names nothing", () => {
  const body = `p = alloc_frame()\nagain = TDH.MNG.CREATE(p, 33) @create\nTDH.MEM.TRACK(again) @track\nTDH.MEM.TRACK(root) @root
TDH.VP.FLUSH(tdvpr1) @page\nTDH.VP.ENTER(vcpu1) @enter\nvcpu1: TDH.VP.ENTER(vcpu1) @inside`;
  assert.deepEqual(results(body), {
    create: "TDX_HKID_NOT_FREE",
    track: "TDX_PAGE_METADATA_INCORRECT/RCX",
    root: "TDX_SUCCESS",
    page: "TDX_SUCCESS",
    enter: "TDX_SUCCESS",
    inside: "TDX_VCPU_STATE_INCORRECT",
  });
});

it("a frame that could not be allocated is an address that is none", () => {
  // 24 frames: those of the TD, `a` and its source.
  const found = results("p = alloc_frame() @alloc\nTDH.MEM.PAGE.AUG(td, 0x2000, 0, p) @aug", "machine { frames = 24 }");
  assert.deepEqual(found, { alloc: "-ENOMEM", aug: "TDX_OPERAND_INVALID/R8" });
});

it("two TDs have a secure EPT each, and no page of the one goes to the other", () => {
  const second = running(2)
    .replaceAll(/\b(root|td|tdcx|table|tdvpr\d|vcpu\d|vpcx\d|a|source)\b(?!-)/g, "$12")
    .replace("33)", "34)");
  const body = `${second}\nTDH.MEM.PAGE.AUG(td2, 0x2000, 0, a) @stolen\nvcpu02: load(0x1000) @other\nvcpu0: store(0x1000, 9)\nvcpu02: load(0x1000) @still\nassert chldcnt(td) == chldcnt(td2)`;
  assert.deepEqual(results(body), { stolen: "TDX_PAGE_METADATA_INCORRECT/R8", other: "0x41", still: "0x41" });
});
