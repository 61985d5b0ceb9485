// What the trace's numbers stand for while it is read: descriptors per process, mappings per address space, and threads that share them.

import type { Item } from "./items.ts";

/** Memory with content: one inode. */
export interface FileFacts {
  /** The content is not known from the trace: it was written through a mapping, by a guest, or strace cut the data. */
  opaque: boolean;
  /** Its name is not in the trace, or only the beginning of it. */
  readonly nameless?: boolean;
}

export interface Thing {
  readonly kind: "memfd" | "guest_memfd" | "vm" | "vcpu" | "kvm";
  readonly name: string;
  /** A statement binds the name. Otherwise the trace lacks something, and what uses it stays a comment. */
  readonly bound: boolean;
  readonly file: FileFacts;
  /** Close-on-exec. */
  cloexec: boolean;
  /** Numbers and tables of one process that hold it; the last `close` is the one that counts. */
  holders: number;
  /** The number and the VM of a vCPU. */
  readonly id?: bigint;
}

export interface Mapping {
  readonly name: string;
  readonly start: bigint;
  readonly file: FileFacts | undefined;
  prot: bigint;
  /** The address space it was made in; a process that `fork` made has a copy. */
  readonly home: Space;
  /** The statement that makes it, and what was done to it. All are asides until something uses it. */
  readonly items: Item[];
  used: boolean;
  readonly bound: boolean;
}

interface Range {
  readonly from: bigint;
  readonly to: bigint;
  readonly mapping: Mapping;
}

const MAX_RANGES = 20_000;

export class Space {
  /** Sorted, disjoint. */
  #ranges: Range[] = [];

  at(address: bigint): Mapping | undefined {
    const index = this.#first(address);
    const range = this.#ranges[index];
    return range !== undefined && range.from <= address ? range.mapping : undefined;
  }

  /** Mappings that hold a part of the range, with that part. */
  within(from: bigint, to: bigint): { readonly mapping: Mapping; readonly from: bigint; readonly to: bigint }[] {
    const found = [];
    for (let i = this.#first(from); i < this.#ranges.length && this.#ranges[i].from < to; i++) {
      const range = this.#ranges[i];
      found.push({ mapping: range.mapping, from: range.from > from ? range.from : from, to: range.to < to ? range.to : to });
    }
    return found;
  }

  remove(from: bigint, to: bigint): void {
    const first = this.#first(from);
    let last = first;
    const rest: Range[] = [];
    while (last < this.#ranges.length && this.#ranges[last].from < to) {
      const range = this.#ranges[last++];
      if (range.from < from) rest.push({ ...range, to: from });
      if (range.to > to) rest.push({ ...range, from: to });
    }
    this.#ranges.splice(first, last - first, ...rest);
  }

  add(from: bigint, to: bigint, mapping: Mapping): void {
    this.remove(from, to);
    if (this.#ranges.length >= MAX_RANGES || to <= from) return;
    this.#ranges.splice(this.#first(from), 0, { from, to, mapping });
  }

  clone(): Space {
    const copy = new Space();
    copy.#ranges = [...this.#ranges];
    return copy;
  }

  clear(): void {
    this.#ranges = [];
  }

  /** Index of the first range that ends above the address. */
  #first(address: bigint): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ranges[middle].to <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A process that `fork` made, or the first one; threads share theirs. */
export interface Process {
  readonly parent: Process | undefined;
  /** Its first thread, and the one that made it. */
  readonly main: number;
  readonly maker: number;
  /** The call that made it. */
  fork: Item | undefined;
  /** Of one that the scenario has beside its main process. */
  name: string | undefined;
}

export interface Task {
  readonly id: number;
  readonly process: Process;
  files: Map<number, Thing>;
  space: Space;
  /** It shares its address space with the first thread. */
  readonly thread: boolean;
}

const CLONES = new Set(["clone", "clone3", "fork", "vfork"]);
const MAX_TASKS = 10_000;

/** Threads and processes. One that appears before the call that makes it has returned is the child of the one that is in such a call. */
export class Tasks {
  readonly #tasks = new Map<number, Task>();
  readonly #cloning = new Map<number, string>();
  readonly #adopted = new Map<number, number>();

  get(id: number): Task {
    const known = this.#tasks.get(id);
    if (known !== undefined) return known;
    const first = this.#tasks.values().next().value;
    if (this.#tasks.size >= MAX_TASKS && first !== undefined) return first;
    const parent = [...this.#cloning.keys()].at(-1);
    const flags = parent === undefined ? "CLONE_VM|CLONE_FILES" : (this.#cloning.get(parent) ?? "");
    if (parent !== undefined) {
      this.#cloning.delete(parent);
      this.#adopted.set(parent, id);
    }
    return this.#make(id, parent === undefined ? first : this.#tasks.get(parent), flags);
  }

  find(id: number): Task | undefined {
    return this.#tasks.get(id);
  }

  all(): readonly Task[] {
    return [...this.#tasks.values()];
  }

  begin(task: number, name: string, line: string): void {
    if (CLONES.has(name)) this.#cloning.set(task, name === "clone" || name === "clone3" ? line : name === "vfork" ? "CLONE_VM" : "");
  }

  /** The thread or the first thread of the process that the call made; undefined where it made none, `"other"` for another call. */
  end(task: number, name: string, line: string, child: number | undefined): Task | "other" | undefined {
    if (!CLONES.has(name)) return "other";
    this.#cloning.delete(task);
    const adopted = this.#adopted.get(task);
    this.#adopted.delete(task);
    const known = adopted ?? child;
    if (known === undefined || known === 0) return undefined;
    if (this.#tasks.has(known)) return adopted === undefined ? undefined : this.#tasks.get(adopted);
    return this.#make(known, this.get(task), name === "clone" || name === "clone3" ? line : name === "vfork" ? "CLONE_VM" : "");
  }

  #make(id: number, parent: Task | undefined, flags: string): Task {
    const shared = parent === undefined || flags.includes("CLONE_FILES");
    const thread = parent === undefined || flags.includes("CLONE_VM");
    const forked = parent !== undefined && !shared && !thread;
    const files = parent === undefined ? new Map<number, Thing>() : shared ? parent.files : forked ? copyOf(parent.files) : new Map(parent.files);
    if (!shared && !forked) for (const thing of files.values()) thing.holders++;
    const space = parent === undefined ? new Space() : thread ? parent.space : parent.space.clone();
    const own = (): Process => ({ parent: parent?.process, main: id, maker: parent?.id ?? id, fork: undefined, name: undefined });
    const task: Task = { id, files, space, thread: thread && shared, process: forked || parent === undefined ? own() : parent.process };
    this.#tasks.set(id, task);
    return task;
  }
}

/** The descriptors of a forked child: what it closes is closed there alone. */
function copyOf(files: ReadonlyMap<number, Thing>): Map<number, Thing> {
  const copies = new Map<Thing, Thing>();
  return new Map(
    [...files].map(([number, thing]) => {
      const copy = copies.get(thing) ?? { ...thing, holders: 0 };
      copies.set(thing, copy);
      copy.holders++;
      return [number, copy] as const;
    }),
  );
}
