// Section 3 of the measured tables: fallocate and holes on memfd.

import { asked, type Row, row, type Unasked } from "./rows.ts";

const FILE = 'f = memfd_create("f", 0) = ok';
const EMPTY = [FILE, "ftruncate(f, 16K) = 0"];
const FULL = [FILE, "pwrite(f, 0x41 * 16384, 0) = 16384"];
const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
const MAPPED = "m = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0) = ok";

/** Bit 7 is FALLOC_FL_WRITE_ZEROES in this kernel, which the file system refuses; each other one the VFS. */
const modes: readonly Row[] = [
  ...["0", "FALLOC_FL_KEEP_SIZE", PUNCH].map((mode) => row("3.1", `mode ${mode}`, ...EMPTY, `fallocate(f, ${mode}, 0, 4K) = 0`)),
  ...Array.from({ length: 31 }, (_, bit) => bit + 1).flatMap((bit) =>
    [0, 1, 3]
      .map((with_) => BigInt(2 ** bit) | BigInt(with_))
      .filter((mode) => mode !== 3n)
      .map((mode) => row("3.1", `mode 0x${mode.toString(16)}`, ...EMPTY, `fallocate(f, ${mode}, 0, 4K) = -EOPNOTSUPP`)),
  ),
];

const ALLOCATE: readonly (readonly [offset: number, length: number, size: number, blocks: number])[] = [
  [0, 4096, 16384, 8],
  [4096, 8192, 16384, 16],
  [0, 16384, 16384, 32],
  [1, 1, 16384, 8],
  [4095, 2, 16384, 16],
  [16384, 4096, 20480, 8],
  [16383, 2, 16385, 16],
  [24576, 4096, 28672, 8],
  [16384, 1, 16385, 8],
];

const NEVER_USED = [MAPPED, 'mincore(m, 16K) = "0000"', "lseek(f, 0, SEEK_DATA) = -ENXIO", "lseek(f, 0, SEEK_HOLE) = 0", "lseek(f, 0, SEEK_CUR) = 0"];

const allocate: readonly Row[] = [
  ...ALLOCATE.flatMap(([offset, length, size, blocks]) => [
    row(
      "3.2",
      `(0, ${offset}, ${length})`,
      ...EMPTY,
      `fallocate(f, 0, ${offset}, ${length}) = 0`,
      `fstat(f, st_size) = ${size}`,
      `fstat(f, st_blocks) = ${blocks}`,
      ...NEVER_USED,
    ),
    row(
      "3.2",
      `(KEEP, ${offset}, ${length})`,
      ...EMPTY,
      `fallocate(f, FALLOC_FL_KEEP_SIZE, ${offset}, ${length}) = 0`,
      "fstat(f, st_size) = 16384",
      `fstat(f, st_blocks) = ${blocks}`,
      ...NEVER_USED,
    ),
  ]),
  row("3.2", "blocks beyond the end", ...EMPTY, "fallocate(f, FALLOC_FL_KEEP_SIZE, 12288, 12288) = 0", "fstat(f, st_blocks) = 24", "fstat(f, st_size) = 16384"),
  ...["0", "FALLOC_FL_KEEP_SIZE"].map((mode) =>
    row(
      "3.2",
      `mode ${mode} over data`,
      ...EMPTY,
      'pwrite(f, "data", 4096) = 4',
      `fallocate(f, ${mode}, 0, 16K) = 0`,
      'pread(f, 4, 4096) = 4 "data"',
      "fstat(f, st_blocks) = 32",
    ),
  ),
];

/** Range, blocks left, which pages hold data, and which mincore sees. */
const HOLES: readonly (readonly [offset: number, length: number, blocks: number, map: string])[] = [
  [0, 4096, 24, "hDDD"],
  [4096, 8192, 16, "DhhD"],
  [0, 16384, 0, "hhhh"],
  [0, 2 ** 40, 0, "hhhh"],
  [0, 1, 32, "DDDD"],
  [1, 1, 32, "DDDD"],
  [0, 4095, 32, "DDDD"],
  [4095, 2, 32, "DDDD"],
  [4196, 50, 32, "DDDD"],
  [16383, 1, 32, "DDDD"],
  [0, 4097, 24, "hDDD"],
  [1, 4096, 32, "DDDD"],
  [1, 8192, 24, "DhDD"],
  [4095, 4098, 24, "DhDD"],
  [12288, 32768, 24, "DDDh"],
  [16384, 4096, 32, "DDDD"],
  [32768, 1, 32, "DDDD"],
];

