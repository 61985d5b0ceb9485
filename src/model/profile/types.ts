// A kernel as data: features, and per operation an ordered list of named atomic steps. No code asks which kernel it is.

import type { StepName } from "../../scenario/catalogue/index.ts";

/** `lock_folio, invalidate, …` in a nested list run once per cell together; any other step that works by cells loops by itself. */
export type StepList = readonly (StepName | readonly StepName[])[];

export interface Features {
  /** What KVM finds in a page that it is the first to use: cleared, or the bytes of its last owner (model.md, rule 1). */
  readonly fresh_page: "zeroed" | "as_found";
  /** What tells private from shared: a page in the private file, or the xarray of KVM_MEMORY_ENCRYPT_REG_REGION. */
  readonly private_kind: "page_in_file" | "xarray";
  /** A gfn of a private slot that nobody converted. */
  readonly default_kind: "shared" | "private";
  /** What the file hands to KVM's notifier handler, which counts pages. */
  readonly notifier_units: "pages" | "bytes";
  /** Whether the handler adds the slot's base_gfn to the file index. */
  readonly notifier_base_gfn: "added" | "missing";
  /** Whether an invalidation of the private file moves mmu_invalidate_seq. */
  readonly notifier_seq: "moves" | "stays";
  /** Whether a private fault looks at mmu_invalidate_seq before it maps, or relies on the folio lock that it holds. */
  readonly private_fault_check: "seq" | "folio_lock";
  /** Where MFD_INACCESSIBLE is kept: a seal, or an inode of its own. */
  readonly marker: "seal" | "shim";
  /** How v4 writes the seal: `seals &= …` can never set a bit, `|=` does. */
  readonly set_marker: "and" | "or";
  /** Exit of a private/shared mismatch. */
  readonly exit: "KVM_EXIT_MEMORY_ERROR" | "KVM_EXIT_MEMORY_FAULT";
  /** MFD_INACCESSIBLE with MFD_HUGETLB. */
  readonly inaccessible_hugetlb: "accepted" | "EINVAL";
  /** Two slots over one range of a private file. */
  readonly double_binding: "EEXIST" | "undefined";
  /** Whether a new or moved slot must end at or below the largest gfn that KVM maps: 52 bits of address without TDP (kvm_mmu_max_gfn, Linux 5.18). */
  readonly slot_gfn_limit: "none" | "checked";
}

/** The values that `FEATURE = value` of a kernel variant may take. */
export const FEATURE_VALUES: { readonly [Name in keyof Features]: readonly Features[Name][] } = {
  fresh_page: ["zeroed", "as_found"],
  private_kind: ["page_in_file", "xarray"],
  default_kind: ["shared", "private"],
  notifier_units: ["pages", "bytes"],
  notifier_base_gfn: ["added", "missing"],
  notifier_seq: ["moves", "stays"],
  private_fault_check: ["seq", "folio_lock"],
  marker: ["seal", "shim"],
  set_marker: ["and", "or"],
  exit: ["KVM_EXIT_MEMORY_ERROR", "KVM_EXIT_MEMORY_FAULT"],
  inaccessible_hugetlb: ["accepted", "EINVAL"],
  double_binding: ["EEXIST", "undefined"],
  slot_gfn_limit: ["none", "checked"],
};

export interface Profile {
  /** The name that a report shows: `v8`, or that of a variant. */
  readonly name: string;
  readonly base: string;
  readonly features: Features;
  readonly operations: Readonly<Record<string, StepList>>;
  /** Mail or release behind the row. */
  readonly source: string;
}
