// The vCPUs of a TD: what KVM_CREATE_VCPU asks, in its order, who waits for vcpu->mutex, what the locks of all vCPUs keep apart, and KVM_TDX_TERMINATE_VM.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { broken, report, labelled as results } from "../support.ts";
import { PUNCH, race, TD } from "./tdx-support.ts";

/** Result sets by label of a text whose assertions hold. */
function labelled(text: string): Record<string, string> {
  assert.deepEqual(
    report(text)
      .remarks.filter(({ code }) => code === "MEMFD3024")
      .map(({ message }) => message),
    [],
    text,
  );
  return results(text);
}

const KERNELS = ["6.16", "6.18", "7.2"] as const;

const scenario = (kernel: string, statements: string, variant = ""): string => `${variant}
scenario "one" {
  kernel ${kernel}
  vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
  ${statements}
}
`;
const INIT = "KVM_TDX_INIT_VM(vm) = 0";
const SPLIT = "KVM_ENABLE_CAP(vm, KVM_CAP_SPLIT_IRQCHIP, 24)";
const OOPS = "no-oops";

describe("KVM_CREATE_VCPU of a TD", () => {
  for (const kernel of KERNELS) {
    it(`goes down its checks, ${kernel}`, () => {
      const one = (before: string, id = 0): string => labelled(scenario(kernel, `${before}\n a = KVM_CREATE_VCPU(vm, ${id}) @create`)).create;
      const taken = `${INIT}\n b = KVM_CREATE_VCPU(vm, 0)`;
      assert.equal(one(`${INIT}\n close(vm) = 0`, 4096), "-EBADF");
      assert.equal(one(`b = KVM_CREATE_VCPU(vm, 1)\n ${SPLIT}`, 4096), "-EINVAL", "the id comes first");
      assert.equal(one(""), "-EIO", "then the TD");
      assert.equal(one("KVM_ENABLE_CAP(vm, KVM_CAP_SPLIT_IRQCHIP, 4097)"), "-EIO", "before its interrupt controller");
      assert.equal(one(`KVM_ENABLE_CAP(vm, KVM_CAP_SPLIT_IRQCHIP, 4097)\n ${INIT}`), "-EINVAL");
      assert.equal(one(`${SPLIT} = 0\n ${taken}`), "-EEXIST", "and last whether the id is taken");
      assert.equal(one(`${taken}\n KVM_TDX_INIT_VCPU(b) = 0\n KVM_TDX_FINALIZE_VM(vm) = 0`), "-EIO", "a TD that is finalised gets no more of them");
      assert.equal(one(INIT), "vCPU");
    });

    it(`finds an interrupt controller that is not split, ${kernel}: b3a37bff8daf`, () => {
      const answers = labelled(
        scenario(
          kernel,
          `${INIT}
          KVM_CREATE_IRQCHIP(vm) @first
          KVM_CREATE_IRQCHIP(vm) @again
          ${SPLIT} @split
          a = KVM_CREATE_VCPU(vm, 0) @create
          ${SPLIT} @late`,
        ),
      );
      const before = { first: "0", again: "-EEXIST", split: "-EEXIST", create: "-EINVAL", late: "-EEXIST" };
      assert.deepEqual(answers, kernel === "6.16" ? before : { first: "-ENOTTY", again: "-ENOTTY", split: "0", create: "vCPU", late: "-EEXIST" });
    });

    it(`behind an id that was taken, ${kernel}`, () => {
      const text = scenario(
        kernel,
        `${INIT}
        a = KVM_CREATE_VCPU(vm, 0) = ok
        b = KVM_CREATE_VCPU(vm, 0) = -EEXIST
        c = KVM_CREATE_VCPU(vm, 1) @next`,
      );
      assert.deepEqual(
        broken(text).filter((breach) => breach.startsWith(OOPS)),
        kernel === "7.2" ? [] : ["no-oops next.create_td_vcpu"],
      );
      // The list is one of each processor, and the other thread is on another one.
      const apart = scenario(
        kernel,
        `${INIT}
        parallel { vmm { a = KVM_CREATE_VCPU(vm, 0) = ok }  other { } }
        parallel { vmm { b = KVM_CREATE_VCPU(vm, 0) = -EEXIST } }
        parallel { other { c = KVM_CREATE_VCPU(vm, 1) = ok } }`,
      );
      assert.deepEqual(broken(apart.replace("  other { }", "")), []);
    });
  }

  it("counts the processors of the machine, vCPUs that are on their way among them", () => {
    const text = `machine { cpus = 2 }
    scenario "one" {
      kernel 6.18
      vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
      ${INIT}
      a = KVM_CREATE_VCPU(vm, 0)
      parallel { vmm { b = KVM_CREATE_VCPU(vm, 1) @b }  other { c = KVM_CREATE_VCPU(vm, 2) @c } }
    }`;
    assert.deepEqual(labelled(text), { b: "-EINVAL or vCPU", c: "-EINVAL or vCPU" });
  });

  it("needs a key id of the machine: KVM_TDX_INIT_VM counts them", () => {
    const text = (setting: string): string => `machine { ${setting} }
    scenario "one" {
      kernel 6.18
      vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
      vm2 = KVM_CREATE_VM(KVM_X86_TDX_VM)
      KVM_TDX_INIT_VM(vm) @first
      KVM_TDX_INIT_VM(vm2) @second
    }`;
    assert.deepEqual(labelled(text("keyids = 2")), { first: "0", second: "-ENOSPC" });
    assert.deepEqual(labelled(text("keyids = 3")), { first: "0", second: "0" });
    assert.deepEqual(labelled(text("keyids = 3; misc_max_tdx = 1")), { first: "0", second: "-EBUSY" }, "its cgroup may have fewer of them");
    assert.deepEqual(labelled(text("misc_max_tdx = 0")), { first: "-EBUSY", second: "-EBUSY" });
    assert.deepEqual(labelled(text("keyids = 2; misc_max_tdx = 1")), { first: "0", second: "-ENOSPC" }, "the key id comes first");
    const direct = (hkid: number): string => `machine { keyids = 3 }
    scenario "one" {
      kernel 6.18
      page = alloc_frame()
      td = TDH.MNG.CREATE(page, ${hkid}) @create
    }`;
    assert.deepEqual(labelled(direct(34)), { create: "TDX_SUCCESS" });
    assert.deepEqual(labelled(direct(35)), { create: "TDX_OPERAND_INVALID/RDX" }, "the module has no more of them either");
  });
});

