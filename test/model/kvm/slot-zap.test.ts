// What goes with a slot: its own mappings, or those of every slot of the VM (arch/x86/kvm/mmu/mmu.c kvm_arch_flush_shadow_memslot).

import assert from "node:assert/strict";
import { it } from "node:test";
import { report } from "../support.ts";

const deleted = (kernel: string, type: string, left: string): string => `kernel ${kernel}
vm = KVM_CREATE_VM(${type}); vcpu0 = KVM_CREATE_VCPU(vm, 0)
host = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=8K, userspace_addr=host) = 0
KVM_SET_USER_MEMORY_REGION2(vm, slot=1, flags=0, guest_phys_addr=1M, memory_size=8K, userspace_addr=host + 8K) = 0
vcpu0: store(0x1000, 1)
vcpu0: store(0x100000, 2)
KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=0) = 0
assert ept(vm, 0x1000) == NONE
assert ept(vm, 0x100000) ${left} NONE
`;

const cases: readonly (readonly [kernel: string, type: string, left: "==" | "!="])[] = [
  ["6.8", "KVM_X86_DEFAULT_VM", "=="],
  ["6.8", "KVM_X86_SW_PROTECTED_VM", "=="],
  ["6.16", "KVM_X86_DEFAULT_VM", "=="],
  ["6.16", "KVM_X86_SW_PROTECTED_VM", "!="],
  ["6.18", "KVM_X86_SW_PROTECTED_VM", "!="],
  ["7.2", "KVM_X86_SW_PROTECTED_VM", "!="],
];

for (const [kernel, type, left] of cases) {
  it(`${kernel}, ${type}: the mappings of the other slot are ${left === "==" ? "gone" : "there"}`, () => {
    assert.equal(report(deleted(kernel, type, left)).verdict, "pass");
  });
}
