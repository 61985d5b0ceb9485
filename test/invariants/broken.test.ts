// Each invariant broken by a kernel as it was, or by one whose step somebody moved or dropped, and exactly at the step that breaks it. The races are those
// of correct.test.ts where the mended kernel keeps them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { broken } from "../model/support.ts";

const V4 = (setup: string): string => `kernel v4-or extends v4 { set_marker = or }\nkernel v4-or\n${setup}`;

const PRIVATE = `
ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, 8K); fallocate(ram, 0, 0, 8K)
mem = memfd_create("mem", 0); ftruncate(mem, 8K); map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=8K, userspace_addr=map, private_fd=ram, private_offset=0) = 0
`;
const PUNCH = "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) @hole";
const KEEP = "check no-stale-mapping\n";

const variant = (edits: string): string => `kernel changed extends v8 { notifier_units = pages; ${edits} }\nkernel changed\n`;

describe("no-stale-mapping", () => {
  it("v8 takes the page out of the file before it invalidates", () => {
    assert.deepEqual(broken(`kernel v8\n${KEEP}${PRIVATE}vcpu0: store(0, 1)\n${PUNCH}`), ["no-stale-mapping hole.truncate"]);
  });
  it("the other order alone lets a fault map the page again: at truncate when it is still there, at map when the fault holds it", () => {
    const text = `${variant("fallocate.punch_hole = check_alignment, invalidate, truncate")}${KEEP}${PRIVATE}vcpu0: store(0, 1)\nparallel { vmm { ${PUNCH} }\nvcpu0 { load(0) @look } }`;
    assert.deepEqual(broken(text), ["no-stale-mapping hole.truncate", "no-stale-mapping look.map"]);
  });
  it("a hole never notified leaves the mapping behind", () => {
    const text = `${variant("fallocate.punch_hole without invalidate")}${KEEP}${PRIVATE}vcpu0: store(0, 1)\n${PUNCH}\nvcpu0: load(0)`;
    assert.deepEqual(broken(text), ["no-stale-mapping hole.truncate"]);
  });
  it("a move of a slot that zaps nothing", () => {
    const text = `kernel changed extends v8 { KVM_SET_USER_MEMORY_REGION.move without zap_slot }\nkernel changed\n${KEEP}
mem = memfd_create("mem", 0); ftruncate(mem, 8K); map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=8K, userspace_addr=map)
vcpu0: load(0x1000)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map) @move`;
    assert.deepEqual(broken(text), ["no-stale-mapping move.commit_slot"]);
  });
  it("migration leaves KVM's private mapping on the old frame (I-14)", () => {
    assert.deepEqual(broken(`kernel v8\n${KEEP}${PRIVATE}vcpu0: store(0, 1)\nmigrate(frame(ram, 0)) @move`), ["no-stale-mapping move.migrate"]);
  });
});

/** The same as `PRIVATE`, in a kernel that has memfd_restricted. */
const RESTRICTED = PRIVATE.replace('memfd_create("ram", MFD_INACCESSIBLE)', "memfd_restricted(0)");
const PUNCHED = "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) @hole";

