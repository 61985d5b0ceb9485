// Rows of a VM's life and of the MMU notifier, and the stories of what breaks there.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { check } from "../../src/check/index.ts";
import type { FactRow } from "../../src/view/rows.ts";
import { storyText } from "../../src/view/story.ts";
import { trace } from "../../src/view/trace.ts";
import { program, still } from "../model/support.ts";

function viewOf(text: string): ReturnType<typeof trace> {
  const one = program(text);
  return trace(one, check(one, { now: still }), { lineOf: (span) => ({ file: span.file, line: 1 }) });
}

/** The values of a fact over the trace, without repetitions; "-" where there is none. */
function valuesOf(text: string, name: string): string[] {
  const values = viewOf(text).steps.map(({ machine }) => machine.facts.find((fact: FactRow) => fact.name === name)?.value ?? "-");
  return values.filter((value, at) => value !== values[at - 1]);
}

const told = (text: string): string => storyText(viewOf(text)).replace(/\s+/g, " ");

const GUEST = `mem = memfd_create("mem", 0); ftruncate(mem, 8K)
map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=4K, userspace_addr=map)
KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x9000, memory_size=4K, userspace_addr=map + 4K)
`;

describe("rows", () => {
  it("say who holds a VM, to its end, where it can come to one", () => {
    const text =
      "kernel 6.18\nvm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0); ram = KVM_CREATE_GUEST_MEMFD(vm, 4K)\nclose(vm); close(ram); close(vcpu0)\n";
    const held = valuesOf(text, "vm held by");
    assert.equal(held[0], "-");
    assert.ok(held.includes("vm, vcpu0, ram") && held.includes("vcpu0, ram") && held.includes("nobody"), held.join(" | "));
    assert.equal(held.at(-1), "-", "the VM is freed");
    assert.deepEqual(valuesOf("kernel 6.18\nvm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)\nclose(vcpu0)\n", "vm held by"), ["-"]);
  });
  it("show active notifiers and the hull of what they take away", () => {
    const text = `kernel 6.18\n${GUEST}munmap(map, 8K)\n`;
    assert.deepEqual(valuesOf(text, "vm mn_active_invalidate_count"), ["-", "1", "-"]);
    assert.deepEqual(valuesOf(text, "vm mmu_invalidate_in_progress"), ["-", "0", "1, gfns 0x1000 to 0xa000", "0"]);
    assert.ok(valuesOf(text.replace("6.18", "v8"), "vm mmu_invalidate_in_progress").includes("1, gfns 0x9000 to 0xa000"));
  });
});

describe("stories", () => {
  it("of a range that leaves the gfn out", () => {
    const text = told(`kernel v8\n${GUEST}check no-stale-mapping\nstore(map, 0, 1)\nparallel { vmm { munmap(map, 8K) } vcpu0 { load(0x1000) } }\n`);
    assert.match(text, /no-stale-mapping breaks in (vcpu0's load: map|vmm's munmap: clear_pte)/);
    assert.match(text, /mmu_invalidate_in_progress of vm is 1, but its range, gfn 0x9 to 0x9, leaves gfn 0x1 out, since vmm's mn_start/);
  });
  it("of a notifier that nobody called", () => {
    const text = told(
      `kernel k extends 6.18 { munmap without mn_start }\nkernel k\n${GUEST}check no-stale-mapping\nvcpu0: store(0x1000, 1)\nmunmap(map, 8K)\n`,
    );
    assert.match(text, /the host page table entry of map \+ 0x0 was cleared in vmm's clear_pte/);
  });
  it("of a VM that is used after its end", () => {
    const text = told(
      "kernel k extends 6.18 { gmem_vm = borrowed }\nkernel k\nvm = KVM_CREATE_VM(0); ram = KVM_CREATE_GUEST_MEMFD(vm, 4K)\ncheck vm-valid\nclose(vm)\nclose(ram)\n",
    );
    assert.match(text, /vm-valid breaks in vmm's close: lock_slots .* vmm works with vm, which has been freed/);
    assert.match(text, /vm is freed since vmm's free_vm/);
  });
});
