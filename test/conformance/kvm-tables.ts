// Fixed programs on /dev/kvm with the answers that were measured: memory slots without private memory, and what guest code and host see of one page.

import { scenario, type Table, table } from "./tables.ts";

const VM = ["vm = KVM_CREATE_VM(0) = ok", "m = mmap(NULL, 64K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = ok"];

const slot = (id: number | string, flags: number | string, gpa: string, size: string, address = "m"): string =>
  `KVM_SET_USER_MEMORY_REGION(vm, slot=${id}, flags=${flags}, guest_phys_addr=${gpa}, memory_size=${size}, userspace_addr=${address})`;

/** One call on a VM without slots. */
const FIRST: readonly (readonly [operation: string, answer: string])[] = [
  [slot(0, 0, "0", "8K"), "0"],
  [slot(0, 1, "0", "8K"), "0"],
  [slot(0, 2, "0", "8K"), "0"],
  [slot(0, 3, "0", "8K"), "0"],
  [slot(0, 8, "0", "8K"), "-EINVAL"],
  [slot(0, "0x80000000", "0", "8K"), "-EINVAL"],
  [slot(0, 0, "1", "8K"), "-EINVAL"],
  [slot(0, 0, "0", "1"), "-EINVAL"],
  [slot(0, 0, "0", "8K", "m + 1"), "-EINVAL"],
  [slot(0, 0, "0", "8K", "0xffff800000000000"), "-EINVAL"],
  [slot(0, 0, "0", "4K", "0x7ffffffff000"), "-EINVAL"],
  [slot(0, 0, "0", "8K", "0x7fffffffe000"), "-EINVAL"],
  [slot(0, 0, "0", "4K", "0x7fffffffe000"), "0"],
  [slot(0, 0, "0", "8K", "0"), "0"],
  [slot(0, 0, "0", "8K", "0x10000"), "0"],
  [slot(0, 0, "-4K", "4K"), "-EINVAL"],
  [slot(0, 0, "-4K", "8K"), "-EINVAL"],
  [slot(0, 0, "0", "0x80000000000"), "-EINVAL"],
  [slot("0x7ffb", 0, "0", "8K"), "0"],
  [slot("0x7ffc", 0, "0", "8K"), "-EINVAL"],
  [slot("0xffff", 0, "0", "8K"), "-EINVAL"],
  [slot(0, 0, "0", "0"), "-EINVAL"],
  [slot("0x7ffc", 0, "0", "0"), "-EINVAL"],
];

/** One call on a VM whose slot 1 is [64K, 80K). */
const SECOND: readonly (readonly [operation: string, answer: string])[] = [
  [slot(1, 0, "64K", "16K"), "0"],
  [slot(1, 8, "64K", "16K"), "-EINVAL"],
  [slot(1, 1, "64K", "16K"), "0"],
  [slot(1, 2, "64K", "16K"), "-EINVAL"],
  [slot(1, 0, "1M", "16K"), "0"],
  [slot(1, 1, "1M", "16K"), "0"],
  [slot(1, 0, "64K", "8K"), "-EINVAL"],
  [slot(1, 0, "64K", "16K", "m + 16K"), "-EINVAL"],
  [slot(1, 0, "1M", "0"), "0"],
  [slot(1, 0, "1", "0"), "-EINVAL"],
  [slot(1, 0, "0", "0", "m + 1"), "-EINVAL"],
  [slot(1, 8, "0", "0"), "-EINVAL"],
  [slot(2, 0, "68K", "4K"), "-EEXIST"],
  [slot(2, 0, "76K", "16K"), "-EEXIST"],
  [slot(2, 0, "60K", "8K"), "-EEXIST"],
  [slot(2, 0, "0", "1M"), "-EEXIST"],
  [slot(2, 0, "60K", "4K"), "0"],
  [slot(2, 0, "80K", "4K"), "0"],
  [slot(1, 0, "68K", "16K"), "0"],
  [slot(2, 0, "1M", "0"), "-EINVAL"],
];

