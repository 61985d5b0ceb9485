// Footprints of processes that end, and that reductions lose none of their answers: a VMM, a forked child and a process from the start, of which any may end
// itself or another one while threads of each are in calls; under releases and under versions of the series. No correct kernel breaks an invariant by it.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { check } from "../../src/check/index.ts";
import { NotModelled } from "../../src/model/objects.ts";
import { type Counts, compare } from "./compare.ts";
import { GMEM, vmOfProcesses } from "./processes-pool.ts";
import { program, still } from "./support.ts";
import { undeclared } from "./watching.ts";

const SETUP = vmOfProcesses();

const ANYWHERE = [
  "load(map, 0)",
  "store(map, 0, 0x21)",
  "store(own, 0, 0x22)",
  "load(own, 4K)",
  "munmap(map, 8K)",
  "munmap(own, 4K)",
  "madvise(own, 8K, MADV_POPULATE_WRITE)",
  "close(mem)",
  "pwrite(mem, 0x24 * 5000, 0)",
  "pread(mem, 1, 0)",
  "ftruncate(mem, 4K)",
  "fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
  "fallocate(mem, 0, 0, 8K)",
  "fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE)",
  "send_fd(mem, other)",
  "send_fd(vm, other)",
  "close(vm)",
  "close(vcpu0)",
] as const;
const ENDS = ["exit_group()", "exit_group(1)", "kill(child, SIGKILL)", "kill(other, SIGKILL)", "kill(vmm, SIGKILL)"] as const;
const PARENT = ["late = fork()", "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x8000, memory_size=0)"] as const;
const GMEM_ANYWHERE = [
  "fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 8K)",
  "fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)",
  "close(gm)",
  "send_fd(gm, other)",
] as const;
/** Of the process whose VM it is. */
const OWN = [
  "KVM_PRE_FAULT_MEMORY(vcpu0, gpa=0, size=8K, flags=0)",
  "KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 8K, KVM_MEMORY_ATTRIBUTE_PRIVATE)",
  "copy_file_range(mem, NULL, mem, NULL, 4K, 0)",
] as const;
const GUEST = ["load(GPA|0x8000)", "store(GPA|0x8000, 0x31)", "load(GPA|0xc000)", "store(GPA|0x9000, 0x32)", "load(GPA|0)", "hlt()", "run()"] as const;

const KERNELS = ["6.18", "6.18", "6.8", "7.2", "v8", "v10"] as const;

interface Random {
  readonly kernel: string;
  readonly threads: readonly { readonly actor: string; readonly calls: readonly string[] }[];
}

const random = (most: number): fc.Arbitrary<Random> =>
  fc.constantFrom(...KERNELS).chain((kernel) => {
    const release = !kernel.startsWith("v");
    const gmem = release ? GMEM_ANYWHERE : [];
    const some = (pool: readonly string[]): fc.Arbitrary<string[]> => fc.array(fc.constantFrom(...pool), { minLength: 1, maxLength: most });
    const pools: readonly (readonly [string, readonly string[]])[] = [
      ["vmm", [...ANYWHERE, ...gmem, ...PARENT, ...(kernel.startsWith("6.18") ? OWN : [])]],
      ["twin", [...ANYWHERE, ...gmem, ...(kernel.startsWith("6.18") ? OWN : [])]],
      ["child", [...ANYWHERE, ...gmem]],
      ["child { second", [...ANYWHERE, ...gmem]],
      ["other", [...ANYWHERE, ...gmem]],
      ["vcpu0", GUEST],
    ];
    return fc
      .subarray([...pools], { minLength: 2, maxLength: 3 })
      .chain((chosen) =>
        fc
          .tuple(...chosen.map(([actor, pool]) => some(pool).map((calls) => ({ actor, calls }))))
          .chain((threads) =>
            fc
              .tuple(fc.constantFrom(...ENDS), fc.nat(threads.filter(({ actor }) => actor !== "vcpu0").length - 1))
              .map(([end, at]) => ({ kernel, threads: withEnd(threads, end, at) })),
          ),
      );
  });

/** One of the host threads ends a process when it has done what it does. A name is bound once. */
function withEnd(threads: readonly { readonly actor: string; readonly calls: readonly string[] }[], end: string, at: number): Random["threads"] {
  const host = threads.filter(({ actor }) => actor !== "vcpu0")[at];
  let forks = 0;
  return threads.map((thread) => ({
    ...thread,
    calls: [...thread.calls, ...(thread === host ? [end] : [])].filter((call) => !call.includes("fork") || forks++ === 0),
  }));
}

function textOf({ kernel, threads }: Random): string {
  const release = !kernel.startsWith("v");
  const setup = `${SETUP}${release ? GMEM : ""}`;
  const process = (actor: string): string => (/^(vmm|vcpu0|twin)$/.test(actor) ? "" : "process ");
  const lines = threads.map(({ actor, calls }) => `    ${process(actor)}${actor} { ${calls.join("; ")} }${actor.includes("{") ? " }" : ""}`);
  const late = threads.some(({ calls }) => calls.some((call) => call.includes("fork"))) ? "    process late { pread(mem, 1, 0); store(map, 0, 7) }\n" : "";
  const behind = release ? "  process other { fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K); close(gm); pread(mem, 1, 0) }\n" : "";
  const text = `scenario "random" {\n  kernel ${kernel}\n${setup}  process other { close(0) }\n  child = fork()\n  parallel {\n${lines.join("\n")}\n${late}  }\n${behind}}\n`;
  return text.replaceAll("TYPE", release ? "1" : "0").replaceAll("GPA|", kernel === "v10" ? "SHARED|" : "");
}

/** Undefined where the model has no source for what happens. */
function modelled<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch (error) {
    if (error instanceof NotModelled) return undefined;
    throw error;
  }
}

it("each step touches only the atoms that it declares, and goes on where it declares", () => {
  const missing = new Set<string>();
  fc.assert(
    fc.property(random(2), (one) => void modelled(() => undeclared(textOf(one), 1500).forEach((sentence) => void missing.add(sentence)))),
    { numRuns: 150 },
  );
  assert.deepEqual([...missing].sort(), []);
});

it("with and without reductions the calls answer the same, and the same invariants break", () => {
  const counts: Counts = { judged: 0, fewerByOrder: 0, equal: 0, fewerBySymmetry: 0 };
  fc.assert(
    fc.property(random(1), (one) => void modelled(() => compare(program(textOf(one)), undefined, counts, 2000))),
    { numRuns: 150 },
  );
  assert.ok(counts.judged > 50, `${counts.judged} programs were small enough`);
  assert.ok(counts.fewerByOrder > 10, `partial order took transitions away from ${counts.fewerByOrder}`);
});

it("no invariant of a correct kernel breaks, and nobody waits for ever", () => {
  let complete = 0;
  fc.assert(
    fc.property(
      // Who rests in the guest until a signal comes waits for ever where none does.
      random(2).filter(({ kernel, threads }) => ["6.18", "7.2"].includes(kernel) && !threads.some(({ calls }) => calls.includes("run()"))),
      (one) => {
        const { violations, exploration, remarks } = check(program(textOf(one)), { now: still, maxStates: 4000 });
        assert.deepEqual(
          violations.map(({ invariant, message }) => `${invariant}: ${message}`),
          [],
          textOf(one),
        );
        assert.ok(!remarks.some(({ message }) => message.includes("bug of the model")), textOf(one));
        if (exploration.complete) complete++;
      },
    ),
    { numRuns: 120 },
  );
  assert.ok(complete > 40, `${complete} scenarios were explored whole`);
});
