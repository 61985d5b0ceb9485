// Random straight-line programs over the calls that the modelled kernels and today's share, as scenario text. A line is a function of the names that exist.

import fc from "fast-check";

interface Names {
  readonly fds: string[];
  /** Mappings that an munmap may have made a hole in. */
  readonly torn: Set<string>;
  readonly maps: string[];
  readonly vms: string[];
  readonly vcpus: string[];
}

type Line = (names: Names) => string | undefined;
export type LineArbitrary = fc.Arbitrary<Line>;

/** A program: its statements, one a line. */
export type Lines = readonly string[];

const PAGE = 4096;
const SIZES = [0, 1, 100, 4095, PAGE, 4097, 5000, 8191, 2 * PAGE, 8193, 3 * PAGE, 4 * PAGE, 16385, 5 * PAGE];
const OFFSETS = [0, 0, 1, 50, 100, 4095, PAGE, PAGE, 4097, 5000, 8190, 2 * PAGE, 3 * PAGE, 12289, 4 * PAGE, 5 * PAGE];
const HUGE = ["1T", "0x4000000000000000", "0x7ffffffffffff000", "0x7fffffffffffffff"];
const NEGATIVE = ["-1", "-4K", "0x8000000000000000"];

export const from = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
/** Mostly the first list, now and then one of the others. */
export const mostly = <T>(usual: readonly T[], rare: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: from(...usual) }, { weight: 1, arbitrary: from(...rare) });
const texts = (numbers: readonly number[]): string[] => numbers.map(String);
export const size = mostly(texts(SIZES), [...HUGE, ...NEGATIVE]);
const offset = mostly(texts(OFFSETS), [...HUGE, ...NEGATIVE]);
const near = from(...texts(OFFSETS), "16383", "20479");
export const pick = fc.nat(999);
const byte = fc.integer({ min: 1, max: 255 }).map(String);

/** One of the names; a bad descriptor now and then. */
export const fdOf = (names: Names, at: number): string => (at % 40 === 39 || names.fds.length === 0 ? "-1" : names.fds[at % names.fds.length]);
export const oneOf = (names: readonly string[], at: number): string | undefined => names[at % Math.max(1, names.length)];

export function fresh(list: string[], letter: string): string {
  const name = `${letter}${list.length}`;
  list.push(name);
  return name;
}

const create: LineArbitrary = fc
  .tuple(
    mostly(['"ram"', '""', '"a/b"', '"(deleted)"', '"x" * 249'], ['"x" * 250', '"x" * 300', "NULL"]),
    mostly(["MFD_ALLOW_SEALING", "MFD_ALLOW_SEALING|MFD_CLOEXEC", "0", "MFD_CLOEXEC"], ["0x20", "0x80000000", "0x42", "-1", "0x10"]),
  )
  .map(
    ([name, flags]) =>
      (names) =>
        `${fresh(names.fds, "f")} = memfd_create(${name}, ${flags})`,
  );

export const truncate: LineArbitrary = fc.tuple(pick, size).map(
  ([fd, length]) =>
    (names) =>
      `ftruncate(${fdOf(names, fd)}, ${length})`,
);

const MODES = ["0", "0", "FALLOC_FL_KEEP_SIZE", "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE", "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE"];
const ODD_MODES = ["FALLOC_FL_PUNCH_HOLE", "4", "8", "0x10", "0x11", "0x13", "0x20", "0x40", "0x41", "0x80", "9", "0x30", "-1"];

/** Memory is taken for each page of an allocation, so a huge length goes with a hole only. */
export const allocate: LineArbitrary = fc
  .tuple(pick, mostly(MODES, ODD_MODES), offset, mostly(texts(SIZES.slice(1)), ["0", ...NEGATIVE]), fc.nat(9), from(...HUGE))
  .map(
    ([fd, mode, at, length, wide, huge]) =>
      (names) =>
        `fallocate(${fdOf(names, fd)}, ${mode}, ${at}, ${wide === 0 && mode.includes("PUNCH_HOLE|") ? huge : length})`,
  );

