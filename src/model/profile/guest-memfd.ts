// guest_memfd as all releases have it, for their rows to spread: orders of steps (virt/kvm/guest_memfd.c, virt/kvm/kvm_main.c,
// arch/x86/kvm/mmu/mmu.c).

import { DESTROY_VM } from "./plain.ts";
import { MAINLINE, MAINLINE_FEATURES } from "./plain-mainline.ts";
import type { Features, StepList } from "./types.ts";

const UNBIND: StepList = ["unbind", "free_slot", "unlock_slots"];
const INVALIDATE_SLOT: StepList = ["mark_invalid", "wait_notifiers", "synchronize_srcu", "zap_slot", "commit_slot"];

/** The fault compares the kind of the access first (6.10). */
export const FAULT: StepList = ["snapshot", "check_kind", "find_slot", "early_retry", "get_page", "gup", "map", "put_page"];
/** It looks for the slot first (6.8, 6.9). */
export const FAULT_6_8: StepList = ["snapshot", "find_slot", "check_kind", "early_retry", "get_page", "gup", "map", "put_page"];
/** KVM_PRE_FAULT_MEMORY since 6.11: the fault path page by page. */
export const PRE_FAULT: StepList = ["check_args", ...FAULT, "advance"];

export const GUEST_MEMFD = {
  ...MAINLINE,
  KVM_CHECK_EXTENSION: ["check_args"],
  poison: ["lock_invalidate", "invalidate_begin", "poison_page", "invalidate_end", "unlock_invalidate"],
  KVM_CREATE_GUEST_MEMFD: ["check_flags", "check_size", "new_file", "install_fd"],
  ftruncate: ["refuse"],
  "fallocate.punch_hole": ["check_args", "lock_invalidate", "invalidate_begin", "truncate", "invalidate_end", "unlock_invalidate"],
  "fallocate.allocate": ["check_args", "lock_invalidate", "allocate", "unlock_invalidate"],
  release: [
    "lock_slots",
    "lock_invalidate",
    "clear_slots",
    "invalidate_begin",
    "invalidate_end",
    "unlink",
    "unlock_invalidate",
    "unlock_slots",
    "free_file",
    "drop_vm",
    ...DESTROY_VM,
    "free_pages",
  ],
  KVM_SET_MEMORY_ATTRIBUTES: ["check_args", "lock_slots", "same", "reserve", "invalidate_begin", "store", "invalidate_end", "unlock_slots"],
  "KVM_SET_USER_MEMORY_REGION.delete": ["check_args", "lock_slots", ...INVALIDATE_SLOT, "synchronize_srcu", ...UNBIND],
  "KVM_SET_USER_MEMORY_REGION.move": ["check_args", "lock_slots", "check_overlap", ...INVALIDATE_SLOT, "free_slot", "unlock_slots"],
  "KVM_SET_USER_MEMORY_REGION.flags": ["check_args", "lock_slots", "commit_slot", "synchronize_srcu", "free_slot", "unlock_slots"],
  fault: FAULT,
} as const satisfies Record<string, StepList>;

/** What the releases have in common. The rows of the private file of the series mean nothing here: there is no MFD_INACCESSIBLE. */
export const GUEST_MEMFD_FEATURES: Features = {
  ...MAINLINE_FEATURES,
  fresh_page: "zeroed",
  private_kind: "xarray",
  default_kind: "shared",
  notifier_units: "pages",
  notifier_base_gfn: "added",
  notifier_seq: "moves",
  private_fault_check: "seq",
  marker: "none",
  set_marker: "or",
  exit: "KVM_EXIT_MEMORY_FAULT",
  memory_exit: "EFAULT",
  inaccessible_hugetlb: "EINVAL",
  double_binding: "EINVAL",
  slot_gfn_limit: "checked",
  user_address: "signed",
  guest_memfd: "private",
  gmem_inode: "anonymous",
  vm_types: "sw_protected",
  access_kind: "attribute",
  exit_private_flag: "bit_3",
  zap_filter: "none",
  slot_zap: "all",
  bind_offset: "signed",
  clear_guest_memfd: "EINVAL",
  dying_unbind: "done",
  gmem_user_faults: "init_shared",
  prefault_invalid: "retries",
  poisoned_page: "put",
};
