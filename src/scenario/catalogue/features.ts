// The features in which kernels differ beyond the order of steps: what `FEATURE = value` of a kernel variant may set, with the values of the modelled
// kernels. The model's `Features` type is made of these rows.

import { kvmTdxFeatures } from "./kvm-tdx-steps.ts";
import { notifierFeatures } from "./notifier-features.ts";
import { seriesFeatures } from "./series-features.ts";
import type { FeatureRow } from "./types.ts";

export const features = [
  ...seriesFeatures,
  ...notifierFeatures,
  ...kvmTdxFeatures,
  {
    name: "fresh_page",
    help: "What KVM finds in a page that it is the first to use.",
    values: [
      { name: "zeroed", help: "the page was cleared when it was allocated" },
      { name: "as_found", help: "the bytes of its last owner: only a fault through a user mapping clears it" },
    ],
    source: "mm/shmem.c shmem_getpage_gfp; v8 1/8 inaccessible_get_pfn",
  },
  {
    name: "private_kind",
    help: "What tells a private gfn from a shared one.",
    values: [
      { name: "page_in_file", help: "private is what has a page in the private file" },
      { name: "xarray", help: "KVM_MEMORY_ENCRYPT_REG_REGION and UNREG_REGION say so, in an xarray of the VM" },
      { name: "attribute", help: "private is what KVM_SET_MEMORY_ATTRIBUTES gave the attribute KVM_MEMORY_ATTRIBUTE_PRIVATE" },
    ],
    source: "v4 09/12; v7 11/14; v8 5/8; v10 6/9",
  },
  {
    name: "default_kind",
    help: "The kind of a gfn in a private slot that nobody has converted.",
    values: [
      { name: "shared", help: "shared until a page of the private file is allocated, or until a call converts it" },
      { name: "private", help: "private until it is unregistered" },
    ],
    source: "v4 09/12; v7 11/14; v8 5/8; v10 6/9",
  },
  {
    name: "exit",
    help: "The exit reason of KVM_RUN when the kind of an access and the kind of the gfn differ.",
    values: [
      { name: "KVM_EXIT_MEMORY_ERROR", help: "the name of v4" },
      { name: "KVM_EXIT_MEMORY_FAULT", help: "the name since v6" },
    ],
    source: "v4 07/12; v8 6/8",
  },
  {
    name: "double_binding",
    help: "What a second memory slot over one range of a private file does.",
    values: [
      { name: "EEXIST", help: "it is refused with EEXIST" },
      { name: "EINVAL", help: "it is refused with EINVAL" },
      {
        name: "misshifted",
        help: "EEXIST where the test finds it: npages is shifted right where it should be shifted left, so that a slot seems next to empty",
      },
      { name: "undefined", help: "nothing tests for it" },
    ],
    source: "v4 12/12 kvm_check_memslot_overlap; dropped in v5; virt/kvm/guest_memfd.c kvm_gmem_bind, Linux 6.8 and 7.2",
  },
  {
    name: "slot_gfn_limit",
    help: "Whether a new or moved slot must end at or below the largest gfn that KVM maps: 52 bits of address without TDP.",
    values: [
      { name: "none", help: "a slot may lie anywhere" },
      { name: "checked", help: "a slot above it is EINVAL" },
    ],
    source: "arch/x86/kvm/mmu.h kvm_mmu_max_gfn, Linux 5.18",
  },
  {
    name: "user_address",
    help: "Which host addresses a memory slot may name: what access_ok lets pass, whether or not something is mapped there.",
    values: [
      { name: "task_size", help: "up to the end of the address space of a process, without its last page" },
      { name: "signed", help: "all with the highest bit clear" },
    ],
    source: "arch/x86/include/asm/uaccess_64.h valid_user_address: 6014bc27561f, Linux 6.4; 86e6b1547b3d, Linux 6.12; measured on Linux 6.18.44",
  },
  {
    name: "memory_exit",
    help: "What KVM_RUN returns with the memory exit.",
    values: [
      { name: "EPERM", help: "-1: the -1 of the fault handler becomes the error" },
      { name: "zero", help: "0: the handler answers RET_PF_USER" },
      { name: "EFAULT", help: "-1 with EFAULT" },
    ],
    source: "v4 09/12 kvm_faultin_pfn_private; v6 5/8 RET_PF_USER (YkJbxiL/Az7olWlq@google.com); Documentation/virt/kvm/api.rst 6.39, Linux 6.8",
  },
  {
    name: "memfd_flags",
    help: "Which flags memfd_create knows beside MFD_CLOEXEC, MFD_ALLOW_SEALING and MFD_HUGETLB.",
    values: [
      { name: "plain", help: "no other one" },
      { name: "inaccessible", help: "MFD_INACCESSIBLE, 0x8" },
      { name: "exec", help: "MFD_NOEXEC_SEAL, 0x8, and MFD_EXEC, 0x10; with them vm.memfd_noexec, F_SEAL_EXEC and a mode that chmod cannot make executable" },
    ],
    source: "mm/memfd.c memfd_create; v4 02/12; Linux 6.3 (037dd1308c6d)",
  },
  {
    name: "memfd_noexec_2",
    help: "What vm.memfd_noexec = 2 makes of memfd_create without MFD_EXEC and MFD_NOEXEC_SEAL.",
    values: [
      { name: "noexec_seal", help: "as if MFD_NOEXEC_SEAL were given; MFD_EXEC is EACCES" },
      { name: "EINVAL", help: "refused, while MFD_EXEC passes" },
    ],
    source: "mm/memfd.c check_sysctl_memfd_noexec; Linux 6.3 (037dd1308c6d), changed in 6.6",
  },
  {
    name: "seal_argument",
    help: "How many bits of the argument of F_ADD_SEALS are looked at.",
    values: [
      { name: "64_bits", help: "an argument above 32 bits is EINVAL" },
      { name: "32_bits", help: "the upper half is dropped" },
    ],
    source: "mm/memfd.c memfd_fcntl, Linux 6.6",
  },
  {
    name: "shared_readonly",
    help: "Whether a shared mapping that cannot be made writable counts as a writable one of its file.",
    values: [
      { name: "counts", help: "every shared mapping counts, so a write-sealed file cannot be mapped shared at all" },
      { name: "free", help: "only one that is or may become writable counts; under a write seal VM_MAYWRITE is taken away first" },
    ],
    source: "mm/shmem.c shmem_mmap, mm/mmap.c mmap_region, Linux 6.7",
  },
  {
    name: "fallocate_modes",
    help: "What fallocate answers to COLLAPSE, INSERT or UNSHARE_RANGE together with another bit.",
    values: [
      { name: "combined", help: "EINVAL: the bits are known, the combination is not allowed" },
      { name: "exclusive", help: "EOPNOTSUPP: modes exclude each other, so the mix is an unknown mode" },
      { name: "write_zeroes", help: "the same, and FALLOC_FL_WRITE_ZEROES is one of the modes: what refuses it is the file system" },
    ],
    source: "fs/open.c vfs_fallocate, Linux 6.12 and 6.17",
  },
  {
    name: "guest_memfd",
    help: "Which guest_memfd files there are.",
    values: [
      { name: "absent", help: "none: the kernel has no KVM_CREATE_GUEST_MEMFD" },
      { name: "private", help: "files that user space cannot map, for the slots of VMs with private memory" },
      { name: "mmap", help: "also files with GUEST_MEMFD_FLAG_MMAP and GUEST_MEMFD_FLAG_INIT_SHARED, and slots of every VM" },
    ],
    source: "virt/kvm/guest_memfd.c kvm_gmem_create (a7800aa80ea4; d2042d8f96dd, fe2bf6234e94)",
  },
  {
    name: "gmem_inode",
    help: "Where the inode of a guest_memfd lives.",
    values: [
      { name: "anonymous", help: "on the pseudo file system of anonymous inodes, as anon_inode:[kvm-gmem]" },
      { name: "own", help: "on one of its own" },
    ],
    source: "virt/kvm/guest_memfd.c, Linux 6.19",
  },
  {
    name: "vm_types",
    help: "Which types of VM KVM_CREATE_VM knows.",
    values: [
      { name: "default", help: "one; in the series it stands for a VM whose architecture opted in to private memory" },
      { name: "sw_protected", help: "KVM_X86_DEFAULT_VM and KVM_X86_SW_PROTECTED_VM" },
      { name: "confidential", help: "also those of SEV, SNP and TDX, which are not modelled" },
    ],
    source: "arch/x86/kvm/x86.c kvm_is_vm_type_supported, Linux 6.8, 6.10, 6.16",
  },
  {
    name: "access_kind",
    help: "What makes an access of the guest private or shared.",
    values: [
      { name: "asked", help: "the guest chooses: load(gpa) is private, load(SHARED|gpa) shared" },
      { name: "attribute", help: "the attribute of the gfn when the fault begins; without private memory in the VM every access is shared" },
    ],
    source: "arch/x86/kvm/mmu/mmu_internal.h kvm_mmu_do_page_fault, Linux 6.8",
  },
  {
    name: "exit_private_flag",
    help: "The bit of KVM_MEMORY_EXIT_FLAG_PRIVATE in the flags of the memory exit.",
    values: [
      { name: "bit_0", help: "1, in the series" },
      { name: "bit_3", help: "8, since Linux 6.8" },
    ],
    source: "v4 07/12; include/uapi/linux/kvm.h, Linux 6.8",
  },
  {
    name: "zap_filter",
    help: "Which mappings an invalidation of gfns removes.",
    values: [
      { name: "none", help: "every mapping of the gfns" },
      { name: "kind", help: "a hole private ones, a host mapping that goes shared ones, a conversion those of the old kind" },
      { name: "sharing", help: "as `kind`, but a hole in a file with GUEST_MEMFD_FLAG_INIT_SHARED removes shared mappings" },
    ],
    source: "dca6c8853232 (Linux 6.14); 5d3341d684be (Linux 6.18)",
  },
  {
    name: "slot_zap",
    help: "Which mappings go when a slot is deleted or moved.",
    values: [
      { name: "all", help: "those of every slot: every root of the VM is obsolete, and faults in flight start over" },
      { name: "by_type", help: "in a VM of the default type those of every slot, in others those of the slot alone" },
    ],
    source: "arch/x86/kvm/mmu/mmu.c kvm_arch_flush_shadow_memslot, kvm_memslot_flush_zap_all, Linux 6.12",
  },
  {
    name: "bind_offset",
    help: "How the end of a binding is compared with i_size.",
    values: [
      { name: "signed", help: "as loff_t: an offset just below 2^63 plus the size turns negative and is let through" },
      { name: "unsigned", help: "as an unsigned number: EINVAL" },
    ],
    source: "virt/kvm/guest_memfd.c kvm_gmem_bind (a7800aa80ea4), Linux 7.2",
  },
  {
    name: "clear_guest_memfd",
    help: "What a slot call without KVM_MEM_GUEST_MEMFD, in the series without KVM_MEM_PRIVATE, does to a slot that has it.",
    values: [
      { name: "accepted", help: "a change of flags or a move; the old slot is freed and stays bound" },
      { name: "EINVAL", help: "refused: such a slot can only be deleted" },
    ],
    source: "virt/kvm/kvm_main.c kvm_set_memory_region, 9935df5333aa; v4 12/12 to v10 9/9 __kvm_set_memory_region",
  },
  {
    name: "dying_unbind",
    help: "What the deletion of a slot does when the last reference on its guest_memfd is gone and the file is not yet released.",
    values: [
      { name: "skipped", help: "it leaves the binding behind" },
      { name: "done", help: "it takes the binding out" },
    ],
    source: "virt/kvm/guest_memfd.c kvm_gmem_unbind, ae431059e75d",
  },
  {
    name: "gmem_user_faults",
    help: "What a host access through a mapping of a guest_memfd gets.",
    values: [
      { name: "init_shared", help: "the page where the file has GUEST_MEMFD_FLAG_INIT_SHARED, else SIGBUS" },
      { name: "mapped", help: "the page: that the file may be mapped is taken to mean that its memory is shared" },
    ],
    source: "virt/kvm/guest_memfd.c kvm_gmem_fault_user_mapping (3d3a04fad25a, Linux 6.18-rc1; fe2bf6234e94)",
  },
  {
    name: "prefault_invalid",
    help: "What KVM_PRE_FAULT_MEMORY does with a slot that is being deleted.",
    values: [
      { name: "retries", help: "it tries again inside the kernel" },
      { name: "EAGAIN", help: "it answers EAGAIN" },
    ],
    source: "arch/x86/kvm/mmu/mmu.c kvm_tdp_map_page, Linux 6.11 and 6.17",
  },
  {
    name: "poisoned_page",
    help: "What becomes of the fault's reference on a page of a guest_memfd that has a memory error.",
    values: [
      { name: "leaked", help: "it is kept for ever: the errno is returned without the put" },
      { name: "put", help: "it is dropped before EHWPOISON is returned" },
    ],
    source: "virt/kvm/guest_memfd.c kvm_gmem_get_pfn, c31745d2c508 in Linux 6.10",
  },
  {
    name: "shmem_signal",
    help: "Which pending signals end an allocation by fallocate on shmem with EINTR.",
    values: [
      { name: "any", help: "any: what the call has added is taken back" },
      { name: "fatal", help: "only one that kills the process" },
    ],
    source: "mm/shmem.c shmem_fallocate (20240515221044.590-1-jack@suse.cz, Linux 6.11)",
  },
] as const satisfies readonly FeatureRow[];

type Row = (typeof features)[number];

export type FeatureName = Row["name"];

/** The values of a feature, as a union of their names. */
export type FeatureValue<Name extends FeatureName> = Extract<Row, { name: Name }>["values"][number]["name"];

export function feature(name: string): FeatureRow | undefined {
  return features.find((row) => row.name === name);
}
