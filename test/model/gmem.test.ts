// guest_memfd by release: what each call answers, one row per check in the kernel's order with the 64-bit edges, and how files, slots, attributes and faults
// work together. Rows without a kernel hold in 6.18.44, most of them measured there.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { labelled } from "./support.ts";

const KERNELS = ["6.8.0", "6.8", "6.16", "6.18.0", "6.18", "7.2"] as const;
const VM = "vm = KVM_CREATE_VM(0)\nvm2 = KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)\nvcpu0 = KVM_CREATE_VCPU(vm, 0)\nprivate0 = KVM_CREATE_VCPU(vm2, 0)\n";

/** What one call answers behind a set-up. */
function answer(kernel: string, setup: string, call: string): string {
  const [first, ...others] = kernel.split(" ");
  assert.equal(others.length, 0);
  return labelled(`kernel ${first}\n${VM}${setup}\n${call} @it`).it;
}

/** [call, answer, kernels]; without kernels: 6.18. */
type Row = readonly [call: string, answer: string, kernels?: readonly string[]];

function table(name: string, setup: string, rows: readonly Row[]): void {
  describe(name, () => {
    for (const [call, expected, kernels = ["6.18"]] of rows) {
      for (const kernel of kernels) it(`${kernel}: ${call} = ${expected}`, () => assert.equal(answer(kernel, setup, call), expected));
    }
  });
}

const OLD = ["6.8.0", "6.8", "6.16"] as const;
const MMAP = ["6.18.0", "6.18", "7.2"] as const;

table("KVM_CREATE_VM", "", [
  ["KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)", "VM", KERNELS],
  ["KVM_CREATE_VM(6)", "-EINVAL", KERNELS],
  ["KVM_CREATE_VM(2)", "-EINVAL", ["6.8.0", "6.8"]],
  ["KVM_CREATE_VM(0xffffffffffffffff)", "-EINVAL", KERNELS],
]);

table("KVM_CHECK_EXTENSION", "", [
  ["KVM_CHECK_EXTENSION(vm, KVM_CAP_GUEST_MEMFD_FLAGS)", "3", MMAP],
  ["KVM_CHECK_EXTENSION(vm2, KVM_CAP_GUEST_MEMFD_FLAGS)", "1", MMAP],
  ["KVM_CHECK_EXTENSION(vm, KVM_CAP_GUEST_MEMFD)", "1", MMAP],
  ["KVM_CHECK_EXTENSION(vm, KVM_CAP_GUEST_MEMFD)", "0", OLD],
  ["KVM_CHECK_EXTENSION(vm, KVM_CAP_MEMORY_ATTRIBUTES)", "0", KERNELS],
  ["KVM_CHECK_EXTENSION(vm2, KVM_CAP_MEMORY_ATTRIBUTES)", "8", KERNELS],
  ["KVM_CHECK_EXTENSION(vm, KVM_CAP_USER_MEMORY2)", "1", KERNELS],
  ["KVM_CHECK_EXTENSION(vm, KVM_CAP_VM_TYPES)", "3", ["6.8.0", "6.8"]],
]);

table("KVM_CREATE_GUEST_MEMFD", "", [
  ...["0", "1", "512", "4095", "4097", "0x8000000000000000", "0xfffffffffffff000", "-1", "0x7fffffffffffffff"].map(
    (size): Row => [`KVM_CREATE_GUEST_MEMFD(vm, ${size})`, "-EINVAL", KERNELS],
  ),
  ...["4K", "2M", "1T", "0x7ffffffffffff000"].map((size): Row => [`KVM_CREATE_GUEST_MEMFD(vm, ${size})`, "fd", KERNELS]),
  ...["1", "2", "3"].map((flags): Row => [`KVM_CREATE_GUEST_MEMFD(vm, 4K, ${flags})`, "fd", MMAP]),
  ...["1", "2", "3"].map((flags): Row => [`KVM_CREATE_GUEST_MEMFD(vm, 4K, ${flags})`, "-EINVAL", OLD]),
  ["KVM_CREATE_GUEST_MEMFD(vm2, 4K, 1)", "fd", MMAP],
  ["KVM_CREATE_GUEST_MEMFD(vm2, 4K, 2)", "-EINVAL", MMAP],
  ...["4", "8", "0x8000000000000000", "7", "-1"].map((flags): Row => [`KVM_CREATE_GUEST_MEMFD(vm, 4K, ${flags})`, "-EINVAL", KERNELS]),
  ["KVM_CREATE_GUEST_MEMFD(-1, 4K)", "-EBADF"],
]);

