// The rules that the tool watches, each with the moment at which it is judged. The predicates themselves are code in invariants/.

import { tdxInvariants } from "./tdx-invariants.ts";

export interface InvariantRow {
  readonly name: string;
  readonly subsystem: "memory" | "kvm" | "tdx";
  /** One sentence that holds in a correct kernel. */
  readonly statement: string;
  readonly when: string;
  readonly source: string;
  readonly modelled: boolean;
}

const EACH = "after each atomic step";

export const invariants: readonly InvariantRow[] = [
  {
    name: "no-stale-mapping",
    subsystem: "memory",
    when: EACH,
    modelled: true,
    statement:
      "Every page table entry and every usable TLB entry of a guest leads to the frame that the backing file, or the host mapping of the " +
      "slot, holds at that place now.",
    source: "virt/kvm/guest_memfd.c kvm_gmem_punch_hole (a7800aa80ea4); broken by v8 1/8",
  },
  {
    name: "frame-one-owner",
    subsystem: "memory",
    when: EACH,
    modelled: true,
    statement: "Each frame has exactly one owner: the free list, one offset of one file, one other user, the kernel, or nobody while references on it remain.",
    source: "mm/page_alloc.c, mm/filemap.c",
  },
  {
    name: "private-inaccessible",
    subsystem: "memory",
    when: "at the step that transfers the data, and when a host page table entry to such a frame is installed",
    modelled: true,
    statement: "No host access reaches a frame that a guest wrote through a private mapping since its last allocation.",
    source: "v4 02/12; broken by v4 (8f1eba03-e5e9-e9fc-084d-0ef683093d65@arm.com)",
  },
  {
    name: "inaccessible-marked",
    subsystem: "memory",
    when: "from the installation of the descriptor on, after each atomic step",
    modelled: true,
    statement: "Every file that was created with MFD_INACCESSIBLE carries the mark that makes it inaccessible.",
    source: "v4 02/12; broken by v4 (8f1eba03-e5e9-e9fc-084d-0ef683093d65@arm.com)",
  },
  {
    name: "private-unmovable",
    subsystem: "memory",
    when: "at each migration and each reclaim",
    modelled: true,
    statement: "No frame with private content is migrated, swapped or reclaimed.",
    source: "v4 02/12; review of v10 on migrate_folio",
  },
  {
    name: "write-sealed",
    subsystem: "memory",
    when: `${EACH}, inside F_ADD_SEALS only after the seals are set`,
    modelled: true,
    statement: "A file with F_SEAL_WRITE has no shared mapping that is or may become writable, and no unfinished write behind its seal check.",
    source: "mm/memfd.c, 3b041514cb6e",
  },
  {
    name: "zeroed-on-allocation",
    subsystem: "memory",
    when: "at each step that reads",
    modelled: true,
    statement: "No read returns bytes that lay in the frame before its present allocation.",
    source: "virt/kvm/guest_memfd.c; broken by v8 (page as found)",
  },
  {
    name: "refcount-balanced",
    subsystem: "memory",
    when: "too low: after each atomic step; too high: at the return of the call",
    modelled: true,
    statement: "The references on a frame are those of the page cache, of faults and other users under way, and of pins.",
    source: "c31745d2c508",
  },
  {
    name: "attributes-respected",
    subsystem: "kvm",
    when: `${EACH} outside a conversion of the gfn; for its whole range at the return of the conversion`,
    modelled: true,
    statement: "A guest maps private memory only where the gfn is private, and shared memory only where it is shared.",
    source: "v8 7/8; virt/kvm/kvm_main.c kvm_vm_set_mem_attributes",
  },
  {
    name: "no-lost-invalidation",
    subsystem: "kvm",
    when: "at the step that installs the mapping",
    modelled: true,
    statement: "A fault that looked its page up before an invalidation of the gfn began installs nothing.",
    source: "include/linux/kvm_host.h mmu_invalidate_retry; YkNcmGsOw4MThaym@google.com",
  },
  {
    name: "invalidate-balanced",
    subsystem: "kvm",
    when: "never negative: after each atomic step; balanced: at the return of each call and when the VM is destroyed",
    modelled: true,
    statement: "Each invalidation that begins also ends, once, for the VM it began on.",
    source: "virt/kvm/kvm_main.c kvm_mmu_invalidate_begin, kvm_mmu_invalidate_end; Y8HTITl1+Oe0H7Gd@google.com",
  },
  {
    name: "bound-once",
    subsystem: "kvm",
    when: "when the slot call commits",
    modelled: true,
    statement: "At most one live slot of one VM refers to a page of a file.",
    source: "virt/kvm/guest_memfd.c kvm_gmem_bind",
  },
  {
    name: "binding-in-bounds",
    subsystem: "kvm",
    when: "when the slot call commits",
    modelled: true,
    statement: "Offset and size of a binding are page aligned, do not wrap and lie within the file.",
    source: "virt/kvm/guest_memfd.c kvm_gmem_bind; broken by 6.8 to 7.1",
  },
  {
    name: "binding-valid",
    subsystem: "kvm",
    when: "when a file or a slot is freed, and at each use of a pointer between them",
    modelled: true,
    statement: "No slot points to a freed file and no file to a freed slot.",
    source: "ae431059e75d, 9935df5333aa",
  },
  {
    name: "vm-valid",
    subsystem: "kvm",
    when: "at each use of a pointer to the VM",
    modelled: true,
    statement: "Nobody works with a VM that has been freed: descriptors, vCPUs and guest_memfd files hold a reference, and its MMU notifier goes before it.",
    source: "virt/kvm/kvm_main.c kvm_get_kvm, kvm_put_kvm, kvm_destroy_vm",
  },
  {
    name: "conversion-atomic",
    subsystem: "kvm",
    when: "at the return of the conversion",
    modelled: true,
    statement: "A conversion that fails changes no gfn, and one that succeeds has changed them all.",
    source: "virt/kvm/kvm_main.c kvm_vm_set_mem_attributes; broken by v10 6/9",
  },
  {
    name: "lock-order",
    subsystem: "kvm",
    when: "at each step that takes a lock",
    modelled: true,
    statement: "Locks are taken in the order slots_lock, invalidate lock, mmu_lock, and mmap_lock is never taken under the invalidate lock.",
    source: "2a62345b3052",
  },
  {
    name: "no-deadlock",
    subsystem: "kvm",
    when: "where no step is possible any more",
    modelled: true,
    statement: "While a call is unfinished some step is possible, unless the scenario says that the call blocks.",
    source: "Documentation/virt/kvm/locking.rst",
  },
  {
    name: "no-livelock",
    subsystem: "kvm",
    when: "on the whole graph of states",
    modelled: true,
    statement: "From every reachable state each unfinished call can come to an end.",
    source: "355323a4dc94",
  },
  {
    name: "no-oops",
    subsystem: "kvm",
    when: "at the step that follows the pointer",
    modelled: true,
    statement: "No step follows a NULL pointer, or adds to a list that leads to freed memory.",
    source: "20221116205025.1510291-1-ackerleytng@google.com on v9 7/8; 20251017003244.186495-26-seanjc@google.com",
  },
  {
    name: "no-kvm-bug",
    subsystem: "kvm",
    when: EACH,
    modelled: true,
    statement: "No step marks the VM as bugged.",
    source: "include/linux/kvm_host.h KVM_BUG_ON; arch/x86/kvm/vmx/tdx.c, Linux 6.16",
  },
  ...tdxInvariants,
];
