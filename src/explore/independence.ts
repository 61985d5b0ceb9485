// Says when an actor may step alone: when what its next step touches meets nothing that any other actor may do before this one moves. The others' futures
// are unions over their control graphs, cut where they would wait for a lock that this actor holds; so an unlock, or a step inside a lock, needs no rule of its
// own.

import type { AtomSet, Footprint, Independence } from "./system.ts";

const FIRST_UNIONS = 64;
/** Offset of a pair of empty sets. */
const NOTHING = 0;

/** A new array of so many words, or `undefined` where there is no room for it. */
type Allocate = (words: number) => Int32Array | undefined;

/**
 * Persistent sets of one actor (Godefroid, Partial-Order Methods, 1996, chapter 4), derived from an `Independence`. Allocates per location and lock mask; once
 * there is no room, what is not known by then counts as meeting everything.
 */
export class AloneSteps {
  private readonly independence: Independence;
  private readonly actors: number;
  /** Words of an atom set. */
  private readonly width: number;
  /** Pairs of sets: atoms that somebody who stands at a location may touch from there on, then those among them that he may write. */
  private unions: Int32Array;
  private used: number;
  private readonly allocate: Allocate;
  /** Nothing more is built from then on, so that a state is judged alike whenever it is met again. */
  private full = false;
  /** Mask of held locks → by location 1 + offset into `unions`, 0 = not built yet. `free` is that of no lock. */
  private readonly rows = new Map<number, Int32Array>();
  private readonly free: Int32Array;
  private lastHeld = 0;
  private lastRow: Int32Array | undefined;
  /**
   * Of the state at hand, filled when the first actor needs it: where all stand, the offsets of what they may touch from there on, and the pairs of sets that
   * one actor at least, and two at least, may touch.
   */
  private readonly places: Int32Array;
  private readonly offsets: Int32Array;
  private readonly once: Int32Array;
  private readonly twice: Int32Array;

  constructor(independence: Independence, actors: number, allocate: Allocate) {
    this.allocate = allocate;
    this.independence = independence;
    this.actors = actors;
    this.width = independence.locations.reduce((most, { footprint }) => Math.max(most, footprint.reads.length, footprint.writes.length), 1);
    this.unions = new Int32Array(2 * this.width * FIRST_UNIONS);
    this.used = 2 * this.width;
    this.places = new Int32Array(actors);
    this.offsets = new Int32Array(actors);
    this.once = new Int32Array(2 * this.width);
    this.twice = new Int32Array(2 * this.width);
    this.free = new Int32Array(independence.locations.length);
    this.lastRow = this.free;
  }

  /**
   * The first actor, of all in turn from `first` on without the first `tried` of them, whose next step can be taken before all others' if it is enabled; -1
   * when there is none.
   */
  next(state: Int32Array, first: number, tried: number): number {
    const { independence, actors } = this;
    let placed = false;
    for (let turn = tried; turn < actors; turn++) {
      const actor = first + turn < actors ? first + turn : first + turn - actors;
      const footprint = independence.footprint(state, actor);
      if (footprint === undefined || footprint.visible) continue;
      // One after the other there is nobody else to meet.
      if (footprint.reads.length === 0 && footprint.writes.length === 0) return actor;
      if (!placed && !this.place(state)) return -1;
      placed = true;
      if (!this.meetsOthers(actor, footprint)) return actor;
      // Whoever holds a lock keeps those who need it where they are, and meets less.
      const held = independence.held(state, actor);
      if (held !== 0 && !this.meetsThoseWhoCanMove(actor, held, footprint)) return actor;
    }
    return -1;
  }

  /** False when somebody's future could not be built. */
  private place(state: Int32Array): boolean {
    const { independence, actors, places, offsets, free } = this;
    for (let actor = 0; actor < actors; actor++) {
      const place = independence.at(state, actor);
      places[actor] = place;
      if (place < 0) offsets[actor] = NOTHING;
      else offsets[actor] = free[place] === 0 ? this.build(free, 0, place) : free[place] - 1;
      if (offsets[actor] < 0) return false;
    }
    if (this.width === 1) this.countOneWord();
    else this.count();
    return true;
  }

