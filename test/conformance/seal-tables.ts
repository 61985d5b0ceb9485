// Fixed programs on seals: what each forbids, which go together with what mapping, and the order of the checks, with the answers that a 6.18 kernel gave.

import { scenario, type Table, table } from "./tables.ts";

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
    'pwrite(f, "abcd", 100)',
    "pwrite(f, 0x42 * 16384, 0)",
    'pwrite(f, "z", 8K)',
    "ftruncate(f, 4K)",
    "ftruncate(f, 12K)",
    "fallocate(f, 0, 0, 8K)",
    "fallocate(f, 1, 4K, 8K)",
    "fallocate(f, 3, 0, 4K)",
    "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0)",
    "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f, 0)",
    "fcntl(f, F_ADD_SEALS, F_SEAL_GROW)",
  ];
  const combinations = Array.from({ length: 32 }, (_, seals) => seals);
  return table(
    "combinations of seals",
    operations.flatMap((operation) =>
      combinations.map((seals) =>
        scenario(`${operation} under ${seals}`, [
          ...TWO_PAGES,
          `fcntl(f, F_ADD_SEALS, ${seals}) = 0`,
          operation,
          "pread(f, 8, 0)",
          "pread(f, 8, 8188)",
          "fcntl(f, F_GET_SEALS)",
        ]),
      ),
    ),
  );
}

/** F_SEAL_GROW where the size is inside a page (5000). */
const GROW_INSIDE: readonly (readonly [operation: string, free: string, sealed: string])[] = [
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

function growInsidePage(): Table {
  const start = [SEALABLE, "pwrite(f, 0x41 * 5000, 0) = 5000", "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok"];
  const after = ["pread(f, 16, 4992)", "pread(f, 16, 4095)", "load(m, 5000)", "store(m, 8000, 7) = 0", "load(m, 8000) = 7", "pread(f, 64, 4990)"];
  return table(
    "F_SEAL_GROW inside a page",
    GROW_INSIDE.flatMap(([operation, free, sealed]) => [
      scenario(`${operation}`, [...start, `${operation} = ${free}`, ...after]),
      scenario(`${operation} under F_SEAL_GROW`, [...start, "fcntl(f, F_ADD_SEALS, F_SEAL_GROW) = 0", `${operation} = ${sealed}`, ...after]),
    ]),
  );
}

function sealsWithMappings(): Table {
  const seals = ["F_SEAL_WRITE", "F_SEAL_WRITE|F_SEAL_SHRINK", "F_SEAL_FUTURE_WRITE", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL", "0"];
  const mappings = ["PROT_READ|PROT_WRITE", "PROT_WRITE", "PROT_READ", "PROT_NONE"].flatMap((prot) => [`${prot}, MAP_SHARED`, `${prot}, MAP_PRIVATE`]);
  return table(
    "adding a seal while a mapping exists",
    mappings.flatMap((mapping) =>
      seals.map((added) => {
        const busy = mapping.includes("MAP_SHARED") && added.includes("F_SEAL_WRITE");
        const readable = !mapping.startsWith("PROT_NONE");
        return scenario(`${added} with ${mapping}`, [
          ...TWO_PAGES,
          `m = mmap(NULL, 8K, ${mapping}, f, 0) = ok`,
          `fcntl(f, F_ADD_SEALS, ${added}) = ${busy ? "-EBUSY" : "0"}`,
          busy ? "fcntl(f, F_GET_SEALS) = 0" : "fcntl(f, F_GET_SEALS)",
          `store(m, 0, 7) = ${mapping.includes("PROT_WRITE") ? "0" : "SIGSEGV"}`,
          `load(m, 0) = ${readable ? "_" : "SIGSEGV"}`,
          'pwrite(f, "z", 1)',
          "munmap(m, 8K) = 0",
          "load(m, 0) = SIGSEGV",
          `fcntl(f, F_ADD_SEALS, ${added}) = ${added === "F_SEAL_SEAL" ? "-EPERM" : "0"}`,
          "fcntl(f, F_GET_SEALS)",
        ]);
      }),
    ),
  );
}

function sealArguments(): Table {
  const bits = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => bit !== 5);
  return table("arguments of F_ADD_SEALS", [
    ...bits.map((bit) =>
      scenario(`bit ${bit}`, [
        SEALABLE,
        `fcntl(f, F_ADD_SEALS, ${2 ** bit}) = ${bit < 5 ? "0" : "-EINVAL"}`,
        `fcntl(f, F_GET_SEALS) = ${bit < 5 ? 2 ** bit : 0}`,
      ]),
    ),
    scenario("an unknown bit beside a known one", [SEALABLE, "fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK|0x40) = -EINVAL", "fcntl(f, F_GET_SEALS) = 0"]),
    scenario("the unknown bit is seen before F_SEAL_SEAL", [
      SEALABLE,
      "fcntl(f, F_ADD_SEALS, F_SEAL_SEAL) = 0",
      "fcntl(f, F_ADD_SEALS, 0x40) = -EINVAL",
      "fcntl(f, F_ADD_SEALS, 0) = -EPERM",
    ]),
    scenario("F_SEAL_SEAL is seen before the mapping", [
      SEALABLE,
      "ftruncate(f, 4K) = 0",
      "m = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok",
      "fcntl(f, F_ADD_SEALS, F_SEAL_SEAL) = 0",
      "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = -EPERM",
    ]),
    scenario("not sealable", [
      'f = memfd_create("f", 0)',
      "fcntl(f, F_GET_SEALS) = 1",
      "fcntl(f, F_ADD_SEALS, 0) = -EPERM",
      "fcntl(f, F_ADD_SEALS, 0x40) = -EINVAL",
      "ftruncate(f, 4K) = 0",
      'write(f, "abc") = 3',
    ]),
    scenario("dup shares seals and offset", [
      SEALABLE,
      "g = dup(f) = ok",
      "fcntl(g, F_ADD_SEALS, F_SEAL_SHRINK) = 0",
      "fcntl(f, F_GET_SEALS) = 2",
      'write(f, "abcd") = 4',
      'write(g, "efgh") = 4',
      'pread(f, 16, 0) = 8 "abcdefgh"',
      "close(f) = 0",
      "fcntl(g, F_GET_SEALS) = 2",
    ]),
    scenario("a closed descriptor", [
      SEALABLE,
      "close(f) = 0",
      "fcntl(f, F_ADD_SEALS, 0x40) = -EBADF",
      "fcntl(f, F_GET_SEALS) = -EBADF",
      "close(f) = -EBADF",
      "g = dup(f) = -EBADF",
      "close(g) = -EBADF",
      "fallocate(f, 0, 0, 0) = -EBADF",
      "readlink_fd(f) = -EBADF",
    ]),
  ]);
}

export const SEAL_TABLES: readonly Table[] = [sealEffects(), sealCombinations(), growInsidePage(), sealsWithMappings(), sealArguments()];
