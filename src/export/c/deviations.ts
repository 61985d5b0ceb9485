// Where the kernel of a machine and the modelled ones (v4 on 5.16, v8 on 6.0) differ by the kernel's own history, or by how the machine runs guests: each row
// says since when, why and from where, and has a scenario that shows it. Any other difference is a mistake of the model, or of the machine.

import type { Call, Operand, Program } from "../../scenario/program.ts";

/** What rows ask about the machine. */
export interface MachineFacts {
  /** Major and minor of the running kernel: 6.18 → [6, 18]. */
  readonly release: readonly [number, number];
  /** KVM runs guests by shadow paging and emulates real mode (the back end kvm_pvm). */
  readonly shadowGuest: boolean;
}

export interface Deviation {
  readonly name: string;
  readonly reason: string;
  readonly source: string;
  /** Whether a machine shows it: its release, or how it runs guests. */
  readonly here: (machine: MachineFacts) => boolean;
  readonly needsKvm?: boolean;
  /** The statements that show it, and the last one's answers. */
  readonly lines: readonly string[];
  /** By kernel. */
  readonly model: Readonly<Record<string, string>>;
  readonly machine: string;
  /** Whether it explains a difference in another program; answers as `answerText` gives them. */
  readonly explains: (call: Call, model: string, machine: string, program: Program) => boolean;
}

const int = (call: Call, index: number): bigint => {
  const operand = call.operands[index];
  return operand?.kind === "int" ? operand.value : 0n;
};
const both = (answer: string): Record<"v4" | "v8", string> => ({ v4: answer, v8: answer });
const since =
  (major: number, minor: number) =>
  ({ release: [a, b] }: MachineFacts): boolean =>
    a > major || (a === major && b >= minor);

const MFD_NOEXEC_SEAL = 0x8n;
const MFD_EXEC = 0x10n;
const F_ADD_SEALS = 1033n;
const F_SEAL_EXEC = 0x20n;
/** COLLAPSE_RANGE, INSERT_RANGE, UNSHARE_RANGE. */
const EXCLUSIVE = 0x68n;
const PROT_WRITE = 2n;

