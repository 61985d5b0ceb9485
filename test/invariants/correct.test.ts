// A correct protocol never squiggles: under kernels whose known bugs are mended, nothing breaks in any schedule of any of these races.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inKernel } from "../model/random.ts";
import { broken } from "../model/support.ts";

const KERNELS = `
kernel v4-mended extends v4 { set_marker = or; notifier_base_gfn = added; notifier_seq = moves }
kernel v8-mended extends v8 {
  notifier_units = pages; fresh_page = zeroed
  fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end
}
kernel v6-mended extends v6 { notifier_start = clamped }
kernel v7-mended extends v7 { conversion_store = per_gfn; fresh_page = zeroed }
kernel v9-mended extends v9 { notifier_units = pages; fresh_page = zeroed; ordinary_slot = exits }
kernel v10-mended extends v10 { fresh_page = zeroed }
`;

const CONVERTING = ["v7-mended", "v8-mended", "v9-mended", "v10-mended"];
const MENDED = ["v4-mended", "v6-mended", ...CONVERTING];

/** What makes the memory of the slot private where that is not the default. */
const PRIVATE_FIRST: Readonly<Record<string, string>> = {
  "v7-mended": "KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x4000, 8K)",
  "v10-mended": "KVM_SET_MEMORY_ATTRIBUTES(vm, 0x4000, 8K, KVM_MEMORY_ATTRIBUTE_PRIVATE)",
};

/** v10 converts by another call. */
const converted = (kernel: string, text: string): string =>
  kernel === "v10-mended"
    ? text
        .replaceAll(/KVM_MEMORY_ENCRYPT_UNREG_REGION\((.*?)\)/g, "KVM_SET_MEMORY_ATTRIBUTES($1, 0)")
        .replaceAll(/KVM_MEMORY_ENCRYPT_REG_REGION\((.*?)\)/g, "KVM_SET_MEMORY_ATTRIBUTES($1, 8)")
    : text;

const SETUP = `
  ram = memfd_create("ram", MFD_INACCESSIBLE)
  ftruncate(ram, 8K) = 0
  fallocate(ram, 0, 0, 8K) = 0
  mem = memfd_create("mem", MFD_ALLOW_SEALING)
  ftruncate(mem, 16K) = 0
  map = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
  vm = KVM_CREATE_VM(0)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  vcpu1 = KVM_CREATE_VCPU(vm, 1)
  KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x4000, memory_size=8K, userspace_addr=map, private_fd=ram, private_offset=0) = 0
  KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=8K, userspace_addr=map + 8K) = 0
`;

const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";

