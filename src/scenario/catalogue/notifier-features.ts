// Features of KVM's MMU notifier for host addresses: what it notes of an invalidation, and which changes of host page table entries it is told of. And of
// who holds a VM.

import type { FeatureRow } from "./types.ts";

export const notifierFeatures = [
  {
    name: "range_add",
    help: "What a second memory slot that one invalidation of host addresses meets does to the range for which faults try again.",
    values: [
      { name: "widens", help: "the range covers the gfns of both" },
      { name: "replaces", help: "while no other invalidation is in progress only the last slot's gfns are kept: faults on the others go on" },
    ],
    source: "v8 4/8, v10 5/9 kvm_mmu_invalidate_range_add; ZQr5uXhV6Cnx4DYT@google.com; 8569992d64b8 (Linux 6.8)",
  },
  {
    name: "swap_slots",
    help: "Whether a new set of memory slots waits until no MMU notifier is active.",
    values: [
      { name: "waits", help: "both halves of an invalidation of host addresses find the same slots" },
      {
        name: "at_once",
        help: "a slot may come or go between them: as they take mmu_lock only where they meet a slot, one half may be left without the other",
      },
    ],
    source: "52ac8b358b0c and 071064f14d87 (Linux 5.13 and 5.14): mn_active_invalidate_count",
  },
  {
    name: "pte_callback",
    help: "Whether the MMU notifier is told of the new host page table entry of a copy on write.",
    values: [
      { name: "change_pte", help: "set_pte_at_notify calls it; as the start of the invalidation has unmapped the page, it finds nothing to change" },
      { name: "none", help: "set_pte_at: start and end of the invalidation are all that it hears" },
    ],
    source: "f3b65bbaed7c, f7842747d13d (Linux 6.10); 20240405115815.3226315-1-pbonzini@redhat.com",
  },
  {
    name: "gmem_vm",
    help: "What a guest_memfd keeps of the VM that made it.",
    values: [
      { name: "held", help: "a reference: the VM lives at least as long as the file" },
      { name: "borrowed", help: "a pointer: the VM may be gone while the file is used" },
    ],
    source: "virt/kvm/guest_memfd.c __kvm_gmem_create (kvm_get_kvm), kvm_gmem_release (kvm_put_kvm)",
  },
] as const satisfies readonly FeatureRow[];
