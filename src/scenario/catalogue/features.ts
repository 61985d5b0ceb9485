// The features in which kernels differ beyond the order of steps: what `FEATURE = value` of a kernel variant may set, with the values of the modelled
// kernels. The model's `Features` type is made of these rows.

import type { FeatureRow } from "./types.ts";

export const features = [
  {
    name: "fresh_page",
    help: "What KVM finds in a page that it is the first to use.",
    values: [
      { name: "zeroed", help: "the page was cleared when it was allocated" },
      { name: "as_found", help: "the bytes of its last owner: only a fault through a user mapping clears it" },
    ],
    source: "mm/shmem.c shmem_getpage_gfp; v8 1/8 inaccessible_get_pfn",
  },
  {
    name: "private_kind",
    help: "What tells a private gfn from a shared one.",
    values: [
      { name: "page_in_file", help: "private is what has a page in the private file" },
      { name: "xarray", help: "private is what KVM_MEMORY_ENCRYPT_REG_REGION entered into an xarray of the VM" },
    ],
    source: "v4 09/12; v7 11/14; v8 5/8",
  },
  {
    name: "default_kind",
    help: "The kind of a gfn in a private slot that nobody has converted.",
    values: [
      { name: "shared", help: "shared until a page of the private file is allocated" },
      { name: "private", help: "private until it is unregistered" },
    ],
    source: "v4 09/12; v8 5/8",
  },
  {
    name: "notifier_units",
    help: "What the file hands to KVM's notifier handler, which counts pages.",
    values: [
      { name: "pages", help: "page indexes, as the handler wants them" },
      { name: "bytes", help: "byte offsets, so that the handler misses all but low offsets" },
    ],
    source: "v4 03/12; v8 1/8 inaccessible_notifier_invalidate; v10 1/9; 20221129190658.jefuep7nglp25ugt@amd.com",
  },
  {
    name: "notifier_base_gfn",
    help: "Whether the notifier handler adds the slot's base_gfn to the index in the file.",
    values: [
      { name: "added", help: "the gfns that the slot has there are zapped" },
      { name: "missing", help: "a slot that does not begin at gfn 0 has the wrong gfns zapped" },
    ],
    source: "v4 10/12 (left out), v6 (added)",
  },
  {
    name: "notifier_seq",
    help: "Whether an invalidation of the private file moves the sequence counter mmu_invalidate_seq.",
    values: [
      { name: "moves", help: "a fault that looked its page up before the invalidation is retried" },
      { name: "stays", help: "the fault path cannot see that an invalidation came in between" },
    ],
    source: "v4 10/12 (stays), v6 (moves)",
  },
  {
    name: "private_fault_check",
    help: "What a private fault relies on between looking up its page and mapping it.",
    values: [
      { name: "seq", help: "it compares mmu_invalidate_seq under mmu_lock and retries" },
      { name: "folio_lock", help: "it holds the folio lock, which the punch takes before it invalidates" },
    ],
    source: "v4 04/12 and 09/12; v7 (page handed out unlocked); v8 7/8",
  },
  {
    name: "marker",
    help: "Where MFD_INACCESSIBLE is kept.",
    values: [
      { name: "seal", help: "F_SEAL_INACCESSIBLE in the seal word of the shmem inode" },
      { name: "shim", help: "an inode of its own over the tmpfs file, with no read, write or mmap" },
    ],
    source: "v4 02/12 memfd_create; v8 1/8 memfd_mkinaccessible",
  },
  {
    name: "set_marker",
    help: "How the step set_marker writes the seal into the seal word.",
    values: [
      { name: "and", help: "`*file_seals &= …`, which can never set a bit" },
      { name: "or", help: "`*file_seals |= …`, which sets it" },
    ],
    source: "v4 02/12 memfd_create; 8f1eba03-e5e9-e9fc-084d-0ef683093d65@arm.com",
  },
  {
    name: "exit",
    help: "The exit reason of KVM_RUN when the kind of an access and the kind of the gfn differ.",
    values: [
      { name: "KVM_EXIT_MEMORY_ERROR", help: "the name of v4" },
      { name: "KVM_EXIT_MEMORY_FAULT", help: "the name since v6" },
    ],
    source: "v4 07/12; v8 6/8",
  },
  {
    name: "inaccessible_hugetlb",
    help: "What memfd_create answers to MFD_INACCESSIBLE together with MFD_HUGETLB.",
    values: [
      { name: "accepted", help: "the flags may be combined" },
      { name: "EINVAL", help: "only tmpfs stands under the shim" },
    ],
    source: "v4 02/12; v8 1/8",
  },
  {
    name: "double_binding",
    help: "What a second memory slot over one range of a private file does.",
    values: [
      { name: "EEXIST", help: "it is refused" },
      { name: "undefined", help: "nothing tests for it" },
    ],
    source: "v4 12/12; dropped in v5",
  },
  {
    name: "slot_gfn_limit",
    help: "Whether a new or moved slot must end at or below the largest gfn that KVM maps: 52 bits of address without TDP.",
    values: [
      { name: "none", help: "a slot may lie anywhere" },
      { name: "checked", help: "a slot above it is EINVAL" },
    ],
    source: "arch/x86/kvm/mmu.h kvm_mmu_max_gfn, Linux 5.18",
  },
] as const satisfies readonly FeatureRow[];

type Row = (typeof features)[number];

export type FeatureName = Row["name"];

/** The values of a feature, as a union of their names. */
export type FeatureValue<Name extends FeatureName> = Extract<Row, { name: Name }>["values"][number]["name"];

export function feature(name: string): FeatureRow | undefined {
  return features.find((row) => row.name === name);
}
