// The sub-commands of KVM_MEMORY_ENCRYPT_OP on a TD: each goes down its checks in the order of the catalogue. A row mends what the row above it was refused
// for.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { callSpec } from "../../../src/scenario/catalogue/index.ts";
import { labelled } from "../support.ts";

const KERNELS = ["6.16", "6.18", "7.2"] as const;
type Kernel = (typeof KERNELS)[number];

/** What comes before the call, the call, and its answer. */
type Row = readonly [before: string, call: string, answer: string | ((kernel: Kernel) => string)];

const VM = "vm = KVM_CREATE_VM(KVM_X86_TDX_VM)";
const PLAIN = "vm = KVM_CREATE_VM(KVM_X86_DEFAULT_VM)";
const INIT = `${VM}\n KVM_TDX_INIT_VM(vm, attributes=TDX_TD_ATTR_SEPT_VE_DISABLE) = 0`;
const VCPU = `${INIT}\n vcpu0 = KVM_CREATE_VCPU(vm, 0)`;
const READY = `${VCPU}\n KVM_TDX_INIT_VCPU(vcpu0) = 0`;
const FINAL = `${READY}\n KVM_TDX_FINALIZE_VM(vm) = 0`;
/** TDH.MR.FINALIZE has no vCPU, which bugs the VM. */
const DEAD = `${VCPU}\n KVM_TDX_FINALIZE_VM(vm) = -EIO`;
const MEMORY = `${READY}
  ram = KVM_CREATE_GUEST_MEMFD(vm, 16K)
  host = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
  store(host, 0, 0x41)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, userspace_addr=host, guest_memfd=ram) = 0`;
const PRIVATE = `${MEMORY}\n KVM_SET_MEMORY_ATTRIBUTES(vm, address=0, size=8K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0`;

const region = (arguments_: string): string => `KVM_TDX_INIT_MEM_REGION(vcpu0, ${arguments_})`;

