// Several processes: what fork() and SCM_RIGHTS hand on, copy on write between parent and child, who keeps a file, and KVM's EIO for another mm
// (kernel/fork.c, mm/memory.c, virt/kvm/kvm_main.c).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Counts, compare } from "./compare.ts";
import { report as checked, labelled, onMachine, passes, program, report } from "./support.ts";

const MEM = `
  mem = memfd_create("mem", MFD_ALLOW_SEALING)
  ftruncate(mem, 8K) = 0
  map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
`;

describe("fork", () => {
  it("hands on descriptors: each process closes its own, and the file goes with the last", () => {
    passes(`
      mem = memfd_create("mem", 0)
      pwrite(mem, "ab", 0) = 2
      child = fork()
      close(mem) = 0
      pread(mem, 1, 0) = -EBADF
      process child {
        pread(mem, 2, 0) = 2 "ab"
        assert pages(mem) == 1
        close(mem) = 0
        close(mem) = -EBADF
      }
      assert pages(mem) == 0
    `);
  });
  it("shares the open file: one offset for both", () => {
    passes(`
      mem = memfd_create("mem", 0)
      write(mem, "abcd") = 4
      lseek(mem, 0, SEEK_SET) = 0
      child = fork()
      process child { read(mem, 2) = 2 "ab" }
      read(mem, 2) = 2 "cd"
    `);
  });
  it("does not take later descriptors along, nor closed ones", () => {
    passes(`
      early = memfd_create("early", 0)
      close(early) = 0
      child = fork()
      late = memfd_create("late", 0)
      process child { ftruncate(early, 4K) = -EBADF; ftruncate(late, 4K) = -EBADF }
    `);
  });
  it("copies shared mappings as such, each with its own VMA", () => {
    passes(`${MEM}
      child = fork()
      process child { store(map, 0, 0x41) = 0; munmap(map, 4K) = 0; load(map, 0) = SIGSEGV; load(map, 4K) = 0 }
      load(map, 0) = 0x41
    `);
  });
  it("takes the pages of private memory along that somebody has stored to; of memory that was only read nothing is claimed", () => {
    const text = (access: string): string => `
      own = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
      ${access}
      child = fork()
      process child { mincore(own, 8K) @look }
      mincore(own, 8K) @there
    `;
    passes(`${text("store(own, 0, 7)")} assert result(look) == "10" && result(there) == "10"`);
    assert.match(report(text("load(own, 0)")).remarks[0].message, /^which pages of a child are there/);
  });
  it("leaves a mapping that is gone, or not there yet, out of the child", () => {
    passes(`${MEM}
      munmap(map, 4K) = 0
      child = fork()
      new = mmap(NULL, 4K, PROT_READ, MAP_SHARED, mem, 0)
      process child { load(map, 0) = SIGSEGV; load(map, 4K) = 0; load(new, 0) = SIGSEGV; munmap(new, 4K) = 0 }
      load(new, 0) = 0
    `);
  });
  it("leaves out what MADV_DONTFORK says, until MADV_DOFORK", () => {
    passes(`${MEM}
      madvise(map, 4K, MADV_DONTFORK) = 0
      child = fork()
      process child { load(map, 0) = SIGSEGV; store(map, 4K, 1) = 0; grandchild = fork() }
      process grandchild { load(map, 0) = SIGSEGV; load(map, 4K) = 1 }
      madvise(map, 8K, MADV_DOFORK) = 0
      later = fork()
      process later { load(map, 0) = 0 }
      munmap(map, 4K) = 0
      madvise(map, 8K, MADV_DONTFORK) = -ENOMEM
      last = fork()
      process last { load(map, 4K) = SIGSEGV }
      load(map, 4K) = 1
    `);
  });
  it("does not take a page of MADV_DONTFORK memory away from a guest", () => {
    passes(`
      own = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
      madvise(own, 4K, MADV_DONTFORK) = 0
      vm = KVM_CREATE_VM(0)
      vcpu0 = KVM_CREATE_VCPU(vm, 0)
      KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=own) = 0
      vcpu0: store(0, 1) = 0
      child = fork()
      assert ept(vm, 0) != NONE
      load(own, 0) = 1
    `);
  });
  it("keeps protections apart from then on", () => {
    passes(`${MEM}
      mprotect(map, 4K, PROT_READ) = 0
      child = fork()
      mprotect(map, 4K, PROT_READ|PROT_WRITE) = 0
      store(map, 0, 1) = 0
      process child { store(map, 0, 2) = SIGSEGV; load(map, 0) = 1; store(map, 4K, 3) = 0 }
    `);
  });
  for (const [kind, mapping] of [
    ["anonymous memory", "mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)"],
    ["a private mapping of a file", "mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)"],
  ]) {
    it(`gives parent and child a page each of ${kind} when either writes`, () => {
      passes(`${MEM}
        own = ${mapping}
        store(own, 0, 1)
        child = fork()
        store(own, 0, 2) = 0
        process child { load(own, 0) = 1; store(own, 0, 3) = 0; load(own, 4K) = 0; store(own, 4K, 4) = 0 }
        load(own, 0) = 2
        load(own, 4K) = 0
      `);
    });
  }
  it("shares anonymous memory that is MAP_SHARED", () => {
    passes(`
      both = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
      child = fork()
      process child { store(both, 0, 7) = 0 }
      load(both, 0) = 7
    `);
  });
  it("frees the page of both with the last of them, and lets the one that is left write it in place", () => {
    passes(`
      machine { frames = 1 }
      own = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
      store(own, 0, 1)
      child = fork()
      munmap(own, 4K) = 0
      process child { store(own, 0, 2) = 0; load(own, 0) = 2; munmap(own, 4K) = 0 }
      frame = alloc_frame() = ok
    `);
  });
  it("takes the page away from a guest that it is copied under, and the guest finds the parent's again", () => {
    passes(`
      own = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
      vm = KVM_CREATE_VM(0)
      vcpu0 = KVM_CREATE_VCPU(vm, 0)
      KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=own) = 0
      vcpu0: store(0, 1) = 0
      child = fork()
      assert ept(vm, 0) == NONE
      parallel {
        vcpu0 { store(0, 2) = 0; load(0) = 2 }
        process child { load(own, 0) = 1; store(own, 0, 3) = 0; load(own, 0) = 3 }
      }
    `);
  });
  it("makes a process that waits for the fork, and children of children", () => {
    passes(`
      mem = memfd_create("mem", 0)
      pwrite(mem, 1, 0) = 1
      parallel {
        vmm { child = fork(); close(mem) = 0 }
        process child { pread(mem, 1, 0) = 1 "\\x01"; grandchild = fork(); close(mem) = 0 }
        process grandchild { pread(mem, 1, 0) = 1 "\\x01" }
      }
      forall pages(mem) == 1
    `);
  });
  it("gives each of many children its copies, up to a limit that is said", () => {
    const forks = (count: number): string => `own = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
      store(own, 0, 1)
      repeat ${count} as i { child = fork() }
      child[0]: store(own, 0, 2) = 0
      child[1]: load(own, 0) = 1
      child[1]: store(own, 0, 3) = 0
      child[2]: load(own, 0) = 1
      load(own, 0) = 1`;
    passes(forks(3));
    const { verdict, remarks } = report(`scenario "s" {\n kernel 6.18\n ${forks(200)}\n}\n`);
    assert.equal(verdict, "incomplete");
    assert.match(remarks[0].message, /more than 30 processes are not modelled/);
  });
  it("copies the table before the address space: who comes in between is in one and not in the other", () => {
    const answers = labelled(`scenario "s" {
      kernel 6.18
      mem = memfd_create("mem", 0)
      ftruncate(mem, 4K)
      map = mmap(NULL, 4K, PROT_READ, MAP_SHARED, mem, 0)
      parallel {
        vmm { child = fork() }
        thread { close(mem); munmap(map, 4K) }
      }
      process child { pread(mem, 1, 0) @fd; load(map, 0) @map }
    }`);
    assert.deepEqual(answers, { fd: '-EBADF or 1 "\\000"', map: "0x00 or SIGSEGV" });
  });
});

