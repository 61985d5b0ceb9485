// Tables of the calls on files: one row per check in the kernel's order, each row mending the fault of the one before. Effects of seals, of sizes inside a
// page and of holes are those that hold for every kernel between 5.16 and 6.2.

import { describe } from "node:test";
import { table } from "./tables.ts";

const FILE = 'fd = memfd_create("m", MFD_ALLOW_SEALING); pwrite(fd, 0x41 * 8192, 0)';
const GONE = `${FILE}; close(fd)`;
const PRIVATE = 'ram = memfd_create("ram", MFD_INACCESSIBLE)';
/** v4 as its author meant it. */
const MARKED_V4 = ["v4-or"];
const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";

describe("memfd_create", () => {
  table("flags, then the name", "", [
    ["memfd_create(NULL, 0x40)", "-EINVAL"],
    ["memfd_create(NULL, MFD_INACCESSIBLE|MFD_ALLOW_SEALING)", "-EINVAL"],
    ["memfd_create(NULL, MFD_INACCESSIBLE|MFD_HUGETLB)", "not modelled", "-EINVAL"],
    ["memfd_create(NULL, MFD_HUGETLB|0x40)", "-EINVAL"],
    ["memfd_create(NULL, 1 << 26)", "-EINVAL"],
    ["memfd_create(NULL, MFD_INACCESSIBLE)", "-EFAULT"],
    ['memfd_create("m" * 250, MFD_INACCESSIBLE)', "-EINVAL"],
    ['memfd_create("m" * 249, MFD_INACCESSIBLE)', "fd"],
    ['memfd_create("", MFD_CLOEXEC|MFD_ALLOW_SEALING)', "fd"],
  ]);
  table("first seals and link text", "", [
    ['a = memfd_create("a", 0); fcntl(a, F_GET_SEALS)', "0x1 (F_SEAL_SEAL)"],
    ['a = memfd_create("a", MFD_ALLOW_SEALING); fcntl(a, F_GET_SEALS)', "0"],
    ['a = memfd_create("a", MFD_INACCESSIBLE); fcntl(a, F_GET_SEALS)', "0x1 (F_SEAL_SEAL)", "-EINVAL"],
    ['a = memfd_create("a", 0); readlink_fd(a)', '"/memfd:a (deleted)"'],
    ['a = memfd_create("a", MFD_INACCESSIBLE); readlink_fd(a)', '"/memfd:a (deleted)"', '"/[memfd:inaccessible] (deleted)"'],
    ["readlink_fd(-1)", "-EBADF"],
  ]);
});

describe("ftruncate", () => {
  table("argument, descriptor, seals", FILE, [
    ["ftruncate(-1, -1)", "-EINVAL"],
    ["ftruncate(-1, 0)", "-EBADF"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK); ftruncate(fd, 8191)", "-EPERM"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK); ftruncate(fd, 8K)", "0"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK); ftruncate(fd, 8193)", "0"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_GROW); ftruncate(fd, 8193)", "-EPERM"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_GROW); ftruncate(fd, 4097)", "0"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE|F_SEAL_FUTURE_WRITE); ftruncate(fd, 0)", "0"],
    ["ftruncate(fd, 0x7fffffffffffffff)", "0"],
  ]);
  table("a smaller size zeroes the tail of its last page", FILE, [
    ["ftruncate(fd, 4097); ftruncate(fd, 8K); pread(fd, 2, 4096)", '2 "A\\000"'],
    ["ftruncate(fd, 4096); pread(fd, 8, 4092)", '4 "AAAA"'],
    ["ftruncate(fd, 0); ftruncate(fd, 1); pread(fd, 8, 0)", '1 "\\000"'],
  ]);
  table("a private file gets its size once (v4 as made: an ordinary file)", PRIVATE, [
    ["ftruncate(ram, 4097)", "0", "-EINVAL"],
    ["ftruncate(ram, 4K); ftruncate(ram, 4097)", "0", "-EPERM"],
    ["ftruncate(ram, 4K); ftruncate(ram, 4K)", "0", "-EPERM"],
    ["ftruncate(ram, 0); ftruncate(ram, 4K)", "0"],
  ]);
  table(
    "a private file gets its size once (v4 with the seal)",
    PRIVATE,
    [
      ["ftruncate(ram, -4096)", "-EINVAL"],
      ["ftruncate(ram, 4K); ftruncate(ram, 4097)", "-EPERM"],
      ["ftruncate(ram, 4097)", "-EINVAL"],
      ["ftruncate(ram, 8K)", "0"],
    ],
    MARKED_V4,
  );
});