const ROWS: Readonly<Record<string, readonly Row[]>> = {
  KVM_TDX_CAPABILITIES: [
    [`${VM}\n close(vm) = 0`, "KVM_TDX_CAPABILITIES(vm, flags=1, hw_error=1)", "-EBADF"],
    [DEAD, "KVM_TDX_CAPABILITIES(vm, flags=1, hw_error=1)", "-EIO"],
    [PLAIN, "KVM_TDX_CAPABILITIES(vm, flags=1, hw_error=1)", "-ENOTTY"],
    [VM, "KVM_TDX_CAPABILITIES(vm, nent=0, hw_error=1)", "-EINVAL"],
    [VM, "KVM_TDX_CAPABILITIES(vm, flags=1, nent=0)", "-EINVAL"],
    [VM, "KVM_TDX_CAPABILITIES(vm, nent=0)", "-E2BIG"],
    [VM, "KVM_TDX_CAPABILITIES(vm)", "0"],
  ],
  KVM_TDX_INIT_VM: [
    [DEAD, "KVM_TDX_INIT_VM(vm, nent=257)", "-EIO"],
    [PLAIN, "KVM_TDX_INIT_VM(vm, nent=257)", "-ENOTTY"],
    [VM, "KVM_TDX_INIT_VM(vm, nent=257, hw_error=1)", "-EINVAL"],
    [INIT, "KVM_TDX_INIT_VM(vm, nent=257)", "-EINVAL"],
    [VM, "KVM_TDX_INIT_VM(vm, nent=257, flags=1)", "-EINVAL"],
    [VM, "KVM_TDX_INIT_VM(vm, attributes=1, nent=257)", "-E2BIG"],
    [VM, "KVM_TDX_INIT_VM(vm, attributes=1)", "-EINVAL"],
    [VM, "KVM_TDX_INIT_VM(vm, guest_phys_bits=51)", "-EINVAL"],
    [VM, "KVM_TDX_INIT_VM(vm, guest_phys_bits=48, nent=0)", "-EINVAL"],
    [VM, "KVM_TDX_INIT_VM(vm)", "0"],
  ],
  KVM_TDX_INIT_VCPU: [
    [`${VCPU}\n close(vcpu0) = 0`, "KVM_TDX_INIT_VCPU(vcpu0, flags=1)", "-EBADF"],
    [DEAD, "KVM_TDX_INIT_VCPU(vcpu0, flags=1)", "-EIO"],
    [`${PLAIN}\n vcpu0 = KVM_CREATE_VCPU(vm, 0)`, "KVM_TDX_INIT_VCPU(vcpu0)", "-EINVAL"],
    [VCPU, "KVM_TDX_INIT_VCPU(vcpu0, hw_error=1)", "-EINVAL"],
    [FINAL, "KVM_TDX_INIT_VCPU(vcpu0)", "-EINVAL"],
    [VCPU, "KVM_TDX_INIT_VCPU(vcpu0, flags=1)", "-EINVAL"],
    [READY, "KVM_TDX_INIT_VCPU(vcpu0)", "-EINVAL"],
    [VCPU, "KVM_TDX_INIT_VCPU(vcpu0)", "0"],
  ],
  KVM_TDX_INIT_MEM_REGION: [
    [DEAD, region("source_addr=0, gpa=0, nr_pages=0"), "-EIO"],
    [FINAL, region("source_addr=0, gpa=0, nr_pages=1"), "-EINVAL"],
    [VCPU, region("source_addr=0, gpa=0, nr_pages=1"), "-EINVAL"],
    [READY, region("source_addr=0, gpa=0, nr_pages=1, flags=2"), "-EINVAL"],
    [READY, region("source_addr=1, gpa=0, nr_pages=1"), "-EINVAL"],
    [READY, region("source_addr=0, gpa=1, nr_pages=1"), "-EINVAL"],
    [READY, region("source_addr=0, gpa=0, nr_pages=0"), "-EINVAL"],
    [READY, region("source_addr=0, gpa=0x1000, nr_pages=0xfffffffffffff"), "-EINVAL"],
    [READY, region("source_addr=0, gpa=SHARED, nr_pages=1"), "-EINVAL"],
    [READY, region("source_addr=0, gpa=SHARED - 4K, nr_pages=2"), "-EINVAL"],
    // No slot, then no file behind it, then no source; up to 6.18 the page and its kind come before the source.
    [READY, region("source_addr=0, gpa=0, nr_pages=1"), "-EINVAL"],
    [`${MEMORY}\n close(ram) = 0`, region("source_addr=0, gpa=0, nr_pages=1"), "-EFAULT"],
    [MEMORY, region("source_addr=0, gpa=0, nr_pages=1"), (kernel) => (kernel === "7.2" ? "-EFAULT" : "-EINVAL")],
    [MEMORY, region("source_addr=host, gpa=0, nr_pages=1"), "-EINVAL"],
    [PRIVATE, region("source_addr=0, gpa=0, nr_pages=1"), "-EFAULT"],
    [PRIVATE, region("source_addr=host, gpa=0, nr_pages=1"), "0"],
    [
      `${PRIVATE}\n ${region("source_addr=host, gpa=0, nr_pages=1")} = 0`,
      region("source_addr=host, gpa=0, nr_pages=1"),
      (kernel) => (kernel === "7.2" ? "-EIO" : "-EEXIST"),
    ],
  ],
  KVM_TDX_FINALIZE_VM: [
    [DEAD, "KVM_TDX_FINALIZE_VM(vm, hw_error=1)", "-EIO"],
    [PLAIN, "KVM_TDX_FINALIZE_VM(vm, hw_error=1)", "-ENOTTY"],
    [READY, "KVM_TDX_FINALIZE_VM(vm, hw_error=1)", "-EINVAL"],
    [VM, "KVM_TDX_FINALIZE_VM(vm)", "-EINVAL"],
    [FINAL, "KVM_TDX_FINALIZE_VM(vm)", "-EINVAL"],
    [VCPU, "KVM_TDX_FINALIZE_VM(vm)", "-EIO"],
    [READY, "KVM_TDX_FINALIZE_VM(vm)", "0"],
  ],
  KVM_TDX_GET_CPUID: [
    [DEAD, "KVM_TDX_GET_CPUID(vcpu0, nent=0)", "-EIO"],
    [FINAL, "KVM_TDX_GET_CPUID(vcpu0, nent=0)", "-EINVAL"],
    [VCPU, "KVM_TDX_GET_CPUID(vcpu0, nent=0, hw_error=1)", "-EINVAL"],
    [VCPU, "KVM_TDX_GET_CPUID(vcpu0, nent=0)", "-E2BIG"],
    [VCPU, "KVM_TDX_GET_CPUID(vcpu0)", "0"],
  ],
};

for (const [name, rows] of Object.entries(ROWS)) {
  describe(name, () => {
    for (const kernel of KERNELS) {
      it(`goes down its checks, ${kernel}`, () => {
        for (const [before, call, answer] of rows) {
          const text = `scenario "one" {\n kernel ${kernel}\n ${before}\n ${call} @call\n}\n`;
          assert.equal(labelled(text).call, typeof answer === "string" ? answer : answer(kernel), text);
        }
      });
    }

    it("answers nothing that its row in the catalogue does not tell", () => {
      const told = new Set(callSpec(name).errors.map(({ errno }) => `-${errno}`));
      for (const [, call, answer] of rows)
        for (const kernel of KERNELS) {
          const wanted = typeof answer === "string" ? answer : answer(kernel);
          assert.ok(wanted === "0" || told.has(wanted), `${call}: ${wanted}`);
        }
    });
  });
}
