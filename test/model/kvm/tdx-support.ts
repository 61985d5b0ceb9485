// What the tests of KVM's TDX code share: a finalised TD with a few pages, and races on it.

/** One initial page at gpa 0x1000; 0x2000 and 0x3000 are private and not there yet. */
export const TD = `
setup td {
  vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
  KVM_TDX_INIT_VM(vm, attributes=TDX_TD_ATTR_SEPT_VE_DISABLE) = 0
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  vcpu1 = KVM_CREATE_VCPU(vm, 1)
  KVM_TDX_INIT_VCPU(vcpu0) = 0
  KVM_TDX_INIT_VCPU(vcpu1) = 0
  ram = KVM_CREATE_GUEST_MEMFD(vm, 16K)
  host = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
  store(host, 0, 0x41)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=16K, userspace_addr=host, guest_memfd=ram, guest_memfd_offset=0) = 0
  KVM_SET_MEMORY_ATTRIBUTES(vm, address=0, size=16K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
  KVM_TDX_INIT_MEM_REGION(vcpu0, source_addr=host, gpa=0x1000, nr_pages=1, flags=KVM_TDX_MEASURE_MEMORY_REGION) = 0
  KVM_TDX_FINALIZE_VM(vm) = 0
}
`;

export const PUNCH = (gpa: number): string => `fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x${gpa.toString(16)}, 4K)`;
export const CONVERT = (gpa: number, attributes: 0 | 8): string =>
  `KVM_SET_MEMORY_ATTRIBUTES(vm, address=0x${gpa.toString(16)}, size=4K, attributes=${attributes})`;
export const DELETE = "KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=0)";

/** A scenario under one kernel: lines in front of the block, and the block. */
export const race = (kernel: string, block: string, before = "", after = ""): string => `${TD}
scenario "race" {
  kernel ${kernel}
  use td
  ${before}
  parallel {
    ${block}
  }
  ${after}
}
`;
