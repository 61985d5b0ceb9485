// Linux 6.8 with the later fixes of the life cycle of slots and files (9935df5333aa, ae431059e75d), as a kernel that takes fixes back has it: the
// first guest_memfd, for VMs of type KVM_X86_SW_PROTECTED_VM (a7800aa80ea4 and fixes up to e563592224e0).

import { FAULT_6_8, GUEST_MEMFD, GUEST_MEMFD_FEATURES } from "./guest-memfd.ts";
import { MAINLINE_UNFIXED } from "./plain-mainline.ts";
import type { Profile } from "./types.ts";

export const V6_8: Profile = {
  name: "6.8",
  base: "6.8",
  source: "torvalds/linux a7800aa80ea4 and fixes up to e563592224e0, with 9935df5333aa and ae431059e75d",
  features: GUEST_MEMFD_FEATURES,
  operations: { ...GUEST_MEMFD, "fcntl.add_seals": MAINLINE_UNFIXED["fcntl.add_seals"], fault: FAULT_6_8 },
};
