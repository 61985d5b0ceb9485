// Footprints of several processes and of signals, and that reductions lose none of their answers: a forked child, a process from the start and threads
// of each, under a release and under a version of the series.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { type Counts, compare } from "./compare.ts";
import { GMEM, vmOfProcesses } from "./processes-pool.ts";
import { program } from "./support.ts";
import { assertDeclared } from "./watching.ts";

const SETUP = vmOfProcesses(`  cow = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)
  store(cow, 0, 0x12)
`);

/** Of any process: names that it has not got answer EBADF and SIGSEGV. */
const ANYWHERE = [
  "load(map, 0)",
  "store(map, 0, 0x21)",
  "load(own, 0)",
  "store(own, 0, 0x22)",
  "load(own, 4K)",
  "store(cow, 0, 0x23)",
  "load(cow, 0)",
  "munmap(map, 8K)",
  "munmap(own, 4K)",
  "mprotect(own, 4K, PROT_READ)",
  "madvise(own, 8K, MADV_DONTNEED)",
  "madvise(cow, 4K, MADV_DONTNEED)",
  "madvise(own, 8K, MADV_POPULATE_WRITE)",
  "madvise(own, 8K, MADV_DONTFORK)",
  "madvise(map, 4K, MADV_DOFORK)",
  "madvise(map, 8K, MADV_DONTFORK)",
  "mincore(own, 8K)",
  "close(mem)",
  "pwrite(mem, 0x24, 0)",
  "pread(mem, 1, 0)",
  "ftruncate(mem, 4K)",
  "fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
  "fallocate(mem, 0, 0, 8K)",
  "fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE)",
  "send_fd(mem, other)",
  "send_fd(mem, vmm)",
  "signal(vcpu0)",
  "signal(vmm)",
  "signal(child)",
  "dup(mem)",
  "mmap(NULL, 4K, PROT_READ, MAP_SHARED, mem, 0)",
  "KVM_CREATE_VCPU(vm, 3)",
  "close(vm)",
  "close(vcpu0)",
] as const;
const PARENT = ["fork()", "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x8000, memory_size=0)"] as const;
const GMEM_ANYWHERE = [
  "fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 8K)",
  "fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
  "close(gm)",
  "send_fd(gm, other)",
];
const GMEM_PARENT = ["KVM_PRE_FAULT_MEMORY(vcpu0, gpa=0, size=8K, flags=0)"];
const GUEST = ["load(GPA|0x8000)", "store(GPA|0x8000, 0x31)", "load(GPA|0xc000)", "store(GPA|0x9000, 0x32)", "load(GPA|0)", "hlt()", "run()"] as const;

const KERNELS = ["6.18", "6.8", "v8", "v10"] as const;

interface Random {
  readonly kernel: string;
  readonly threads: readonly { readonly actor: string; readonly calls: readonly string[] }[];
}

const random = (most: number): fc.Arbitrary<Random> =>
  fc.constantFrom(...KERNELS).chain((kernel) => {
    const release = kernel.startsWith("6");
    const gmem = release ? GMEM_ANYWHERE : [];
    const prefault = kernel === "6.18" ? GMEM_PARENT : [];
    const some = (pool: readonly string[]): fc.Arbitrary<string[]> => fc.array(fc.constantFrom(...pool), { minLength: 1, maxLength: most });
    const pools: readonly (readonly [string, readonly string[]])[] = [
      ["vmm", [...ANYWHERE, ...gmem, ...PARENT, ...prefault]],
      ["child", [...ANYWHERE, ...gmem, "fork()"]],
      ["child { twin", [...ANYWHERE, ...gmem]],
      ["other", [...ANYWHERE, ...gmem]],
      ["vcpu0", GUEST],
    ];
    const different = fc
      .subarray([...pools], { minLength: 2, maxLength: 3 })
      .chain((chosen) => fc.tuple(...chosen.map(([actor, pool]) => some(pool).map((calls) => ({ actor, calls })))));
    // Two threads of one process that do the same, beside one that does something else.
    const same = fc
      .tuple(fc.constantFrom("", "child { "), some([...ANYWHERE, ...gmem, "fork()"]), fc.constantFrom(...pools), fc.nat(most - 1))
      .chain(([place, calls, [actor, pool], less]) =>
        some(pool).map((own) => [
          ...["a", "b"].map((name) => ({ actor: `${place}${name}`, calls: calls.slice(0, most - less) })),
          { actor, calls: own.slice(0, 1) },
        ]),
      );
    return fc.oneof({ arbitrary: different, weight: 2 }, { arbitrary: same, weight: 1 }).map((threads) => ({ kernel, threads }));
  });

function textOf({ kernel, threads }: Random): string {
  const release = kernel.startsWith("6");
  const setup = `${SETUP}${release ? GMEM : ""}`;
  const process = (actor: string): string => (/^(vmm|vcpu0|[ab]$)/.test(actor) ? "" : "process ");
  const lines = threads.map(({ actor, calls }) => `    ${process(actor)}${actor} { ${calls.join("; ")} }${actor.includes("{") ? " }" : ""}`);
  const text = `scenario "random" {\n  kernel ${kernel}\n${setup}  process other { close(0) }\n  child = fork()\n  parallel {\n${lines.join("\n")}\n  }\n}\n`;
  return text.replaceAll("TYPE", release ? "1" : "0").replaceAll("GPA|", kernel === "v10" ? "SHARED|" : "");
}

it("each step touches only the atoms that it declares, and goes on where it declares", () => {
  assertDeclared(random(2).map(textOf), { maxStates: 1000, numRuns: 120 });
});

it("with and without reductions the calls answer the same, and the same invariants break", () => {
  const counts: Counts = { judged: 0, fewerByOrder: 0, equal: 0, fewerBySymmetry: 0 };
  fc.assert(
    fc.property(random(2), (one) => {
      const parsed = program(textOf(one));
      compare(parsed, undefined, counts, 1500);
    }),
    { numRuns: 150 },
  );
  assert.ok(counts.judged > 50, `${counts.judged} programs were small enough`);
  assert.ok(counts.fewerByOrder > 10, `partial order took transitions away from ${counts.fewerByOrder}`);
  assert.ok(counts.equal > 5 && counts.fewerBySymmetry > 0, `symmetry took transitions away from ${counts.fewerBySymmetry} of ${counts.equal}`);
});
