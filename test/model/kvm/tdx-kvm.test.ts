// KVM's TDX code: what its ioctls answer, what becomes of a page on its way in and out, and what a kernel breaks in which a step is missing.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { broken, labelled } from "../support.ts";
import { CONVERT, DELETE, PUNCH, race, TD } from "./tdx-support.ts";

const KERNELS = ["6.16", "6.18", "7.2"] as const;

/** Statements on a TD that is finalised, under one kernel. */
const after = (kernel: string, statements: string): string => `${TD}
scenario "one" {
  kernel ${kernel}
  use td
  ${statements}
}
`;

/** A TD that is not yet finalised. */
const building = (kernel: string, statements: string, variant = ""): string => `${variant}
scenario "one" {
  kernel ${kernel}
  vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
  KVM_TDX_INIT_VM(vm, attributes=TDX_TD_ATTR_SEPT_VE_DISABLE) = 0
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  vcpu1 = KVM_CREATE_VCPU(vm, 1)
  KVM_TDX_INIT_VCPU(vcpu0) = 0
  ram = KVM_CREATE_GUEST_MEMFD(vm, 16K)
  host = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
  store(host, 0, 0x41)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=16K, userspace_addr=host, guest_memfd=ram, guest_memfd_offset=0) = 0
  KVM_SET_MEMORY_ATTRIBUTES(vm, address=0, size=8K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
  ${statements}
}
`;

const REGION = (gpa: number, source = "host", pages = 1): string =>
  `KVM_TDX_INIT_MEM_REGION(vcpu0, source_addr=${source}, gpa=0x${gpa.toString(16)}, nr_pages=${pages}, flags=KVM_TDX_MEASURE_MEMORY_REGION)`;

describe("a private fault", () => {
  for (const kernel of KERNELS) {
    it(`finds a page with a memory error, ${kernel}`, () => {
      const text = after(
        kernel,
        `KVM_SET_MEMORY_ATTRIBUTES(vm, address=0x3000, size=4K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
        fallocate(ram, FALLOC_FL_KEEP_SIZE, 0x3000, 4K) = 0
        poison(frame(ram, 0x3000))
        KVM_PRE_FAULT_MEMORY(vcpu0, 0x3000, 4K) @prefault
        vcpu0: load(0x3000) @load`,
      );
      assert.deepEqual(labelled(text), {
        prefault: "-EHWPOISON",
        load: "exit KVM_EXIT_MEMORY_FAULT {flags=8, gpa=0x3000, size=4K, errno=EHWPOISON}",
      });
    });
  }
});

