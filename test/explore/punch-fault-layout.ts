// The punch/fault protocol: its sizes, the control positions of its actors, and where each bit of its state is.

/** `fixed`: begin and end around the punch · `buggy`: punch first, then invalidate · `noseq`: `fixed` whose fault forgets to compare the sequence counter. */
export type Variant = "fixed" | "buggy" | "noseq";

/**
 * Pages, vCPUs and faults ≤ 3, hosts and allocators ≤ 2, rounds ≤ 3. Each vCPU faults `faults` times (gfn = n mod pages), host h punches
 * [h mod pages, pages) once, each allocator takes the lowest free frame and frees it, `rounds` times. There are pages + allocators frames.
 */
export interface Instance {
  readonly pages: number;
  readonly vcpus: number;
  readonly hosts: number;
  readonly faults: number;
  readonly allocators: number;
  readonly rounds: number;
}

export const INSTANCES = {
  S: { pages: 1, vcpus: 1, hosts: 1, faults: 2, allocators: 0, rounds: 0 },
  M: { pages: 2, vcpus: 2, hosts: 1, faults: 2, allocators: 0, rounds: 0 },
  L: { pages: 3, vcpus: 3, hosts: 2, faults: 2, allocators: 0, rounds: 0 },
  /** M with an allocator beside it. */
  MA: { pages: 2, vcpus: 2, hosts: 1, faults: 2, allocators: 1, rounds: 2 },
  XL: { pages: 3, vcpus: 3, hosts: 2, faults: 2, allocators: 1, rounds: 2 },
} as const satisfies Record<string, Instance>;

export const VCPU = { readSeq: 0, getPfn: 1, lock: 2, check: 3, map: 4, unlockDone: 5, unlockRetry: 6, ended: 7 } as const;
export const HOST = { lock: 0, begin: 1, zap: 2, unlock: 3, truncate: 4, lockAgain: 5, end: 6, unlockAgain: 7, ended: 8 } as const;

// Word 0: in_progress (2 bits), seq (3), mmu_lock held (1), per host pc (4) and page index (3), per allocator frame (3; 0 = none) and rounds done (2).
// Word 1: page cache and second-level entries, 3 bits a page.
// Word 2: per vCPU pc (3), faults done (2), snapshot (2; seq counts hosts, of which there are two at most), pfn (3; 0 = none).
export const IN_PROGRESS = 0x3;
export const SEQ_SHIFT = 2;
export const SEQ = 0x7;
export const LOCKED = 1 << 5;
export const HOST_SHIFT = 6;
export const HOST_BITS = 7;
export const ALLOCATOR_SHIFT = 20;
export const ALLOCATOR_BITS = 5;
export const PAGE_BITS = 3;
export const PAGE = 0x7;
export const SPTE_SHIFT = 12;
export const VCPU_BITS = 10;
export const VCPU_MASK = 0x3ff;
export const SNAPSHOT = 0x3;
export const SNAPSHOT_SHIFT = 5;
export const PFN_SHIFT = 7;
