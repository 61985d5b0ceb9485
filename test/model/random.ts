// Random small scenarios as text: a private file, an ordinary file, mappings, a VM with slots and three vCPUs, then a few actors in parallel, often with equal
// ones among them, and with atomic blocks, orders, assertions and questions. Each kernel has calls of its own; those with guest_memfd: gmem-pool.ts.

import * as fc from "fast-check";
import { gmemPool, type Pool } from "./gmem-pool.ts";

const SERIES = ["v4", "v4-or", "v4-shifted", "v5", "v6", "v7", "v8", "v8-bracketed", "v8-short", "v9", "v9-short", "v9-asks", "v10", "v10-short"] as const;
const UPSTREAM = ["6.8.0", "6.8", "gmem-short", "6.16", "6.18.0", "6.18", "7.2"] as const;
const KERNELS = [...SERIES, ...UPSTREAM] as const;
export type Kernel = (typeof KERNELS)[number];

export const HEADER = `
kernel v4-or extends v4 { set_marker = or; notifier_base_gfn = added; notifier_seq = moves }
kernel v4-shifted extends v4 { double_binding = EEXIST; notifier_base_gfn = added; clear_guest_memfd = EINVAL }
kernel v8-short extends v8 { entry_memory = may_run_out }
kernel v9-short extends v9 { entry_memory = may_run_out }
kernel v9-asks extends v9 { ordinary_slot = exits; notifier_units = pages }
kernel v10-short extends v10 { entry_memory = may_run_out }
kernel gmem-short extends 6.8 { entry_memory = may_run_out }
kernel v8-bracketed extends v8 {
  notifier_units = pages
  fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end
  fallocate.allocate = check_args, invalidate_begin, allocate, invalidate_end
}
`;

/** Two pages of private file at gpa 0x1000, one slot of the ordinary file at 0x8000; the private slot has the ordinary file for its shared side. */
export const SETUP = `
  ram = memfd_create("ram", MFD_INACCESSIBLE)
  ftruncate(ram, 8K) = 0
  mem = memfd_create("mem", MFD_ALLOW_SEALING)
  ftruncate(mem, 12K) = 0
  map = mmap(NULL, 12K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
  vm = KVM_CREATE_VM(0)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  vcpu1 = KVM_CREATE_VCPU(vm, 1)
  vcpu2 = KVM_CREATE_VCPU(vm, 2)
  KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map, private_fd=ram, private_offset=0) = 0
  KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map + 8K) = 0
`;

const DELETED = "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x1000, memory_size=0)";

/** The private slot without KVM_MEM_PRIVATE. */
const ORDINARY = "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map)";

