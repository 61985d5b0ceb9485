// Tables of the patch series, version by version: each call with its checks in the kernel's order, and what each of v4 to v10 answers. A row
// gives one answer for all kernels of the table, or one for each.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { lastAnswer, NOT_MODELLED } from "./tables.ts";

type Row = readonly [statement: string, answer: string | readonly string[]];

function table(name: string, kernels: readonly string[], setup: string, rows: readonly Row[]): void {
  kernels.forEach((kernel, index) => {
    it(`${name} (${kernel})`, () => {
      const wanted = rows.map(([statement, answer]) => [statement, typeof answer === "string" ? answer : answer[index]]);
      assert.deepEqual(
        rows.map(([statement]) => [statement, lastAnswer(`kernel ${kernel}\n${setup}\n${statement}\n`)]),
        wanted,
      );
    });
  });
}

const FLAGGED = ["v5", "v6", "v7"] as const;
const RESTRICTED = ["v9", "v10"] as const;
const SERIES = ["v4", "v5", "v6", "v7", "v8", "v9", "v10"] as const;
const MARKED = ["v4", "v5", "v6", "v7", "v8"] as const;
const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
const LAST = "9223372036854775807";

/** The file that user space shall not reach, as each kernel makes it. */
const RAM = 'ram = memfd_create("ram", MFD_INACCESSIBLE)';
const RESTRICTED_RAM = "ram = memfd_restricted(0)";

describe("creation", () => {
  table("memfd_create with MFD_INACCESSIBLE", MARKED, "", [
    ['f = memfd_create("x", 0x40|MFD_INACCESSIBLE)', "-EINVAL"],
    ['f = memfd_create("x", MFD_INACCESSIBLE|MFD_ALLOW_SEALING)', "-EINVAL"],
    ['f = memfd_create("x", MFD_INACCESSIBLE|MFD_ALLOW_SEALING|MFD_HUGETLB)', "-EINVAL"],
    ['f = memfd_create("x" * 250, MFD_INACCESSIBLE)', "-EINVAL"],
    // The name is looked at before the file is marked, and the flags before the name.
    ['f = memfd_create("x" * 250, MFD_INACCESSIBLE|MFD_HUGETLB)', [NOT_MODELLED, "-EINVAL", "-EINVAL", "-EINVAL", "-EINVAL"]],
    ['f = memfd_create("x", MFD_INACCESSIBLE|MFD_HUGETLB)', [NOT_MODELLED, "fd", "-EOPNOTSUPP", "-EOPNOTSUPP", "-EINVAL"]],
    ['f = memfd_create("x", MFD_INACCESSIBLE|MFD_CLOEXEC)', "fd"],
    ['f = memfd_create("x", MFD_HUGETLB)', "fd"],
  ]);
  table("the flag is gone", RESTRICTED, "", [
    ['f = memfd_create("x", 8)', "-EINVAL"],
    ['f = memfd_create("x" * 250, 0)', "-EINVAL"],
    ['f = memfd_create("x", MFD_ALLOW_SEALING)', "fd"],
  ]);
  table("memfd_restricted", SERIES, "", [
    ["f = memfd_restricted(0)", ["-ENOSYS", "-ENOSYS", "-ENOSYS", "-ENOSYS", "-ENOSYS", "fd", "fd"]],
    ["f = memfd_restricted(1)", ["-ENOSYS", "-ENOSYS", "-ENOSYS", "-ENOSYS", "-ENOSYS", "-EINVAL", "-EINVAL"]],
    ["f = memfd_restricted(-1)", ["-ENOSYS", "-ENOSYS", "-ENOSYS", "-ENOSYS", "-ENOSYS", "-EINVAL", "-EINVAL"]],
    // The argument is an unsigned int.
    ["f = memfd_restricted(0x100000000)", ["-ENOSYS", "-ENOSYS", "-ENOSYS", "-ENOSYS", "-ENOSYS", "fd", "fd"]],
  ]);
});