/** SEEK_DATA from each page: where the next one with data begins. */
function seeks(map: string): string[] {
  return [...map].map((_, page) => {
    const next = map.indexOf("D", page);
    return `lseek(f, ${page * 4096}, SEEK_DATA) = ${next < 0 ? "-ENXIO" : next * 4096}`;
  });
}

const incore = (map: string): string => `mincore(m, 16K) = "${map.replaceAll("D", "1").replaceAll("h", "0")}"`;

/** Bytes at the edges: `A` outside the range, 0 inside it. */
function bytes(offset: number, length: number): string[] {
  const places = [offset - 1, offset, offset + length - 1, offset + length].filter((at) => at >= 0 && at < 16384);
  return [...new Set(places)].map((at) => `pread(f, 1, ${at}) = 1 "${at >= offset && at < offset + length ? "\\x00" : "A"}"`);
}

const holes: readonly Row[] = [
  row("3.3", "no hole", ...FULL, "fstat(f, st_blocks) = 32", ...seeks("DDDD"), MAPPED, incore("DDDD"), "fstat(f, st_size) = 16384"),
  ...HOLES.map(([offset, length, blocks, map]) =>
    row(
      "3.3",
      `${offset}+${length}`,
      ...FULL,
      "lseek(f, 100, SEEK_SET) = 100",
      `fallocate(f, ${PUNCH}, ${offset}, ${length}) = 0`,
      "lseek(f, 0, SEEK_CUR) = 100",
      `fstat(f, st_blocks) = ${blocks}`,
      "fstat(f, st_size) = 16384",
      ...seeks(map),
      MAPPED,
      incore(map),
      ...bytes(offset, length),
    ),
  ),
  ...[
    [0, 4096],
    [1, 5],
  ].map(([offset, length]) =>
    row(
      "3.3",
      `${offset}+${length} of an empty file`,
      ...EMPTY,
      `fallocate(f, ${PUNCH}, ${offset}, ${length}) = 0`,
      "fstat(f, st_blocks) = 0",
      ...seeks("hhhh"),
      MAPPED,
      incore("hhhh"),
    ),
  ),
  row("3.3", "a read of a hole", ...EMPTY, 'pread(f, 2, 0) = 2 "\\x00\\x00"', "fstat(f, st_blocks) = 0", ...seeks("hhhh")),
  row("3.3", "a load takes a page", ...EMPTY, MAPPED, "load(m, 4K) = 0", "fstat(f, st_blocks) = 8", ...seeks("hDhh"), incore("hDhh")),
  row("3.3", "a smaller size zeroes the tail", ...FULL, "ftruncate(f, 100) = 0", "ftruncate(f, 4K) = 0", 'pread(f, 2, 99) = 2 "A\\x00"'),
  row("3.3", "behind the page of the end", ...EMPTY, "ftruncate(f, 5000) = 0", MAPPED, "load(m, 8191) = 0", "load(m, 8K) = SIGBUS", "store(m, 8K, 1) = SIGBUS"),
  ...asked("3.3", FULL, [
    ["lseek(f, 16K, SEEK_DATA)", "-ENXIO"],
    ["lseek(f, 16K, SEEK_HOLE)", "-ENXIO"],
    ["lseek(f, 16383, SEEK_HOLE)", "16384"],
    ["lseek(f, -1, SEEK_DATA)", "-ENXIO"],
  ]),
];

const READ_ONLY = [...EMPTY, "r = open_fd(f, O_RDONLY) = ok"];
const IGNORED = [FILE, "setrlimit(RLIMIT_FSIZE, 24576) = 0"];