const HOST = [
  "fallocate(ram, 0, 0, 4K)",
  "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
  "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 8K)",
  "fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
  "fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 8K, 4K)",
  "fallocate(mem, 0, 0, 4K)",
  "ftruncate(mem, 4K)",
  "ftruncate(mem, 16K)",
  "ftruncate(ram, 16K)",
  "pwrite(mem, 0x42, 0)",
  "pwrite(mem, 0x43 * 8, 4092)",
  "pread(mem, 2, 0)",
  "pread(mem, 8, 4092)",
  "load(map, 0)",
  "store(map, 0, 0x44)",
  "load(map, 8K)",
  "munmap(map, 4K)",
  "munmap(map + 8K, 4K)",
  "fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE)",
  "fcntl(mem, F_ADD_SEALS, F_SEAL_GROW)",
  "fcntl(mem, F_GET_SEALS)",
  "close(ram)",
  "close(mem)",
  'write(mem, "xy")',
  "read(mem, 2)",
  DELETED,
  ORDINARY,
  // A second slot over the private file.
  "KVM_SET_USER_MEMORY_REGION(vm, slot=2, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x4000, memory_size=4K, userspace_addr=map, private_fd=ram, private_offset=0)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=0)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0xa000, memory_size=4K, userspace_addr=map + 8K)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=2, flags=0, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map + 8K)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=KVM_MEM_LOG_DIRTY_PAGES, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map + 8K)",
  "migrate(frame(ram, 0))",
  "reclaim(frame(ram, 0))",
  "migrate(frame(mem, 0))",
  "alloc_frame()",
  "readlink_fd(mem)",
  "lseek(mem, 1, SEEK_SET)",
  "lseek(mem, 0, SEEK_DATA)",
  "lseek(mem, 4K, SEEK_HOLE)",
  "fchmod(mem, 0o600)",
  "open_fd(mem, O_RDONLY)",
  "open_fd(mem, O_RDWR|O_TRUNC)",
  "mprotect(map + 8K, 4K, PROT_READ)",
  "mprotect(map + 8K, 4K, PROT_READ|PROT_WRITE)",
  "madvise(map, 4K, MADV_DONTNEED)",
  "madvise(map + 8K, 4K, MADV_DONTNEED)",
  "madvise(map, 4K, MADV_REMOVE)",
  "dup(mem)",
  "mmap(NULL, 4K, PROT_READ, MAP_SHARED, mem, 0)",
  "fcntl(mem, F_SETFL, O_APPEND)",
  "fcntl(mem, F_GETFD)",
  "fstat(mem, st_blocks)",
  "mincore(map, 12K)",
  "madvise(map + 8K, 4K, MADV_POPULATE_READ)",
  "KVM_CREATE_VCPU(vm, 3)",
  'memfd_create("other", 0)',
] as const;

/** What only a setup with private mappings and a second private file has (`rich`): copies on write behind a slot, a slot that moves between two files. */
const RICH_SETUP = `
  own = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)
  ram2 = memfd_create("ram2", MFD_INACCESSIBLE)
  ftruncate(ram2, 4K) = 0
  page = alloc_frame()
  KVM_SET_USER_MEMORY_REGION(vm, slot=3, flags=0, guest_phys_addr=0xc000, memory_size=8K, userspace_addr=own) = 0
`;

const RICH_HOST = [
  "load(own, 0)",
  "store(own, 0, 0x61)",
  "store(own, 4K, 0x62)",
  "munmap(own, 8K)",
  "mprotect(own, 4K, PROT_READ)",
  "madvise(own, 8K, MADV_DONTNEED)",
  "store_frame(page, 0x66)",
  "fallocate(ram2, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
  "close(ram2)",
  "migrate(frame(ram2, 0))",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=4, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x10000, memory_size=4K, userspace_addr=own, private_fd=ram2, private_offset=0)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=4, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x10000, memory_size=0)",
] as const;

const RICH_GUEST = ["load(0xc000)", "store(0xc000, 0x63)", "load(0xd000)", "store(0x10000, 0x64)", "load(0x10000)", "load(SHARED|0x10000)"] as const;

/** Asked at the end; and of the state in between, by an actor that looks. */
const CONDITIONS = [
  "value(mem, 0) == 0x42",
  "allocated(ram, 0) == 1",
  "ept(vm, 0x1000) != NONE",
  "pages(mem) > 0",
  "seals(mem) == F_SEAL_SEAL",
  "size(mem) == 12K",
] as const;

const REGIONS = [
  "KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x1000, 4K)",
  "KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x1000, 4K)",
  "KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x1000, 8K)",
] as const;

const ATTRIBUTES = [
  "KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 4K, KVM_MEMORY_ATTRIBUTE_PRIVATE)",
  "KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 8K, KVM_MEMORY_ATTRIBUTE_PRIVATE)",
  "KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 4K, 0)",
] as const;

/** How a kernel converts gfns. */
function conversionsOf(kernel: Kernel): readonly string[] {
  if (kernel.startsWith("v10")) return [...ATTRIBUTES, ...ATTRIBUTES];
  return /^v[789]/.test(kernel) ? [...REGIONS, ...(kernel === "v7" ? ["KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x1000, 8K)"] : [])] : [];
}

/** From v9 on a private access in an ordinary slot, and in none, is something of its own; `inKernel` leaves these as they are. */
const PRIVATE_ACCESSES = ["load(0x08000)", "load(0x09000)"] as const;