const FILE_ROWS = (refused: string, beyond: string, mapped: string, seals: string): Row[] => [
  ["read(ram, 1)", refused],
  ["read(ram, 0)", refused === "-EINVAL" ? "-EINVAL" : "0"],
  ["pread(ram, 1, -1)", "-EINVAL"],
  ["pread(ram, 1, 4096)", beyond],
  ["pread(ram, 1, 8K)", beyond === "-ESPIPE" ? "-ESPIPE" : "0"],
  [`pread(ram, 2, ${LAST})`, beyond === "-ESPIPE" ? "-ESPIPE" : "-EINVAL"],
  ['pwrite(ram, "x", -1)', "-EINVAL"],
  ['pwrite(ram, "x", 0)', beyond],
  ['write(ram, "x")', refused],
  ["m = mmap(NULL, 0, PROT_READ, MAP_SHARED, ram, 0)", "-EINVAL"],
  ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, ram, 0)", mapped],
  ["m = mmap(NULL, 4K, PROT_READ, MAP_PRIVATE, ram, 0)", mapped],
  ["fcntl(ram, F_GET_SEALS)", seals],
  ["fcntl(ram, F_ADD_SEALS, F_SEAL_WRITE)", seals === "-EINVAL" ? "-EINVAL" : "-EPERM"],
];

const SIZE_ROWS: readonly Row[] = [
  ["ftruncate(ram, -1)", "-EINVAL"],
  ["ftruncate(-1, 8K)", "-EBADF"],
  // The size that is set is tested before the alignment of the new one.
  ["ftruncate(ram, 1)", "-EPERM"],
  ["ftruncate(ram, 8K)", "-EPERM"],
  ["ftruncate(ram, 0)", "-EPERM"],
  [`ftruncate(ram, ${LAST})`, "-EPERM"],
];

const HOLE_ROWS: readonly Row[] = [
  [`fallocate(-1, ${PUNCH}, -1, 0)`, "-EBADF"],
  [`fallocate(ram, ${PUNCH}, -1, 4K)`, "-EINVAL"],
  [`fallocate(ram, ${PUNCH}, 0, 0)`, "-EINVAL"],
  [`fallocate(ram, 0x80|${PUNCH}, 1, 4K)`, "-EOPNOTSUPP"],
  ["fallocate(ram, FALLOC_FL_PUNCH_HOLE, 1, 4K)", "-EOPNOTSUPP"],
  [`fallocate(ram, ${PUNCH}, 1, ${LAST})`, "-EFBIG"],
  [`fallocate(ram, ${PUNCH}, 1, 4K)`, "-EINVAL"],
  [`fallocate(ram, ${PUNCH}, 0, 4097)`, "-EINVAL"],
  [`fallocate(ram, ${PUNCH}, 0, 9223372036854771712)`, "0"],
  [`fallocate(ram, ${PUNCH}, 8K, 4K)`, "0"],
  [`fallocate(ram, ${PUNCH}, 0, 4K)`, "0"],
  ["fallocate(ram, 0, 1, 4K)", "0"],
  ["fallocate(ram, FALLOC_FL_KEEP_SIZE, 8K, 4K)", "0"],
];

describe("the private file", () => {
  const sized = (make: string): string => `${make}; ftruncate(ram, 8K); fallocate(ram, 0, 0, 8K)`;
  table("no access: a flag of the inode", FLAGGED, sized(RAM), FILE_ROWS("-EPERM", "-EPERM", "-EPERM", "0x1 (F_SEAL_SEAL)"));
  table("no access: a wrapper without methods", RESTRICTED, sized(RESTRICTED_RAM), FILE_ROWS("-EINVAL", "-ESPIPE", "-ENODEV", "-EINVAL"));
  table("the size is set once", FLAGGED, sized(RAM), SIZE_ROWS);
  table("the size is set once", RESTRICTED, sized(RESTRICTED_RAM), SIZE_ROWS);
  for (const [make, kernels] of [
    [RAM, FLAGGED],
    [RESTRICTED_RAM, RESTRICTED],
  ] as const) {
    table("a size that is not set yet", kernels, make, [
      ["ftruncate(ram, 1)", "-EINVAL"],
      ["ftruncate(ram, 0)", "0"],
      ["ftruncate(ram, 9223372036854771712)", "0"],
      ["ftruncate(ram, 0); ftruncate(ram, 4K); ftruncate(ram, 8K)", "-EPERM"],
    ]);
    table("holes and allocation", kernels, sized(make), HOLE_ROWS);
  }
  table("the name of a restricted file", RESTRICTED, RESTRICTED_RAM, [["readlink_fd(ram)", NOT_MODELLED]]);
});

const slot = (id: number, rest: string): string => `KVM_SET_USER_MEMORY_REGION(vm, slot=${id}, flags=KVM_MEM_PRIVATE, ${rest})`;
const at = (gpa: string, size: string, offset: string, fd = "ram"): string =>
  `guest_phys_addr=${gpa}, memory_size=${size}, private_fd=${fd}, private_offset=${offset}`;

