// The end of processes, the model against this kernel: exit_group and SIGKILL of a child, of a process that made a VM, of parents and of children of children;
// then what is left for those who live: descriptors, pages, seals, KVM's EIO for a VM whose address space is gone.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { noKvm, noRun, skipped } from "../export/support.ts";
import { call, differences, SETUP, scenario } from "./generate-processes.ts";

const SEED = Number(process.env.MEMFD_CONFORMANCE_SEED ?? 20_221_017);
const PROGRAMS = 6;
const LINES = 70;

/** A VM, with a file of its own, that another process than the main one makes; each of the three is in the hands of both. */
const MAKER = [
  "process maker { vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0); gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=0) }",
  "process maker { send_fd(vm, vmm); send_fd(vcpu0, vmm); send_fd(gm, vmm) }",
] as const;

const step = (kvm: boolean) =>
  fc.record({ who: fc.nat(99), what: fc.constantFrom("fork", "exit", "kill", ...new Array<string>(27).fill("call")), whom: fc.nat(99), call: call(kvm) });

/** Each step is done by one of the processes that live; the main one stays to the end. */
function textOf(steps: readonly { readonly who: number; readonly what: string; readonly whom: number; readonly call: string }[], kvm: boolean): string {
  const there = kvm ? ["vmm", "other", "maker"] : ["vmm", "other"];
  let forks = 0;
  const lines = steps.map((one): string => {
    const self = there[one.who % there.length];
    const within = (text: string): string => (self === "vmm" ? text : `process ${self} { ${text} }`);
    const drop = (process: string): void => void there.splice(there.indexOf(process), 1);
    if (one.what === "fork" && forks < 5) {
      forks += 1;
      there.push(`child${forks}`);
      return within(`child${forks} = fork()`);
    }
    if (one.what === "exit" && self !== "vmm") {
      drop(self);
      return within(`exit_group(${one.whom % 3})`);
    }
    const victim = there.filter((process) => process !== "vmm" && process !== self)[one.whom % Math.max(1, there.length - 1)];
    if (one.what === "kill" && victim !== undefined) {
      drop(victim);
      return within(`kill(${victim}, SIGKILL)`);
    }
    return within(one.call);
  });
  return scenario([...SETUP, ...(kvm ? MAKER : []), ...lines]);
}

test("random programs in which processes end answer as the kernel does", async (context) => {
  if (skipped(context, noRun())) return;
  const kvm = noKvm() === undefined;
  const samples = fc.sample(fc.array(step(kvm), { minLength: LINES, maxLength: LINES }), { numRuns: PROGRAMS, seed: SEED });
  const texts = samples.map((steps) => textOf(steps, kvm));
  const ends = texts.join("\n").match(/exit_group|SIGKILL/g)?.length ?? 0;
  const { wrong, agreed, skipped: left } = await differences(texts);
  assert.deepEqual(wrong, [], `seed ${SEED}`);
  console.log(`${agreed} calls around ${ends} ends of processes agree, ${left} skipped`);
  assert.ok(agreed > (PROGRAMS * LINES) / 2 && ends > PROGRAMS, `${agreed} calls agree, ${ends} processes end`);
});

test("what is left of a process that ends, row by row", async (context) => {
  if (skipped(context, noRun())) return;
  const FILE = ['f = memfd_create("f", MFD_ALLOW_SEALING)', "ftruncate(f, 8K)", "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0)"];
  const rows = [
    // Its writable mapping counts against F_SEAL_WRITE until it is gone.
    [
      ...FILE,
      "child = fork()",
      "munmap(m, 8K) = 0",
      "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = -EBUSY",
      "process child { store(m, 4K, 7) = 0; exit_group(0) }",
      "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = 0",
      'pread(f, 1, 4K) = 1 "\\x07"',
    ],
    // The same by a signal.
    [...FILE, "child = fork()", "munmap(m, 8K) = 0", "kill(child, SIGKILL) = 0", "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = 0", "kill(child, SIGKILL) = 0"],
    // A process that sends it to itself.
    [...FILE, "child = fork()", "munmap(m, 8K) = 0", "process child { kill(child, SIGKILL) }", "fcntl(f, F_ADD_SEALS, F_SEAL_WRITE) = 0"],
    // The open file and its offset live on with who has been given it.
    [
      'process maker { f = memfd_create("f", 0); write(f, "abcd") = 4; lseek(f, 1, SEEK_SET) = 1; send_fd(f, vmm); exit_group() }',
      'read(f, 2) = 2 "bc"',
      "send_fd(f, maker) = -EPIPE",
    ],
    // Private memory of parent and child: who is left writes in place and keeps what it had.
    [
      "own = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)",
      "store(own, 0, 1)",
      "child = fork()",
      "process child { store(own, 0, 2) = 0; grandchild = fork(); exit_group(3) }",
      "process grandchild { load(own, 0) = 2; store(own, 0, 3) = 0; load(own, 0) = 3 }",
      "load(own, 0) = 1",
      "kill(grandchild, SIGKILL) = 0",
    ],
  ];
  const { wrong, agreed } = await differences(rows.map((row) => scenario(row)));
  assert.deepEqual(wrong, []);
  assert.ok(agreed >= 30, `${agreed} calls agree`);
});