const FILE = "ram = KVM_CREATE_GUEST_MEMFD(vm, 16K)";
table("the file", FILE, [
  ["read(ram, 1)", "-EINVAL", KERNELS],
  ["read(ram, 0)", "-EINVAL"],
  ['write(ram, "x")', "-EINVAL", KERNELS],
  ["pread(ram, 1, 0)", "-ESPIPE", KERNELS],
  ["pread(ram, 1, -1)", "-EINVAL"],
  ['pwrite(ram, "x", 0x7fffffffffffffff)', "-ESPIPE"],
  ["lseek(ram, 0, SEEK_SET)", "-ESPIPE", KERNELS],
  ["lseek(ram, 0, SEEK_HOLE)", "-ESPIPE"],
  ["ftruncate(ram, 16K)", "-EINVAL", KERNELS],
  ["ftruncate(ram, 4K)", "-EINVAL"],
  ["ftruncate(ram, -1)", "-EINVAL"],
  ["fchmod(ram, 0o600)", "-EINVAL"],
  ["fcntl(ram, F_GET_SEALS)", "-EINVAL"],
  ["fcntl(ram, F_ADD_SEALS, 0)", "-EINVAL"],
  ["readlink_fd(ram)", '"anon_inode:[kvm-gmem]"', [...OLD, "6.18"]],
  ["migrate(frame(ram, 0))", "-ENOENT"],
]);

const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
table("fallocate", FILE, [
  ["fallocate(ram, 0, 0, 4K)", "-EOPNOTSUPP", KERNELS],
  ["fallocate(ram, 0, 0, 0)", "-EINVAL"],
  ["fallocate(ram, 0, 1, 64K)", "-EOPNOTSUPP"],
  ["fallocate(ram, 1, 0, 4K)", "0", KERNELS],
  ["fallocate(ram, 1, 4K, 12K)", "0"],
  ["fallocate(ram, 1, 4K, 16K)", "-EINVAL", KERNELS],
  ["fallocate(ram, 1, 16K, 4K)", "-EINVAL"],
  ["fallocate(ram, 1, 0, 1)", "-EINVAL"],
  ["fallocate(ram, 1, 1, 4K)", "-EINVAL"],
  ["fallocate(ram, 2, 0, 4K)", "-EOPNOTSUPP"],
  [`fallocate(ram, ${PUNCH}, 0, 16K)`, "0", KERNELS],
  [`fallocate(ram, ${PUNCH}, 32K, 4K)`, "0", KERNELS],
  [`fallocate(ram, ${PUNCH}, 0, 1T)`, "0"],
  [`fallocate(ram, ${PUNCH}, 1, 4095)`, "-EINVAL"],
  [`fallocate(ram, ${PUNCH}, 4095, 1)`, "-EINVAL"],
  [`fallocate(ram, ${PUNCH}, 0x7ffffffffffff000, 4K)`, "-EFBIG"],
  [`fallocate(ram, ${PUNCH}, 0, 0x8000000000000000)`, "-EINVAL"],
  [`fallocate(ram, ${PUNCH}, -4096, 4K)`, "-EINVAL"],
  ["fallocate(ram, 0x10, 0, 4K)", "-EOPNOTSUPP"],
  ["fallocate(ram, 0x80, 1, 1)", "-EOPNOTSUPP"],
]);