function slots(): Table {
  const again = [slot(1, 0, "64K", "16K"), slot(2, 0, "64K", "4K"), slot(0, 0, "60K", "4K")];
  return table("memory slots", [
    scenario("VM type 0", ["vm = KVM_CREATE_VM(0) = ok", "vcpu = KVM_CREATE_VCPU(vm, 0) = ok"]),
    scenario("VM type 9", ["vm = KVM_CREATE_VM(9) = -EINVAL", "vcpu = KVM_CREATE_VCPU(vm, 0) = -EBADF"]),
    // Which other types there are depends on what KVM runs guests with: this back end has none.
    scenario("VM type 1", ["vm = KVM_CREATE_VM(1) = -EINVAL on v8 or -EINVAL on v4 or ok on 6.18"]),
    scenario("vCPU ids", [
      "vm = KVM_CREATE_VM(0)",
      "a = KVM_CREATE_VCPU(vm, 0) = ok",
      "b = KVM_CREATE_VCPU(vm, 1) = ok",
      "c = KVM_CREATE_VCPU(vm, 1) = -EEXIST",
      "d = KVM_CREATE_VCPU(vm, -1) = -EINVAL",
      "e = KVM_CREATE_VCPU(vm, 4095) = ok",
      "vm2 = KVM_CREATE_VM(0)",
      "f = KVM_CREATE_VCPU(vm2, 1) = ok",
    ]),
    ...FIRST.map(([operation, answer]) => scenario(operation, [...VM, `${operation} = ${answer}`, slot(1, 0, "4K", "4K"), slot(0, 0, "0", "0")])),
    ...SECOND.map(([operation, answer]) => scenario(`then ${operation}`, [...VM, `${slot(1, 0, "64K", "16K")} = 0`, `${operation} = ${answer}`, ...again])),
    scenario("a second move onto another slot", [
      ...VM,
      `${slot(0, 0, "0", "8K")} = 0`,
      `${slot(1, 0, "8K", "8K")} = 0`,
      `${slot(1, 0, "4K", "8K")} = -EEXIST`,
      `${slot(0, 0, "0", "0")} = 0`,
      `${slot(1, 0, "4K", "8K")} = 0`,
    ]),
    scenario("the address of a mapping that failed", [
      ...VM,
      "bad = mmap(NULL, 4K, PROT_READ, MAP_SHARED, -1, 0) = -EBADF",
      `${slot(0, 0, "0", "4K", "bad")} = -EINVAL`,
      `${slot(0, 0, "0", "4K")} = 0`,
      `${slot(0, 0, "0", "0", "bad")} = -EINVAL`,
      `${slot(0, 0, "0", "0")} = 0`,
    ]),
    scenario("two slots over one host address", [...VM, `${slot(0, 0, "0", "8K")} = 0`, `${slot(1, 0, "1M", "8K")} = 0`]),
  ]);
}

const GUEST = [
  'f = memfd_create("ram", MFD_ALLOW_SEALING) = ok',
  "ftruncate(f, 16K) = 0",
  "vm = KVM_CREATE_VM(0) = ok",
  "vcpu = KVM_CREATE_VCPU(vm, 0) = ok",
  "m = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok",
];
const AT_64K = `${slot(1, 0, "64K", "16K")} = 0`;
const PUNCH = "fallocate(f, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) = 0";
const mmio = (gpa: number, write?: number): string =>
  `exit KVM_EXIT_MMIO {phys_addr=${gpa}, len=1, is_write=${write === undefined ? 0 : 1}${write === undefined ? "" : `, data=${write}`}}`;