describe("the seals of a file that another process maps", () => {
  it("F_SEAL_WRITE is EBUSY as long as the child maps it, whoever unmaps first", () => {
    passes(`${MEM}
      child = fork()
      munmap(map, 8K) = 0
      fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE) = -EBUSY
      process child { munmap(map, 8K) = 0; fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE) = 0; pwrite(mem, 1, 0) = -EPERM }
      pwrite(mem, 1, 0) = -EPERM
    `);
  });
  it("a private mapping of the child does not count, and it copies on write under F_SEAL_FUTURE_WRITE", () => {
    passes(`
      mem = memfd_create("mem", MFD_ALLOW_SEALING)
      pwrite(mem, 5, 0) = 1
      fcntl(mem, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) = 0
      own = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)
      child = fork()
      process child { store(own, 0, 6) = 0; load(own, 0) = 6 }
      pread(mem, 1, 0) = 1 "\\x05"
    `);
  });
});

describe("send_fd", () => {
  it("opens the file in another process, and the sender may close it", () => {
    passes(`
      mem = memfd_create("mem", 0)
      pwrite(mem, 1, 0) = 1
      process other { pread(mem, 1, 0) = -EBADF }
      send_fd(mem, other)
      close(mem) = 0
      process other { pread(mem, 1, 0) = 1 "\\x01"; send_fd(mem, vmm); close(mem) = 0 }
      pread(mem, 1, 0) = 1 "\\x01"
      close(mem) = 0
      assert pages(mem) == 0
      send_fd(mem, other) = -EBADF
      send_fd(-1, other) = -EBADF
    `);
  });
  it("hands on what has come from elsewhere", () => {
    passes(`
      mem = memfd_create("mem", 0)
      process a { dup(0) = -EBADF }
      process b { dup(0) = -EBADF }
      send_fd(mem, a)
      process a { send_fd(mem, b) }
      process b { ftruncate(mem, 4K) = 0 }
      assert size(mem) == 4K
    `);
  });
});