const MAPPED = "ram = KVM_CREATE_GUEST_MEMFD(vm, 16K, 1)\nplain = KVM_CREATE_GUEST_MEMFD(vm, 16K, 2)";
table("mmap", MAPPED, [
  ["mmap(NULL, 16K, PROT_READ, MAP_SHARED, plain, 0)", "-ENODEV"],
  ["mmap(NULL, 16K, PROT_READ, MAP_PRIVATE, plain, 0)", "-ENODEV"],
  ["mmap(NULL, 16K, PROT_EXEC, MAP_SHARED, plain, 0)", "-EPERM"],
  ["mmap(NULL, 16K, PROT_EXEC, MAP_PRIVATE, ram, 0)", "-EPERM"],
  ["mmap(NULL, 16K, PROT_READ, MAP_PRIVATE, ram, 0)", "-EINVAL"],
  ["mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)", "mapping", ["6.18", "7.2"]],
  ["mmap(NULL, 64K, PROT_READ, MAP_SHARED, ram, 4K)", "mapping"],
  ["mmap(NULL, 0, PROT_READ, MAP_SHARED, ram, 0)", "-EINVAL"],
  ["mmap(NULL, 4K, PROT_READ, MAP_SHARED, ram, 1)", "-EINVAL"],
]);

const SLOT = (rest: string, gmem = "flags=KVM_MEM_GUEST_MEMFD, guest_memfd=ram"): string => `KVM_SET_USER_MEMORY_REGION2(vm, ${gmem}, ${rest})`;
const PLAIN = (address: string): string => `KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=${address})`;
const HIGH = "slot=0, guest_phys_addr=0, memory_size=4K, guest_memfd_offset=";
table("KVM_SET_USER_MEMORY_REGION2", `${FILE}\nmem = memfd_create("m", 0)\nforeign = KVM_CREATE_GUEST_MEMFD(vm2, 16K)`, [
  [SLOT("slot=0, guest_phys_addr=0, memory_size=16K"), "0", MMAP],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=16K"), "-EINVAL", OLD],
  ...[5, 6, 7, 12, 0x80000004].map((flags): Row => [SLOT("slot=0, guest_phys_addr=0, memory_size=4K", `flags=${flags}, guest_memfd=ram`), "-EINVAL"]),
  ["KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=4K)", "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=4097"), "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=1, memory_size=4K"), "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=4K, userspace_addr=1"), "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=4K, userspace_addr=0xffff800000000000"), "-EINVAL"],
  [PLAIN("0x7ffffffff000"), "0", ["6.8.0", "6.8"]],
  [PLAIN("0x7ffffffff000"), "-EINVAL", ["6.16", "6.18.0", "6.18", "7.2"]],
  [PLAIN("0x7ffffffffffff000"), "-EINVAL", KERNELS],
  [PLAIN("0x7fffffffe000"), "0", KERNELS],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=4K, guest_memfd_offset=1"), "-EINVAL"],
  [SLOT("slot=0x7ffc, guest_phys_addr=0, memory_size=4K"), "-EINVAL"],
  [SLOT("slot=0x10000, guest_phys_addr=0, memory_size=4K"), "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=0xfffffffffffff000, memory_size=4K"), "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=8T"), "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=0"), "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=4K", "flags=KVM_MEM_GUEST_MEMFD, guest_memfd=-1"), "-EBADF"],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=4K", "flags=KVM_MEM_GUEST_MEMFD, guest_memfd=mem"), "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=4K", "flags=KVM_MEM_GUEST_MEMFD, guest_memfd=foreign"), "-EINVAL"],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=4K, guest_memfd_offset=1", "flags=KVM_MEM_GUEST_MEMFD, guest_memfd=-1"), "-EINVAL"],
  ...["4K", "12K"].map((offset): Row => [SLOT(`${HIGH}${offset}`), "0"]),
  ...["16K", "0xfffffffffffff000", "-1", "0x8000000000000000", "0x7fffffffffffffff"].map((offset): Row => [SLOT(`${HIGH}${offset}`), "-EINVAL", MMAP]),
  [SLOT(`${HIGH}0x7ffffffffffff000`), "0", ["6.18.0", "6.18"]],
  [SLOT(`${HIGH}0x7ffffffffffff000`), "-EINVAL", ["7.2"]],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=20K"), "-EINVAL"],
]);

