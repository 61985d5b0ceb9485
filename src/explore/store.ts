// The set of states that a search has seen, which is at the same time its queue: records of `words` + 2 in the order of insertion, and a hash table over them.
// A record is [parent, action, state…]. Nothing is allocated per state; records lie in chunks, so no single array grows with the search. States come one by
// one, or many at once: then the memory that their look-ups need is asked for together, so that the waits for it overlap.

/** `insert` answers this when the store is full; `limit` says of what. */
export const FULL = -0x8000_0000;

const HEADER = 2;
const FIRST_STATES = 128;
const FIRST_TABLE_BITS = 8;
const MAX_TABLE_BITS = 29;
const CHUNK_BYTES = 4 << 20;
/** Shares of the table that may be taken before it grows, and when there is no memory to grow it. */
const LOAD = 0.6;
const TIGHT_LOAD = 0.9;

/**
 * MurmurHash3 (x86, 32 bits) over whole words. Each word is mixed by itself before it meets the hash, so the products of several words overlap; the last lines
 * spread every difference into the top bits, from which the table takes its index.
 */
export function hashOf(state: Int32Array, words: number): number {
  let hash = 0;
  for (let i = 0; i < words; i++) {
    let word = Math.imul(state[i], 0xcc9e_2d51);
    word = Math.imul((word << 15) | (word >>> 17), 0x1b87_3593);
    hash ^= word;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe654_6b64) | 0;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}

