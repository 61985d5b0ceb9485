// Linux 6.18.44, the stable kernel that conformance runs against: guest_memfd that user space may map, slots of every VM, and the fixes
// 9935df5333aa and ae431059e75d.

import { V6_16 } from "./6.16.ts";
import { MAINLINE } from "./plain-mainline.ts";
import { TDX_6_18_FEATURES } from "./tdx.ts";
import type { Profile } from "./types.ts";

export const V6_18: Profile = {
  ...V6_16,
  name: "6.18",
  base: "6.18",
  source: "stable v6.18.44",
  features: {
    ...V6_16.features,
    ...TDX_6_18_FEATURES,
    fallocate_modes: "write_zeroes",
    guest_memfd: "mmap",
    zap_filter: "sharing",
    prefault_invalid: "EAGAIN",
    clear_guest_memfd: "EINVAL",
    dying_unbind: "done",
  },
  operations: { ...V6_16.operations, "fcntl.add_seals": MAINLINE["fcntl.add_seals"] },
};
