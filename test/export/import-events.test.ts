// Events of KVM as the kernel and trace-cmd print them (formats of events/kvm/*/format in 6.18, and of 5.x), as guest accesses.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { importTrace } from "../../src/export/import/index.ts";
import { complaints, fixture, imported, remarks, statements } from "./import-support.ts";

const EXIT = "info1 0x0000000000000000 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000 requests 0x0000000000000000";
const line = (task: string, event: string, at: number): string => `  ${task}  [000]    77.${String(100000 + at)}: ${event}`;
const trace = (...events: readonly (string | readonly [task: string, event: string])[]): string =>
  events.map((event, at) => (typeof event === "string" ? line("CPU 0/KVM-4711", event, at) : line(event[0], event[1], at))).join("\n");
const fault = (address: string, code: string, reason = "EPT_VIOLATION"): string[] => [
  `kvm_exit: vcpu 0 reason ${reason} rip 0x2000 ${EXIT}`,
  `kvm_page_fault: vcpu 0 rip 0x2000 address ${address} error_code ${code}`,
];
const ENTRY = "kvm_entry: vcpu 0, rip 0x2000 intr_info 0x00000000 error_code 0x00000000";
const guest = (...events: readonly string[]): string[] =>
  statements(importTrace(trace(...events), { kernel: "6.18" })).filter((text) => /^vcpu\d+: /.test(text));

