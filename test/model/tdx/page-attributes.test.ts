// TDG.MEM.PAGE.ATTR.WR down its checks, in a TD without nested VMs; TDG.MEM.PAGE.ATTR.RD beside it through KVM. What the guest sees above its address width,
// and of HLT.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { attributesWritten } from "../../../src/model/tdx/page-attributes.ts";
import { TD } from "../kvm/tdx-support.ts";
import { labelled, onMachine, report } from "../support.ts";
import { building, running } from "./support.ts";

const scenario = (body: string, setup = running(2)): string => `kernel 6.18\n${setup}\np = alloc_frame()\nq = alloc_frame()\n${body}\n`;
const results = (body: string, setup?: string): Record<string, string> => labelled(scenario(body, setup));
const last = (before: string, line: string, setup?: string): string => results(`${before}\n${line} @it`, setup).it;
const violation = (gpa: string, eeq: number, more = ""): string => `exit EXIT_REASON_EPT_VIOLATION {gpa=${gpa}, eeq=${eeq}${more}}`;
const AUG = "TDH.MEM.PAGE.AUG(td, 0x2000, 0, p) = TDX_SUCCESS";
const WIDE = building(1, "TDH.MNG.INIT(td, gpaw=1)").replace("repeat 3 as i {", "repeat 4 as i {").replace("3 - i", "4 - i");

describe("TDG.MEM.PAGE.ATTR.WR", () => {
  const write = (operands: string): string => `vcpu0: TDG.MEM.PAGE.ATTR.WR(${operands})`;
  const cases: readonly (readonly [what: string, before: string, operands: string, answer: string])[] = [
    ["attributes for the TD itself", "", "0x1000, 0, 7", "TDX_OPERAND_INVALID/RDX"],
    ["attributes for a nested VM", "", "0x1000, 0, 0x80070000", "TDX_OPERAND_INVALID/RDX"],
    ["flags", "", "0x1000, 0, 0, 1", "TDX_OPERAND_INVALID/R8"],
    ["flags of a VM before the attributes of the next one", "", "0x1000, 0, 0x10000, 1", "TDX_OPERAND_INVALID/R8"],
    ["attributes of a VM before its flags", "", "0x1000, 0, 0x10000, 0x10000", "TDX_OPERAND_INVALID/RDX"],
    ["attributes before the address", "", "SHARED|0x1000, 9, 1", "TDX_OPERAND_INVALID/RDX"],
    ["a level that there is none of", "", "0, 3", "TDX_OPERAND_INVALID/RCX"],
    ["an address that is not aligned", "", "0x1800, 0", "TDX_OPERAND_INVALID/RCX"],
    ["not aligned to the level", "", "0x1000, 1", "TDX_OPERAND_INVALID/RCX"],
    ["a shared address", "", "SHARED|0x1000, 0", "TDX_OPERAND_INVALID/RCX"],
    ["an address that is too wide", "", "1 << 48, 0", "TDX_OPERAND_INVALID/RCX"],
    ["a missing table", "", "0x40000000, 0", violation("0x40000000", 5, ", level=2, state=0")],
    ["a blocked table", "TDH.MEM.RANGE.BLOCK(td, 0, 1)", "0x1000, 0", violation("0x1000", 5, ", level=1, state=0x81")],
    ["a table at the level that is asked for", "", "0, 1", "TDX_PAGE_SIZE_MISMATCH/LVL_PD"],
    ["a table of a gigabyte", "", "0, 2", "TDX_PAGE_SIZE_MISMATCH/LVL_PDPT"],
    ["a free entry", "", "0x2000, 0", violation("0x2000", 5, ", level=0, state=0")],
    ["a blocked page", "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)", "0x1000, 0", violation("0x1000", 5, ", level=0, state=1")],
    ["pending and blocked", `${AUG}\nTDH.MEM.RANGE.BLOCK(td, 0x2000, 0)`, "0x2000, 0", violation("0x2000", 5, ", level=0, state=3")],
    ["a mapped page", "", "0x1000, 0", "TDX_SUCCESS"],
    ["a pending page", AUG, "0x2000, 0, 0, 0", "TDX_SUCCESS"],
  ];
  for (const [what, before, operands, answer] of cases) it(`${what}: ${answer}`, () => assert.equal(last(before, write(operands)), answer));

  it("changes nothing, and holds the entry meanwhile", () => {
    const race = `parallel {\n  one { TDH.MEM.RANGE.BLOCK(td, 0x1000, 0) @block }\n  vcpu0 { TDG.MEM.PAGE.ATTR.WR(0x1000, 0) @write }\n}`;
    assert.deepEqual(results(race), {
      block: "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS",
      write: ["TDX_OPERAND_BUSY/RCX", "TDX_SUCCESS", violation("0x1000", 5, ", level=0, state=1")].sort().join(" or "),
    });
    const quiet = `${AUG}\nvcpu0: TDG.MEM.PAGE.ATTR.WR(0x2000, 0) = TDX_SUCCESS\nassert sept(td, 0x2000) == PENDING
TDH.MEM.RANGE.BLOCK(td, 0x2000, 0) = TDX_SUCCESS`;
    assert.equal(report(scenario(quiet)).verdict, "pass");
  });

  it("of its four VMs each has 16 bits of both operands", () => {
    for (let vm = 0n; vm < 4n; vm++) {
      assert.deepEqual(attributesWritten(1n << (vm * 16n + 15n), 0n).refused, { status: "TDX_OPERAND_INVALID", operand: "RDX" });
      assert.deepEqual(attributesWritten(0n, 1n << (vm * 16n)).refused, { status: "TDX_OPERAND_INVALID", operand: "R8" });
    }
    assert.equal(attributesWritten(0n, 0n).refused, undefined);
  });
});

