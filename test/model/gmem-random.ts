// Random races under kernels with guest_memfd as text: a file bound to two slots, a shared backing, a second file, two vCPUs and two host threads.

import * as fc from "fast-check";

export const GMEM_KERNELS = ["6.8.0", "6.8", "6.16", "6.18.0", "6.18", "7.2"] as const;
export type GmemKernel = (typeof GMEM_KERNELS)[number];

export const GMEM_SETUP = `
  mem = memfd_create("mem", 0)
  ftruncate(mem, 8K) = 0
  map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
  vm = KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  vcpu1 = KVM_CREATE_VCPU(vm, 1)
  ram = KVM_CREATE_GUEST_MEMFD(vm, 8K)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map, guest_memfd_offset=0, guest_memfd=ram) = 0
  KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 4K, KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
`;

const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
const SLOT = (rest: string): string => `KVM_SET_USER_MEMORY_REGION2(vm, ${rest})`;

const HOST: readonly string[] = [
  "fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 8K)",
  `fallocate(ram, ${PUNCH}, 0, 4K)`,
  `fallocate(ram, ${PUNCH}, 0, 8K)`,
  `fallocate(mem, ${PUNCH}, 4K, 4K)`,
  "munmap(map + 4K, 4K)",
  "load(map, 4K)",
  "store(map, 4K, 7)",
  "close(ram)",
  "KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 8K, KVM_MEMORY_ATTRIBUTE_PRIVATE)",
  "KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 8K, 0)",
  "KVM_SET_MEMORY_ATTRIBUTES(vm, 0x2000, 4K, KVM_MEMORY_ATTRIBUTE_PRIVATE)",
  SLOT("slot=0, flags=0, guest_phys_addr=0x1000, memory_size=0"),
  SLOT("slot=0, flags=0, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map"),
  SLOT("slot=0, flags=0, guest_phys_addr=0x8000, memory_size=8K, userspace_addr=map"),
  SLOT("slot=1, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map, guest_memfd_offset=4K, guest_memfd=ram"),
  "KVM_CREATE_GUEST_MEMFD(vm, 4K)",
  "dup(ram)",
];
const SINCE_6_11 = ["KVM_PRE_FAULT_MEMORY(vcpu1, 0x1000, 8K)", "KVM_PRE_FAULT_MEMORY(vcpu1, 0x2000, 4K)"];
const GUEST = ["load(0x1000)", "store(0x1000, 1)", "load(0x2000)", "store(0x2000, 2)", "load(0x8000)"];

/** One race of two or three actors with at most two calls each. */
export function gmemRace(kernel: GmemKernel): fc.Arbitrary<string> {
  const host = fc.constantFrom(...(kernel.startsWith("6.8") ? HOST : [...HOST, ...SINCE_6_11]));
  const calls = (of: fc.Arbitrary<string>): fc.Arbitrary<string[]> => fc.array(of, { minLength: 1, maxLength: 2 });
  return fc
    .tuple(calls(host), calls(host), calls(fc.constantFrom(...GUEST)), fc.boolean())
    .map(
      ([vmm, other, guest, three]) =>
        `kernel ${kernel}\n${GMEM_SETUP}parallel {\n  vmm { ${vmm.join("; ")} }\n${three ? `  other { ${other.join("; ")} }\n` : ""}  vcpu0 { ${guest.join("; ")} }\n}\n`,
    );
}