describe("fallocate", () => {
  table("vfs_fallocate, in its order", GONE, [
    ["fallocate(fd, 0x100, -1, 0)", "-EBADF"],
    ["fallocate(-1, 0, 0, 4K)", "-EBADF"],
  ]);
  table("the order of the modes", FILE, [
    ["fallocate(fd, 0x100, -1, 4K)", "-EINVAL"],
    ["fallocate(fd, 0x100, 0, 0)", "-EINVAL"],
    ["fallocate(fd, 0x100, 0x7fffffffffffffff, 1)", "-EOPNOTSUPP"],
    ["fallocate(fd, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_ZERO_RANGE, 0x7fffffffffffffff, 1)", "-EOPNOTSUPP"],
    ["fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0x7fffffffffffffff, 1)", "-EOPNOTSUPP"],
    ["fallocate(fd, FALLOC_FL_COLLAPSE_RANGE|FALLOC_FL_KEEP_SIZE, 0x7fffffffffffffff, 1)", "-EINVAL"],
    ["fallocate(fd, FALLOC_FL_INSERT_RANGE|FALLOC_FL_KEEP_SIZE, 0x7fffffffffffffff, 1)", "-EINVAL"],
    ["fallocate(fd, FALLOC_FL_UNSHARE_RANGE|FALLOC_FL_ZERO_RANGE, 0x7fffffffffffffff, 1)", "-EINVAL"],
    [`fallocate(fd, ${PUNCH}, 0x7fffffffffffffff, 1)`, "-EFBIG"],
    ["fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4K)", "-EOPNOTSUPP"],
    ["fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4K)", "-EOPNOTSUPP"],
    ["fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4K)", "0"],
  ]);
  table("seals", FILE, [
    [`fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE); fallocate(fd, ${PUNCH}, 0, 4K)`, "-EPERM"],
    [`fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE); fallocate(fd, ${PUNCH}, 64K, 4K)`, "-EPERM"],
    [`fcntl(fd, F_ADD_SEALS, F_SEAL_GROW|F_SEAL_SHRINK); fallocate(fd, ${PUNCH}, 64K, 4K)`, "0"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE|F_SEAL_FUTURE_WRITE); fallocate(fd, 0, 0, 8K)", "0"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_GROW); fallocate(fd, FALLOC_FL_KEEP_SIZE, 8191, 2)", "-EPERM"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_GROW); fallocate(fd, 0, 8191, 1)", "0"],
  ]);
  table("holes: whole pages go, parts are zeroed, the size stays", FILE, [
    [`fallocate(fd, ${PUNCH}, 1, 2); pread(fd, 4, 0)`, '4 "A\\000\\000A"'],
    [`fallocate(fd, ${PUNCH}, 4095, 2); pread(fd, 4, 4094)`, '4 "A\\000\\000A"'],
    [`fallocate(fd, ${PUNCH}, 0, 4097); pread(fd, 3, 4095)`, '3 "\\000\\000A"'],
    [`fallocate(fd, ${PUNCH}, 0, 1 << 40); pread(fd, 16384, 0)`, "8192"],
    [`fallocate(fd, ${PUNCH}, 64K, 4K); pread(fd, 1, 0)`, '1 "A"'],
  ]);
  table("the private file (v4 as made)", `${PRIVATE}; ftruncate(ram, 8K)`, [
    [`fallocate(ram, ${PUNCH}, 1, 4K)`, "0", "-EINVAL"],
    [`fallocate(ram, ${PUNCH}, 0, 4097)`, "0", "-EINVAL"],
    [`fallocate(ram, ${PUNCH}, 0, 4K)`, "0"],
    ["fallocate(ram, 0, 1, 1)", "0"],
    ["fallocate(ram, FALLOC_FL_ZERO_RANGE, 0, 4K)", "-EOPNOTSUPP"],
  ]);
  table(
    "the private file (v4 with the seal)",
    `${PRIVATE}; ftruncate(ram, 8K)`,
    [
      [`fallocate(ram, ${PUNCH}, 1, 4K)`, "-EINVAL"],
      [`fallocate(ram, ${PUNCH}, 4K, 4K)`, "0"],
    ],
    MARKED_V4,
  );
});

