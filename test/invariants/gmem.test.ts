// Invariants under the kernels with guest_memfd: each broken by a release as it was or by a changed one, and kept by every release in the races in which a
// naive form of it would cry wolf.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { broken } from "../model/support.ts";

const KERNELS = ["6.8.0", "6.8", "6.16", "6.18.0", "6.18", "7.2"] as const;
const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
const SLOT = (rest: string, flags = "KVM_MEM_GUEST_MEMFD"): string => `KVM_SET_USER_MEMORY_REGION2(vm, flags=${flags}, userspace_addr=map, ${rest})`;
const SETUP = `
mem = memfd_create("mem", 0); ftruncate(mem, 8K)
map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM); vcpu0 = KVM_CREATE_VCPU(vm, 0); vcpu1 = KVM_CREATE_VCPU(vm, 1)
ram = KVM_CREATE_GUEST_MEMFD(vm, 8K)
${SLOT("slot=0, guest_phys_addr=0, memory_size=8K, guest_memfd=ram")} @bind
KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 8)
`;
const changed = (edits: string, kernel = "6.18"): string => `kernel changed extends ${kernel} { ${edits} }\nkernel changed\n`;
const DELETE = "KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=0)";

describe("every release keeps them", () => {
  const races: readonly (readonly [name: string, race: string])[] = [
    ["a hole against a private load", `vcpu0: store(0, 1)\nparallel { vmm { fallocate(ram, ${PUNCH}, 0, 4K) } vcpu0 { load(0) } }`],
    [
      "two conversions at once against a load",
      "parallel { vmm { KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 8K, 8) } other { KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 8K, 0) } vcpu0 { load(0x1000) } }",
    ],
    ["a conversion against stores of two vCPUs", "parallel { vmm { KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 0) } vcpu0 { store(0, 1) } vcpu1 { load(0) } }"],
    ["deletion of the slot against loads of both kinds", `parallel { vmm { ${DELETE} } vcpu0 { load(0) } vcpu1 { load(0x1000) } }`],
    ["the last close against a load", "parallel { vmm { close(ram) } vcpu0 { load(0) } }"],
    ["the last close under a hole", `parallel { vmm { close(ram) } other { fallocate(ram, ${PUNCH}, 0, 4K) } vcpu0 { load(0) } }`],
    ["munmap of the shared side against a shared load", "vcpu0: load(0x1000)\nparallel { vmm { munmap(map + 4K, 4K) } vcpu0 { load(0x1000) } }"],
    [
      "allocation against a hole",
      `parallel { vmm { fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 8K) } other { fallocate(ram, ${PUNCH}, 0, 8K) } vcpu0 { load(0) } }`,
    ],
  ];
  for (const kernel of KERNELS) {
    for (const [name, race] of races) it(`${kernel}: ${name}`, () => assert.deepEqual(broken(`kernel ${kernel}\n${SETUP}${race}`), []));
  }
  for (const kernel of ["6.16", "6.18", "7.2"]) {
    it(`${kernel}: a pre-fault against a hole and a conversion`, () => {
      const race = `parallel { vmm { KVM_PRE_FAULT_MEMORY(vcpu1, 0, 8K) } other { fallocate(ram, ${PUNCH}, 0, 4K); KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 0) } }`;
      assert.deepEqual(broken(`kernel ${kernel}\n${SETUP}${race}`), []);
    });
  }
  for (const kernel of ["6.18.0", "6.18", "7.2"]) {
    it(`${kernel}: a hole in a mapped file against guest and host`, () => {
      const text = `vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)\nram = KVM_CREATE_GUEST_MEMFD(vm, 4K, 3)\nmap = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)
${SLOT("slot=0, guest_phys_addr=0, memory_size=4K, guest_memfd=ram")} = 0\nvcpu0: store(0, 1)\nparallel { vmm { fallocate(ram, ${PUNCH}, 0, 4K) } other { load(map, 0) } vcpu0 { load(0) } }`;
      assert.deepEqual(broken(`kernel ${kernel}\n${text}`), []);
    });
  }
});

