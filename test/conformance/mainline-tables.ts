// Fixed programs on what a memfd can do since Linux 6.3, with the answers that 6.18.44 gave (measured on 6.18.44): creation, seals with F_SEAL_EXEC, modes,
// reopened files, mappings under seals, data and holes, hugetlbfs without huge pages.

import { scenario, type Table } from "./tables.ts";

const table = (name: string, scenarios: readonly string[]): Table => ({ name, text: `kernel 6.18\n\n${scenarios.join("\n")}` });

function creation(): Table {
  const low = Array.from({ length: 32 }, (_, flags) => flags);
  const sizes = Array.from({ length: 64 }, (_, size) => size);
  return table("memfd_create of 6.18", [
    ...low.map((flags) => {
      const noexec = (flags & 8) !== 0;
      if (noexec && flags & 16) return scenario(`flags ${flags}`, [`f = memfd_create("x", ${flags}) = -EINVAL`]);
      const seals = noexec ? 0x20 : flags & 2 ? 0 : 1;
      return scenario(`flags ${flags}`, [
        `f = memfd_create("x", ${flags}) = ok`,
        `fcntl(f, F_GET_SEALS) = ${seals}`,
        `assert mode(f) == ${noexec ? "0o666" : "0o777"}`,
        "fcntl(f, F_ADD_SEALS, 0)",
      ]);
    }),
    ...sizes.map((size) =>
      scenario(`huge pages of ${size}`, [`f = memfd_create("x", ${4 + size * 2 ** 26}) = ${[0, 21, 30].includes(size) ? "ok" : "-ENODEV"}`]),
    ),
    ...["0x24", "0x2000004", 21 * 2 ** 26, "0x3f", "-2", "-3", 0x21].map((flags) => scenario(`flags ${flags}`, [`f = memfd_create("x", ${flags}) = -EINVAL`])),
    scenario("the order: flags, name, size", [
      "f = memfd_create(NULL, 0x18) = -EINVAL",
      "g = memfd_create(NULL, 8) = -EFAULT",
      'h = memfd_create("x" * 250, 4) = -EINVAL',
      "i = memfd_create(NULL, 0x4000004) = -EFAULT",
    ]),
  ]);
}

const START = ['f = memfd_create("f", MFD_ALLOW_SEALING) = ok', "pwrite(f, 0x41 * 8192, 0) = 8192"];
const NO_X = [...START, "fchmod(f, 0o666) = 0"];
const AFTER = ["pread(f, 8, 4092)", "lseek(f, 0, SEEK_END)", "fcntl(f, F_GET_SEALS)"];

/** Nobody has written these answers down: model and machine have to agree. */
function combinations(): Table {
  const operations = [
    "pwrite(f, 0x42 * 16384, 0)",
    "ftruncate(f, 4K)",
    "fallocate(f, 1, 4K, 8K)",
    "fallocate(f, 3, 0, 4K)",
    "m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0); mprotect(m, 8K, PROT_WRITE); madvise(m, 8K, MADV_REMOVE)",
    "fchmod(f, 0o655)",
    "g = open_fd(f, O_RDONLY|O_TRUNC)",
    "fcntl(f, F_ADD_SEALS, F_SEAL_EXEC)",
  ];
  const all = Array.from({ length: 64 }, (_, seals) => seals);
  return table(
    "combinations of all six seals",
    operations.flatMap((operation) =>
      all.flatMap((seals) =>
        [START, NO_X].map((start, at) =>
          scenario(`${operation} under ${seals}, start ${at}`, [...start, `fcntl(f, F_ADD_SEALS, ${seals})`, operation, ...AFTER]),
        ),
      ),
    ),
  );
}

