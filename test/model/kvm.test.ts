// Tables of the KVM calls and of guest accesses: one row per check in the kernel's order, each row mending the fault of the one before.

import { describe } from "node:test";
import { table } from "./tables.ts";

const VM = "vm = KVM_CREATE_VM(0)";
const MAPPED = `${VM}; mem = memfd_create("mem", 0); ftruncate(mem, 16K); map = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0); ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, 16K)`;
const slot = (id: number | string, flags: string, gpa: string, size: string, rest = ""): string =>
  `KVM_SET_USER_MEMORY_REGION(vm, slot=${id}, flags=${flags}, guest_phys_addr=${gpa}, memory_size=${size}${rest})`;
const AT = ", userspace_addr=map";
const BOUND = ", private_fd=ram, private_offset=0";

describe("objects", () => {
  table("KVM_CREATE_VM and KVM_CREATE_VCPU", VM, [
    ["KVM_CREATE_VM(1)", "-EINVAL"],
    ["KVM_CREATE_VM(0)", "VM"],
    ["none = KVM_CREATE_VM(9); v = KVM_CREATE_VCPU(none, 4096)", "-EBADF"],
    ["v = KVM_CREATE_VCPU(vm, 4096)", "-EINVAL"],
    ["v = KVM_CREATE_VCPU(vm, 7); w = KVM_CREATE_VCPU(vm, 7)", "-EEXIST"],
    ["v = KVM_CREATE_VCPU(vm, 7); other = KVM_CREATE_VM(0); w = KVM_CREATE_VCPU(other, 7)", "vCPU"],
  ]);
});

describe("KVM_SET_USER_MEMORY_REGION", () => {
  table("arguments", MAPPED, [
    [`none = KVM_CREATE_VM(9); ${slot(0, "0x80", "1", "1").replace("(vm,", "(none,")}`, "-EBADF"],
    [slot(0, "0x80", "0", "4K", AT), "-EINVAL"],
    [slot(0x20000, "0", "0", "4K", AT), "-EINVAL"],
    [slot(0, "0", "0", "4097", AT), "-EINVAL"],
    [slot(0, "0", "1", "4K", AT), "-EINVAL"],
    [slot(0, "0", "0", "4K", `${AT} + 1`), "-EINVAL"],
    [slot(0, "0", "0", "4K", ", userspace_addr=1 << 60"), "-EINVAL"],
    [slot(0, "KVM_MEM_PRIVATE", "0", "4K", ", private_fd=ram, private_offset=1"), "not modelled", "-EINVAL"],
    [slot(0, "KVM_MEM_PRIVATE", "0", "8K", ", private_fd=ram, private_offset=-4096"), "0", "-EINVAL"],
    [slot(32764, "0", "0", "4K", AT), "-EINVAL"],
    [slot(0, "0", "-4096", "8K", AT), "-EINVAL"],
    [slot(0, "0", "0", "1 << 43", AT), "-EINVAL"],
    [slot(0, "0", "0", "0"), "-EINVAL"],
    [slot(32763, "0", "0", "4K", AT), "0"],
    [slot(0, "0", "0", "4K"), "0"],
  ]);
  table("against the slot that is there", `${MAPPED}; ${slot(0, "0", "0", "8K", AT)}`, [
    [slot(0, "0", "0", "4K", AT), "-EINVAL"],
    [slot(0, "0", "0", "8K", `${AT} + 4K`), "-EINVAL"],
    [slot(0, "KVM_MEM_READONLY", "0", "8K", AT), "-EINVAL"],
    [slot(0, "KVM_MEM_PRIVATE", "0", "8K", AT + BOUND), "-EINVAL"],
    [slot(0, "0", "0", "8K", AT), "0"],
    [slot(0, "KVM_MEM_LOG_DIRTY_PAGES", "0", "8K", AT), "0"],
    [slot(0, "0", "0x10000", "8K", AT), "0"],
    [slot(1, "0", "4K", "8K", AT), "-EEXIST"],
    [slot(1, "0", "8K", "8K", AT), "0"],
    [`${slot(1, "0", "8K", "8K", AT)}; ${slot(1, "0", "4K", "8K", AT)}`, "-EEXIST"],
    [`${slot(0, "0", "0", "0")}; ${slot(1, "0", "4K", "8K", AT)}`, "0"],
    [`${slot(0, "0", "0", "0")}; ${slot(0, "0", "0", "0")}`, "-EINVAL"],
  ]);
  table(
    "with private memory: overlap before the descriptor from v6 on, and KVM_MEM_PRIVATE only for a new slot",
    `${MAPPED}; ${slot(0, "KVM_MEM_PRIVATE", "0", "8K", AT + BOUND)}`,
    [
      [slot(1, "KVM_MEM_PRIVATE", "4K", "4K", ", private_fd=-1, private_offset=0"), "-EINVAL", "-EEXIST"],
      [slot(1, "KVM_MEM_PRIVATE", "8K", "4K", ", private_fd=-1, private_offset=0"), "-EINVAL"],
      [slot(0, "KVM_MEM_PRIVATE", "0", "8K", AT + BOUND), "-EINVAL"],
      // Nobody looks at the flags that the slot has.
      [slot(0, "0", "0", "8K", AT), "0"],
      [slot(0, "0", "0", "4K", AT), "-EINVAL"],
      [slot(0, "KVM_MEM_PRIVATE", "0", "0"), "0"],
      [slot(1, "KVM_MEM_PRIVATE", "8K", "8K", ", private_fd=ram, private_offset=8K"), "0"],
      [slot(1, "KVM_MEM_PRIVATE", "8K", "8K", BOUND), "0"],
      [slot(1, "KVM_MEM_PRIVATE|KVM_MEM_READONLY", "8K", "4K", BOUND), "not modelled"],
      [slot(1, "KVM_MEM_PRIVATE", "8K", "4K", ", private_fd=mem, private_offset=0"), "0", "not modelled"],
    ],
  );
});