export const DEVIATIONS: readonly Deviation[] = [
  {
    name: "MFD_NOEXEC_SEAL",
    reason: "0x8, which the series uses for MFD_INACCESSIBLE, became MFD_NOEXEC_SEAL and goes together with MFD_ALLOW_SEALING",
    source: "mm/memfd.c memfd_create, Linux 6.3",
    here: since(6, 3),
    lines: ['fd = memfd_create("x", 0xa)'],
    model: both("-EINVAL"),
    machine: "ok",
    explains: (call, model, machine) => call.spec === "memfd_create" && (int(call, 1) & MFD_NOEXEC_SEAL) !== 0n && model === "-EINVAL" && machine === "ok",
  },
  {
    name: "seals of 0x8",
    reason: "a file made with 0x8 starts with F_SEAL_EXEC; v4 keeps F_SEAL_SEAL only, and v8's wrapper has no seals",
    source: "mm/memfd.c memfd_create, Linux 6.3; v4 02/12; v8 1/8",
    here: since(6, 3),
    lines: ['fd = memfd_create("x", 8)', "fcntl(fd, F_GET_SEALS)"],
    model: { v4: "1", v8: "-EINVAL" },
    machine: "32",
    explains: () => false,
  },
  {
    name: "MFD_EXEC",
    reason: "0x10 was an unknown flag",
    source: "mm/memfd.c memfd_create, Linux 6.3",
    here: since(6, 3),
    lines: ['fd = memfd_create("x", 0x10)'],
    model: both("-EINVAL"),
    machine: "ok",
    explains: (call, model, machine) =>
      call.spec === "memfd_create" && (int(call, 1) & MFD_EXEC) !== 0n && model === "-EINVAL" && (machine === "ok" || machine === "-EFAULT"),
  },
  {
    name: "F_SEAL_EXEC",
    reason: "0x20 was an unknown seal (v4: F_SEAL_INACCESSIBLE, which is not among F_ALL_SEALS)",
    source: "mm/memfd.c memfd_add_seals, Linux 6.3; v4 01/12",
    here: since(6, 3),
    lines: ['fd = memfd_create("x", MFD_ALLOW_SEALING)', "fcntl(fd, F_ADD_SEALS, 0x20)"],
    model: both("-EINVAL"),
    machine: "0",
    explains: (call, model) => call.spec === "fcntl" && int(call, 1) === F_ADD_SEALS && (int(call, 2) & F_SEAL_EXEC) !== 0n && model === "-EINVAL",
  },
  {
    name: "upper half of F_ADD_SEALS",
    reason: "memfd_fcntl refused an argument above 32 bits; now it is passed as an unsigned int",
    source: "mm/memfd.c memfd_fcntl, Linux 6.6",
    here: since(6, 6),
    lines: ['fd = memfd_create("x", MFD_ALLOW_SEALING)', "fcntl(fd, F_ADD_SEALS, 0x100000002)"],
    model: both("-EINVAL"),
    machine: "0",
    explains: (call, model) => call.spec === "fcntl" && int(call, 1) === F_ADD_SEALS && BigInt.asUintN(64, int(call, 2)) > 0xffffffffn && model === "-EINVAL",
  },
  {
    name: "read-only mapping of a write-sealed file",
    reason: "a shared mapping counted as writable as long as it might become so; now VM_MAYWRITE is taken away first",
    source: "mm/shmem.c shmem_mmap, mm/mmap.c, Linux 6.7",
    here: since(6, 7),
    lines: [
      'fd = memfd_create("x", MFD_ALLOW_SEALING)',
      "ftruncate(fd, 4K)",
      "fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)",
      "map = mmap(NULL, 4K, PROT_READ, MAP_SHARED, fd, 0)",
    ],
    model: both("-EPERM"),
    machine: "ok",
    explains: (call, model, machine) =>
      call.spec === "mmap" && (int(call, 3) & 1n) === 1n && !(int(call, 2) & PROT_WRITE) && model === "-EPERM" && machine === "ok",
  },
  {
    name: "exclusive modes of fallocate",
    reason: "COLLAPSE, INSERT and UNSHARE_RANGE with another bit were EINVAL; since modes exclude each other the mix is an unknown mode",
    source: "fs/open.c vfs_fallocate, Linux 6.12",
    here: since(6, 12),
    lines: ['fd = memfd_create("x", 0)', "fallocate(fd, FALLOC_FL_KEEP_SIZE|FALLOC_FL_COLLAPSE_RANGE, 0, 4K)"],
    model: both("-EINVAL"),
    machine: "-EOPNOTSUPP",
    explains: (call, model, machine) => call.spec === "fallocate" && (int(call, 1) & EXCLUSIVE) !== 0n && model === "-EINVAL" && machine === "-EOPNOTSUPP",
  },
  {
    name: "slots above the guest's address width",
    needsKvm: true,
    reason:
      "v4 takes a slot at any gpa; since KVM looks at the largest gfn that it can map (52 bits without TDP, else the host's width) it refuses one behind it",
    source: "arch/x86/kvm/x86.c kvm_arch_prepare_memory_region, Linux 5.18",
    here: since(5, 18),
    lines: ["vm = KVM_CREATE_VM(0)", "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x10000000000000, memory_size=4K, userspace_addr=0)"],
    model: { v4: "0", v8: "-EINVAL" },
    machine: "-EINVAL",
    explains: (call, model, machine) =>
      call.spec === "KVM_SET_USER_MEMORY_REGION" && BigInt.asUintN(64, int(call, 3)) + int(call, 4) > 1n << 52n && model === "0" && machine === "-EINVAL",
  },
  {
    name: "guest code that KVM emulates",
    needsKvm: true,
    reason: "an access to a slot without host memory fails KVM_RUN with EFAULT where hardware runs the guest; this back end emulates real mode: MMIO",
    source: "arch/x86/kvm/mmu/mmu.c kvm_handle_error_pfn, arch/x86/kvm/x86.c emulator_read_write_onepage",
    here: ({ shadowGuest }) => shadowGuest,
    lines: [
      "vm = KVM_CREATE_VM(0)",
      "vcpu = KVM_CREATE_VCPU(vm, 0)",
      "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=0x10000)",
      "vcpu: load(0)",
    ],
    model: both("-EFAULT"),
    machine: "exit KVM_EXIT_MMIO phys_addr=0 len=1 is_write=0",
    explains: (call, model, machine) => call.spec.startsWith("guest.") && SHARED_FAULT.test(model) && machine.startsWith("exit KVM_EXIT_MMIO "),
  },
  {
    name: "guest_memfd that emulated guest code does not reach",
    needsKvm: true,
    reason:
      "where hardware runs the guest it gets to the guest_memfd of its slot; this back end emulates real mode, and the emulator goes through userspace_addr: " +
      "MMIO where nothing is mapped there, other memory where the mapping is of something else",
    source: "arch/x86/kvm/x86.c emulator_read_write_onepage; virt/kvm/kvm_main.c __kvm_read_guest_page, __kvm_write_guest_page",
    here: ({ shadowGuest }) => shadowGuest,
    lines: [
      "vm = KVM_CREATE_VM(0)",
      "vcpu = KVM_CREATE_VCPU(vm, 0)",
      "ram = KVM_CREATE_GUEST_MEMFD(vm, 4K, GUEST_MEMFD_FLAG_MMAP|GUEST_MEMFD_FLAG_INIT_SHARED)",
      "KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=4K, userspace_addr=0, guest_memfd=ram)",
      "vcpu: load(0)",
    ],
    model: { "6.18": "0" },
    machine: "exit KVM_EXIT_MMIO phys_addr=0 len=1 is_write=0",
    explains: (call, model, machine, program) =>
      call.spec.startsWith("guest.") &&
      model !== machine &&
      /^\d+$/.test(model) &&
      (machine.startsWith("exit KVM_EXIT_MMIO ") || /^\d+$/.test(machine)) &&
      isBehindOtherMemory(program, call),
  },
];