describe("ioctls", () => {
  for (const kernel of KERNELS) {
    it(`a region that cannot be added, ${kernel}`, () => {
      const text = building(
        kernel,
        `${REGION(0x2000)} @shared
        ${REGION(0x9000)} @no_slot
        ${REGION(0x1000, "0x1000")} @no_source
        ${REGION(0x1000)} @added
        ${REGION(0x1000)} @again
        ${REGION(0, "host", 2)} @second_is_there
        ${REGION(0)} @first_is_there
        KVM_TDX_FINALIZE_VM(vm) @final
        ${REGION(0)} @late`,
      );
      assert.deepEqual(labelled(text), {
        shared: "-EINVAL",
        no_slot: "-EINVAL",
        no_source: "-EFAULT",
        added: "0",
        again: kernel === "7.2" ? "-EIO" : "-EEXIST",
        second_is_there: kernel === "7.2" ? "-EIO" : "-EEXIST",
        first_is_there: kernel === "7.2" ? "-EIO" : "-EEXIST",
        final: "0",
        late: "-EINVAL",
      });
    });

    it(`a dead VM answers EIO, ${kernel}`, () => {
      const text = after(
        kernel,
        `vcpu0: load(0x2000) @early
        vcpu1: load(0x1000) @run
        ${CONVERT(0x1000, 0)} @attributes
        ${DELETE} @slot
        KVM_CREATE_GUEST_MEMFD(vm, 4K) @file
        KVM_PRE_FAULT_MEMORY(vcpu0, 0x1000, 4K) @prefault
        KVM_TDX_FINALIZE_VM(vm) @final
        ${PUNCH(0x1000)} @hole`,
      );
      const { hole, ...others } = labelled(text);
      assert.deepEqual([...new Set(Object.values(others))], ["-EIO"]);
      assert.equal(hole, "0", "a file is no ioctl of the VM");
    });

    it(`slots of a TD, ${kernel}`, () => {
      const slot = (flags: string, gpa: string): string =>
        `KVM_SET_USER_MEMORY_REGION2(vm, slot=1, flags=${flags}, guest_phys_addr=${gpa}, memory_size=4K, userspace_addr=host)`;
      const text = after(kernel, `${slot("KVM_MEM_READONLY", "0x10000")} @readonly\n${slot("0", "SHARED|0x10000")} @alias\n${slot("0", "0x10000")} @plain`);
      assert.deepEqual(labelled(text), { readonly: "-EINVAL", alias: "-EINVAL", plain: "0" });
    });
  }

  for (const kernel of KERNELS) {
    it(`a region whose size in bytes has lost its upper bits ends where the slot does, ${kernel}: aec196ba2aff`, () => {
      const text = (pages: string, variant = ""): string =>
        building(
          variant === "" ? kernel : "checked",
          `store(host, 4K, 0x42)
          KVM_SET_MEMORY_ATTRIBUTES(vm, address=0, size=16K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
          KVM_TDX_INIT_MEM_REGION(vcpu0, source_addr=host, gpa=0x2000, nr_pages=${pages}) @region
          KVM_TDX_FINALIZE_VM(vm) = 0
          vcpu0: load(0x3000) @last`,
          variant,
        );
      // 2^52 pages are 2^64 bytes, of which nothing is left: the sum does not exceed gpa.
      const [none, one, many] = ["0x10000000000000", "0x10000000000001", "100"].map((pages) => labelled(text(pages)));
      assert.deepEqual(none, { region: "-EINVAL", last: "-EIO" }, "nothing was added, so the guest touches a page that it has not accepted");
      assert.deepEqual(one, { region: "-EINVAL", last: "0x42" }, "the first page behind the slot ends it");
      assert.deepEqual(many, { region: "-EINVAL", last: "0x42" }, "as it ends any other region that is too long");
      const variant = `kernel checked extends ${kernel} { td_region_size = checked }`;
      assert.deepEqual(labelled(text("0x10000000000001", variant)), { region: "-EINVAL", last: "-EIO" });
    });

    it(`a page that was used and is mapped no more, ${kernel}: 8622ef05709f`, () => {
      const again = building(
        kernel,
        `${REGION(0x1000)} = 0
        KVM_SET_MEMORY_ATTRIBUTES(vm, address=0x1000, size=4K, attributes=0) = 0
        ${REGION(0x1000)} @shared
        KVM_SET_MEMORY_ATTRIBUTES(vm, address=0x1000, size=4K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
        assert sept(vm, 0x1000) == FREE && allocated(ram, 0x1000) == 1
        ${REGION(0x1000)} @again
        KVM_TDX_FINALIZE_VM(vm) = 0`,
      );
      const [shared, used] = kernel === "7.2" ? ["-EINVAL", "0"] : ["-EEXIST", "-EEXIST"];
      assert.deepEqual(labelled(again), { shared, again: used });
      assert.deepEqual(broken(again), []);
    });
  }

  it("a region that ends at the shared bit, as it was posted", () => {
    const statement = "KVM_TDX_INIT_MEM_REGION(vcpu0, source_addr=host, gpa=SHARED - 4K, nr_pages=1) @region";
    const slot =
      "top = KVM_CREATE_GUEST_MEMFD(vm, 4K)\n" +
      "KVM_SET_USER_MEMORY_REGION2(vm, slot=1, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=SHARED - 4K, memory_size=4K, userspace_addr=host, guest_memfd=top) = 0\n" +
      "KVM_SET_MEMORY_ATTRIBUTES(vm, address=SHARED - 4K, size=4K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0";
    assert.deepEqual(labelled(building("6.16", `${slot}\n${statement}`)), { region: "0" });
    assert.deepEqual(labelled(building("before", `${slot}\n${statement}`, "kernel before extends 6.16 { td_region_end = behind }")), { region: "-EINVAL" });
  });
});