/** The private file of the series, and a slot of ordinary memory. */
function seriesPool(kernel: Kernel): Pool {
  return {
    setup: SETUP,
    richSetup: RICH_SETUP,
    host: [...HOST, ...conversionsOf(kernel)],
    richHost: RICH_HOST,
    guest: /^v(9|10)/.test(kernel) ? [...GUEST, ...PRIVATE_ACCESSES] : GUEST,
    richGuest: RICH_GUEST,
  };
}

const poolOf = (kernel: Kernel): Pool => ((UPSTREAM as readonly string[]).includes(kernel) ? gmemPool(kernel) : seriesPool(kernel));

/**
 * From v9 on the private file is made by a call of its own, and a private access in an ordinary slot is not ordinary any more. Where memory for an entry of the
 * xarray may run out, the two pages lie on both sides of gfn 0x40, for which a node of its own is needed.
 */
export function inKernel(kernel: string, text: string): string {
  if (kernel.endsWith("-short"))
    return inKernel(kernel.slice(0, -"-short".length), text.replaceAll(/\b0x1000\b/g, "0x3f000").replaceAll(/\b0x2000\b/g, "0x40000"));
  if (!/^v(9|10)/.test(kernel)) return text;
  const made = text.replaceAll(/memfd_create\("\w+", MFD_INACCESSIBLE\)/g, "memfd_restricted(0)");
  return made.replaceAll(/(load|store)\((0x[89c-d]000)/g, "$1(SHARED|$2");
}

const GUEST = [
  "load(0x1000)",
  "store(0x1000, 0x51)",
  "load(0x2000)",
  "load(SHARED|0x1000)",
  "store(SHARED|0x1000, 0x52)",
  "load(0x8000)",
  "store(0x8000, 0x53)",
  "load(0x9000)",
] as const;

export interface RandomThread {
  readonly actor: string;
  readonly calls: readonly string[];
  /** From that call on the rest is one atomic block. */
  readonly atomic?: number;
}

export interface Scenario {
  readonly kernel: Kernel;
  readonly rich: boolean;
  readonly before: readonly string[];
  readonly threads: readonly RandomThread[];
  /** The first call of one thread before the first of another. */
  readonly order: readonly [number, number] | undefined;
  readonly asked: string | undefined;
  /** Behind the last call of the first thread. */
  readonly looked: string | undefined;
}

function hostCall(kernel: Kernel, rich: boolean): fc.Arbitrary<string> {
  const { host, richHost } = poolOf(kernel);
  return fc.constantFrom(...host, ...(rich ? [...richHost, ...richHost] : []));
}

function guestCall(kernel: Kernel, rich: boolean): fc.Arbitrary<string> {
  const { guest, richGuest } = poolOf(kernel);
  return fc.constantFrom(...guest, ...(rich ? richGuest : []));
}

export const ACTORS = ["vmm", "vcpu0", "vcpu1", "vcpu2", "helper", "twin"] as const;
/** Who does the same as whom, when a scenario has equal actors. */
const EQUAL: Readonly<Record<string, string>> = { vcpu1: "vcpu0", vcpu2: "vcpu0", twin: "helper" };

const sometimes = <T>(value: fc.Arbitrary<T>, weight: number): fc.Arbitrary<T | undefined> =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: 10 - weight }, { arbitrary: value, weight });

/** What becomes of a slot that has left its freed structure behind when it is deleted is not modelled. */
const isModelled = ({ before, threads }: Scenario): boolean => {
  const calls = [...before, ...threads.flatMap((thread) => thread.calls)];
  return !calls.includes(ORDINARY) || !calls.includes(DELETED);
};

