// The packed state: one Int32Array whose layout is computed once per scenario and kernel. Domain code reads and writes it through `Field`s only.

import { assert } from "../base/assert.ts";

/**
 * What a step may read or write, the grain of footprints (see `step.ts`). Every region starts on a word of its own, so a test can watch which
 * regions a step really touches.
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
  "slot", // kvm_memory_slot sets, slots_lock, SRCU
  "kind", // private or shared by gfn (mem_attr_array)
  "notifier", // mmu_invalidate_in_progress and its range
  "ept", // second-level page tables
  "tlb", // each vCPU's TLB
  "driver", // frames that somebody else took
  "result", // results that an expression of the scenario reads
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
  #bits = 32;
  #region: string | undefined;
  /** Region of each word. */
  readonly regions: Region[] = [];

  get words(): number {
    return this.#words;
  }

  /** A field that holds 0 … max. `object` names what it belongs to; a new region or object begins a new word. */
  field(region: Region, object: string, max: number): Field {
    const bits = Math.max(1, 32 - Math.clz32(max));
    assert(bits <= 30, `field of ${region} too wide: ${max}`);
    const key = `${region}/${object}`;
    if (this.#region !== key || this.#bits + bits > 32) {
      this.#region = key;
      this.#bits = 0;
      this.regions.push(region);
      this.#words += 1;
    }
    const field = new Field(this.#words - 1, this.#bits, bits === 32 ? -1 : (1 << bits) - 1);
    this.#bits += bits;
    return field;
  }
}