/** A new array, or `undefined` where there is no memory for it. */
export function allocate(words: number): Int32Array | undefined {
  try {
    return new Int32Array(words);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** At most so many states wait for `insertAll`: enough that their cache misses overlap, few enough that the states themselves stay in the first cache. */
const MOST_WAITING = 256;

/** States that were reached and are not yet looked up, in the order in which they were reached. */
export class Batch {
  /** The first `count` are in use, and one behind them is there to be written. */
  readonly states: Int32Array[] = [];
  readonly parents = new Int32Array(MOST_WAITING);
  readonly actions = new Int32Array(MOST_WAITING);
  readonly hashes = new Int32Array(MOST_WAITING);
  count = 0;
  /** The parent of the state for which there was no room. */
  refused = -1;
  private readonly store: StateStore;

  constructor(store: StateStore) {
    this.store = store;
    this.states.push(new Int32Array(store.words));
  }

  /** Keeps `states[count]`, and has the next one ready. True when it is full: then insert all before the next one. */
  push(parent: number, action: number): boolean {
    const count = this.count;
    this.parents[count] = parent;
    this.actions[count] = action;
    this.count = count + 1;
    if (count + 1 === MOST_WAITING) return true;
    if (count + 1 < this.states.length) return false;
    const next = this.store.spare(this.store.words);
    if (next !== undefined) this.states.push(next);
    return next === undefined;
  }
}

export class StateStore {
  readonly words: number;
  /** States in the store; they are numbered from 0 in the order of insertion. */
  count = 0;
  /** Bytes of records and table together. */
  bytes = 0;
  limit: "states" | "memory" | undefined = undefined;

  private readonly maxStates: number;
  private readonly maxBytes: number;
  private readonly stride: number;
  private readonly chunkShift: number;
  private readonly chunkMask: number;
  private readonly chunks: Int32Array[] = [];
  /** Records for which there is room. */
  private capacity = 0;
  /** Pairs [hash, number + 1]; 0 in the second place = free. */
  private table: Int32Array = new Int32Array(0);
  private tableShift = 32;
  private growAt = 0;
  /** Keeps the reads that only fetch memory from being optimised away. */
  fetched = 0;

  constructor(words: number, maxStates: number, maxBytes: number) {
    this.words = words;
    this.maxStates = Math.min(maxStates, 0x7fff_fff0);
    this.maxBytes = maxBytes;
    this.stride = words + HEADER;
    this.chunkShift = Math.max(0, Math.floor(Math.log2(CHUNK_BYTES / (this.stride * 4))));
    this.chunkMask = (1 << this.chunkShift) - 1;
  }

  /** The number of the state if it is new; `~number` if it was known, which leaves its parent as it is; `FULL` if there is no room for it. */
  insert(state: Int32Array, parent: number, action: number): number {
    const words = this.words;
    const hash = hashOf(state, words);
    const table = this.table;
    if (table.length === 0) return this.append(state, hash, parent, action);
    const mask = table.length - 1;
    let slot = (hash >>> this.tableShift) << 1;
    for (;;) {
      const entry = table[slot + 1];
      if (entry === 0) break;
      if (table[slot] === hash && this.holds(entry - 1, state)) return ~(entry - 1);
      slot = (slot + 2) & mask;
    }
    return this.append(state, hash, parent, action);
  }

  /** Inserts all of a batch, in order, and empties it; false when there was no room for one of them. */
  insertAll(batch: Batch): boolean {
    const { states, parents, actions, hashes, count } = batch;
    const words = this.words;
    batch.count = 0;
    this.fetch(states, hashes, count);
    let table = this.table;
    let mask = table.length - 1;
    let shift = this.tableShift;
    const { chunks, chunkShift, chunkMask, stride } = this;
    for (let at = 0; at < count; at++) {
      const hash = hashes[at];
      const state = states[at];
      let known = false;
      // A table without slots has nothing to look up; `append` makes the first one.
      for (let slot = (hash >>> shift) << 1; mask > 0; slot = (slot + 2) & mask) {
        const entry = table[slot + 1];
        if (entry === 0) break;
        if (table[slot] !== hash) continue;
        const chunk = chunks[(entry - 1) >>> chunkShift];
        const base = ((entry - 1) & chunkMask) * stride + HEADER;
        let word = 0;
        while (word < words && chunk[base + word] === state[word]) word += 1;
        known = word === words;
        if (known) break;
      }
      if (known) continue;
      if (this.append(state, hash, parents[at], actions[at]) === FULL) {
        batch.refused = parents[at];
        return false;
      }
      if (this.table !== table) {
        table = this.table;
        mask = table.length - 1;
        shift = this.tableShift;
      }
    }
    return true;
  }

  /** Hashes the states and touches the slots and records that their look-ups will read: reads that depend on nothing wait for memory together. */
  private fetch(states: readonly Int32Array[], hashes: Int32Array, count: number): void {
    const { words, table, tableShift, chunks, chunkShift, chunkMask, stride } = this;
    let fetched = 0;
    for (let at = 0; at < count; at++) {
      const hash = hashOf(states[at], words);
      hashes[at] = hash;
      if (table.length > 0) fetched ^= table[(hash >>> tableShift) << 1];
    }
    if (this.count > this.chunkMask) {
      for (let at = 0; at < count; at++) {
        const slot = (hashes[at] >>> tableShift) << 1;
        if (table[slot] !== hashes[at]) continue;
        const entry = table[slot + 1];
        if (entry !== 0) fetched ^= chunks[(entry - 1) >>> chunkShift][((entry - 1) & chunkMask) * stride + HEADER];
      }
    }
    this.fetched = fetched;
  }

  /** Whether record `number` is this state. */
  holds(number: number, state: Int32Array): boolean {
    const chunk = this.chunks[number >>> this.chunkShift];
    const base = (number & this.chunkMask) * this.stride + HEADER;
    const words = this.words;
    for (let i = 0; i < words; i++) if (chunk[base + i] !== state[i]) return false;
    return true;
  }

  load(number: number, into: Int32Array): void {
    const chunk = this.chunks[number >>> this.chunkShift];
    const base = (number & this.chunkMask) * this.stride + HEADER;
    const words = this.words;
    for (let i = 0; i < words; i++) into[i] = chunk[base + i];
  }

  /** The state from which this one was first reached; -1 for the first. */
  parent(number: number): number {
    return this.chunks[number >>> this.chunkShift][(number & this.chunkMask) * this.stride];
  }

  /** What the caller gave as `action` when the state was new. */
  action(number: number): number {
    return this.chunks[number >>> this.chunkShift][(number & this.chunkMask) * this.stride + 1];
  }

  private append(state: Int32Array, hash: number, parent: number, action: number): number {
    const number = this.count;
    if (number >= this.maxStates) return this.refuse("states");
    if (number >= this.growAt && !this.growTable()) return this.refuse("memory");
    if (number >= this.capacity && !this.growRecords()) return this.refuse("memory");
    const chunk = this.chunks[number >>> this.chunkShift];
    const base = (number & this.chunkMask) * this.stride;
    const words = this.words;
    chunk[base] = parent;
    chunk[base + 1] = action;
    for (let i = 0; i < words; i++) chunk[base + HEADER + i] = state[i];
    const table = this.table;
    const mask = table.length - 1;
    let slot = (hash >>> this.tableShift) << 1;
    while (table[slot + 1] !== 0) slot = (slot + 2) & mask;
    table[slot] = hash;
    table[slot + 1] = number + 1;
    this.count = number + 1;
    return number;
  }

  private refuse(limit: "states" | "memory"): number {
    this.limit = limit;
    return FULL;
  }

  /** A new array if it fits beside all that is held now, its bytes counted: while one replaces another, both are there. */
  spare(words: number): Int32Array | undefined {
    if (this.bytes + words * 4 > this.maxBytes) return undefined;
    const array = allocate(words);
    if (array !== undefined) this.bytes += words * 4;
    return array;
  }

  /** The same, where nothing can go on without it: no room is noted as the limit. */
  beside(words: number): Int32Array | undefined {
    const array = this.spare(words);
    if (array === undefined) this.limit = "memory";
    return array;
  }

  private growRecords(): boolean {
    const whole = this.chunkMask + 1;
    // The first chunk starts small and doubles: most scenarios have a few hundred states, and a file may hold hundreds of scenarios.
    const states = this.capacity === 0 ? Math.min(FIRST_STATES, whole) : Math.min(this.capacity * 2, whole);
    const chunk = this.spare(states * this.stride);
    if (chunk === undefined) return false;
    if (this.capacity < whole && this.chunks.length > 0) {
      chunk.set(this.chunks[0]);
      this.bytes -= this.chunks[0].length * 4;
      this.chunks[0] = chunk;
      this.capacity = states;
    } else {
      this.chunks.push(chunk);
      this.capacity += states;
    }
    return true;
  }

  private growTable(): boolean {
    const old = this.table;
    const bits = old.length === 0 ? FIRST_TABLE_BITS : 32 - this.tableShift + 1;
    const table = bits > MAX_TABLE_BITS ? undefined : this.spare(2 << bits);
    if (table === undefined) {
      const tight = Math.floor((old.length >>> 1) * TIGHT_LOAD);
      const relaxed = tight > this.growAt;
      this.growAt = tight;
      return relaxed;
    }
    // Slot order: the top bits are the index, so old and new table are both walked upwards and neither misses the cache.
    const mask = table.length - 1;
    const shift = 32 - bits;
    for (let from = 0; from < old.length; from += 2) {
      const entry = old[from + 1];
      if (entry === 0) continue;
      let slot = (old[from] >>> shift) << 1;
      while (table[slot + 1] !== 0) slot = (slot + 2) & mask;
      table[slot] = old[from];
      table[slot + 1] = entry;
    }
    this.table = table;
    this.tableShift = shift;
    this.growAt = Math.floor((1 << bits) * LOAD);
    this.bytes -= old.length * 4;
    return true;
  }
}
