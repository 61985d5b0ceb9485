// Series v4, 18 Jan 2022 (20220118132121.31388-N), on a 5.16-era kernel: the private file is a shmem file with a seal, so every
// shmem operation is the ordinary one plus the notifier calls, folio by folio with the folio locked.

import { PLAIN, PLAIN_FEATURES, UNMAP_USER } from "./plain.ts";
import type { Profile, StepList } from "./types.ts";

const UNDO_RANGE = ["lock_folio", "invalidate", "truncate", "unlock_folio"] as const;
const PUNCH: StepList = ["check_args", "check_alignment", "lock_inode", "check_seals", "announce_hole", UNMAP_USER, UNDO_RANGE, "retract_hole", "unlock_inode"];
const ALLOCATE: StepList = ["check_args", "lock_inode", "check_seals", "allocate", "set_size", "notify_fallocate", "unlock_inode"];

export const V4: Profile = {
  name: "v4",
  base: "v4",
  source: "[PATCH v4 00/12] KVM: mm: fd-based approach for supporting KVM guest private memory, 18 Jan 2022",
  features: {
    ...PLAIN_FEATURES,
    fresh_page: "zeroed",
    private_kind: "page_in_file",
    default_kind: "shared",
    notifier_units: "pages",
    notifier_base_gfn: "missing",
    notifier_seq: "stays",
    private_fault_check: "folio_lock",
    marker: "seal",
    set_marker: "and",
    exit: "KVM_EXIT_MEMORY_ERROR",
    memory_exit: "EPERM",
    inaccessible_hugetlb: "accepted",
    double_binding: "misshifted",
    slot_gfn_limit: "none",
    user_address: "task_size",
    notifier_start: "underflows",
    slot_offset: "unchecked",
    bind_kind: "any",
  },
  operations: {
    ...PLAIN,
    memfd_create: ["check_flags", "check_name", "new_file", "set_marker", "install_fd"],
    "KVM_SET_USER_MEMORY_REGION.create": ["check_args", "lock_slots", "get_file", ...PLAIN["KVM_SET_USER_MEMORY_REGION.create"].slice(2)],
    ftruncate: ["lock_inode", "check_size_once", "set_size", "unlock_inode"],
    "ftruncate.plain": ["check_args", "lock_inode", "check_seals", "set_size", UNMAP_USER, UNDO_RANGE, "unlock_inode"],
    "fallocate.punch_hole": PUNCH,
    "fallocate.punch_hole.plain": PUNCH,
    "fallocate.allocate": ALLOCATE,
    "fallocate.allocate.plain": ALLOCATE,
    fault: ["snapshot", "find_slot", "lookup_page", "gup", "map", "unlock_folio_put", "put_page"],
  },
};