const MAPPED: readonly (readonly [mapping: string, write: string, future: string, exec: string])[] = [
  ["m = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0)", "-EBUSY", "0", "-EBUSY"],
  ["m = mmap(NULL, 4K, PROT_WRITE, MAP_SHARED, f, 0)", "-EBUSY", "0", "-EBUSY"],
  ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0)", "-EBUSY", "0", "-EBUSY"],
  ["m = mmap(NULL, 4K, PROT_NONE, MAP_SHARED, f, 0)", "-EBUSY", "0", "-EBUSY"],
  ["g = open_fd(f, O_RDONLY); m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, g, 0)", "0", "0", "0"],
  ["m = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0)", "0", "0", "0"],
  ["m = mmap(NULL, 4K, PROT_READ, MAP_PRIVATE, f, 0)", "0", "0", "0"],
];

function mapped(): Table {
  const after = [
    "fcntl(f, F_GET_SEALS)",
    "mprotect(m, 4K, PROT_READ|PROT_WRITE)",
    "store(m, 0, 7)",
    "munmap(m, 4K) = 0",
    "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = 0",
  ];
  return table("adding a seal in 6.18 while a mapping exists", [
    ...MAPPED.flatMap(([mapping, write, future, exec]) => [
      ...["F_SEAL_WRITE", "F_SEAL_WRITE|F_SEAL_SHRINK"].map((seals) =>
        scenario(`${seals}: ${mapping}`, [...START, mapping, `fcntl(f, F_ADD_SEALS, ${seals}) = ${write}`, ...after]),
      ),
      scenario(`FUTURE_WRITE: ${mapping}`, [...START, mapping, `fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) = ${future}`, ...after]),
      scenario(`EXEC of an executable: ${mapping}`, [...START, mapping, `fcntl(f, F_ADD_SEALS, F_SEAL_EXEC) = ${exec}`, ...after]),
      scenario(`EXEC without x: ${mapping}`, [...NO_X, mapping, "fcntl(f, F_ADD_SEALS, F_SEAL_EXEC) = 0", ...after]),
    ]),
    ...["F_SEAL_WRITE", "F_SEAL_FUTURE_WRITE"].map((seal) =>
      scenario(`a read-only mapping made under ${seal} does not count`, [
        ...START,
        `fcntl(f, F_ADD_SEALS, ${seal}) = 0`,
        "m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0) = ok",
        "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = 0",
        "load(m, 0) = 0x41",
        "mprotect(m, 4K, PROT_READ|PROT_WRITE) = -EACCES",
      ]),
    ),
    scenario("a range behind the end of a mapping leaves nothing of it behind", [
      ...START,
      "m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0) = ok",
      "munmap(m, 16K) = 0",
      "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = 0",
    ]),
    scenario("MADV_REMOVE meets the seal in the file", [
      ...START,
      "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok",
      "fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) = 0",
      "madvise(m, 4K, MADV_REMOVE) = -EPERM",
      "store(m, 0, 1) = 0",
    ]),
  ]);
}

