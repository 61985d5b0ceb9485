// Series v6, 19 May 2022 (20220519153713.819591-N). The flags move to a memfile_node, which a binding sets too; KVM's handler adds base_gfn and moves the
// sequence counter, but its range may begin below the slot. Orders are those of v4: page by page with the folio locked.

import { PLAIN } from "./plain.ts";
import type { Profile } from "./types.ts";
import { V5 } from "./v5.ts";

export const V6: Profile = {
  name: "v6",
  base: "v6",
  source: "[PATCH v6 0/8] KVM: mm: fd-based approach for supporting KVM guest private memory, 19 May 2022",
  features: {
    ...V5.features,
    notifier_base_gfn: "added",
    notifier_seq: "moves",
    marker: "node_flag",
    exit: "KVM_EXIT_MEMORY_FAULT",
    memory_exit: "zero",
    inaccessible_hugetlb: "EOPNOTSUPP",
    slot_gfn_limit: "checked",
    slot_offset: "checked",
    bind_kind: "marks",
  },
  operations: { ...V5.operations, "KVM_SET_USER_MEMORY_REGION.create": PLAIN["KVM_SET_USER_MEMORY_REGION.create"] },
};