  private countOneWord(): void {
    const { actors, offsets, unions, once, twice } = this;
    let touched = 0;
    let touchedTwice = 0;
    let written = 0;
    let writtenTwice = 0;
    for (let actor = 0; actor < actors; actor++) {
      const offset = offsets[actor];
      const touches = unions[offset];
      const writes = unions[offset + 1];
      touchedTwice |= touched & touches;
      touched |= touches;
      writtenTwice |= written & writes;
      written |= writes;
    }
    once[0] = touched;
    once[1] = written;
    twice[0] = touchedTwice;
    twice[1] = writtenTwice;
  }

  private count(): void {
    const { actors, offsets, unions, once, twice, width } = this;
    for (let word = 0; word < 2 * width; word++) {
      let one = 0;
      let two = 0;
      for (let actor = 0; actor < actors; actor++) {
        const atoms = unions[offsets[actor] + word];
        two |= one & atoms;
        one |= atoms;
      }
      once[word] = one;
      twice[word] = two;
    }
  }

  /** An atom is touched by others when two may touch it, or one may and it is not this actor alone. */
  private meetsOthers(actor: number, footprint: Footprint): boolean {
    const { once, twice, width, unions } = this;
    const { reads, writes } = footprint;
    const own = this.offsets[actor];
    if (width === 1) {
      const touched = twice[0] | (once[0] & ~unions[own]);
      const written = twice[1] | (once[1] & ~unions[own + 1]);
      return ((writes[0] & touched) | (reads[0] & written)) !== 0;
    }
    for (let word = 0; word < writes.length; word++) {
      if ((writes[word] & (twice[word] | (once[word] & ~unions[own + word]))) !== 0) return true;
    }
    for (let word = 0; word < reads.length; word++) {
      const at = width + word;
      if ((reads[word] & (twice[at] | (once[at] & ~unions[own + at]))) !== 0) return true;
    }
    return false;
  }

  private meetsThoseWhoCanMove(actor: number, held: number, footprint: Footprint): boolean {
    const { places, actors } = this;
    const row = held === this.lastHeld ? this.lastRow : this.rowFor(held);
    if (row === undefined) return true;
    for (let other = 0; other < actors; other++) {
      const place = places[other];
      if (other === actor || place < 0) continue;
      const offset = row[place] === 0 ? this.build(row, held, place) : row[place] - 1;
      if (offset < 0 || this.meets(offset, footprint)) return true;
    }
    return false;
  }

  private meets(offset: number, footprint: Footprint): boolean {
    const { unions, width } = this;
    const { reads, writes } = footprint;
    for (let word = 0; word < writes.length; word++) if ((writes[word] & unions[offset + word]) !== 0) return true;
    for (let word = 0; word < reads.length; word++) if ((reads[word] & unions[offset + width + word]) !== 0) return true;
    return false;
  }

  private rowFor(held: number): Int32Array | undefined {
    let row = this.rows.get(held);
    if (row === undefined) {
      row = this.full ? undefined : this.allocate(this.independence.locations.length);
      if (row === undefined) this.full = true;
      else this.rows.set(held, row);
    }
    this.lastHeld = held;
    this.lastRow = row;
    return row;
  }

  /** What an actor that stands at `place` may touch while somebody else holds `held`; its offset, -1 when there is no room for it. */
  private build(row: Int32Array, held: number, place: number): number {
    const { locations } = this.independence;
    const offset = this.used;
    if (offset + 2 * this.width > this.unions.length) {
      const larger = this.full ? undefined : this.allocate(this.unions.length * 2);
      if (larger === undefined) {
        this.full = true;
        return -1;
      }
      larger.set(this.unions);
      this.unions = larger;
    }
    this.used += 2 * this.width;
    const seen = new Uint8Array(locations.length);
    const open = [place];
    seen[place] = 1;
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const { footprint, acquires, next } = locations[at];
      if ((acquires & held) !== 0) continue;
      this.add(offset, footprint.reads);
      this.add(offset, footprint.writes);
      this.add(offset + this.width, footprint.writes);
      for (const after of next) {
        if (seen[after] !== 0) continue;
        seen[after] = 1;
        open.push(after);
      }
    }
    row[place] = offset + 1;
    return offset;
  }

  private add(offset: number, atoms: AtomSet): void {
    for (let word = 0; word < atoms.length; word++) this.unions[offset + word] |= atoms[word];
  }
}
