// KVM's side of TDX: the sub-commands of KVM_MEMORY_ENCRYPT_OP, the guest's request to convert memory, and the answer of user space to it. Orders of checks
// from arch/x86/kvm/vmx/tdx.c, Linux 6.16 to 6.19.

import { IN } from "./profiles.ts";
import type { CallSpec, ErrorRow, OperationRow, Param, Returns } from "./types.ts";

const VM: Param = { name: "vm", type: "vm" };
const VCPU: Param = { name: "vcpu", type: "vcpu" };
const GPA: Param = { name: "gpa", type: "gpa" };
const int = (name: string): Param => ({ name, type: "int" });
const optional = (name: string): Param => ({ name, type: "int", optional: true });
const FLAGS = optional("flags");
/** Of struct kvm_tdx_cmd: what the kernel writes back, and must not be set. */
const HW_ERROR = optional("hw_error");

const SOURCE = "arch/x86/kvm/vmx/tdx.c";
const BAD_TARGET: ErrorRow = { errno: "EBADF", when: "the target is not open" };
const LATE = ["7.2", "mainline"];
/** From 6.19 on of each sub-command that changes the TD. */
const GUARD: ErrorRow = { errno: "EBUSY", when: "a vCPU is being made", profiles: LATE };
const DEAD: ErrorRow = { errno: "EIO", when: "the VM is dead or bugged" };
const NO_TD: ErrorRow = { errno: "ENOTTY", when: "the VM is not of type KVM_X86_TDX_VM" };
const HARDWARE: ErrorRow = { errno: "EINVAL", when: "hw_error is not 0" };
const ON_VM: readonly ErrorRow[] = [BAD_TARGET, DEAD, NO_TD, HARDWARE];
/** tdx_vcpu_ioctl: a TD that is not yet initialised, or is finalised, has none of them. */
const ON_VCPU: readonly ErrorRow[] = [
  BAD_TARGET,
  DEAD,
  { errno: "EINVAL", when: "the VM is not of type KVM_X86_TDX_VM, the TD has no key id, or it is finalised" },
  HARDWARE,
];

interface Row {
  readonly name: string;
  readonly params: readonly Param[];
  readonly help: string;
  readonly errors: readonly ErrorRow[];
  readonly source: string;
  readonly guest?: true;
  readonly returns?: Returns;
}

const row = ({ name, params, help, errors, source, guest, returns = "zero" }: Row): CallSpec => ({
  id: name,
  name,
  subsystem: guest ? "tdx" : "kvm",
  context: guest ? "guest" : "host",
  params,
  returns,
  prototype: guest
    ? `long ${name}(${params.map((param) => param.name).join(", ")})`
    : `int ioctl(int ${params[0].name}, KVM_MEMORY_ENCRYPT_OP, struct kvm_tdx_cmd { ${name} })`,
  help,
  errors,
  operations: guest ? ["resume.td"] : [name],
  profiles: IN.tdx,
  source,
});

