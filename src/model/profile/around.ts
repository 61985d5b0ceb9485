// Steps around a change of host page tables that secondary MMUs are told of. A run of them in a list goes over the mappings that the call changes.

import type { StepName } from "../../scenario/catalogue/index.ts";

export const AROUND: ReadonlySet<string> = new Set<StepName>([
  "mn_start",
  "unmap_user",
  "clear_pte",
  "zap_range",
  "change_vma",
  "change_pte",
  "unmap_folio",
  "mn_end",
]);
