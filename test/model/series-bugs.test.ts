// The known bugs of the series as rows of a kernel: what each of them does in numbers, and that a variant with the row changed does not do it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answers, breaches, broken, callAt, labelled, program, report } from "./support.ts";
import { lastAnswer } from "./tables.ts";

const VARIANTS = `
kernel v5-EEXIST   extends v5 { double_binding = EEXIST }
kernel v8-EINVAL   extends v8 { double_binding = EINVAL }
kernel v4-shifted  extends v4 { double_binding = EEXIST; notifier_base_gfn = added }
kernel v8-short    extends v8 { entry_memory = may_run_out }
kernel v8-all      extends v8 { entry_memory = may_run_out; conversion_rollback = erases }
kernel v8-stays    extends v8 { entry_memory = may_run_out; conversion_rollback = none }
kernel v8-reserves extends v8 { entry_memory = may_run_out; KVM_MEMORY_ENCRYPT_UNREG_REGION = check_args, reserve, store, invalidate }
kernel v9-short    extends v9 { entry_memory = may_run_out }
kernel v10-short   extends v10 { entry_memory = may_run_out }
kernel gmem-short   extends 6.8 { entry_memory = may_run_out }
`;
const SLOT = (id: number, gpa: string, size: string, offset: string, fd = "ram"): string =>
  `KVM_SET_USER_MEMORY_REGION(vm, slot=${id}, flags=KVM_MEM_PRIVATE, guest_phys_addr=${gpa}, memory_size=${size}, private_fd=${fd}, private_offset=${offset})`;
const MADE = (kernel: string): string => (/^v(9|10)/.test(kernel) ? "ram = memfd_restricted(0)" : 'ram = memfd_create("ram", MFD_INACCESSIBLE)');

describe("a second slot over one range of the file", () => {
  /** By kernel: what the slot at `offset` of `size` answers behind one of 16K at 32K of the file. */
  const answer = (kernel: string, size: string, offset: string, first = "16K"): string =>
    lastAnswer(
      `${VARIANTS}kernel ${kernel}\n${MADE(kernel)}; ram2 = memfd_create("ram2", 0)\nvm = KVM_CREATE_VM(0)\n${SLOT(0, "0", first, "32K")}\n${SLOT(1, "64M", size, offset)}`,
    );
  const ROWS: readonly (readonly [size: string, offset: string, byKernel: Readonly<Record<string, string>>])[] = [
    ["16K", "32K", { v4: "0", "v4-shifted": "-EEXIST", v5: "0", "v5-EEXIST": "-EEXIST", "v8-EINVAL": "-EINVAL", v10: "0" }],
    ["4K", "36K", { v4: "0", "v4-shifted": "-EEXIST", "v5-EEXIST": "-EEXIST", "v8-EINVAL": "-EINVAL" }],
    ["4K", "48K", { v4: "0", "v4-shifted": "0", "v5-EEXIST": "0", "v8-EINVAL": "0" }],
    ["4K", "28K", { v4: "0", "v4-shifted": "0", "v5-EEXIST": "0", "v8-EINVAL": "0" }],
    // The one overlap that v4's test finds: the new range begins below the old one and ends above its beginning.
    ["8K", "28K", { v4: "-EEXIST", "v4-shifted": "-EEXIST", v5: "0", "v5-EEXIST": "-EEXIST", "v8-EINVAL": "-EINVAL" }],
    ["64K", "0", { v4: "-EEXIST", "v4-shifted": "-EEXIST" }],
  ];
  for (const [size, offset, byKernel] of ROWS) {
    it(`${size} at ${offset}`, () => {
      for (const [kernel, wanted] of Object.entries(byKernel)) assert.equal(answer(kernel, size, offset), wanted, kernel);
    });
  }
  it("v4 takes npages >> 12 for bytes: of a slot of 16 MiB it sees one byte", () => {
    assert.equal(answer("v4", "4K", "32K", "16M"), "-EEXIST");
    assert.equal(answer("v4", "4K", "32K", "15M"), "0");
    assert.equal(answer("v4", "4K", "36K", "16M"), "0");
  });
  it("the file is looked up before the slots in v4 and v5, and behind them from v6 on", () => {
    const both = (kernel: string): string =>
      lastAnswer(`kernel ${kernel}\n${MADE(kernel)}\nvm = KVM_CREATE_VM(0)\n${SLOT(0, "0", "8K", "0")}\n${SLOT(1, "4K", "8K", "0", "-1")}`);
    assert.deepEqual(["v4", "v5", "v6", "v7", "v8", "v9", "v10"].map(both), ["-EINVAL", "-EINVAL", ...Array(5).fill("-EEXIST")]);
  });
  it("bound-once holds over VMs, too", () => {
    const text = (kernel: string, offset: string): string =>
      `kernel ${kernel}\ncheck bound-once\n${MADE(kernel)}\nvm = KVM_CREATE_VM(0); other = KVM_CREATE_VM(0)\n${SLOT(0, "0", "8K", "0")}\n${SLOT(0, "0", "8K", offset).replace("vm,", "other,")} @second`;
    assert.deepEqual(broken(text("v10", "4K")), ["bound-once second.commit_slot"]);
    assert.deepEqual(broken(text("v10", "8K")), []);
    assert.match(report(text("v10", "4K")).violations[0].message, /slot 0 of vm and slot 0 of other are both backed by the same pages of ram/);
  });
});

