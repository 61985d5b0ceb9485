// The end of processes: what goes with one and what lives on, in which order, and what becomes of its threads' calls
// (kernel/exit.c, mm/mmap.c exit_mmap, kernel/task_work.c). Of VMs: ends-vm.test.ts.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { labelled, onMachine, passes, report } from "./support.ts";

const scenario = (body: string, kernel: string): string => `scenario "s" {\n  kernel ${kernel}\n${body}\n}\n`;

const notModelled = (body: string, why: RegExp): void => {
  const { verdict, remarks } = report(scenario(body, "6.18"));
  assert.equal(verdict, "incomplete");
  assert.match(remarks.map(({ message }) => message).join("\n"), why);
};

const MEM = `
  mem = memfd_create("mem", MFD_ALLOW_SEALING)
  ftruncate(mem, 8K) = 0
  map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
`;

describe("what a process holds", () => {
  it("goes with it: descriptors, and the file with the last of them", () => {
    passes(`
      mem = memfd_create("mem", 0)
      pwrite(mem, 1, 0) = 1
      child = fork()
      process child { second = dup(mem); exit_group(0) }
      assert pages(mem) == 1
      close(mem) = 0
      assert pages(mem) == 0
    `);
    passes(`
      machine { frames = 1 }
      process maker { mem = memfd_create("mem", 0); pwrite(mem, 1, 0) = 1; exit_group() }
      assert pages(mem) == 0
      frame = alloc_frame() = ok
    `);
  });
  it("is closed once: what it has closed or never had is passed over", () => {
    passes(`
      early = memfd_create("early", 0)
      close(early) = 0
      process other { a = memfd_create("a", 0); close(a) = 0; close(early) = -EBADF; exit_group(0) }
      kill(other, SIGKILL) = 0
      ftruncate(a, 4K) = -EBADF
    `);
  });
  it("holds no file by its mappings any more, and nothing against a seal", () => {
    passes(`${MEM}
      store(map, 0, 7) = 0
      child = fork()
      process child { close(mem) = 0; store(map, 4K, 8) = 0 }
      munmap(map, 8K) = 0
      fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE) = -EBUSY
      kill(child, SIGKILL) = 0
      fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE) = 0
      pread(mem, 1, 4K) = 1 "\\x08"
      close(mem) = 0
      assert pages(mem) == 0
    `);
  });
  it("of which the last reference is a mapping: the file goes behind the descriptors", () => {
    passes(`
      machine { frames = 1 }
      process other { mem = memfd_create("mem", 0); ftruncate(mem, 4K); map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0); close(mem) = 0; store(map, 0, 1) = 0 }
      assert pages(mem) == 1
      kill(other, SIGKILL) = 0
      assert pages(mem) == 0
      frame = alloc_frame() = ok
    `);
  });
  it("gives its private memory back, and leaves to its children what is theirs", () => {
    passes(`
      machine { frames = 2 }
      process other { own = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0); store(own, 0, 1); child = fork(); store(own, 0, 2) = 0 }
      frame = alloc_frame() = -ENOMEM
      kill(other, SIGKILL) = 0
      process child { load(own, 0) = 1; store(own, 0, 3) = 0; load(own, 0) = 3 }
      again = alloc_frame() = ok
      process child { exit_group(0) }
      third = alloc_frame() = ok
    `);
  });
  it("is closed from the highest descriptor down", () => {
    passes(`
      process other { a = memfd_create("a", 0); pwrite(a, 1, 0); b = memfd_create("b", 0); pwrite(b, 1, 0) }
      parallel {
        vmm { kill(other, SIGKILL) = 0 }
        looker { assert pages(a) == 1 || pages(b) == 0 }
      }
    `);
    // A second descriptor of the older file keeps its last put back until that one's turn, which is the first.
    passes(`
      process other { a = memfd_create("a", 0); pwrite(a, 1, 0); b = memfd_create("b", 0); pwrite(b, 1, 0); again = dup(a) }
      parallel {
        vmm { kill(other, SIGKILL) = 0 }
        looker { assert pages(b) == 1 || pages(a) == 0 }
      }
    `);
  });
  it("of one process alone: everything ends, and the scenario still looks at what is left", () => {
    passes(`${MEM}
      store(map, 0, 1)
      vm = KVM_CREATE_VM(0)
      vcpu0 = KVM_CREATE_VCPU(vm, 0)
      KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=8K, userspace_addr=map) = 0
      vcpu0: load(0) = 1
      exit_group(0)
      assert pages(mem) == 0 && !alive(vm) && ept(vm, 0) == NONE
    `);
  });
});

