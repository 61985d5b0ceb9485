// signal(actor) and memory that runs out: which calls answer EINTR or ENOMEM in the middle of a range, and what they leave behind (mm/shmem.c shmem_fallocate,
// virt/kvm/guest_memfd.c kvm_gmem_allocate, virt/kvm/kvm_main.c, arch/x86/kvm/x86.c vcpu_run).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { report } from "./support.ts";

const passes = (body: string, kernel = "6.18"): void => {
  const text = `scenario "s" {\n  kernel ${kernel}\n${body}\n}\n`;
  const { verdict, remarks, violations, exploration } = report(text);
  assert.deepEqual([verdict, ...remarks.map(({ code, message }) => `${code} ${message}`), ...violations.map(({ message }) => message)], ["pass"], text);
  assert.ok(exploration.complete);
};

const MEM = `
  mem = memfd_create("mem", 0)
  pwrite(mem, 1, 4K) = 1
  ftruncate(mem, 12K) = 0
`;

const VM = `
  vm = KVM_CREATE_VM(1)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  gm = KVM_CREATE_GUEST_MEMFD(vm, size=16K, flags=0)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=16K, userspace_addr=0, guest_memfd_offset=0, guest_memfd=gm) = 0
  KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 16K, KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
`;

describe("a signal", () => {
  it("ends an allocation in a guest_memfd behind any page, and these pages stay", () => {
    passes(`${VM}
      parallel {
        vmm { fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 12K) = 0 or -EINTR @all }
        timer { signal(vmm) }
      }
      exists result(all) == -EINTR && pages(gm) == 0
      exists result(all) == -EINTR && pages(gm) == 1
      exists result(all) == -EINTR && pages(gm) == 2
      exists result(all) == 0
      forall result(all) == -EINTR || pages(gm) == 3
    `);
  });
  it("says so where the range is too long to try each page", () => {
    const { verdict, exploration } = report(
      'scenario "s" {\n kernel 6.18\n vm = KVM_CREATE_VM(1)\n gm = KVM_CREATE_GUEST_MEMFD(vm, size=1M, flags=0)\n' +
        " parallel { vmm { fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 1M) } timer { signal(vmm) } }\n}\n",
    );
    assert.equal(verdict, "incomplete");
    assert.match(exploration.limit ?? "", /behind any of them/);
  });
  it("is no end of a hole punch", () => {
    passes(`${VM}
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 8K) = 0
      timer: signal(vmm)
      fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 8K) = 0
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 4K) = 0
    `);
  });
  for (const kernel of ["v8", "v10", "6.8"]) {
    it(`takes back what fallocate has added to a memfd under ${kernel}, and leaves what was there`, () => {
      passes(
        `${MEM}
        parallel {
          vmm { fallocate(mem, 0, 0, 16K) = 0 or -EINTR @all }
          timer { signal(vmm) }
        }
        exists result(all) == -EINTR
        forall result(all) == 0 && pages(mem) == 4 && size(mem) == 16K || result(all) == -EINTR && pages(mem) == 1 && size(mem) == 12K
        forall value(mem, 4K) == 1
      `,
        kernel,
      );
    });
  }
  for (const kernel of ["6.16", "6.18", "7.2"]) {
    it(`lets fallocate on a memfd go on since 6.11 (${kernel})`, () => {
      passes(`${MEM} timer: signal(vmm)\n fallocate(mem, 0, 0, 16K) = 0`, kernel);
    });
  }
  it("meets the call that its thread is in or enters next, and is gone with its return", () => {
    passes(`${VM}
      timer: signal(vmm)
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 4K) = -EINTR
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 4K) = 0
      timer: signal(vmm)
      ftruncate(gm, 0) = -EINVAL
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 4K) = 0
    `);
  });
  it("meets only the thread that it is sent to", () => {
    passes(`${VM}
      timer: signal(vmm)
      other: fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 4K) = 0
    `);
  });
  it("that a thread sends to itself is gone when it has sent it", () => {
    passes(`${VM}
      signal(vmm)
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 4K) = 0
    `);
  });
  it("takes a vCPU out of KVM_RUN before the access, or lets the access end that runs already", () => {
    passes(`${VM}
      parallel {
        vcpu0 { store(0, 1) = 0 or -EINTR @first; store(0x1000, 2) = 0 or -EINTR @second }
        vmm { signal(vcpu0) }
      }
      exists result(first) == 0 && result(second) == -EINTR && pages(gm) == 1
      exists result(first) == -EINTR && result(second) == 0
      exists result(first) == 0 && result(second) == 0
      never result(first) == -EINTR && result(second) == -EINTR
    `);
  });
  it("is seen before each entry: a fault of a vCPU ends, and then it leaves", () => {
    passes(`${VM}
      parallel {
        vcpu0 { store(0, 1) = 0 or -EINTR @only }
        vmm { signal(vcpu0) }
      }
      exists result(only) == -EINTR && pages(gm) == 1
      exists result(only) == -EINTR && pages(gm) == 0
    `);
  });
  it("reaches a vCPU in the guest a little later than it is sent", () => {
    passes(`${VM}
      vcpu0: store(0, 1) = 0
      vcpu0: store(0x1000, 1) = 0
      parallel {
        vcpu0 { load(0) = 1 or -EINTR; load(0x1000) = 1 or -EINTR @late }
        vmm { signal(vcpu0) @sent; fallocate(gm, FALLOC_FL_KEEP_SIZE, 8K, 4K) = 0 @behind }
        order behind before late
      }
      exists result(late) == 1
      exists result(late) == -EINTR
    `);
  });
  it("alone ends the rest of a vCPU in the guest, and HLT leaves it by itself", () => {
    const vcpu = "vm = KVM_CREATE_VM(0)\n vcpu0 = KVM_CREATE_VCPU(vm, 0)\n";
    for (const kernel of ["v8", "6.8", "6.18"]) {
      passes(
        `${vcpu} vcpu0: hlt() = exit KVM_EXIT_HLT
        parallel {
          vcpu0 { run() = -EINTR; hlt() = exit KVM_EXIT_HLT or -EINTR @halt }
          vmm { signal(vcpu0); signal(vcpu0) }
        }
        exists result(halt) == -EINTR
        exists result(halt) != -EINTR`,
        kernel,
      );
      passes(`${vcpu} vcpu0: run() = blocks`, kernel);
    }
    const { violations } = report(`scenario "s" {\n kernel 6.18\n ${vcpu} vcpu0: run()\n}\n`);
    assert.deepEqual(
      violations.map(({ invariant, step }) => `${invariant} ${step}`),
      ["no-deadlock rest_in_guest"],
    );
  });
  it("ends a pre-fault behind any page; what is mapped by then is its success", () => {
    passes(`${VM}
      parallel {
        vmm { KVM_PRE_FAULT_MEMORY(vcpu0, gpa=0, size=12K, flags=0) = 0 or -EINTR @all }
        timer { signal(vmm) }
      }
      exists result(all) == -EINTR && pages(gm) == 0
      exists result(all) == 0 && pages(gm) == 1
      exists result(all) == 0 && pages(gm) == 3
      never result(all) == -EINTR && pages(gm) != 0
    `);
  });
  it("does not end KVM_SET_MEMORY_ATTRIBUTES, seals, writes or reads", () => {
    passes(`${VM} ${MEM}
      timer: signal(vmm)
      KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 16K, 0) = 0
      timer: signal(vmm)
      pwrite(mem, 1 * 8, 0) = 8
      timer: signal(vmm)
      pread(mem, 4, 0) = 4 "\\1\\1\\1\\1"
      timer: signal(vmm)
      fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE) = -EPERM
    `);
  });
});