describe("a page on its way in", () => {
  it("is premapped up to 6.18: a hole that comes before TDH.MEM.PAGE.ADD has only to forget it", () => {
    const variant = "kernel premaps extends 6.18 { KVM_TDX_INIT_MEM_REGION without page_add }";
    const text = building(
      "premaps",
      `${REGION(0x1000)} @region
      KVM_TDX_FINALIZE_VM(vm) @early
      ${PUNCH(0x1000)} @hole
      KVM_TDX_FINALIZE_VM(vm) @final
      assert sept(vm, 0x1000) == FREE`,
      variant,
    );
    // The measurement of a page that is not there fails, and the page stays premapped until the hole.
    assert.deepEqual(labelled(text), { region: "-EIO", early: "-EINVAL", hole: "0", final: "0" });
    assert.deepEqual(broken(text), []);
  });

  it("is flushed from the host's caches before TDH.MEM.PAGE.AUG", () => {
    const variant = "kernel unflushed extends 6.18 { accept.td without clflush }";
    assert.deepEqual(broken(variant + after("unflushed", "vcpu0: TDG.MEM.PAGE.ACCEPT(0x2000, 0)")), ["cache-flushed TDG.MEM.PAGE.ACCEPT.aug.commit"]);
    assert.deepEqual(broken(after("6.18", "vcpu0: TDG.MEM.PAGE.ACCEPT(0x2000, 0)")), []);
  });

  for (const kernel of KERNELS) {
    it(`meets another vCPU that creates or finalises, ${kernel}`, () => {
      const bugs = (statement: string): string[] =>
        broken(building(kernel, `parallel { vmm { ${statement} @region }  other { KVM_TDX_INIT_VCPU(vcpu1) @create } }`)).filter((breach) =>
          breach.startsWith("no-kvm-bug"),
        );
      const known = ["vp_addcx", "vp_create", "vp_init"].map((step) => `no-kvm-bug create.${step}`);
      assert.deepEqual(bugs(REGION(0x1000)), kernel === "7.2" ? [] : known, "TDH.MR.EXTEND and TDH.MEM.PAGE.ADD hold the TDR alone");
      assert.deepEqual(bugs("KVM_TDX_FINALIZE_VM(vm)"), kernel === "7.2" ? [] : known, "and so does TDH.MR.FINALIZE");
    });
  }

  it("its source may have to be faulted in under the invalidate lock, up to 6.18", () => {
    const source = building("6.18", `${REGION(0x1000, "host + 4K")} @region`);
    assert.deepEqual(broken(source), ["lock-order region.get_source"]);
    assert.deepEqual(broken(source.replace("kernel 6.18", "kernel 7.2")), []);
    assert.deepEqual(broken(building("6.18", `${REGION(0x1000)} @region`)), [], "what the VMM has written is there");
  });
});