describe("the punch, version by version", () => {
  const race = (kernel: string, setup: string, before = ""): string =>
    `${kernel}\ncheck no-stale-mapping, no-lost-invalidation\n${setup}${before}vcpu0: store(0x1000, 1)\nparallel { vmm { ${PUNCHED} }\nvcpu0 { load(0x1000) @look } }`;
  const high = (text: string): string => text.replace("guest_phys_addr=0,", "guest_phys_addr=1M,").replaceAll("(0x1000", "(0x101000");
  it("v5: closed by the folio lock, but for a slot that does not begin at 0", () => {
    assert.deepEqual(broken(race("kernel v5", PRIVATE)), []);
    assert.deepEqual(broken(high(race("kernel v5", PRIVATE))), ["no-stale-mapping hole.truncate"]);
    assert.deepEqual(broken(high(race("kernel mended extends v5 { notifier_base_gfn = added }\nkernel mended", PRIVATE))), []);
  });
  it("v6 and v7: closed, wherever the slot is", () => {
    assert.deepEqual(broken(high(race("kernel v6", PRIVATE))), []);
    const convert = "KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x100000, 8K)\n";
    assert.deepEqual(broken(high(race("kernel v7", PRIVATE, convert))), []);
  });
  it("v6 without its folio lock, v7 without its test of the sequence counter", () => {
    const unlocked = "kernel changed extends v6 { fallocate.punch_hole = check_alignment, invalidate, truncate }\nkernel changed";
    assert.deepEqual(broken(race(unlocked, PRIVATE)), ["no-stale-mapping hole.truncate"]);
    const untested = "kernel changed extends v7 { private_fault_check = folio_lock }\nkernel changed";
    const convert = "KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0, 8K)\n";
    assert.ok(broken(race(untested, PRIVATE, convert).replace("vcpu0: store(0x1000, 1)\n", "")).includes("no-stale-mapping look.map"));
  });
  it("v9: a bracket in bytes misses the page, and in pages it does not", () => {
    assert.deepEqual(broken(race("kernel v9", RESTRICTED)), ["no-stale-mapping hole.truncate"]);
    assert.deepEqual(broken(race("kernel mended extends v9 { notifier_units = pages }\nkernel mended", RESTRICTED)), []);
  });
  it("v10: closed", () => {
    assert.deepEqual(broken(race("kernel v10", RESTRICTED, "KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 8K, 8)\n")), []);
    const bytes = "kernel changed extends v10 { notifier_units = bytes }\nkernel changed";
    assert.deepEqual(broken(race(bytes, RESTRICTED, "KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 8K, 8)\n")), ["no-stale-mapping hole.truncate"]);
  });
});

describe("inaccessible-marked", () => {
  it("v5's flag means nothing to hugetlbfs; v6 refuses it, v9 without its wrapper has no mark", () => {
    const huge = 'memfd_create("ram", MFD_INACCESSIBLE|MFD_HUGETLB) @make';
    assert.deepEqual(broken(`kernel v5\n${huge}`), ["inaccessible-marked make.install_fd"]);
    assert.deepEqual(broken(`kernel v6\n${huge}`), []);
    assert.deepEqual(broken("kernel changed extends v9 { memfd_restricted without wrap }\nkernel changed\nmemfd_restricted(0) @make"), [
      "inaccessible-marked make.install_fd",
    ]);
    for (const kernel of ["v5", "v6", "v7"]) assert.deepEqual(broken(`kernel ${kernel}\nmemfd_create("ram", MFD_INACCESSIBLE)`), []);
    for (const kernel of ["v9", "v10"]) assert.deepEqual(broken(`kernel ${kernel}\nmemfd_restricted(0)`), []);
  });
  it("v4's mask can never set the seal, seen when the descriptor is installed", () => {
    assert.deepEqual(broken('kernel v4\nmemfd_create("ram", MFD_INACCESSIBLE) @make'), ["inaccessible-marked make.install_fd"]);
  });
  it("v8 without its wrapper", () => {
    assert.deepEqual(broken('kernel changed extends v8 { memfd_create without wrap }\nkernel changed\nmemfd_create("ram", MFD_INACCESSIBLE) @make'), [
      "inaccessible-marked make.install_fd",
    ]);
  });
  it("holds where the seal is set, in v8, and for an ordinary file", () => {
    assert.deepEqual(broken(V4('memfd_create("ram", MFD_INACCESSIBLE)')), []);
    assert.deepEqual(broken('kernel v8\nmemfd_create("ram", MFD_INACCESSIBLE)'), []);
    assert.deepEqual(broken('kernel v4\nmemfd_create("ram", MFD_ALLOW_SEALING)'), []);
  });
});