describe("no free frame", () => {
  it("ends an allocation in a guest_memfd with ENOMEM, and the pages that are there stay, of a gibibyte too", () => {
    passes(`
      machine { frames = 3 }
      vm = KVM_CREATE_VM(1)
      gm = KVM_CREATE_GUEST_MEMFD(vm, size=1G, flags=0)
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 4K, 4K) = 0
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 1G) = -ENOMEM
      assert pages(gm) == 3
      fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 1G) = 0
      assert pages(gm) == 0
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 512M, 12K) = 0
    `);
  });
  it("is ENOMEM of KVM_RUN for a private fault, and of a pre-fault that has mapped nothing", () => {
    passes(`
      machine { frames = 1 }
      ${VM}
      vcpu0: store(0, 1) = 0
      vcpu0: store(0x1000, 1) = -ENOMEM
      KVM_PRE_FAULT_MEMORY(vcpu0, gpa=0, size=8K, flags=0) = 0
      KVM_PRE_FAULT_MEMORY(vcpu0, gpa=0x1000, size=4K, flags=0) = -ENOMEM
      vcpu0: load(0) = 1
    `);
  });
  it("is a bare EFAULT where GUP needs one for shared memory", () => {
    passes(`
      machine { frames = 0 }
      mem = memfd_create("mem", 0)
      ftruncate(mem, 4K) = 0
      map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
      vm = KVM_CREATE_VM(0)
      vcpu0 = KVM_CREATE_VCPU(vm, 0)
      KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=map) = 0
      vcpu0: load(0) = -EFAULT
    `);
  });
  it("takes back what fallocate has added to a memfd, and leaves i_size", () => {
    passes(`
      machine { frames = 2 }
      ${MEM}
      fallocate(mem, 0, 0, 16K) = -ENOMEM
      assert pages(mem) == 1
      assert size(mem) == 12K
      assert value(mem, 4K) == 1
    `);
  });
  it("cuts a write short", () => {
    passes(`
      machine { frames = 1 }
      mem = memfd_create("mem", 0)
      pwrite(mem, 1 * 8192, 0) = 4096
      pwrite(mem, 1, 4K) = -ENOMEM
    `);
  });
});