describe("through KVM", () => {
  const kvm = (body: string): Record<string, string> => labelled(`${TD}\nscenario "attributes" {\n  kernel 6.18\n  use td\n${body}\n}\n`);

  it("a page that is not there is mapped, and the leaf runs again: it may be pending", () => {
    for (const leaf of ["TDG.MEM.PAGE.ATTR.RD(0x2000)", "TDG.MEM.PAGE.ATTR.WR(0x2000, 0)"])
      assert.equal(kvm(`vcpu0: ${leaf} @it\nassert sept(vm, 0x2000) == PENDING`).it, "TDX_SUCCESS", leaf);
  });

  it("a page that user space has shared leaves KVM_RUN", () => {
    const body = "KVM_SET_MEMORY_ATTRIBUTES(vm, address=0x2000, size=4K, attributes=0)\nvcpu0: TDG.MEM.PAGE.ATTR.WR(0x2000, 0) @it";
    assert.equal(kvm(body).it, "exit KVM_EXIT_MEMORY_FAULT {flags=8, gpa=0x2000, size=4K, errno=EFAULT}");
  });

  it("HLT is a #VE, and bits above the shared one are a #PF", () => {
    const said = kvm("vcpu0: hlt() @halt\nvcpu0: load(1 << 52) @over\nvcpu0: store(1 << 63 | 0x1000, 1) @store\nvcpu0: load(0x1000) @within");
    assert.deepEqual(said, { halt: "#VE", over: "#PF", store: "#PF", within: "0x41" });
    const { remarks } = report(`${TD}\nscenario "halt" {\n  kernel 6.18\n  use td\nvcpu0: TDG.VP.VMCALL.HLT()\n}\n`);
    assert.match(remarks.map(({ message }) => message).join(), /waits in KVM for an interrupt/);
  });

  it("a TD of 48 bits: bits 48 to 50 are above, bit 51 stands for the shared one", () => {
    const narrow = TD.replace("attributes=TDX_TD_ATTR_SEPT_VE_DISABLE", "attributes=TDX_TD_ATTR_SEPT_VE_DISABLE, guest_phys_bits=48");
    const body = "vcpu0: load(1 << 48) @over\nvcpu0: load(SHARED|0x2000) @shared\nvcpu0: load(0x800000002000) @bit\nvcpu0: load(0x1000) @within";
    const text = `${narrow}\nscenario "attributes" {\n  kernel 6.18\n  use td\n${body}\n}\n`;
    const exit = "exit KVM_EXIT_MEMORY_FAULT {flags=0, gpa=0x2000, size=4K, errno=EFAULT}";
    assert.deepEqual(labelled(text), { over: "#PF", shared: exit, bit: exit, within: "0x41" });
  });
});