describe("KVM in another process", () => {
  const VM = `
    vm = KVM_CREATE_VM(1)
    vcpu0 = KVM_CREATE_VCPU(vm, 0)
    gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=0)
  `;
  it("ioctls on the VM and its vCPUs are EIO before their arguments are looked at, calls on a guest_memfd are not", () => {
    passes(`${VM}
      child = fork()
      process child {
        KVM_CREATE_VCPU(vm, 99999) = -EIO
        KVM_CREATE_GUEST_MEMFD(vm, size=1, flags=0xff) = -EIO
        KVM_CHECK_EXTENSION(vm, KVM_CAP_GUEST_MEMFD) = -EIO
        KVM_SET_MEMORY_ATTRIBUTES(vm, 1, 1, 0) = -EIO
        KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, userspace_addr=0, guest_memfd_offset=0, guest_memfd=gm) = -EIO
        KVM_PRE_FAULT_MEMORY(vcpu0, gpa=0, size=4K, flags=0) = -EIO
        vcpu0: load(0) = -EIO
        fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 8K) = 0
        own = KVM_CREATE_VM(0) = ok
        KVM_CREATE_VCPU(own, 0) = ok
      }
      assert pages(gm) == 2
    `);
  });
  it("a VM that a process was not given is EBADF there", () => {
    passes(`${VM}
      process other { KVM_CREATE_VCPU(vm, 1) = -EBADF; vcpu0: load(0) = -EBADF }
      send_fd(vm, other)
      process other { KVM_CREATE_VCPU(vm, 1) = -EIO; vcpu0: load(0) = -EBADF }
    `);
  });
  it("a guest_memfd can be bound to the VM of the process that made both, and to no VM of another one", () => {
    passes(`${VM}
      KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 8K, KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
      process other { elsewhere = KVM_CREATE_VM(1) }
      send_fd(gm, other)
      close(gm) = 0
      KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, userspace_addr=0, guest_memfd_offset=0, guest_memfd=gm) = -EBADF
      process other {
        KVM_SET_USER_MEMORY_REGION2(elsewhere, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, userspace_addr=0, guest_memfd_offset=0, guest_memfd=gm) = -EINVAL
        send_fd(gm, vmm)
      }
      KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, userspace_addr=0, guest_memfd_offset=0, guest_memfd=gm) = 0
      vcpu0: store(0, 1) = 0
      process other { fallocate(gm, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) = 0 }
      vcpu0: load(0) = 0
    `);
  });
});

