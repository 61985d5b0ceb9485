// Predicates on states that no modelled kernel reaches: each is made by hand, field by field.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { INVARIANTS } from "../../src/invariants/index.ts";
import { PRIVATE, SHARED } from "../../src/model/kvm/state.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import { onMachine } from "../model/support.ts";

const TEXT = `kernel v8
ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, 8K); fallocate(ram, 0, 0, 8K)
mem = memfd_create("mem", 0); ftruncate(mem, 4K); map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x4000, memory_size=8K, userspace_addr=map, private_fd=ram, private_offset=0)
vcpu0: store(0x4000, 1)
vcpu0: load(0x5000)
other = alloc_frame()`;

/** The state after the whole text, and a way to ask an invariant about it. */
function atEnd(use: (machine: MachineSystem, state: Int32Array, subjects: (name: string) => number) => void): void {
  onMachine(TEXT, (machine) => {
    const state = new Int32Array(machine.words);
    machine.initial(state);
    while (!machine.finished(state))
      assert.ok(
        [0, 1].some((actor) => machine.step(state, actor, 0) > 0),
        "the text runs through",
      );
    use(machine, state, (name) => {
      const found = new Set<number>();
      const invariant = INVARIANTS.find((candidate) => candidate.name === name);
      assert.ok(invariant?.state, name);
      invariant.state(machine, state, (subject) => found.add(subject));
      for (const subject of found) assert.notEqual(invariant.describe(machine, subject, state).message, "");
      return found.size;
    });
  });
}

const gfn = (machine: MachineSystem, address: number): number => machine.vms[0].cells.at(address);

describe("frame-one-owner", () => {
  it("a frame in two places of the page cache", () =>
    atEnd((machine, state, broken) => {
      assert.equal(broken("frame-one-owner"), 0);
      const [first, second] = machine.files[0].frames;
      second.set(state, first.get(state));
      assert.equal(broken("frame-one-owner"), 1);
    }));
  it("a frame of a file that somebody else took too", () =>
    atEnd((machine, state, broken) => {
      machine.drivers[0].set(state, machine.files[0].frames[0].get(state));
      assert.equal(broken("frame-one-owner"), 1);
    }));
  it("a reference of a fault is no owner, and three owners are one violation", () =>
    atEnd((machine, state, broken) => {
      const [first, second] = machine.files[0].frames;
      machine.threads[0].frame.set(state, first.get(state));
      assert.equal(broken("frame-one-owner"), 0);
      second.set(state, first.get(state));
      machine.drivers[0].set(state, first.get(state));
      assert.equal(broken("frame-one-owner"), 1);
    }));
});

describe("no-stale-mapping", () => {
  it("holds at the end, and breaks once for a leaf and a TLB entry of one page", () =>
    atEnd((machine, state, broken) => {
      assert.equal(broken("no-stale-mapping"), 0);
      machine.files[0].frames[0].set(state, 0);
      assert.equal(broken("no-stale-mapping"), 1);
    }));
  it("a TLB entry alone is enough", () =>
    atEnd((machine, state, broken) => {
      machine.files[0].frames[0].set(state, 0);
      machine.vms[0].ept[PRIVATE][gfn(machine, 4)]?.set(state, 0);
      assert.equal(broken("no-stale-mapping"), 1);
      machine.vcpus[0].tlb[PRIVATE][gfn(machine, 4)]?.set(state, 0);
      assert.equal(broken("no-stale-mapping"), 0);
    }));
  it("a shared mapping is held against the host page table, not against the private file", () =>
    atEnd((machine, state, broken) => {
      const leaf = machine.vms[0].ept[SHARED][gfn(machine, 4)];
      leaf?.set(state, machine.files[0].frames[0].get(state));
      assert.equal(broken("no-stale-mapping"), 1);
      machine.mappings[0].ptes[0]?.set(state, machine.files[0].frames[0].get(state));
      assert.equal(broken("no-stale-mapping"), 0);
    }));
  it("every mapping that outlives its slot breaks it, whatever the file holds", () =>
    atEnd((machine, state, broken) => {
      const { ept, slots } = machine.vms[0];
      const mapped = ept.flat().filter((leaf) => (leaf?.get(state) ?? 0) > 0);
      slots[0].config.set(state, 0);
      assert.equal(broken("no-stale-mapping"), mapped.length);
      assert.ok(mapped.length > 0);
    }));
});

describe("attributes-respected", () => {
  it("a shared mapping of a private gfn, and a private one of a converted gfn", () =>
    atEnd((machine, state, broken) => {
      assert.equal(broken("attributes-respected"), 0);
      machine.vms[0].ept[SHARED][gfn(machine, 4)]?.set(state, 1);
      assert.equal(broken("attributes-respected"), 1);
      machine.vms[0].converted[gfn(machine, 5)].set(state, 1);
      assert.equal(broken("attributes-respected"), 2);
    }));
});

describe("inaccessible-marked", () => {
  it("only files that are installed and were made with the flag", () =>
    atEnd((machine, state, broken) => {
      assert.equal(broken("inaccessible-marked"), 0);
      machine.files[0].shim.set(state, 0);
      assert.equal(broken("inaccessible-marked"), 1);
      machine.files[0].installed.set(state, 0);
      assert.equal(broken("inaccessible-marked"), 0);
      machine.files[1].shim.set(state, 0);
      assert.equal(broken("inaccessible-marked"), 0);
    }));
});
