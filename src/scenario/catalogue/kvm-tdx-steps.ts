// The atomic steps of KVM's TDX code, and the features in which its releases differ (arch/x86/kvm/vmx/tdx.c, arch/x86/kvm/mmu/tdp_mmu.c).
// A step that performs a leaf of the TDX module is two: the checks and locks of the leaf, then, as `NAME.commit`, its effect.

import type { FeatureRow, StepRow } from "./types.ts";

const TDX = "arch/x86/kvm/vmx/tdx.c";
const MMU = "arch/x86/kvm/mmu/tdp_mmu.c";

export const kvmTdxSteps = [
  // vCPUs and their mutexes.
  {
    name: "count_vcpu",
    help: "created_vcpus counts a vCPU that is about to be made; no more of a TD than the machine has processors.",
    source: "virt/kvm/kvm_main.c kvm_vm_ioctl_create_vcpu",
  },
  {
    name: "create_td_vcpu",
    help: "The vCPU of a TD that is initialised, with a split irqchip; it is put on the list of its processor.",
    source: `${TDX} tdx_vcpu_create`,
  },
  {
    name: "lock_vcpu",
    help: "Takes vcpu->mutex: one ioctl on a vCPU at a time, and none while it is in KVM_RUN.",
    source: "virt/kvm/kvm_main.c kvm_vcpu_ioctl",
  },
  {
    name: "lock_vcpus",
    help: "Takes the mutex of each vCPU; EBUSY while one is being made.",
    source: `${TDX} tdx_acquire_vm_state_locks, Linux 6.19 (15945e9ec195)`,
  },
  { name: "unlock_vcpus", help: "Releases the mutexes of the vCPUs.", source: `${TDX} tdx_release_vm_state_locks, Linux 6.19 (15945e9ec195)` },
  // Building a TD.
  { name: "take_keyid", help: "Takes the lowest free private key id.", source: "arch/x86/virt/vmx/tdx/tdx.c tdx_guest_keyid_alloc" },
  { name: "td_create", help: "TDH.MNG.CREATE: a fresh page becomes the TDR.", source: `${TDX} __tdx_td_init` },
  { name: "key_config", help: "TDH.MNG.KEY.CONFIG on each package.", source: `${TDX} __tdx_td_init` },
  { name: "td_addcx", help: "TDH.MNG.ADDCX of each page of the TDCS.", source: `${TDX} __tdx_td_init` },
  { name: "td_init", help: "TDH.MNG.INIT with the parameters of user space.", source: `${TDX} __tdx_td_init` },
  { name: "set_initialized", help: "The TD, or the vCPU, is initialised for KVM.", source: `${TDX} tdx_td_init, tdx_vcpu_init` },
  { name: "vp_create", help: "TDH.VP.CREATE: a fresh page becomes the TDVPR.", source: `${TDX} tdx_td_vcpu_init` },
  { name: "vp_addcx", help: "TDH.VP.ADDCX of each other page of the TDVPS.", source: `${TDX} tdx_td_vcpu_init` },
  { name: "vp_init", help: "TDH.VP.INIT on the processor of the caller.", source: `${TDX} tdx_td_vcpu_init` },
  { name: "create_irqchip", help: "An interrupt controller in the kernel.", source: "arch/x86/kvm/x86.c kvm_arch_vm_ioctl" },
  { name: "enable_cap", help: "The local APICs in the kernel, the rest in user space.", source: "arch/x86/kvm/x86.c kvm_vm_ioctl_enable_cap" },
  { name: "check_td", help: "Tests what may have changed since the arguments were checked: state of the TD and of the vCPU.", source: `${TDX} tdx_vcpu_ioctl` },
  { name: "get_source", help: "Pins the source page of user space.", source: `${TDX} tdx_gmem_post_populate` },
  {
    name: "fresh_page",
    help: "The page of the guest_memfd, which nobody may have used yet, for a private gfn.",
    source: "virt/kvm/guest_memfd.c kvm_gmem_populate",
  },
  { name: "page_add", help: "TDH.MEM.PAGE.ADD copies the source page into the TD.", source: `${TDX} tdx_gmem_post_populate` },
  { name: "mr_extend", help: "TDH.MR.EXTEND over the page, where it is to be measured.", source: `${TDX} tdx_gmem_post_populate` },
  {
    name: "premap",
    help: "The mirror maps the page, which TDH.MEM.PAGE.ADD has still to add: nr_premapped counts it.",
    source: `${TDX} tdx_sept_set_private_spte`,
  },
  { name: "put_source", help: "Drops the source page, and goes on to the next page.", source: `${TDX} tdx_vcpu_init_mem_region` },
  { name: "check_premapped", help: "Refuses to finalise a TD with pages that are mapped and not added.", source: `${TDX} tdx_td_finalize` },
  { name: "mr_finalize", help: "TDH.MR.FINALIZE.", source: `${TDX} tdx_td_finalize` },
  { name: "set_runnable", help: "The TD is runnable for KVM.", source: `${TDX} tdx_td_finalize` },
  { name: "allow_prefault", help: "KVM_PRE_FAULT_MEMORY is allowed from here on.", source: `${TDX} tdx_td_finalize` },
  { name: "read_cpuid", help: "Reads the CPUID values of the TD.", source: `${TDX} tdx_vcpu_get_cpuid` },
  // The mirror beside the secure EPT.
  { name: "freeze_table", help: "A missing table: a fresh page, and the entry of the mirror is FROZEN.", source: `${MMU} tdp_mmu_link_sp` },
  { name: "sept_add", help: "TDH.MEM.SEPT.ADD of the table.", source: `${TDX} tdx_sept_link_private_spt` },
  { name: "freeze_spte", help: "The entry of the mirror is FROZEN: others that meet it try again.", source: `${MMU} __tdp_mmu_set_spte_atomic` },
  { name: "clflush", help: "No dirty line of the shared key is left of the page.", source: "arch/x86/virt/vmx/tdx/tdx.c tdx_clflush_page" },
  { name: "aug", help: "TDH.MEM.PAGE.AUG.", source: `${TDX} tdx_mem_page_aug` },
  { name: "publish_spte", help: "The mirror maps the page.", source: `${MMU} __tdp_mmu_set_spte_atomic` },
  { name: "clear_mirror", help: "The next entry of the mirror in the range is cleared.", source: `${MMU} tdp_mmu_set_spte` },
  { name: "block", help: "TDH.MEM.RANGE.BLOCK.", source: `${TDX} tdx_sept_zap_private_spte` },
  { name: "track", help: "TDH.MEM.TRACK, once the TD is runnable.", source: `${TDX} tdx_track` },
  { name: "kick_send", help: "KVM_REQ_OUTSIDE_GUEST_MODE to every vCPU.", source: `${TDX} tdx_track` },
  { name: "kick_wait", help: "Waits until each vCPU that was in the guest has left it.", source: "virt/kvm/kvm_main.c kvm_make_all_cpus_request" },
  { name: "remove", help: "TDH.MEM.PAGE.REMOVE.", source: `${TDX} tdx_sept_drop_private_spte` },
  { name: "hold_vcpus", help: "Behind a leaf that was busy: no vCPU may enter, and those inside are kicked.", source: `${TDX} tdx_no_vcpus_enter_start` },
  { name: "page_wbinvd", help: "TDH.PHYMEM.PAGE.WBINVD under the key of the TD.", source: `${TDX} tdx_sept_drop_private_spte` },
  { name: "reset_page", help: "MOVDIR64B overwrites the page.", source: "arch/x86/virt/vmx/tdx/tdx.c tdx_quirk_reset_page" },
  { name: "put_pinned", help: "Drops the reference that the secure EPT had on the page, where it had one.", source: `${TDX} tdx_unpin` },
  {
    name: "reclaim_page",
    help: "TDH.PHYMEM.PAGE.RECLAIM of a page that is zapped behind KVM_TDX_TERMINATE_VM.",
    source: `${TDX} tdx_sept_remove_private_spte, as in 20250729193341.621487-6-seanjc@google.com`,
  },
  // Running.
  {
    name: "run_vcpu",
    help: "KVM_RUN: refused for a dead VM, before the TD is runnable, or while its vCPU is not initialised.",
    source: `${TDX} tdx_vcpu_pre_run`,
  },
  {
    name: "share_mmu",
    help: "Takes mmu_lock for read; a fault that an invalidation overtook tries again.",
    source: "arch/x86/kvm/mmu/mmu.c kvm_tdp_mmu_page_fault",
  },
  { name: "exit_hypercall", help: "The next part of the range goes to user space.", source: `${TDX} __tdx_map_gpa` },
  {
    name: "answer_hypercall",
    help: "What user space answered goes to the guest, or the next part of the range to user space.",
    source: `${TDX} tdx_complete_vmcall_map_gpa`,
  },
  // The end of a TD.
  {
    name: "terminate",
    help: "The VM is dead and terminated, unless a vCPU is busy.",
    source: `${TDX} tdx_terminate_vm, as in 20250729193341.621487-6-seanjc@google.com`,
  },
  { name: "flush_vp", help: "TDH.VP.FLUSH of each vCPU, on the processor that it is associated with.", source: `${TDX} tdx_mmu_release_hkid` },
  { name: "vpflushdone", help: "TDH.MNG.VPFLUSHDONE.", source: `${TDX} tdx_mmu_release_hkid` },
  { name: "cache_wb", help: "TDH.PHYMEM.CACHE.WB on each package.", source: `${TDX} smp_func_do_phymem_cache_wb` },
  { name: "key_freeid", help: "TDH.MNG.KEY.FREEID.", source: `${TDX} tdx_mmu_release_hkid` },
  { name: "return_keyid", help: "The key id is free for the next TD.", source: `${TDX} tdx_hkid_free` },
  { name: "reclaim_tdvps", help: "TDH.PHYMEM.PAGE.RECLAIM of each page of the vCPUs.", source: `${TDX} tdx_vcpu_free` },
  { name: "reclaim_tables", help: "TDH.PHYMEM.PAGE.RECLAIM of each table of the secure EPT.", source: `${TDX} tdx_sept_free_private_spt` },
  { name: "reclaim_tdcs", help: "TDH.PHYMEM.PAGE.RECLAIM of each page of the TDCS.", source: `${TDX} tdx_reclaim_td_control_pages` },
  { name: "reclaim_tdr", help: "TDH.PHYMEM.PAGE.RECLAIM of the TDR.", source: `${TDX} tdx_reclaim_td_control_pages` },
  { name: "tdr_wbinvd", help: "TDH.PHYMEM.PAGE.WBINVD of the TDR under the key of the module.", source: `${TDX} tdx_reclaim_td_control_pages` },
  { name: "free_td", help: "The TDR is reset and freed.", source: `${TDX} tdx_reclaim_td_control_pages` },
] as const satisfies readonly StepRow[];

