// The packed state: one Int32Array whose layout is computed once per scenario and kernel. Domain code reads and writes it through `Field`s only.

import { assert } from "../base/assert.ts";

/**
 * What a step may read or write, the grain of footprints (see `step.ts`). No word holds two regions, so a test can watch which regions a step really
 * touches.
 */
export const REGIONS = [
  "thread", // control position and locals of one actor
  "fault", // what an in-flight fault snapshotted: other actors' invalidations mark it stale
  "schedule", // phase of the scenario, `order` marks, `atomic` owner
  "handle", // open, closed or failed
  "file", // i_size, seals, marker, inode lock, file position
  "page", // page cache of the files and private copies: which frame, uptodate, folio lock
  "content", // bytes of the frames, their provenance and taint
  "pte", // host page tables and VMAs
  "slot", // kvm_memory_slot sets, slots_lock
  "srcu", // readers that synchronize_srcu waits for
  "kind", // private or shared by gfn (mem_attr_array)
  "notifier", // mmu_invalidate_in_progress and its range
  "ept", // second-level page tables
  "tlb", // each vCPU's TLB
  "driver", // frames that somebody else took
  "result", // results that an expression of the scenario reads
  "faults", // footprints only: the `fault` of any actor, where "fault" is the stepping actor's own
] as const;

export type Region = (typeof REGIONS)[number];

/** A field of the state: an unsigned integer of at most 30 bits inside one word. */
export class Field {
  readonly word: number;
  readonly shift: number;
  readonly mask: number;

  constructor(word: number, shift: number, mask: number) {
    this.word = word;
    this.shift = shift;
    this.mask = mask;
  }

  get(state: Int32Array): number {
    return (state[this.word] >>> this.shift) & this.mask;
  }

  set(state: Int32Array, value: number): void {
    state[this.word] = (state[this.word] & ~(this.mask << this.shift)) | ((value & this.mask) << this.shift);
  }
}

export class Layout {
  #words = 0;
  /** The word of each region that still has room, and how many of its bits are taken. */
  readonly #open = new Map<Region, { word: number; bits: number }>();
  /** Region of each word. */
  readonly regions: Region[] = [];

  get words(): number {
    return this.#words;
  }

  /** A field that holds 0 … max. */
  field(region: Region, max: number): Field {
    const bits = Math.max(1, 32 - Math.clz32(max));
    assert(bits <= 30, `field of ${region} too wide: ${max}`);
    let open = this.#open.get(region);
    if (!open || open.bits + bits > 32) {
      open = { word: this.#words, bits: 0 };
      this.#open.set(region, open);
      this.regions.push(region);
      this.#words += 1;
    }
    const field = new Field(open.word, open.bits, (1 << bits) - 1);
    open.bits += bits;
    return field;
  }
}