describe("KVM_MEMORY_ENCRYPT_REG_REGION and UNREG", () => {
  for (const verb of ["REG", "UNREG"]) {
    table(
      verb,
      VM,
      [
        [`none = KVM_CREATE_VM(9); KVM_MEMORY_ENCRYPT_${verb}_REGION(none, 1, 0)`, "-EBADF"],
        [`KVM_MEMORY_ENCRYPT_${verb}_REGION(vm, 0, 0)`, "-EINVAL"],
        [`KVM_MEMORY_ENCRYPT_${verb}_REGION(vm, -4096, 4K)`, "-EINVAL"],
        [`KVM_MEMORY_ENCRYPT_${verb}_REGION(vm, 1, 4K)`, "-EINVAL"],
        [`KVM_MEMORY_ENCRYPT_${verb}_REGION(vm, 0, 4097)`, "-EINVAL"],
        [`KVM_MEMORY_ENCRYPT_${verb}_REGION(vm, 0, 1T)`, "0"],
      ],
      ["v8"],
    );
  }
  table("a kernel that does not know them", VM, [["KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0, 4K)", "-ENOTTY"]], ["v4"]);
});

describe("guest accesses", () => {
  const guest = `${MAPPED}; vcpu = KVM_CREATE_VCPU(vm, 0)\n`;
  const error = (flags: number, gpa: string): string => `exit KVM_EXIT_MEMORY_ERROR {flags=${flags}, gpa=${gpa}, size=4K, errno=EPERM}`;
  const fault = (flags: number, gpa: string): string => `exit KVM_EXIT_MEMORY_FAULT {flags=${flags}, gpa=${gpa}, size=4K}`;
  table("without a slot, and in an ordinary one", `${guest}${slot(0, "0", "0x4000", "16K", AT)}; ${slot(1, "0", "0x10000", "4K")}\n`, [
    ["vcpu: load(0x1001)", "exit KVM_EXIT_MMIO {phys_addr=0x1001, len=1, is_write=0}"],
    ["vcpu: store(0x8000, 0x41)", "exit KVM_EXIT_MMIO {phys_addr=0x8000, len=1, is_write=1, data=0x41}"],
    ["vcpu: load(0x10000)", "-EFAULT"],
    ["vcpu: load(0x7fff)", "0x00"],
    ["vcpu: load(SHARED|0x4000)", "0x00"],
    ["vcpu: store(0x4000, 7); pread(mem, 1, 0)", '1 "\\007"'],
    ["store(map, 1, 9); vcpu: load(0x4001)", "0x09"],
    ["vcpu: store(0x4000, 7); fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K); vcpu: load(0x4000)", "0x00"],
    ["vcpu: load(0x5000); ftruncate(mem, 4K); vcpu: load(0x5000)", "-EFAULT"],
    ["vcpu: load(0x4000); munmap(map, 4K); vcpu: load(0x4000)", "-EFAULT"],
    [`vcpu: store(0x4000, 7); ${slot(0, "0", "0x20000", "16K", AT)}; vcpu: load(0x20000)`, "0x07"],
    [`vcpu: load(0x4000); ${slot(0, "0", "0x4000", "0")}; vcpu: load(0x4000)`, "exit KVM_EXIT_MMIO {phys_addr=0x4000, len=1, is_write=0}"],
  ]);
  table("private or shared: v4 asks the file, v8 the xarray", `${guest}${slot(0, "KVM_MEM_PRIVATE", "0x4000", "8K", AT + BOUND)}\n`, [
    ["vcpu: load(0x4000)", error(1, "0x4000"), "as found"],
    ["vcpu: load(SHARED|0x4000)", "0x00", fault(0, "0x4000")],
    ["fallocate(ram, 0, 0, 4K); vcpu: load(0x4000)", "0x00", "as found"],
    ["fallocate(ram, 0, 0, 4K); vcpu: load(SHARED|0x4001)", error(0, "0x4000"), fault(0, "0x4000")],
    ["fallocate(ram, 0, 0, 4K); vcpu: store(0x4000, 7); vcpu: load(0x4000)", "0x07"],
    ["fallocate(ram, 0, 0, 4K); vcpu: store(0x4000, 7); pread(mem, 1, 0)", '1 "\\000"'],
    ["fallocate(ram, 0, 0, 4K); vcpu: load(0x5000)", error(1, "0x5000"), "as found"],
  ]);
  table(
    "conversion in v8",
    `${guest}${slot(0, "KVM_MEM_PRIVATE", "0x4000", "8K", AT + BOUND)}; KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x4000, 4K)\n`,
    [
      ["vcpu: load(0x4fff)", fault(1, "0x4000")],
      ["vcpu: load(SHARED|0x4000)", "0x00"],
      ["vcpu: store(0x5000, 7); vcpu: load(0x5000)", "0x07"],
      ["vcpu: load(SHARED|0x5000)", fault(0, "0x5000")],
      ["KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x4000, 8K); vcpu: load(SHARED|0x4000)", fault(0, "0x4000")],
    ],
    ["v8"],
  );
  const again = (gpa: string): string => `${slot(0, "KVM_MEM_PRIVATE", gpa, "8K", AT + BOUND)}; fallocate(ram, 0, 0, 4K)
vcpu: store(${gpa}, 0x41)
fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K); fallocate(ram, 0, 0, 4K)
vcpu: load(${gpa})`;
  table(
    "a page that was given back and comes again: v4 clears it, but forgets base_gfn and so leaves the old mapping of a slot that is not at 0",
    guest,
    [
      [again("0"), "0x00"],
      [again("0x4000"), "0x41"],
    ],
    ["v4"],
  );
});
