// The rules of KVM's TDX code: each broken where a variant of the kernel leaves a step out, at the very step that breaks it; and kept by 6.16, 6.18 and 7.2 as
// they are, in the situations that a naive rule would accuse.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { INVARIANTS } from "../../src/invariants/index.ts";
import { PRIVATE } from "../../src/model/kvm/state.ts";
import { referencesOf } from "../../src/model/memory/frames.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import { LEVEL, PT } from "../../src/model/tdx/tables.ts";
import { CONVERT, DELETE, PUNCH, race, TD } from "../model/kvm/tdx-support.ts";
import { broken, onMachine } from "../model/support.ts";

const RULES = ["mirror-agrees", "no-kvm-bug", "cache-flushed", "td-page-held", "refcount-balanced", "no-stale-mapping", "attributes-respected"];
const KERNELS = ["6.16", "6.18", "7.2"];

const variant = (base: string, edit: string): string => `kernel changed extends ${base} { ${edit} }\n`;

/** A race on a TD under a kernel, watching some rules; `edit` makes a variant of it. */
function breaks(block: string, { base = "6.18", edit = "", before = "", check = RULES as readonly string[] } = {}): string[] {
  const text = race(edit === "" ? base : "changed", block, before).replace("use td", `check ${check.join(", ")}\n  use td`);
  return broken(`${edit === "" ? "" : variant(base, edit)}${text}`);
}

const HOLE = `vmm { ${PUNCH(0x1000)} @hole }`;
const without = (step: string): string => `fallocate.punch_hole.td without ${step}`;

describe("no-kvm-bug: what the module answers where a step of the removal is left out", () => {
  it("no BLOCK, no TRACK, no kick", () => {
    assert.deepEqual(breaks(HOLE, { edit: without("block"), check: ["no-kvm-bug"] }), ["no-kvm-bug hole.remove"]);
    assert.deepEqual(breaks(HOLE, { edit: without("track"), check: ["no-kvm-bug"] }), ["no-kvm-bug hole.remove"]);
    const inside = `${HOLE}  vcpu0 { load(0x1000) }`;
    assert.deepEqual(breaks(inside, { edit: `${without("kick_send")}; ${without("kick_wait")}`, check: ["no-kvm-bug"] }), ["no-kvm-bug hole.remove"]);
  });
  it("no REMOVE: the write-back of a page that is still the TD's", () => {
    assert.deepEqual(breaks(HOLE, { edit: without("remove"), check: ["no-kvm-bug"] }), ["no-kvm-bug hole.page_wbinvd"]);
  });
});

describe("a removal that failed", () => {
  it("6.18 keeps its reference: the page never comes back, but the file has dropped what the secure EPT still names", () => {
    assert.deepEqual(breaks(HOLE, { edit: without("block") }), ["no-kvm-bug hole.remove", "no-stale-mapping hole.truncate"]);
  });
  it("from 6.19 on the page goes back to the allocator while it is still the TD's", () => {
    assert.deepEqual(breaks(HOLE, { base: "7.2", edit: without("block"), before: "vcpu0: store(0x1000, 1)" }), [
      "cache-flushed hole.truncate",
      "no-kvm-bug hole.remove",
      "no-stale-mapping hole.truncate",
      "td-page-held hole.truncate",
    ]);
  });
});

describe("refcount-balanced in a pre-fault", () => {
  it("without the put the page keeps a reference", () => {
    const found = breaks("vmm { KVM_PRE_FAULT_MEMORY(vcpu0, 0x2000, 4K) @early }", {
      edit: "KVM_PRE_FAULT_MEMORY.td without put_page",
      check: ["refcount-balanced"],
    });
    assert.deepEqual(found, ["refcount-balanced early.advance"]);
  });
});

describe("no-stale-mapping: a slot that goes", () => {
  it("without a zap of what is shared", () => {
    const before = `${CONVERT(0x2000, 0)}\n  vcpu0: store(SHARED|0x2000, 1)`;
    const edit = "KVM_SET_USER_MEMORY_REGION.delete.td without zap_slot";
    assert.deepEqual(breaks(`vmm { ${DELETE} @delete }`, { edit, before, check: ["no-stale-mapping"] }), ["no-stale-mapping delete.commit_slot"]);
  });
  it("without the mark: a page is added behind the removal", () => {
    const block = `vmm { ${DELETE} @delete }  vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0) @accept }`;
    const edit = "KVM_SET_USER_MEMORY_REGION.delete.td without mark_invalid";
    const found = breaks(block, { edit, check: ["no-stale-mapping"] });
    assert.deepEqual(found, ["no-stale-mapping accept.aug.commit", "no-stale-mapping delete.commit_slot"]);
    assert.deepEqual(breaks(block, { check: ["no-stale-mapping"] }), []);
  });
});

describe("cache-flushed", () => {
  it("no WBINVD behind the removal: seen when the page is free", () => {
    for (const base of KERNELS) {
      const lost = breaks(HOLE, { base, edit: without("page_wbinvd"), before: "vcpu0: store(0x1000, 1)" });
      assert.deepEqual(lost, ["cache-flushed hole.truncate"], base);
    }
  });
  it("no CLFLUSH before AUG: what clearing the page has left in the cache", () => {
    const fresh = "vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0) @accept }";
    for (const base of KERNELS) assert.deepEqual(breaks(fresh, { base, edit: "accept.td without clflush" }), ["cache-flushed accept.aug.commit"], base);
  });
});

