// Footprints of KVM's TDX code, held against what its steps touch: every race of the calls that change a TD with what its vCPUs do.

import assert from "node:assert/strict";
import { it } from "node:test";
import { explore } from "../../../src/explore/search.ts";
import { onMachine, still } from "../support.ts";
import { watching } from "../watching.ts";
import { CONVERT, DELETE, PUNCH, race, TD } from "./tdx-support.ts";

const budget = { maxStates: 4000, maxMilliseconds: 1e9, maxBytes: 1 << 27, now: still };

function complaints(text: string): string[] {
  const said = new Set<string>();
  onMachine(text, (machine) =>
    watching(
      machine,
      (sentence) => said.add(sentence),
      () => explore(machine, {}, budget),
    ),
  );
  return [...said].sort();
}

const HOST = [PUNCH(0x1000), PUNCH(0x2000), CONVERT(0x2000, 0), CONVERT(0x1000, 8), DELETE, "KVM_PRE_FAULT_MEMORY(vcpu1, 0x2000, 8K)", "close(ram)"];
const GUEST = ["load(0x1000)", "store(0x2000, 1)", "TDG.MEM.PAGE.ACCEPT(0x2000, 0)", "store(SHARED|0x2000, 1)", "TDG.VP.VMCALL.MAPGPA(SHARED|0x2000, 4K)"];

for (const kernel of ["6.16", "6.18", "7.2"]) {
  it(`steps of KVM's TDX code touch what they declare: calls of the host against guest code, ${kernel}`, () => {
    for (const host of HOST) {
      for (const guest of GUEST) assert.deepEqual(complaints(race(kernel, `vmm { ${host} }  vcpu0 { ${guest} }`)), [], `${host} against ${guest}`);
    }
  });

  it(`steps of KVM's TDX code touch what they declare: vCPUs in the making, and their mutexes, ${kernel}`, () => {
    const guest = "vcpu0 { load(0x1000) }";
    for (const ioctl of ["KVM_PRE_FAULT_MEMORY(vcpu0, 0x2000, 4K)", "KVM_TDX_GET_CPUID(vcpu0)", "KVM_TDX_FINALIZE_VM(vm)", "KVM_TDX_INIT_VCPU(vcpu0)"]) {
      assert.deepEqual(complaints(race(kernel, `vmm { ${ioctl} }  ${guest}`)), [], ioctl);
      assert.deepEqual(complaints(race(kernel, `vmm { ${ioctl} }  other { KVM_PRE_FAULT_MEMORY(vcpu0, 0x3000, 4K) }`)), [], ioctl);
    }
    const making = (settings: string, first: string, second: string): string => `${settings}
scenario "making" {
  kernel ${kernel}
  vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
  ${first}
  parallel {
    vmm { ${second} }
    helper { vcpu0 = KVM_CREATE_VCPU(vm, 0) }
    other { twin = KVM_CREATE_VCPU(vm, 0) }
  }
  next = KVM_CREATE_VCPU(vm, 1)
}
`;
    const init = "KVM_TDX_INIT_VM(vm)";
    assert.deepEqual(complaints(making("", "", init)), []);
    assert.deepEqual(complaints(making("", init, "KVM_TDX_FINALIZE_VM(vm)")), []);
    assert.deepEqual(complaints(making("machine { cpus = 1 }", init, "third = KVM_CREATE_VCPU(vm, 2)")), []);
    assert.deepEqual(complaints(making("", init, "KVM_CREATE_IRQCHIP(vm); KVM_ENABLE_CAP(vm, KVM_CAP_SPLIT_IRQCHIP, 24)")), []);
    const terminated = race("posted", `vmm { KVM_TDX_TERMINATE_VM(vm) }  helper { ${PUNCH(0x1000)} }  ${guest}`);
    assert.deepEqual(complaints(`kernel posted extends ${kernel} { td_terminate = reclaims }\n${terminated}`), []);
    const looks = `kernel looks extends ${kernel} { KVM_TDX_GET_CPUID = check_args, lock_vcpu, check_td, read_cpuid }`;
    assert.deepEqual(complaints(`${looks}\n${race("looks", `vmm { KVM_TDX_GET_CPUID(vcpu0) }  other { KVM_TDX_GET_CPUID(vcpu0) }  ${guest}`)}`), []);
  });

  it(`steps of KVM's TDX code touch what they declare: two vCPUs, and the build, ${kernel}`, () => {
    assert.deepEqual(complaints(race(kernel, "vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0) }  vcpu1 { load(0x2000) }")), []);
    assert.deepEqual(complaints(race(kernel, `vmm { ${DELETE} }  helper { close(ram) }`)), []);
    const build = `${TD}
scenario "build" {
  kernel ${kernel}
  vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
  parallel {
    vmm { KVM_TDX_INIT_VM(vm) }
    helper { KVM_TDX_INIT_VM(vm) }
  }
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  vcpu1 = KVM_CREATE_VCPU(vm, 1)
  ram = KVM_CREATE_GUEST_MEMFD(vm, 16K)
  host = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=16K, userspace_addr=host, guest_memfd=ram, guest_memfd_offset=0)
  KVM_SET_MEMORY_ATTRIBUTES(vm, address=0, size=16K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE)
  KVM_TDX_INIT_VCPU(vcpu0)
  parallel {
    vmm { KVM_TDX_INIT_MEM_REGION(vcpu0, source_addr=host, gpa=0x1000, nr_pages=1, flags=KVM_TDX_MEASURE_MEMORY_REGION) }
    helper { ${PUNCH(0x1000)} }
    other { KVM_TDX_INIT_VCPU(vcpu1) }
  }
  parallel {
    vmm { KVM_TDX_FINALIZE_VM(vm) }
    helper { KVM_TDX_GET_CPUID(vcpu0) }
  }
  parallel {
    vmm { close(vm); close(ram) }
    helper { close(vcpu0) }
    other { close(vcpu1) }
  }
}
`;
    assert.deepEqual(complaints(build), []);
  });
}