const KVM_MEM_GUEST_MEMFD = 4n;
/** Before Linux 6.8 without an exit reason of its own. */
const SHARED_FAULT = /^-EFAULT$|^exit KVM_EXIT_MEMORY_FAULT flags=0 /;

/** The file that a descriptor or a mapping of the program leads to: the call that made it. */
function fileBehind(program: Program, operand: Operand | undefined): number | undefined {
  if (operand?.kind !== "handle") return undefined;
  const made = program.handles[operand.handle].call;
  const maker = program.calls[made];
  if (maker === undefined) return undefined;
  if (maker.spec === "mmap") return fileBehind(program, maker.operands[4]);
  return maker.spec === "dup" ? fileBehind(program, maker.operands[0]) : made;
}

/** The access lies in some slot of a guest_memfd whose userspace_addr is no mapping of that file at the same offset. */
function isBehindOtherMemory(program: Program, call: Call): boolean {
  const gpa = BigInt.asUintN(64, int(call, 0));
  return program.calls.some((slot) => {
    if (slot.spec !== "KVM_SET_USER_MEMORY_REGION2" || !(int(slot, 2) & KVM_MEM_GUEST_MEMFD)) return false;
    const [from, size] = [int(slot, 3), int(slot, 4)];
    if (gpa < from || gpa >= from + size) return false;
    const [address, file] = [slot.operands[5], slot.operands[7]];
    const mapping = address.kind === "handle" ? program.calls[program.handles[address.handle].call] : undefined;
    const start = address.kind === "handle" && mapping !== undefined ? address.offset + int(mapping, 5) : undefined;
    return start !== int(slot, 6) || fileBehind(program, address) !== fileBehind(program, file);
  });
}

/** The row that explains why this machine answers otherwise. */
export function deviation(program: Program, call: Call, model: string, machine: string, facts: MachineFacts): Deviation | undefined {
  return DEVIATIONS.find((row) => row.here(facts) && row.explains(call, model, machine, program));
}
