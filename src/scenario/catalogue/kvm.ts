// The ioctls of KVM, named by their requests with the target first, and what guest code does under a vCPU.

import { IN } from "./profiles.ts";
import type { CallSpec, ErrorRow, Param } from "./types.ts";

const VM: Param = { name: "vm", type: "vm" };
const GPA: Param = { name: "gpa", type: "gpa" };

const BAD_TARGET: ErrorRow = { errno: "EBADF", when: "the target is not open" };

const vms: readonly CallSpec[] = [
  {
    id: "KVM_CREATE_VM",
    name: "KVM_CREATE_VM",
    subsystem: "kvm",
    context: "host",
    returns: "vm",
    params: [
      { name: "kvm", type: "kvm", optional: true },
      { name: "type", type: "int", group: "KVM_X86_" },
    ],
    prototype: "int ioctl(int kvm, KVM_CREATE_VM, unsigned long type)",
    help: "Creates a VM. In v4 to v10 it stands for a VM whose architecture opted in to private memory; from 6.8 on the type decides.",
    errors: [
      { errno: "EINVAL", when: "an unknown VM type" },
      { errno: "EMFILE", when: "the descriptor table is full" },
    ],
    operations: ["KVM_CREATE_VM"],
    profiles: IN.all,
    source: "virt/kvm/kvm_main.c kvm_dev_ioctl_create_vm",
  },
  {
    id: "KVM_CREATE_VCPU",
    name: "KVM_CREATE_VCPU",
    subsystem: "kvm",
    context: "host",
    returns: "vcpu",
    params: [VM, { name: "id", type: "int" }],
    prototype: "int ioctl(int vm, KVM_CREATE_VCPU, unsigned long id)",
    help: "Creates a vCPU. Its handle names the actor that runs guest code.",
    errors: [
      BAD_TARGET,
      { errno: "EINVAL", when: "id is not below KVM_MAX_VCPU_IDS, or a TD has as many vCPUs as the machine has processors" },
      { errno: "EIO", when: "the VM is a TD that is not initialised, or is finalised", profiles: IN.tdx },
      { errno: "EINVAL", when: "the VM is a TD whose interrupt controller is not split", profiles: IN.tdx },
      { errno: "EEXIST", when: "the VM has a vCPU with this id" },
    ],
    operations: ["KVM_CREATE_VCPU", "KVM_CREATE_VCPU.td"],
    profiles: IN.all,
    source: "virt/kvm/kvm_main.c kvm_vm_ioctl_create_vcpu",
  },
  {
    id: "KVM_CHECK_EXTENSION",
    name: "KVM_CHECK_EXTENSION",
    subsystem: "kvm",
    context: "host",
    returns: "zero",
    params: [
      { name: "target", type: "kvm", optional: true },
      { name: "cap", type: "int", group: "KVM_CAP_" },
    ],
    prototype: "int ioctl(int kvm, KVM_CHECK_EXTENSION, unsigned long cap)",
    help: "Answers what the kernel or the VM supports.",
    errors: [],
    operations: ["KVM_CHECK_EXTENSION"],
    profiles: IN.all,
    source: "virt/kvm/kvm_main.c",
  },
];

const GEOMETRY: readonly ErrorRow[] = [
  BAD_TARGET,
  { errno: "EIO", when: "the caller is not the process that created the VM" },
  { errno: "EINVAL", when: "an unknown flag, or KVM_MEM_PRIVATE on an architecture that did not opt in" },
  { errno: "EINVAL", when: "memory_size, guest_phys_addr or userspace_addr is not page aligned" },
];

