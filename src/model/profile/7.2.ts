// Linux 7.2: the end of a binding is compared unsigned, and a second binding is EEXIST (06ba195f136a).

import { V6_18 } from "./6.18.ts";
import { TDX_6_19, TDX_7_0_FEATURES } from "./tdx.ts";
import type { Profile } from "./types.ts";

export const V7_2: Profile = {
  ...V6_18,
  name: "7.2",
  base: "7.2",
  source: "torvalds/linux 06ba195f136a",
  features: { ...V6_18.features, ...TDX_7_0_FEATURES, bind_offset: "unsigned", gmem_inode: "own", double_binding: "EEXIST" },
  operations: { ...V6_18.operations, ...TDX_6_19 },
};