const data: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: from('"abcd"', '"hello, memfd"', '"z"', '"\\x00\\xff"') },
  { weight: 4, arbitrary: fc.tuple(byte, from("1", "8", "100", "4K", "4097", "5000", "8K", "16K")).map(([value, count]) => `${value} * ${count}`) },
  { weight: 1, arbitrary: from('""') },
);
const shown = mostly(["1", "4", "8", "16", "64"], ["0", "65", "4K", "4097", "16K"]);

export const pwrite: LineArbitrary = fc.tuple(pick, data, offset).map(
  ([fd, bytes, at]) =>
    (names) =>
      `pwrite(${fdOf(names, fd)}, ${bytes}, ${at})`,
);
export const pread: LineArbitrary = fc.tuple(pick, shown, offset).map(
  ([fd, count, at]) =>
    (names) =>
      `pread(${fdOf(names, fd)}, ${count}, ${at})`,
);
export const write: LineArbitrary = fc.tuple(pick, data).map(
  ([fd, bytes]) =>
    (names) =>
      `write(${fdOf(names, fd)}, ${bytes})`,
);
export const read: LineArbitrary = fc.tuple(pick, shown).map(
  ([fd, count]) =>
    (names) =>
      `read(${fdOf(names, fd)}, ${count})`,
);

const PROTS = ["PROT_READ|PROT_WRITE", "PROT_READ|PROT_WRITE", "PROT_READ", "PROT_WRITE", "PROT_NONE"];
export const mapFile: LineArbitrary = fc
  .tuple(
    pick,
    mostly(["4K", "8K", "16K", "1", "4097"], ["0", "0x800000000001", "-4K"]),
    from(...PROTS),
    mostly(["MAP_SHARED", "MAP_SHARED", "MAP_PRIVATE"], ["MAP_SHARED_VALIDATE", "0", "MAP_SHARED|MAP_NORESERVE"]),
    mostly(["0", "0", "4K", "8K"], ["1", "16K", "0x7ffffffffffff000", "-4K"]),
  )
  .map(
    ([fd, length, prot, flags, at]) =>
      (names) =>
        `${fresh(names.maps, "m")} = mmap(NULL, ${length}, ${prot}, ${flags}, ${fdOf(names, fd)}, ${at})`,
  );
const mapAnonymous: LineArbitrary = fc
  .tuple(from("4K", "8K", "5000"), from(...PROTS), mostly(["MAP_PRIVATE|MAP_ANONYMOUS", "MAP_SHARED|MAP_ANONYMOUS"], ["MAP_ANONYMOUS"]))
  .map(
    ([length, prot, flags]) =>
      (names) =>
        `${fresh(names.maps, "m")} = mmap(NULL, ${length}, ${prot}, ${flags}, -1, 0)`,
  );

export const unmap: LineArbitrary = fc
  .tuple(pick, mostly(["", "", " + 4K", " + 8K"], [" + 1"]), mostly(["4K", "8K", "16K", "1"], ["0", "-4K"]))
  .map(([map, shift, length]) => (names) => {
    const name = oneOf(names.maps, map);
    if (name) names.torn.add(name);
    return name && `munmap(${name}${shift}, ${length})`;
  });

export const load: LineArbitrary = fc.tuple(pick, near).map(([map, at]) => (names) => {
  const name = oneOf(names.maps, map);
  return name && `load(${name}, ${at})`;
});
export const store: LineArbitrary = fc.tuple(pick, near, byte).map(([map, at, value]) => (names) => {
  const name = oneOf(names.maps, map);
  return name && `store(${name}, ${at}, ${value})`;
});

const SEALS = ["F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE", "F_SEAL_FUTURE_WRITE", "F_SEAL_SHRINK|F_SEAL_GROW", "F_SEAL_GROW|F_SEAL_WRITE", "0"];
const addSeals: LineArbitrary = fc
  .tuple(pick, mostly(SEALS, ["F_SEAL_SEAL", "0x40", "0x80000000", "0x44", "0x1f", "0x20", "0x100000002", "F_SEAL_SEAL|F_SEAL_WRITE"]))
  .map(
    ([fd, seals]) =>
      (names) =>
        `fcntl(${fdOf(names, fd)}, F_ADD_SEALS, ${seals})`,
  );
