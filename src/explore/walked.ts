// Remembers states from which a chain of alone-steps was followed to its end: many chains run into each other, and what lies behind the meeting point was told
// and stored the first time. It forgets freely, for then a chain is only followed again; so it is small and each look-up is one place.

import { hashOf, type StateStore } from "./store.ts";

const FIRST_ENTRIES = 1 << 8;
const MOST_BYTES = 4 << 20;

export class WalkedStates {
  private readonly store: StateStore;
  private readonly words: number;
  private readonly most: number;
  /** Entries of [number of the chain, state…]; chains count from 1. */
  private entries: Int32Array | undefined;
  private capacity = 0;
  private chain = 0;

  constructor(store: StateStore) {
    this.store = store;
    this.words = store.words;
    this.most = MOST_BYTES / 4 / (store.words + 1);
    this.grow(FIRST_ENTRIES);
  }

  /** A new chain: what it met itself does not count as followed before, for it may go round in a circle and has stored nothing yet. */
  begin(): void {
    this.chain = (this.chain + 1) & 0x7fff_ffff || 1;
    if (this.chain > this.capacity && this.capacity > 0 && this.capacity * 2 <= this.most) this.grow(this.capacity * 2);
  }

  /** Whether an earlier chain went through this state; notes that this one does. */
  meets(state: Int32Array): boolean {
    const { entries, words, chain } = this;
    if (entries === undefined) return false;
    const base = (hashOf(state, words) & (this.capacity - 1)) * (words + 1);
    let word = 0;
    while (word < words && entries[base + 1 + word] === state[word]) word += 1;
    if (word === words && entries[base] !== 0) return entries[base] !== chain;
    entries[base] = chain;
    for (; word < words; word++) entries[base + 1 + word] = state[word];
    return false;
  }

  /** Starts anew with more room; where there is none, it stays as it is. */
  private grow(capacity: number): void {
    const larger = this.store.spare(capacity * (this.words + 1));
    if (larger === undefined) return;
    if (this.entries !== undefined) this.store.bytes -= this.entries.length * 4;
    this.entries = larger;
    this.capacity = capacity;
  }
}