describe("vcpu->mutex", () => {
  const built = `vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
  ${INIT}
  vcpu0 = KVM_CREATE_VCPU(vm, 0)`;
  const twice = (kernel: string): string => `scenario "one" {
    kernel ${kernel}
    ${built}
    parallel { vmm { KVM_TDX_INIT_VCPU(vcpu0) @a }  other { KVM_TDX_INIT_VCPU(vcpu0) @b } }
  }`;
  for (const kernel of KERNELS) {
    it(`two threads initialise one vCPU, ${kernel}: the second one is refused`, () => {
      assert.deepEqual(labelled(twice(kernel)), { a: "-EINVAL or 0", b: "-EINVAL or 0" });
      assert.deepEqual(broken(twice(kernel)), []);
    });
  }

  it("without it an ioctl goes on under a vCPU that is in the guest", () => {
    const rests = (kernel: string): string => race(kernel, "vcpu0 { run() }  vmm { KVM_PRE_FAULT_MEMORY(vcpu0, 0x2000, 4K) @warm }");
    const variant = "kernel unlocked extends 6.18 { KVM_PRE_FAULT_MEMORY.td without lock_vcpu }\n";
    assert.deepEqual(labelled(variant + rests("unlocked")), { warm: "0" });
    assert.deepEqual(labelled(rests("6.18")), { warm: "0 or blocks" });
  });

  it("KVM_RUN holds it, in the guest and out: an ioctl waits, and never for ever", () => {
    for (const kernel of KERNELS) {
      const text = race(
        kernel,
        "vcpu0 { load(0x1000)\n load(0x1000) }  vmm { KVM_TDX_GET_CPUID(vcpu0) @cpuid }  other { KVM_PRE_FAULT_MEMORY(vcpu0, 0x2000, 4K) @warm }",
      );
      assert.deepEqual(labelled(text), { cpuid: "-EINVAL", warm: "0" });
      assert.deepEqual(broken(text), []);
    }
  });

  it("a vCPU that rests in the guest keeps whoever asks, and another vCPU does not", () => {
    const answers = labelled(race("6.18", "vcpu0 { run() }  vmm { KVM_TDX_GET_CPUID(vcpu0) @own }  other { KVM_TDX_GET_CPUID(vcpu1) @other }"));
    assert.deepEqual(answers, { own: "-EINVAL or blocks", other: "-EINVAL" });
  });
});