describe("a slot that loses KVM_MEM_PRIVATE", () => {
  const GUEST = (kernel: string): string =>
    `${VARIANTS}kernel x extends ${kernel} { clear_guest_memfd = EINVAL }\nkernel ${kernel}\ncheck binding-valid\n${MADE(kernel)}; ftruncate(ram, 8K)
map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
vm = KVM_CREATE_VM(0)\n${SLOT(0, "0", "8K", "0").replace("private_fd", "userspace_addr=map, private_fd")}\n`;
  const CHANGE = "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_LOG_DIRTY_PAGES, guest_phys_addr=0, memory_size=8K, userspace_addr=map) @change";
  for (const kernel of ["v4", "v6", "v8", "v10"]) {
    it(`${kernel} frees what the file still leads to, and follows it`, () => {
      const text = `${GUEST(kernel)}${CHANGE}\nfallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) @hole\n`;
      assert.equal(labelled(text).change, "0");
      const found = broken(text);
      assert.deepEqual(
        found.filter((breach) => breach.includes("change")),
        ["binding-valid change.free_slot"],
      );
      assert.ok(
        found.some((breach) => breach.startsWith("binding-valid hole.")),
        found.join(),
      );
      assert.match(report(text).violations[0].message, /the kvm_memory_slot of slot 0 is freed, and the notifier list of ram still points to it/);
    });
  }
  it("a kernel that looks at the old flags refuses, and a move is the same", () => {
    const refused = GUEST("v8").replace("kernel x extends v8 {", "kernel y extends v8 {").replace("kernel v8\ncheck", "kernel y\ncheck");
    assert.deepEqual([labelled(`${refused}${CHANGE}`).change, broken(`${refused}${CHANGE}`)], ["-EINVAL", []]);
    const moved = `${GUEST("v8")}${CHANGE.replace("flags=KVM_MEM_LOG_DIRTY_PAGES, guest_phys_addr=0", "flags=0, guest_phys_addr=64K")}`;
    assert.deepEqual(broken(moved), ["binding-valid change.free_slot"]);
  });
});

