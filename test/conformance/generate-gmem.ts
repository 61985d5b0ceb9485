// Random programs over guest_memfd and the slots that it is bound to, for VMs of type 0, as scenario text: what KVM_CREATE_GUEST_MEMFD and the file answer,
// mappings with both flags, and the checks of KVM_SET_USER_MEMORY_REGION2.

import fc from "fast-check";
import { from, type Lines, mostly, oneOf, pick } from "./generate.ts";

interface Names {
  /** guest_memfds, dups of them, and a few descriptors of another kind. */
  readonly fds: string[];
  readonly maps: string[];
  /** VMs, and other descriptors of them, open or closed. */
  readonly vms: string[];
  readonly vcpus: string[];
}

type LineArbitrary = fc.Arbitrary<(names: Names) => string | undefined>;

function fresh(list: string[], letter: string): string {
  const name = `${letter}${list.length}`;
  list.push(name);
  return name;
}

const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
const SIZES = ["4K", "8K", "16K", "16K", "32K"];
const ODD_SIZES = ["0", "1", "512", "4095", "4097", "-1", "-4K", "0x8000000000000000", "0x7fffffffffffffff", "0x7ffffffffffff000", "1T", "1G"];
const FLAGS = ["0", "1", "2", "3", "3", "3"];
const ODD_FLAGS = ["4", "7", "8", "0x100000000", "0x8000000000000000", "-1"];
const OFFSETS = ["0", "0", "4K", "8K", "12K", "16K", "20K"];
const ODD_OFFSETS = ["1", "512", "4095", "4097", "-1", "-4K", "0x8000000000000000", "0x7fffffffffffffff"];
const LENGTHS = ["4K", "4K", "8K", "16K", "32K"];
const ODD_LENGTHS = ["0", "1", "4095", "4097", "-1", "-4K", "1T"];

/** A bad descriptor now and then. */
const fdOf = (names: Names, at: number): string => (at % 50 === 49 ? "-1" : (oneOf(names.fds, at) ?? "-1"));

const create: LineArbitrary = fc.tuple(pick, mostly(SIZES, ODD_SIZES), mostly(FLAGS, ODD_FLAGS)).map(([vm, size, flags]) => (names) => {
  const target = oneOf(names.vms, vm);
  return `${fresh(names.fds, "g")} = KVM_CREATE_GUEST_MEMFD(${target}, size=${size}, flags=${flags})`;
});

/** Memory is taken for each page of an allocation, so a huge length goes with a hole or with a mode that is refused. */
const modest = (mode: string, length: string): string => (length === "1T" && (mode === "0" || mode === "FALLOC_FL_KEEP_SIZE") ? "16K" : length);

const allocate: LineArbitrary = fc
  .tuple(
    pick,
    mostly(["FALLOC_FL_KEEP_SIZE", "FALLOC_FL_KEEP_SIZE", PUNCH, PUNCH], ["0", "2", "4", "8", "0x10", "0x11", "0x13", "0x20", "0x41", "0x80", "-1"]),
    mostly(OFFSETS, ODD_OFFSETS),
    mostly(LENGTHS, ODD_LENGTHS),
  )
  .map(
    ([fd, mode, at, length]) =>
      (names) =>
        `fallocate(${fdOf(names, fd)}, ${mode}, ${at}, ${modest(mode, length)})`,
  );

/** Edges of the file's size and of 64 bits. */
const edges: LineArbitrary = fc
  .tuple(pick, from("FALLOC_FL_KEEP_SIZE", PUNCH), from("0x7ffffffffffff000", "0x7fffffffffffe000", "1T"), from("4K", "8K", "0x7fffffffffffffff"))
  .map(
    ([fd, mode, at, length]) =>
      (names) =>
        `fallocate(${fdOf(names, fd)}, ${mode}, ${at}, ${length})`,
  );

/** What the file refuses. */
const refused: LineArbitrary = fc
  .tuple(
    pick,
    from(
      "ftruncate(FD, 0)",
      "ftruncate(FD, 4K)",
      "ftruncate(FD, 16K)",
      "ftruncate(FD, -1)",
      "read(FD, 4)",
      "write(FD, 65 * 4)",
      "pread(FD, 4, 0)",
      "pread(FD, 4, -1)",
      "pwrite(FD, 65 * 4, 0)",
      "pwrite(FD, 65 * 4, -1)",
      "lseek(FD, 0, SEEK_SET)",
      "lseek(FD, 0, SEEK_DATA)",
      "lseek(FD, 0, 7)",
      "fcntl(FD, F_GET_SEALS)",
      "fcntl(FD, F_ADD_SEALS, F_SEAL_SHRINK)",
      "fcntl(FD, F_ADD_SEALS, 0x40)",
      "fchmod(FD, 0o777)",
    ),
  )
  .map(
    ([fd, call]) =>
      (names) =>
        call.replace("FD", fdOf(names, fd)),
  );