describe("the locks of all vCPUs, from 6.19 on", () => {
  const finalised = (kernel: string, variant = ""): string => `${variant}
  scenario "one" {
    kernel ${kernel}
    vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
    ${INIT}
    vcpu0 = KVM_CREATE_VCPU(vm, 0)
    KVM_TDX_INIT_VCPU(vcpu0) = 0
    parallel { vmm { KVM_TDX_FINALIZE_VM(vm) @final }  other { vcpu1 = KVM_CREATE_VCPU(vm, 1) @create } }
  }`;

  it("a vCPU that is half made is EBUSY", () => {
    assert.deepEqual(labelled(finalised("7.2")), { final: "-EBUSY or 0", create: "-EIO or vCPU" });
    assert.deepEqual(labelled(finalised("6.18")), { final: "0", create: "-EIO or vCPU" });
    const variant = "kernel unguarded extends 7.2 { KVM_TDX_FINALIZE_VM without lock_vcpus }";
    assert.deepEqual(labelled(finalised("unguarded", variant)), { final: "0", create: "-EIO or vCPU" });
  });

  it("each of them keeps the leaves of two sub-commands apart, and without any they meet: 15945e9ec195", () => {
    const LOCKS = ["kvm", "vcpus", "slots"];
    const meets = (left: readonly string[]): string[] => {
      const gone = LOCKS.filter((lock) => !left.includes(lock)).flatMap((lock) => [`lock_${lock}`, `unlock_${lock}`]);
      const text = `kernel bare extends 7.2 { ${gone.map((step) => `KVM_TDX_INIT_VCPU without ${step}`).join("; ")} }
      scenario "one" {
        kernel ${gone.length > 0 ? "bare" : "7.2"}
        vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
        ${INIT}
        vcpu0 = KVM_CREATE_VCPU(vm, 0)
        vcpu1 = KVM_CREATE_VCPU(vm, 1)
        KVM_TDX_INIT_VCPU(vcpu0) = 0
        parallel { vmm { KVM_TDX_FINALIZE_VM(vm) @final }  other { KVM_TDX_INIT_VCPU(vcpu1) @create } }
      }`;
      return broken(text).filter((breach) => breach.startsWith("no-kvm-bug"));
    };
    assert.notDeepEqual(meets([]), []);
    for (const lock of LOCKS) assert.deepEqual(meets([lock]), [], lock);
    assert.deepEqual(meets(LOCKS), []);
  });

  it("they wait for a vCPU that runs, one mutex after the other", () => {
    const text = race("7.2", "vcpu1 { run() }  vmm { KVM_TDX_FINALIZE_VM(vm) @final }  vcpu0 { load(0x1000) @load }");
    // The first mutex is taken, the second one never: vcpu0 runs before it or not at all.
    assert.deepEqual(labelled(text), { final: "-EINVAL or blocks", load: "0x41 or blocks" });
  });
});

