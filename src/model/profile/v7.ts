// Series v7, 6 Jul 2022 (20220706082016.2603916-N). An ioctl decides the kind, in one entry of an xarray for a whole range; the store comes first, the zap
// after it. fallocate only manages memory, and tells KVM of holes alone; a fault may allocate, and asks shmem (SGP_WRITE) so that nobody clears the page.

import { PLAIN } from "./plain.ts";
import type { Profile } from "./types.ts";
import { V6 } from "./v6.ts";

export const V7: Profile = {
  name: "v7",
  base: "v7",
  source: "[PATCH v7 00/14] KVM: mm: fd-based approach for supporting KVM guest private memory, 6 Jul 2022",
  features: {
    ...V6.features,
    fresh_page: "as_found",
    private_kind: "xarray",
    private_fault_check: "seq",
    notifier_start: "clamped",
    conversion_store: "multi_index",
  },
  operations: {
    ...V6.operations,
    "fallocate.allocate": PLAIN["fallocate.allocate.plain"],
    "fallocate.allocate.plain": PLAIN["fallocate.allocate.plain"],
    fault: ["snapshot", "find_slot", "check_kind", "get_page", "gup", "map", "put_page"],
    KVM_MEMORY_ENCRYPT_REG_REGION: ["check_args", "store", "invalidate"],
    KVM_MEMORY_ENCRYPT_UNREG_REGION: ["check_args", "store", "invalidate"],
  },
};
