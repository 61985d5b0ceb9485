// Several processes, the model against this kernel: fork, SCM_RIGHTS, seals with mappings in a child, copy on write, KVM's EIO for another mm. The programs
// run one call after the other, so that the model has one answer for each.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Compared, compareAnswers } from "../../src/export/c/compare.ts";
import { thisMachine } from "../../src/export/c/machine.ts";
import { emit, noKvm, noRun, programsOf, run, skipped, withBuilt } from "../export/support.ts";

const SEED = Number(process.env.MEMFD_CONFORMANCE_SEED ?? 20_221_017);
const PROGRAMS = 6;
const LINES = 70;

const scenario = (lines: readonly string[]): string => `kernel 6.18\nscenario "processes" {\n${lines.map((line) => `  ${line}`).join("\n")}\n}\n`;

/** What differs, call by call. */
async function differences(texts: readonly string[]): Promise<{ readonly wrong: string[]; readonly agreed: number; readonly skipped: number }> {
  const all = texts.map((text) => {
    const [program] = programsOf("processes", text);
    const report = run(program);
    assert.ok(report.exploration.complete, `${report.exploration.limit}\n${text}`);
    return { program, report, text, emitted: emit(program, text, { report }) };
  });
  return withBuilt(
    all.map(({ emitted }) => emitted.text),
    ({ messages, run: execute }) => {
      assert.equal(messages, "");
      const compared: Compared[] = all.map(({ program, report, emitted }, at) =>
        compareAnswers(program, report, emitted, { output: execute(at).output }, thisMachine.facts()),
      );
      const wrong = compared.flatMap(({ rows }, at) =>
        rows
          .filter((row) => row.agreement === "differs" || row.agreement === "not judged")
          .map((row) => `${row.title}: model ${row.model}, kernel ${row.machine}\n${all[at].text}`),
      );
      const sum = (of: (each: Compared) => number): number => compared.reduce((total, each) => total + of(each), 0);
      return { wrong, agreed: sum((each) => each.agreed), skipped: sum((each) => each.skipped) };
    },
  );
}

const SETUP = [
  'f0 = memfd_create("f0", MFD_ALLOW_SEALING)',
  'f1 = memfd_create("f1", MFD_ALLOW_SEALING)',
  "ftruncate(f0, 8K)",
  "pwrite(f1, 0x11 * 6000, 0)",
  "m0 = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, f0, 0)",
  "m1 = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, f1, 0)",
  "m2 = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)",
  "m3 = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)",
  "m4 = mmap(NULL, 4K, PROT_READ, MAP_SHARED, f1, 0)",
  "process other { close(-1) }",
] as const;

const KVM = ["vm = KVM_CREATE_VM(0)", "vcpu0 = KVM_CREATE_VCPU(vm, 0)", "gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=0)"] as const;

const byte = fc.integer({ min: 1, max: 99 });
const file = fc.constantFrom("f0", "f1");
const mapping = fc.constantFrom("m0", "m1", "m2", "m3", "m4");
const at = fc.constantFrom("0", "1", "4K", "4097");

const call = (kvm: boolean): fc.Arbitrary<string> => {
  const calls: fc.WeightedArbitrary<string>[] = [
    { weight: 6, arbitrary: fc.tuple(mapping, at, byte).map(([m, off, value]) => `store(${m}, ${off}, ${value})`) },
    { weight: 6, arbitrary: fc.tuple(mapping, at).map(([m, off]) => `load(${m}, ${off})`) },
    { weight: 3, arbitrary: fc.tuple(file, at, byte).map(([f, off, value]) => `pwrite(${f}, ${value} * 3, ${off})`) },
    { weight: 3, arbitrary: fc.tuple(file, at).map(([f, off]) => `pread(${f}, 4, ${off})`) },
    { weight: 1, arbitrary: file.map((f) => `read(${f}, 5)`) },
    { weight: 1, arbitrary: file.map((f) => `lseek(${f}, 2, SEEK_SET)`) },
    { weight: 1, arbitrary: fc.tuple(file, fc.constantFrom("4K", "6000", "12K")).map(([f, size]) => `ftruncate(${f}, ${size})`) },
    { weight: 1, arbitrary: fc.tuple(mapping, fc.constantFrom("4K", "8K")).map(([m, size]) => `munmap(${m}, ${size})`) },
    { weight: 1, arbitrary: fc.tuple(mapping, fc.constantFrom("PROT_READ", "PROT_READ|PROT_WRITE")).map(([m, prot]) => `mprotect(${m}, 4K, ${prot})`) },
    {
      weight: 1,
      arbitrary: fc.tuple(mapping, fc.constantFrom("DONTNEED", "POPULATE_WRITE", "POPULATE_READ")).map(([m, to]) => `madvise(${m}, 4K, MADV_${to})`),
    },
    { weight: 2, arbitrary: fc.tuple(mapping, fc.constantFrom("4K", "8K")).map(([m, size]) => `mincore(${m}, ${size})`) },
    { weight: 1, arbitrary: file.map((f) => `fallocate(${f}, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)`) },
    { weight: 1, arbitrary: file.map((f) => `close(${f})`) },
    { weight: 2, arbitrary: fc.tuple(file, fc.constantFrom("WRITE", "FUTURE_WRITE", "SHRINK")).map(([f, seal]) => `fcntl(${f}, F_ADD_SEALS, F_SEAL_${seal})`) },
    { weight: 1, arbitrary: file.map((f) => `fcntl(${f}, F_GET_SEALS)`) },
    { weight: 3, arbitrary: fc.tuple(file, fc.constantFrom("vmm", "other")).map(([f, to]) => `send_fd(${f}, ${to})`) },
  ];
  if (kvm)
    calls.push(
      { weight: 1, arbitrary: fc.constantFrom("KVM_CREATE_VCPU(vm, 99999)", "KVM_CHECK_EXTENSION(vm, KVM_CAP_GUEST_MEMFD)", "vcpu0: load(0)") },
      { weight: 1, arbitrary: fc.constantFrom("fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 8K)", "fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)") },
      { weight: 1, arbitrary: fc.constantFrom("send_fd(vm, other)", "send_fd(gm, other)") },
    );
  return fc.oneof(...calls);
};

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
  const { wrong, agreed } = await differences(rows);
  assert.deepEqual(wrong, []);
  assert.ok(agreed >= 40, `${agreed} calls agree`);
});
