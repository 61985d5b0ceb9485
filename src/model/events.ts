// What steps report to those who watch: invariants, and the collector of results. A step makes at most a few, and none of them is a new object.

/** What a step reports beside its effect; invariants/ judges it. `a` and `b` are numbers of the model's objects. */
export interface ModelEvent {
  readonly kind:
    | "host-access"
    | "host-pte"
    | "sealed-write"
    | "leftover-read"
    | "install-after-invalidate"
    | "end-without-begin"
    | "begin-without-end"
    | "dangling-pointer"
    | "conversion-torn"
    | "lock-order"
    | "null-dereference"
    | "list-corrupted"
    | "freed-vm"
    | "destroyed-in-progress"
    | "reference-leaked"
    | "unbalanced-put"
    | "migrated"
    | "reclaimed"
    | "kvm-bug"
    | "handed-over-dirty"
    | "poison-read"
    | "integrity-lost"
    | "key-order"
    | "assert-failed"
    | "returned";
  readonly a: number;
  readonly b: number;
}

/** Lists of 0, 1, 2 … events, made once and filled anew by each step. */
export class EventLists {
  readonly none: readonly ModelEvent[] = [];
  readonly #events: { -readonly [Key in keyof ModelEvent]: ModelEvent[Key] }[] = [];
  readonly #lists: (readonly ModelEvent[])[] = [this.none];

  /** The list of the first `count` events and this one behind them. */
  add(count: number, kind: ModelEvent["kind"], a: number, b: number): readonly ModelEvent[] {
    if (count === this.#events.length) {
      this.#events.push({ kind, a, b });
      this.#lists.push(this.#events.slice());
    } else {
      const event = this.#events[count];
      event.kind = kind;
      event.a = a;
      event.b = b;
    }
    return this.#lists[count + 1];
  }
}
