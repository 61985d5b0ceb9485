// Fixed programs with the answers that a 6.18 kernel gave when it was measured (memfd, seals, holes): the model must give them where there is no machine to
// ask, and the machine is asked again where there is one. Rows that differ by kernel version stand in differences.ts.

export interface Table {
  readonly name: string;
  readonly text: string;
}

export const KERNELS = "kernel v8, v4\n\n";

export const scenario = (name: string, lines: readonly string[]): string => `scenario ${JSON.stringify(name)} {\n${lines.map((line) => `  ${line}`).join("\n")}\n}\n`;

export const table = (name: string, scenarios: readonly string[]): Table => ({ name, text: KERNELS + scenarios.join("\n") });

const SEALABLE = 'f = memfd_create("f", MFD_ALLOW_SEALING)';
const TWO_PAGES = [SEALABLE, "pwrite(f, 0x41 * 8192, 0) = 8192"];

const SEALS = ["0", "F_SEAL_SEAL", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE", "F_SEAL_FUTURE_WRITE"] as const;

/** What each operation answers on a sealed file of two pages, by the column of SEALS; `-` = another kernel version answers otherwise. */
const EFFECTS: readonly (readonly [operation: string, answers: string])[] = [
  ["fcntl(f, F_GET_SEALS)", "0 1 2 4 8 16"],
  ["fcntl(f, F_ADD_SEALS, 0)", "0 -EPERM 0 0 0 0"],
  ["fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK)", "0 -EPERM 0 0 0 0"],
  ['write(f, "abcd")', "4 4 4 4 -EPERM -EPERM"],
  ['pwrite(f, "abcd", 100)', "4 4 4 4 -EPERM -EPERM"],
  ['pwrite(f, "", 0)', "0 0 0 0 0 0"],
  ['pwrite(f, "", 16K)', "0 0 0 0 0 0"],
  ['pwrite(f, "abcd", 8K)', "4 4 4 -EPERM -EPERM -EPERM"],
  ['pwrite(f, "abcd", 12K)', "4 4 4 -EPERM -EPERM -EPERM"],
  ["pwrite(f, 0x42 * 8, 8188)", "8 8 8 4 -EPERM -EPERM"],
  ["pwrite(f, 0x42 * 16384, 0)", "16384 16384 16384 8192 -EPERM -EPERM"],
  ["ftruncate(f, 8K)", "0 0 0 0 0 0"],
  ["ftruncate(f, 4K)", "0 0 -EPERM 0 0 0"],
  ["ftruncate(f, 8191)", "0 0 -EPERM 0 0 0"],
  ["ftruncate(f, 0)", "0 0 -EPERM 0 0 0"],
  ["ftruncate(f, 8193)", "0 0 0 -EPERM 0 0"],
  ["ftruncate(f, 12K)", "0 0 0 -EPERM 0 0"],
  ["fallocate(f, 0, 0, 8K)", "0 0 0 0 0 0"],
  ["fallocate(f, FALLOC_FL_KEEP_SIZE, 4K, 4K)", "0 0 0 0 0 0"],
  ["fallocate(f, 0, 4K, 8K)", "0 0 0 -EPERM 0 0"],
  ["fallocate(f, FALLOC_FL_KEEP_SIZE, 4K, 8K)", "0 0 0 -EPERM 0 0"],
  ["fallocate(f, FALLOC_FL_KEEP_SIZE, 16K, 4K)", "0 0 0 -EPERM 0 0"],
  ["fallocate(f, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)", "0 0 0 0 -EPERM -EPERM"],
  ["fallocate(f, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 16K, 4K)", "0 0 0 0 -EPERM -EPERM"],
  ["fallocate(f, FALLOC_FL_PUNCH_HOLE, 0, 4K)", "-EOPNOTSUPP -EOPNOTSUPP -EOPNOTSUPP -EOPNOTSUPP -EOPNOTSUPP -EOPNOTSUPP"],
  ["m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0)", "ok ok ok ok - ok"],
  ["m = mmap(NULL, 8K, PROT_NONE, MAP_SHARED, f, 0)", "ok ok ok ok - ok"],
  ["m = mmap(NULL, 8K, PROT_READ|PROT_EXEC, MAP_SHARED, f, 0)", "ok ok ok ok - ok"],
  ["m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0)", "ok ok ok ok -EPERM -EPERM"],
  ["m = mmap(NULL, 8K, PROT_WRITE, MAP_SHARED, f, 0)", "ok ok ok ok -EPERM -EPERM"],
  ["m = mmap(NULL, 8K, PROT_READ, MAP_PRIVATE, f, 0)", "ok ok ok ok ok ok"],
  ["m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0)", "ok ok ok ok ok ok"],
  ["m = mmap(NULL, 8K, PROT_READ|PROT_EXEC, MAP_PRIVATE, f, 0)", "ok ok ok ok ok ok"],
];

function sealEffects(): Table {
  const scenarios = EFFECTS.flatMap(([operation, answers]) =>
    answers.split(" ").flatMap((answer, column) => {
      const lines = [...TWO_PAGES, `fcntl(f, F_ADD_SEALS, ${SEALS[column]}) = 0`, `${operation} = ${answer}`, "pread(f, 8, 4092)", "fcntl(f, F_GET_SEALS)"];
      return answer === "-" ? [] : scenario(`${operation} under ${SEALS[column]}`, lines);
    }),
  );
  return table("effect of each seal", scenarios);
}

/** All combinations of the five seals: no answer is written down, model and machine have to agree. */
function sealCombinations(): Table {
  const operations = [
    'pwrite(f, "abcd", 100)', "pwrite(f, 0x42 * 16384, 0)", 'pwrite(f, "z", 8K)', "ftruncate(f, 4K)", "ftruncate(f, 12K)", "fallocate(f, 0, 0, 8K)", "fallocate(f, 1, 4K, 8K)", "fallocate(f, 3, 0, 4K)",
    "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0)", "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0)", "fcntl(f, F_ADD_SEALS, F_SEAL_GROW)",
  ];
  const combinations = Array.from({ length: 32 }, (_, seals) => seals);
  return table("combinations of seals", operations.flatMap((operation) => combinations.map((seals) =>
    scenario(`${operation} under ${seals}`, [...TWO_PAGES, `fcntl(f, F_ADD_SEALS, ${seals}) = 0`, operation, "pread(f, 8, 0)", "pread(f, 8, 8188)", "fcntl(f, F_GET_SEALS)"]),
  )));
}

/** F_SEAL_GROW where the size is inside a page (5000). */
const GROW_INSIDE: readonly (readonly [operation: string, free: string, sealed: string])[] = [
  ["pwrite(f, 0x42 * 8, 4996)", "8", "-EPERM"], ['pwrite(f, "z", 5000)', "1", "-EPERM"], ['pwrite(f, "z", 4999)', "1", "1"], ["pwrite(f, 0x42 * 904, 4K)", "904", "904"],
  ["pwrite(f, 0x42 * 5000, 0)", "5000", "5000"], ["pwrite(f, 0x42 * 905, 4K)", "905", "-EPERM"], ["pwrite(f, 0x42 * 5001, 0)", "5001", "4096"], ["pwrite(f, 0x42 * 8192, 0)", "8192", "4096"],
  ["pwrite(f, 0x42 * 5000, 4999)", "5000", "-EPERM"], ["fallocate(f, 0, 4K, 904)", "0", "0"], ["fallocate(f, 0, 4K, 905)", "0", "-EPERM"], ["fallocate(f, FALLOC_FL_KEEP_SIZE, 4K, 4K)", "0", "-EPERM"],
];

function growInsidePage(): Table {
  const start = [SEALABLE, "pwrite(f, 0x41 * 5000, 0) = 5000", "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok"];
  const after = ["pread(f, 16, 4992)", "pread(f, 16, 4095)", "load(m, 5000)", "store(m, 8000, 7) = 0", "load(m, 8000) = 7", "pread(f, 64, 4990)"];
  return table("F_SEAL_GROW inside a page", GROW_INSIDE.flatMap(([operation, free, sealed]) => [
    scenario(`${operation}`, [...start, `${operation} = ${free}`, ...after]),
    scenario(`${operation} under F_SEAL_GROW`, [...start, "fcntl(f, F_ADD_SEALS, F_SEAL_GROW) = 0", `${operation} = ${sealed}`, ...after]),
  ]));
}

function sealsWithMappings(): Table {
  const seals = ["F_SEAL_WRITE", "F_SEAL_WRITE|F_SEAL_SHRINK", "F_SEAL_FUTURE_WRITE", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL", "0"];
  const mappings = ["PROT_READ|PROT_WRITE", "PROT_WRITE", "PROT_READ", "PROT_NONE"].flatMap((prot) => [`${prot}, MAP_SHARED`, `${prot}, MAP_PRIVATE`]);
  return table("adding a seal while a mapping exists", mappings.flatMap((mapping) => seals.map((added) => {
    const busy = mapping.includes("MAP_SHARED") && added.includes("F_SEAL_WRITE");
    const readable = !mapping.startsWith("PROT_NONE");
    return scenario(`${added} with ${mapping}`, [
      ...TWO_PAGES, `m = mmap(NULL, 8K, ${mapping}, f, 0) = ok`, `fcntl(f, F_ADD_SEALS, ${added}) = ${busy ? "-EBUSY" : "0"}`, busy ? "fcntl(f, F_GET_SEALS) = 0" : "fcntl(f, F_GET_SEALS)",
      `store(m, 0, 7) = ${mapping.includes("PROT_WRITE") ? "0" : "SIGSEGV"}`, `load(m, 0) = ${readable ? "_" : "SIGSEGV"}`, 'pwrite(f, "z", 1)', "munmap(m, 8K) = 0", "load(m, 0) = SIGSEGV",
      `fcntl(f, F_ADD_SEALS, ${added}) = ${added === "F_SEAL_SEAL" ? "-EPERM" : "0"}`, "fcntl(f, F_GET_SEALS)",
    ]);
  })));
}

function sealArguments(): Table {
  const bits = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => bit !== 5);
  return table("arguments of F_ADD_SEALS", [
    ...bits.map((bit) => scenario(`bit ${bit}`, [SEALABLE, `fcntl(f, F_ADD_SEALS, ${2 ** bit}) = ${bit < 5 ? "0" : "-EINVAL"}`, `fcntl(f, F_GET_SEALS) = ${bit < 5 ? 2 ** bit : 0}`])),
    scenario("an unknown bit beside a known one", [SEALABLE, "fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK|0x40) = -EINVAL", "fcntl(f, F_GET_SEALS) = 0"]),
    scenario("the unknown bit is seen before F_SEAL_SEAL", [SEALABLE, "fcntl(f, F_ADD_SEALS, F_SEAL_SEAL) = 0", "fcntl(f, F_ADD_SEALS, 0x40) = -EINVAL", "fcntl(f, F_ADD_SEALS, 0) = -EPERM"]),
    scenario("F_SEAL_SEAL is seen before the mapping", [SEALABLE, "ftruncate(f, 4K) = 0", "m = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok", "fcntl(f, F_ADD_SEALS, F_SEAL_SEAL) = 0", "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = -EPERM"]),
    scenario("not sealable", ['f = memfd_create("f", 0)', "fcntl(f, F_GET_SEALS) = 1", "fcntl(f, F_ADD_SEALS, 0) = -EPERM", "fcntl(f, F_ADD_SEALS, 0x40) = -EINVAL", "ftruncate(f, 4K) = 0", 'write(f, "abc") = 3']),
    scenario("dup shares seals and offset", [SEALABLE, "g = dup(f) = ok", "fcntl(g, F_ADD_SEALS, F_SEAL_SHRINK) = 0", "fcntl(f, F_GET_SEALS) = 2", 'write(f, "abcd") = 4', 'write(g, "efgh") = 4', 'pread(f, 16, 0) = 8 "abcdefgh"', "close(f) = 0", "fcntl(g, F_GET_SEALS) = 2"]),
    scenario("a closed descriptor", [SEALABLE, "close(f) = 0", "fcntl(f, F_ADD_SEALS, 0x40) = -EBADF", "fcntl(f, F_GET_SEALS) = -EBADF", "close(f) = -EBADF", "g = dup(f) = -EBADF", "close(g) = -EBADF", "fallocate(f, 0, 0, 0) = -EBADF", "readlink_fd(f) = -EBADF"]),
  ]);
}

function creation(): Table {
  const bits = Array.from({ length: 27 }, (_, bit) => bit + 5);
  const names: readonly (readonly [string, string])[] = [['""', "ok"], ['"x"', "ok"], ['"x" * 248', "ok"], ['"x" * 249', "ok"], ['"x" * 250', "-EINVAL"], ['"x" * 4095', "-EINVAL"], ["NULL", "-EFAULT"], ['"a/b"', "ok"], ['".."', "ok"], ['"(deleted)"', "ok"], ['"a b\\n"', "ok"]];
  return table("memfd_create", [
    ...["0 1", "MFD_CLOEXEC 1", "MFD_ALLOW_SEALING 0", "MFD_CLOEXEC|MFD_ALLOW_SEALING 0"].map((row) => row.split(" ")).map(([flags, seals]) => scenario(`flags ${flags}`, [`f = memfd_create("x", ${flags}) = ok`, `fcntl(f, F_GET_SEALS) = ${seals}`, "pread(f, 1, 0) = 0"])),
    ...bits.map((bit) => scenario(`flag bit ${bit}`, [`f = memfd_create("x", ${2 ** bit}) = -EINVAL`, "close(f) = -EBADF"])),
    scenario("the upper half of the register is not looked at", ['f = memfd_create("x", 0x100000000) = ok']),
    scenario("flags before name", ['f = memfd_create(NULL, 0x20) = -EINVAL', 'g = memfd_create("x" * 300, 0x20) = -EINVAL', "h = memfd_create(NULL, -1) = -EINVAL"]),
    ...names.map(([name, answer]) => scenario(`name ${name}`, [`f = memfd_create(${name}, 0) = ${answer}`, "readlink_fd(f)"])),
  ]);
}

/** fallocate on an empty file of four pages: pages that the file holds afterwards, and its size. */
const ALLOCATE: readonly (readonly [offset: number, length: number, size: number, pages: number])[] = [
  [0, 4096, 16384, 1], [4096, 8192, 16384, 2], [0, 16384, 16384, 4], [1, 1, 16384, 1], [4095, 2, 16384, 2], [16384, 4096, 20480, 1], [16383, 2, 16385, 2], [24576, 4096, 28672, 1], [16384, 1, 16385, 1],
];

/** Holes in four pages of 'A': whole pages are dropped, parts are zeroed in place. */
const HOLES: readonly (readonly [offset: number, length: number, pages: number])[] = [
  [0, 4096, 3], [4096, 8192, 2], [0, 16384, 0], [0, 2 ** 40, 0], [0, 1, 4], [1, 1, 4], [0, 4095, 4], [4095, 2, 4], [4196, 50, 4], [16383, 1, 4], [0, 4097, 3], [1, 4096, 4], [1, 8192, 3], [4095, 4098, 3], [12288, 32768, 3],
  [16384, 4096, 4], [32768, 1, 4],
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
      scenario(`keep size ${offset}+${length}`, [...file, `fallocate(f, FALLOC_FL_KEEP_SIZE, ${offset}, ${length}) = 0`, ...sized(16384), `assert pages(f) == ${pages}`]),
      scenario(`allocate over data ${offset}+${length}`, [...file, "pwrite(f, 0x41 * 8192, 100) = 8192", `fallocate(f, 0, ${offset}, ${length}) = 0`, ...looks(offset, length)]),
    ]),
    ...HOLES.flatMap(([offset, length, pages]) => [
      scenario(`punch ${offset}+${length}`, ['f = memfd_create("f", 0)', "pwrite(f, 0x41 * 16384, 0) = 16384", `fallocate(f, 3, ${offset}, ${length}) = 0`, ...sized(16384), `assert pages(f) == ${pages}`, ...looks(offset, length), `assert pages(f) == ${pages}`]),
      scenario(`punch ${offset}+${length} of an empty file`, [...file, `fallocate(f, 3, ${offset}, ${length}) = 0`, "assert pages(f) == 0", ...sized(16384)]),
    ]),
    scenario("a load takes a page, a read does not", [...file, "m = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok", "pread(f, 8, 0)", "assert pages(f) == 0", "load(m, 0) = 0", "assert pages(f) == 1", "store(m, 5000, 9) = 0", 'pread(f, 1, 5000) = 1 "\\t"', "assert pages(f) == 2"]),
    scenario("a smaller size zeroes the rest of the last page", [...file, "pwrite(f, 0x41 * 8192, 0) = 8192", "ftruncate(f, 100) = 0", "ftruncate(f, 8K) = 0", 'pread(f, 4, 98) = 4 "AA\\x00\\x00"', "assert pages(f) == 1"]),
    scenario("behind the page that holds the end", [...file, "ftruncate(f, 5000) = 0", "m = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok", "load(m, 5000) = 0", "store(m, 8191, 1) = 0", "load(m, 8K) = SIGBUS", "store(m, 12K, 1) = SIGBUS", "load(m, 16K) = SIGSEGV", "pread(f, 8, 5000) = 0", "ftruncate(f, 8K) = 0", "pread(f, 1, 8191) = 1"]),
    scenario("a private copy stays at a hole and goes at a new size", [...file, "pwrite(f, 0x41 * 8192, 0) = 8192", "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0) = ok", "store(m, 0, 7) = 0", "store(m, 4K, 8) = 0", "fallocate(f, 3, 0, 8K) = 0", "load(m, 0) = 7", "load(m, 4K) = 8", "ftruncate(f, 4K) = 0", "load(m, 0) = 7", "load(m, 4K) = SIGBUS", "ftruncate(f, 8K) = 0", "load(m, 4K) = 0"]),
  ]);
}

