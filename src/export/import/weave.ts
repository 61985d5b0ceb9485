// Items of a trace → text: what ran one after the other stays so, what overlapped becomes a `parallel` with an `order` for each pair that did not.

import type { Item, Runner } from "./items.ts";
import { FOLD_FROM, type Fold, foldText } from "./scene.ts";

/** Statements of one `parallel`: every interleaving of them is explored. */
const MAX_PARALLEL = 12;

export interface Woven {
  readonly lines: readonly string[];
  readonly statements: number;
  readonly comments: number;
  readonly folded: number;
  readonly parallels: number;
  /** Threads by name, in the order of their first statement. */
  readonly threads: ReadonlyMap<number, string>;
  readonly cut: boolean;
  /** Some thread stands for what is half a process. */
  readonly half: boolean;
}

/** A thread of the main process or of the one that is named; `half`: a process that shares something with another one. */
export interface TaskKind {
  readonly kind: "thread" | "half";
  readonly process?: string;
  /** It is the first thread of that process. */
  readonly main?: boolean;
}

interface Member {
  readonly item: Item;
  readonly actor: string;
  label: string;
}

/** Between two lines of the trace. */
const STEP = 1 / 64;

const INDENT = "  ";

export function weave(items: readonly Item[], folds: ReadonlyMap<Item, Fold>, kindOf: (task: number) => TaskKind, all: boolean): Woven {
  return new Weaver(folds, kindOf, all).run(settled(items));
}

/** In the order of the trace. Where that is damaged, a call may have begun before what it uses was made: it is put right behind. */
function settled(items: readonly Item[]): Item[] {
  const makers = new Map(items.flatMap((item) => (item.binds === undefined ? [] : [[item.binds, item] as const])));
  const places = new Map(items.map((item, at) => [item, at] as const));
  const placeOf = (item: Item): number => places.get(item) ?? 0;
  const done = new Set<Item>();
  const settle = (item: Item): void => {
    if (done.has(item)) return;
    done.add(item);
    for (const name of item.uses) {
      const maker = makers.get(name);
      if (maker === undefined) continue;
      settle(maker);
      const early = item.start < maker.end || (item.start === maker.end && placeOf(item) < placeOf(maker));
      if (early && maker !== item) item.start = maker.end + STEP;
    }
    item.end = Math.max(item.end, item.start);
  };
  for (const item of items) settle(item);
  return items
    .map((item, at) => ({ item, at }))
    .sort((a, b) => a.item.start - b.item.start || a.at - b.at)
    .map(({ item }) => item);
}

class Weaver {
  readonly #folds: ReadonlyMap<Item, Fold>;
  readonly #kindOf: (task: number) => TaskKind;
  readonly #all: boolean;
  readonly #lines: string[] = [];
  readonly #threads = new Map<number, string>();
  /** By actor, of those that are not in the main process and not the first thread of theirs: the process. */
  readonly #within = new Map<string, string>();
  #count = 0;
  #half = false;
  #vmm = false;
  readonly #labels = new Map<string, number>();
  #group: (Member | Item)[] = [];
  #members: Member[] = [];
  #groupEnd = -1;
  #asides: { counts: Map<string, number>; lines: string[] } | undefined;
  #statements = 0;
  #comments = 0;
  #folded = 0;
  #parallels = 0;
  #cut = false;

  constructor(folds: ReadonlyMap<Item, Fold>, kindOf: (task: number) => TaskKind, all: boolean) {
    this.#folds = folds;
    this.#all = all;
    this.#kindOf = kindOf;
  }