const map: LineArbitrary = fc
  .tuple(
    pick,
    mostly(["4K", "16K", "16K", "32K"], ["0", "1"]),
    mostly(
      ["PROT_READ|PROT_WRITE", "PROT_READ|PROT_WRITE", "PROT_READ|PROT_WRITE", "PROT_READ", "PROT_NONE"],
      ["PROT_READ|PROT_EXEC", "PROT_EXEC", "PROT_WRITE"],
    ),
    mostly(["MAP_SHARED", "MAP_SHARED", "MAP_SHARED", "3"], ["MAP_PRIVATE", "0"]),
    mostly(["0", "0", "0", "4K", "16K"], ["1"]),
  )
  .map(([fd, length, prot, flags, at]) => (names) => {
    const file = fdOf(names, fd);
    return `${fresh(names.maps, "m")} = mmap(NULL, ${length}, ${prot}, ${flags}, ${file}, ${at})`;
  });

const near = from("0", "0", "1", "4095", "4K", "4K", "8191", "8K", "12K", "16383", "16K", "20K");
const load: LineArbitrary = fc.tuple(pick, near).map(([at, off]) => (names) => {
  const mapping = oneOf(names.maps, at);
  return mapping && `load(${mapping}, ${off})`;
});
const store: LineArbitrary = fc.tuple(pick, near, fc.integer({ min: 1, max: 255 })).map(([at, off, value]) => (names) => {
  const mapping = oneOf(names.maps, at);
  return mapping && `store(${mapping}, ${off}, ${value})`;
});
const unmap: LineArbitrary = pick.map((at) => (names) => {
  const mapping = oneOf(names.maps, at);
  return mapping && `munmap(${mapping}, 32K)`;
});

const shifted = mostly(["", "", " + 4K"], [" + 1"]);
const range = mostly(["4K", "8K", "16K", "1"], ["0", "-4K"]);
const protect: LineArbitrary = fc
  .tuple(pick, shifted, range, mostly(["PROT_READ", "PROT_NONE", "PROT_READ|PROT_WRITE", "PROT_READ|PROT_WRITE"], ["PROT_EXEC", "PROT_READ|PROT_EXEC", "0x20"]))
  .map(([at, shift, length, prot]) => (names) => {
    const mapping = oneOf(names.maps, at);
    return mapping && `mprotect(${mapping}${shift}, ${length}, ${prot})`;
  });
/** NORMAL, DONTNEED, FREE, DONTFORK, HUGEPAGE, NOHUGEPAGE, DONTDUMP, COLD, and advice that does not exist. */
const advise: LineArbitrary = fc
  .tuple(pick, shifted, range, mostly(["0", "4", "4", "4", "8", "10", "14", "15", "16", "20"], ["5", "26", "-1"]))
  .map(([at, shift, length, advice]) => (names) => {
    const mapping = oneOf(names.maps, at);
    return mapping && `madvise(${mapping}${shift}, ${length}, ${advice})`;
  });

/** The file and its pages as user space sees them, and faults ahead of the access. */
const look: LineArbitrary = fc
  .tuple(
    pick,
    from("fstat(F, st_blocks)", "fstat(F, st_size)", "fstat(F, st_mode)", "fstat(F, st_nlink)", "fstatfs(F, f_type)", "fcntl(F, F_GETFL)", "fcntl(F, F_GETFD)"),
  )
  .map(
    ([fd, line]) =>
      (names) =>
        line.replace("F", fdOf(names, fd)),
  );
const pages: LineArbitrary = fc
  .tuple(pick, shifted, range, from("mincore", "mincore", "MADV_POPULATE_READ", "MADV_POPULATE_WRITE"))
  .map(([at, shift, length, what]) => (names) => {
    const mapping = oneOf(names.maps, at);
    return mapping && (what === "mincore" ? `mincore(${mapping}${shift}, ${length})` : `madvise(${mapping}${shift}, ${length}, ${what})`);
  });

const dup: LineArbitrary = pick.map((fd) => (names) => {
  const source = fdOf(names, fd);
  return `${fresh(names.fds, "g")} = dup(${source})`;
});
const close: LineArbitrary = pick.map((fd) => (names) => `close(${fdOf(names, fd)})`);
const memfd: LineArbitrary = fc.constant((names: Names) => `${fresh(names.fds, "g")} = memfd_create("ram", MFD_ALLOW_SEALING)`);
const createVm: LineArbitrary = fc.constant((names: Names) => `${fresh(names.vms, "vm")} = KVM_CREATE_VM(0)`);