describe("the threads of a process that ends", () => {
  const answers = (body: string, kernel = "6.18"): Record<string, string> => labelled(scenario(body, kernel));
  it("are gone between two calls, and what would come later does not", () => {
    assert.deepEqual(
      answers(`
        mem = memfd_create("mem", 0)
        parallel { vmm { exit_group(0) } other { ftruncate(mem, 4K) @first; ftruncate(mem, 8K) @second } }
        ftruncate(mem, 12K) @later
      `),
      { first: "0 or SIGKILL", second: "0 or SIGKILL", later: "" },
    );
  });
  it("end a write behind any page", () => {
    passes(`
      mem = memfd_create("mem", 0)
      process other { close(-1) = -EBADF }
      send_fd(mem, other)
      parallel {
        process other { pwrite(mem, 0x41 * 8192, 0) = 8192 or SIGKILL @write }
        vmm { kill(other, SIGKILL) = 0 }
      }
      exists size(mem) == 0
      exists size(mem) == 4K && result(write) == SIGKILL
      exists size(mem) == 8K && result(write) == SIGKILL
      exists size(mem) == 8K && result(write) == 8192
      forall pages(mem) * 4K == size(mem)
    `);
  });
  for (const kernel of ["v10", "6.8", "6.18", "7.2"]) {
    it(`take back what fallocate has added to a memfd (${kernel})`, () => {
      passes(
        `
        mem = memfd_create("mem", 0)
        process other { close(-1) = -EBADF }
        send_fd(mem, other)
        parallel {
          process other { fallocate(mem, 0, 0, 8K) = 0 or SIGKILL @grow }
          vmm { kill(other, SIGKILL) = 0 }
        }
        exists pages(mem) == 2
        exists pages(mem) == 0 && result(grow) == SIGKILL
        never pages(mem) == 1
      `,
        kernel,
      );
    });
  }
  it("come back from a page fault and not to the access behind it", () => {
    passes(`${MEM}
      process other { close(-1) = -EBADF }
      child = fork()
      parallel {
        process child { store(map, 0, 7) = 0 or SIGKILL @store }
        vmm { kill(child, SIGKILL) = 0 }
      }
      exists pages(mem) == 1 && value(mem, 0) == 0 && result(store) == SIGKILL
      exists value(mem, 0) == 7
      exists pages(mem) == 0
    `);
  });
  it("stop to populate a mapping", () => {
    passes(`${MEM}
      child = fork()
      parallel {
        process child { madvise(map, 8K, MADV_POPULATE_WRITE) = 0 or SIGKILL }
        vmm { kill(child, SIGKILL) = 0 }
      }
      exists pages(mem) == 1
      exists pages(mem) == 2
    `);
  });
  it("leave the guest, in which a vCPU rests or is between two accesses", () => {
    const VCPU = "vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0); map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)";
    const SLOT = "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=map) = 0";
    passes(`
      process qemu { ${VCPU}; ${SLOT} }
      parallel { process qemu { vcpu0 { run() = SIGKILL } } vmm { kill(qemu, SIGKILL) = 0 } }
      assert !alive(vm)
    `);
    passes(`
      process qemu { ${VCPU}; ${SLOT} }
      parallel { process qemu { vcpu0 { store(0, 1) = 0 or SIGKILL; load(0) = 1 or SIGKILL @look } } vmm { kill(qemu, SIGKILL) = 0 } }
      assert !alive(vm)
      exists result(look) == 1
      exists result(look) == SIGKILL
    `);
  });
  it("hold up the end until the last of them has left its call, with the locks that it has", () => {
    passes(`${MEM}
      child = fork()
      parallel {
        process child { fallocate(mem, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 8K) = 0 or SIGKILL; second { exit_group(0) } }
        vmm { ftruncate(mem, 4K) = 0 }
      }
      fcntl(mem, F_ADD_SEALS, F_SEAL_SHRINK) = 0
    `);
  });
  it("bind what they make, so that it is closed", () => {
    passes(`
      machine { frames = 1 }
      process other { close(-1) = -EBADF }
      parallel {
        process other { mem = memfd_create("mem", 0) = ok or SIGKILL; pwrite(mem, 1, 0) = 1 or SIGKILL }
        vmm { kill(other, SIGKILL) = 0 }
      }
      frame = alloc_frame() = ok
    `);
  });
  it("give up a child that they were forking, and what was to be forked later never is", () => {
    passes(`${MEM}
      process other { close(-1) = -EBADF }
      send_fd(mem, other)
      parallel {
        process other { late = fork() = ok or SIGKILL; latest = fork() = ok or SIGKILL }
        process late { pwrite(mem, 1, 0) = 1 or SIGKILL @child; early = fork() }
        process latest { pread(mem, 1, 0) }
        process early { pread(mem, 1, 0) }
        vmm { kill(other, SIGKILL) = 0 }
      }
      exists result(child) == SIGKILL
      exists result(child) == 1
    `);
  });
  it("are looked at by nobody: an assertion between blocks is the scenario's", () => {
    const { remarks } = report(scenario('mem = memfd_create("mem", 0)\n exit_group(0)\n assert pages(mem) == 1\n', "6.18"));
    assert.deepEqual(
      remarks.map(({ code }) => code),
      ["MEMFD3024"],
    );
  });
});

