// Linux 6.8 as it was released: a slot update may leave a binding to a freed slot (fixed by 9935df5333aa), and so may the deletion of a slot while its
// file goes (fixed by ae431059e75d); a page with a memory error keeps the reference of the fault (fixed by c31745d2c508). Otherwise the row 6.8.

import { V6_8 } from "./6.8.ts";
import type { Profile } from "./types.ts";

export const V6_8_0: Profile = {
  ...V6_8,
  name: "6.8.0",
  base: "6.8.0",
  source: "torvalds/linux v6.8, a7800aa80ea4",
  features: { ...V6_8.features, clear_guest_memfd: "accepted", dying_unbind: "skipped", poisoned_page: "leaked" },
};