export const kvmTdxFeatures = [
  {
    name: "td_page_reference",
    help: "Whether KVM holds a reference on a page as long as the secure EPT has it. A page whose removal failed keeps it for ever.",
    values: [
      { name: "pinned", help: "one reference from the set hook to the end of a successful removal" },
      { name: "none", help: "the page goes back to the allocator when the guest_memfd drops it, whatever the removal did" },
    ],
    source: "arch/x86/kvm/vmx/tdx.c tdx_pin, tdx_unpin; dropped by ce7b5695397b, Linux 6.19",
  },
  {
    name: "td_slot_deleted",
    help: "What the local retry loop of a private EPT violation does while the memory slot is being deleted.",
    values: [
      { name: "loops", help: "it goes round and holds SRCU, for which the deletion waits" },
      { name: "leaves", help: "it breaks out of the loop, and KVM enters the guest again" },
    ],
    source: "arch/x86/kvm/vmx/tdx.c tdx_handle_ept_violation, KVM_MEMSLOT_INVALID, Linux 6.18",
  },
  {
    name: "td_private_retry",
    help: "Where KVM tries a private EPT violation again that it cannot resolve yet.",
    values: [
      { name: "local", help: "on the spot, so that the TDX module does not take the vCPU for one that is being stepped" },
      { name: "enters", help: "in the guest, which leaves with the same violation" },
    ],
    source: "arch/x86/kvm/vmx/tdx.c tdx_handle_ept_violation; the series before it was merged",
  },
  {
    name: "td_pending_access",
    help: "What KVM does when the guest touches a page that it has not accepted, in a TD with SEPT_VE_DISABLE.",
    values: [
      { name: "kills", help: "the VM is dead, and KVM_RUN answers EIO" },
      { name: "spurious", help: "the mirror has the page, so the fault is taken for spurious and the vCPU enters again" },
    ],
    source: "arch/x86/kvm/vmx/tdx.c tdx_is_sept_violation_unexpected_pending; the series before it was merged",
  },
  {
    name: "td_page_reset",
    help: "When KVM overwrites a page that comes back from a TD with MOVDIR64B.",
    values: [
      { name: "always", help: "each page" },
      { name: "erratum", help: "only on processors with the partial-write erratum" },
    ],
    source: "arch/x86/virt/vmx/tdx/tdx.c tdx_clear_page; tdx_quirk_reset_page, Linux 6.18 (01fb93a363e0)",
  },
  {
    name: "td_region_size",
    help: "Whether KVM_TDX_INIT_MEM_REGION tests that the size in bytes does not overflow.",
    values: [
      { name: "unchecked", help: "nr_pages << 12 loses its upper bits" },
      { name: "checked", help: "EINVAL" },
    ],
    source: "arch/x86/kvm/vmx/tdx.c tdx_vcpu_init_mem_region; aec196ba2aff, behind Linux 7.2",
  },
  {
    name: "td_region_end",
    help: "Which address at the end of the region KVM_TDX_INIT_MEM_REGION wants to be private.",
    values: [
      { name: "behind", help: "the first one behind it, so that a region up to the shared bit is refused" },
      { name: "last", help: "the last one of it" },
    ],
    source: "[PATCH v9 061/105] KVM: TDX: Create initial guest memory; arch/x86/kvm/vmx/tdx.c tdx_vcpu_init_mem_region, Linux 6.16",
  },
  {
    name: "td_extend_failure",
    help: "What KVM_TDX_INIT_MEM_REGION does when TDH.MR.EXTEND fails.",
    values: [
      { name: "EIO", help: "it answers EIO" },
      { name: "bugged", help: "the VM is bugged, too" },
    ],
    source: "arch/x86/kvm/vmx/tdx.c, Linux 6.19",
  },
  {
    name: "td_used_page",
    help: "What KVM_TDX_INIT_MEM_REGION does with a page of the guest_memfd that has been used before.",
    values: [
      { name: "EEXIST", help: "it is refused, whatever became of it" },
      { name: "mapped", help: "it is added; only one that the mirror maps already is EIO" },
    ],
    source: "virt/kvm/guest_memfd.c kvm_gmem_populate; 8622ef05709f, Linux 7.0; arch/x86/kvm/mmu/mmu.c kvm_tdp_mmu_map_private_pfn",
  },
  {
    name: "td_irqchip",
    help: "What KVM_CREATE_IRQCHIP answers for a TD, whose EOIs the TDX module keeps to itself.",
    values: [
      { name: "accepted", help: "it makes one, and no vCPU can be created any more" },
      { name: "ENOTTY", help: "it is refused" },
    ],
    source: "arch/x86/kvm/x86.c kvm_arch_vm_ioctl, has_protected_eoi; b3a37bff8daf, Linux 6.18",
  },
  {
    name: "td_failed_vcpu",
    help: "What becomes of a vCPU of a TD whose id is taken, and which is freed right behind its making.",
    values: [
      { name: "stays_listed", help: "the list of its processor leads to it still" },
      { name: "taken_off", help: "it is taken off the list" },
    ],
    source: "arch/x86/kvm/vmx/tdx.c tdx_vcpu_free; 20251017003244.186495-26-seanjc@google.com, Linux 6.19",
  },
  {
    name: "td_hypercall_ret",
    help: "What kvm_run->hypercall.ret holds at a KVM_EXIT_HYPERCALL of a TD.",
    values: [
      { name: "preset", help: "0, for user space that does not write it" },
      { name: "as_left", help: "what user space left there for the last one" },
    ],
    source: "arch/x86/kvm/vmx/tdx.c __tdx_map_gpa; 20241213194137.315304-1-pbonzini@redhat.com",
  },
  {
    name: "td_terminate",
    help: "Whether there is KVM_TDX_TERMINATE_VM. No kernel up to 7.2 has it.",
    values: [
      { name: "absent", help: "an unknown sub-command: EINVAL" },
      { name: "reclaims", help: "the key id is released at once, and pages that are zapped later are reclaimed" },
      { name: "guarded", help: "the same, and other sub-commands look whether the VM is terminated" },
    ],
    source:
      "20250729193341.621487-6-seanjc@google.com; b27f807e-b04f-487d-be13-74a8b0a61b42@intel.com; Documentation/virt/kvm/x86/intel-tdx.rst of kvm-x86, e4775f57ad51",
  },
  {
    name: "guest_tdcall",
    help: "What a guest that is no TD gets for TDCALL.",
    values: [
      { name: "exits", help: "KVM does not know the VM exit: KVM_EXIT_INTERNAL_ERROR in user space, which ends most VMs" },
      { name: "UD", help: "#UD, as on a processor without the instruction" },
    ],
    source: "arch/x86/kvm/vmx/vmx.c handle_tdx_instruction; 9d7dfb95da2c, Linux 6.18 and 6.17.9",
  },
  {
    name: "td_vp_init",
    help: "How TDH.VP.INIT locks the TDR: newer modules want it alone, and answer TDX_OPERAND_BUSY to whoever else is at the TD.",
    values: [
      { name: "shared", help: "TDX_1.5.01" },
      { name: "exclusive", help: "version 1 of the leaf in newer modules" },
    ],
    source: "9a89894f30d5, Linux 6.19 (Fixes 02ab57707bdb)",
  },
] as const satisfies readonly FeatureRow[];