describe("read and write", () => {
  table("position, descriptor, kind of file, range", `${FILE}; ${PRIVATE}`, [
    ["pread(-1, 1, -1)", "-EINVAL"],
    ["pread(-1, 1, 0)", "-EBADF"],
    ["pread(ram, 1, 0)", "0", "-ESPIPE"],
    ["read(ram, 1)", "0", "-EINVAL"],
    ["pread(fd, 1, 0x7fffffffffffffff)", "-EINVAL"],
    ["pread(fd, 0, 0x7fffffffffffffff)", "0"],
    ["pread(fd, 1, 0x7ffffffffffffffe)", "0"],
    ["pread(fd, 4, 8190)", '2 "AA"'],
    ["pread(fd, 4, 8192)", "0"],
    ["read(fd, 2); read(fd, 1)", '1 "A"'],
    ["pwrite(-1, 0x42 * 1, -1)", "-EINVAL"],
    ["pwrite(-1, 0x42 * 1, 0)", "-EBADF"],
    ["pwrite(ram, 0x42 * 1, 0)", "1", "-ESPIPE"],
    ["write(ram, 0x42 * 1)", "1", "-EINVAL"],
    ["pwrite(fd, 0x42 * 1, 0x7fffffffffffffff)", "-EINVAL"],
    ["pwrite(fd, 0x42 * 0, 0x7fffffffffffffff)", "0"],
  ]);
  table(
    "v4's file with the seal refuses once there is something to read",
    PRIVATE,
    [
      ["read(ram, 1)", "0"],
      ["ftruncate(ram, 4K); read(ram, 1)", "-EPERM"],
      ["write(ram, 0x42 * 1)", "-EPERM"],
    ],
    MARKED_V4,
  );
  const sealed = (seal: string): string => `fcntl(fd, F_ADD_SEALS, ${seal}); `;
  table("a write under each seal", FILE, [
    [`${sealed("F_SEAL_WRITE")}pwrite(fd, 0x42 * 1, 0)`, "-EPERM"],
    [`${sealed("F_SEAL_WRITE")}pwrite(fd, 0x42 * 0, 0)`, "0"],
    [`${sealed("F_SEAL_FUTURE_WRITE")}pwrite(fd, 0x42 * 1, 0)`, "-EPERM"],
    [`${sealed("F_SEAL_SHRINK|F_SEAL_SEAL")}pwrite(fd, 0x42 * 1, 8192)`, "1"],
    [`${sealed("F_SEAL_GROW")}pwrite(fd, 0x42 * 1, 8192)`, "-EPERM"],
    [`${sealed("F_SEAL_GROW")}pwrite(fd, 0x42 * 8, 8188)`, "4"],
    [`${sealed("F_SEAL_GROW")}pwrite(fd, 0x42 * 16384, 0)`, "8192"],
    [`${sealed("F_SEAL_GROW")}pwrite(fd, 0x42 * 8192, 0)`, "8192"],
  ]);
  table(
    "F_SEAL_GROW and a size inside a page: whole chunks only",
    'fd = memfd_create("m", MFD_ALLOW_SEALING); ftruncate(fd, 5000); fcntl(fd, F_ADD_SEALS, F_SEAL_GROW)',
    [
      ["pwrite(fd, 0x42 * 8, 4996)", "-EPERM"],
      ["pwrite(fd, 0x42 * 1, 5000)", "-EPERM"],
      ["pwrite(fd, 0x42 * 1, 4999)", "1"],
      ["pwrite(fd, 0x42 * 904, 4096)", "904"],
      ["pwrite(fd, 0x42 * 905, 4096)", "-EPERM"],
      ["pwrite(fd, 0x42 * 5000, 0)", "5000"],
      ["pwrite(fd, 0x42 * 5001, 0)", "4096"],
      ["pwrite(fd, 0x42 * 5000, 4999)", "-EPERM"],
    ],
  );
});