test("a VM whose maker has ended: EIO for everybody, its guest_memfd lives on", async (context) => {
  if (skipped(context, noRun() ?? noKvm())) return;
  const MEMORY = "map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)";
  const SLOT = "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=8K, userspace_addr=map) = 0";
  const HELPER = ["process other { close(-1) }", "send_fd(vcpu0, other)"];
  const AFTER = [
    "KVM_CHECK_EXTENSION(vm, KVM_CAP_GUEST_MEMFD) = -EIO",
    "KVM_CREATE_VCPU(vm, 1) = -EIO",
    "process other { vcpu0: hlt() = -EIO }",
    "fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 8K) = 0",
    "fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) = 0",
    "close(vm) = 0",
    "close(vcpu0) = 0",
    "kill(other, SIGKILL) = 0",
    "fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 8K) = 0",
    "close(gm) = 0",
    "fallocate(gm, 0, 0, 8K) = -EBADF",
  ];
  const rows = [
    [...MAKER, ...HELPER, "process maker { exit_group(0) }", ...AFTER],
    [...MAKER, ...HELPER, "kill(maker, SIGKILL) = 0", ...AFTER],
    // The guest runs first, on memory that goes with the process; nothing of it can be told any more.
    [...MAKER, ...HELPER, `process maker { ${MEMORY}; ${SLOT}; vcpu0: store(0, 7) = 0; load(map, 0) = 7; exit_group(0) }`, ...AFTER],
    // Nobody else has anything of it.
    ["process maker { vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0); gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=0); exit_group(0) }"],
    // A mapping of the file in another process is the last that holds it.
    [
      "process maker { vm = KVM_CREATE_VM(0); gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=GUEST_MEMFD_FLAG_MMAP|GUEST_MEMFD_FLAG_INIT_SHARED); send_fd(gm, vmm) }",
      "m = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, gm, 0)",
      "store(m, 0, 5) = 0",
      "kill(maker, SIGKILL) = 0",
      "close(gm) = 0",
      "load(m, 0) = 5",
      "store(m, 4K, 6) = 0",
      "munmap(m, 8K) = 0",
    ],
  ];
  const { wrong, agreed } = await differences(rows.map((row) => scenario(row)));
  assert.deepEqual(wrong, []);
  assert.ok(agreed >= 60, `${agreed} calls agree`);
});

test("one of several processes at the same time ends, and the others answer what the model allows", async (context) => {
  if (skipped(context, noRun())) return;
  const kvm = noKvm() === undefined;
  const some = fc.array(call(false), { minLength: 1, maxLength: 2 });
  const samples = fc.sample(fc.tuple(fc.tuple(some, some, some), fc.boolean()), { numRuns: PROGRAMS, seed: SEED });
  const texts = samples.map(([[main, child, other], killed]) =>
    scenario([
      ...SETUP,
      ...(kvm ? MAKER : []),
      "child = fork()",
      ...(killed
        ? [
            `parallel { vmm { ${main.join("; ")} } process child { ${child.join("; ")}; kill(${kvm ? "maker" : "child"}, SIGKILL) } process other { ${other.join("; ")} } }`,
          ]
        : [`parallel { vmm { ${main.join("; ")} } process child { ${child.join("; ")}; exit_group(0) } process other { ${other.join("; ")} } }`]),
      "pread(f1, 4, 0)",
      "fcntl(f0, F_GET_SEALS)",
    ]),
  );
  const { wrong, agreed } = await differences(texts);
  assert.deepEqual(wrong, [], `seed ${SEED}`);
  assert.ok(agreed > PROGRAMS * SETUP.length, `${agreed} calls agree`);
});