describe("private-inaccessible", () => {
  const watch = "check private-inaccessible\n";
  it("v4's file stays readable: read, load and the PTE before it", () => {
    const text = `kernel v4\n${watch}${PRIVATE}vcpu0: store(0, 1)\npread(ram, 1, 0) @read\nwindow = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)\nload(window, 0) @look`;
    assert.deepEqual(broken(text), ["private-inaccessible look.access_host", "private-inaccessible look.lookup_page", "private-inaccessible read.read_page"]);
  });
  it("a write is an access too", () => {
    assert.deepEqual(broken(`kernel v4\n${watch}${PRIVATE}vcpu0: store(0, 1)\npwrite(ram, "x", 0) @write`), ["private-inaccessible write.write_chunk"]);
  });
  it("the host may read before any guest wrote, and after the page was given back and taken anew", () => {
    assert.deepEqual(broken(`kernel v4\n${watch}${PRIVATE}pread(ram, 1, 0)`), []);
    assert.deepEqual(broken(`kernel v4\n${watch}${PRIVATE}vcpu0: store(0, 1)\n${PUNCH}\nfallocate(ram, 0, 0, 4K)\npread(ram, 1, 0)`), []);
  });
  it("with the seal set the host is refused", () => {
    assert.deepEqual(broken(V4(`${watch}${PRIVATE}vcpu0: store(0, 1)\npread(ram, 1, 0)\nmmap(NULL, 4K, PROT_READ, MAP_SHARED, ram, 0)`)), []);
  });
  it("shared memory of the same slot is the host's", () => {
    assert.deepEqual(
      broken(`kernel v8\n${watch}${PRIVATE}KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 4K)\nvcpu0: store(SHARED|0, 1)\nload(map, 0)\npread(mem, 1, 0)`),
      [],
    );
  });
});

describe("private-unmovable", () => {
  it("a private page migrates in the series", () => {
    assert.deepEqual(broken(`kernel v8\ncheck private-unmovable\n${PRIVATE}vcpu0: store(0, 1)\nmigrate(frame(ram, 0)) @move`), [
      "private-unmovable move.migrate",
    ]);
  });
  it("reclaim is refused, and an ordinary page may move", () => {
    assert.deepEqual(
      broken(`kernel v8\ncheck private-unmovable\n${PRIVATE}vcpu0: store(0, 1)\nreclaim(frame(ram, 0))\nstore(map, 0, 1)\nmigrate(frame(mem, 0))`),
      [],
    );
  });
});

describe("zeroed-on-allocation", () => {
  it("v8 gives the guest what the page held before", () => {
    assert.deepEqual(broken(`kernel v8\ncheck zeroed-on-allocation\n${PRIVATE}vcpu0: load(0) @look`), ["zeroed-on-allocation look.access"]);
  });
  it("not after the guest has written the byte", () => {
    assert.deepEqual(broken(`kernel v8\ncheck zeroed-on-allocation\n${PRIVATE}vcpu0: store(0, 1)\nvcpu0: load(0)`), []);
  });
  it("v4 and ordinary files clear before the first use", () => {
    assert.deepEqual(broken(`kernel v4\ncheck zeroed-on-allocation\n${PRIVATE}vcpu0: load(0)\nload(map, 0)\npread(mem, 4, 0)`), []);
    assert.deepEqual(broken(`kernel v8\ncheck zeroed-on-allocation\n${PRIVATE}load(map, 0)\nfallocate(mem, 0, 0, 8K)\npread(mem, 4, 0)`), []);
  });
});

