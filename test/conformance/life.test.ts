// Host memory that goes behind a guest, and the end of VMs, call by call through the model and on the kernel of this machine: what a guest sees after munmap,
// madvise, mprotect, ftruncate, a hole and a copy on write, and what closed and second descriptors of VMs and vCPUs answer.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { compareAnswers } from "../../src/export/c/compare.ts";
import { thisMachine } from "../../src/export/c/machine.ts";
import { emit, noKvm, noRun, programsOf, run, skipped, withBuilt } from "../export/support.ts";
import { abilities } from "./machine.ts";

const KERNEL = "6.18";

const guest = (flags: string, rest: string): string => `
  mem = memfd_create("mem", 0)
  ftruncate(mem, 8K) = 0
  pwrite(mem, 0x41, 0) = 1
  pwrite(mem, 0x42, 4K) = 1
  map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, ${flags})
  vm = KVM_CREATE_VM(0)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map) = 0
${rest}`;
const SHARED = "MAP_SHARED, mem, 0";
const PRIVATE = "MAP_PRIVATE, mem, 0";
const ANONYMOUS = "MAP_PRIVATE|MAP_ANONYMOUS, -1, 0";

const ROWS: Readonly<Record<string, string>> = {
  "munmap of one page of two": guest(
    SHARED,
    "vcpu0: load(0x1000) = 0x41\nvcpu0: load(0x2000) = 0x42\nmunmap(map, 4K) = 0\nvcpu0: load(0x2000) = 0x42\nvcpu0: load(0x1000)",
  ),
  "MADV_DONTNEED of anonymous memory": guest(
    ANONYMOUS,
    "vcpu0: store(0x1000, 7)\nvcpu0: store(0x2000, 8)\nload(map, 0) = 7\nmadvise(map, 4K, MADV_DONTNEED) = 0\nvcpu0: load(0x1000) = 0\nvcpu0: load(0x2000) = 8",
  ),
  "MADV_DONTNEED of a private copy": guest(
    PRIVATE,
    "vcpu0: store(0x1000, 7)\nload(map, 0) = 7\nmadvise(map, 8K, MADV_DONTNEED) = 0\nvcpu0: load(0x1000) = 0x41\nload(map, 0) = 0x41",
  ),
  "MADV_REMOVE of a shared page": guest(
    SHARED,
    'vcpu0: load(0x1000) = 0x41\nmadvise(map, 4K, MADV_REMOVE) = 0\nvcpu0: load(0x1000) = 0\npread(mem, 1, 0) = 1 "\\0"',
  ),
  "a hole under a guest": guest(
    SHARED,
    "vcpu0: store(0x2000, 9)\nfallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 4K, 4K) = 0\nvcpu0: load(0x2000) = 0\nvcpu0: load(0x1000) = 0x41",
  ),
  "a hole leaves a private copy, a smaller size does not": guest(
    PRIVATE,
    "vcpu0: store(0x1000, 7)\nfallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) = 0\nvcpu0: load(0x1000) = 7\nftruncate(mem, 0) = 0\nftruncate(mem, 8K) = 0\nvcpu0: load(0x1000) = 0",
  ),
  "ftruncate and back": guest(
    SHARED,
    "vcpu0: load(0x2000) = 0x42\nftruncate(mem, 4K) = 0\nftruncate(mem, 8K) = 0\nvcpu0: load(0x2000) = 0\nvcpu0: load(0x1000) = 0x41",
  ),
  "a copy on write by the host": guest(
    PRIVATE,
    'vcpu0: load(0x1000) = 0x41\nstore(map, 0, 5) = 0\nvcpu0: load(0x1000) = 5\npwrite(mem, 6, 0) = 1\nvcpu0: load(0x1000) = 5\nvcpu0: store(0x2000, 4)\nload(map, 4K) = 4\npread(mem, 1, 4K) = 1 "B"',
  ),
  "mprotect takes writing away and gives it back": guest(
    SHARED,
    "vcpu0: store(0x1000, 1)\nmprotect(map, 8K, PROT_READ) = 0\nvcpu0: load(0x1000) = 1\nmprotect(map, 8K, PROT_READ|PROT_WRITE) = 0\nvcpu0: store(0x1000, 2) = 0\nload(map, 0) = 2",
  ),
  "a slot comes and goes around munmap": guest(
    SHARED,
    `other = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=0) = 0
munmap(map, 8K) = 0
KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x1000, memory_size=4K, userspace_addr=other) = 0
vcpu0: load(0x1000) = 0x41`,
  ),
  "a VM is closed, its second descriptor goes on": guest(
    SHARED,
    `second = dup(vm)
close(vm) = 0
close(vm) = -EBADF
gone = dup(vm) = -EBADF
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=0) = -EBADF
no = KVM_CREATE_VCPU(vm, 1) = -EBADF
KVM_CREATE_VCPU(second, 0) = -EEXIST
vcpu1 = KVM_CREATE_VCPU(second, 1)
KVM_SET_USER_MEMORY_REGION(second, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map) = 0
vcpu1: load(0x8000) = 0x41
close(second) = 0
KVM_SET_USER_MEMORY_REGION(second, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=0) = -EBADF
vcpu0: store(0x8000, 3) = 0
vcpu1: load(0x1000) = 3
close(vcpu0) = 0
close(vcpu1) = 0
load(map, 0) = 3
munmap(map, 8K) = 0`,
  ),
  "a vCPU is closed before its VM": guest(
    SHARED,
    "vcpu0: load(0x1000) = 0x41\nclose(vcpu0) = 0\nclose(vcpu0) = -EBADF\nKVM_CREATE_VCPU(vm, 0) = -EEXIST\nvcpu1 = KVM_CREATE_VCPU(vm, 1)\nvcpu1: load(0x2000) = 0x42\nclose(vm) = 0",
  ),
  "a guest_memfd outlives every descriptor of its VM": `
  vm = KVM_CREATE_VM(0)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  ram = KVM_CREATE_GUEST_MEMFD(vm, 8K, GUEST_MEMFD_FLAG_MMAP|GUEST_MEMFD_FLAG_INIT_SHARED)
  map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, userspace_addr=map, guest_memfd=ram) = 0
  store(map, 0, 1) = 0
  close(vm) = 0
  close(vcpu0) = 0
  fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 8K) = 0
  load(map, 0) = 1
  fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) = 0
  load(map, 0) = 0
  store(map, 0, 2) = 0
  close(ram) = 0
  fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 4K) = -EBADF
  load(map, 0) = 2
  munmap(map, 8K) = 0`,
};