const getSeals: LineArbitrary = pick.map((fd) => (names) => `fcntl(${fdOf(names, fd)}, F_GET_SEALS)`);
export const dup: LineArbitrary = pick.map((fd) => (names) => {
  const source = fdOf(names, fd);
  return `${fresh(names.fds, "f")} = dup(${source})`;
});
export const close: LineArbitrary = pick.map((fd) => (names) => `close(${fdOf(names, fd)})`);
const readlink: LineArbitrary = pick.map((fd) => (names) => (names.fds.length === 0 ? undefined : `readlink_fd(${names.fds[fd % names.fds.length]})`));

export const weighted = (...rows: readonly (readonly [number, LineArbitrary])[]): LineArbitrary =>
  fc.oneof(...rows.map(([weight, arbitrary]) => ({ weight, arbitrary })));

const FILE_LINES = weighted(
  [2, create],
  [5, truncate],
  [8, allocate],
  [8, pwrite],
  [8, pread],
  [3, write],
  [3, read],
  [6, mapFile],
  [1, mapAnonymous],
  [2, unmap],
  [9, load],
  [8, store],
  [6, addSeals],
  [2, getSeals],
  [1, dup],
  [1, close],
  [1, readlink],
);

export const programOf = (start: readonly LineArbitrary[], lines: LineArbitrary, length: { minLength: number; maxLength: number }): fc.Arbitrary<Lines> =>
  fc.tuple(fc.tuple(...start), fc.array(lines, length)).map(([first, rest]) => {
    const names: Names = { fds: [], torn: new Set(), maps: [], vms: [], vcpus: [] };
    return [...first, ...rest].flatMap((line) => line(names) ?? []);
  });

/** memfd calls. */
export const filePrograms: fc.Arbitrary<Lines> = programOf([create, truncate], FILE_LINES, { minLength: 6, maxLength: 22 });

/** Every flag of today's memfd_create but MFD_HUGETLB, whose files hold nothing here. */
export const createNow: LineArbitrary = fc
  .tuple(
    mostly(['"ram"', '""', '"(deleted)"', '"x" * 249'], ['"x" * 250', "NULL"]),
    mostly(["2", "2", "0", "1", "8", "10", "0x10", "0x12", "9", "0x13"], ["0x18", "0x20", "0x1a", "-1", "0x40000000", "0x100000002"]),
  )
  .map(
    ([name, flags]) =>
      (names) =>
        `${fresh(names.fds, "f")} = memfd_create(${name}, ${flags})`,
  );
export const seek: LineArbitrary = fc.tuple(pick, offset, mostly(["0", "1", "2", "3", "3", "4", "4"], ["5", "-1"])).map(
  ([fd, at, whence]) =>
    (names) =>
      `lseek(${fdOf(names, fd)}, ${at}, ${whence})`,
);
export const chmod: LineArbitrary = fc
  .tuple(pick, mostly(["0o777", "0o755", "0o666", "0o644", "0o600", "0o100", "0o111"], ["0", "0o7777", "0x10000", "-1"]))
  .map(
    ([fd, mode]) =>
      (names) =>
        `fchmod(${fdOf(names, fd)}, ${mode})`,
  );
export const reopen: LineArbitrary = fc
  .tuple(pick, mostly(["0", "0", "1", "2", "2", "0x202", "0x200", "0x80002"], ["0xc2", "0x200000", "0x42"]))
  .map(([fd, flags]) => (names) => {
    const source = fdOf(names, fd);
    return `${fresh(names.fds, "f")} = open_fd(${source}, ${flags})`;
  });