export const kvmTdxCalls: readonly CallSpec[] = [
  row({
    name: "KVM_TDX_CAPABILITIES",
    params: [VM, FLAGS, optional("nent"), HW_ERROR],
    help: "Reads what a TD can be configured with: attributes, XFAM, CPUID bits. `nent` is the room for CPUID entries; left out, there is enough.",
    errors: [...ON_VM, { errno: "EINVAL", when: "flags is not 0" }, { errno: "E2BIG", when: "nent is too small" }],
    source: `${SOURCE} tdx_get_capabilities`,
  }),
  row({
    name: "KVM_TDX_INIT_VM",
    params: [VM, { name: "attributes", type: "flags", group: "TDX_TD_ATTR_", optional: true }, optional("guest_phys_bits"), optional("nent"), FLAGS, HW_ERROR],
    help:
      "Takes a free key id, creates the TD in the TDX module, configures the key on every package, adds the TDCS and initialises it. `guest_phys_bits` is " +
      "the width in EAX[23:16] of leaf 0x80000008: 52 (the default; the shared bit is bit 51, as in `SHARED`) or 48 (bit 47).",
    errors: [
      ...ON_VM,
      GUARD,
      { errno: "EINVAL", when: "the TD is initialised already, or flags is not 0" },
      { errno: "E2BIG", when: "nent is above KVM_MAX_CPUID_ENTRIES (256)" },
      { errno: "EBUSY", when: "the VM has a vCPU" },
      { errno: "EINVAL", when: "an attribute is not supported (SEPT_VE_DISABLE alone is), nent is 0, or guest_phys_bits is neither 48 nor 52" },
      { errno: "ENOSPC", when: "no key id is free" },
      { errno: "EBUSY", when: "the TDs of the cgroup have as many key ids as its misc.max allows" },
      { errno: "EINVAL", when: "TDH.MNG.INIT answers TDX_OPERAND_INVALID; hw_error holds the status" },
      { errno: "EIO", when: "another leaf fails; what was built is torn down" },
    ],
    source: `${SOURCE} tdx_td_init, setup_tdparams, __tdx_td_init`,
  }),
  row({
    name: "KVM_TDX_INIT_VCPU",
    params: [VCPU, optional("rcx"), FLAGS, HW_ERROR],
    help: "Creates the vCPU in the TDX module, adds its TDVPS pages and initialises it; `rcx` is what the guest finds in RCX.",
    errors: [
      ...ON_VCPU,
      GUARD,
      { errno: "EINVAL", when: "flags is not 0, or the vCPU is initialised already" },
      { errno: "EIO", when: "a leaf fails; the VM is bugged" },
    ],
    source: `${SOURCE} tdx_vcpu_init, tdx_td_vcpu_init`,
  }),
  row({
    name: "KVM_TDX_INIT_MEM_REGION",
    params: [VCPU, { name: "source_addr", type: "address" }, GPA, int("nr_pages"), { ...FLAGS, type: "flags", group: "KVM_TDX_" }, HW_ERROR],
    help:
      "Copies initial content page by page into private memory: the page of the guest_memfd is mapped, TDH.MEM.PAGE.ADD adds it and " +
      "KVM_TDX_MEASURE_MEMORY_REGION has it measured. The structure comes back with what is left to do.",
    errors: [
      ...ON_VCPU,
      GUARD,
      { errno: "EINVAL", when: "the vCPU is not initialised, or another flag than KVM_TDX_MEASURE_MEMORY_REGION" },
      {
        errno: "EINVAL",
        when: "source_addr or gpa is not page aligned, nr_pages is 0, gpa + size wraps, or an end of it is not private; size is nr_pages << 12 in 64 bits",
      },
      { errno: "EINTR", when: "a signal is pending" },
      { errno: "EFAULT", when: "nothing is mapped at source_addr, or no guest_memfd is behind the gpa" },
      { errno: "EINVAL", when: "the gfn is not private" },
      { errno: "EEXIST", when: "the page has been used already", profiles: IN.tdx.filter((name) => !LATE.includes(name)) },
      { errno: "EIO", when: "the page is mapped already", profiles: LATE },
      { errno: "EBUSY", when: "TDH.MEM.PAGE.ADD answers TDX_OPERAND_BUSY" },
      { errno: "EIO", when: "TDH.MEM.PAGE.ADD or TDH.MR.EXTEND fails otherwise" },
    ],
    source: `${SOURCE} tdx_vcpu_init_mem_region, tdx_gmem_post_populate; virt/kvm/guest_memfd.c kvm_gmem_populate`,
  }),
  row({
    name: "KVM_TDX_FINALIZE_VM",
    params: [VM, HW_ERROR],
    help: "Closes the measurement. From here on the TD may run, and KVM_PRE_FAULT_MEMORY is allowed.",
    errors: [
      ...ON_VM,
      GUARD,
      { errno: "EINVAL", when: "the TD has no key id, or is finalised already" },
      { errno: "EINVAL", when: "a page is mapped that TDH.MEM.PAGE.ADD has not added", profiles: IN.tdx.filter((name) => !LATE.includes(name)) },
      { errno: "EBUSY", when: "TDH.MR.FINALIZE answers TDX_OPERAND_BUSY" },
      { errno: "EIO", when: "it fails otherwise; the VM is bugged" },
    ],
    source: `${SOURCE} tdx_td_finalize`,
  }),
  row({
    name: "KVM_TDX_GET_CPUID",
    params: [VCPU, optional("nent"), FLAGS, HW_ERROR],
    help: "Reads the CPUID values that the TD sees. `nent` is the room for entries; left out, there is enough.",
    errors: [...ON_VCPU, { errno: "E2BIG", when: "nent is too small" }],
    source: `${SOURCE} tdx_vcpu_get_cpuid`,
  }),
  row({
    name: "KVM_TDX_TERMINATE_VM",
    params: [VM, HW_ERROR],
    help:
      "Releases the key id while guest_memfds still hold pages of the TD, which are then reclaimed in place of being removed. Posted, and in no kernel up to " +
      "7.2: `td_terminate = reclaims` of a kernel variant has it.",
    errors: [...ON_VM, { errno: "EINVAL", when: "the kernel has no such sub-command" }, { errno: "EBUSY", when: "a vCPU is in KVM_RUN or in another ioctl" }],
    source: `${SOURCE} tdx_terminate_vm, as in 20250729193341.621487-6-seanjc@google.com`,
  }),
  {
    id: "KVM_CREATE_IRQCHIP",
    name: "KVM_CREATE_IRQCHIP",
    subsystem: "kvm",
    context: "host",
    params: [VM],
    returns: "zero",
    prototype: "int ioctl(int vm, KVM_CREATE_IRQCHIP)",
    help: "An interrupt controller in the kernel, I/O APIC and all. A TD of a scenario that sets up none has a split one.",
    errors: [
      BAD_TARGET,
      DEAD,
      { errno: "EEXIST", when: "the VM has an interrupt controller in the kernel" },
      { errno: "ENOTTY", when: "the VM is a TD", profiles: IN.gmemMmap },
      { errno: "EINVAL", when: "the VM has a vCPU" },
    ],
    operations: ["KVM_CREATE_IRQCHIP"],
    profiles: IN.tdx,
    source: "arch/x86/kvm/x86.c kvm_arch_vm_ioctl",
  },
  {
    id: "KVM_ENABLE_CAP",
    name: "KVM_ENABLE_CAP",
    subsystem: "kvm",
    context: "host",
    params: [VM, { name: "cap", type: "int", group: "KVM_CAP_" }, optional("args0"), FLAGS],
    returns: "zero",
    prototype: "int ioctl(int vm, KVM_ENABLE_CAP, struct kvm_enable_cap *cap)",
    help: "Only KVM_CAP_SPLIT_IRQCHIP is modelled: the local APICs are in the kernel, the I/O APIC is not; `args0` is its number of pins.",
    errors: [
      BAD_TARGET,
      DEAD,
      { errno: "EINVAL", when: "flags is not 0, or args0 is above KVM_MAX_IRQ_ROUTES (4096)" },
      { errno: "EEXIST", when: "the VM has an interrupt controller in the kernel, or a vCPU" },
    ],
    operations: ["KVM_ENABLE_CAP"],
    profiles: IN.tdx,
    source: "arch/x86/kvm/x86.c kvm_vm_ioctl_enable_cap",
  },
  row({
    name: "KVM_RUN",
    params: [optional("ret")],
    guest: true,
    returns: "offset",
    help:
      "User space calls KVM_RUN again behind a KVM_EXIT_HYPERCALL, with `ret` as its answer (left out, what KVM put there: 0). It answers what the guest gets in R10 when the " +
      "whole range is done, or the next KVM_EXIT_HYPERCALL.",
    errors: [{ errno: "EINVAL", when: "no exit of the vCPU waits for an answer" }, { errno: "TDVMCALL_STATUS_INVALID_OPERAND", when: "ret is not 0" }, DEAD],
    source: `${SOURCE} tdx_complete_vmcall_map_gpa`,
  }),
];