/** What the back end of a machine without TDP shows of a shared fault is a row of its own (deviations.ts). */
const EMULATED = /^munmap of one page of two$/;

const text = (name: string): string => `kernel ${KERNEL}\nscenario "${name}" {\n${ROWS[name]}\n}\n`;
const cases = Object.keys(ROWS).map((name) => {
  const [program] = programsOf("life.memfd", text(name));
  return { name, program, text: text(name), report: run(program) };
});
const total = { agreed: 0 };
after(() => console.log(`notifiers and life of VMs: ${total.agreed} calls agree with this kernel`));

for (const { name, report } of cases) {
  test(`the model: ${name}`, () => {
    const wrong = report.remarks.filter((remark) => remark.severity !== "information").map(({ code, message }) => `${code} ${message}`);
    assert.deepEqual({ verdict: report.verdict, complete: report.exploration.complete, wrong }, { verdict: "pass", complete: true, wrong: [] });
  });
}

test("this kernel agrees", async (context) => {
  const [major, minor] = abilities().release;
  const otherKernel = `${major}.${minor}` === KERNEL ? undefined : `the scenarios are about ${KERNEL}, this machine runs ${thisMachine.release()}`;
  if (skipped(context, noRun() ?? abilities().noCompare ?? otherKernel ?? noKvm())) return;
  const emitted = cases.map(({ program, text: source, report }) => emit(program, source, { report }));
  await withBuilt(
    emitted.map((each) => each.text),
    ({ messages, run: execute }) => {
      assert.equal(messages, "");
      for (const [at, { name, program, report }] of cases.entries()) {
        const compared = compareAnswers(program, report, emitted[at], { output: execute(at).output }, thisMachine.facts());
        const wrong = compared.rows.filter(({ agreement }) => agreement === "differs" || (agreement === "deviates" && !EMULATED.test(name)));
        assert.deepEqual(
          wrong.map((row) => `"${name}": ${row.title}: model ${row.model}, kernel ${row.machine}`),
          [],
        );
        assert.ok(compared.agreed > 8, `${name}: only ${compared.agreed} calls were compared`);
        total.agreed += compared.agreed;
      }
    },
    ["-O0"],
  );
});