const slots: readonly CallSpec[] = [
  {
    id: "KVM_SET_USER_MEMORY_REGION",
    name: "KVM_SET_USER_MEMORY_REGION",
    subsystem: "kvm",
    context: "host",
    returns: "zero",
    params: [
      VM,
      { name: "slot", type: "int" },
      { name: "flags", type: "flags", group: "KVM_MEM_" },
      { name: "guest_phys_addr", type: "gpa" },
      { name: "memory_size", type: "int" },
      { name: "userspace_addr", type: "address", optional: true },
      { name: "private_offset", type: "int", optional: true, names: { v9: "restricted_offset", v10: "restricted_offset" } },
      { name: "private_fd", type: "fd", optional: true, names: { v9: "restricted_fd", v10: "restricted_fd" } },
    ],
    prototype: "int ioctl(int vm, KVM_SET_USER_MEMORY_REGION, struct kvm_userspace_memory_region_ext *)",
    help:
      "Creates, moves or with memory_size=0 deletes a memory slot. With KVM_MEM_PRIVATE (v4 to v10) the slot has two backings: " +
      "userspace_addr for shared memory and private_fd at " +
      "private_offset for private memory. v9 and v10 call the fields restricted_fd and restricted_offset.",
    errors: [
      ...GEOMETRY,
      { errno: "EINVAL", when: "private_offset is not page aligned, or private_offset + memory_size wraps", profiles: ["v6", "v7", "v8", "v9", "v10"] },
      { errno: "EINVAL", when: "the slot number is too high, or guest_phys_addr + memory_size wraps" },
      { errno: "EINVAL", when: "memory_size is 0 and the slot does not exist" },
      { errno: "EINVAL", when: "the slot exists and flags has KVM_MEM_PRIVATE; nobody looks whether the old flags have it", profiles: IN.series },
      { errno: "EINVAL", when: "the slot exists and its size, userspace_addr or KVM_MEM_READONLY would change" },
      { errno: "EEXIST", when: "another slot covers part of the gfn range" },
      { errno: "EINVAL", when: "private_fd is not open", profiles: IN.series },
      { errno: "EINVAL", when: "private_fd was not made by memfd_restricted", profiles: IN.v9v10 },
      { errno: "EOPNOTSUPP", when: "private_fd is on hugetlbfs, which is no backing store", profiles: IN.v6v7 },
      {
        errno: "EEXIST",
        when:
          "the range begins below private_offset of another slot of this VM over the file, and ends above it; other overlaps are not found, for npages is " +
          "shifted the wrong way",
        profiles: IN.v4,
      },
    ],
    operations: ["create", "delete", "move", "flags"].map((name) => `KVM_SET_USER_MEMORY_REGION.${name}`),
    profiles: IN.all,
    source: "virt/kvm/kvm_main.c __kvm_set_memory_region; v4 05, 06, 10 and 12/12; v6 1/8 and 7/8; v8 8/8; v9 8/8",
  },
  {
    id: "KVM_SET_USER_MEMORY_REGION2",
    name: "KVM_SET_USER_MEMORY_REGION2",
    subsystem: "kvm",
    context: "host",
    returns: "zero",
    params: [
      VM,
      { name: "slot", type: "int" },
      { name: "flags", type: "flags", group: "KVM_MEM_" },
      { name: "guest_phys_addr", type: "gpa" },
      { name: "memory_size", type: "int" },
      { name: "userspace_addr", type: "address", optional: true },
      { name: "guest_memfd_offset", type: "int", optional: true },
      { name: "guest_memfd", type: "fd", optional: true },
    ],
    prototype: "int ioctl(int vm, KVM_SET_USER_MEMORY_REGION2, struct kvm_userspace_memory_region2 *)",
    help: "As KVM_SET_USER_MEMORY_REGION; with KVM_MEM_GUEST_MEMFD the private memory of the slot is guest_memfd at guest_memfd_offset.",
    errors: [
      ...GEOMETRY,
      { errno: "EINVAL", when: "guest_memfd_offset is not page aligned, or guest_memfd_offset + memory_size wraps" },
      { errno: "EINVAL", when: "memory_size is 0 and the slot does not exist" },
      { errno: "EINVAL", when: "the slot exists and is bound to a guest_memfd: it can only be deleted" },
      { errno: "EEXIST", when: "another slot covers part of the gfn range" },
      { errno: "EBADF", when: "guest_memfd is not open" },
      { errno: "EINVAL", when: "guest_memfd is another kind of file or belongs to another VM, or the range is not inside the file" },
      { errno: "EINVAL", when: "part of the range is bound already", profiles: ["6.8.0", "6.8", "6.16", "6.18.0", "6.18"] },
      { errno: "EEXIST", when: "part of the range is bound already", profiles: ["7.2", "mainline"] },
    ],
    operations: ["create", "delete", "move", "flags", "delete.td", "move.td"].map((name) => `KVM_SET_USER_MEMORY_REGION.${name}`),
    profiles: IN.upstream,
    source: "virt/kvm/kvm_main.c; virt/kvm/guest_memfd.c kvm_gmem_bind (a7800aa80ea4)",
  },
  {
    id: "KVM_CREATE_GUEST_MEMFD",
    name: "KVM_CREATE_GUEST_MEMFD",
    subsystem: "kvm",
    context: "host",
    returns: "fd",
    params: [VM, { name: "size", type: "int" }, { name: "flags", type: "flags", group: "GUEST_MEMFD_FLAG_", optional: true }],
    prototype: "int ioctl(int vm, KVM_CREATE_GUEST_MEMFD, struct kvm_create_guest_memfd *)",
    help: "Creates a file of fixed size for guest memory that only this VM can bind. It holds a reference on the VM.",
    errors: [
      BAD_TARGET,
      { errno: "EINVAL", when: "an unknown flag" },
      { errno: "EINVAL", when: "size is not positive or not page aligned" },
      { errno: "EMFILE", when: "the descriptor table is full" },
    ],
    operations: ["KVM_CREATE_GUEST_MEMFD"],
    profiles: IN.upstream,
    source: "virt/kvm/guest_memfd.c kvm_gmem_create (a7800aa80ea4)",
  },
];