describe("KVM_SET_USER_MEMORY_REGION with KVM_MEM_PRIVATE", () => {
  const rows: readonly Row[] = [
    [slot(0, at("0", "8K", "1")), [NOT_MODELLED, NOT_MODELLED, "-EINVAL", "-EINVAL", "-EINVAL"]],
    [slot(0, at("0", "8K", "-4096")), ["0", "0", "-EINVAL", "-EINVAL", "-EINVAL"]],
    [slot(0, at("0", "4K", "9223372036854771712")), "0"],
    [slot(0, at("0", "8K", "0", "-1")), "-EINVAL"],
    [slot(0, at("0", "8K", "0", "mem")), ["0", "0", "0", "0", NOT_MODELLED]],
    [slot(0, at("0", "8K", "0", "huge")), [NOT_MODELLED, NOT_MODELLED, "-EOPNOTSUPP", "-EOPNOTSUPP", NOT_MODELLED]],
    [`${slot(0, at("0", "8K", "0"))}; ${slot(0, at("0", "8K", "0"))}`, "-EINVAL"],
    [`${slot(0, at("0", "8K", "0"))}; ${slot(1, at("4K", "8K", "0", "-1"))}`, ["-EINVAL", "-EINVAL", "-EEXIST", "-EEXIST", "-EEXIST"]],
    [`${slot(0, at("0", "8K", "0"))}; ${slot(1, at("8K", "8K", "0"))}`, "0"],
    [slot(0, at("0xfffffffffe000", "8K", "0")), "0"],
    [slot(0, at("0x10000000000000", "8K", "0")), ["0", "0", "-EINVAL", "-EINVAL", "-EINVAL"]],
  ];
  const others = 'mem = memfd_create("mem", 0); huge = memfd_create("huge", MFD_HUGETLB); vm = KVM_CREATE_VM(0)';
  table("bindings", MARKED, `${RAM}; ${others}`, rows);
  table(
    "bindings of a restricted file",
    RESTRICTED,
    `${RESTRICTED_RAM}; ${others}`,
    [...rows.map(([statement, answer]): Row => [statement, typeof answer === "string" ? answer : answer[4]])].map(
      ([statement, answer]): Row =>
        statement.includes("private_fd=mem") || statement.includes("private_fd=huge") ? [statement, "-EINVAL"] : [statement, answer],
    ),
  );
  table(
    "an ordinary memfd that a slot has taken",
    MARKED.slice(1, 4),
    `mem = memfd_create("mem", 0); pwrite(mem, "a", 0); vm = KVM_CREATE_VM(0); ${slot(0, at("0", "8K", "0", "mem"))}`,
    [
      ["pread(mem, 1, 0)", ['1 "a"', "-EPERM", "-EPERM"]],
      ['pwrite(mem, "b", 0)', ["1", "-EPERM", "-EPERM"]],
      ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, mem, 0)", ["mapping", "-EPERM", "-EPERM"]],
      ["ftruncate(mem, 4K)", ["0", "-EPERM", "-EPERM"]],
      [`fallocate(mem, ${PUNCH}, 1, 4K)`, ["0", "-EINVAL", "-EINVAL"]],
      ["migrate(frame(mem, 0))", ["0", "-EOPNOTSUPP", "-EOPNOTSUPP"]],
    ],
  );
});

const GUEST = `mem = memfd_create("mem", 0); ftruncate(mem, 16K); map = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=8K, userspace_addr=map, private_fd=ram, private_offset=0)
KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=8K, userspace_addr=map + 8K)`;
/** With KVM_EXIT_MEMORY_ERROR KVM_RUN fails, with KVM_EXIT_MEMORY_FAULT of the series it does not. */
const exit = (name: string, flags: number, gpa: string): string =>
  `exit KVM_EXIT_MEMORY_${name} {flags=${flags}, gpa=${gpa}, size=4K${name === "ERROR" ? ", errno=EPERM" : ""}}`;

