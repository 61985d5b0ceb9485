// Result sets over all interleavings where two calls meet in one place of the kernel: what the locks allow, and no more.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { labelled, report } from "./support.ts";

const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";

describe("files", () => {
  it("a fault that passed wait_hole before the hole was announced is unmapped again by truncate", () => {
    for (const kernel of ["v4", "v8"]) {
      const text = `kernel ${kernel}\nmem = memfd_create("m", 0); pwrite(mem, 0x41 * 4096, 0); map = mmap(NULL, 4K, PROT_READ, MAP_SHARED, mem, 0)
parallel { vmm { fallocate(mem, ${PUNCH}, 0, 4K) }\nhelper { load(map, 0) @look } }\nload(map, 0) @after`;
      assert.deepEqual(labelled(text), { look: "0x00 or 0x41", after: "0x00" });
    }
  });
  it("the size of a private file is set once, for do_truncate holds the inode lock over check and store", () => {
    for (const kernel of ["v8", "v4-or"]) {
      const text = `kernel v4-or extends v4 { set_marker = or }\nkernel ${kernel}\nram = memfd_create("r", MFD_INACCESSIBLE)\nparallel { vmm { ftruncate(ram, 8K) @a }\nhelper { ftruncate(ram, 4K) @b } }\nnever result(a) == 0 && result(b) == 0`;
      assert.deepEqual(labelled(text), { a: "-EPERM or 0", b: "-EPERM or 0" });
      assert.equal(report(text).verdict, "pass");
    }
  });
  it("v8's ftruncate and fallocate hold the locks of two inodes, so the smaller size may come last", () => {
    const text = `kernel v8\nram = memfd_create("r", MFD_INACCESSIBLE)\nparallel { vmm { ftruncate(ram, 8K) }\nhelper { fallocate(ram, 0, 0, 16K) } }\nexists size(ram) == 8K\nexists size(ram) == 16K`;
    assert.equal(report(text).verdict, "pass");
  });
  it("two writes at the file offset may both begin at 0: a memfd has no FMODE_ATOMIC_POS", () => {
    const text = `kernel v8\nmem = memfd_create("m", 0); ftruncate(mem, 4K)\nparallel { vmm { write(mem, "AA") }\nhelper { write(mem, "BB") } }\npread(mem, 4, 0) @after\nread(mem, 1) @next`;
    assert.deepEqual(labelled(text).after.split(" or "), ['4 "AABB"', '4 "AA\\000\\000"', '4 "BBAA"', '4 "BB\\000\\000"']);
  });
  it("a read keeps the file that another thread closes under it", () => {
    const text = `kernel v8\nmem = memfd_create("m", 0); pwrite(mem, 0x41 * 8192, 0)\nparallel { vmm { pread(mem, 2, 4095) @read }\nhelper { close(mem) } }`;
    assert.deepEqual(labelled(text), { read: '-EBADF or 2 "AA"' });
  });
  it("and the last of the two frees the pages", () => {
    const text = `kernel v8\nmem = memfd_create("m", 0); pwrite(mem, "A", 0)\nparallel { vmm { pwrite(mem, "B", 4096) @write }\nhelper { close(mem) } }\nforall pages(mem) == 0`;
    assert.equal(report(text).verdict, "pass");
  });
  it("a read of two pages may see a hole in between", () => {
    const text = `kernel v8\nmem = memfd_create("m", 0); pwrite(mem, 0x41 * 8192, 0)\nparallel { vmm { pread(mem, 2, 4095) @read }\nhelper { fallocate(mem, ${PUNCH}, 0, 8K) } }`;
    assert.deepEqual(labelled(text).read.split(" or "), ['2 "AA"', '2 "A\\000"', '2 "\\000A"', '2 "\\000\\000"']);
  });
  it("a write of two pages is cut short by a seal between its chunks, but F_ADD_SEALS waits for the inode lock", () => {
    const text = `kernel v8\nmem = memfd_create("m", MFD_ALLOW_SEALING); ftruncate(mem, 8K)\nparallel { vmm { pwrite(mem, 0x41 * 8192, 0) @write }\nhelper { fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE) @seal } }`;
    assert.deepEqual(labelled(text), { write: "-EPERM or 8192", seal: "0" });
  });
  it("the contents of a private copy outlive a hole, but no smaller size", () => {
    const text = (call: string): string =>
      `kernel v8\nmem = memfd_create("m", 0); ftruncate(mem, 8K); map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)\nstore(map, 4K, 0x41)\n${call}\nload(map, 4K) @look`;
    assert.equal(labelled(text(`fallocate(mem, ${PUNCH}, 4K, 4K)`)).look, "0x41");
    assert.equal(labelled(text("ftruncate(mem, 4K)")).look, "SIGBUS");
    assert.equal(labelled(text("ftruncate(mem, 4K); ftruncate(mem, 8K)")).look, "0x00");
  });
});

