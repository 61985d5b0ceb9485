// What the tests of several processes share: programs over files and mappings that any process may run, and what the model and this kernel answer differently.

import assert from "node:assert/strict";
import fc from "fast-check";
import { type Compared, compareAnswers } from "../../src/export/c/compare.ts";
import { thisMachine } from "../../src/export/c/machine.ts";
import { emit, programsOf, run, withBuilt } from "../export/support.ts";

export const scenario = (lines: readonly string[]): string => `kernel 6.18\nscenario "processes" {\n${lines.map((line) => `  ${line}`).join("\n")}\n}\n`;

/** The one answer that programs of these calls can ask for and the model does not have. */
const UNMODELLED = /^which pages of a child are there that nobody has stored anything but zeroes to/;

/** What differs, call by call. */
export async function differences(texts: readonly string[]): Promise<{ readonly wrong: string[]; readonly agreed: number; readonly skipped: number }> {
  const all = texts.flatMap((text) => {
    const [program] = programsOf("processes", text);
    const report = run(program);
    const { complete, limit } = report.exploration;
    if (limit !== undefined && UNMODELLED.test(limit)) return [];
    assert.ok(complete, `${limit}\n${text}`);
    return [{ program, report, text, emitted: emit(program, text, { report }) }];
  });
  assert.ok(all.length >= texts.length * 0.8, `only ${all.length} of ${texts.length} programs are modelled`);
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

export const SETUP = [
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

export const KVM = ["vm = KVM_CREATE_VM(0)", "vcpu0 = KVM_CREATE_VCPU(vm, 0)", "gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=0)"] as const;

const byte = fc.integer({ min: 1, max: 99 });
const file = fc.constantFrom("f0", "f1");
const mapping = fc.constantFrom("m0", "m1", "m2", "m3", "m4");
const at = fc.constantFrom("0", "1", "4K", "4097");

export const call = (kvm: boolean): fc.Arbitrary<string> => {
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
    {
      weight: 1,
      arbitrary: fc.tuple(mapping, fc.constantFrom("4K", "8K"), fc.constantFrom("DONT", "DO")).map(([m, size, to]) => `madvise(${m}, ${size}, MADV_${to}FORK)`),
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