const rangeLength = mostly(["4K", "4K", "8K", "16K", "1", "4097"], ["0", "-4K", "-1", "0xfffffffffffff001"]);
const shifted = mostly(["", "", " + 4K", " + 8K"], [" + 1"]);
export const protect: LineArbitrary = fc
  .tuple(pick, shifted, rangeLength, mostly([...PROTS, "PROT_READ|PROT_EXEC"], ["0x20", "0x7fffffff00000000"]))
  .map(([map, shift, length, prot]) => (names) => {
    const name = oneOf(names.maps, map);
    return name && `mprotect(${name}${shift}, ${length}, ${prot})`;
  });
/** DONTNEED, WILLNEED, REMOVE, and advice that does not exist. A hole behind a mapping with a gap is not modelled. */
const advise: LineArbitrary = fc
  .tuple(pick, shifted, rangeLength, mostly(["4", "4", "9", "9", "0", "3"], ["5", "7", "26", "-1"]))
  .map(([map, shift, length, advice]) => (names) => {
    const name = oneOf(names.maps, map);
    return name && !(advice === "9" && names.torn.has(name)) ? `madvise(${name}${shift}, ${length}, ${advice})` : undefined;
  });
const SEALS_NOW = [...SEALS, "0x20", "0x20", "0x22", "0x30"];
export const sealNow: LineArbitrary = fc.tuple(pick, mostly(SEALS_NOW, ["F_SEAL_SEAL", "0x40", "0x3f", "0x100000002", "0x8000000000000000", "-1", "0x21"])).map(
  ([fd, seals]) =>
    (names) =>
      `fcntl(${fdOf(names, fd)}, F_ADD_SEALS, ${seals})`,
);

/** All that a memfd can do in the kernel that conformance is measured on. */
export const mainlinePrograms: fc.Arbitrary<Lines> = programOf(
  [createNow, truncate],
  weighted(
    [2, createNow],
    [4, truncate],
    [6, allocate],
    [6, pwrite],
    [6, pread],
    [3, write],
    [3, read],
    [6, seek],
    [3, chmod],
    [3, reopen],
    [8, mapFile],
    [1, mapAnonymous],
    [1, unmap],
    [9, protect],
    [4, advise],
    [6, load],
    [6, store],
    [8, sealNow],
    [2, getSeals],
    [1, dup],
    [1, close],
    [1, readlink],
  ),
  { minLength: 8, maxLength: 30 },
);

export const fixed = (list: "fds" | "maps" | "vms" | "vcpus", letter: string, text: string): LineArbitrary =>
  fc.constant((names: Names) => `${fresh(names[list], letter)} = ${text}`);

/** Long programs on one file of a few pages, mapped shared and private: where bytes go. */
export const contentPrograms: fc.Arbitrary<Lines> = programOf(
  [
    fixed("fds", "f", 'memfd_create("ram", MFD_ALLOW_SEALING)'),
    from("8K", "10000", "16K").map((length) => () => `ftruncate(f0, ${length})`),
    fixed("maps", "m", "mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, f0, 0)"),
    fixed("maps", "m", "mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f0, 0)"),
    fixed("maps", "m", "mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f0, 4K)"),
  ],
  weighted(
    [3, truncate],
    [6, allocate],
    [6, pwrite],
    [8, pread],
    [3, write],
    [3, read],
    [1, mapFile],
    [1, unmap],
    [12, load],
    [12, store],
    [1, addSeals],
    [1, dup],
  ),
  { minLength: 20, maxLength: 40 },
);

const createVm: LineArbitrary = mostly(["0"], ["1", "9", "-1"]).map((type) => (names) => `${fresh(names.vms, "vm")} = KVM_CREATE_VM(${type})`);
const createVcpu: LineArbitrary = fc.tuple(pick, from("0", "1", "1", "7", "4095", "-1", "0x100000")).map(([vm, id]) => (names) => {
  const name = oneOf(names.vms, vm);
  return name && `${fresh(names.vcpus, "vcpu")} = KVM_CREATE_VCPU(${name}, ${id})`;
});

interface Slot {
  readonly id: fc.Arbitrary<string>;
  readonly flags: fc.Arbitrary<string>;
  readonly gpa: fc.Arbitrary<string>;
  readonly size: fc.Arbitrary<string>;
}