it("through KVM, private addresses from 128 TB on are pages of their own where the width is 52 bits", () => {
  const body = `
high = KVM_CREATE_GUEST_MEMFD(vm, 16K)
KVM_SET_USER_MEMORY_REGION2(vm, slot=1, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=1 << 47, memory_size=16K, userspace_addr=host, guest_memfd=high, guest_memfd_offset=0) = 0
KVM_SET_MEMORY_ATTRIBUTES(vm, address=1 << 47, size=16K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
vcpu0 {
  TDG.MEM.PAGE.ACCEPT(1 << 47 | 0x1000, 0) = TDX_SUCCESS
  store(1 << 47 | 0x1000, 7) = 0
  load(1 << 47 | 0x1000) = 7
  load(0x1000) = 0x41
  load(1 << 47 | 0x100000) = exit KVM_EXIT_MEMORY_FAULT {flags=8, gpa=0x800000100000}
  load(SHARED|1 << 47|0x1000) = exit KVM_EXIT_MEMORY_FAULT {flags=0, gpa=0x800000001000}
}
assert sept(vm, 0x1000).frame == frame(ram, 0x1000)
assert sept(vm, 1 << 47 | 0x1000).frame == frame(high, 0x1000) && tlb(vcpu0, 1 << 47 | 0x1000) == frame(high, 0x1000)`;
  assert.equal(report(`${TD}\nscenario "high" {\n  kernel 6.18\n  use td\n${body}\n}\n`).verdict, "pass");
});

describe("a guest address", () => {
  it("with a bit above the shared one is a #PF in the guest, whatever the secure EPT has, and a refused operand of its leaves", () => {
    for (const gpa of ["1 << 48 | 0x1000", "1 << 50", "1 << 52", "1 << 63"]) {
      assert.equal(last("", `vcpu0: load(${gpa})`), "#PF", gpa);
      assert.equal(last("", `vcpu0: store(${gpa}, 1)`), "#PF", gpa);
      assert.equal(last("", `vcpu0: TDG.MEM.PAGE.ACCEPT(${gpa}, 0)`), "TDX_OPERAND_INVALID/RCX", gpa);
      assert.equal(last("", `vcpu0: TDG.MEM.PAGE.ATTR.RD(${gpa})`), "TDX_OPERAND_INVALID/RCX", gpa);
    }
    const stays = "TDH.VP.ENTER(vcpu0) = TDX_SUCCESS\nvcpu0: load(1 << 48) = #PF\nassert vcpu_state(vcpu0) == VCPU_ACTIVE";
    assert.equal(report(scenario(stays)).verdict, "pass");
  });

  it("from 128 TB on is a private one of its own where the width is 52 bits", () => {
    const tables = ["4", "3", "2", "1"].map(
      (level) => `h${level} = alloc_frame()\nTDH.MEM.SEPT.ADD(td, ${level === "4" ? "0" : "1 << 47"}, ${level}, h${level})`,
    );
    const added = "source = alloc_frame()\nstore_frame(source, 0x51)\nTDH.MEM.PAGE.ADD(td, 1 << 47 | 0x1000, p, source) = TDX_SUCCESS";
    const low = "low = alloc_frame()\nstore_frame(low, 0x61)\nTDH.MEM.PAGE.ADD(td, 0x1000, q, low) = TDX_SUCCESS";
    const body = `${tables.slice(1).join("\n")}\n${added}\n${low}\nTDH.MR.FINALIZE(td) = TDX_SUCCESS
vcpu0 {
  load(1 << 47 | 0x1000) @high
  load(0x1000) @low
  load(1 << 47 | 0x2000) @free
  load(SHARED|0x1000) @shared
  TDG.MEM.PAGE.ACCEPT(1 << 47 | 0x1000, 0) @accept
}
assert sept(td, 0x1000).frame == q`;
    assert.deepEqual(results(body, WIDE), {
      high: "0x51",
      low: "0x61",
      free: violation("0x800000002000", 0),
      shared: violation("0x8000000001000", 0),
      accept: "TDX_PAGE_ALREADY_ACCEPTED",
    });
    onMachine(scenario(body, WIDE), ({ tdx }) => assert.ok(tdx?.vcpus[0].tlb.has(2 ** 35 + 1)));
  });
});

describe("HLT", () => {
  it("is a #VE, behind which the guest goes on; its handler may ask the host to wait", () => {
    assert.equal(last("", "vcpu0: hlt()"), "#VE");
    assert.equal(last("", "vcpu0: TDG.VP.VMCALL.HLT()"), "exit EXIT_REASON_TDCALL {r11=0xc, r12=0}");
    assert.equal(last("", "vcpu0: TDG.VP.VMCALL.HLT(1)"), "exit EXIT_REASON_TDCALL {r11=0xc, r12=1}");
    const inside =
      "TDH.VP.ENTER(vcpu0) = TDX_SUCCESS\nvcpu0: hlt() = #VE\nassert vcpu_state(vcpu0) == VCPU_ACTIVE\nvcpu0: TDG.VP.VMCALL.HLT() = exit EXIT_REASON_TDCALL\nassert vcpu_state(vcpu0) == VCPU_READY";
    assert.equal(report(scenario(inside)).verdict, "pass");
  });
});