describe("the roll-back of a conversion", () => {
  const GUEST = (kernel: string): string => `${VARIANTS}kernel ${kernel}
check conversion-atomic, attributes-respected
${MADE(kernel)}\nvm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)\n${SLOT(0, "0", "1M", "0")}\n`;
  const CONVERT = "KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x3e000, 12K) @convert\n";
  const kinds = (first: number, second: number, third: number): string =>
    `result(convert) == -ENOMEM && attributes(vm, 0x3e000) == ${first} && attributes(vm, 0x3f000) == ${second} && attributes(vm, 0x40000) == ${third}`;
  const P = 8;
  const holds = (text: string): boolean => report(text).verdict === "pass";

  it("memory may run out where a node of the xarray is missing, and nowhere else", () => {
    const inNode = `${GUEST("v8-short")}KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x10000, 4K)\n`;
    assert.equal(labelled(`${inNode}KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x11000, 8K) @convert`).convert, "-ENOMEM or 0", "the first call may have failed");
    const there = `${inNode.trimEnd()} @first\nKVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x11000, 8K) @convert\n`;
    assert.ok(holds(`${there}never result(first) == 0 && result(convert) != 0`));
    // gfn 0 alone stands in the head of the array; the next one needs a node.
    assert.equal(labelled(`${GUEST("v8-short")}KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 4K) @convert`).convert, "0");
    assert.equal(labelled(`${GUEST("v8-short")}KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 8K) @convert`).convert, "-ENOMEM or 0");
    // To erase takes no memory.
    assert.equal(labelled(`${GUEST("v8-short")}KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x3e000, 12K) @convert`).convert, "0");
  });
  it("v8 and v9 leave the first gfn converted", () => {
    for (const kernel of ["v8-short", "v9-short"]) {
      const text = `${GUEST(kernel)}vcpu0: store(0x3e000, 1)\n${CONVERT}`;
      assert.equal(labelled(text).convert, "-ENOMEM or 0", kernel);
      assert.ok(
        holds(
          `${text}exists ${kinds(0, P, P)}\nnever ${kinds(0, 0, P)}\nnever ${kinds(0, 0, 0)}\nexpect violation conversion-atomic\nexpect violation attributes-respected`,
        ),
        kernel,
      );
    }
  });
  it("and make private what was shared before", () => {
    for (const kernel of ["v8-short", "v9-short"]) {
      const text = `${GUEST(kernel)}KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x3f000, 4K) @first\n${CONVERT}`;
      assert.ok(holds(`${text}exists result(first) == 0 && ${kinds(0, P, P)}\nexpect violation conversion-atomic`), kernel);
    }
  });
  it("one that erases the first one too keeps a range whole that was private; one that leaves all of it does not", () => {
    assert.deepEqual(broken(`${GUEST("v8-all")}${CONVERT}`), []);
    assert.ok(holds(`${GUEST("v8-all")}${CONVERT}forall result(convert) == 0 || ${kinds(P, P, P)}`));
    assert.deepEqual(broken(`${GUEST("v8-stays")}${CONVERT}`), ["conversion-atomic convert.invalidate"]);
    assert.ok(holds(`${GUEST("v8-stays")}${CONVERT}exists ${kinds(0, 0, P)}\nexpect violation conversion-atomic`));
  });
  it("memory that is reserved first leaves all or nothing, as from 6.8 on", () => {
    assert.deepEqual(broken(`${GUEST("v8-reserves")}${CONVERT}`), []);
    assert.ok(holds(`${GUEST("v8-reserves")}${CONVERT}exists ${kinds(P, P, P)}\nforall result(convert) == 0 || ${kinds(P, P, P)}`));
    const later = `${VARIANTS}kernel gmem-short\nvm = KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)\nKVM_SET_MEMORY_ATTRIBUTES(vm, 0x3e000, 12K, KVM_MEMORY_ATTRIBUTE_PRIVATE) @convert\n`;
    assert.deepEqual([labelled(later).convert, broken(later)], ["-ENOMEM or 0", []]);
  });
  it("v10 unmaps as far as it has stored", () => {
    const text = `${GUEST("v10-short")}host = mmap(NULL, 1M, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=1M, memory_size=1M, userspace_addr=host)
vcpu0: load(SHARED|0x13f000); vcpu0: load(SHARED|0x140000)
KVM_SET_MEMORY_ATTRIBUTES(vm, 0x13f000, 8K, KVM_MEMORY_ATTRIBUTE_PRIVATE) @convert
never attributes(vm, 0x13f000) == 0 && ept(vm, SHARED|0x13f000) == NONE
exists attributes(vm, 0x13f000) != 0 && attributes(vm, 0x140000) == 0 && ept(vm, SHARED|0x13f000) == NONE && ept(vm, SHARED|0x140000) != NONE
expect violation conversion-atomic\n`;
    const judged = report(text);
    assert.deepEqual([judged.verdict, ...judged.remarks.filter(({ severity }) => severity === "error").map(({ message }) => message)], ["pass"]);
  });
});

describe("a NULL pointer in v9's fault", () => {
  const GUEST = `vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=8K, userspace_addr=map) = 0\n`;
  const DELETE = "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=0)";
  it("in an ordinary slot, and where there is none", () => {
    assert.deepEqual(broken(`kernel v9\ncheck no-oops\n${GUEST}vcpu0: load(0) = blocks @look`), ["no-oops look.get_page"]);
    assert.deepEqual(broken(`kernel v9\ncheck no-oops\n${GUEST}vcpu0: load(64K) = blocks @look`), ["no-oops look.find_slot"]);
    assert.deepEqual(broken(`kernel v9\ncheck no-oops\n${GUEST}vcpu0: load(SHARED|0) = 0; vcpu0: load(SHARED|64K)`), []);
    for (const kernel of ["v8", "v10"]) assert.deepEqual(broken(`kernel ${kernel}\ncheck no-oops\n${GUEST}vcpu0: load(0); vcpu0: load(64K)`), [], kernel);
  });
  it("the thread dies in its SRCU read side, for which the deletion of a slot waits", () => {
    const text = `kernel v9\ncheck no-deadlock\n${GUEST}parallel {\n vcpu0 { load(0) = blocks @look }\n vmm { ${DELETE} @delete }\n}`;
    const one = program(text);
    const judged = report(text);
    assert.equal(answers(one, judged, callAt(one, "delete")), "0 or blocks");
    assert.deepEqual(
      breaches(one, judged).map((breach) => breach.split(".")[0]),
      ["no-deadlock delete"],
    );
  });
});