describe("KVM_TDX_TERMINATE_VM", () => {
  const POSTED = "kernel posted extends 6.18 { td_terminate = reclaims }\n";
  const terminated = (statements: string): string => `${POSTED}${TD}
scenario "one" {
  kernel posted
  use td
  ${statements}
}
`;

  for (const kernel of KERNELS) {
    it(`is an unknown sub-command of ${kernel}`, () => {
      const text = `${TD}\nscenario "one" {\n kernel ${kernel}\n use td\n KVM_TDX_TERMINATE_VM(vm) @terminate\n vcpu0: load(0x1000) @load\n}\n`;
      assert.deepEqual(labelled(text), { terminate: "-EINVAL", load: "0x41" });
    });
  }

  it("kills the VM and frees its key id; its pages are reclaimed when they are zapped, with no TRACK", () => {
    const text = terminated(`
      KVM_TDX_TERMINATE_VM(vm, hw_error=1) @wrong
      KVM_TDX_TERMINATE_VM(vm) @terminate
      assert key_state(33) == HKID_FREE && life_cycle(vm) == TD_TEARDOWN && epoch(vm) == 1 && sept(vm, 0x1000) == MAPPED
      vcpu0: load(0x1000) @load
      KVM_TDX_GET_CPUID(vcpu0) @cpuid
      KVM_TDX_TERMINATE_VM(vm) @again
      ${PUNCH(0x1000)} @hole
      assert epoch(vm) == 1 && pages(ram) == 0
      close(vcpu1)
      close(vcpu0)
      close(ram)
      close(vm) @last`);
    assert.deepEqual(labelled(text), { wrong: "-EINVAL", terminate: "0", load: "-EIO", cpuid: "-EIO", again: "-EIO", hole: "0", last: "0" });
    assert.deepEqual(broken(text), []);
  });

  it("is busy while a vCPU is in KVM_RUN or in an ioctl", () => {
    const text = race("posted", "vcpu0 { load(0x1000) @load }  vmm { KVM_TDX_TERMINATE_VM(vm) @terminate }");
    assert.deepEqual(labelled(POSTED + text), { load: "-EIO or 0x41", terminate: "-EBUSY or 0" });
    const ioctl = race("posted", "other { KVM_PRE_FAULT_MEMORY(vcpu0, 0x2000, 4K) @warm }  vmm { KVM_TDX_TERMINATE_VM(vm) @terminate }");
    assert.deepEqual(labelled(POSTED + ioctl), { warm: "-EIO or 0", terminate: "-EBUSY or 0" });
    assert.deepEqual(broken(POSTED + ioctl), []);
  });

  it("gives up where a vCPU is still associated: key id and pages stay as they are", () => {
    const text = terminated(`KVM_TDX_TERMINATE_VM(vm) @terminate
      assert key_state(33) == HKID_ASSIGNED && life_cycle(vm) == TD_KEYS_CONFIGURED && chldcnt(vm) == 23
      ${PUNCH(0x1000)} @hole
      assert sept(vm, 0x1000) == FREE && chldcnt(vm) == 22`);
    const unflushed = text.replace("td_terminate = reclaims", "td_terminate = reclaims; KVM_TDX_TERMINATE_VM without flush_vp");
    assert.notEqual(unflushed, text);
    assert.deepEqual(labelled(unflushed), { terminate: "0", hole: "0" });
    assert.deepEqual(broken(unflushed), []);
  });
});

describe("TDCALL", () => {
  for (const kernel of KERNELS) {
    it(`by a guest that is no TD, ${kernel}: 9d7dfb95da2c`, () => {
      const text = `scenario "one" {
        kernel ${kernel}
        vm = KVM_CREATE_VM(KVM_X86_DEFAULT_VM)
        vcpu0 = KVM_CREATE_VCPU(vm, 0)
        vcpu0: TDG.MEM.PAGE.ACCEPT(0x1000, 0) @accept
        vcpu0: TDG.VP.VMCALL.MAPGPA(0x1000, 4K) @call
      }`;
      const answer = kernel === "6.16" ? "exit KVM_EXIT_INTERNAL_ERROR {suberror=4, data0=0x4d}" : "#UD";
      assert.deepEqual(labelled(text), { accept: answer, call: answer });
    });
  }
});