  run(items: readonly Item[]): Woven {
    for (const item of items) {
      if (item.kind !== "statement") this.#group.push(item);
      else this.#statement(item);
    }
    this.#close();
    this.#flushAsides();
    const counted = {
      statements: this.#statements,
      comments: this.#comments,
      folded: this.#folded,
      parallels: this.#parallels,
      cut: this.#cut,
      half: this.#half,
    };
    return { lines: this.#lines, threads: this.#threads, ...counted };
  }

  #actor(runner: Runner): string {
    if ("vcpu" in runner) return runner.vcpu;
    const known = this.#threads.get(runner.task);
    if (known !== undefined) return known;
    const { kind, process, main } = this.#kindOf(runner.task);
    this.#half ||= kind === "half" && this.#vmm;
    const name = process !== undefined && main ? process : process === undefined && !this.#vmm ? "vmm" : `thread${++this.#count}`;
    this.#vmm ||= name === "vmm";
    if (process !== undefined && !main) this.#within.set(name, process);
    this.#threads.set(runner.task, name);
    return name;
  }

  #statement(item: Item): void {
    const overlaps = item.start < this.#groupEnd;
    const full = this.#members.length >= MAX_PARALLEL;
    if (!overlaps || full) {
      const cut = overlaps && new Set(this.#members.map(({ actor }) => actor)).size > 1;
      this.#close();
      if (cut) {
        this.#cut = true;
        this.#comment("The trace goes on without a pause; it is cut here, and what runs on both sides of the cut is taken for one after the other.");
      }
    }
    this.#statements++;
    const member = { item, actor: this.#actor(item.runner), label: "" };
    this.#members.push(member);
    this.#group.push(member);
    this.#groupEnd = Math.max(this.#groupEnd, item.end);
  }

  #close(): void {
    const group = this.#group;
    const members = this.#members;
    this.#group = [];
    this.#members = [];
    this.#groupEnd = -1;
    const actors = new Set(members.map(({ actor }) => actor));
    if (actors.size > 1) this.#parallel(group, members, actors);
    else for (const each of group) this.#plain(each);
  }

  #plain(each: Member | Item): void {
    if (!("item" in each)) return this.#remark(each);
    this.#flushAsides();
    const text = `${each.actor === "vmm" ? "" : `${each.actor}: `}${statementText(each.item, true)}`;
    const process = this.#within.get(each.actor);
    if (process === undefined) this.#lines.push(`${INDENT}${text}`);
    else this.#lines.push(`${INDENT}process ${process} {`, `${INDENT}${INDENT}${text}`, `${INDENT}}`);
  }

  /** Comments that stand between calls of a `parallel` stand in front of it. */
  #parallel(group: readonly (Member | Item)[], members: readonly Member[], actors: ReadonlySet<string>): void {
    this.#parallels++;
    for (const each of group) if (!("item" in each)) this.#remark(each);
    this.#flushAsides();
    const orders = ordersOf(members);
    for (const member of members) if (member.item.result !== undefined) member.label = this.#label(member);
    for (const pair of orders) for (const member of pair) if (member.label === "") member.label = this.#label(member);
    this.#lines.push(`${INDENT}parallel {`);
    for (const { actor, run } of blocks(members, [...actors])) {
      const process = this.#within.get(actor);
      this.#lines.push(`${INDENT}${INDENT}${process === undefined ? "" : `process ${process} { `}${actor} {`);
      for (const { item, label } of run) this.#lines.push(`${INDENT.repeat(3)}${statementText(item, false, label)}`);
      this.#lines.push(`${INDENT}${INDENT}}${process === undefined ? "" : " }"}`);
    }
    for (const [before, after] of orders) this.#lines.push(`${INDENT}${INDENT}order ${before.label} before ${after.label}`);
    this.#lines.push(`${INDENT}}`);
    const seen = members.filter(({ item }) => item.result !== undefined).map(({ item, label }) => `result(${label}) == ${plainResult(item.result as string)}`);
    if (seen.length > 0) this.#lines.push(`${INDENT}exists ${seen.join(` &&\n${INDENT}`)}`);
  }

  #label({ item }: Member): string {
    const name = `line${Math.floor(item.start)}`;
    const count = (this.#labels.get(name) ?? 0) + 1;
    this.#labels.set(name, count);
    return count === 1 ? name : `${name}_${count}`;
  }

  #remark(item: Item): void {
    const fold = this.#folds.get(item);
    if (fold === undefined && item.kind === "comment") {
      this.#flushAsides();
      this.#comments++;
      return this.#comment(item.text);
    }
    if (this.#all) {
      this.#folded++;
      return this.#comment(item.line ?? item.text);
    }
    this.#asides ??= { counts: new Map(), lines: [] };
    const { counts, lines } = this.#asides;
    for (const [what, count] of fold?.counts ?? [[item.what, 1] as const]) {
      counts.set(what, (counts.get(what) ?? 0) + count);
      this.#folded += count;
    }
    for (const line of fold?.lines ?? [item.line ?? item.text]) if (lines.length < FOLD_FROM) lines.push(line);
  }

  #flushAsides(): void {
    const asides = this.#asides;
    this.#asides = undefined;
    if (asides !== undefined) for (const line of foldText(asides).split("\n")) this.#comment(line);
  }

  #comment(text: string): void {
    this.#lines.push(`${INDENT}// ${text}`.trimEnd());
  }
}

