// Series v10, 2 Dec 2022 (20221202061347.1070246-N). Pages where v9 hands bytes, only around a hole; memory attributes in place of the conversion ioctls, with
// a fresh gfn shared; every slot is asked for the kind.

import type { Profile } from "./types.ts";
import { RESTRICTED, V9 } from "./v9.ts";

export const V10: Profile = {
  name: "v10",
  base: "v10",
  source: "[PATCH v10 0/9] KVM: mm: fd-based approach for supporting KVM, 2 Dec 2022",
  features: { ...V9.features, private_kind: "attribute", default_kind: "shared", notifier_units: "pages", ordinary_slot: "exits", conversion_rollback: "none" },
  operations: {
    ...RESTRICTED,
    "fallocate.allocate": ["check_args", "allocate"],
    KVM_SET_MEMORY_ATTRIBUTES: ["check_args", "begin", "lock_kvm", "store", "unlock_kvm", "unmap_end", "report_progress"],
  },
};
