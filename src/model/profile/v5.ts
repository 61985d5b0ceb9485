// Series v5, 10 Mar 2022 (20220310140911.50924-N). As v4, but for the marker, a flag of the shmem inode, and the test for a second binding, which is gone.
// Its charge to RLIMIT_MEMLOCK refuses nobody who has CAP_IPC_LOCK, as the callers of a scenario have it, so that no step stands for it.

import type { Profile } from "./types.ts";
import { V4 } from "./v4.ts";

export const V5: Profile = {
  name: "v5",
  base: "v5",
  source: "[PATCH v5 00/13] KVM: mm: fd-based approach for supporting KVM guest private memory, 10 Mar 2022",
  features: { ...V4.features, marker: "xflag", set_marker: "or", double_binding: "undefined" },
  operations: V4.operations,
};
