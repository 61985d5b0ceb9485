// KVM's TDX code, for the rows of releases that have it to spread: orders of steps from arch/x86/kvm/vmx/tdx.c and arch/x86/kvm/mmu/tdp_mmu.c. A list
// `X.td` takes the place of `X` in scenarios with a TD: what its VM does there opens into calls of the TDX module, and every other VM passes over them.

import type { StepList, TdxFeatures } from "./types.ts";

/** From a missing translation to the mirror's entry. */
const FAULT: StepList = [
  "snapshot",
  "check_kind",
  "find_slot",
  "early_retry",
  "get_page",
  "gup",
  "map",
  "share_mmu",
  "freeze_table",
  "sept_add",
  "freeze_spte",
  "clflush",
  "aug",
  "publish_spte",
  "put_page",
];
/** One private page after the other, under mmu_lock. */
const REMOVE: StepList = [
  "clear_mirror",
  "block",
  "track",
  "kick_send",
  "kick_wait",
  "remove",
  "page_wbinvd",
  "reset_page",
  "put_pinned",
  "hold_vcpus",
  "reclaim_page",
];
const ZAP: StepList = ["lock_mmu", "invalidate_begin", ...REMOVE, "unlock_mmu"];
const ZAP_SLOT: StepList = ["mark_invalid", "wait_notifiers", "synchronize_srcu", "lock_mmu", "zap_slot", ...REMOVE, "unlock_mmu", "commit_slot"];
const RELEASE_KEY: StepList = ["flush_vp", "vpflushdone", "cache_wb", "key_freeid", "return_keyid"];
/** No kernel has it: as it was posted, with mmu_lock from behind TDH.MNG.VPFLUSHDONE on. */
const TERMINATE: StepList = [
  "check_args",
  "lock_kvm",
  "terminate",
  "flush_vp",
  "vpflushdone",
  "lock_mmu",
  "cache_wb",
  "key_freeid",
  "return_keyid",
  "unlock_mmu",
  "unlock_kvm",
];
const RECLAIM_CONTROL: StepList = ["reclaim_tdcs", "reclaim_tdr", "tdr_wbinvd", "free_td"];
/** kvm_destroy_vm: the key id goes first, so that every page can be reclaimed; the VM last. */
const DESTROY: StepList = [
  ...RELEASE_KEY,
  "unregister_notifier",
  "destroy_vcpus",
  "reclaim_tdvps",
  "reclaim_tables",
  ...RECLAIM_CONTROL,
  "free_slots",
  "free_vm",
];

/** __tdx_td_init, and what it takes back where it fails. */
const MAKE_TD = ["take_keyid", "td_create", "key_config", "td_addcx", "td_init", "set_initialized", ...RELEASE_KEY, ...RECLAIM_CONTROL] as const;

/**
 * 6.16 to 6.18: each ioctl holds the locks that it needs itself, and the mirror maps an initial page before it is added. One on a vCPU looks whether the VM is
 * alive and takes the mutex of the vCPU in one step; a variant with `check_args` in front of `lock_vcpu` tells the two apart.
 */
export const TDX_6_16 = {
  KVM_TDX_CAPABILITIES: ["lock_kvm", "unlock_kvm"],
  KVM_TDX_INIT_VM: ["check_args", "lock_kvm", "check_td", ...MAKE_TD, "unlock_kvm"],
  "KVM_CREATE_VCPU.td": ["count_vcpu", "create_td_vcpu", "create", "install_fd"],
  KVM_TDX_INIT_VCPU: ["lock_vcpu", "check_td", "vp_create", "vp_addcx", "vp_init", "set_initialized"],
  KVM_TDX_INIT_MEM_REGION: [
    "lock_vcpu",
    "lock_slots",
    "check_td",
    "lock_invalidate",
    "fresh_page",
    "get_source",
    "share_mmu",
    "freeze_table",
    "sept_add",
    "premap",
    "page_add",
    "mr_extend",
    "put_source",
    "unlock_invalidate",
    "unlock_slots",
  ],
  KVM_TDX_FINALIZE_VM: [
    "check_args",
    "lock_kvm",
    "lock_slots",
    "check_td",
    "check_premapped",
    "mr_finalize",
    "set_runnable",
    "allow_prefault",
    "unlock_slots",
    "unlock_kvm",
  ],
  KVM_TDX_GET_CPUID: ["lock_vcpu", "check_td", "read_cpuid"],
  KVM_TDX_TERMINATE_VM: TERMINATE,
  KVM_CREATE_IRQCHIP: ["create_irqchip"],
  KVM_ENABLE_CAP: ["enable_cap"],
  "fault.td": ["run_vcpu", ...FAULT, "vp_acquire", "td_access", "td_leave"],
  "accept.td": ["run_vcpu", ...FAULT, "vp_acquire", "accept_walk", "accept_acquire", "accept_zero", "accept_commit", "td_leave"],
  "attributes.td": ["run_vcpu", ...FAULT, "vp_acquire", "attributes_acquire", "attributes_commit", "td_leave"],
  "hlt.td": ["run_vcpu", "vp_acquire", "td_hlt", "td_leave"],
  "run.td": ["run_vcpu", "vp_acquire", "td_rest"],
  "hypercall.td": ["run_vcpu", "vp_acquire", "exit_hypercall"],
  "resume.td": ["answer_hypercall"],
  "KVM_PRE_FAULT_MEMORY.td": ["lock_vcpu", ...FAULT, "advance"],
  "poison.td": ["poison_page"],
  "fallocate.punch_hole.td": ["check_args", "lock_invalidate", ...ZAP, "truncate", "invalidate_end", "unlock_invalidate"],
  "KVM_SET_MEMORY_ATTRIBUTES.td": ["check_args", "lock_slots", "same", "reserve", ...ZAP, "store", "invalidate_end", "unlock_slots"],
  "KVM_SET_USER_MEMORY_REGION.delete.td": ["check_args", "lock_slots", ...ZAP_SLOT, "synchronize_srcu", "unbind", "free_slot", "unlock_slots"],
  "KVM_SET_USER_MEMORY_REGION.move.td": ["check_args", "lock_slots", "check_overlap", ...ZAP_SLOT, "free_slot", "unlock_slots"],
  "release.td": [
    "lock_slots",
    "lock_invalidate",
    "clear_slots",
    ...ZAP,
    "invalidate_end",
    "unlink",
    "unlock_invalidate",
    "unlock_slots",
    "free_file",
    "drop_vm",
    ...DESTROY,
    "free_pages",
  ],
  "destroy_vm.td": DESTROY,
} as const satisfies Record<string, StepList>;