const ARGUMENTS: readonly (readonly [lines: string, answer: string])[] = [
  ...Array.from({ length: 26 }, (_, bit) => [`fcntl(f, F_ADD_SEALS, ${2 ** (bit + 6)})`, "-EINVAL"] as const),
  ["fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK|0x40)", "-EINVAL"],
  ["fcntl(f, F_ADD_SEALS, -1)", "-EINVAL"],
  ["fcntl(f, F_ADD_SEALS, 0x100000002)", "0"],
  ["fcntl(f, F_GET_SEALS, 0x7777777777777777)", "0"],
  ["r = open_fd(f, O_RDONLY); fcntl(r, F_ADD_SEALS, 0x40)", "-EPERM"],
  ["r = open_fd(f, O_RDONLY); fcntl(r, F_GET_SEALS)", "0"],
  ["fcntl(f, F_ADD_SEALS, F_SEAL_SEAL); fcntl(f, F_ADD_SEALS, 0x40)", "-EINVAL"],
  ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0); fcntl(f, F_ADD_SEALS, F_SEAL_SEAL); fcntl(f, F_ADD_SEALS, F_SEAL_WRITE)", "-EPERM"],
  ['u = memfd_create("u", 0); fcntl(u, F_ADD_SEALS, 0x40)', "-EINVAL"],
  ['u = memfd_create("u", 0); fcntl(u, F_ADD_SEALS, 0)', "-EPERM"],
  ["r = open_fd(f, O_RDONLY); m = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, r, 0)", "-EACCES"],
  ["r = open_fd(f, O_RDONLY); m = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, r, 0)", "ok"],
  ["w = open_fd(f, O_WRONLY); m = mmap(NULL, 4K, PROT_WRITE, MAP_SHARED, w, 0)", "-EACCES"],
  ["w = open_fd(f, O_WRONLY); fcntl(w, F_ADD_SEALS, F_SEAL_GROW)", "0"],
  ["w = open_fd(f, O_WRONLY); read(w, 1)", "-EBADF"],
  ["r = open_fd(f, O_RDONLY); ftruncate(r, 0)", "-EINVAL"],
  ["r = open_fd(f, O_RDONLY); fallocate(r, 0, 0, 4K)", "-EBADF"],
  ["r = open_fd(f, O_RDONLY); fallocate(r, 0, 0, 0)", "-EINVAL"],
  ["r = open_fd(f, O_RDONLY); fallocate(r, 2, 0, 4K)", "-EOPNOTSUPP"],
  ["r = open_fd(f, O_RDONLY); fallocate(r, 0, 0x7ffffffffffff000, 4K)", "-EBADF"],
  ['r = open_fd(f, O_RDONLY); write(r, "a")', "-EBADF"],
  ["p = open_fd(f, O_PATH); fcntl(p, F_GET_SEALS)", "-EBADF"],
  ["p = open_fd(f, O_PATH); fcntl(p, F_ADD_SEALS, 0)", "-EBADF"],
  ["p = open_fd(f, O_PATH); lseek(p, 0, SEEK_SET)", "-EBADF"],
  ["p = open_fd(f, O_PATH); q = dup(p)", "ok"],
  ["p = open_fd(f, O_PATH); g = open_fd(p, O_RDWR); read(g, 2)", '2 "AA"'],
  ["g = open_fd(f, O_CREAT|O_EXCL|O_RDWR)", "-EEXIST"],
  ["read(f, 10); g = open_fd(f, O_RDWR); lseek(g, 0, SEEK_CUR)", "0"],
  ["g = open_fd(f, O_RDWR); fcntl(g, F_ADD_SEALS, F_SEAL_SHRINK); fcntl(f, F_GET_SEALS)", "2"],
  ["close(f); g = open_fd(f, O_RDWR)", "-ENOENT"],
];

const SEEKS: readonly (readonly [call: string, answer: string])[] = [
  ["lseek(f, 0, 5)", "-EINVAL"],
  ["lseek(f, -1, SEEK_SET)", "-EINVAL"],
  ["lseek(f, 0x7fffffffffffffff, SEEK_SET)", "0x7fffffffffffffff"],
  ["lseek(f, 0x7fffffffffffffff, SEEK_END)", "-EINVAL"],
  ["lseek(f, -8193, SEEK_END)", "-EINVAL"],
  ["lseek(f, 0x8000000000000000, SEEK_CUR)", "-EINVAL"],
  ["lseek(f, -1, SEEK_DATA)", "-ENXIO"],
  ["lseek(f, -1, SEEK_HOLE)", "-ENXIO"],
  ["lseek(f, 8K, SEEK_DATA)", "-ENXIO"],
  ["lseek(f, 8K, SEEK_HOLE)", "-ENXIO"],
  ["lseek(f, 8191, SEEK_HOLE)", "8192"],
  ["lseek(f, 8191, SEEK_DATA)", "8191"],
  ["lseek(f, 0x7fffffffffffffff, SEEK_HOLE)", "-ENXIO"],
  ["fallocate(f, 0, 16K, 4K); lseek(f, 8K, SEEK_DATA)", "-ENXIO"],
  ["fallocate(f, 0, 16K, 4K); lseek(f, 0, SEEK_HOLE)", "8192"],
  ["fallocate(f, 0, 16K, 4K); fallocate(f, 0, 16K, 4K); lseek(f, 8K, SEEK_DATA)", "16384"],
  ["fallocate(f, 0, 16K, 64K); fallocate(f, 0, 16K, 64K); lseek(f, 8K, SEEK_DATA)", "16384"],
  ["fallocate(f, 0, 16K, 4K); pread(f, 4, 16K); lseek(f, 8K, SEEK_DATA)", "-ENXIO"],
  ["fallocate(f, 0, 16K, 4K); fallocate(f, 3, 16K, 100); lseek(f, 8K, SEEK_DATA)", "-ENXIO"],
];