describe("guest accesses", () => {
  it("a fault that KVM resolved is a load, a store or a fetch; what overlapped is parallel", () => {
    assert.deepEqual(statements(imported("guest.ftrace")), [
      "vm = KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)",
      "vcpu0 = KVM_CREATE_VCPU(vm, 0)",
      "vcpu1 = KVM_CREATE_VCPU(vm, 1)",
      "ram = mmap(NULL, 20K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)",
      "gmem = KVM_CREATE_GUEST_MEMFD(vm, size=20K)",
      "KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x1000, memory_size=20K, userspace_addr=ram, guest_memfd_offset=0, guest_memfd=gmem)",
      "parallel {",
      "vcpu0 {",
      "load(0x2000) @line3",
      "}",
      "vcpu1 {",
      "store(0x5000, 0)",
      "}",
      "}",
      "exists result(line3) == ok",
      "vcpu0: load(0xd0000000) = exit KVM_EXIT_MMIO",
      "vcpu0: load(0x1000) = exit KVM_EXIT_MEMORY_FAULT",
      "vcpu0: hlt() = exit KVM_EXIT_HLT",
    ]);
  });

  it("bits of the error code, as VMX and as SVM have them", () => {
    assert.deepEqual(guest(...fault("0x0000000000003000", "0x181"), ENTRY), ["vcpu0: load(0x3000) = ok"]);
    assert.deepEqual(guest(...fault("0x0000000000003000", "0x182"), ENTRY), ["vcpu0: store(0x3000, 0)"]);
    assert.deepEqual(guest(...fault("0x0000000000003008", "0x100000006", "npf"), ENTRY), ["vcpu0: store(0x3008, 0)"]);
    assert.deepEqual(guest(...fault("0x0000000000003008", "0x100000004", "npf"), ENTRY), ["vcpu0: load(0x3008) = ok"]);
    const fetch = importTrace(trace(...fault("0x0000000000003000", "0x184"), ENTRY), { kernel: "6.18" }).text;
    assert.match(fetch, /vcpu0: load\(0x3000\) = ok {2}\/\/ a fetch\n/);
  });

  it("a private access needs private memory, the shared bit of a TD is SHARED", () => {
    for (const code of ["0x400000182", "0x2000000000182"]) {
      const { text } = importTrace(trace(...fault("0x0000000000003000", code), ENTRY), { kernel: "6.18" });
      assert.match(text, /vcpu0: store\(0x3000, 0\) {2}\/\/ a private access\n/);
      assert.match(text, /KVM_SET_MEMORY_ATTRIBUTES\(vm, address=0x3000, size=4K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE\)/);
      assert.deepEqual(complaints(text), []);
    }
    assert.deepEqual(guest(...fault("0x0008000000003000", "0x181"), ENTRY), ["vcpu0: load(SHARED|0x3000) = ok"]);
    assert.deepEqual(guest(...fault("0x0000800000003000", "0x181"), ENTRY), ["vcpu0: load(SHARED|0x3000) = ok"]);
    const before = importTrace(trace(...fault("0x0000000000003000", "0x400000182"), ENTRY), { kernel: "v8" }).text;
    assert.doesNotMatch(before, /GUEST_MEMFD/);
  });

  it("devices: in user space an exit, in the kernel nothing", () => {
    const read = "kvm_mmio: mmio unsatisfied-read len 4 gpa 0xfed00000 val 0x0";
    assert.deepEqual(guest(...fault("0x00000000fed00000", "0x181"), read, "kvm_userspace_exit: reason KVM_EXIT_MMIO (6)", ENTRY), [
      "vcpu0: load(0xfed00000) = exit KVM_EXIT_MMIO",
    ]);
    const write = "kvm_mmio: mmio write len 4 gpa 0xfee000b0 val 0x0";
    assert.deepEqual(guest(...fault("0x00000000fee000b0", "0x182"), write, ENTRY), []);
  });

  it("an access that the trace loses, a restart, shadow paging", () => {
    assert.deepEqual(guest(...fault("0x0000000000003000", "0x181"), `kvm_exit: vcpu 0 reason HLT rip 0x2000 ${EXIT}`), ["vcpu0: load(0x3000)"]);
    assert.deepEqual(guest(...fault("0x0000000000003000", "0x181"), "kvm_userspace_exit: reason restart (4)"), []);
    assert.deepEqual(guest(...fault("0x00007f0000003000", "0x2", "EXCEPTION_NMI"), ENTRY), []);
    const shadow = importTrace(trace(...fault("0x00007f0000003000", "0x2", "EXCEPTION_NMI"), ENTRY));
    assert.ok(remarks(shadow).some((text) => text.includes("the address is the guest's own")));
  });

  it("exits by number where the table of names was older; older kernels' fields; the reason of a failed KVM_RUN", () => {
    assert.deepEqual(guest(...fault("0x0000000000003000", "0x181"), "kvm_userspace_exit: reason 0x27 (39)"), [
      "vcpu0: load(0x3000) = exit KVM_EXIT_MEMORY_FAULT",
    ]);
    const { text } = imported("old-kernel.ftrace");
    assert.match(text, /vcpu1: load\(0x42812000\) {2}\/\/ KVM_RUN failed with EFAULT/);
    assert.match(text, /vcpu1: store\(0x42813000, 0\)\n/);
  });

  it("what the guest asks for and what the host unmaps stays as a comment", () => {
    const lines = remarks(
      importTrace(
        trace("kvm_hypercall: nr 0xc a0 0x4000 a1 0x2 a2 0x10 a3 0x0", [
          "qemu-system-x86-4700",
          "kvm_unmap_hva_range: mmu notifier unmap range: 0x7f0000000000 -- 0x7f0000001000",
        ]),
      ),
    );
    assert.ok(
      lines.some((text) => text.includes("asks for 2 pages at 0x4000 to become private")),
      lines.join("\n"),
    );
    assert.ok(lines.some((text) => text.startsWith("kvm_unmap_hva_range: mmu notifier unmap range")));
  });

  it("slots are assumed under what was touched, apart where a device or a hole lies between", () => {
    const touched = ["1000", "5000", "80000000", "ff000000"].flatMap((page) => [...fault(`0x${page.padStart(16, "0")}`, "0x181"), ENTRY]);
    const slots = statements(importTrace(trace(...touched), { kernel: "v8" })).filter((text) => text.startsWith("KVM_SET_USER"));
    assert.deepEqual(slots, [
      "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=20K, userspace_addr=ram)",
      "KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x80000000, memory_size=4K, userspace_addr=ram2)",
      "KVM_SET_USER_MEMORY_REGION(vm, slot=2, flags=0, guest_phys_addr=0xff000000, memory_size=4K, userspace_addr=ram3)",
    ]);
    const device = [
      ...fault("0x0000000000003000", "0x181"),
      "kvm_mmio: mmio unsatisfied-read len 4 gpa 0x3000 val 0x0",
      "kvm_userspace_exit: reason KVM_EXIT_MMIO (6)",
    ];
    const parted = statements(importTrace(trace(...touched.slice(0, 6), ...device), { kernel: "v8" })).filter((text) => text.startsWith("KVM_SET_USER"));
    assert.equal(parted.length, 2);
    assert.match(importTrace(trace(...touched), { kernel: "v8" }).text, /assumed: the trace does not tell what is behind 0x80000000/);
  });
});