describe("the last reference on a guest_memfd", () => {
  const MAPPED = `
    vm = KVM_CREATE_VM(0)
    gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=GUEST_MEMFD_FLAG_MMAP|GUEST_MEMFD_FLAG_INIT_SHARED)
    map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, gm, 0)
    store(map, 0, 1)
    child = fork()
  `;
  it("may be a mapping in another process", () => {
    passes(`${MAPPED}
      close(gm) = 0
      munmap(map, 4K) = 0
      process child { close(gm) = 0; assert pages(gm) == 1; load(map, 0) = 1; munmap(map, 4K) = 0 }
      assert pages(gm) == 0
    `);
  });
  it("is dropped by one of two that drop theirs at the same time, which releases the file", () => {
    passes(`${MAPPED}
      munmap(map, 4K) = 0
      process child { munmap(map, 4K) = 0 }
      parallel {
        vmm { close(gm) = 0 @here }
        process child { close(gm) = 0 @there }
      }
      forall pages(gm) == 0
    `);
  });
});

describe("equal actors", () => {
  const groups = (body: string): string[] => {
    const text = `scenario "s" {\n  kernel 6.18\n${body}\n}\n`;
    return onMachine(text, (machine) =>
      machine.twins.map((calls) => calls.map((call) => machine.program.actors[machine.program.calls[call].actor].name).join("=")),
    );
  };
  const FILE = 'mem = memfd_create("mem", 0)\nchild = fork()\n';
  it("are threads of one process that do the same, and not threads of two", () => {
    const twins = groups(
      `${FILE}parallel { a { pwrite(mem, 1, 0) } b { pwrite(mem, 1, 0) } process child { c { pwrite(mem, 1, 0) } d { pwrite(mem, 1, 0) } } }`,
    );
    assert.deepEqual([...new Set(twins)].sort(), ["a=b", "c=d", "vmm"]);
  });
  it("are not those that fork: each has a child of its own", () => {
    const twins = groups('mem = memfd_create("mem", 0)\nparallel { a { fork(); pwrite(mem, 1, 0) } b { fork(); pwrite(mem, 1, 0) } }');
    assert.deepEqual([...new Set(twins)].sort(), ["a", "b", "vmm"]);
  });
  it("are not those that a signal tells apart", () => {
    const twins = groups('mem = memfd_create("mem", 0)\nparallel { a { pwrite(mem, 1, 0) } b { pwrite(mem, 1, 0) } c { signal(a) } }');
    assert.deepEqual([...new Set(twins)].sort(), ["a", "b", "c", "vmm"]);
  });
  it("are vCPUs in their own process: whose KVM_RUN another process tries is no vCPU there", () => {
    const body = `
      vm = KVM_CREATE_VM(0)
      vcpu0 = KVM_CREATE_VCPU(vm, 0)
      vcpu1 = KVM_CREATE_VCPU(vm, 1)
      map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
      KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=map)
      child = fork()
      process child { vcpu1: load(0) = -EIO; vcpu0: load(0) = -EIO }
      parallel { vcpu0 { store(0, 1) } vcpu1 { store(0, 1) } process child { vcpu1 { load(0) = -EIO } vcpu0 { load(0) = -EIO } } }`;
    assert.deepEqual(
      [...new Set(groups(body))].filter((names) => names.includes("=")),
      ["vcpu0=vcpu1"],
    );
    const counts: Counts = { judged: 0, fewerByOrder: 0, equal: 0, fewerBySymmetry: 0 };
    compare(program(`scenario "s" {\n  kernel 6.18\n${body}\n}\n`), undefined, counts, 100_000);
    assert.deepEqual([counts.judged, counts.equal, counts.fewerBySymmetry], [1, 1, 1]);
  });
});

it("a scenario of one process has no word for others", () => {
  const text = 'scenario "s" {\n  kernel 6.18\n  mem = memfd_create("mem", 0)\n  ftruncate(mem, 4K)\n}\n';
  const one = program(text);
  assert.equal(one.processes, undefined);
  assert.ok(one.actors.every((actor) => actor.process === undefined));
  assert.equal(checked(text).verdict, "pass");
});