const slotLine = ({ id, flags, gpa, size: bytes }: Slot): LineArbitrary =>
  fc
    .tuple(fc.tuple(pick, id, flags, gpa), bytes, pick, mostly(["", "", " + 4K"], [" + 1"]), fc.nat(9))
    .map(([[vm, slot, flag, at], length, map, shift, plain]) => (names) => {
      const target = oneOf(names.vms, vm);
      const mapping = oneOf(names.maps, map);
      const address = plain === 0 ? from8(map) : mapping === undefined ? "0" : `${mapping}${shift}`;
      return (
        target && `KVM_SET_USER_MEMORY_REGION(${target}, slot=${slot}, flags=${flag}, guest_phys_addr=${at}, memory_size=${length}, userspace_addr=${address})`
      );
    });

/** Addresses that are no mapping: nothing looks at them before the guest does, but for alignment and the user half. */
const from8 = (at: number): string => ["0", "0x10000", "0x10001", "0xffff800000000000"][at % 4];

const GEOMETRY: Slot = {
  id: mostly(["0", "0", "1", "2", "32763"], ["32764", "0xffff"]),
  flags: mostly(["0", "0", "KVM_MEM_LOG_DIRTY_PAGES"], ["KVM_MEM_READONLY", "3", "8", "0x10000", "0x80000000"]),
  gpa: mostly(["0", "4K", "8K", "1M"], ["1", "-4K", "2K", "0x10000000000000"]),
  size: mostly(["4K", "8K", "8K", "0", "0"], ["1", "4097", "0x80000000000", "-4K"]),
};

/** Slots of VMs without private memory. */
export const slotPrograms: fc.Arbitrary<Lines> = programOf(
  [createVm, mapAnonymous],
  weighted([1, createVm], [2, createVcpu], [1, mapAnonymous], [14, slotLine(GEOMETRY)]),
  { minLength: 4, maxLength: 16 },
);

const guestGpa = from("0", "1", "0x64", "0xfff", "0x1000", "0x1001", "0x2000", "0x3fff", "0x8000");
const guestLoad: LineArbitrary = guestGpa.map((gpa) => (names) => (names.vcpus.length === 0 ? undefined : `vcpu0: load(${gpa})`));
const guestStore: LineArbitrary = fc.tuple(guestGpa, byte).map(
  ([gpa, value]) =>
    (names) =>
      names.vcpus.length === 0 ? undefined : `vcpu0: store(${gpa}, ${value})`,
);
const GUEST: Slot = {
  id: from("0", "0", "1"),
  flags: mostly(["0"], ["KVM_MEM_LOG_DIRTY_PAGES", "KVM_MEM_READONLY"]),
  gpa: from("0", "0", "4K", "8K"),
  size: mostly(["4K", "8K", "16K"], ["0"]),
};

/** Guest data flow in ordinary slots: both sides see one page. */
export const guestPrograms: fc.Arbitrary<Lines> = programOf(
  [
    fixed("fds", "f", 'memfd_create("ram", MFD_ALLOW_SEALING)'),
    fc.constant(() => "ftruncate(f0, 16K)"),
    fixed("vms", "vm", "KVM_CREATE_VM(0)"),
    fixed("vcpus", "vcpu", "KVM_CREATE_VCPU(vm0, 0)"),
    fixed("maps", "m", "mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, f0, 0)"),
    slotLine(GUEST),
  ],
  weighted(
    [6, guestLoad],
    [6, guestStore],
    [3, slotLine(GUEST)],
    [2, load],
    [3, store],
    [2, pwrite],
    [2, pread],
    [2, allocate],
    [1, mapFile],
    [1, mapAnonymous],
    [1, unmap],
    [1, truncate],
  ),
  { minLength: 8, maxLength: 22 },
);

export function scenarioText(programs: readonly Lines[], kernels: readonly string[]): string {
  return [`kernel ${kernels.join(", ")}`, ...programs.map((lines, index) => `scenario "${index}" {\n${lines.map((line) => `  ${line}`).join("\n")}\n}`)].join(
    "\n\n",
  );
}
