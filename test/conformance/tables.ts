// Fixed programs with the answers that a 6.18 kernel gave when it was measured (creation, holes, bad arguments): the model must give them where there is no
// machine to ask, and the machine is asked again where there is one. Rows that differ by kernel version stand in differences.ts.

export interface Table {
  readonly name: string;
  readonly text: string;
}

export const KERNELS = "kernel 6.18, v8, v4\n\n";

export const scenario = (name: string, lines: readonly string[]): string =>
  `scenario ${JSON.stringify(name)} {\n${lines.map((line) => `  ${line}`).join("\n")}\n}\n`;

export const table = (name: string, scenarios: readonly string[]): Table => ({ name, text: KERNELS + scenarios.join("\n") });

function creation(): Table {
  const bits = Array.from({ length: 27 }, (_, bit) => bit + 5);
  const names: readonly (readonly [string, string])[] = [
    ['""', "ok"],
    ['"x"', "ok"],
    ['"x" * 248', "ok"],
    ['"x" * 249', "ok"],
    ['"x" * 250', "-EINVAL"],
    ['"x" * 4095', "-EINVAL"],
    ["NULL", "-EFAULT"],
    ['"a/b"', "ok"],
    ['".."', "ok"],
    ['"(deleted)"', "ok"],
    ['"a b\\n"', "ok"],
  ];
  return table("memfd_create", [
    ...["0 1", "MFD_CLOEXEC 1", "MFD_ALLOW_SEALING 0", "MFD_CLOEXEC|MFD_ALLOW_SEALING 0"]
      .map((row) => row.split(" "))
      .map(([flags, seals]) => scenario(`flags ${flags}`, [`f = memfd_create("x", ${flags}) = ok`, `fcntl(f, F_GET_SEALS) = ${seals}`, "pread(f, 1, 0) = 0"])),
    ...bits.map((bit) => scenario(`flag bit ${bit}`, [`f = memfd_create("x", ${2 ** bit}) = -EINVAL`, "close(f) = -EBADF"])),
    scenario("the upper half of the register is not looked at", ['f = memfd_create("x", 0x100000000) = ok']),
    scenario("flags before name", [
      "f = memfd_create(NULL, 0x20) = -EINVAL",
      'g = memfd_create("x" * 300, 0x20) = -EINVAL',
      "h = memfd_create(NULL, -1) = -EINVAL",
    ]),
    ...names.map(([name, answer]) => scenario(`name ${name}`, [`f = memfd_create(${name}, 0) = ${answer}`, "readlink_fd(f)"])),
  ]);
}

/** fallocate on an empty file of four pages: pages that the file holds afterwards, and its size. */
const ALLOCATE: readonly (readonly [offset: number, length: number, size: number, pages: number])[] = [
  [0, 4096, 16384, 1],
  [4096, 8192, 16384, 2],
  [0, 16384, 16384, 4],
  [1, 1, 16384, 1],
  [4095, 2, 16384, 2],
  [16384, 4096, 20480, 1],
  [16383, 2, 16385, 2],
  [24576, 4096, 28672, 1],
  [16384, 1, 16385, 1],
];

/** Holes in four pages of 'A': whole pages are dropped, parts are zeroed in place. */
const HOLES: readonly (readonly [offset: number, length: number, pages: number])[] = [
  [0, 4096, 3],
  [4096, 8192, 2],
  [0, 16384, 0],
  [0, 2 ** 40, 0],
  [0, 1, 4],
  [1, 1, 4],
  [0, 4095, 4],
  [4095, 2, 4],
  [4196, 50, 4],
  [16383, 1, 4],
  [0, 4097, 3],
  [1, 4096, 4],
  [1, 8192, 3],
  [4095, 4098, 3],
  [12288, 32768, 3],
  [16384, 4096, 4],
  [32768, 1, 4],
];

/** Reads around the ends of a range and in the middle of each page. */
function looks(offset: number, length: number): string[] {
  const places = new Set([offset, Math.min(offset + length, 16384)].flatMap((at) => [at - 4, at - 1, at, at + 1]).concat([0, 2048, 6144, 10240, 14336, 16380]));
  return [...places].filter((at) => at >= 0).map((at) => `pread(f, 8, ${at})`);
}

