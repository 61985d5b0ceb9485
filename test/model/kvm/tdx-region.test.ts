// TDH.MEM.PAGE.ADD fails for an initial page: what each release makes of the status, by where it calls the leaf from.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { check } from "../../../src/check/index.ts";
import { answers, breaches, program, still } from "../support.ts";

/** A TD that is being built, with memory that nobody has used. */
const building = (kernel: string, statements: string): string => `
scenario "one" {
  kernel ${kernel}
  vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
  KVM_TDX_INIT_VM(vm, attributes=TDX_TD_ATTR_SEPT_VE_DISABLE) = 0
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  KVM_TDX_INIT_VCPU(vcpu0) = 0
  ram = KVM_CREATE_GUEST_MEMFD(vm, 16K)
  host = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
  store(host, 0, 0x41)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=16K, userspace_addr=host, guest_memfd=ram, guest_memfd_offset=0) = 0
  KVM_SET_MEMORY_ATTRIBUTES(vm, address=0, size=16K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
  ${statements}
}
`;

const REGION = "KVM_TDX_INIT_MEM_REGION(vcpu0, source_addr=host, gpa=0x1000, nr_pages=1)";

function told(text: string): { region: string; breaches: readonly string[] } {
  const one = program(text);
  const report = check(one, { now: still });
  assert.ok(report.exploration.complete);
  const region = one.calls.findIndex(({ spec }) => spec === "KVM_TDX_INIT_MEM_REGION");
  return { region: String(answers(one, report, region)), breaches: breaches(one, report) };
}

describe("TDH.MEM.PAGE.ADD", () => {
  const busy = (kernel: string): string => building(kernel, `parallel { vmm { ${REGION} } other { TDH.PHYMEM.PAGE.RDMD(frame(ram, 0x1000)) } }`);
  const late = (kernel: string): string => building(kernel, `TDH.MR.FINALIZE(vm) = TDX_SUCCESS\n  ${REGION}`);

  it("busy: user space sees EBUSY up to 6.18, and from 6.19 on the page is mapped again", () => {
    for (const kernel of ["6.16", "6.18"]) assert.equal(told(busy(kernel)).region, "-EBUSY or 0", kernel);
    assert.deepEqual(told(busy("7.2")), { region: "0", breaches: [] });
  });

  it("another status: EIO, and from 6.19 on the VM is bugged", () => {
    for (const kernel of ["6.16", "6.18"]) {
      const { region, breaches: broken } = told(late(kernel));
      assert.equal(region, "-EIO", kernel);
      assert.ok(!broken.some((name) => name.startsWith("no-kvm-bug")), kernel);
    }
    const { region, breaches: broken } = told(late("7.2"));
    assert.equal(region, "-EIO");
    assert.ok(broken.some((name) => name.startsWith("no-kvm-bug")));
  });
});