describe("attributes-respected", () => {
  const watch = "check attributes-respected\n";
  it("v4 forgets base_gfn: an allocation leaves the shared mapping of its gfn, seen when the call returns", () => {
    const text = `kernel v4\n${watch}ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, 4K)
mem = memfd_create("mem", 0); ftruncate(mem, 4K); map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x10000, memory_size=4K, userspace_addr=map, private_fd=ram, private_offset=0)
vcpu0: load(SHARED|0x10000)\nfallocate(ram, 0, 0, 4K) @convert`;
    assert.deepEqual(broken(text), ["attributes-respected convert.unlock_inode"]);
    assert.deepEqual(broken(text.replace("kernel v4", "kernel mended extends v4 { notifier_base_gfn = added }\nkernel mended")), []);
  });
  it("v7's range store: a part that goes back to shared takes its neighbours along", () => {
    const text = `kernel v7\n${watch}${PRIVATE}KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0, 8K)\nvcpu0: load(0x1000)\nKVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 4K) @convert`;
    assert.deepEqual(broken(text), ["attributes-respected convert.store"]);
    assert.deepEqual(broken(text.replace("kernel v7", "kernel mended extends v7 { conversion_store = per_gfn }\nkernel mended")), []);
  });
  it("v6's range that begins below the slot", () => {
    const text = `kernel v6\n${watch}${PRIVATE.replace("fallocate(ram, 0, 0, 8K)", "").replace("memory_size=8K", "memory_size=4K").replace("private_offset=0", "private_offset=4K")}
vcpu0: load(SHARED|0)\nfallocate(ram, 0, 0, 8K) @convert`;
    assert.deepEqual(broken(text), ["attributes-respected convert.unlock_inode"]);
    assert.deepEqual(broken(text.replace("kernel v6", "kernel mended extends v6 { notifier_start = clamped }\nkernel mended")), []);
    // Below a slot that is high enough nothing wraps: gfns below it are zapped too.
    const high = text.replace("guest_phys_addr=0,", "guest_phys_addr=1M,").replace("SHARED|0)", "SHARED|0x100000)");
    assert.deepEqual(broken(high), []);
  });
  it("v10 stores before it unmaps: a mapping of the old kind in between is none, one that is left behind is", () => {
    const convert = "KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 8)";
    const text = `kernel v10\n${watch}${RESTRICTED}vcpu0: load(SHARED|0)\nparallel { vmm { ${convert} @convert }\nvcpu0 { load(SHARED|0) @look } }`;
    assert.deepEqual(broken(text), []);
    const late =
      "kernel changed extends v10 { KVM_SET_MEMORY_ATTRIBUTES = check_args, begin, unmap_end, lock_kvm, store, unlock_kvm, report_progress }\nkernel changed";
    assert.deepEqual(broken(text.replace("kernel v10", late)), ["attributes-respected convert.report_progress", "attributes-respected look.map"]);
  });
  it("v10 asks slots without private memory too: a conversion that leaves their shared mapping behind", () => {
    const ordinary = RESTRICTED.replace("flags=KVM_MEM_PRIVATE", "flags=0");
    const text = `kernel v10\n${watch}${ordinary}vcpu0: load(SHARED|0)\nKVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 8) @convert`;
    assert.deepEqual(broken(text), []);
    const stays = "kernel changed extends v10 { KVM_SET_MEMORY_ATTRIBUTES without unmap_end }\nkernel changed";
    assert.deepEqual(broken(text.replace("kernel v10", stays)), ["attributes-respected convert.store"]);
    const unasked = stays.replace("{ ", "{ ordinary_slot = ordinary\n");
    assert.deepEqual(broken(text.replace("kernel v10", unasked)), []);
  });
  it("a conversion that zaps nothing", () => {
    const text = `kernel changed extends v8 { KVM_MEMORY_ENCRYPT_UNREG_REGION without invalidate }\nkernel changed\n${watch}${PRIVATE}vcpu0: load(0)\nKVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 4K) @convert`;
    assert.deepEqual(broken(text), ["attributes-respected convert.store"]);
  });
  it("a conversion that zaps first lets a fault map the old kind again", () => {
    const text = `kernel changed extends v8 { KVM_MEMORY_ENCRYPT_UNREG_REGION = check_args, invalidate, store }\nkernel changed\n${watch}${PRIVATE}vcpu0: load(0)
parallel { vmm { KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 4K) @convert }\nvcpu0 { load(0) @look } }`;
    assert.deepEqual(broken(text), ["attributes-respected convert.store", "attributes-respected look.map"]);
  });
});

