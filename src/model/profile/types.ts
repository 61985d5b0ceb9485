// A kernel as data: features, and per operation an ordered list of named atomic steps. No code asks which kernel it is.

import type { FeatureName, FeatureValue, StepName } from "../../scenario/catalogue/index.ts";

/** `lock_folio, invalidate, …` in a nested list run once per cell together; any other step that works by cells loops by itself. */
export type StepList = readonly (StepName | readonly StepName[])[];

/** What each feature means, and its values: `catalogue/features.ts`. */
export type Features = { readonly [Name in FeatureName]: FeatureValue<Name> };

/** Those of the ordinary memfd, which a kernel of the same age shares with others. */
export type PlainFeatures = Pick<Features, "memfd_flags" | "memfd_noexec_2" | "seal_argument" | "shared_readonly" | "fallocate_modes" | "shmem_signal"> &
  GuestMemfdFeatures &
  NotifierFeatures &
  SeriesFeatures &
  TdxFeatures;

/** Those in which only some versions of the series differ. */
type SeriesFeatures = Pick<
  Features,
  "slot_offset" | "bind_kind" | "ordinary_slot" | "conversion_store" | "entry_memory" | "conversion_rollback" | "notifier_start"
>;

/** Those of the MMU notifier of host addresses and of who holds a VM. */
type NotifierFeatures = Pick<Features, "range_add" | "swap_slots" | "pte_callback" | "gmem_vm">;

/** Those of KVM's TDX code. */
export type TdxFeatures = Pick<
  Features,
  | "td_page_reference"
  | "td_slot_deleted"
  | "td_pending_access"
  | "td_private_retry"
  | "td_page_reset"
  | "td_region_size"
  | "td_region_end"
  | "td_used_page"
  | "td_extend_failure"
  | "td_irqchip"
  | "td_failed_vcpu"
  | "td_hypercall_ret"
  | "td_terminate"
  | "td_vp_init"
  | "guest_tdcall"
>;

/** Those of guest_memfd and of the VMs that use it. */
type GuestMemfdFeatures = Pick<
  Features,
  | "guest_memfd"
  | "gmem_inode"
  | "vm_types"
  | "access_kind"
  | "exit_private_flag"
  | "zap_filter"
  | "slot_zap"
  | "bind_offset"
  | "clear_guest_memfd"
  | "dying_unbind"
  | "gmem_user_faults"
  | "prefault_invalid"
  | "poisoned_page"
>;

export interface Profile {
  /** The name that a report shows: `v8`, or that of a variant. */
  readonly name: string;
  readonly base: string;
  readonly features: Features;
  readonly operations: Readonly<Record<string, StepList>>;
  /** Mail or release behind the row. */
  readonly source: string;
}