describe("guest accesses", () => {
  const made = (make: string): string => `${make}; ftruncate(ram, 8K)\n${GUEST}\n`;
  const wrong = (flags: number, gpa: string): string[] => ["ERROR", "ERROR", "FAULT"].map((name) => exit(name, flags, gpa));
  table("a page in the file is private", ["v4", "v5", "v6"], made(RAM), [
    ["vcpu: load(0)", wrong(1, "0")],
    ["vcpu: load(SHARED|0)", "0x00"],
    ["fallocate(ram, 0, 0, 4K)\nvcpu: load(0)", "0x00"],
    ["fallocate(ram, 0, 0, 4K)\nvcpu: load(SHARED|0)", wrong(0, "0")],
    ["vcpu: load(SHARED|0)\nfallocate(ram, 0, 0, 4K)\nvcpu: load(SHARED|0)", wrong(0, "0")],
    [`fallocate(ram, 0, 0, 4K)\nvcpu: load(0)\nfallocate(ram, ${PUNCH}, 0, 4K)\nvcpu: load(0)`, wrong(1, "0")],
    ["vcpu: load(0x8000)", "0x00"],
  ]);
  const FAULT = (flags: number, gpa: string): string => exit("FAULT", flags, gpa);
  table("the ioctls say what is private: the default and both ways", ["v7", "v8"], made(RAM), [
    ["vcpu: load(0)", [FAULT(1, "0"), "as found"]],
    ["vcpu: load(SHARED|0)", ["0x00", FAULT(0, "0")]],
    ["KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0, 4K)\nvcpu: load(0)", "as found"],
    ["KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0, 4K)\nvcpu: load(SHARED|0)", FAULT(0, "0")],
    ["KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 4K)\nvcpu: load(SHARED|0)", "0x00"],
    ["KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 4K)\nvcpu: load(0)", FAULT(1, "0")],
    ["vcpu: load(0x8000)", "0x00"],
    ["vcpu: load(SHARED|0x8000)", "0x00"],
  ]);
  table("a slot without private memory: v9 asks the file it does not have, v10 compares the kinds", RESTRICTED, made(RESTRICTED_RAM), [
    ["vcpu: load(0)", ["as found", FAULT(1, "0")]],
    ["vcpu: load(SHARED|0)", [FAULT(0, "0"), "0x00"]],
    ["vcpu: load(0x8000)", ["blocks", FAULT(1, "0x8000")]],
    ["vcpu: load(SHARED|0x8000)", "0x00"],
    ["vcpu: load(0x10000)", ["blocks", FAULT(1, "0x10000")]],
    ["vcpu: load(SHARED|0x10000)", "exit KVM_EXIT_MMIO {phys_addr=0x10000, len=1, is_write=0}"],
  ]);
  table("v10 in a slot without private memory", ["v10"], `${made(RESTRICTED_RAM)}KVM_SET_MEMORY_ATTRIBUTES(vm, 0x8000, 4K, KVM_MEMORY_ATTRIBUTE_PRIVATE)`, [
    ["vcpu: load(0x8000)", FAULT(1, "0x8000")],
    ["vcpu: load(SHARED|0x8000)", FAULT(0, "0x8000")],
    ["vcpu: load(SHARED|0x9000)", "0x00"],
    // Without a slot the attribute counts all the same.
    ["KVM_SET_MEMORY_ATTRIBUTES(vm, 0x10000, 4K, KVM_MEMORY_ATTRIBUTE_PRIVATE)\nvcpu: load(SHARED|0x10000)", FAULT(0, "0x10000")],
    ["KVM_SET_MEMORY_ATTRIBUTES(vm, 0x10000, 4K, KVM_MEMORY_ATTRIBUTE_PRIVATE)\nvcpu: load(0x10000)", FAULT(1, "0x10000")],
  ]);
});