describe("seals", () => {
  table("F_ADD_SEALS, in its order", `${FILE}; ${PRIVATE}; plain = memfd_create("p", 0)`, [
    ["fcntl(-1, F_ADD_SEALS, 0x100000000)", "-EBADF"],
    ["fcntl(fd, F_ADD_SEALS, 0x100000002)", "-EINVAL"],
    ["fcntl(plain, F_ADD_SEALS, 0x20)", "-EINVAL"],
    ["fcntl(ram, F_ADD_SEALS, 0)", "-EPERM", "-EINVAL"],
    ["fcntl(plain, F_ADD_SEALS, 0)", "-EPERM"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL); fcntl(fd, F_ADD_SEALS, 0)", "-EPERM"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK|0x40); fcntl(fd, F_GET_SEALS)", "0"],
    ["fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK); fcntl(fd, F_ADD_SEALS, F_SEAL_GROW); fcntl(fd, F_GET_SEALS)", "0x6 (F_SEAL_SHRINK|F_SEAL_GROW)"],
    ["other = dup(fd); fcntl(other, F_ADD_SEALS, F_SEAL_WRITE); fcntl(fd, F_GET_SEALS)", "0x8 (F_SEAL_WRITE)"],
  ]);
  const mapped = (prot: string, flags: string): string => `map = mmap(NULL, 4K, ${prot}, ${flags}, fd, 0); `;
  table("while a mapping exists", FILE, [
    [`${mapped("PROT_READ|PROT_WRITE", "MAP_SHARED")}fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)`, "-EBUSY"],
    [`${mapped("PROT_READ", "MAP_SHARED")}fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE|F_SEAL_GROW)`, "-EBUSY"],
    [`${mapped("PROT_READ", "MAP_SHARED")}fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE|F_SEAL_GROW); fcntl(fd, F_GET_SEALS)`, "0"],
    [`${mapped("PROT_READ", "MAP_SHARED")}munmap(map, 4K); fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)`, "0"],
    [`${mapped("PROT_READ|PROT_WRITE", "MAP_PRIVATE")}store(map, 0, 1); fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)`, "0"],
    [`${mapped("PROT_READ|PROT_WRITE", "MAP_SHARED")}fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)`, "0"],
    [`${mapped("PROT_READ|PROT_WRITE", "MAP_SHARED")}fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE); store(map, 0, 1)`, "0"],
  ]);
});

describe("mmap and munmap", () => {
  const map = (length: string, prot: string, flags: string, fd: string, offset: string): string => `mmap(NULL, ${length}, ${prot}, ${flags}, ${fd}, ${offset})`;
  table("mmap, in its order", `${FILE}; ${PRIVATE}`, [
    [map("0", "PROT_READ", "0", "-1", "1"), "-EINVAL"],
    [map("0", "PROT_READ", "0", "-1", "0"), "-EBADF"],
    [map("0", "PROT_READ", "0", "ram", "0"), "-EINVAL"],
    [map("1 << 48", "PROT_READ", "0", "ram", "-4096"), "-ENOMEM"],
    [map("4K", "PROT_READ", "0", "ram", "-4096"), "-EOVERFLOW"],
    [map("4K", "PROT_READ", "MAP_SHARED", "fd", "0x7ffffffffffff000"), "-EOVERFLOW"],
    [map("4K", "PROT_READ", "MAP_SHARED", "fd", "0x7fffffffffffe000"), "mapping"],
    [map("4K", "PROT_READ", "0", "ram", "0"), "-EINVAL"],
    [map("4K", "PROT_READ", "MAP_SHARED", "ram", "0"), "mapping", "-ENODEV"],
    [map("4K", "PROT_READ|PROT_WRITE", "MAP_PRIVATE", "ram", "0"), "mapping", "-ENODEV"],
    [map("1", "PROT_READ", "MAP_SHARED_VALIDATE", "fd", "0"), "mapping"],
    [map("4K", "PROT_READ|PROT_WRITE", "MAP_PRIVATE|MAP_ANONYMOUS", "-1", "0"), "mapping"],
  ]);
  table(
    "the seal of v4, once it is set",
    PRIVATE,
    [
      [map("4K", "PROT_READ", "MAP_SHARED", "ram", "0"), "-EPERM"],
      [map("4K", "PROT_READ", "MAP_PRIVATE", "ram", "0"), "-EPERM"],
    ],
    MARKED_V4,
  );
  table("under a write seal, before 6.7", `${FILE}; fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)`, [
    [map("4K", "PROT_READ|PROT_WRITE", "MAP_SHARED", "fd", "0"), "-EPERM"],
    [map("4K", "PROT_READ", "MAP_SHARED", "fd", "0"), "-EPERM"],
    [map("4K", "PROT_READ|PROT_WRITE", "MAP_PRIVATE", "fd", "0"), "mapping"],
  ]);
  table("under FUTURE_WRITE", `${FILE}; fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)`, [
    [map("4K", "PROT_READ|PROT_WRITE", "MAP_SHARED", "fd", "0"), "-EPERM"],
    [map("4K", "PROT_READ", "MAP_SHARED", "fd", "0"), "mapping"],
  ]);
  table("munmap", `${FILE}; map = mmap(NULL, 8K, PROT_READ, MAP_SHARED, fd, 0); none = mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0)`, [
    ["munmap(map + 1, 4K)", "-EINVAL"],
    ["munmap(map, 0)", "-EINVAL"],
    ["munmap(map, 1 << 48)", "-EINVAL"],
    ["munmap(none, 4K)", "-EINVAL"],
    ["munmap(NULL, 4K)", "0"],
    ["munmap(NULL, 64K)", "0"],
    ["munmap(NULL, 1G)", "not modelled"],
    ["munmap(0x7ffffffff000, 4K)", "-EINVAL"],
    ["madvise(NULL, 64K, MADV_DONTNEED)", "-ENOMEM"],
    ["madvise(NULL, 1G, MADV_DONTNEED)", "not modelled"],
    ["munmap(1, 4K)", "-EINVAL"],
    ["munmap(map, 1); load(map, 0)", "SIGSEGV"],
    ["munmap(map, 1); load(map, 4K)", "0x41"],
    ["munmap(map, 8K); munmap(map, 8K)", "0"],
  ]);
});

