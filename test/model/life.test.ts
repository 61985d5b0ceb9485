// The life of a VM and of what hangs on it: who holds it, what closed and second descriptors answer, who destroys it and what that frees.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { explore } from "../../src/explore/search.ts";
import { hasFreed } from "../../src/model/kvm/gmem-state.ts";
import { usersOf } from "../../src/model/kvm/life.ts";
import { broken, labelled, onMachine, report, still } from "./support.ts";

const SERIES = ["v4", "v8", "v10"] as const;
const GMEM = ["6.8.0", "6.8", "6.16", "6.18", "7.2"] as const;
const KERNELS = [...SERIES, ...GMEM] as const;
const type = (kernel: string): string => (kernel.startsWith("v") ? "0" : "KVM_X86_SW_PROTECTED_VM");
const shared = (kernel: string, text: string): string => (kernel === "v10" ? text.replaceAll(/(load|store)\(0x/g, "$1(SHARED|0x") : text);

const setup = (kernel: string): string => `kernel ${kernel}
mem = memfd_create("mem", 0); ftruncate(mem, 8K)
map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(${type(kernel)}); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map)
`;
const passes = (text: string): void => {
  const judged = report(text);
  assert.ok(judged.exploration.complete && judged.verdict === "pass", `${text}\n${judged.remarks.map(({ message }) => message).join("\n")}`);
};

describe("descriptors", () => {
  for (const kernel of KERNELS) {
    it(`${kernel}: a closed one is EBADF, a second one goes on, and a vCPU needs none of the VM`, () => {
      passes(
        shared(
          kernel,
          `${setup(kernel)}second = dup(vm)
close(vm) = 0
close(vm) = -EBADF
dup(vm) = -EBADF
KVM_CREATE_VCPU(vm, 1) = -EBADF
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=0) = -EBADF
other = KVM_CREATE_VCPU(second, 1)
KVM_CREATE_VCPU(second, 0) = -EEXIST
vcpu0: store(0x1000, 7) = 0
KVM_SET_USER_MEMORY_REGION(second, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=4K, userspace_addr=map) = 0
close(second) = 0
vcpu0: load(0x8000) = 7
assert alive(vm)
close(vcpu0) = 0
vcpu0: load(0x1000) = -EBADF
assert alive(vm) == 1
close(other) = 0
assert alive(vm) == 0 && alive(second) == 0
`,
        ),
      );
    });
    it(`${kernel}: a vCPU whose descriptor is closed keeps its id`, () => {
      passes(`kernel ${kernel}\nvm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)\nclose(vcpu0) = 0\nagain = KVM_CREATE_VCPU(vm, 0) = -EEXIST\n`);
    });
    it(`${kernel}: close(-1) and a name whose call failed are EBADF`, () => {
      passes(`kernel ${kernel}\nvm = KVM_CREATE_VM(99) = -EINVAL\nclose(vm) = -EBADF\nclose(-1) = -EBADF\n`);
    });
  }
});

describe("who holds a VM", () => {
  /** The holders in every state of a run. */
  function holders(text: string): string[] {
    return onMachine(text, (machine) => {
      const seen = new Set<string>();
      explore(
        machine,
        { state: (state) => void seen.add((usersOf(machine, state, 0) ?? ["for ever"]).join(", ")) },
        { maxStates: 1e5, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still },
      );
      return [...seen];
    });
  }
  it("its descriptors, vCPUs, guest_memfd files, and calls under way", () => {
    const text =
      "kernel 6.18\nvm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0); ram = KVM_CREATE_GUEST_MEMFD(vm, 4K)\nclose(vm); close(vcpu0); close(ram)\n";
    const seen = holders(text);
    for (const expected of ["vm", "vm, vcpu0", "vm, vcpu0, ram", "vcpu0, ram", "ram", "", "vm, a call of vmm"])
      assert.ok(seen.includes(expected), `${expected}\n${seen.join("\n")}`);
  });
  it("a VM that nobody closes, or whose vCPU has no name, lives for ever and costs no state", () => {
    const words = (text: string): number => onMachine(text, (machine) => machine.words);
    const plain = "kernel 6.18\nvm = KVM_CREATE_VM(0)\nvcpu0 = KVM_CREATE_VCPU(vm, 0)\n";
    assert.deepEqual(holders(`${plain}close(vcpu0)\n`), ["for ever"]);
    assert.equal(holders(`${plain}KVM_CREATE_VCPU(vm, 1)\nclose(vm)\nclose(vcpu0)\n`).at(-1), "for ever");
    passes(`${plain}KVM_CREATE_VCPU(vm, 1)\nclose(vm)\nclose(vcpu0)\nassert alive(vm)\n`);
    passes(`${plain}KVM_CREATE_VCPU(vm, 0) = -EEXIST\nclose(vm)\nclose(vcpu0)\nassert !alive(vm)\n`);
    assert.equal(words(`${plain}close(vcpu0)\n`), words(plain));
  });
});

describe("the last reference", () => {
  for (const kernel of SERIES) {
    it(`${kernel}: the slots drop their private file, whose pages go with the VM`, () => {
      const made = kernel === "v10" ? "memfd_restricted(0)" : 'memfd_create("ram", MFD_INACCESSIBLE)';
      passes(`kernel ${kernel}\nram = ${made}; ftruncate(ram, 4K); fallocate(ram, 0, 0, 4K); check frame-one-owner
map = mmap(NULL, 4K, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=4K, userspace_addr=map, private_fd=ram, private_offset=0) = 0
close(ram); close(vm)
assert pages(ram) == 1 && alive(vm)
close(vcpu0)
assert pages(ram) == 0 && !alive(vm)
`);
    });
  }
  for (const kernel of GMEM) {
    it(`${kernel}: a guest_memfd outlives every descriptor of its VM and still works; the VM goes with it`, () => {
      passes(`${setup(kernel)}ram = KVM_CREATE_GUEST_MEMFD(vm, 8K)
KVM_SET_USER_MEMORY_REGION2(vm, slot=1, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x8000, memory_size=8K, userspace_addr=map, guest_memfd=ram) = 0
KVM_SET_MEMORY_ATTRIBUTES(vm, 0x8000, 8K, KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
vcpu0: store(0x8000, 1)
close(vm); close(vcpu0)
assert alive(vm) && ept(vm, 0x8000) != NONE
fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) = 0
assert ept(vm, 0x8000) == NONE
fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 8K) = 0
close(ram) = 0
assert !alive(vm) && pages(ram) == 0
`);
    });
    it(`${kernel}: two descriptors of a guest_memfd, closed at once, release it once`, () => {
      const race = `kernel ${kernel}\nvm = KVM_CREATE_VM(0); ram = KVM_CREATE_GUEST_MEMFD(vm, 4K); second = dup(ram)
parallel { vmm { close(ram) @one } other { close(second) @two } }
assert !result(one)
`;
      onMachine(race, (machine) => {
        const [file] = machine.files;
        let freed = 0;
        const end = (state: Int32Array): void => {
          freed += 1;
          assert.ok(hasFreed(file.gmem, state), "the file stays freed, so that nobody releases it again");
        };
        explore(machine, { end }, { maxStates: 1e5, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still });
        assert.ok(freed > 0);
      });
    });
  }
  for (const kernel of KERNELS) {
    it(`${kernel}: a call under way keeps the VM, and its thread destroys it`, () => {
      const race = `${setup(kernel)}parallel { vmm { close(vm); close(vcpu0) } other { KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=0) @delete } }
assert !alive(vm)
`;
      passes(race);
      assert.equal(labelled(race).delete, "-EBADF or 0");
    });
    it(`${kernel}: a vCPU that is in the guest keeps the VM`, () => {
      const race = shared(
        kernel,
        `${setup(kernel)}vcpu0: store(0x1000, 5)\nparallel { vmm { close(vm); close(vcpu0) } vcpu0 { load(0x1000) @load } }\nassert !alive(vm)\n`,
      );
      passes(race);
      assert.equal(labelled(race).load, "-EBADF or 0x05");
    });
  }
});

describe("several processes", () => {
  for (const kernel of ["v8", "6.8", "6.18"]) {
    it(`${kernel}: a child has the descriptors, and the last of them destroys the VM`, () => {
      passes(`${setup(kernel)}child = fork()
close(vm); close(vcpu0)
assert alive(vm)
process child { close(vm) = 0; close(vcpu0) = 0 }
assert !alive(vm)
`);
    });
    it(`${kernel}: what the mapping of another process loses is not told to the VM`, () => {
      passes(`${setup(kernel)}vcpu0: ${shared(kernel, "store(0x1000, 7)")}
child = fork()
process child { munmap(map, 8K) = 0 }
assert ept(vm, 0x1000) != NONE
parallel { process child { close(vm); close(vcpu0) } vmm { munmap(map, 8K) } }
assert ept(vm, 0x1000) == NONE && alive(vm)
`);
    });
  }
});

describe("a VM that ends while host memory goes", () => {
  for (const kernel of KERNELS) {
    it(`${kernel}: its notifier goes first, whatever half of an invalidation it is in`, () => {
      const race = `${setup(kernel)}check invalidate-balanced, vm-valid, no-stale-mapping, binding-valid, frame-one-owner, no-deadlock
vcpu0: ${shared(kernel, "store(0x1000, 5)")}\nclose(vm)\nparallel { vmm { close(vcpu0) } other { munmap(map, 8K) } third { ftruncate(mem, 0) } }\nassert !alive(vm)\n`;
      assert.deepEqual(broken(race), []);
      passes(race);
    });
  }
  it("a kernel that leaves the notifier registered is told after the VM is freed", () => {
    const text = `kernel k extends 6.18 { destroy_vm without unregister_notifier }\n${setup("k").replace("kernel k\n", "kernel k\n")}check vm-valid\nclose(vm); close(vcpu0)\nmunmap(map, 8K) @away\n`;
    assert.deepEqual(broken(text), ["vm-valid away.mn_end", "vm-valid away.mn_start"]);
  });
  it("a guest_memfd without a reference on its VM is released against a freed one", () => {
    const text = (gmem: string): string =>
      `kernel k extends 6.18 { gmem_vm = ${gmem} }\nkernel k\nvm = KVM_CREATE_VM(0); ram = KVM_CREATE_GUEST_MEMFD(vm, 4K)\ncheck vm-valid\nclose(vm)\nclose(ram) @close\n`;
    assert.deepEqual(broken(text("borrowed")), ["vm-valid close.lock_slots"]);
    assert.deepEqual(broken(text("held")), []);
  });
  it("an invalidation that nobody ends is noticed when the VM goes", () => {
    const text = `kernel k extends 6.18 { fallocate.punch_hole without invalidate_end }\nkernel k
vm = KVM_CREATE_VM(0); ram = KVM_CREATE_GUEST_MEMFD(vm, 4K, 3); check invalidate-balanced
KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=4K, guest_memfd=ram)
fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) @hole\nclose(ram)\nclose(vm) @end\n`;
    assert.deepEqual(broken(text), ["invalidate-balanced end.unregister_notifier", "invalidate-balanced hole.unlock_invalidate"]);
  });
});
