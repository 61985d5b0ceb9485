// Rules of the TDX module, of the memory that it guards and of KVM's use of it; and which of them watch over which property that a TD relies on.

import type { InvariantRow } from "./types.ts";

const EACH = "after each atomic step";
const COMMIT = "after each commit of a TDX module leaf";
const MODULE = "intel/tdx-module TDX_1.5.01";

export const tdxInvariants: readonly InvariantRow[] = [
  {
    name: "sept-pamt-agree",
    subsystem: "tdx",
    when: `${COMMIT}, while the TD's keys are configured`,
    modelled: true,
    statement:
      "Each page that a secure EPT entry names is that TD's in the PAMT, as PT_REG behind a leaf and PT_EPT behind a table, and stands in no other entry; CHLDCNT is " +
      "the number of the TD's pages.",
    source: `${MODULE} pamt_manager.c, sept_manager.c`,
  },
  {
    name: "mirror-agrees",
    subsystem: "tdx",
    when: `${EACH}, for entries that are not FROZEN and not on their way out under mmu_lock`,
    modelled: true,
    statement:
      "KVM's mirror page table and the secure EPT map the same page; before the TD is final, nr_premapped counts the pages of the mirror that wait for TDH.MEM.PAGE.ADD.",
    source: "arch/x86/kvm/mmu/tdp_mmu.c, arch/x86/kvm/vmx/tdx.c, Linux 6.16",
  },
  {
    name: "tlb-tracked",
    subsystem: "tdx",
    when: EACH,
    modelled: true,
    statement:
      "Each private TLB entry that a vCPU inside hits, or one that would enter without a flush, leads to a page that the secure EPT still names and the TD still owns.",
    source: `${MODULE} tdh_mem_track.c, tdh_vp_enter.c`,
  },
  {
    name: "epoch-counted",
    subsystem: "tdx",
    when: `${COMMIT} and each TD exit, until the TD is fatal`,
    modelled: true,
    statement: "REFCOUNT counts the vCPUs inside by the parity of the epoch in which they entered, and that is TD_EPOCH or the one before.",
    source: `${MODULE} tdh_mem_track.c, tdh_vp_enter.c, td_exit.c`,
  },
  {
    name: "cache-flushed",
    subsystem: "tdx",
    when: "when a page is given to the module, is used by the host again or freed to the allocator, and when a key id is freed",
    modelled: true,
    statement: "A page changes hands only without lines that may lie modified in a cache under a key which its next user does not use.",
    source: "arch/x86/kvm/vmx/tdx.c, arch/x86/virt/vmx/tdx/tdx.c, Linux 6.16",
  },
  {
    name: "private-integrity",
    subsystem: "tdx",
    when: "at each access of a TD to its private memory",
    modelled: true,
    statement: "A TD loads what it stored last since it accepted the page (zeros) or was given it (its initial content), and meets no poison.",
    source: "Documentation/arch/x86/tdx.rst; arch/x86/virt/vmx/tdx/tdx.c, Linux 6.16",
  },
  {
    name: "td-page-held",
    subsystem: "tdx",
    when: "when a page is freed to the allocator",
    modelled: true,
    statement: "No page goes back to the allocator while the PAMT gives it to a TD.",
    source: "arch/x86/kvm/vmx/tdx.c tdx_pin, tdx_sept_drop_private_spte, Linux 6.16",
  },
  {
    name: "key-order",
    subsystem: "tdx",
    when: COMMIT,
    modelled: true,
    statement:
      "A private key id belongs to one TD and goes from free over assigned and flushed back to free, with the caches of each package written back in between; no page of " +
      "a TD is worked on while its key is not configured.",
    source: `${MODULE} tdh_mng_create.c, tdh_mng_vpflushdone.c, tdh_mng_key_freeid.c`,
  },
];

interface TdProperty {
  readonly property: string;
  /** Names of the rules that break where it does not hold. */
  readonly invariants: readonly string[];
}

/** What must hold of a TD, its pages and KVM's bookkeeping, and which rules watch over it. */
export const tdProperties: readonly TdProperty[] = [
  { property: "The page behind a secure EPT leaf is PT_REG, of this TD, and in no other leaf.", invariants: ["sept-pamt-agree"] },
  { property: "CHLDCNT is the number of 4 KB pages that the TD owns, without the TDR.", invariants: ["sept-pamt-agree"] },
  { property: "Where the mirror maps a page and is not FROZEN, the secure EPT has it MAPPED or PENDING.", invariants: ["mirror-agrees"] },
  { property: "Where the secure EPT has a page MAPPED or PENDING, the mirror maps it.", invariants: ["mirror-agrees"] },
  { property: "A private gfn has no shared mapping, and a shared one no private mapping.", invariants: ["attributes-respected"] },
  { property: "No page of the guest_memfd is freed while the PAMT gives it to a TD.", invariants: ["td-page-held", "no-stale-mapping"] },
  { property: "A page that comes back has been written back under the TD's key.", invariants: ["cache-flushed"] },
  { property: "No TLB entry that can be hit leads to a page that is not the TD's.", invariants: ["tlb-tracked"] },
  { property: "A key id is used again only when each package has written its caches back.", invariants: ["key-order", "cache-flushed"] },
  { property: "REFCOUNT counts the vCPUs inside, and only two epochs live.", invariants: ["epoch-counted"] },
  { property: "KVM has a reference on each page of the secure EPT, up to Linux 6.18.", invariants: ["refcount-balanced"] },
  { property: "The host does not touch a page that holds a TD's data.", invariants: ["private-inaccessible", "private-integrity"] },
  { property: "nr_premapped counts the pages of the mirror whose secure EPT entry is FREE, until the TD is final.", invariants: ["mirror-agrees"] },
];
