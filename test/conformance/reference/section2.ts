// Section 2 of the measured tables: seals.

import { asked, type Row, row, type Unasked } from "./rows.ts";

const SEALABLE = 'f = memfd_create("f", MFD_ALLOW_SEALING) = ok';
const START = [SEALABLE, "pwrite(f, 0x41 * 8192, 0) = 8192"];
const NO_X = [...START, "fchmod(f, 0o666) = 0"];
const SEALS = ["0", "F_SEAL_SEAL", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE", "F_SEAL_FUTURE_WRITE", "F_SEAL_EXEC", "F_SEAL_EXEC"] as const;
const COLUMNS = ["none", "SEAL", "SHRINK", "GROW", "WRITE", "FUTURE_WRITE", "EXEC(x)", "EXEC(0666)"] as const;
const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
const RW = "PROT_READ|PROT_WRITE";
const OTHER = 'o = memfd_create("o", 0); pwrite(o, 0x42 * 8192, 0)';

const all = (answer: string): string => new Array<string>(COLUMNS.length).fill(answer).join(" ");
/** `n` in every column but those in which data must not be written. */
const written = (count: number): string => `${count} ${count} ${count} ${count} -EPERM -EPERM -EPERM ${count}`;

/** An operation, and what its last call answers in each column. */
const EFFECTS: readonly (readonly [statements: string, answers: string])[] = [
  ["fcntl(f, F_GET_SEALS)", "0 1 2 4 8 0x10 0x3e 0x20"],
  ["fcntl(f, F_ADD_SEALS, 0)", "0 -EPERM 0 0 0 0 0 0"],
  ["fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK)", "0 -EPERM 0 0 0 0 0 0"],
  ['write(f, "abcd")', written(4)],
  ['pwrite(f, "abcd", 100)', written(4)],
  ['pwrite(f, "", 0)', all("0")],
  ['pwrite(f, "", 16K)', all("0")],
  ['pwrite(f, "abcd", 8K)', "4 4 4 -EPERM -EPERM -EPERM -EPERM 4"],
  ['pwrite(f, "abcd", 12K)', "4 4 4 -EPERM -EPERM -EPERM -EPERM 4"],
  ["pwrite(f, 0x42 * 8, 8188)", "8 8 8 4 -EPERM -EPERM -EPERM 8"],
  ["pwrite(f, 0x42 * 16384, 0)", "16384 16384 16384 8192 -EPERM -EPERM -EPERM 16384"],
  ["ftruncate(f, 8K)", all("0")],
  ...[4096, 8191, 0].map((size) => [`ftruncate(f, ${size})`, "0 0 -EPERM 0 0 0 -EPERM 0"] as const),
  ...[8193, 12288].map((size) => [`ftruncate(f, ${size})`, "0 0 0 -EPERM 0 0 -EPERM 0"] as const),
  ["fallocate(f, 0, 0, 8K)", all("0")],
  ["fallocate(f, FALLOC_FL_KEEP_SIZE, 4K, 4K)", all("0")],
  ["fallocate(f, 0, 4K, 8K)", "0 0 0 -EPERM 0 0 -EPERM 0"],
  ["fallocate(f, FALLOC_FL_KEEP_SIZE, 4K, 8K)", "0 0 0 -EPERM 0 0 -EPERM 0"],
  ["fallocate(f, FALLOC_FL_KEEP_SIZE, 16K, 4K)", "0 0 0 -EPERM 0 0 -EPERM 0"],
  [`fallocate(f, ${PUNCH}, 0, 4K)`, "0 0 0 0 -EPERM -EPERM -EPERM 0"],
  [`fallocate(f, ${PUNCH}, 16K, 4K)`, "0 0 0 0 -EPERM -EPERM -EPERM 0"],
  ["fallocate(f, FALLOC_FL_PUNCH_HOLE, 0, 4K)", all("-EOPNOTSUPP")],
  ...["PROT_READ", "PROT_NONE", "PROT_READ|PROT_EXEC"].map((prot) => [`m = mmap(NULL, 8K, ${prot}, MAP_SHARED, f, 0)`, all("ok")] as const),
  ...[RW, "PROT_WRITE"].map((prot) => [`m = mmap(NULL, 8K, ${prot}, MAP_SHARED, f, 0)`, "ok ok ok ok -EPERM -EPERM -EPERM ok"] as const),
  ...["PROT_READ", RW, "PROT_READ|PROT_EXEC"].map((prot) => [`m = mmap(NULL, 8K, ${prot}, MAP_PRIVATE, f, 0)`, all("ok")] as const),
  ...["PROT_READ", "PROT_NONE"].map(
    (prot) => [`m = mmap(NULL, 8K, ${prot}, MAP_SHARED, f, 0); mprotect(m, 8K, ${RW})`, "0 0 0 0 -EACCES -EACCES -EACCES 0"] as const,
  ),
  [`m = mmap(NULL, 8K, PROT_READ, MAP_PRIVATE, f, 0); mprotect(m, 8K, ${RW})`, all("0")],
  ["m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0); madvise(m, 4K, MADV_REMOVE)", "0 0 0 0 -EACCES -EACCES -EACCES 0"],
  ["g = open_fd(f, O_RDONLY)", all("ok")],
  ["g = open_fd(f, O_RDWR)", all("ok")],
  ["g = open_fd(f, O_RDWR|O_TRUNC)", "ok ok -EPERM ok ok ok -EPERM ok"],
  ['g = open_fd(f, O_RDWR); write(g, "abcd")', written(4)],
  [`${OTHER}; copy_file_range(o, 0, f, 0, 4K)`, written(4096)],
  [`${OTHER}; sendfile(f, o, 0, 4K)`, written(4096)],
  ...["0o777", "0o755", "0o111"].map((mode) => [`fchmod(f, ${mode})`, "0 0 0 0 0 0 0 -EPERM"] as const),
  ...["0o644", "0o600"].map((mode) => [`fchmod(f, ${mode})`, "0 0 0 0 0 0 -EPERM 0"] as const),
  ["fchmod(f, 0o100)", "0 0 0 0 0 0 -EPERM -EPERM"],
];

const AFTER = ["pread(f, 8, 4092)", "fstat(f, st_size)", "fcntl(f, F_GET_SEALS)"];

const effects: readonly Row[] = EFFECTS.flatMap(([statements, answers]) =>
  answers.split(" ").map((answer, column) => {
    const start = COLUMNS[column] === "EXEC(0666)" ? NO_X : START;
    return row("2.1", `${statements} under ${COLUMNS[column]}`, ...start, `fcntl(f, F_ADD_SEALS, ${SEALS[column]}) = 0`, `${statements} = ${answer}`, ...AFTER);
  }),
);

const [SHRINK, GROW, WRITE, FUTURE_WRITE, EXEC] = [2, 4, 8, 0x10, 0x20];

/** The rule of 2.2 in its own order: what an operation answers under a combination of seals. */
const RULE: readonly (readonly [statements: string, answer: (seals: number, hasX: boolean) => string])[] = [
  ["pwrite(f, 0x42 * 16384, 0)", (seals) => (seals & (WRITE | FUTURE_WRITE) ? "-EPERM" : seals & GROW ? "8192" : "16384")],
  ['pwrite(f, "z", 8K)', (seals) => (seals & (WRITE | FUTURE_WRITE | GROW) ? "-EPERM" : "1")],
  [`m = mmap(NULL, 8K, ${RW}, MAP_SHARED, f, 0)`, (seals) => (seals & (WRITE | FUTURE_WRITE) ? "-EPERM" : "ok")],
  [`m = mmap(NULL, 8K, ${RW}, MAP_PRIVATE, f, 0)`, () => "ok"],
  [`m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0); mprotect(m, 8K, ${RW})`, (seals) => (seals & (WRITE | FUTURE_WRITE) ? "-EACCES" : "0")],
  [`fallocate(f, ${PUNCH}, 0, 4K)`, (seals) => (seals & (WRITE | FUTURE_WRITE) ? "-EPERM" : "0")],
  ["ftruncate(f, 4K)", (seals) => (seals & SHRINK ? "-EPERM" : "0")],
  ["ftruncate(f, 12K)", (seals) => (seals & GROW ? "-EPERM" : "0")],
  ["ftruncate(f, 8K)", () => "0"],
  ["fallocate(f, FALLOC_FL_KEEP_SIZE, 4K, 8K)", (seals) => (seals & GROW ? "-EPERM" : "0")],
  ["fchmod(f, 0o655)", (seals) => (seals & EXEC ? "-EPERM" : "0")],
  ["fchmod(f, 0o644)", (seals, hasX) => (seals & EXEC && hasX ? "-EPERM" : "0")],
  ["fcntl(f, F_ADD_SEALS, 0)", (seals) => (seals & 1 ? "-EPERM" : "0")],
];

const rule: readonly Row[] = [true, false].flatMap((hasX) =>
  Array.from({ length: 64 }, (_, requested) => requested).flatMap((requested) => {
    const effective = requested | (requested & EXEC && hasX ? 0x1e : 0);
    return RULE.map(([statements, answer]) =>
      row(
        "2.2",
        `${statements} under ${requested}, ${hasX ? "mode 0777" : "mode 0666"}`,
        ...(hasX ? START : NO_X),
        `fcntl(f, F_ADD_SEALS, ${requested}) = 0`,
        `fcntl(f, F_GET_SEALS) = ${effective}`,
        `${statements} = ${answer(effective, hasX)}`,
      ),
    );
  }),
);

/** pwrite and fallocate on a file of 5000 bytes, without a seal and under F_SEAL_GROW. */
const INSIDE_A_PAGE: readonly (readonly [statement: string, free: string, sealed: string])[] = [
  ["pwrite(f, 0x42 * 8, 4996)", "8", "-EPERM"],
  ['pwrite(f, "z", 5000)', "1", "-EPERM"],
  ['pwrite(f, "z", 4999)', "1", "1"],
  ["pwrite(f, 0x42 * 904, 4K)", "904", "904"],
  ["pwrite(f, 0x42 * 5000, 0)", "5000", "5000"],
  ["pwrite(f, 0x42 * 905, 4K)", "905", "-EPERM"],
  ["pwrite(f, 0x42 * 5001, 0)", "5001", "4096"],
  ["pwrite(f, 0x42 * 8192, 0)", "8192", "4096"],
  ["pwrite(f, 0x42 * 5000, 4999)", "5000", "-EPERM"],
  ["fallocate(f, 0, 4K, 904)", "0", "0"],
  ["fallocate(f, 0, 4K, 905)", "0", "-EPERM"],
  ["fallocate(f, FALLOC_FL_KEEP_SIZE, 4K, 4K)", "0", "-EPERM"],
];
const FIVE_THOUSAND = [SEALABLE, "pwrite(f, 0x41 * 5000, 0) = 5000"];
const STORE = ["m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok", "store(m, 8000, 7) = 0", "fstat(f, st_size) = 5000"];

const insidePage: readonly Row[] = [
  ...INSIDE_A_PAGE.flatMap(([statement, free, sealed]) => [
    row("2.3", `${statement} without a seal`, ...FIVE_THOUSAND, `${statement} = ${free}`, ...AFTER),
    row("2.3", `${statement} under F_SEAL_GROW`, ...FIVE_THOUSAND, "fcntl(f, F_ADD_SEALS, F_SEAL_GROW) = 0", `${statement} = ${sealed}`, ...AFTER),
  ]),
  row("2.3", "a store behind the end without a seal", ...FIVE_THOUSAND, ...STORE),
  row("2.3", "a store behind the end under F_SEAL_GROW", ...FIVE_THOUSAND, "fcntl(f, F_ADD_SEALS, F_SEAL_GROW) = 0", ...STORE),
];

const BUSY = "-EBUSY -EBUSY 0 0 0 0 0 -EBUSY 0";
const FREE = "0 0 0 0 0 0 0 0 0";
/** WRITE alone and with another seal, FUTURE_WRITE, SHRINK, GROW, SEAL, nothing, EXEC of an executable file and of one that is none. */
const ADDED = [
  "F_SEAL_WRITE",
  "F_SEAL_WRITE|F_SEAL_SHRINK",
  "F_SEAL_FUTURE_WRITE",
  "F_SEAL_SHRINK",
  "F_SEAL_GROW",
  "F_SEAL_SEAL",
  "0",
  "F_SEAL_EXEC",
  "F_SEAL_EXEC",
];
const MAPPINGS: readonly (readonly [statements: string, answers: string])[] = [
  [`m = mmap(NULL, 8K, ${RW}, MAP_SHARED, f, 0) = ok`, BUSY],
  ["m = mmap(NULL, 8K, PROT_WRITE, MAP_SHARED, f, 0) = ok", BUSY],
  ["m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0) = ok", BUSY],
  ["m = mmap(NULL, 8K, PROT_NONE, MAP_SHARED, f, 0) = ok", BUSY],
  ["g = open_fd(f, O_RDONLY) = ok; m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, g, 0) = ok", FREE],
  [`m = mmap(NULL, 8K, ${RW}, MAP_PRIVATE, f, 0) = ok`, FREE],
  ["m = mmap(NULL, 8K, PROT_READ, MAP_PRIVATE, f, 0) = ok", FREE],
];

const PIPE = ["p = pipe2(0) = ok", "w = open_fd(p, O_WRONLY) = ok", "splice(f, 0, w, NULL, 4K, 0) = 4096"];

const mapped: readonly Row[] = [
  ...MAPPINGS.flatMap(([mapping, answers]) =>
    answers.split(" ").map((answer, at) => {
      const busy = answer === "-EBUSY";
      const again = busy ? ["fcntl(f, F_GET_SEALS) = 0", "munmap(m, 8K) = 0", `fcntl(f, F_ADD_SEALS, ${ADDED[at]}) = 0`] : [];
      return row(
        "2.4",
        `${ADDED[at]}, ${at === 8 ? "0666" : "0777"}, with ${mapping}`,
        ...(at === 8 ? NO_X : START),
        mapping,
        `fcntl(f, F_ADD_SEALS, ${ADDED[at]}) = ${answer}`,
        ...again,
      );
    }),
  ),
  ...["F_SEAL_WRITE", "F_SEAL_FUTURE_WRITE"].flatMap((seal) =>
    ["F_SEAL_WRITE", "F_SEAL_FUTURE_WRITE"].map((added) =>
      row(
        "2.4",
        `${added} with a mapping made after ${seal}`,
        ...START,
        `fcntl(f, F_ADD_SEALS, ${seal}) = 0`,
        "m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0) = ok",
        `fcntl(f, F_ADD_SEALS, ${added}) = 0`,
      ),
    ),
  ),
  ...["0", "F_SEAL_WRITE"].map((seal) =>
    row(
      "2.4",
      `a mapping of a read-only description cannot become writable, seal ${seal}`,
      ...START,
      "g = open_fd(f, O_RDONLY) = ok",
      "m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, g, 0) = ok",
      `fcntl(f, F_ADD_SEALS, ${seal}) = 0`,
      `mprotect(m, 8K, ${RW}) = -EACCES`,
    ),
  ),
  row(
    "2.4",
    "FUTURE_WRITE and an older writable mapping",
    ...START,
    `m = mmap(NULL, 8K, ${RW}, MAP_SHARED, f, 0) = ok`,
    "fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) = 0",
    "store(m, 0, 7) = 0",
    'pread(f, 1, 0) = 1 "\\x07"',
    'pwrite(f, "a", 0) = -EPERM',
  ),
  row(
    "2.4",
    "FUTURE_WRITE and an older read-only mapping",
    ...START,
    "m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0) = ok",
    "fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) = 0",
    `mprotect(m, 8K, ${RW}) = 0`,
    "store(m, 0, 7) = 0",
  ),
  row(
    "2.4",
    "a page in a pipe",
    ...START,
    ...PIPE,
    "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = -EBUSY",
    "fcntl(f, F_GET_SEALS) = 0",
    "read(p, 4K) = 4096",
    "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = 0",
  ),
  row("2.4", "a page in a pipe and FUTURE_WRITE", ...START, ...PIPE, "fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) = 0"),
];

const args: readonly Row[] = [
  ...Array.from({ length: 32 }, (_, bit) =>
    row(
      "2.5",
      `the single bit ${bit}`,
      ...START,
      `fcntl(f, F_ADD_SEALS, ${2 ** bit}) = ${bit < 6 ? "0" : "-EINVAL"}`,
      `fcntl(f, F_GET_SEALS) = ${bit < 5 ? 2 ** bit : bit === 5 ? "0x3e" : 0}`,
    ),
  ),
  ...asked(
    "2.5",
    START,
    [
      ["fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK|0x40)", "-EINVAL"],
      ["fcntl(f, F_ADD_SEALS, -1)", "-EINVAL"],
    ],
    ["fcntl(f, F_GET_SEALS) = 0"],
  ),
  row("2.5", "the upper half is dropped", ...START, "fcntl(f, F_ADD_SEALS, 0x100000002) = 0", "fcntl(f, F_GET_SEALS) = 2"),
  ...asked("2.5", START, [
    ["fcntl(f, F_GET_SEALS, 0x7777777777777777)", "0"],
    ["r = open_fd(f, O_RDONLY); fcntl(r, F_ADD_SEALS, 0x40)", "-EPERM"],
    ["fcntl(f, F_ADD_SEALS, F_SEAL_SEAL); fcntl(f, F_ADD_SEALS, 0x40)", "-EINVAL"],
    ['u = memfd_create("u", 0); fcntl(u, F_ADD_SEALS, 0x40)', "-EINVAL"],
    ["m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0); fcntl(f, F_ADD_SEALS, F_SEAL_SEAL); fcntl(f, F_ADD_SEALS, F_SEAL_WRITE)", "-EPERM"],
    ['u = memfd_create("u", 0); fcntl(u, F_ADD_SEALS, 0)', "-EPERM"],
    ['u = memfd_create("u", 0); ftruncate(u, 4K)', "0"],
    ['u = memfd_create("u", 0); write(u, "abcd")', "4"],
    ['u = memfd_create("u", 0); fchmod(u, 0o644)', "0"],
    ["r = open_fd(f, O_RDONLY); fcntl(r, F_ADD_SEALS, F_SEAL_WRITE)", "-EPERM"],
    ["r = open_fd(f, O_RDONLY); fcntl(r, F_GET_SEALS)", "0"],
    [`r = open_fd(f, O_RDONLY); m = mmap(NULL, 4K, ${RW}, MAP_SHARED, r, 0)`, "-EACCES"],
    ["r = open_fd(f, O_RDONLY); ftruncate(r, 0)", "-EINVAL"],
    ["r = open_fd(f, O_RDONLY); fallocate(r, 0, 0, 4K)", "-EBADF"],
    ['r = open_fd(f, O_RDONLY); write(r, "a")', "-EBADF"],
    ["w = open_fd(f, O_WRONLY); fcntl(w, F_ADD_SEALS, F_SEAL_GROW)", "0"],
    ["p = open_fd(f, O_PATH); fcntl(p, F_GET_SEALS)", "-EBADF"],
    ["p = open_fd(f, O_PATH); fcntl(p, F_ADD_SEALS, 0)", "-EBADF"],
    ["g = dup(f); fcntl(g, F_ADD_SEALS, F_SEAL_SHRINK); fcntl(f, F_GET_SEALS)", "2"],
    ["close(f); fcntl(f, F_GET_SEALS)", "-EBADF"],
    ["close(f); fcntl(f, F_ADD_SEALS, 0)", "-EBADF"],
  ]),
  ...asked(
    "2.5",
    ["p = pipe2(0) = ok", "w = open_fd(p, O_WRONLY) = ok"],
    [
      ["fcntl(w, F_ADD_SEALS, F_SEAL_WRITE)", "-EINVAL"],
      ["fcntl(p, F_ADD_SEALS, F_SEAL_WRITE)", "-EPERM"],
      ["fcntl(w, F_GET_SEALS)", "-EINVAL"],
      ["fcntl(p, F_GET_SEALS)", "-EINVAL"],
    ],
  ),
  ...['open("/dev/null", O_RDWR)', "memfd_secret(0)"].flatMap((made) =>
    asked(
      "2.5",
      [`o = ${made} = ok`],
      [
        ["fcntl(o, F_ADD_SEALS, F_SEAL_WRITE)", "-EINVAL"],
        ["fcntl(o, F_GET_SEALS)", "-EINVAL"],
      ],
    ),
  ),
  ...asked(
    "2.5",
    ['f = memfd_create("h", MFD_HUGETLB|MFD_ALLOW_SEALING) = ok'],
    [
      ["fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK)", "0"],
      ['write(f, "a")', "-EINVAL"],
      ["ftruncate(f, 4K)", "-EINVAL"],
      ["ftruncate(f, 2M)", "0"],
      ["ftruncate(f, 2M); m = mmap(NULL, 2M, PROT_READ, MAP_SHARED, f, 0)", "-ENOMEM"],
      ["ftruncate(f, 2M); fallocate(f, 0, 0, 2M)", "-ENOSPC"],
    ],
  ),
];

export const SECTION_2: readonly Row[] = [...effects, ...rule, ...insidePage, ...mapped, ...args];

export const UNASKED_2: readonly Unasked[] = [
  {
    section: "2.3",
    name: "huge pages of shmem: chunks of a write that are larger than a page",
    reason: "shmem_enabled of the machine is never",
    call: "shmem_enabled",
  },
  { section: "2.4", name: "how long F_SEAL_WRITE waits for a page in a pipe", reason: "time is not modelled", call: "nanosleep" },
  { section: "2.5", name: "a regular file of a disk", reason: "of the files of a system only", lines: ['o = open("file", O_RDWR)'] },
  {
    section: "2.5",
    name: "a file on a tmpfs mount: F_GET_SEALS 1, F_ADD_SEALS EPERM",
    reason: "of the files of a system only",
    lines: ['o = open("/dev/shm/file", O_RDWR)'],
  },
];
