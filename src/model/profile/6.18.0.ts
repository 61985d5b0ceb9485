// Linux 6.18 as it was released: without the stable fixes 9935df5333aa (a slot update that leaves a binding to a freed slot) and 3b041514cb6e (the write
// seal that F_SEAL_EXEC implies). ae431059e75d is in it. Otherwise the row 6.18.

import { V6_18 } from "./6.18.ts";
import { MAINLINE_UNFIXED } from "./plain-mainline.ts";
import type { Profile } from "./types.ts";

export const V6_18_0: Profile = {
  ...V6_18,
  name: "6.18.0",
  base: "6.18.0",
  source: "torvalds/linux v6.18",
  features: { ...V6_18.features, clear_guest_memfd: "accepted" },
  operations: { ...V6_18.operations, "fcntl.add_seals": MAINLINE_UNFIXED["fcntl.add_seals"] },
};
