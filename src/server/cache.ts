// Answers by key, the ones used last kept longest, bounded by number and by bytes.

export interface Bounds {
  readonly entries: number;
  readonly bytes: number;
}

export class Cache<T> {
  readonly #bounds: Bounds;
  /** True while the answer is in use: without it the work would be done again at once. */
  readonly #needed: (key: string) => boolean;
  /** Insertion order = age of last use. */
  readonly #entries = new Map<string, { readonly value: T; readonly bytes: number }>();
  #bytes = 0;

  constructor(bounds: Bounds, needed: (key: string) => boolean = () => false) {
    this.#bounds = bounds;
    this.#needed = needed;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** `bytes`: about what `value` takes. The oldest that nobody needs make room; what was just set stays. */
  set(key: string, value: T, bytes: number): void {
    this.delete(key);
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    if (!this.#full) return;
    for (const old of this.#entries.keys()) {
      if (!this.#full) break;
      if (old !== key && !this.#needed(old)) this.delete(old);
    }
  }

  delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }

  get #full(): boolean {
    return this.#entries.size > this.#bounds.entries || this.#bytes > this.#bounds.bytes;
  }
}