describe("a page on its way out", () => {
  const hole = (variant: string, block = `vmm { ${PUNCH(0x1000)} @hole }  vcpu0 { load(0x1000) @look }`, before = ""): string =>
    `kernel changed extends 6.18 { ${variant} }\n${race("changed", block, before)}`;
  const bugs = (text: string): string[] => broken(text).filter((breach) => breach.startsWith("no-kvm-bug"));

  it("without TDH.MEM.RANGE.BLOCK, TRACK or the kick: TDH.MEM.PAGE.REMOVE refuses, and the VM is bugged", () => {
    for (const step of ["block", "track"]) assert.deepEqual(bugs(hole(`fallocate.punch_hole.td without ${step}`)), ["no-kvm-bug hole.remove"], step);
    const unkicked = "fallocate.punch_hole.td without kick_send; fallocate.punch_hole.td without kick_wait";
    assert.deepEqual(bugs(hole(unkicked)), ["no-kvm-bug hole.remove"]);
  });

  it("a vCPU that was not kicked keeps the next TDH.MEM.TRACK from counting up, which KVM does not take for busy", () => {
    const unkicked =
      "fallocate.punch_hole.td without kick_send; fallocate.punch_hole.td without kick_wait; fallocate.punch_hole.td without remove; fallocate.punch_hole.td without page_wbinvd";
    const text = hole(
      unkicked,
      `vmm { ${PUNCH(0x1000)} @first\n ${PUNCH(0x2000)} @hole }  vcpu0 { load(0x1000)\n load(0x1000) }`,
      "vcpu0: TDG.MEM.PAGE.ACCEPT(0x2000, 0)",
    );
    assert.ok(bugs(text).includes("no-kvm-bug hole.track"));
  });

  it("a leaf that is busy runs once more with every vCPU kept out; without that it is a bug", () => {
    const accept = `vmm { ${PUNCH(0x2000)} @hole }  vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0) @accept }`;
    const before = "KVM_PRE_FAULT_MEMORY(vcpu0, 0x2000, 4K) = 0";
    assert.deepEqual(broken(race("6.18", accept, before)), []);
    // Whichever leaf is busy, the next one finds the page as it was.
    assert.deepEqual(bugs(hole("fallocate.punch_hole.td without hold_vcpus", accept, before)), ["no-kvm-bug hole.page_wbinvd", "no-kvm-bug hole.remove"]);
  });

  it("without TDH.PHYMEM.PAGE.WBINVD dirty lines of the TD's key outlive it", () => {
    assert.ok(
      broken(hole("fallocate.punch_hole.td without page_wbinvd", undefined, "vcpu0: store(0x1000, 7)")).some((breach) =>
        breach.startsWith("cache-flushed hole."),
      ),
    );
  });

  it("whose removal failed stays pinned up to 6.18, and goes back to the allocator from 6.19 on", () => {
    const text = (pin: string): string => hole(`fallocate.punch_hole.td without block; td_page_reference = ${pin}`);
    assert.ok(!broken(text("pinned")).some((breach) => breach.startsWith("td-page-held")));
    assert.ok(broken(text("none")).some((breach) => breach.startsWith("td-page-held hole.")));
  });

  it("meets TDH.VP.INIT of a newer module, which wants the TDR alone: 9a89894f30d5", () => {
    const block = `${REGION(0x1000)} = 0\n  parallel { vmm { ${PUNCH(0x1000)} @hole }  other { KVM_TDX_INIT_VCPU(vcpu1) @create } }`;
    const found = (base: string): string[] =>
      broken(building("newer", block, `kernel newer extends ${base} { td_vp_init = exclusive }`)).filter((breach) => breach.startsWith("no-kvm-bug hole"));
    assert.deepEqual(found("6.18"), ["no-kvm-bug hole.block", "no-kvm-bug hole.remove"]);
    assert.deepEqual(found("7.2"), []);
  });
});

describe("the end", () => {
  for (const kernel of KERNELS) {
    it(`whoever drops the last reference takes the TD down, ${kernel}`, () => {
      const text = after(
        kernel,
        `vcpu0: load(0x1000) = 0x41
        close(vcpu1)
        close(vcpu0)
        parallel { vmm { close(vm) }  other { close(ram) } }
        forall key_state(33) == HKID_FREE`,
      );
      assert.deepEqual(broken(text), []);
    });
  }

  it("with a vCPU still associated nothing can be reclaimed: key id and pages are leaked", () => {
    const variant = "kernel unflushed extends 6.18 { destroy_vm.td without flush_vp }";
    const text = `${variant}\n${after("unflushed", "close(ram)\n close(vcpu0)\n close(vcpu1)\n close(vm) @last\n assert key_state(33) == HKID_ASSIGNED && chldcnt(vm) == 22")}`;
    assert.deepEqual(labelled(text), { last: "0" });
    assert.ok(!broken(text).some((breach) => breach.startsWith("no-kvm-bug")), "TDX_FLUSHVP_NOT_DONE is an answer that KVM knows");
  });
});