describe("forms of the lines", () => {
  const events = fixture("guest.ftrace").trimEnd().split("\n").slice(1);
  const plain = statements(imported("guest.ftrace")).map((text) => text.replace(/line\d+/g, "line"));

  it("trace-cmd report, the kernel's trace file with and without thread groups, perf script", () => {
    const forms: ((task: string, pid: string, cpu: string, time: string, event: string) => string)[] = [
      (task, pid, cpu, time, event) => `${task}-${pid}   [${cpu}] d..1. ${time}: ${event}`,
      (task, pid, cpu, time, event) => `${task}-${pid}   (   4700) [${cpu}] ..... ${time}: ${event}`,
      (task, pid, cpu, time, event) => `${task}-${pid}   (-------) [${cpu}] ..... ${time}: ${event}`,
      (task, pid, cpu, time, event) => `${task}  ${pid}/${pid} [${cpu}]  ${time}:   kvm:${event}`,
    ];
    for (const form of forms) {
      const text = events.map((text) =>
        text.replace(/^\s*(.*?)-(\d+)\s+\[(\d+)\]\s+([\d.]+): (.*)$/, (_all, task, pid, cpu, time, event) => form(task, pid, cpu, time, event)),
      );
      assert.notDeepEqual(text, events);
      assert.deepEqual(
        statements(importTrace(text.join("\n"), { kernel: "6.18" })).map((each) => each.replace(/line\d+/g, "line")),
        plain,
      );
    }
  });

  it("system calls between the events, in the three forms that they have", () => {
    const native = statements(imported("syscalls.ftrace", { kernel: "v8" }));
    assert.deepEqual(native, [
      'memfd = memfd_create("", MFD_ALLOW_SEALING) = ok',
      "ftruncate(memfd, 16K) = 0",
      "fcntl(memfd, F_ADD_SEALS, F_SEAL_GROW) = 0",
      "ftruncate(memfd, 32K) = -EPERM",
      "vm = KVM_CREATE_VM(0) = ok",
      "vcpu0 = KVM_CREATE_VCPU(vm, 0) = ok",
      "ram = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)",
      "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=4K, userspace_addr=ram)",
      "parallel {",
      "vcpu0 {",
      "store(0x1000, 0)",
      "}",
      "vmm {",
      "fallocate(memfd, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 4K) @line32",
      "}",
      "}",
      "exists result(line32) == 0",
      "close(memfd) = 0",
    ]);
    const text = fixture("syscalls.ftrace");
    const events = text
      .replace(/sys_(\w+)\((.*)\)$/gm, (_all, name, args) => `sys_enter_${name}: ${args.replace(/: ([0-9a-f]+)/g, ": 0x$1")}`)
      .replace(/sys_(\w+) -> (\w+)$/gm, "sys_exit_$1: $2");
    assert.deepEqual(statements(importTrace(events, { kernel: "v8" })), native);
    const numbers: Record<string, number> = { memfd_create: 319, ftruncate: 77, fcntl: 72, openat: 257, ioctl: 16, fallocate: 285, close: 3 };
    const raw = text
      .replace(
        /sys_(\w+)\((.*)\)$/gm,
        (_all, name, args) => `sys_enter: NR ${numbers[name]} (${[...args.matchAll(/: ([0-9a-f]+)/g)].map((found) => found[1]).join(", ")})`,
      )
      .replace(/sys_(\w+) -> (\w+)$/gm, (_all, name, value) => `sys_exit: NR ${numbers[name]} = ${BigInt.asIntN(64, BigInt(value))}`);
    assert.deepEqual(statements(importTrace(raw, { kernel: "v8" })), native);
  });
});