const conversions: readonly CallSpec[] = [
  ...(["REG", "UNREG"] as const).map(
    (verb): CallSpec => ({
      id: `KVM_MEMORY_ENCRYPT_${verb}_REGION`,
      name: `KVM_MEMORY_ENCRYPT_${verb}_REGION`,
      subsystem: "kvm",
      context: "host",
      returns: "zero",
      params: [VM, { name: "addr", type: "gpa" }, { name: "size", type: "int" }],
      prototype: `int ioctl(int vm, KVM_MEMORY_ENCRYPT_${verb}_REGION, struct kvm_enc_region *)`,
      help:
        `Makes the guest physical range ${verb === "REG" ? "private" : "shared"}: stores the kind of each gfn, then removes the mappings of the range. ` +
        "In v8 and v9 a fresh gfn is private, in v7 shared, where one entry of the xarray stands for a whole range.",
      errors: [
        BAD_TARGET,
        { errno: "EINVAL", when: "size is 0, addr + size wraps, or one of them is not page aligned" },
        { errno: "ENOMEM", when: "no memory for the entries" },
      ],
      operations: [`KVM_MEMORY_ENCRYPT_${verb}_REGION`],
      profiles: IN.v7v9,
      source: "v7 11; v8 5/8; v9 5/8",
    }),
  ),
  {
    id: "KVM_SET_MEMORY_ATTRIBUTES",
    name: "KVM_SET_MEMORY_ATTRIBUTES",
    subsystem: "kvm",
    context: "host",
    returns: "zero",
    params: [
      VM,
      { name: "address", type: "gpa" },
      { name: "size", type: "int" },
      { name: "attributes", type: "flags", group: "KVM_MEMORY_ATTRIBUTE_" },
      { name: "flags", type: "int", optional: true },
    ],
    prototype: "int ioctl(int vm, KVM_SET_MEMORY_ATTRIBUTES, struct kvm_memory_attributes *)",
    help: "Makes each gfn of the range private or shared. It touches no file: freeing memory is user space's job.",
    errors: [
      { errno: "EINVAL", when: "flags is not 0, or an attribute is not supported for this VM" },
      { errno: "EINVAL", when: "size is 0, address + size wraps, or one of them is not page aligned" },
      { errno: "ENOMEM", when: "no memory for the entries" },
    ],
    operations: ["KVM_SET_MEMORY_ATTRIBUTES", "KVM_SET_MEMORY_ATTRIBUTES.td"],
    profiles: IN.attributes,
    source: "virt/kvm/kvm_main.c kvm_vm_set_mem_attributes; v10 6/9",
  },
  {
    id: "KVM_PRE_FAULT_MEMORY",
    name: "KVM_PRE_FAULT_MEMORY",
    subsystem: "kvm",
    context: "host",
    returns: "zero",
    params: [{ name: "vcpu", type: "vcpu" }, GPA, { name: "size", type: "int" }, { name: "flags", type: "int", optional: true }],
    prototype: "int ioctl(int vcpu, KVM_PRE_FAULT_MEMORY, struct kvm_pre_fault_memory *)",
    help: "Maps guest memory before the guest touches it (Linux 6.11).",
    errors: [
      { errno: "EINVAL", when: "flags is not 0, gpa or size is not page aligned, or gpa + size is not above gpa" },
      { errno: "ENOENT", when: "no slot at gpa, which is shared" },
      { errno: "EFAULT", when: "gpa is private and has no slot, no guest_memfd or one that is gone, or nothing is mapped at userspace_addr" },
      { errno: "EAGAIN", when: "the slot is being deleted", profiles: IN.gmemMmap },
      { errno: "EINTR", when: "a signal is pending" },
    ],
    operations: ["KVM_PRE_FAULT_MEMORY", "KVM_PRE_FAULT_MEMORY.td"],
    profiles: IN.tdx,
    source: "virt/kvm/kvm_main.c kvm_vcpu_pre_fault_memory; arch/x86/kvm/mmu/mmu.c kvm_tdp_map_page, kvm_handle_noslot_fault",
  },
];