/** Bits of the flags of mprotect and madvise, sizes and addresses at the edges of 64 bits. */
const RANGES: readonly (readonly [call: string, answer: string])[] = [
  ["mprotect(m + 1, 0, PROT_READ)", "-EINVAL"],
  ["mprotect(m, 0, 0x20)", "0"],
  ["mprotect(m, -1, 0x20)", "-ENOMEM"],
  ["mprotect(m, 4K, 0x20)", "-EINVAL"],
  ["mprotect(NULL, 4K, PROT_READ)", "-ENOMEM"],
  ["mprotect(m, 12K, PROT_NONE); load(m, 0)", "SIGSEGV"],
  ["mprotect(m, 12K, PROT_NONE)", "-ENOMEM"],
  ["munmap(m, 4K); mprotect(m, 8K, PROT_READ)", "-ENOMEM"],
  ["munmap(0x7ffffffff000, 4K)", "-EINVAL"],
  ["munmap(0x7fffffffe000, 8K)", "-EINVAL"],
  ["munmap(0x800000000000, 4K)", "-EINVAL"],
  ["munmap(NULL, 0x7ffffffff001)", "-EINVAL"],
  ["munmap(0x1000, 0xf000)", "0"],
  ["mincore(0x800000000000, 0)", "-ENOMEM"],
  ["mprotect(0x7ffffffff000, 4K, PROT_READ)", "-ENOMEM"],
  ["madvise(m, 4K, 26)", "-EINVAL"],
  ["madvise(m, 4K, 5)", "-EINVAL"],
  ["madvise(m + 1, 4K, MADV_DONTNEED)", "-EINVAL"],
  ["madvise(m, 0, MADV_REMOVE)", "0"],
  ["madvise(m, -1, MADV_DONTNEED)", "-EINVAL"],
  ["madvise(m, 12K, MADV_DONTNEED)", "-ENOMEM"],
  ["madvise(m, 4K, MADV_FREE)", "-EINVAL"],
  ["store(m, 0, 7); madvise(m, 8K, MADV_DONTNEED); load(m, 0)", "7"],
  ["p = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0); store(p, 0, 7); madvise(p, 8K, MADV_DONTNEED); load(p, 0)", "0x41"],
  ["a = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0); store(a, 0, 7); madvise(a, 8K, MADV_DONTNEED); load(a, 0)", "0"],
  ["a = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0); store(a, 0, 7); madvise(a, 8K, MADV_DONTNEED); load(a, 0)", "7"],
  ["a = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0); madvise(a, 8K, MADV_REMOVE)", "-EINVAL"],
  ["madvise(m, 4K, MADV_REMOVE); pread(f, 2, 4095)", '2 "\\x00A"'],
];