describe("mirror-agrees", () => {
  it("the mirror maps a page that the module was never given", () => {
    const found = breaks("vmm { KVM_PRE_FAULT_MEMORY(vcpu0, 0x2000, 4K) @early }", { edit: "KVM_PRE_FAULT_MEMORY.td without aug", check: ["mirror-agrees"] });
    assert.deepEqual(found, ["mirror-agrees early.publish_spte"]);
  });
  it("the module has a page that the mirror has forgotten", () => {
    const found = breaks(HOLE, {
      edit: "fallocate.punch_hole.td = check_args, lock_invalidate, lock_mmu, invalidate_begin, clear_mirror, unlock_mmu, truncate, invalidate_end, unlock_invalidate",
      check: ["mirror-agrees"],
    });
    assert.ok(
      found.every((one) => one.startsWith("mirror-agrees hole.")),
      found.join(),
    );
    assert.ok(found.length > 0);
  });
});

describe("kernels as they are break nothing", () => {
  const HOST = [PUNCH(0x1000), CONVERT(0x1000, 0), DELETE, "KVM_PRE_FAULT_MEMORY(vcpu1, 0x2000, 4K)", "close(ram)"];
  const GUEST = ["load(0x1000)", "TDG.MEM.PAGE.ACCEPT(0x2000, 0)"];
  for (const base of KERNELS) {
    it(`every call that takes pages away or brings them, against guest code: ${base}`, () => {
      for (const host of HOST) for (const guest of GUEST) assert.deepEqual(breaks(`vmm { ${host} }  vcpu0 { ${guest} }`, { base }), [], `${host} ${guest}`);
    });
    it(`the build window, a hole between the map and TDH.MEM.PAGE.ADD, and the teardown: ${base}`, () => {
      const build = `${TD.replace(/\n {2}KVM_TDX_INIT_MEM_REGION[\s\S]*\n\}/, "\n}")}
scenario "build" {
  kernel ${base}
  check ${RULES.join(", ")}, sept-pamt-agree, key-order
  use td
  parallel {
    vmm { KVM_TDX_INIT_MEM_REGION(vcpu0, source_addr=host, gpa=0x1000, nr_pages=1, flags=0) }
    helper { ${PUNCH(0x1000)} }
  }
  close(ram)
  close(vcpu0)
  close(vcpu1)
  close(vm)
}
`;
      assert.deepEqual(broken(build), []);
    });
  }
});

/** The state in which the TD stands, and a way to ask a rule about it. */
function standing(use: (machine: MachineSystem, state: Int32Array, subjects: (name: string) => number) => void): void {
  onMachine(race("6.18", "vmm { close(-1) }"), (machine) => {
    const state = new Int32Array(machine.words);
    machine.initial(state);
    while (!machine.finished(state)) assert.ok(Array.from({ length: machine.actors }, (_, actor) => actor).some((actor) => machine.step(state, actor, 0) > 0));
    use(machine, state, (name) => {
      const invariant = INVARIANTS.find((one) => one.name === name);
      const found = new Set<number>();
      invariant?.state?.(machine, state, (subject) => found.add(subject));
      for (const subject of found) assert.match(invariant?.describe(machine, subject, state).message ?? "", /\w/);
      return found.size;
    });
  });
}

it("each rule over states, broken by hand", () => {
  standing((machine, state, subjects) => {
    for (const name of [...RULES, "sept-pamt-agree", "tlb-tracked", "epoch-counted", "key-order"]) assert.equal(subjects(name), 0, name);
    const td = machine.kvmTds?.vms[0];
    const { tdx } = machine;
    assert.ok(td && tdx);
    const cell = machine.vms[0].cells.at(1);
    const leaf = machine.vms[0].ept[PRIVATE][cell];
    const frame = leaf?.get(state) ?? 0;
    td.premapped.set(state, 1);
    assert.equal(subjects("mirror-agrees"), 0, "nr_premapped of a final TD is nobody's concern");
    td.state.set(state, 1);
    assert.equal(subjects("mirror-agrees"), 1);
    td.state.set(state, 2);
    leaf?.set(state, 0);
    assert.equal(subjects("mirror-agrees"), 1);
    td.dead.set(state, 1);
    assert.equal(subjects("mirror-agrees"), 0, "a dead VM is exempt");
    td.dead.set(state, 0);
    leaf?.set(state, frame);
    td.pins.get(cell)?.set(state, 0);
    assert.equal(subjects("refcount-balanced"), 1);
    td.pins.get(cell)?.set(state, frame);
    td.td.entries[LEVEL.PT].get(1)?.frame.set(state, frame + 1);
    assert.equal(subjects("no-stale-mapping"), 1, "the secure EPT is what the hardware walks");
    td.td.entries[LEVEL.PT].get(1)?.frame.set(state, frame);
    const free = machine.frames.findIndex((_, index) => index > 0 && referencesOf(machine, state, index) === 0);
    tdx.pamt[free].type.set(state, PT.REG);
    assert.equal(subjects("td-page-held"), 1);
  });
});