describe("KVM", () => {
  it("of two vCPUs with one id one is made", () => {
    const text = `kernel v8\nvm = KVM_CREATE_VM(0)\nparallel { vmm { first = KVM_CREATE_VCPU(vm, 0) @a }\nhelper { second = KVM_CREATE_VCPU(vm, 0) @b } }\nnever result(a) == -EEXIST && result(b) == -EEXIST\nexists result(a) == -EEXIST\nexists result(b) == -EEXIST\nnever result(a) >= 0 && result(b) >= 0`;
    assert.equal(report(text).verdict, "pass");
  });
  it("of two slots over one range one is made, and a deletion makes room", () => {
    const text = `kernel v8\nvm = KVM_CREATE_VM(0)\nparallel { vmm { KVM_SET_USER_MEMORY_REGION(vm, 0, 0, 0, 8K) @a }\nhelper { KVM_SET_USER_MEMORY_REGION(vm, 1, 0, 4K, 4K) @b; KVM_SET_USER_MEMORY_REGION(vm, 1, 0, 4K, 0) @c } }`;
    assert.deepEqual(labelled(text), { a: "-EEXIST or 0", b: "-EEXIST or 0", c: "-EINVAL or 0" });
  });
  it("a load against the deletion of its slot is served or leaves for MMIO, and never waits", () => {
    const text = `kernel v8\nmem = memfd_create("m", 0); ftruncate(mem, 4K); map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0); store(map, 0, 7)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0); KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=map)
parallel { vmm { KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=0) @gone }\nvcpu0 { load(0) @look } }`;
    assert.deepEqual(labelled(text), { gone: "0", look: "0x07 or exit KVM_EXIT_MMIO {phys_addr=0, len=1, is_write=0}" });
  });
  it("a store through a read-only slot or mapping never reaches memory, whatever a load has mapped before", () => {
    const text = (
      flags: string,
      prot: string,
    ): string => `kernel v8\nmem = memfd_create("m", 0); ftruncate(mem, 4K); map = mmap(NULL, 4K, ${prot}, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0); KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=${flags}, guest_phys_addr=0, memory_size=4K, userspace_addr=map)
vcpu0: load(0) @load\nvcpu0: store(0, 9) @store\npread(mem, 1, 0) @after`;
    assert.deepEqual(labelled(text("KVM_MEM_READONLY", "PROT_READ|PROT_WRITE")), {
      load: "0x00",
      store: "exit KVM_EXIT_MMIO {phys_addr=0, len=1, is_write=1, data=9}",
      after: '1 "\\000"',
    });
    assert.deepEqual(labelled(text("0", "PROT_READ")), { load: "0x00", store: "-EFAULT", after: '1 "\\000"' });
    assert.deepEqual(labelled(text("0", "PROT_NONE")), { load: "-EFAULT", store: "-EFAULT", after: '1 "\\000"' });
  });
  it("a load through a private mapping sees the file until somebody writes, and its own copy then", () => {
    const text = `kernel v8\nmem = memfd_create("m", 0); ftruncate(mem, 4K); map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0); KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=map)
vcpu0: load(0)\npwrite(mem, 0x41 * 1, 0)\nvcpu0: load(0) @before\nvcpu0: store(0, 9)\npwrite(mem, 0x42 * 1, 0)\nvcpu0: load(0) @after\nload(map, 0) @host`;
    assert.deepEqual(labelled(text), { before: "0x41", after: "0x09", host: "0x09" });
  });
});

describe("order", () => {
  it("a step that works cell by cell is over with its last cell", () => {
    const text = `kernel v8\nmem = memfd_create("m", 0); pwrite(mem, 0x41 * 8192, 0)\nparallel { vmm { fallocate(mem, ${PUNCH}, 0, 8K) @hole }\nhelper { pread(mem, 2, 4095) @read }\norder hole.truncate before read }`;
    assert.equal(labelled(text).read, '2 "\\000\\000"');
  });
  it("takes away exactly the other schedules", () => {
    const text = (order: string): string =>
      `kernel v8\nmem = memfd_create("m", 0); pwrite(mem, "A", 0)\nparallel { vmm { pwrite(mem, "B", 0) @w }\nhelper { pread(mem, 1, 0) @r }\n${order} }`;
    assert.equal(labelled(text("")).r, '1 "A" or 1 "B"');
    assert.equal(labelled(text("order w before r")).r, '1 "B"');
    assert.equal(labelled(text("order r before w")).r, '1 "A"');
    assert.equal(labelled(text("order w.write_chunk before r.read_page")).r, '1 "B"');
  });
  it("an atomic block keeps the others out", () => {
    const text = `kernel v8\nmem = memfd_create("m", 0); pwrite(mem, "A", 0)\nparallel { vmm { atomic { pwrite(mem, "B", 0); pwrite(mem, "C", 0) } }\nhelper { pread(mem, 1, 0) @r } }`;
    assert.equal(labelled(text).r, '1 "A" or 1 "C"');
  });
});