const HUGE = 'f = memfd_create("h", MFD_HUGETLB|MFD_ALLOW_SEALING) = ok';
const HUGE_ROWS: readonly (readonly [call: string, answer: string])[] = [
  ["fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK)", "0"],
  ['write(f, "a")', "-EINVAL"],
  ["ftruncate(f, 4K)", "-EINVAL"],
  ["ftruncate(f, 2M)", "0"],
  ["ftruncate(f, 2M); m = mmap(NULL, 2M, PROT_READ, MAP_SHARED, f, 0)", "-ENOMEM"],
  ["ftruncate(f, 2M); fallocate(f, 0, 0, 2M)", "-ENOSPC"],
  ["fallocate(f, 3, 0, 2M)", "0"],
  ["fcntl(f, F_ADD_SEALS, F_SEAL_GROW); ftruncate(f, 2M)", "-EPERM"],
  ["fcntl(f, F_ADD_SEALS, F_SEAL_GROW); ftruncate(f, 4K)", "-EINVAL"],
  ["fcntl(f, F_ADD_SEALS, F_SEAL_GROW); fallocate(f, 0, 0, 2M)", "-EPERM"],
  ["fcntl(f, F_ADD_SEALS, F_SEAL_WRITE); fallocate(f, 3, 0, 2M)", "-EPERM"],
  // A file without a page reads as zeroes up to its end, and has an offset as files of no file system have.
  ["ftruncate(f, 4M); pread(f, 4, 0)", '4 "\\x00\\x00\\x00\\x00"'],
  ["ftruncate(f, 4M); pread(f, 16, 4194296)", "8"],
  ["ftruncate(f, 4M); pread(f, 16, 4M)", "0"],
  ["ftruncate(f, 4M); read(f, 5000); lseek(f, 0, SEEK_CUR)", "5000"],
  ["ftruncate(f, 4M); lseek(f, 100, SEEK_DATA)", "100"],
  ["ftruncate(f, 4M); lseek(f, 100, SEEK_HOLE)", "4M"],
  ["ftruncate(f, 4M); lseek(f, 4M, SEEK_DATA)", "-ENXIO"],
  ["ftruncate(f, 4M); lseek(f, -1, SEEK_DATA)", "-EINVAL"],
  ["ftruncate(f, 4M); lseek(f, -1, SEEK_HOLE)", "4M"],
  ["ftruncate(f, 4M); lseek(f, 0x7fffffffffffffff, SEEK_END)", "-EINVAL"],
  ["lseek(f, 0x7fffffffffffffff, SEEK_SET); lseek(f, 1, SEEK_CUR)", "-EINVAL"],
  ["ftruncate(f, 2M); g = open_fd(f, O_RDWR|O_TRUNC); fstat(f, st_size)", "0"],
  ["ftruncate(f, 2M); fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK); g = open_fd(f, O_RDWR|O_TRUNC)", "-EPERM"],
  ["fallocate(f, 0, 0, 1)", "-ENOSPC"],
  ["fallocate(f, 3, 100, 4M)", "0"],
  ["fstat(f, st_blocks)", "0"],
  // hugetlbfs does not look at F_SEAL_EXEC when the mode changes.
  ["fcntl(f, F_ADD_SEALS, F_SEAL_EXEC); fchmod(f, 0o666)", "0"],
  ['h = memfd_create("n", MFD_HUGETLB|MFD_NOEXEC_SEAL); fchmod(h, 0o777); fstat(h, st_mode)', "0o100777"],
];

const rows = (start: readonly string[], list: readonly (readonly [string, string])[], after: readonly string[]): string[] =>
  list.map(([lines, answer]) => scenario(lines, [...start, `${lines} = ${answer}`, ...after]));

export const MAINLINE_TABLES: readonly Table[] = [
  creation(),
  combinations(),
  mapped(),
  table("arguments, access modes and offsets in 6.18", [
    ...rows(START, ARGUMENTS, ["fcntl(f, F_GET_SEALS)"]),
    ...rows(START, SEEKS, ["lseek(f, 0, SEEK_CUR)"]),
  ]),
  table(
    "mprotect and madvise in 6.18",
    rows([...START, "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok"], RANGES, ["load(m, 4K)", "store(m, 4K, 9)", "pread(f, 2, 4095)"]),
  ),
  table("hugetlbfs without huge pages", rows([HUGE], HUGE_ROWS, ["fcntl(f, F_GET_SEALS)"])),
];