function holes(): Table {
  const sized = (size: number): string[] => [`pread(f, 1, ${size - 1}) = 1`, `pread(f, 1, ${size}) = 0`, `assert size(f) == ${size}`];
  const file = ['f = memfd_create("f", 0)', "ftruncate(f, 16K) = 0"];
  return table("fallocate and holes", [
    ...ALLOCATE.flatMap(([offset, length, size, pages]) => [
      scenario(`allocate ${offset}+${length}`, [...file, `fallocate(f, 0, ${offset}, ${length}) = 0`, ...sized(size), `assert pages(f) == ${pages}`]),
      scenario(`keep size ${offset}+${length}`, [
        ...file,
        `fallocate(f, FALLOC_FL_KEEP_SIZE, ${offset}, ${length}) = 0`,
        ...sized(16384),
        `assert pages(f) == ${pages}`,
      ]),
      scenario(`allocate over data ${offset}+${length}`, [
        ...file,
        "pwrite(f, 0x41 * 8192, 100) = 8192",
        `fallocate(f, 0, ${offset}, ${length}) = 0`,
        ...looks(offset, length),
      ]),
    ]),
    ...HOLES.flatMap(([offset, length, pages]) => [
      scenario(`punch ${offset}+${length}`, [
        'f = memfd_create("f", 0)',
        "pwrite(f, 0x41 * 16384, 0) = 16384",
        `fallocate(f, 3, ${offset}, ${length}) = 0`,
        ...sized(16384),
        `assert pages(f) == ${pages}`,
        ...looks(offset, length),
        `assert pages(f) == ${pages}`,
      ]),
      scenario(`punch ${offset}+${length} of an empty file`, [...file, `fallocate(f, 3, ${offset}, ${length}) = 0`, "assert pages(f) == 0", ...sized(16384)]),
    ]),
    scenario("a load takes a page, a read does not", [
      ...file,
      "m = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok",
      "pread(f, 8, 0)",
      "assert pages(f) == 0",
      "load(m, 0) = 0",
      "assert pages(f) == 1",
      "store(m, 5000, 9) = 0",
      'pread(f, 1, 5000) = 1 "\\t"',
      "assert pages(f) == 2",
    ]),
    scenario("a smaller size zeroes the rest of the last page", [
      ...file,
      "pwrite(f, 0x41 * 8192, 0) = 8192",
      "ftruncate(f, 100) = 0",
      "ftruncate(f, 8K) = 0",
      'pread(f, 4, 98) = 4 "AA\\x00\\x00"',
      "assert pages(f) == 1",
    ]),
    scenario("behind the page that holds the end", [
      ...file,
      "ftruncate(f, 5000) = 0",
      "m = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok",
      "load(m, 5000) = 0",
      "store(m, 8191, 1) = 0",
      "load(m, 8K) = SIGBUS",
      "store(m, 12K, 1) = SIGBUS",
      "load(m, 16K) = SIGSEGV",
      "pread(f, 8, 5000) = 0",
      "ftruncate(f, 8K) = 0",
      "pread(f, 1, 8191) = 1",
    ]),
    scenario("a private copy stays at a hole and goes at a new size", [
      ...file,
      "pwrite(f, 0x41 * 8192, 0) = 8192",
      "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0) = ok",
      "store(m, 0, 7) = 0",
      "store(m, 4K, 8) = 0",
      "fallocate(f, 3, 0, 8K) = 0",
      "load(m, 0) = 7",
      "load(m, 4K) = 8",
      "ftruncate(f, 4K) = 0",
      "load(m, 0) = 7",
      "load(m, 4K) = SIGBUS",
      "ftruncate(f, 8K) = 0",
      "load(m, 4K) = 0",
    ]),
  ]);
}