const BOUND = `${FILE}\n${SLOT("slot=0, guest_phys_addr=0, memory_size=8K")} = 0`;
table("a slot that is there", BOUND, [
  [SLOT("slot=0, guest_phys_addr=0, memory_size=8K"), "-EINVAL", MMAP],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=8K", "flags=0"), "-EINVAL", ["6.18", "7.2"]],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=8K", "flags=0"), "0", ["6.18.0"]],
  [SLOT("slot=0, guest_phys_addr=1M, memory_size=8K", "flags=0"), "0", ["6.18.0"]],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=4K", "flags=0"), "-EINVAL", ["6.18.0"]],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=0", "flags=0"), "0", MMAP],
  [SLOT("slot=0, guest_phys_addr=0, memory_size=0, guest_memfd_offset=12345"), "-EINVAL"],
  [SLOT("slot=1, guest_phys_addr=4K, memory_size=4K, guest_memfd_offset=8K", "flags=KVM_MEM_GUEST_MEMFD, guest_memfd=-1"), "-EEXIST"],
  [SLOT("slot=1, guest_phys_addr=1M, memory_size=4K, guest_memfd_offset=4K"), "-EINVAL", ["6.18.0", "6.18"]],
  [SLOT("slot=1, guest_phys_addr=1M, memory_size=4K, guest_memfd_offset=4K"), "-EEXIST", ["7.2"]],
  [SLOT("slot=1, guest_phys_addr=1M, memory_size=4K, guest_memfd_offset=8K"), "0", MMAP],
]);

const ATTRIBUTES = (rest: string): string => `KVM_SET_MEMORY_ATTRIBUTES(vm2, ${rest})`;
table("KVM_SET_MEMORY_ATTRIBUTES", "", [
  [ATTRIBUTES("0, 4K, 8"), "0", KERNELS],
  [ATTRIBUTES("0, 4K, 0"), "0", KERNELS],
  ["KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 8)", "-EINVAL", KERNELS],
  ["KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 0)", "-EINVAL", KERNELS],
  [ATTRIBUTES("0, 4K, 8, 1"), "-EINVAL"],
  [ATTRIBUTES("0, 4K, 1"), "-EINVAL"],
  [ATTRIBUTES("0, 4K, 0x8000000000000000"), "-EINVAL"],
  [ATTRIBUTES("0, 0, 8"), "-EINVAL"],
  [ATTRIBUTES("0xfffffffffffff000, 4K, 8"), "-EINVAL"],
  [ATTRIBUTES("4K, 0xfffffffffffff000, 8"), "-EINVAL"],
  [ATTRIBUTES("1, 4K, 8"), "-EINVAL"],
  [ATTRIBUTES("0, 4095, 8"), "-EINVAL"],
]);

const BACKED = `ram = KVM_CREATE_GUEST_MEMFD(vm2, 16K)
map = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
KVM_SET_USER_MEMORY_REGION2(vm2, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=16K, userspace_addr=map, guest_memfd_offset=0, guest_memfd=ram) = 0
KVM_SET_MEMORY_ATTRIBUTES(vm2, 0, 8K, 8) = 0`;
const PRE = ["6.16", "6.18", "7.2"] as const;
table("KVM_PRE_FAULT_MEMORY", BACKED, [
  ["KVM_PRE_FAULT_MEMORY(private0, 0, 16K)", "0", PRE],
  ["KVM_PRE_FAULT_MEMORY(private0, 12K, 8K)", "0", PRE],
  ["KVM_PRE_FAULT_MEMORY(private0, 16K, 4K)", "-ENOENT", PRE],
  ["KVM_PRE_FAULT_MEMORY(private0, 0, 4K, 1)", "-EINVAL"],
  ["KVM_PRE_FAULT_MEMORY(private0, 1, 4K)", "-EINVAL"],
  ["KVM_PRE_FAULT_MEMORY(private0, 0, 0)", "-EINVAL"],
  ["KVM_PRE_FAULT_MEMORY(private0, 0xfffffffffffff000, 4K)", "-EINVAL"],
]);

