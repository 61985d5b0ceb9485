// Section 1 of the measured tables: memfd_create.

import { asked, type Row, row, type Unasked } from "./rows.ts";

const TMPFS = 0x01021994;
const HUGETLBFS = 0x958458f6;
const [CLOEXEC, ALLOW_SEALING, HUGETLB, NOEXEC_SEAL, EXEC] = [1, 2, 4, 8, 16];

/** Everything that 1.1 says of a new file. */
function madeWith(flags: number): string[] {
  const seals = flags & NOEXEC_SEAL ? 0x20 : flags & ALLOW_SEALING ? 0 : 1;
  const huge = (flags & HUGETLB) !== 0;
  return [
    `f = memfd_create("x", ${flags}) = ok`,
    `fcntl(f, F_GET_SEALS) = ${seals}`,
    `fstat(f, st_mode) = ${flags & NOEXEC_SEAL ? "0o100666" : "0o100777"}`,
    `fcntl(f, F_GETFD) = ${flags & CLOEXEC}`,
    "fcntl(f, F_GETFL) = 0x8002",
    `fstat(f, st_blksize) = ${huge ? "2M" : "4K"}`,
    `fstatfs(f, f_type) = ${huge ? HUGETLBFS : TMPFS}`,
  ];
}

const combinations = Array.from({ length: 32 }, (_, flags) => flags);

const flags: readonly Row[] = [
  ...combinations.map((each) =>
    (each & (NOEXEC_SEAL | EXEC)) === (NOEXEC_SEAL | EXEC)
      ? row("1.1", `the low bits ${each}`, `f = memfd_create("x", ${each}) = -EINVAL`)
      : row("1.1", `the low bits ${each}`, ...madeWith(each)),
  ),
  ...Array.from({ length: 27 }, (_, bit) => row("1.1", `the single bit ${bit + 5}`, `f = memfd_create("x", ${2 ** (bit + 5)}) = -EINVAL`)),
  ...asked(
    "1.1",
    [],
    [
      ['f = memfd_create("x", ~0)', "-EINVAL"],
      ['f = memfd_create("x", ~MFD_CLOEXEC)', "-EINVAL"],
      ['f = memfd_create("x", ~MFD_ALLOW_SEALING)', "-EINVAL"],
      ['f = memfd_create("x", 0x3f)', "-EINVAL"],
      ['f = memfd_create("x", 0x21)', "-EINVAL"],
      ['f = memfd_create("x", 0x100000000)', "ok"],
      ['f = memfd_create("x", 21 << 26)', "-EINVAL"],
      ['f = memfd_create("x", MFD_HUGETLB|0x20)', "-EINVAL"],
      ['f = memfd_create("x", MFD_HUGETLB|(1 << 25))', "-EINVAL"],
    ],
  ),
  ...Array.from({ length: 64 }, (_, size) =>
    row("1.1", `huge pages of 2^${size}`, `f = memfd_create("x", MFD_HUGETLB|(${size} << 26)) = ${[0, 21, 30].includes(size) ? "ok" : "-ENODEV"}`),
  ),
  row("1.1", "the size of a huge page is that of a block", 'f = memfd_create("x", MFD_HUGETLB|MFD_HUGE_1GB) = ok', "fstat(f, st_blksize) = 1G"),
];

const linked = (name: string): Row =>
  row(
    "1.2",
    `the name ${JSON.stringify(name)}`,
    `f = memfd_create(${JSON.stringify(name)}, 0) = ok`,
    `readlink_fd(f) = ${JSON.stringify(`/memfd:${name} (deleted)`)}`,
  );

