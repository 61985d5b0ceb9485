// VMs whose address space ends: KVM's MMU notifier is released, the guest's memory is gone, and who still holds a descriptor keeps the rest
// (mm/mmu_notifier.c mn_hlist_release, virt/kvm/kvm_main.c kvm_mmu_notifier_release, kvm_destroy_vm).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { passes, report } from "./support.ts";

const scenario = (body: string, kernel: string): string => `scenario "s" {\n  kernel ${kernel}\n${body}\n}\n`;

describe("a VM whose address space ends", () => {
  const GUEST = `
    process qemu {
      vm = KVM_CREATE_VM(1)
      vcpu0 = KVM_CREATE_VCPU(vm, 0)
      gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=0)
      mem = memfd_create("mem", 0)
      ftruncate(mem, 4K) = 0
      map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
      KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, guest_memfd=gm) = 0
      KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map) = 0
      KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 8K, KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
      vcpu0: store(0, 1) = 0
      vcpu0: store(0x8000, 2) = 0
    }
  `;
  const holding = (...names: readonly string[]): string => `${GUEST} process qemu { ${names.map((name) => `send_fd(${name}, vmm)`).join("; ")} }\n`;
  it("is destroyed with it where nobody else has anything of it", () => {
    passes(`${GUEST} kill(qemu, SIGKILL) = 0\n assert !alive(vm) && pages(gm) == 0 && pages(mem) == 0`);
  });
  it("is held by each of its descriptors elsewhere, and has no memory any more", () => {
    for (const name of ["vm", "vcpu0", "gm"])
      passes(`${holding(name)} kill(qemu, SIGKILL) = 0
        assert alive(vm) && ept(vm, 0) == NONE && ept(vm, 0x8000) == NONE
        close(${name}) = 0
        assert !alive(vm)`);
  });
  it("answers EIO to those who have it, and EBADF to those who have not", () => {
    passes(`${holding("vm", "vcpu0")}
      process helper { close(-1) = -EBADF }
      send_fd(vcpu0, helper)
      kill(qemu, SIGKILL) = 0
      KVM_CREATE_VCPU(vm, 1) = -EIO
      process helper { vcpu0: load(0) = -EIO }
      fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 8K) = -EBADF`);
  });
  it("is told nothing by who truncates the memory behind its slot, before, while and after it goes", () => {
    passes(`${holding("mem", "vm")}
      parallel {
        vmm { ftruncate(mem, 0) = 0 }
        killer { kill(qemu, SIGKILL) = 0 }
      }
      assert ept(vm, 0x8000) == NONE
      close(vm) = 0
      assert !alive(vm)`);
  });
  it("goes by whoever drops it last, the dying process or another one at the same time", () => {
    passes(`${holding("gm")}
      parallel {
        vmm { close(gm) = 0 }
        killer { kill(qemu, SIGKILL) = 0 }
      }
      assert !alive(vm) && pages(gm) == 0`);
  });
  it("is unmapped in time by KVM, not where KVM is not told", () => {
    const { violations } = report(
      `kernel deaf extends 6.18 { exit_mm without release_notifier }\n${scenario(`${holding("vm")} kill(qemu, SIGKILL) @end`, "deaf")}`,
    );
    assert.ok(violations.some(({ invariant, step }) => invariant === "no-stale-mapping" && step === "unmap_vmas"));
  });
  for (const kernel of ["v8", "v10"]) {
    it(`drops the private file that its slots hold (${kernel})`, () => {
      const [made, gpa] = kernel === "v8" ? ['memfd_create("ram", MFD_INACCESSIBLE)', "0"] : ["memfd_restricted(0)", "0"];
      passes(
        `
        process qemu {
          ram = ${made}
          ftruncate(ram, 4K) = 0
          vm = KVM_CREATE_VM(0)
          vcpu0 = KVM_CREATE_VCPU(vm, 0)
          map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
          KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=4K, userspace_addr=map, private_fd=ram, private_offset=0) = 0
          fallocate(ram, 0, 0, 4K) = 0
          send_fd(vm, vmm)
        }
        kill(qemu, SIGKILL) = 0
        assert alive(vm) && pages(ram) == 1 && ept(vm, ${gpa}) == NONE
        close(vm) = 0
        assert !alive(vm) && pages(ram) == 0
      `,
        kernel,
      );
    });
  }
});
