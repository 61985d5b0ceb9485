// The packed state: one Int32Array whose layout is computed once per scenario and kernel. Domain code reads and writes it through `Field`s only.

import { assert } from "../base/assert.ts";

/** What a step may read or write, as steps and invariants name it; a plan says which atoms of a region its call can reach (`scope.ts`). */
export const REGIONS = [
  "thread", // locals of one actor; of an invariant: that it looks at which calls are under way
  "control", // which call an actor is in: moved by the begin and the return of each call
  "reference", // the frame that an actor, or a pipe, holds a reference on
  "fault", // what an in-flight fault snapshotted: other actors' invalidations mark it stale
  "schedule", // phase of the scenario, `atomic` owner
  "mark", // `order` marks
  "handle", // open, closed or failed
  "file", // seals, marker, installed, denied
  "size", // i_size
  "position", // offset of the open file description
  "lock", // inode locks, folio locks, slots_lock
  "hole", // who punches a hole that faults wait for
  "page", // page cache of the files and private copies: which frame
  "uptodate", // whether a page of the file has been cleared or written since its allocation
  "content", // bytes of the frames, their provenance and taint
  "pte", // host page tables and VMAs
  "slot", // kvm_memory_slot sets
  "srcu", // readers that synchronize_srcu waits for
  "kind", // private or shared by gfn (mem_attr_array)
  "notifier", // mmu_invalidate_in_progress and its range
  "ept", // second-level page tables
  "tlb", // each vCPU's TLB
  "driver", // frames that somebody else took
  "td", // TDX module: key ids, TDs, vCPUs, TD_EPOCH and REFCOUNT
  "sept", // TDX module: secure EPT entries
  "pamt", // TDX module: type, owner and BEPOCH of each page
  "module", // TDX module: its try-locks
  "signal", // whether a signal is pending for an actor
  "result", // results that an expression of the scenario reads
  "free", // footprints only: which frames are free, and which of them page tables still name
  "faults", // footprints only: the `fault` of any actor, where "fault" is the stepping actor's own
] as const;

export type Region = (typeof REGIONS)[number];

/** A piece of the state that steps touch as a whole, the grain of independence: `page` of file 0 cell 3. */
interface Atom {
  readonly region: Region;
  readonly name: string;
}

/** The atoms of a region that a call can reach; undefined: all of them. */
export type Scope = (region: Region) => readonly number[] | undefined;

/** A field of the state: an unsigned integer of at most 30 bits inside one word. Fields of several atoms may share a word. */
export class Field {
  readonly word: number;
  readonly shift: number;
  readonly mask: number;
  /** Index into `Layout.atoms`. */
  readonly atom: number;

  constructor(word: number, shift: number, mask: number, atom: number) {
    this.word = word;
    this.shift = shift;
    this.mask = mask;
    this.atom = atom;
  }

  get(state: Int32Array): number {
    return (state[this.word] >>> this.shift) & this.mask;
  }

  set(state: Int32Array, value: number): void {
    state[this.word] = (state[this.word] & ~(this.mask << this.shift)) | ((value & this.mask) << this.shift);
  }
}

const SHARED = -1;
/** Words with a few bits left that are looked through for room, so that thousands of fields are laid out in linear time. */
const OPEN_WORDS = 16;

export class Layout {
  #words = 0;
  /** Of each owner: the words that still have room, and how many of their bits are taken. */
  readonly #open = new Map<number, { readonly word: number; bits: number }[]>();
  readonly #names = new Map<string, number>();
  readonly #byRegion = new Map<Region, number[]>();
  #owner = SHARED;
  readonly atoms: Atom[] = [];
  readonly fields: Field[] = [];
  /** Fields that hold 0 or 1 + an actor: exchanging actors renames what is in them (symmetry.ts). */
  readonly actorFields: Field[] = [];
  /** Words of each actor that has a record of its own, in the order of their making. */
  readonly records = new Map<number, number[]>();

  get words(): number {
    return this.#words;
  }

  /** A field that holds 0 … max; of the region's own atom, or of the one that `name` tells from the others. */
  field(region: Region, max: number, name = ""): Field {
    const bits = Math.max(1, 32 - Math.clz32(max));
    assert(bits <= 30, `field of ${region} too wide: ${max}`);
    const open = this.#room(bits);
    const field = new Field(open.word, open.bits, (1 << bits) - 1, this.atom(region, name));
    open.bits += bits;
    this.fields.push(field);
    return field;
  }

  /** A field that holds 0 or 1 + an actor. */
  actorField(region: Region, actors: number, name: string): Field {
    assert(this.#owner === SHARED, "a record of one actor names no other");
    const field = this.field(region, actors, name);
    this.actorFields.push(field);
    return field;
  }

  /** Fields that `make` asks for stand in words that belong to `actor` alone, so that records of equal actors can be exchanged word by word. */
  record<T>(actor: number | undefined, make: () => T): T {
    const before = this.#owner;
    this.#owner = actor ?? SHARED;
    try {
      return make();
    } finally {
      this.#owner = before;
    }
  }

  /** The number of an atom, made when it is new. */
  atom(region: Region, name = ""): number {
    const key = `${region} ${name}`;
    let atom = this.#names.get(key);
    if (atom === undefined) {
      atom = this.atoms.length;
      this.atoms.push({ region, name });
      this.#names.set(key, atom);
      const others = this.#byRegion.get(region);
      if (others) others.push(atom);
      else this.#byRegion.set(region, [atom]);
    }
    return atom;
  }

  atomsOf(region: Region): readonly number[] {
    return this.#byRegion.get(region) ?? [];
  }

  #room(bits: number): { readonly word: number; bits: number } {
    let words = this.#open.get(this.#owner);
    if (!words) this.#open.set(this.#owner, (words = []));
    const fitting = words.find((word) => word.bits + bits <= 32);
    if (fitting) return fitting;
    const word = { word: this.#words, bits: 0 };
    this.#words += 1;
    if (words.length === OPEN_WORDS) words.shift();
    words.push(word);
    if (this.#owner !== SHARED) this.records.set(this.#owner, [...(this.records.get(this.#owner) ?? []), word.word]);
    return word;
  }
}