/**
 * From 6.19 on: every sub-command that changes the TD holds kvm->lock, the mutex of each vCPU and slots_lock; the source page is taken before the file is
 * locked, and added while the entry of the mirror is FROZEN; mmu_lock keeps removals away from TDH.VP.INIT, for which newer modules want the TDR alone.
 */
export const TDX_6_19 = {
  ...TDX_6_16,
  KVM_TDX_CAPABILITIES: ["check_args"],
  KVM_TDX_INIT_VM: ["lock_kvm", "lock_vcpus", "lock_slots", "check_td", ...MAKE_TD, "unlock_slots", "unlock_vcpus", "unlock_kvm"],
  KVM_TDX_INIT_VCPU: [
    "lock_kvm",
    "lock_vcpus",
    "lock_slots",
    "check_td",
    "vp_create",
    "vp_addcx",
    "lock_mmu",
    "vp_init",
    "unlock_mmu",
    "set_initialized",
    "unlock_slots",
    "unlock_vcpus",
    "unlock_kvm",
  ],
  KVM_TDX_INIT_MEM_REGION: [
    "lock_kvm",
    "lock_vcpus",
    "lock_slots",
    "check_td",
    "get_source",
    "lock_invalidate",
    "fresh_page",
    "share_mmu",
    "freeze_table",
    "sept_add",
    "freeze_spte",
    "page_add",
    "publish_spte",
    "mr_extend",
    "put_source",
    "unlock_invalidate",
    "unlock_slots",
    "unlock_vcpus",
    "unlock_kvm",
  ],
  KVM_TDX_FINALIZE_VM: [
    "lock_kvm",
    "lock_vcpus",
    "lock_slots",
    "check_td",
    "mr_finalize",
    "set_runnable",
    "allow_prefault",
    "unlock_slots",
    "unlock_vcpus",
    "unlock_kvm",
  ],
} as const satisfies Record<string, StepList>;

export const TDX_6_16_FEATURES: TdxFeatures = {
  td_page_reference: "pinned",
  td_slot_deleted: "loops",
  td_pending_access: "kills",
  td_private_retry: "local",
  td_page_reset: "always",
  td_region_size: "unchecked",
  td_region_end: "last",
  td_used_page: "EEXIST",
  td_extend_failure: "EIO",
  td_irqchip: "accepted",
  td_failed_vcpu: "stays_listed",
  td_hypercall_ret: "preset",
  td_terminate: "absent",
  td_vp_init: "shared",
  guest_tdcall: "exits",
};

/**
 * KVM_MEMSLOT_INVALID ends the local loop, pages are reset where the erratum asks for it (01fb93a363e0). That sizes are checked (aec196ba2aff) came behind 7.2.
 */
export const TDX_6_18_FEATURES: TdxFeatures = {
  ...TDX_6_16_FEATURES,
  td_slot_deleted: "leaves",
  td_page_reset: "erratum",
  td_irqchip: "ENOTTY",
  guest_tdcall: "UD",
};

/** No page is pinned (ce7b5695397b), and a measurement that fails half-way bugs the VM. */
export const TDX_6_19_FEATURES: TdxFeatures = {
  ...TDX_6_18_FEATURES,
  td_page_reference: "none",
  td_extend_failure: "bugged",
  td_failed_vcpu: "taken_off",
};

/** Which pages have been used is nobody's business any more (8622ef05709f). */
export const TDX_7_0_FEATURES: TdxFeatures = { ...TDX_6_19_FEATURES, td_used_page: "mapped" };