/** [what, before the race, the race, kernels] */
const RACES: readonly (readonly [name: string, before: string, race: string, kernels?: readonly string[]])[] = [
  ["punch of a private page against a load", "vcpu0: store(0x4000, 1)", `vmm { fallocate(ram, ${PUNCH}, 0, 4K) } vcpu0 { load(0x4000) }`],
  [
    "punch of both private pages against two vCPUs",
    "vcpu0: store(0x5000, 1)",
    `vmm { fallocate(ram, ${PUNCH}, 0, 8K) } vcpu0 { load(0x5000) } vcpu1 { store(0x4000, 2) }`,
  ],
  [
    "punch and allocation against a load and a shared load",
    "vcpu0: load(0x4000)",
    `vmm { fallocate(ram, ${PUNCH}, 0, 4K); fallocate(ram, 0, 0, 4K) } vcpu0 { load(0x4000); load(SHARED|0x4000) }`,
  ],
  [
    "two punches against a load",
    "vcpu0: load(0x4000)",
    `vmm { fallocate(ram, ${PUNCH}, 0, 4K) } helper { fallocate(ram, ${PUNCH}, 0, 8K) } vcpu0 { load(0x4000) }`,
  ],
  ["allocation of pages that are there against a load", "", "vmm { fallocate(ram, 0, 0, 8K) } vcpu0 { load(0x4000) } vcpu1 { load(0x5000) }"],
  [
    "punch of an ordinary file against guest and host loads",
    "vcpu0: store(0x8000, 1)",
    `vmm { fallocate(mem, ${PUNCH}, 8K, 4K) } vcpu0 { load(0x8000) } helper { load(map, 8K) }`,
  ],
  ["ftruncate of an ordinary file against a guest load", "vcpu0: store(0x8000, 1)", "vmm { ftruncate(mem, 8K); ftruncate(mem, 16K) } vcpu0 { load(0x8000) }"],
  ["munmap against guest loads", "vcpu0: load(0x8000)", "vmm { munmap(map + 8K, 8K) } vcpu0 { load(0x8000) } vcpu1 { load(0x9000) }"],
  [
    "deletion of an ordinary slot against loads of two vCPUs",
    "vcpu0: load(0x8000)",
    "vmm { KVM_SET_USER_MEMORY_REGION(vm, slot=1, guest_phys_addr=0x8000, memory_size=0, flags=0) } vcpu0 { load(0x8000) } vcpu1 { load(0x8000) }",
  ],
  [
    "deletion of the private slot and of its last reference against a load",
    "vcpu0: store(0x4000, 1)",
    "vmm { KVM_SET_USER_MEMORY_REGION(vm, slot=0, guest_phys_addr=0x4000, memory_size=0, flags=KVM_MEM_PRIVATE); close(ram) } vcpu0 { load(0x4000) }",
  ],
  [
    "move of a slot against loads",
    "vcpu0: load(0x8000)",
    "vmm { KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0xc000, memory_size=8K, userspace_addr=map + 8K) } vcpu0 { load(0x8000) } vcpu1 { load(0xc000) }",
  ],
  [
    "two threads change slots",
    "",
    "vmm { KVM_SET_USER_MEMORY_REGION(vm, slot=1, guest_phys_addr=0x8000, memory_size=0, flags=0) } helper { KVM_SET_USER_MEMORY_REGION(vm, slot=2, flags=0, guest_phys_addr=0x9000, memory_size=4K, userspace_addr=map) } vcpu0 { load(0x9000) }",
  ],
  [
    "conversion to shared against private and shared loads",
    "vcpu0: store(0x4000, 1)",
    "vmm { KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x4000, 4K) } vcpu0 { load(0x4000) } vcpu1 { load(SHARED|0x4000) }",
    CONVERTING,
  ],
  [
    "conversion to and fro against a load",
    "vcpu0: load(0x4000)",
    "vmm { KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x4000, 8K); KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x4000, 4K) } vcpu0 { load(0x4000); load(SHARED|0x5000) }",
    CONVERTING,
  ],
  [
    "two conversions at once",
    "vcpu0: load(0x4000)",
    "vmm { KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x4000, 8K) } helper { KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x5000, 4K) } vcpu0 { load(0x5000) }",
    CONVERTING,
  ],
  ["seals against writes and mappings", "", 'vmm { fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE) } helper { pwrite(mem, "a", 0) }'],
  ["writes, reads and closing", "", "vmm { pwrite(mem, 0x41 * 8192, 0) } helper { pread(mem, 2, 4095) } third { close(mem) }"],
  ["reclaim of a private page", "vcpu0: store(0x4000, 1)", "vmm { reclaim(frame(ram, 0)) } vcpu0 { load(0x4000) }"],
];

const ONE_BY_ONE = RACES.map(([name, before, race, kernels]) => ({
  name,
  kernels: kernels ?? MENDED,
  text: (kernel: string) => {
    const threads = race.replaceAll(/\} (?=[a-z0-9]+ \{)/g, "}\n    ");
    const body = inKernel(kernel, `${SETUP}  ${PRIVATE_FIRST[kernel] ?? ""}\n  ${before}\n  parallel {\n    ${converted(kernel, threads)}\n  }\n`);
    return `${KERNELS}\nscenario "race" {\n  kernel ${kernel}\n${body}}\n`;
  },
}));

for (const kernel of MENDED) {
  describe(`nothing breaks under ${kernel}`, () => {
    for (const { name, kernels, text } of ONE_BY_ONE)
      if (kernels.includes(kernel)) it(name, () => assert.deepEqual(broken(text(kernel), { maxStates: 400_000 }), []));
  });
}