const names: readonly Row[] = [
  ...[0, 1, 5, 200, 247, 248, 249].map((length) =>
    row("1.2", `${length} bytes`, `f = memfd_create("n" * ${length}, 0) = ok`, `readlink_fd(f) = ${JSON.stringify(`/memfd:${"n".repeat(length)} (deleted)`)}`),
  ),
  ...[250, 251, 255, 256, 4095].map((length) => row("1.2", `${length} bytes`, `f = memfd_create("n" * ${length}, 0) = -EINVAL`)),
  ...["NULL", "1", "-4096"].map((pointer) => row("1.2", `the pointer ${pointer}`, `f = memfd_create(${pointer}, 0) = -EFAULT`)),
  ...["NULL", '"n" * 250', "1"].map((name) => row("1.2", `flags before the name ${name}`, `f = memfd_create(${name}, 0x20) = -EINVAL`)),
  ...[
    [3, "-EFAULT"],
    [249, "-EFAULT"],
    [250, "-EINVAL"],
    [300, "-EINVAL"],
  ].map(([length, answer]) =>
    row(
      "1.2",
      `${length} bytes without an end at the end of a mapping`,
      'b = memfd_create("bytes", 0) = ok',
      "pwrite(b, 0x6e * 4096, 0) = 4096",
      "m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, b, 0) = ok",
      `f = memfd_create(m + ${4096 - Number(length)}, 0) = ${answer}`,
    ),
  ),
  ...["a/b", "..", "/", "a b", "(deleted)"].map(linked),
  row("1.2", "a newline", 'f = memfd_create("\\n", 0) = ok', 'readlink_fd(f) = "/memfd:\\n (deleted)"'),
  row("1.2", "bytes that are no text", 'f = memfd_create("\\xff\\xfe", 0) = ok', 'readlink_fd(f) = "/memfd:\\xff\\xfe (deleted)"'),
  ...asked(
    "1.2",
    ["setrlimit(RLIMIT_NOFILE, 0) = 0"],
    [
      ['f = memfd_create("x", 0)', "-EMFILE"],
      ['f = memfd_create("x", 0x20)', "-EINVAL"],
      ["f = memfd_create(NULL, 0)", "-EFAULT"],
      ['f = memfd_create("x", MFD_EXEC|MFD_NOEXEC_SEAL)', "-EINVAL"],
      ['f = memfd_create("n" * 250, 0)', "-EINVAL"],
    ],
  ),
  row(
    "1.2",
    "a new file",
    'f = memfd_create("x", 0) = ok',
    "fstat(f, st_size) = 0",
    "fstat(f, st_blocks) = 0",
    "fstat(f, st_nlink) = 0",
    "fstat(f, st_uid) = 0",
    "lseek(f, 0, SEEK_CUR) = 0",
  ),
  row(
    "1.2",
    "opened once more: the same inode",
    'f = memfd_create("x", 0) = ok',
    "g = open_fd(f, O_RDWR) = ok",
    'pwrite(g, "one", 0) = 3',
    'pread(f, 3, 0) = 3 "one"',
  ),
  row("1.2", "opened once more, to be created", 'f = memfd_create("x", 0) = ok', "g = open_fd(f, O_RDWR|O_CREAT|O_EXCL) = -EEXIST"),
];

/** Flags, and what comes of them under vm.memfd_noexec 0, 1 and 2: seals and mode, or the errno. */
const SYSCTL: readonly (readonly [flags: number, answers: readonly [string, string, string]])[] = [
  [0, ["1 0o777", "0x20 0o666", "0x20 0o666"]],
  [CLOEXEC, ["1 0o777", "0x20 0o666", "0x20 0o666"]],
  [ALLOW_SEALING, ["0 0o777", "0x20 0o666", "0x20 0o666"]],
  [HUGETLB, ["1 0o777", "0x20 0o666", "0x20 0o666"]],
  [NOEXEC_SEAL, ["0x20 0o666", "0x20 0o666", "0x20 0o666"]],
  [EXEC, ["1 0o777", "1 0o777", "-EACCES"]],
  [EXEC | ALLOW_SEALING, ["0 0o777", "0 0o777", "-EACCES"]],
  [EXEC | NOEXEC_SEAL, ["-EINVAL", "-EINVAL", "-EINVAL"]],
];

const sysctl: readonly Row[] = [0, 1, 2].map((value) => ({
  section: "1.3",
  name: `vm.memfd_noexec = ${value}`,
  machine: `memfd_noexec = ${value}`,
  lines: SYSCTL.flatMap(([each, answers], at) => {
    const [seals, mode] = answers[value].split(" ");
    if (mode === undefined) return [`f${at} = memfd_create("x", ${each}) = ${seals}`];
    return [`f${at} = memfd_create("x", ${each}) = ok`, `fcntl(f${at}, F_GET_SEALS) = ${seals}`, `assert mode(f${at}) == ${mode}`];
  }),
}));

export const SECTION_1: readonly Row[] = [...flags, ...names, ...sysctl];

export const UNASKED_1: readonly Unasked[] = [
  { section: "1.1", name: "F_DUPFD", reason: "of fcntl only the flags", lines: ['f = memfd_create("x", 0)', "fcntl(f, F_DUPFD, 5)"] },
  { section: "1.2", name: "numbers of inodes", reason: "this field of fstat", lines: ['f = memfd_create("x", 0)', "fstat(f, 8)"] },
  { section: "1.2", name: "a limit of descriptors above 0", reason: "numbers of descriptors", lines: ["setrlimit(RLIMIT_NOFILE, 20)"] },
  { section: "1.2", name: "link out of /proc/self/fd: EXDEV", reason: "no directory entries", call: "linkat" },
  { section: "1.3", name: "values of the sysctl that are refused", reason: "the setting is the machine's, and no call changes it", call: "sysctl" },
  { section: "1.3", name: "a namespace inside a namespace", reason: "one pid namespace", call: "unshare" },
];
