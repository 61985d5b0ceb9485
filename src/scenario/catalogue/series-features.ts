// Features in which the versions of the MFD_INACCESSIBLE series differ, from each other and from what came after them: the private file, its notifier, slots
// over it and conversions.

import type { FeatureRow } from "./types.ts";

export const seriesFeatures = [
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
      { name: "missing", help: "pages of the file are held against gfns of the slot: one that does not begin at gfn 0 has the wrong gfns zapped, or none" },
    ],
    source: "v4 11/12 (20220118132121.31388-12-chao.p.peng@linux.intel.com) and v5 11/13 (left out), v6 7/8 (added)",
  },
  {
    name: "notifier_start",
    help: "What the notifier handler makes of a range that begins below the slot's offset in the file.",
    values: [
      { name: "clamped", help: "it begins at the slot's first gfn" },
      { name: "underflows", help: "the difference is unsigned: it begins below the slot, or wraps and the handler returns at once" },
    ],
    source: "v6 7/8",
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
    help: "Where it is kept that a file is inaccessible.",
    values: [
      { name: "seal", help: "F_SEAL_INACCESSIBLE in the seal word of the shmem inode" },
      { name: "xflag", help: "SHM_F_INACCESSIBLE among the flags of the shmem inode" },
      { name: "node_flag", help: "USER_INACCESSIBLE in the memfile_node of the inode, where the first binding sets it too" },
      { name: "shim", help: "an inode of its own over the tmpfs file, with no read, write or mmap" },
      { name: "none", help: "this kernel has no such flag" },
    ],
    source: "v4 02/12 memfd_create; v5 01/13; v6 1/8 and 3/8; v8 1/8 memfd_mkinaccessible; v9 1/8",
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
    name: "inaccessible_hugetlb",
    help: "What memfd_create answers to MFD_INACCESSIBLE together with MFD_HUGETLB.",
    values: [
      { name: "accepted", help: "the flags may be combined" },
      { name: "EOPNOTSUPP", help: "no backing store knows hugetlbfs, which shows when the file is marked" },
      { name: "EINVAL", help: "only tmpfs stands under the shim" },
    ],
    source: "v4 02/12; v6 3/8; v8 1/8",
  },
  {
    name: "slot_offset",
    help: "Whether private_offset of a slot is checked: for alignment, and that private_offset + memory_size does not wrap.",
    values: [
      { name: "unchecked", help: "a range that wraps is bound; what an unaligned offset does is not modelled" },
      { name: "checked", help: "EINVAL" },
    ],
    source: "YkNaPLVLk/pO0zjr@google.com on v5 12/13; v6 7/8",
  },
  {
    name: "bind_kind",
    help: "What a slot does with a private_fd that was not made to be inaccessible.",
    values: [
      { name: "any", help: "it takes every shmem file" },
      { name: "marks", help: "the first registration sets the flags of the node: an ordinary memfd is inaccessible from then on" },
      { name: "confused", help: "it takes the private data of another kind of file for its own; what follows is not modelled" },
      { name: "EINVAL", help: "it tests the type of the file" },
    ],
    source: "v4 10/12; v6 1/8; v8 8/8 and its review of 30 September 2022; v9 8/8",
  },
  {
    name: "ordinary_slot",
    help: "What a private access does in a slot that has no private memory.",
    values: [
      { name: "ordinary", help: "every access there is ordinary" },
      {
        name: "null_file",
        help: "its kind is not tested, and it asks the file that the slot does not have for a page: NULL dereference, also where there is no slot",
      },
      { name: "exits", help: "kinds are compared in every slot, and a private access to a private gfn leaves with the memory exit" },
    ],
    source: "v8 7/8; v9 7/8, 20221116205025.1510291-1-ackerleytng@google.com, Y3Vgc5KrNRA8r6vh@google.com; v10 8/9",
  },
  {
    name: "conversion_store",
    help: "How a conversion enters its range into the xarray.",
    values: [
      { name: "per_gfn", help: "one entry for each gfn" },
      { name: "multi_index", help: "one entry for the range: to erase a part of it erases the whole entry" },
    ],
    source: "v7 11/14; v8 5/8; lib/xarray.c xa_store_range",
  },
  {
    name: "entry_memory",
    help: "Whether memory for an entry of the attributes may run out in the middle of a range.",
    values: [
      { name: "enough", help: "it never does" },
      { name: "may_run_out", help: "it may at each store that needs a node of the xarray: at the first entry among 64 gfns" },
    ],
    source: "lib/xarray.c xas_create; v8 5/8, v9 5/8, v10 6/9; virt/kvm/kvm_main.c kvm_vm_set_mem_attributes, Linux 6.8",
  },
  {
    name: "conversion_rollback",
    help: "What a conversion does to the entries that it has stored when a later one fails.",
    values: [
      { name: "none", help: "they stay: v10 writes the rest of the range back and returns 0 all the same" },
      {
        name: "erases_but_first",
        help: "it erases from the one that failed down to the second: the first gfn stays converted, gfns that were so before are not any more, nothing is unmapped",
      },
      { name: "erases", help: "as before, and the first gfn with them" },
    ],
    source: "v8 5/8 and v9 5/8 kvm_vm_ioctl_set_mem_attr; Y3VjCxCiujCOLP7x@google.com; v10 6/9",
  },
] as const satisfies readonly FeatureRow[];
