// Several processes, the model against this kernel: fork, SCM_RIGHTS, seals with mappings in a child, copy on write, KVM's EIO for another mm. The programs
// run one call after the other, so that the model has one answer for each.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { noKvm, noRun, skipped } from "../export/support.ts";
import { call, differences, KVM, SETUP, scenario } from "./generate-processes.ts";

const SEED = Number(process.env.MEMFD_CONFORMANCE_SEED ?? 20_221_017);
const PROGRAMS = 6;
const LINES = 70;

const step = (kvm: boolean) => fc.record({ who: fc.nat(99), fork: fc.integer({ min: 0, max: 24 }).map((n) => n === 0), call: call(kvm) });

/** Each step is done by one of the processes that are there by then; at most four of them come by fork. */
function textOf(steps: readonly { readonly who: number; readonly fork: boolean; readonly call: string }[], kvm: boolean): string {
  const there = ["vmm", "other"];
  const lines = steps.map((one) => {
    const process = there[one.who % there.length];
    const made = one.fork && there.length < 6 ? `child${there.length}` : undefined;
    if (made !== undefined) there.push(made);
    const text = made === undefined ? one.call : `${made} = fork()`;
    return process === "vmm" ? text : `process ${process} { ${text} }`;
  });
  return scenario([...SETUP, ...(kvm ? KVM : []), ...lines]);
}

test("random programs of several processes answer as the kernel does", async (context) => {
  if (skipped(context, noRun())) return;
  const kvm = noKvm() === undefined;
  const samples = fc.sample(fc.array(step(kvm), { minLength: LINES, maxLength: LINES }), { numRuns: PROGRAMS, seed: SEED });
  const { wrong, agreed, skipped: left } = await differences(samples.map((steps) => textOf(steps, kvm)));
  assert.deepEqual(wrong, [], `seed ${SEED}`);
  console.log(`${agreed} calls of several processes agree, ${left} skipped`);
  assert.ok(agreed > (PROGRAMS * LINES) / 2, `${agreed} calls agree`);
});

/** Three of the processes at the same time, with a fork among them; the C follows a schedule of the model call by call. */
function parallelText(threads: readonly (readonly string[])[], forks: boolean, kvm: boolean): string {
  const [main, ...others] = threads;
  const forked = forks ? ["late = fork()", ...main] : main;
  const blocks = others.map((calls, at) => `process ${["child", "other"][at]} { ${calls.join("; ")} }`);
  const late = forks ? ["process late { load(m2, 0); pread(f0, 2, 0); store(m1, 1, 5); load(m1, 1) }"] : [];
  return scenario([...SETUP, ...(kvm ? KVM : []), "child = fork()", `parallel { vmm { ${forked.join("; ")} } ${blocks.join(" ")} }`, ...late]);
}

test("processes at the same time answer what the model allows", async (context) => {
  if (skipped(context, noRun())) return;
  const kvm = noKvm() === undefined;
  const some = fc.array(call(kvm), { minLength: 1, maxLength: 2 });
  const samples = fc.sample(fc.tuple(fc.tuple(some, some, some), fc.boolean()), { numRuns: PROGRAMS, seed: SEED });
  const { wrong, agreed } = await differences(samples.map(([threads, forks]) => parallelText(threads, forks, kvm)));
  assert.deepEqual(wrong, [], `seed ${SEED}`);
  assert.ok(agreed > PROGRAMS * SETUP.length, `${agreed} calls agree`);
});

test("the rows of the sharing tests, and KVM from another process", async (context) => {
  if (skipped(context, noRun() ?? noKvm())) return;
  const rows = [
    scenario([
      ...SETUP,
      "child = fork()",
      "munmap(m0, 8K)",
      "fcntl(f0, F_ADD_SEALS, F_SEAL_WRITE) = -EBUSY",
      "process child { munmap(m0, 8K); fcntl(f0, F_ADD_SEALS, F_SEAL_WRITE) = 0 }",
      "pwrite(f0, 1, 0) = -EPERM",
    ]),
    scenario([...SETUP, "child = fork()", "process child { fcntl(f0, F_ADD_SEALS, F_SEAL_SEAL) = 0 }", "fcntl(f0, F_ADD_SEALS, F_SEAL_WRITE) = -EPERM"]),
    scenario([
      ...KVM,
      "vcpu0: hlt() = exit KVM_EXIT_HLT",
      "child = fork()",
      "process child { KVM_CREATE_VCPU(vm, 1) = -EIO; vcpu0: load(0) = -EIO; vcpu0: hlt() = -EIO; fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 8K) = 0; close(gm) = 0 }",
      "process child { KVM_CREATE_GUEST_MEMFD(vm, size=1, flags=0xff) = -EIO; own = KVM_CREATE_VM(0); KVM_CREATE_VCPU(own, 0) = ok }",
      "process child { KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=4K, userspace_addr=0, guest_memfd=gm) = -EIO }",
      "fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 8K) = 0",
    ]),
    scenario([
      "vm = KVM_CREATE_VM(0)",
      "shared = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=GUEST_MEMFD_FLAG_MMAP|GUEST_MEMFD_FLAG_INIT_SHARED)",
      "plain = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=GUEST_MEMFD_FLAG_MMAP)",
      "a = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, shared, 0)",
      "b = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, plain, 0)",
      "child = fork()",
      "process child { store(a, 0, 7) = 0; store(b, 0, 7) = SIGBUS; close(shared) = 0; munmap(a, 4K) = 0; load(a, 0) = SIGSEGV; load(a, 4K) = 0 }",
      "load(a, 0) = 7",
      "load(b, 0) = SIGBUS",
    ]),
  ];
  const { wrong, agreed, skipped: left } = await differences(rows);
  assert.deepEqual(wrong, []);
  assert.ok(agreed >= 40, `${agreed} calls agree`);
  assert.equal(left, 0, "each of these runs on a machine with KVM");
});