const bad: readonly Row[] = [
  ...["0", "FALLOC_FL_KEEP_SIZE", PUNCH, "FALLOC_FL_PUNCH_HOLE", "0x8", "0x100"].flatMap((mode) =>
    asked("3.4", EMPTY, [
      [`fallocate(f, ${mode}, -1, 4K)`, "-EINVAL"],
      [`fallocate(f, ${mode}, 0, 0)`, "-EINVAL"],
      [`fallocate(f, ${mode}, 0, -1)`, "-EINVAL"],
      [`fallocate(f, ${mode}, -1, -1)`, "-EINVAL"],
    ]),
  ),
  ...asked("3.4", READ_ONLY, [
    ["fallocate(r, 0x100, 0, 4K)", "-EOPNOTSUPP"],
    ["fallocate(r, FALLOC_FL_PUNCH_HOLE, 0, 4K)", "-EOPNOTSUPP"],
    ["fallocate(r, 0x100, 0x7ffffffffffff000, 4K)", "-EOPNOTSUPP"],
    ["fallocate(r, 0, 0, 4K)", "-EBADF"],
    ["fallocate(r, 0, 0x7ffffffffffff000, 4K)", "-EBADF"],
    ["fallocate(r, 0, 0, 0)", "-EINVAL"],
    // A mode that the VFS knows and shmem does not: the descriptor is looked at first (FALLOC_FL_WRITE_ZEROES, Linux 6.17).
    ["fallocate(r, FALLOC_FL_WRITE_ZEROES, 0, 4K)", "-EBADF"],
    ["fallocate(r, FALLOC_FL_ZERO_RANGE, 0, 4K)", "-EBADF"],
  ]),
  ...["0", "FALLOC_FL_KEEP_SIZE", PUNCH].map((mode) =>
    row("3.4", `overflow in mode ${mode}`, ...EMPTY, `fallocate(f, ${mode}, 0x7ffffffffffff000, 4K) = -EFBIG`),
  ),
  row("3.4", "overflow in mode 2 alone", ...EMPTY, "fallocate(f, FALLOC_FL_PUNCH_HOLE, 0x7ffffffffffff000, 4K) = -EOPNOTSUPP"),
  ...asked(
    "3.4",
    [...EMPTY, "close(f) = 0"],
    [
      ["fallocate(f, 0, 0, 4K)", "-EBADF"],
      ["fallocate(f, 0, 0, 0)", "-EBADF"],
    ],
  ),
  ...asked(
    "3.4",
    ["p = pipe2(0) = ok", "w = open_fd(p, O_WRONLY) = ok", 'd = open("/", O_RDONLY) = ok', 'n = open("/dev/null", O_RDWR) = ok'],
    [
      ["fallocate(w, 0, 0, 4K)", "-ESPIPE"],
      ["fallocate(p, 0, 0, 4K)", "-EBADF"],
      ["fallocate(d, 0, 0, 4K)", "-EBADF"],
      ["fallocate(n, 0, 0, 4K)", "-ENODEV"],
    ],
  ),
  row("3.4", "a descriptor with O_APPEND", ...EMPTY, "a = open_fd(f, O_RDWR|O_APPEND) = ok", "fallocate(a, 0, 0, 4K) = 0"),
  ...asked("3.4", IGNORED, [
    ["fallocate(f, 0, 0, 32768)", "-EFBIG"],
    ["fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 32768)", "-EFBIG"],
    ["fallocate(f, 0, 0, 24576)", "0"],
    ["ftruncate(f, 32768)", "-EFBIG"],
    ["pwrite(f, 0x41 * 16384, 16384)", "8192"],
    ['pwrite(f, "a", 24576)', "-EFBIG"],
  ]),
  ...asked("3.4", [FILE], [["ftruncate(f, -1)", "-EINVAL"]]),
  row("3.4", "the largest size", FILE, "ftruncate(f, 0x7fffffffffffffff) = 0", "fstat(f, st_size) = 0x7fffffffffffffff", "fstat(f, st_blocks) = 0"),
];

export const SECTION_3: readonly Row[] = [...modes, ...allocate, ...holes, ...bad];

export const UNASKED_3: readonly Unasked[] = [
  { section: "3.4", name: "SIGXFSZ", reason: "the limit is modelled with the signal ignored, as it was measured", call: "sigaction" },
  {
    section: "3.4",
    name: "a resource that is not modelled",
    reason: "of the resources of setrlimit only",
    lines: ["setrlimit(3, 4096)"],
  },
];