describe("no-lost-invalidation", () => {
  it("v8's bytes miss the gfn, so a fault that has its page installs it", () => {
    const text = `kernel v8\ncheck no-lost-invalidation\n${PRIVATE}vcpu0: load(0x1000)\nparallel { vmm { fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) @hole }\nvcpu0 { load(0x1000) }\n }`;
    assert.deepEqual(broken(text), []);
    const racing = text.replace("vcpu0: load(0x1000)\n", "").replace("vcpu0 { load(0x1000) }", "vcpu0 { load(0x1000) @look }");
    assert.deepEqual(broken(racing), ["no-lost-invalidation look.map"]);
    assert.deepEqual(broken(racing.replace("kernel v8", "kernel mended extends v8 { notifier_units = pages }\nkernel mended")), []);
  });
  it("v4's sequence stays: a shared fault in flight outlives the conversion to private", () => {
    const text = `check no-lost-invalidation\n${PRIVATE.replace("fallocate(ram, 0, 0, 8K)", "")}parallel { vmm { fallocate(ram, 0, 0, 4K) }\nvcpu0 { load(SHARED|0) @look } }`;
    assert.deepEqual(broken(`kernel v4\n${text}`), ["no-lost-invalidation look.map"]);
    assert.deepEqual(broken(`kernel mended extends v4 { notifier_seq = moves }\nkernel mended\n${text}`), []);
  });
  it("v4's notification of pages that were there already harms no private fault", () => {
    assert.deepEqual(broken(`kernel v4\ncheck no-lost-invalidation\n${PRIVATE}parallel { vmm { fallocate(ram, 0, 0, 4K) }\nvcpu0 { load(0) } }`), []);
  });
});

describe("invalidate-balanced", () => {
  const watch = "check invalidate-balanced\n";
  it("a begin without an end, when the call returns", () => {
    assert.deepEqual(broken(`${variant("fallocate.punch_hole = check_alignment, invalidate_begin, truncate")}${watch}${PRIVATE}${PUNCH}`), [
      "invalidate-balanced hole.truncate",
    ]);
  });
  it("an end without a begin, at the end", () => {
    assert.deepEqual(broken(`${variant("fallocate.punch_hole = check_alignment, truncate, invalidate_end")}${watch}${PRIVATE}${PUNCH}`), [
      "invalidate-balanced hole.invalidate_end",
    ]);
  });
  it("a slot that is bound between begin and end sees an end alone (I-3)", () => {
    const text = `${variant("fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end")}${watch}
ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, 4K); vm = KVM_CREATE_VM(0)
parallel { vmm { ${PUNCH} }\nhelper { KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=4K, private_fd=ram, private_offset=0) @bind } }`;
    assert.deepEqual(broken(text), ["invalidate-balanced hole.invalidate_end"]);
  });
  it("without a bound slot nothing begins and nothing ends", () => {
    assert.deepEqual(
      broken(
        `${variant("fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end")}${watch}ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, 4K)\n${PUNCH}`,
      ),
      [],
    );
  });
});

describe("no-deadlock", () => {
  const watch = "check no-deadlock\n";
  it("a kernel that forgets to unlock: the next caller waits for ever", () => {
    const text = `kernel changed extends v8 { ftruncate.plain without unlock_inode }\nkernel changed\n${watch}mem = memfd_create("mem", 0)\nftruncate(mem, 4K)\npwrite(mem, "a", 0) @stuck`;
    assert.deepEqual(
      broken(text).map((line) => line.split(" ")[0]),
      ["no-deadlock"],
    );
  });
  it("a call that is expected to block is none", () => {
    const text = `kernel changed extends v8 { ftruncate.plain without unlock_inode }\nkernel changed\n${watch}mem = memfd_create("mem", 0)\nftruncate(mem, 4K)\npwrite(mem, "a", 0) = blocks`;
    assert.deepEqual(broken(text), []);
  });
  it("a schedule that `order` rules out, lock held or not, is none", () => {
    const text = `kernel v8\n${watch}mem = memfd_create("mem", 0); pwrite(mem, "a", 0)\nparallel { vmm { fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) @hole }\nhelper { pwrite(mem, "B", 0) @w }\norder w.write_chunk before hole.truncate }`;
    assert.deepEqual(broken(text), []);
  });
});
