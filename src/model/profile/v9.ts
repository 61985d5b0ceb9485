// Series v9, 25 Oct 2022 (20221025151344.3784230-N). memfd_restricted takes the place of the flag; begin and end stand around every fallocate, still in bytes;
// a conversion is one hold of mmu_lock. Of a slot without a private file a private fault asks one all the same.

import { PLAIN } from "./plain.ts";
import type { Profile, StepList } from "./types.ts";
import { V8 } from "./v8.ts";

/** What v10 has too. */
export const RESTRICTED = {
  ...PLAIN,
  memfd_create: PLAIN["memfd_create.plain"],
  memfd_restricted: ["check_flags", "new_file", "wrap", "install_fd"],
  ftruncate: V8.operations.ftruncate,
  "fallocate.punch_hole": ["check_alignment", "invalidate_begin", "truncate", "invalidate_end"],
  fault: V8.operations.fault,
} as const satisfies Record<string, StepList>;

export const V9: Profile = {
  name: "v9",
  base: "v9",
  source: "[PATCH v9 0/8] KVM: mm: fd-based approach for supporting KVM, 25 Oct 2022",
  features: { ...V8.features, memfd_flags: "plain", bind_kind: "EINVAL", ordinary_slot: "null_file" },
  operations: {
    ...RESTRICTED,
    "fallocate.allocate": ["check_args", "invalidate_begin", "allocate", "invalidate_end"],
    KVM_MEMORY_ENCRYPT_REG_REGION: ["check_args", "convert"],
    KVM_MEMORY_ENCRYPT_UNREG_REGION: ["check_args", "convert"],
  },
};
