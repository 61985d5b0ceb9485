// Random races over host memory behind slots and over the end of VMs, as text: a file that two slots reach through one mapping, a private mapping, a private
// file or guest_memfd, two vCPUs, a second descriptor of the VM, and everything closed in some order.

import * as fc from "fast-check";

export const LIFE_KERNELS = ["v4", "v8", "v10", "6.8", "6.18", "7.2"] as const;
export type LifeKernel = (typeof LIFE_KERNELS)[number];

const isSeries = (kernel: LifeKernel): boolean => kernel.startsWith("v");

/** How the private memory is made and bound. */
function privateMemory(kernel: LifeKernel): string {
  if (!isSeries(kernel))
    return `ram = KVM_CREATE_GUEST_MEMFD(vm, 4K)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=3, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x9000, memory_size=4K, userspace_addr=map, guest_memfd=ram)
  KVM_SET_MEMORY_ATTRIBUTES(vm, 0x9000, 4K, KVM_MEMORY_ATTRIBUTE_PRIVATE)`;
  return `ram = ${kernel === "v10" ? "memfd_restricted(0)" : 'memfd_create("ram", MFD_INACCESSIBLE)'}
  ftruncate(ram, 4K)
  KVM_SET_USER_MEMORY_REGION(vm, slot=3, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x9000, memory_size=4K, userspace_addr=map, private_fd=ram, private_offset=0)`;
}

/** Slots 0 and 1 have two pages of one mapping at gfns far apart, slot 2 a private mapping. */
const setup = (kernel: LifeKernel): string => `
  mem = memfd_create("mem", 0)
  ftruncate(mem, 12K) = 0
  map = mmap(NULL, 12K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
  own = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 8K)
  vm = KVM_CREATE_VM(${isSeries(kernel) ? 0 : "KVM_X86_SW_PROTECTED_VM"})
  second = dup(vm)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  vcpu1 = KVM_CREATE_VCPU(vm, 1)
  KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=4K, userspace_addr=map) = 0
  KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x5000, memory_size=4K, userspace_addr=map + 4K) = 0
  KVM_SET_USER_MEMORY_REGION(vm, slot=2, flags=0, guest_phys_addr=0x7000, memory_size=4K, userspace_addr=own) = 0
  ${privateMemory(kernel)}
  vcpu1: ${shared(kernel, "store(0x1000, 1)")}
  vcpu1: ${shared(kernel, "load(0x7000)")}
`;

/** v10 takes every access that does not say so for a private one. */
const shared = (kernel: LifeKernel, call: string): string => (kernel === "v10" ? call.replace("(0x", "(SHARED|0x") : call);

const HOST: readonly string[] = [
  "munmap(map, 8K)",
  "munmap(map, 4K)",
  "munmap(own, 4K)",
  "madvise(map, 8K, MADV_DONTNEED)",
  "madvise(own, 4K, MADV_DONTNEED)",
  "madvise(map + 8K, 4K, MADV_REMOVE)",
  "mprotect(map, 8K, PROT_READ)",
  "mprotect(map + 4K, 4K, PROT_READ|PROT_WRITE)",
  "ftruncate(mem, 4K)",
  "fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 8K)",
  "open_fd(mem, O_RDWR|O_TRUNC)",
  "migrate(frame(mem, 0))",
  "store(own, 0, 3)",
  "load(own, 0)",
  "store(map, 0, 4)",
  "load(map, 4K)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=0)",
  "KVM_SET_USER_MEMORY_REGION(second, slot=2, flags=0, guest_phys_addr=0x7000, memory_size=0)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0xa000, memory_size=4K, userspace_addr=map + 4K)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=4, flags=0, guest_phys_addr=0xb000, memory_size=4K, userspace_addr=map)",
  "close(mem)",
  "close(vm)",
  "close(second)",
  "close(vcpu0)",
  "close(vcpu1)",
  "close(ram)",
  "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
];
/** Everything that holds the VM, in one order and in the other. */
const ENDS: readonly string[] = [
  "close(vm); close(second); close(vcpu0); close(vcpu1); close(ram)",
  "close(ram); close(vcpu1); close(vcpu0); close(second); close(vm)",
];
const GUEST: readonly string[] = ["load(0x1000)", "store(0x1000, 5)", "store(0x5000, 6)", "load(0x5000)", "store(0x7000, 7)", "load(0x7000)", "load(0x9000)"];

/** One race of two or three actors; with `ends` it begins when all but one or two holders of the VM are gone. */
export function lifeRace(kernel: LifeKernel): fc.Arbitrary<string> {
  const calls = (of: readonly string[], maxLength: number): fc.Arbitrary<string[]> => fc.array(fc.constantFrom(...of), { minLength: 1, maxLength });
  const closing = fc.constantFrom(...ENDS).chain((end) => fc.nat(4).map((kept) => ({ end: end.split("; "), kept })));
  return fc
    .tuple(calls(HOST, 2), calls(HOST, 2), calls(GUEST, 2), fc.boolean(), fc.option(closing, { nil: undefined }))
    .map(([vmm, other, guest, three, last]) => {
      const [before, within] = last ? [last.end.slice(0, last.kept), last.end.slice(last.kept)] : [[], []];
      const first = [...vmm.slice(0, last ? 1 : 2), ...within].join("; ");
      const vcpu = guest.map((call) => shared(kernel, call)).join("; ");
      return `kernel ${kernel}\n${setup(kernel)}${before.map((call) => `  ${call}\n`).join("")}parallel {\n  vmm { ${first} }\n${three ? `  other { ${other.join("; ")} }\n` : ""}  vcpu0 { ${vcpu} }\n}\n`;
    });
}
