// Linux 6.16: the kind of an access compared first (6.10), KVM_PRE_FAULT_MEMORY (6.11), slots that take their own mappings along only (6.12), invalidations
// with a filter (6.14), types of confidential VMs. The fixes 9935df5333aa and ae431059e75d came later, so both bugs of the life cycle are in it.

import { V6_8_0 } from "./6.8.0.ts";
import { FAULT, PRE_FAULT } from "./guest-memfd.ts";
import { MAINLINE_6_12_FEATURES } from "./plain-mainline.ts";
import { TDX_6_16 } from "./tdx.ts";
import { TDX_MODULE } from "./tdx-module.ts";
import type { Profile } from "./types.ts";

export const V6_16: Profile = {
  ...V6_8_0,
  name: "6.16",
  base: "6.16",
  source: "torvalds/linux v6.16",
  features: {
    ...V6_8_0.features,
    fallocate_modes: MAINLINE_6_12_FEATURES.fallocate_modes,
    shmem_signal: MAINLINE_6_12_FEATURES.shmem_signal,
    vm_types: "confidential",
    zap_filter: "kind",
    slot_zap: "by_type",
    user_address: "task_size",
    poisoned_page: "put",
    pte_callback: "none",
  },
  operations: { ...V6_8_0.operations, fault: FAULT, KVM_PRE_FAULT_MEMORY: PRE_FAULT, ...TDX_MODULE, ...TDX_6_16 },
};