describe("binding-in-bounds", () => {
  const text = (kernel: string): string =>
    `kernel ${kernel}\nvm = KVM_CREATE_VM(1)\nram = KVM_CREATE_GUEST_MEMFD(vm, 16K)\nKVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=4, guest_phys_addr=0, memory_size=4K, guest_memfd_offset=0x7ffffffffffff000, guest_memfd=ram) @bind`;
  for (const kernel of KERNELS) {
    const expected = kernel === "7.2" ? [] : ["binding-in-bounds bind.commit_slot"];
    it(`${kernel}: an offset just below 2^63`, () => assert.deepEqual(broken(text(kernel)), expected));
  }
});

describe("binding-valid", () => {
  const update = `${SETUP}${SLOT("slot=0, guest_phys_addr=0, memory_size=8K", "KVM_MEM_LOG_DIRTY_PAGES")} @update\nfallocate(ram, ${PUNCH}, 0, 4K) @hole\nclose(ram) @close`;
  for (const kernel of KERNELS) {
    const unfixed = ["6.8.0", "6.16", "6.18.0"].includes(kernel);
    it(`${kernel}: an update without KVM_MEM_GUEST_MEMFD ${unfixed ? "leaves the binding to the freed slot (9935df5333aa)" : "is refused"}`, () => {
      const expected = ["close.clear_slots", "close.invalidate_begin", "hole.invalidate_begin", "update.free_slot"].map((at) => `binding-valid ${at}`);
      assert.deepEqual(broken(`kernel ${kernel}\n${update}`), unfixed ? expected : []);
    });
    const skips = ["6.8.0", "6.16"].includes(kernel);
    it(`${kernel}: deletion of the slot while the file goes ${skips ? "leaves the binding (ae431059e75d)" : "takes the binding out"}`, () => {
      const race = `kernel ${kernel}\ncheck binding-valid\n${SETUP}parallel { vmm { close(ram) @close } other { ${DELETE} @delete } }`;
      const expected = ["close.clear_slots", "close.invalidate_begin", "delete.free_slot"].map((at) => `binding-valid ${at}`);
      assert.deepEqual(broken(race), skips ? expected : []);
    });
  }
  it("a release that forgets to clear the slots", () => {
    assert.deepEqual(broken(`${changed("release without clear_slots")}check binding-valid\n${SETUP}close(ram) @close`), ["binding-valid close.free_file"]);
  });
});

describe("attributes-respected", () => {
  it("a conversion that stores before it zaps is no conversion of 6.8 on", () => {
    const order = "KVM_SET_MEMORY_ATTRIBUTES = check_args, lock_slots, same, reserve, store, invalidate_begin, invalidate_end, unlock_slots";
    const text = `${changed(order)}check attributes-respected\n${SETUP}vcpu0: load(0)\nKVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 0) @convert`;
    assert.deepEqual(broken(text), ["attributes-respected convert.store"]);
  });
});

describe("conversion-atomic", () => {
  it("a conversion that stores nothing and succeeds", () => {
    const text = `${changed("KVM_SET_MEMORY_ATTRIBUTES without store")}check conversion-atomic\n${SETUP.replace("8)\n", "8) @convert\n")}`;
    assert.deepEqual(broken(text), ["conversion-atomic convert.unlock_slots"]);
  });
});

describe("lock-order", () => {
  it("a release that takes the invalidate lock first, though it never blocks here", () => {
    const release = "release = lock_invalidate, lock_slots, clear_slots, unlock_slots, unlock_invalidate, free_pages, free_file";
    assert.deepEqual(broken(`${changed(release)}check lock-order\n${SETUP}close(ram) @close`), ["lock-order close.lock_slots"]);
  });
});