function guestDataFlow(): Table {
  return table("guest data flow", [
    scenario("the host sees the guest's byte and the guest the host's", [
      ...GUEST,
      AT_64K,
      "vcpu: store(0x10000, 0x5a) = 0",
      "load(m, 0) = 0x5a",
      'pread(f, 1, 0) = 1 "Z"',
      "store(m, 1, 0x33) = 0",
      "vcpu: load(0x10001) = 0x33",
      "pwrite(f, 0x44 * 1, 5000) = 1",
      "vcpu: load(0x11388) = 0x44",
    ]),
    scenario("after a punch the guest reads 0", [
      ...GUEST,
      AT_64K,
      "vcpu: store(0x10000, 0x5a) = 0",
      "vcpu: store(0x11000, 0x5b) = 0",
      PUNCH,
      "assert pages(f) == 1",
      "vcpu: load(0x10000) = 0",
      "vcpu: load(0x11000) = 0x5b",
      "load(m, 0) = 0",
      "vcpu: store(0x10000, 7) = 0",
      "load(m, 0) = 7",
    ]),
    scenario("no slot: the access is MMIO", [
      ...GUEST,
      AT_64K,
      `vcpu: store(0x80000, 0x77) = ${mmio(0x80000, 0x77)}`,
      `vcpu: load(0x80001) = ${mmio(0x80001)}`,
      `vcpu: load(0xffff) = ${mmio(0xffff)}`,
      `vcpu: load(0x14000) = ${mmio(0x14000)}`,
      "vcpu: load(0x13fff) = 0",
    ]),
    scenario("a deleted slot is MMIO, a new one shows its own memory", [
      ...GUEST,
      AT_64K,
      "vcpu: store(0x10000, 1) = 0",
      `${slot(1, 0, "0", "0")} = 0`,
      `vcpu: load(0x10000) = ${mmio(0x10000)}`,
      `${slot(1, 0, "64K", "4K", "m + 4K")} = 0`,
      "vcpu: load(0x10000) = 0",
      "vcpu: store(0x10000, 2) = 0",
      "load(m, 4K) = 2",
      "load(m, 0) = 1",
    ]),
    scenario("a moved slot takes its memory along", [
      ...GUEST,
      AT_64K,
      "vcpu: store(0x10000, 1) = 0",
      `${slot(1, 0, "128K", "16K")} = 0`,
      `vcpu: load(0x10000) = ${mmio(0x10000)}`,
      "vcpu: load(0x20000) = 1",
    ]),
    scenario("a read-only slot", [
      ...GUEST,
      `${slot(1, "KVM_MEM_READONLY", "64K", "16K")} = 0`,
      "store(m, 0, 9) = 0",
      "vcpu: load(0x10000) = 9",
      `vcpu: store(0x10000, 1) = ${mmio(0x10000, 1)}`,
      "vcpu: load(0x10000) = 9",
      "load(m, 0) = 9",
    ]),
    scenario("behind a mapping without PROT_WRITE a store finds no memory", [
      ...GUEST,
      "store(m, 0, 9) = 0",
      "r = mmap(NULL, 16K, PROT_READ, MAP_SHARED, f, 0) = ok",
      `${slot(1, 0, "64K", "16K", "r")} = 0`,
      "vcpu: load(0x10000) = 9",
      "vcpu: store(0x10000, 1) = -EFAULT",
    ]),
    scenario("two slots show one page", [
      ...GUEST,
      AT_64K,
      `${slot(2, 0, "128K", "4K")} = 0`,
      "vcpu: store(0x10000, 1) = 0",
      "vcpu: load(0x20000) = 1",
      "vcpu: store(0x20000, 2) = 0",
      "vcpu: load(0x10000) = 2",
    ]),
    scenario("behind a private mapping the guest writes a copy", [
      ...GUEST,
      "pwrite(f, 0x41 * 8, 0) = 8",
      "p = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0) = ok",
      `${slot(1, 0, "64K", "16K", "p")} = 0`,
      "vcpu: load(0x10000) = 0x41",
      "pwrite(f, 0x42 * 8, 0) = 8",
      "vcpu: load(0x10000) = 0x42",
      "vcpu: store(0x10000, 7) = 0",
      "load(p, 0) = 7",
      "load(m, 0) = 0x42",
      "pwrite(f, 0x43 * 8, 0) = 8",
      "vcpu: load(0x10000) = 7",
      PUNCH,
      "vcpu: load(0x10000) = 7",
      "load(m, 0) = 0",
    ]),
    scenario("the host's own copy reaches the guest", [
      ...GUEST,
      "p = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0) = ok",
      `${slot(1, 0, "64K", "16K", "p")} = 0`,
      "vcpu: load(0x10000) = 0",
      "store(p, 0, 7) = 0",
      "vcpu: load(0x10000) = 7",
      'pread(f, 1, 0) = 1 "\\0"',
    ]),
    scenario("a write seal does not bind a mapping that is older", [
      ...GUEST,
      AT_64K,
      "fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) = 0",
      'pwrite(f, "z", 0) = -EPERM',
      "vcpu: store(0x10000, 7) = 0",
      "load(m, 0) = 7",
    ]),
    scenario("the mapping outlives its descriptor", [
      ...GUEST,
      AT_64K,
      "vcpu: store(0x10000, 7) = 0",
      "close(f) = 0",
      "vcpu: load(0x10000) = 7",
      "load(m, 0) = 7",
    ]),
    scenario("a mapping unmapped and put in another place", [
      ...GUEST,
      AT_64K,
      "vcpu: store(0x10000, 7) = 0",
      "n = mmap(NULL, 16K, PROT_READ, MAP_SHARED, f, 0) = ok",
      "munmap(m, 4K) = 0",
      "load(m, 0) = SIGSEGV",
      "load(n, 0) = 7",
      "vcpu: load(0x11000) = 0",
    ]),
    scenario("two vCPUs of one VM", [
      ...GUEST,
      "vcpu1 = KVM_CREATE_VCPU(vm, 1) = ok",
      AT_64K,
      "vcpu: store(0x10000, 7) = 0",
      "vcpu1: load(0x10000) = 7",
      PUNCH,
      "vcpu1: load(0x10000) = 0",
      "vcpu1: store(0x10000, 8) = 0",
      "vcpu: load(0x10000) = 8",
    ]),
  ]);
}

export const KVM_TABLES: readonly Table[] = [slots(), guestDataFlow()];