/** What a guest's access leaves KVM_RUN with, and what KVM_RUN itself returns. */
const MEMORY_EXITS: readonly ErrorRow[] = [
  { errno: "KVM_EXIT_MEMORY_ERROR", when: "the kind of the access is not the kind of the gfn; KVM_RUN fails with EPERM", profiles: IN.v4v5 },
  { errno: "KVM_EXIT_MEMORY_FAULT", when: "the kind of the access is not the kind of the gfn; KVM_RUN returns 0", profiles: IN.v6v10 },
  {
    errno: "KVM_EXIT_MEMORY_FAULT",
    when: "the kind of the access is not the kind of the gfn, or no slot or guest_memfd is behind a private one; KVM_RUN fails with EFAULT",
    profiles: IN.upstream,
  },
  { errno: "EFAULT", when: "userspace_addr gives no page for a shared access; the exit says nothing of it" },
  { errno: "KVM_EXIT_MMIO", when: "no slot at the gpa; KVM_RUN returns 0" },
];

/** In a TD that is driven without KVM there is no fault handler behind an access. */
const TD_ACCESS = ["fault", "TD.access", "TD.access.outside", "fault.td"] as const;

const guest: readonly CallSpec[] = [
  {
    id: "guest.load",
    name: "load",
    subsystem: "kvm",
    context: "guest",
    returns: "byte",
    params: [GPA],
    prototype: "unsigned char load(gpa)",
    help:
      "The guest loads one byte. In v4 to v10 `load(gpa)` is a private access and `load(SHARED|gpa)` a shared one; in a slot without " +
      "private backing every access is ordinary. " +
      "A mismatch with the gfn's kind leaves KVM_RUN with a memory exit.",
    errors: [...MEMORY_EXITS],
    operations: TD_ACCESS,
    profiles: IN.all,
    source: "arch/x86/kvm/mmu/mmu.c; v4 09/12; v8 7/8",
  },
  {
    id: "guest.store",
    name: "store",
    subsystem: "kvm",
    context: "guest",
    returns: "nothing",
    params: [GPA, { name: "value", type: "byte" }],
    prototype: "void store(gpa, unsigned char value)",
    help: "The guest stores one byte; private or shared as with load.",
    errors: [...MEMORY_EXITS],
    operations: TD_ACCESS,
    profiles: IN.all,
    source: "arch/x86/kvm/mmu/mmu.c; v4 09/12; v8 7/8",
  },
  {
    id: "run",
    name: "run",
    subsystem: "kvm",
    context: "guest",
    returns: "nothing",
    params: [],
    prototype: "void run()",
    help: "The vCPU rests in the guest until it is kicked: by `signal(…)`, which ends KVM_RUN with EINTR, and in a TD by the module's user.",
    errors: [],
    operations: ["TD.rest", "TD.rest.outside", "run.td", "guest.run"],
    profiles: IN.all,
    source: "virt/kvm/kvm_main.c kvm_vcpu_kick",
  },
  {
    id: "hlt",
    name: "hlt",
    subsystem: "kvm",
    context: "guest",
    returns: "nothing",
    params: [],
    prototype: "void hlt()",
    help: "The guest executes HLT: KVM_RUN returns with KVM_EXIT_HLT. In a TD it is a #VE, whose handler asks the host: TDG.VP.VMCALL.HLT.",
    errors: [],
    operations: ["guest.hlt", "TD.hlt", "TD.hlt.outside", "hlt.td"],
    profiles: IN.all,
    source: "arch/x86/kvm/x86.c kvm_emulate_halt",
  },
];

export const kvmCalls: readonly CallSpec[] = [...vms, ...slots, ...conversions, ...guest];
