// Calls of random scenarios under kernels with guest_memfd: a file bound to one slot of a VM with private memory, another slot of ordinary memory, three vCPUs;
// and for kernels that map guest_memfd, a second VM whose slot has nothing but such a file.

/** Two pages of guest_memfd at gpa 0x1000 with the ordinary file for their shared side, one page of it alone at 0x8000. */
export const GMEM_POOL_SETUP = `
  mem = memfd_create("mem", MFD_ALLOW_SEALING)
  ftruncate(mem, 12K) = 0
  map = mmap(NULL, 12K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
  vm = KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  vcpu1 = KVM_CREATE_VCPU(vm, 1)
  vcpu2 = KVM_CREATE_VCPU(vm, 2)
  ram = KVM_CREATE_GUEST_MEMFD(vm, 8K)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map, guest_memfd_offset=0, guest_memfd=ram) = 0
  KVM_SET_USER_MEMORY_REGION2(vm, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map + 8K) = 0
`;

const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
const slot = (rest: string): string => `KVM_SET_USER_MEMORY_REGION2(vm, ${rest})`;
const attributes = (gpa: string, size: string, value: string): string => `KVM_SET_MEMORY_ATTRIBUTES(vm, ${gpa}, ${size}, ${value})`;
const PRIVATE = "KVM_MEMORY_ATTRIBUTE_PRIVATE";

/** Those that change what the guest sees come twice as often. */
const CHANGES = [
  `fallocate(ram, ${PUNCH}, 0, 4K)`,
  `fallocate(ram, ${PUNCH}, 0, 8K)`,
  "fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 8K)",
  attributes("0x1000", "4K", PRIVATE),
  attributes("0x1000", "8K", PRIVATE),
  attributes("0x1000", "8K", "0"),
  slot("slot=0, flags=0, guest_phys_addr=0x1000, memory_size=0"),
  "close(ram)",
];

const HOST = [
  ...CHANGES,
  ...CHANGES,
  attributes("0x2000", "4K", PRIVATE),
  attributes("0x4000", "4K", PRIVATE),
  `fallocate(ram, ${PUNCH}, 4K, 4K)`,
  `fallocate(mem, ${PUNCH}, 4K, 4K)`,
  "ftruncate(mem, 4K)",
  "munmap(map, 4K)",
  "munmap(map + 8K, 4K)",
  "madvise(map, 4K, MADV_DONTNEED)",
  "load(map, 0)",
  "store(map, 4K, 7)",
  "pwrite(mem, 0x42, 0)",
  "pread(mem, 2, 0)",
  "fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE)",
  "dup(ram)",
  "ftruncate(ram, 4K)",
  "readlink_fd(mem)",
  "pread(ram, 1, 0)",
  "migrate(frame(ram, 0))",
  "alloc_frame()",
  "KVM_CREATE_VCPU(vm, 3)",
  "KVM_CREATE_GUEST_MEMFD(vm, 4K)",
  slot("slot=0, flags=0, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map"),
  slot("slot=0, flags=0, guest_phys_addr=0x10000, memory_size=8K, userspace_addr=map"),
  slot("slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map, guest_memfd_offset=0, guest_memfd=ram"),
  slot("slot=1, flags=0, guest_phys_addr=0x8000, memory_size=0"),
  slot("slot=1, flags=0, guest_phys_addr=0xa000, memory_size=4K, userspace_addr=map + 8K"),
  slot("slot=2, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x10000, memory_size=4K, userspace_addr=map, guest_memfd_offset=4K, guest_memfd=ram"),
] as const;

const SINCE_6_11 = ["KVM_PRE_FAULT_MEMORY(vcpu1, 0x1000, 8K)", "KVM_PRE_FAULT_MEMORY(vcpu1, 0x2000, 8K)", "KVM_PRE_FAULT_MEMORY(vcpu0, 0x4000, 4K)"];

const GUEST = [
  "load(0x1000)",
  "store(0x1000, 0x51)",
  "load(0x2000)",
  "store(0x2000, 0x52)",
  "load(0x4000)",
  "load(0x8000)",
  "store(0x8000, 0x53)",
  "load(0x10000)",
] as const;

/** A private mapping behind a slot, and a second file that comes and goes. */
const RICH_SETUP = `
  own = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)
  ram2 = KVM_CREATE_GUEST_MEMFD(vm, 4K)
  page = alloc_frame()
  KVM_SET_USER_MEMORY_REGION2(vm, slot=3, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0xc000, memory_size=4K, userspace_addr=own, guest_memfd_offset=0, guest_memfd=ram2) = 0
`;
const RICH_HOST = [
  "load(own, 0)",
  "store(own, 0, 0x61)",
  "munmap(own, 8K)",
  "store_frame(page, 0x66)",
  `fallocate(ram2, ${PUNCH}, 0, 4K)`,
  "close(ram2)",
  attributes("0xc000", "4K", PRIVATE),
  slot("slot=3, flags=0, guest_phys_addr=0xc000, memory_size=0"),
  slot("slot=3, flags=0, guest_phys_addr=0xc000, memory_size=4K, userspace_addr=own"),
] as const;
const RICH_GUEST = ["load(0xc000)", "store(0xc000, 0x63)"] as const;

/** From 6.18 on a file may be mapped, and serve a slot's shared memory too. */
const MAPPED_SETUP = `
  own = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)
  plain = KVM_CREATE_VM(0)
  ram2 = KVM_CREATE_GUEST_MEMFD(plain, 8K, GUEST_MEMFD_FLAG_MMAP|GUEST_MEMFD_FLAG_INIT_SHARED)
  window = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, ram2, 0)
  page = alloc_frame()
  KVM_SET_USER_MEMORY_REGION2(plain, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, userspace_addr=window, guest_memfd_offset=0, guest_memfd=ram2) = 0
`;
const MAPPED_HOST = [
  "load(window, 0)",
  "store(window, 0, 0x61)",
  "load(own, 0)",
  "munmap(window, 4K)",
  "madvise(window, 4K, MADV_DONTNEED)",
  "store_frame(page, 0x66)",
  `fallocate(ram2, ${PUNCH}, 0, 4K)`,
  `fallocate(ram2, ${PUNCH}, 0, 8K)`,
  "close(ram2)",
  "KVM_SET_USER_MEMORY_REGION2(plain, slot=0, flags=0, guest_phys_addr=0, memory_size=0)",
] as const;

export interface Pool {
  readonly setup: string;
  readonly richSetup: string;
  readonly host: readonly string[];
  readonly richHost: readonly string[];
  readonly guest: readonly string[];
  readonly richGuest: readonly string[];
}

export function gmemPool(kernel: string): Pool {
  const mapped = /^(6\.18|7)/.test(kernel);
  return {
    setup: GMEM_POOL_SETUP,
    richSetup: mapped ? MAPPED_SETUP : RICH_SETUP,
    host: /^(6\.8|gmem)/.test(kernel) ? HOST : [...HOST, ...SINCE_6_11],
    richHost: mapped ? MAPPED_HOST : RICH_HOST,
    guest: GUEST,
    richGuest: mapped ? ["load(0x1000)"] : RICH_GUEST,
  };
}