table("a private access", BACKED, [
  ["private0: load(0)", "0x00", KERNELS],
  ["private0: load(0x2000)", "0x00", KERNELS],
  ["private0: load(0x10000)", "exit KVM_EXIT_MMIO {phys_addr=0x10000, len=1, is_write=0}", KERNELS],
]);

describe("files, slots, attributes and faults together", () => {
  const run = (kernel: string, text: string): Record<string, string> => labelled(`kernel ${kernel}\n${VM}${text}`);
  for (const kernel of KERNELS) {
    it(`${kernel}: private and shared data of one gfn are apart, and a hole gives zeroes`, () => {
      const answers = run(
        kernel,
        `${BACKED}\nprivate0: store(0, 0x33)\nload(map, 0) @host\nprivate0: load(0) @own\nfallocate(ram, ${PUNCH}, 0, 4K)\nprivate0: load(0) @hole
KVM_SET_MEMORY_ATTRIBUTES(vm2, 0, 4K, 0)\nstore(map, 0, 0x44)\nprivate0: load(0) @shared`,
      );
      assert.deepEqual(answers, { host: "0x00", own: "0x33", hole: "0x00", shared: "0x44" });
    });
    it(`${kernel}: the last close of the file leaves the slot, whose private faults exit`, () => {
      const exit = "exit KVM_EXIT_MEMORY_FAULT {flags=8, gpa=0, size=4K, errno=EFAULT}";
      assert.deepEqual(run(kernel, `${BACKED}\nprivate0: store(0, 1)\nclose(ram) @close\nprivate0: load(0) @look\nassert slots(vm2) == 1`), {
        close: "0",
        look: exit,
      });
    });
    it(`${kernel}: a private gfn in a slot without guest_memfd exits`, () => {
      const text = `map = mmap(NULL, 4K, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
KVM_SET_USER_MEMORY_REGION(vm2, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=map)\nKVM_SET_MEMORY_ATTRIBUTES(vm2, 0, 4K, 8)\nprivate0: load(0) @look`;
      assert.deepEqual(run(kernel, text), { look: "exit KVM_EXIT_MEMORY_FAULT {flags=8, gpa=0, size=4K, errno=EFAULT}" });
    });
  }

  it("6.18: host and guest share the pages of an INIT_SHARED file", () => {
    const text = `ram = KVM_CREATE_GUEST_MEMFD(vm, 8K, 3)\nwindow = mmap(NULL, 12K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)
${SLOT("slot=0, guest_phys_addr=0, memory_size=8K")} = 0\nstore(window, 0, 0xaa)\nvcpu0: load(0) @guest\nvcpu0: store(0, 0x5a)\nload(window, 0) @host
fallocate(ram, ${PUNCH}, 0, 4K)\nload(window, 0) @hole\nload(window, 8K) @beyond`;
    assert.deepEqual(run("6.18", text), { guest: "0xaa", host: "0x5a", hole: "0x00", beyond: "SIGBUS" });
  });
  it("6.18: without INIT_SHARED every touch is SIGBUS, and the guest's shared accesses reach the file", () => {
    const text = `ram = KVM_CREATE_GUEST_MEMFD(vm, 8K, 1)\nwindow = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)
${SLOT("slot=0, guest_phys_addr=0, memory_size=8K")} = 0\nload(window, 0) @host\nvcpu0: store(0, 1)\nvcpu0: load(0) @guest`;
    assert.deepEqual(run("6.18", text), { host: "SIGBUS", guest: "0x01" });
  });
});