const TDX = IN.tdx;

export const kvmTdxOperations: readonly OperationRow[] = [
  { name: "KVM_TDX_CAPABILITIES", help: "The sub-command KVM_TDX_CAPABILITIES." },
  { name: "KVM_TDX_INIT_VM", help: "The sub-command KVM_TDX_INIT_VM." },
  { name: "KVM_TDX_INIT_VCPU", help: "The sub-command KVM_TDX_INIT_VCPU." },
  { name: "KVM_TDX_INIT_MEM_REGION", help: "The sub-command KVM_TDX_INIT_MEM_REGION, page by page." },
  { name: "KVM_TDX_FINALIZE_VM", help: "The sub-command KVM_TDX_FINALIZE_VM." },
  { name: "KVM_TDX_GET_CPUID", help: "The sub-command KVM_TDX_GET_CPUID." },
  { name: "KVM_TDX_TERMINATE_VM", help: "The sub-command KVM_TDX_TERMINATE_VM." },
  { name: "KVM_CREATE_IRQCHIP", help: "The ioctl KVM_CREATE_IRQCHIP of a TD." },
  { name: "KVM_ENABLE_CAP", help: "The ioctl KVM_ENABLE_CAP of a TD." },
  { name: "KVM_CREATE_VCPU.td", help: "KVM_CREATE_VCPU on a TD.", profiles: TDX },
  { name: "hypercall.td", help: "A TD's request to convert memory, up to the exit to user space.", profiles: TDX },
  { name: "resume.td", help: "What follows when user space has answered a KVM_EXIT_HYPERCALL.", profiles: TDX },
  { name: "accept.td", help: "TDG.MEM.PAGE.ACCEPT by a vCPU of a TD behind a VM of KVM, with the fault that it may take.", profiles: TDX },
  { name: "attributes.td", help: "TDG.MEM.PAGE.ATTR.RD or .WR by a vCPU of a TD behind a VM of KVM, with the fault that it may take.", profiles: TDX },
  { name: "hlt.td", help: "HLT by a vCPU of a TD behind a VM of KVM.", profiles: TDX },
  { name: "run.td", help: "A vCPU of a TD behind a VM of KVM rests in the guest.", profiles: TDX },
  { name: "fault.td", help: "An access by a vCPU of a TD behind a VM of KVM: entry, exit, and KVM's fault handler with mirror and secure EPT.", profiles: TDX },
  { name: "KVM_PRE_FAULT_MEMORY.td", help: "KVM_PRE_FAULT_MEMORY on a TD.", profiles: TDX },
  { name: "poison.td", help: "An uncorrectable error in a page of a guest_memfd, where some VM is a TD: only of a page that nobody maps.", profiles: TDX },
  { name: "fallocate.punch_hole.td", help: "fallocate with FALLOC_FL_PUNCH_HOLE on the guest_memfd of a TD.", profiles: TDX },
  { name: "KVM_SET_MEMORY_ATTRIBUTES.td", help: "KVM_SET_MEMORY_ATTRIBUTES on a TD.", profiles: TDX },
  { name: "KVM_SET_USER_MEMORY_REGION.delete.td", help: "The deletion of a memory slot of a TD.", profiles: TDX },
  { name: "KVM_SET_USER_MEMORY_REGION.move.td", help: "The move of a memory slot of a TD.", profiles: TDX },
  { name: "release.td", help: "The release of the guest_memfd of a TD.", profiles: TDX },
  { name: "destroy_vm.td", help: "What follows when the last reference on a VM of type KVM_X86_TDX_VM is dropped.", profiles: TDX },
];