/** `calls`: how many each actor makes at most. */
export const scenario = (calls: number, actors = 3): fc.Arbitrary<Scenario> =>
  fc
    .tuple(fc.constantFrom(...KERNELS), fc.boolean())
    .chain(([kernel, rich]) => {
      const host = fc.array(hostCall(kernel, rich), { minLength: 1, maxLength: calls });
      const guest = fc.array(guestCall(kernel, rich), { minLength: 1, maxLength: calls });
      const thread = (actor: string): fc.Arbitrary<RandomThread> =>
        fc.record(
          { actor: fc.constant(actor), calls: actor.startsWith("vcpu") ? guest : host, atomic: sometimes(fc.nat(calls - 1), 1) },
          { requiredKeys: ["actor", "calls"] },
        );
      const threads = fc.subarray([...ACTORS], { minLength: 2, maxLength: actors }).chain((names) => fc.tuple(...names.map(thread)));
      const equal = fc.constantFrom<readonly string[]>(["vcpu0", "vcpu1"], ["vcpu1", "vcpu2"], ["vcpu0", "vcpu1", "vcpu2"], ["helper", "twin"]);
      const pairs = fc
        .tuple(equal, fc.subarray([...ACTORS], { maxLength: Math.max(0, actors - 2) }))
        .chain(([same, names]) =>
          fc.tuple(...ACTORS.filter((name) => same.includes(name) || (names.includes(name) && same.length + names.length <= actors)).map(thread)),
        );
      return fc.record({
        kernel: fc.constant(kernel),
        rich: fc.constant(rich),
        before: fc.array(
          fc.oneof(
            guestCall(kernel, rich).map((call) => `vcpu2: ${call}`),
            hostCall(kernel, rich),
          ),
          { maxLength: 2 },
        ),
        threads: fc.oneof({ arbitrary: threads, weight: 2 }, { arbitrary: twins(threads), weight: 1 }, { arbitrary: twins(pairs), weight: 2 }),
        order: sometimes(fc.tuple(fc.nat(actors - 1), fc.nat(actors - 1)), 1),
        asked: sometimes(fc.constantFrom(...CONDITIONS), 4),
        looked: sometimes(fc.constantFrom(...CONDITIONS), 1),
      });
    })
    .filter(isModelled);

/** Equal actors do what the first of them does. */
const twins = (threads: fc.Arbitrary<RandomThread[]>): fc.Arbitrary<RandomThread[]> =>
  threads.map((list) =>
    list.map((thread) => {
      const same = EQUAL[thread.actor];
      const model = list.find((other) => other.actor === same) ?? list.find((other) => other !== thread && EQUAL[other.actor] === same && same !== undefined);
      return model ? { ...model, actor: thread.actor } : thread;
    }),
  );

function blockOf(of: Scenario, { actor, calls, atomic }: RandomThread, index: number): string {
  const labelled = calls.map((call, at) => (at === 0 && of.order?.includes(index) ? `${call} @first${index}` : call));
  const looked = index === 0 && of.looked !== undefined ? [`assert ${of.looked}`] : [];
  const [free, inside] = atomic === undefined ? [labelled, []] : [labelled.slice(0, atomic), labelled.slice(atomic)];
  const body = [...free, ...(inside.length > 0 ? [`atomic { ${inside.join("; ")} }`] : []), ...looked];
  return `    ${actor} { ${body.join("; ")} }`;
}

export function textOf(of: Scenario): string {
  const blocks = of.threads.map((thread, index) => blockOf(of, thread, index));
  const [before, after] = of.order ?? [0, 0];
  const order = before !== after && Math.max(before, after) < of.threads.length ? `    order first${before} before first${after}\n` : "";
  const pool = poolOf(of.kernel);
  const setup = `${pool.setup}${of.rich ? pool.richSetup : ""}${of.before.map((line) => `  ${line}\n`).join("")}`;
  const asked = of.asked === undefined ? "" : inKernel(of.kernel, `  exists ${of.asked}\n  forall ${of.asked}\n`);
  const body = inKernel(of.kernel, `${setup}  parallel {\n${blocks.join("\n")}\n${order}  }\n`);
  return `${HEADER}scenario "random" {\n  kernel ${of.kernel}\n${body}${asked}}\n`;
}