describe("loads and stores of the host", () => {
  table("mapping, protection, end of file", `${FILE}; map = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0)`, [
    ["load(map, 16K)", "SIGSEGV"],
    ["load(map, -1)", "SIGSEGV"],
    ["load(map, 8K)", "SIGBUS"],
    ["load(map, 8191)", "0x41"],
    ["store(map, 8191, 7); pread(fd, 1, 8191)", '1 "\\007"'],
    ["ftruncate(fd, 4097); load(map, 8191)", "0x00"],
    ["ftruncate(fd, 4096); load(map, 4096)", "SIGBUS"],
    [`fallocate(fd, ${PUNCH}, 0, 4K); load(map, 0)`, "0x00"],
    ["ro = mmap(NULL, 4K, PROT_READ, MAP_SHARED, fd, 0); store(ro, 0, 1)", "SIGSEGV"],
    ["none = mmap(NULL, 4K, PROT_NONE, MAP_SHARED, fd, 0); load(none, 0)", "SIGSEGV"],
    ["wo = mmap(NULL, 4K, PROT_WRITE, MAP_SHARED, fd, 0); load(wo, 0)", "0x41"],
    ["copy = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, fd, 0); store(copy, 0, 7); load(map, 0)", "0x41"],
    ["copy = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, fd, 0); store(map, 0, 7); load(copy, 0)", "0x07"],
    ["copy = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, fd, 0); store(copy, 1, 7); store(map, 0, 7); load(copy, 0)", "0x41"],
    ["anon = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0); load(anon, 0)", "0x00"],
  ]);
});

describe("descriptors and frames", () => {
  table("dup and close", FILE, [
    ["dup(-1)", "-EBADF"],
    ["close(-1)", "-EBADF"],
    ["close(fd); close(fd)", "-EBADF"],
    ["close(fd); dup(fd)", "-EBADF"],
    ["other = dup(fd); close(fd); pread(other, 1, 0)", '1 "A"'],
    ["other = dup(fd); read(fd, 8190); read(other, 4)", '2 "AA"'],
    ["map = mmap(NULL, 4K, PROT_READ, MAP_SHARED, fd, 0); close(fd); load(map, 0)", "0x41"],
    ['bad = memfd_create("b" * 250, 0); close(bad)', "-EBADF"],
  ]);
  table("frames by address", `${FILE}; ${PRIVATE}; ftruncate(ram, 4K)`, [
    ["alloc_frame()", "frame"],
    ["f = alloc_frame(); store_frame(f, 7)", "0"],
    ["migrate(frame(ram, 0))", "-ENOENT"],
    ["migrate(frame(ram, -1))", "-ENOENT"],
    ["fallocate(ram, 0, 0, 4K); migrate(frame(ram, 0))", "0"],
    ["fallocate(ram, 0, 0, 4K); reclaim(frame(ram, 0))", "-EBUSY"],
    ["migrate(frame(fd, 0)); pread(fd, 1, 0)", '1 "A"'],
  ]);
});