/** What becomes of a VM whose descriptors go, while files and vCPUs of it are there. */
const dupVm: LineArbitrary = pick.map((vm) => (names) => {
  const source = oneOf(names.vms, vm);
  return `${fresh(names.vms, "vm")} = dup(${source})`;
});
const closeVm: LineArbitrary = fc.tuple(pick, pick).map(([at, which]) => (names) => {
  const descriptor = oneOf(which % 3 === 0 ? names.vcpus : names.vms, at);
  return descriptor && `close(${descriptor})`;
});
const createVcpu: LineArbitrary = fc.tuple(pick, from("0", "0", "1", "4095", "4096")).map(([vm, id]) => (names) => {
  const target = oneOf(names.vms, vm);
  return `${fresh(names.vcpus, "c")} = KVM_CREATE_VCPU(${target}, ${id})`;
});

const slotAddress = (names: Names, at: number, odd: number): string => {
  const mapping = odd === 0 ? undefined : oneOf(names.maps, at);
  return mapping === undefined ? ["0", "0x10000", "0x10001", "0xffff800000000000"][at % 4] : mapping;
};

/** Binding, and everything that may be wrong with it. */
const bind: LineArbitrary = fc
  .tuple(
    fc.tuple(pick, mostly(["0", "1", "1", "2"], ["32763", "32764", "0x10000"])),
    mostly(["KVM_MEM_GUEST_MEMFD", "KVM_MEM_GUEST_MEMFD", "KVM_MEM_GUEST_MEMFD", "KVM_MEM_GUEST_MEMFD", "0"], ["1", "2", "5", "6", "8", "12", "0x80000004"]),
    fc.tuple(mostly(["0", "0", "16K", "32K", "1M"], ["1", "4K", "-4K"]), mostly(["4K", "8K", "16K", "16K", "0"], ["1", "4097", "-4K"])),
    mostly(OFFSETS, ODD_OFFSETS),
    fc.tuple(pick, pick, fc.nat(9)),
  )
  .map(([[vm, slot], flags, [gpa, size], offset, [fd, at, odd]]) => (names) => {
    const target = oneOf(names.vms, vm);
    const address = slotAddress(names, at, odd);
    const file = `userspace_addr=${address}, guest_memfd_offset=${offset}, guest_memfd=${fdOf(names, fd)}`;
    return `KVM_SET_USER_MEMORY_REGION2(${target}, slot=${slot}, flags=${flags}, guest_phys_addr=${gpa}, memory_size=${size}, ${file})`;
  });

/** The older request on the same slots. */
const plainSlot: LineArbitrary = fc
  .tuple(pick, from("0", "1", "2"), from("0", "0", "1", "2", "4"), from("0", "16K", "32K"), from("0", "0", "4K", "16K"))
  .map(([vm, slot, flags, gpa, size]) => (names) => {
    return `KVM_SET_USER_MEMORY_REGION(${oneOf(names.vms, vm)}, slot=${slot}, flags=${flags}, guest_phys_addr=${gpa}, memory_size=${size}, userspace_addr=0)`;
  });

const weighted = (...rows: readonly (readonly [number, LineArbitrary])[]): LineArbitrary =>
  fc.oneof(...rows.map(([weight, arbitrary]) => ({ weight, arbitrary })));

const START: LineArbitrary = fc.tuple(from("8K", "16K", "16K"), from("0", "1", "3", "3", "3")).map(
  ([size, flags]) =>
    (names) =>
      `${fresh(names.fds, "g")} = KVM_CREATE_GUEST_MEMFD(vm0, size=${size}, flags=${flags})`,
);

export const gmemPrograms: fc.Arbitrary<Lines> = fc
  .tuple(
    fc.tuple(createVm, START, map),
    fc.array(
      weighted(
        [2, create],
        [8, allocate],
        [1, edges],
        [5, refused],
        [3, map],
        [8, load],
        [7, store],
        [1, unmap],
        [3, protect],
        [3, advise],
        [3, look],
        [5, pages],
        [1, dup],
        [1, close],
        [1, memfd],
        [1, createVm],
        [1, dupVm],
        [1, closeVm],
        [1, createVcpu],
        [10, bind],
        [3, plainSlot],
      ),
      { minLength: 10, maxLength: 30 },
    ),
  )
  .map(([first, rest]) => {
    const names: Names = { fds: [], maps: [], vms: [], vcpus: [] };
    return [...first, ...rest].flatMap((line) => line(names) ?? []);
  });