function statementText(item: Item, checked: boolean, label = ""): string {
  const binds = item.binds === undefined ? "" : `${item.binds} = `;
  const result = checked && item.result !== undefined ? ` = ${item.result}` : "";
  return `${binds}${item.text}${result}${label === "" ? "" : ` @${label}`}${item.note === undefined ? "" : `  // ${item.note}`}`;
}

/** Beside `==` the count stands without its data. */
const plainResult = (result: string): string => (/^\d+ "/.test(result) ? result.slice(0, result.indexOf(" ")) : result.includes("|") ? `(${result})` : result);

/** The pairs of the group that did not overlap, without those that follow from others or from the order of a thread. */
function ordersOf(members: readonly Member[]): (readonly [Member, Member])[] {
  const orders: (readonly [Member, Member])[] = [];
  const clocks: Map<string, number>[] = [];
  const last = new Map<string, number>();
  for (const [at, member] of members.entries()) {
    const previous = last.get(member.actor);
    const clock = new Map(previous === undefined ? [] : clocks[previous]);
    if (previous !== undefined) clock.set(member.actor, previous);
    const earlier = new Map<string, number>();
    for (let i = 0; i < at; i++) if (members[i].actor !== member.actor && members[i].item.end < member.item.start) earlier.set(members[i].actor, i);
    for (const [actor, i] of [...earlier].sort((a, b) => members[b[1]].item.end - members[a[1]].item.end)) {
      if ((clock.get(actor) ?? -1) >= i) continue;
      orders.push([members[i], member]);
      for (const [other, seen] of clocks[i]) if ((clock.get(other) ?? -1) < seen) clock.set(other, seen);
      clock.set(actor, i);
    }
    clocks.push(clock);
    last.set(member.actor, at);
  }
  return orders;
}

/** One block for each actor; a second one only where a name must be bound above first. */
function blocks(members: readonly Member[], actors: readonly string[]): { actor: string; run: Member[] }[] {
  const queues = new Map(actors.map((actor) => [actor, members.filter((member) => member.actor === actor)]));
  const unbound = new Set(members.flatMap(({ item }) => (item.binds === undefined ? [] : [item.binds])));
  const found: { actor: string; run: Member[] }[] = [];
  while (queues.size > 0) {
    let moved = false;
    for (const [actor, queue] of queues) {
      let count = 0;
      while (count < queue.length && queue[count].item.uses.every((name) => !unbound.has(name)) && !unbound.has(actor)) {
        const { binds } = queue[count++].item;
        if (binds !== undefined) unbound.delete(binds);
      }
      if (count === 0) continue;
      moved = true;
      const run = queue.splice(0, count);
      if (found.at(-1)?.actor === actor) found.at(-1)?.run.push(...run);
      else found.push({ actor, run });
      if (queue.length === 0) queues.delete(actor);
    }
    // A trace that binds a name after its use is broken; what is left is written as it stands, without the wait.
    if (!moved) unbound.clear();
  }
  return found;
}
