// Series v8, 15 Sep 2022 (20220915142913.2213336-N), on a 6.0-era kernel: the private file is a shim inode over a tmpfs file,
// fallocate calls the tmpfs first and the notifier afterwards, in bytes where KVM counts pages.

import { PLAIN, PLAIN_FEATURES } from "./plain.ts";
import type { Profile } from "./types.ts";

export const V8: Profile = {
  name: "v8",
  base: "v8",
  source: "[PATCH v8 0/8] KVM: mm: fd-based approach for supporting KVM, 15 Sep 2022",
  features: {
    ...PLAIN_FEATURES,
    fresh_page: "as_found",
    private_kind: "xarray",
    default_kind: "private",
    notifier_units: "bytes",
    notifier_base_gfn: "added",
    notifier_seq: "moves",
    private_fault_check: "seq",
    marker: "shim",
    set_marker: "or",
    exit: "KVM_EXIT_MEMORY_FAULT",
    memory_exit: "zero",
    inaccessible_hugetlb: "EINVAL",
    double_binding: "undefined",
    slot_gfn_limit: "checked",
    user_address: "task_size",
    bind_kind: "confused",
    range_add: "replaces",
    conversion_rollback: "erases_but_first",
  },
  operations: {
    ...PLAIN,
    memfd_create: ["check_flags", "check_name", "new_file", "wrap", "install_fd"],
    ftruncate: ["lock_inode", "check_size_once", "set_size", "unlock_inode"],
    "fallocate.punch_hole": ["check_alignment", "truncate", "invalidate"],
    "fallocate.allocate": ["check_args", "allocate", "invalidate"],
    fault: ["snapshot", "find_slot", "check_kind", "get_page", "gup", "map", "put_page"],
    KVM_MEMORY_ENCRYPT_REG_REGION: ["check_args", "store", "invalidate"],
    KVM_MEMORY_ENCRYPT_UNREG_REGION: ["check_args", "store", "invalidate"],
  },
};
