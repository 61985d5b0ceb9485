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
const REMOVE: StepList = ["clear_mirror", "block", "track", "kick_send", "kick_wait", "remove", "page_wbinvd", "reset_page", "put_pinned", "hold_vcpus"];
const ZAP: StepList = ["lock_mmu", "invalidate_begin", ...REMOVE, "unlock_mmu"];
const ZAP_SLOT: StepList = ["mark_invalid", "wait_notifiers", "synchronize_srcu", "lock_mmu", "zap_slot", ...REMOVE, "unlock_mmu", "commit_slot"];
const RELEASE_KEY: StepList = ["flush_vp", "vpflushdone", "cache_wb", "key_freeid", "return_keyid"];
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

/** 6.16 to 6.18: each ioctl holds the locks that it needs itself, and the mirror maps an initial page before it is added. */
export const TDX_6_16 = {
  KVM_TDX_CAPABILITIES: ["check_args"],
  KVM_TDX_INIT_VM: [
    "check_args",
    "lock_kvm",
    "check_td",
    "take_keyid",
    "td_create",
    "key_config",
    "td_addcx",
    "td_init",
    "set_initialized",
    ...RELEASE_KEY,
    ...RECLAIM_CONTROL,
    "unlock_kvm",
  ],
  KVM_TDX_INIT_VCPU: ["check_args", "check_td", "vp_create", "vp_addcx", "vp_init", "set_initialized"],
  KVM_TDX_INIT_MEM_REGION: [
    "check_args",
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
  KVM_TDX_GET_CPUID: ["check_args", "check_td", "read_cpuid"],
  "fault.td": ["run_vcpu", ...FAULT, "vp_acquire", "td_access", "td_leave"],
  "accept.td": ["run_vcpu", ...FAULT, "vp_acquire", "accept_walk", "accept_acquire", "accept_zero", "accept_commit", "td_leave"],
  "run.td": ["run_vcpu", "vp_acquire", "td_rest"],
  "hypercall.td": ["run_vcpu", "vp_acquire", "exit_hypercall"],
  "resume.td": ["answer_hypercall"],
  "KVM_PRE_FAULT_MEMORY.td": ["check_args", ...FAULT, "advance"],
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
 * From 6.19 on: every sub-command that changes the TD holds kvm->lock, slots_lock and the mutex of each vCPU; the source page is taken before the file is locked,
 * and added while the entry of the mirror is FROZEN; mmu_lock keeps removals away from TDH.VP.INIT, for which newer modules want the TDR alone.
 */
export const TDX_6_19 = {
  ...TDX_6_16,
  KVM_TDX_INIT_VCPU: [
    "check_args",
    "lock_kvm",
    "lock_slots",
    "check_td",
    "vp_create",
    "vp_addcx",
    "lock_mmu",
    "vp_init",
    "unlock_mmu",
    "set_initialized",
    "unlock_slots",
    "unlock_kvm",
  ],
  KVM_TDX_INIT_MEM_REGION: [
    "check_args",
    "lock_kvm",
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
    "unlock_kvm",
  ],
  KVM_TDX_FINALIZE_VM: ["check_args", "lock_kvm", "lock_slots", "check_td", "mr_finalize", "set_runnable", "allow_prefault", "unlock_slots", "unlock_kvm"],
} as const satisfies Record<string, StepList>;

export const TDX_6_16_FEATURES: TdxFeatures = {
  td_page_reference: "pinned",
  td_slot_deleted: "loops",
  td_pending_access: "kills",
  td_page_reset: "always",
  td_region_size: "unchecked",
  td_region_end: "last",
  td_extend_failure: "EIO",
  td_vp_init: "shared",
};

/** KVM_MEMSLOT_INVALID ends the local loop, pages are reset where the erratum asks for it (01fb93a363e0). That sizes are checked (aec196ba2aff) came behind 7.2. */
export const TDX_6_18_FEATURES: TdxFeatures = { ...TDX_6_16_FEATURES, td_slot_deleted: "leaves", td_page_reset: "erratum" };

/** No page is pinned (ce7b5695397b), and a measurement that fails half-way bugs the VM. */
export const TDX_6_19_FEATURES: TdxFeatures = { ...TDX_6_18_FEATURES, td_page_reference: "none", td_extend_failure: "bugged" };