const gpa = from("64K", "64K", "0x10001", "0x10fff", "0x11000", "0x12000", "0x13fff", "0x14000", "0x8000");
const guestLoad: LineArbitrary = gpa.map((at) => () => `vcpu0: load(${at})`);
const guestStore: LineArbitrary = fc.tuple(gpa, fc.integer({ min: 1, max: 255 })).map(
  ([at, value]) =>
    () =>
      `vcpu0: store(${at}, ${value})`,
);
/** Each slot's userspace_addr is the mapping of the pages that it is bound to, so that it does not matter which of the two the guest goes through. */
const SLOTS = [
  "slot=1, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=64K, memory_size=16K, userspace_addr=m0, guest_memfd_offset=0, guest_memfd=g0",
  "slot=1, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=64K, memory_size=8K, userspace_addr=m0 + 4K, guest_memfd_offset=4K, guest_memfd=g0",
  "slot=2, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=72K, memory_size=8K, userspace_addr=m0 + 8K, guest_memfd_offset=8K, guest_memfd=g0",
  "slot=1, flags=0, guest_phys_addr=0, memory_size=0",
  "slot=2, flags=0, guest_phys_addr=0, memory_size=0",
];
const slots = (...rows: readonly string[]): LineArbitrary => from(...rows).map((row) => () => `KVM_SET_USER_MEMORY_REGION2(vm0, ${row})`);

/** Data between guest and host in one guest_memfd that both may touch. */
export const gmemGuestPrograms: fc.Arbitrary<Lines> = fc
  .tuple(
    slots(...SLOTS.slice(0, 2)),
    fc.array(weighted([8, guestLoad], [8, guestStore], [5, load], [6, store], [6, allocate], [4, slots(...SLOTS)]), { minLength: 10, maxLength: 28 }),
  )
  .map(([bound, rest]) => {
    const names: Names = { fds: ["g0"], maps: ["m0"], vms: ["vm0"], vcpus: [] };
    return [
      "vm0 = KVM_CREATE_VM(0)",
      "g0 = KVM_CREATE_GUEST_MEMFD(vm0, size=16K, flags=3)",
      "m0 = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, g0, 0)",
      "vcpu0 = KVM_CREATE_VCPU(vm0, 0)",
      ...[bound, ...rest].flatMap((line) => line(names) ?? []),
    ];
  });

export const GMEM_GUEST_REACHES: readonly string[] = [
  "guest.load ok",
  "guest.load exit",
  "guest.store ok",
  "guest.store exit",
  "host.load ok",
  "host.store ok",
  "fallocate ok",
  "KVM_SET_USER_MEMORY_REGION2 ok",
  "KVM_SET_USER_MEMORY_REGION2 -EINVAL",
];

/** Answers that random programs have to come to. */
export const GMEM_REACHES: readonly string[] = [
  "KVM_CREATE_GUEST_MEMFD ok",
  "KVM_CREATE_GUEST_MEMFD -EINVAL",
  "KVM_CREATE_GUEST_MEMFD -EBADF",
  "fstat ok",
  "mincore -ENOMEM",
  "madvise -EFAULT",
  "KVM_CREATE_VCPU -EEXIST",
  "fallocate ok",
  "fallocate -EINVAL",
  "fallocate -EOPNOTSUPP",
  "fallocate -EFBIG",
  "fallocate -EBADF",
  "ftruncate -EINVAL",
  "read -EINVAL",
  "write -EINVAL",
  "pread -ESPIPE",
  "pwrite -ESPIPE",
  "pread -EINVAL",
  "lseek -ESPIPE",
  "lseek -EINVAL",
  "fcntl -EINVAL",
  "fchmod -EINVAL",
  "mmap ok",
  "mmap -ENODEV",
  "mmap -EPERM",
  "mmap -EINVAL",
  "host.load ok",
  "host.load SIGBUS",
  "host.store ok",
  "host.store SIGBUS",
  "munmap ok",
  "mprotect ok",
  "mprotect -EACCES",
  "mprotect -EINVAL",
  "mprotect -ENOMEM",
  "madvise ok",
  "madvise -EINVAL",
  "madvise -ENOMEM",
  "KVM_SET_USER_MEMORY_REGION2 ok",
  "KVM_SET_USER_MEMORY_REGION2 -EINVAL",
  "KVM_SET_USER_MEMORY_REGION2 -EEXIST",
  "KVM_SET_USER_MEMORY_REGION2 -EBADF",
  "KVM_SET_USER_MEMORY_REGION ok",
  "KVM_SET_USER_MEMORY_REGION -EINVAL",
  "KVM_SET_USER_MEMORY_REGION -EEXIST",
];