const BAD: readonly (readonly [operation: string, answer: string])[] = [
  ["fallocate(f, 0, -1, 4K)", "-EINVAL"], ["fallocate(f, 0, 0, 0)", "-EINVAL"], ["fallocate(f, 0, 0, -1)", "-EINVAL"], ["fallocate(f, -1, -1, -1)", "-EINVAL"], ["fallocate(f, 0x80, 0, 0)", "-EINVAL"],
  ["fallocate(f, 2, 0, 4K)", "-EOPNOTSUPP"], ["fallocate(f, 2, 0x7ffffffffffff000, 4K)", "-EOPNOTSUPP"], ["fallocate(f, 0, 0x7ffffffffffff000, 4K)", "-EFBIG"], ["fallocate(f, 1, 0x7ffffffffffff000, 4K)", "-EFBIG"],
  ["fallocate(f, 3, 0x7ffffffffffff000, 4K)", "-EFBIG"], ["fallocate(f, 3, 0x7fffffffffffffff, 0x7fffffffffffffff)", "-EFBIG"], ["fallocate(f, 3, 0x7ffffffffffff000, 4095)", "0"], ["fallocate(-1, 0, 0, 0)", "-EBADF"], ["fallocate(-1, -1, 0, 4K)", "-EBADF"],
  ["ftruncate(f, -1)", "-EINVAL"], ["ftruncate(-1, -1)", "-EINVAL"], ["ftruncate(-1, 0)", "-EBADF"], ["ftruncate(f, 0x7fffffffffffffff)", "0"],
  ["pread(f, 8, -1)", "-EINVAL"], ["pread(-1, 8, -1)", "-EINVAL"], ["pread(f, 8, 0x7fffffffffffffff)", "-EINVAL"], ["pread(f, 8, 0x7ffffffffffffff8)", "-EINVAL"], ["pread(f, 7, 0x7ffffffffffffff8)", "0"], ["pread(f, 0, 0x7fffffffffffffff)", "0"],
  ['pwrite(f, "abcd", -4K)', "-EINVAL"], ['pwrite(f, "z", 0x7fffffffffffffff)', "-EINVAL"], ['pwrite(f, "z", 0x7ffffffffffffffe)', "1"], ['pwrite(f, "", -1)', "-EINVAL"], ['pwrite(-1, "", 0)', "-EBADF"], ["pwrite(f, 0x41 * 8, 0x7ffffffffffffffb)", "-EINVAL"],
  ["m = mmap(NULL, 0, PROT_READ, MAP_SHARED, f, 0)", "-EINVAL"], ["m = mmap(NULL, 4K, PROT_READ, 0, f, 0)", "-EINVAL"], ["m = mmap(NULL, 4K, PROT_READ, MAP_ANONYMOUS, -1, 0)", "-EINVAL"], ["m = mmap(NULL, 0, PROT_READ, MAP_SHARED, -1, 1)", "-EINVAL"],
  ["m = mmap(NULL, 0, PROT_READ, MAP_SHARED, -1, 0)", "-EBADF"], ["m = mmap(NULL, 0x800000000001, PROT_READ, MAP_SHARED, f, 0)", "-ENOMEM"], ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, -4K)", "-EOVERFLOW"],
  ["m = mmap(NULL, 8K, PROT_READ, MAP_SHARED, f, 0x7fffffffffffe000)", "-EOVERFLOW"], ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 0x7fffffffffffe000)", "ok"], ["m = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f, 1T)", "ok"],
];

function badArguments(): Table {
  const file = ['f = memfd_create("f", MFD_ALLOW_SEALING)', "ftruncate(f, 16K) = 0"];
  const bits = Array.from({ length: 30 }, (_, bit) => bit + 2);
  const modes = bits.flatMap((bit) => [2 ** bit, 2 ** bit + 1, 2 ** bit + 3]).filter((mode) => !(mode & 0x68) || mode === 0x41 || mode === 8 || mode === 0x20 || mode === 0x40);
  return table("bad arguments", [
    ...BAD.map(([operation, answer]) => scenario(operation, [...file, `${operation} = ${answer}`, "assert pages(f) == pages(f)", "pread(f, 1, 0)"])),
    scenario("modes", [...file, ...modes.map((mode) => `fallocate(f, ${mode}, 0, 4K) = -EOPNOTSUPP`)]),
  ]);
}

export const TABLES: readonly Table[] = [creation(), sealEffects(), sealCombinations(), growInsidePage(), sealsWithMappings(), sealArguments(), holes(), badArguments()];