describe("kill", () => {
  it("returns when the process is gone, and finds it gone from then on", () => {
    passes(`
      mem = memfd_create("mem", 0)
      process other { close(-1) = -EBADF }
      send_fd(mem, other)
      kill(other, SIGKILL) = 0
      kill(other, SIGKILL) = 0
      send_fd(mem, other) = -EPIPE
      process other { pread(mem, 1, 0) }
    `);
  });
  it("of two at once, and with exit_group: one ends it, and both return", () => {
    passes(`
      mem = memfd_create("mem", 0)
      pwrite(mem, 1, 0) = 1
      child = fork()
      close(mem) = 0
      parallel {
        vmm { kill(child, SIGKILL) = 0; assert pages(mem) == 0 }
        second { kill(child, SIGKILL) = 0; assert pages(mem) == 0 }
        process child { exit_group(0) }
      }
    `);
  });
  it("of a child that is not there is ESRCH", () => {
    passes(`
      parallel { vmm { child = fork() } other { kill(child, SIGKILL) = 0 or -ESRCH @kill } }
      process child { close(-1) = -EBADF @lives }
      exists result(kill) == -ESRCH && result(lives) == -EBADF
      exists result(kill) == 0
    `);
  });
  it("of its own process is its end", () => {
    passes(`
      mem = memfd_create("mem", 0)
      pwrite(mem, 1, 0)
      child = fork()
      close(mem) = 0
      process child { kill(child, SIGKILL); pread(mem, 1, 0) }
      assert pages(mem) == 0
    `);
  });
  it("knows no other signal; and what it does to who waits for it, to pipes and to descriptors without a name is said not to be modelled", () => {
    notModelled("process other { close(-1) }\n kill(other, 15)", /only SIGKILL is modelled/);
    notModelled(
      `mem = memfd_create("mem", 0)
       process other { close(-1) }
       send_fd(mem, other)
       process killer { close(-1) }
       parallel {
         process other { fallocate(mem, 0, 0, 8K) }
         process killer { kill(other, SIGKILL) }
         vmm { kill(killer, SIGKILL) }
       }`,
      /who waits for the end of a process that it has killed is killed itself/,
    );
    notModelled("pipe = pipe2(0)\n exit_group(0)", /close of a pipe is not modelled/);
    notModelled("vm = KVM_CREATE_VM(0)\n KVM_CREATE_VCPU(vm, 0)\n exit_group(0)", /a descriptor without a name holds vm/);
  });
  it("leaves an order and an atomic block as they are", () => {
    passes(`
      mem = memfd_create("mem", 0)
      process other { close(-1) = -EBADF }
      send_fd(mem, other)
      parallel {
        process other { ftruncate(mem, 4K) = 0 @grow }
        vmm { kill(other, SIGKILL) = 0 @kill }
        order grow before kill
      }
      assert size(mem) == 4K
    `);
    passes(`
      mem = memfd_create("mem", 0)
      child = fork()
      parallel {
        process child { atomic { ftruncate(mem, 4K) = 0; exit_group(0); ftruncate(mem, 8K) } }
        vmm { ftruncate(mem, 12K) = 0 }
      }
      assert size(mem) == 4K || size(mem) == 12K
    `);
  });
});

it("a scenario in which no process ends has no field for it", () => {
  const text = scenario('mem = memfd_create("mem", 0)\n child = fork()\n parallel { vmm { ftruncate(mem, 4K) } process child { pread(mem, 1, 0) } }', "6.18");
  onMachine(text, (machine) => {
    assert.deepEqual([machine.processes.lives.length, machine.layout.atomsOf("signal").length], [0, 0]);
    assert.ok(machine.vms.every((vm) => vm.orphan === undefined));
  });
});