describe("conversion", () => {
  for (const verb of ["REG", "UNREG"]) {
    const call = (address: string, size: string, vm = "vm"): string => `KVM_MEMORY_ENCRYPT_${verb}_REGION(${vm}, ${address}, ${size})`;
    table(`KVM_MEMORY_ENCRYPT_${verb}_REGION`, SERIES, "vm = KVM_CREATE_VM(0)", [
      [call("0", "0"), ["-ENOTTY", "-ENOTTY", "-ENOTTY", "-EINVAL", "-EINVAL", "-EINVAL", "-ENOTTY"]],
      [call("0", "4K"), ["-ENOTTY", "-ENOTTY", "-ENOTTY", "0", "0", "0", "-ENOTTY"]],
    ]);
    table(`the arguments of KVM_MEMORY_ENCRYPT_${verb}_REGION`, ["v7", "v8", "v9"], "vm = KVM_CREATE_VM(0); none = KVM_CREATE_VM(9)", [
      [call("1", "0", "none"), "-EBADF"],
      [call("-4096", "8K"), "-EINVAL"],
      [call("-4096", "4K"), "-EINVAL"],
      [call("0", "-1"), "-EINVAL"],
      [call("1", "4K"), "-EINVAL"],
      [call("0", "4097"), "-EINVAL"],
      [call("-8192", "4K"), "0"],
      [call("9223372036854771712", "4K"), "0"],
      [call("0", "1T"), "0"],
    ]);
  }
  const set = (address: string, size: string, attributes: string, flags = "0", vm = "vm"): string =>
    `KVM_SET_MEMORY_ATTRIBUTES(${vm}, ${address}, ${size}, ${attributes}, ${flags})`;
  table("KVM_SET_MEMORY_ATTRIBUTES of a kernel that does not know it", SERIES.slice(0, 6), "vm = KVM_CREATE_VM(0)", [[set("0", "4K", "8"), "-ENOTTY"]]);
  table("KVM_SET_MEMORY_ATTRIBUTES", ["v10"], "vm = KVM_CREATE_VM(0); none = KVM_CREATE_VM(9)", [
    [set("1", "0", "8", "1", "none"), "-EBADF"],
    [set("0", "4K", "8", "1"), "-EINVAL"],
    [set("0", "4K", "0x10"), "-EINVAL"],
    [set("0", "4K", "-8"), "-EINVAL"],
    [set("0", "4K", "1"), NOT_MODELLED],
    [set("0", "0", "8"), "-EINVAL"],
    [set("-4096", "4K", "8"), "-EINVAL"],
    [set("-4096", "8K", "8"), "-EINVAL"],
    [set("1", "4K", "8"), "-EINVAL"],
    [set("0", "1", "8"), "-EINVAL"],
    [set("-8192", "4K", "8"), "0"],
    [set("0", "1T", "8"), "0"],
    [set("0", "4K", "0"), "0"],
  ]);
});

describe("v7 keeps one entry for a range", () => {
  const reg = (verb: string, from: string, size: string): string => `KVM_MEMORY_ENCRYPT_${verb}_REGION(vm, ${from}, ${size})`;
  const asked = (calls: string, gpa: string): string => `${calls}\nvcpu: load(${gpa})`;
  const gone = (gpa: string): string => exit("FAULT", 1, gpa);
  const setup = `${RAM}; ftruncate(ram, 1M); vm = KVM_CREATE_VM(0); vcpu = KVM_CREATE_VCPU(vm, 0)
${slot(0, at("0", "1M", "0"))}`;
  table("what a part of it takes along", ["v7"], setup, [
    [asked(`${reg("REG", "0", "16K")}; ${reg("UNREG", "0x2000", "4K")}`, "0x1000"), gone("0x1000")],
    [asked(`${reg("REG", "0", "16K")}; ${reg("UNREG", "0", "16K")}; ${reg("REG", "0x1000", "4K")}`, "0x1000"), "as found"],
    [asked(`${reg("REG", "0", "8K")}; ${reg("REG", "0x2000", "8K")}; ${reg("UNREG", "0", "4K")}`, "0x2000"), "as found"],
    [asked(`${reg("REG", "0", "8K")}; ${reg("REG", "0x2000", "8K")}; ${reg("UNREG", "0", "4K")}`, "0x1000"), gone("0x1000")],
    // A store of the same value inside an entry changes nothing; around one it takes its place.
    [asked(`${reg("REG", "0", "16K")}; ${reg("REG", "0x1000", "4K")}; ${reg("UNREG", "0x1000", "4K")}`, "0x3000"), gone("0x3000")],
    [asked(`${reg("REG", "0x1000", "4K")}; ${reg("REG", "0", "16K")}; ${reg("UNREG", "0x3000", "4K")}`, "0x1000"), gone("0x1000")],
    [`${reg("REG", "0", "8K")}; ${reg("REG", "0x1000", "8K")}`, NOT_MODELLED],
    // 64 entries to a node of the xarray.
    [`${reg("REG", "0", "512K")}; ${reg("UNREG", "0x1000", "4K")}`, NOT_MODELLED],
    [`${reg("REG", "0", "512K")}; ${reg("UNREG", "0", "1M")}`, "0"],
  ]);
  table("one entry for each gfn", ["v8", "v9"], "vm = KVM_CREATE_VM(0)", [[`${reg("UNREG", "0", "16K")}; ${reg("REG", "0x2000", "4K")}`, "0"]]);
});