describe("refcount-balanced", () => {
  it("a fault that never puts its page, and one that puts it twice", () => {
    assert.deepEqual(broken(`${changed("fault without put_page")}check refcount-balanced\n${SETUP}vcpu0: load(0) @look`), ["refcount-balanced look.access"]);
    const fault = "fault = snapshot, check_kind, find_slot, put_page, get_page, map";
    assert.deepEqual(broken(`${changed(fault)}check refcount-balanced\n${SETUP}parallel { vcpu0 { load(0) @look } }`), ["refcount-balanced look.put_page"]);
  });
});

describe("refcount-balanced in a pre-fault", () => {
  it("without the put each page keeps a reference", () => {
    const text = `${changed("KVM_PRE_FAULT_MEMORY without put_page")}check refcount-balanced\n${SETUP}KVM_PRE_FAULT_MEMORY(vcpu0, 0, 8K) @early`;
    assert.deepEqual(broken(text), ["refcount-balanced early.advance"]);
  });
});

describe("no-stale-mapping", () => {
  it("a hole without its begin", () => {
    const text = `${changed("fallocate.punch_hole without invalidate_begin")}check no-stale-mapping\n${SETUP}vcpu0: store(0, 1)\nfallocate(ram, ${PUNCH}, 0, 4K) @hole`;
    assert.deepEqual(broken(text), ["no-stale-mapping hole.truncate"]);
  });
  it("6.18-rc1's filter: a hole in a mapped file that removes private mappings only (5d3341d684be)", () => {
    const text = `${changed("zap_filter = kind")}check no-stale-mapping\nvm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)\nram = KVM_CREATE_GUEST_MEMFD(vm, 4K, 3)
KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=4, guest_phys_addr=0, memory_size=4K, guest_memfd=ram)\nvcpu0: store(0, 1)\nfallocate(ram, ${PUNCH}, 0, 4K) @hole`;
    assert.deepEqual(broken(text), ["no-stale-mapping hole.truncate"]);
  });
  it("a slot that goes and leaves its mappings: no slot has the gfn any more", () => {
    const text = `${changed("KVM_SET_USER_MEMORY_REGION.delete without zap_slot")}check no-stale-mapping\n${SETUP}vcpu0: store(0, 1)\nvcpu0: store(0x1000, 1)\n${DELETE} @delete`;
    assert.deepEqual(broken(text), ["no-stale-mapping delete.commit_slot"]);
  });
  it("a slot that is not marked before it goes: a fault behind the zap maps its memory again", () => {
    const text = `${changed("KVM_SET_USER_MEMORY_REGION.delete without mark_invalid")}check no-stale-mapping\n${SETUP}parallel { vmm { ${DELETE} @delete } vcpu0 { store(0, 1) @look } }`;
    assert.deepEqual(broken(text), ["no-stale-mapping delete.commit_slot", "no-stale-mapping look.map"]);
  });
  it("a slot that goes without a wait for faults in flight; where every root becomes obsolete they start over by themselves", () => {
    const race = `check no-stale-mapping\n${SETUP}parallel { vmm { ${DELETE} @delete } vcpu0 { store(0, 1) @look } }`;
    const hasty = "KVM_SET_USER_MEMORY_REGION.delete without synchronize_srcu";
    assert.deepEqual(broken(`${changed(hasty)}${race}`), ["no-stale-mapping delete.commit_slot", "no-stale-mapping look.map"]);
    assert.deepEqual(broken(`${changed(`${hasty}; slot_zap = all`)}${race}`), []);
  });
});

describe("no-livelock", () => {
  const race = `check no-livelock\n${SETUP}parallel { vmm { KVM_PRE_FAULT_MEMORY(vcpu1, 0, 4K) @pre } other { ${DELETE} @delete } }`;
  it("6.16: a pre-fault spins on the slot whose deletion waits for it", () => {
    assert.deepEqual([...new Set(broken(`kernel 6.16\n${race}`).map((breach) => breach.split(" ")[0]))], ["no-livelock"]);
  });
  for (const kernel of ["6.18", "7.2"]) it(`${kernel}: it answers EAGAIN`, () => assert.deepEqual(broken(`kernel ${kernel}\n${race}`), []));
});