const BAD: readonly (readonly [operation: string, answer: string])[] = [
  ["fallocate(f, 0, -1, 4K)", "-EINVAL"],
  ["fallocate(f, 0, 0, 0)", "-EINVAL"],
  ["fallocate(f, 0, 0, -1)", "-EINVAL"],
  ["fallocate(f, -1, -1, -1)", "-EINVAL"],
  ["fallocate(f, 0x80, 0, 0)", "-EINVAL"],
  ["fallocate(f, 2, 0, 4K)", "-EOPNOTSUPP"],
  ["fallocate(f, 2, 0x7ffffffffffff000, 4K)", "-EOPNOTSUPP"],
  ["fallocate(f, 0, 0x7ffffffffffff000, 4K)", "-EFBIG"],
  ["fallocate(f, 1, 0x7ffffffffffff000, 4K)", "-EFBIG"],
  ["fallocate(f, 3, 0x7ffffffffffff000, 4K)", "-EFBIG"],
  ["fallocate(f, 3, 0x7fffffffffffffff, 0x7fffffffffffffff)", "-EFBIG"],
  ["fallocate(f, 3, 0x7ffffffffffff000, 4095)", "0"],
  ["fallocate(-1, 0, 0, 0)", "-EBADF"],
  ["fallocate(-1, -1, 0, 4K)", "-EBADF"],
  ["ftruncate(f, -1)", "-EINVAL"],
  ["ftruncate(-1, -1)", "-EINVAL"],
  ["ftruncate(-1, 0)", "-EBADF"],
  ["ftruncate(f, 0x7fffffffffffffff)", "0"],
  ["pread(f, 8, -1)", "-EINVAL"],
  ["pread(-1, 8, -1)", "-EINVAL"],
  ["pread(f, 8, 0x7fffffffffffffff)", "-EINVAL"],
  ["pread(f, 8, 0x7ffffffffffffff8)", "-EINVAL"],
  ["pread(f, 7, 0x7ffffffffffffff8)", "0"],
  ["pread(f, 0, 0x7fffffffffffffff)", "0"],
  ['pwrite(f, "abcd", -4K)', "-EINVAL"],
  ['pwrite(f, "z", 0x7fffffffffffffff)', "-EINVAL"],
  ['pwrite(f, "z", 0x7ffffffffffffffe)', "1"],
  ['pwrite(f, "", -1)', "-EINVAL"],
  ['pwrite(-1, "", 0)', "-EBADF"],
  ["pwrite(f, 0x41 * 8, 0x7ffffffffffffffb)", "-EINVAL"],
  ["m = mmap(NULL, 0, PROT_READ, MAP_SHARED, f, 0)", "-EINVAL"],
  ["m = mmap(NULL, 4K, PROT_READ, 0, f, 0)", "-EINVAL"],
  ["m = mmap(NULL, 4K, PROT_READ, MAP_ANONYMOUS, -1, 0)", "-EINVAL"],
  ["m = mmap(NULL, 0, PROT_READ, MAP_SHARED, -1, 1)", "-EINVAL"],
  ["m = mmap(NULL, 0, PROT_READ, MAP_SHARED, -1, 0)", "-EBADF"],
  ["m = mmap(NULL, 0x800000000001, PROT_READ, MAP_SHARED, f, 0)", "-ENOMEM"],
  ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, -4K)", "-EOVERFLOW"],
  ["m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0x7fffffffffffe000)", "-EOVERFLOW"],
  ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0x7fffffffffffe000)", "ok"],
  ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 1T)", "ok"],
];

function badArguments(): Table {
  const file = ['f = memfd_create("f", MFD_ALLOW_SEALING)', "ftruncate(f, 16K) = 0"];
  const bits = Array.from({ length: 30 }, (_, bit) => bit + 2);
  const modes = bits
    .flatMap((bit) => [2 ** bit, 2 ** bit + 1, 2 ** bit + 3])
    .filter((mode) => !(mode & 0x68) || mode === 0x41 || mode === 8 || mode === 0x20 || mode === 0x40);
  return table("bad arguments", [
    ...BAD.map(([operation, answer]) => scenario(operation, [...file, `${operation} = ${answer}`, "assert pages(f) == pages(f)", "pread(f, 1, 0)"])),
    scenario("through a mapping that failed", [
      "m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, -1, 0) = -EBADF",
      "load(m, 0) = SIGSEGV",
      "store(m, 4K, 1) = SIGSEGV",
      "munmap(m, 4K) = -EINVAL",
    ]),
    scenario("a dup that failed", [
      "g = dup(-1) = -EBADF",
      "readlink_fd(g) = -EBADF",
      "h = dup(g) = -EBADF",
      "readlink_fd(h) = -EBADF",
      'write(h, "z") = -EBADF',
    ]),
    scenario("modes", [...file, ...modes.map((mode) => `fallocate(f, ${mode}, 0, 4K) = -EOPNOTSUPP`)]),
  ]);
}

export const FILE_TABLES: readonly Table[] = [creation(), holes(), badArguments()];
