// What the reader of a trace writes into: statements, comments and asides in the order of the trace, and the things that its numbers stand for.

import { flagNames } from "../../scenario/catalogue/index.ts";
import { printInt } from "../../scenario/print.ts";
import { numberOf, type Outcome, type TracedCall } from "./call.ts";
import { commentText, type Item, type Runner } from "./items.ts";
import { Names } from "./names.ts";
import type { Value } from "./value.ts";
import { type Mapping, type Task, Tasks, type Thing } from "./world.ts";

/** More than the language reads as one scenario, and far more than anybody reads; what comes behind is cut off, which the head says. */
export const MAX_STATEMENTS = 3000;
const MAX_ITEMS = 60_000;
const MAX_CHARACTERS = 500_000;
/** Asides in a row that stay as they are. */
export const FOLD_FROM = 3;

/** Lines about something else, one behind the other. */
export interface Fold {
  readonly item: Item;
  readonly counts: Map<string, number>;
  readonly lines: string[];
}

/** One statement while it is written: the names it uses, and what the trace lacks for it. */
export class Draft {
  readonly uses: string[] = [];
  missing: string | undefined;

  name(thing: Thing): string {
    if (!thing.bound) this.missing ??= thing.name;
    this.uses.push(thing.name);
    return thing.name;
  }

  /** An address inside a mapping; from now on the mapping is part of the scenario. */
  address(mapping: Mapping, address: bigint): string {
    use(mapping);
    if (!mapping.bound) this.missing ??= mapping.name;
    this.uses.push(mapping.name);
    const offset = address - mapping.start;
    return offset === 0n ? mapping.name : `${mapping.name} + ${hex(offset)}`;
  }
}

export const hex = (value: bigint): string => (value < 0n ? printInt(value) : value === 0n ? "0" : `0x${value.toString(16)}`);

function use(mapping: Mapping): void {
  if (mapping.used) return;
  mapping.used = true;
  for (const item of mapping.items) if (item.kind === "aside") item.kind = mapping.bound ? "statement" : "comment";
}

export interface Put {
  readonly runner?: Runner;
  readonly result?: string;
  readonly binds?: string;
  readonly note?: string;
  /** Only an aside until something uses this mapping. */
  readonly latent?: Mapping;
  readonly what?: string;
}

export class Scene {
  readonly items: Item[] = [];
  readonly names = new Names();
  readonly tasks = new Tasks();
  /** Row of the catalogue whose constants and calls are used. */
  readonly base: string;
  readonly #keepAll: boolean;
  /** What lines about something else were folded into a comment. */
  readonly folds = new Map<Item, Fold>();
  readonly #closed = new WeakMap<Map<number, Thing>, Map<number, Thing>>();
  #fold: Fold | undefined;
  #characters = 0;
  #statements = 0;
  /** vCPUs and the first VM that the trace makes, and how many memory slots it sets. */
  readonly vcpus = new Map<bigint, string>();
  vm: string | undefined;
  regions = 0;
  /** Basename of the program, where the trace has its `execve`. */
  program: string | undefined;

  constructor(base: string, keepAll: boolean) {
    this.base = base;
    this.#keepAll = keepAll;
  }

  get full(): boolean {
    return this.#statements >= MAX_STATEMENTS || this.items.length >= MAX_ITEMS || this.#characters >= MAX_CHARACTERS;
  }

  flags(group: string, value: bigint): string {
    return flagNames(group, value, this.base);
  }

  /** A statement, or where something that it uses is not in the trace a comment with the statement in it. */
  put(call: Pick<TracedCall, "task" | "name" | "start" | "end" | "line">, draft: Draft, text: string, more: Put = {}): Item {
    const { missing } = draft;
    const { runner = { task: call.task }, result, binds, note, latent, what = call.name } = more;
    const place = { runner, start: call.start, end: call.end, what };
    const equals = result === undefined ? "" : ` = ${result}`;
    const item: Item =
      missing === undefined
        ? {
            kind: latent?.used === false ? "aside" : "statement",
            ...place,
            text,
            uses: draft.uses,
            ...(result === undefined ? {} : { result }),
            ...(binds === undefined ? {} : { binds }),
            ...(note === undefined ? {} : { note: commentText(note) }),
            ...(latent === undefined ? {} : { line: commentText(call.line) }),
          }
        : { kind: "comment", ...place, text: commentText(`${binds === undefined ? "" : `${binds} = `}${text}${equals} (${missing} is not made)`), uses: [] };
    latent?.items.push(item);
    this.#push(item);
    return item;
  }

  /** A line that concerns the scenario and has no statement. */
  comment(call: Pick<TracedCall, "task" | "name" | "start" | "end" | "line">, why?: string): void {
    const text = commentText(why === undefined ? call.line : `${call.line}  (${why})`);
    this.#push({ kind: "comment", runner: { task: call.task }, start: call.start, end: call.end, text, uses: [], what: call.name });
  }

  /** A line about something else. */
  aside(task: number, number: number, line: string, what: string): void {
    const fold = this.#fold;
    if (fold !== undefined && this.items.at(-1) === fold.item && !this.#keepAll) {
      fold.counts.set(what, (fold.counts.get(what) ?? 0) + 1);
      if (fold.lines.length < FOLD_FROM) fold.lines.push(commentText(line));
      return;
    }
    const item: Item = { kind: "comment", runner: { task }, start: number, end: number, text: commentText(line), uses: [], what };
    this.#fold = { item, counts: new Map([[what, 1]]), lines: [item.text] };
    this.folds.set(item, this.#fold);
    this.#characters += item.text.length;
    this.items.push(item);
  }

  /** An item that is made elsewhere. */
  add(item: Item): void {
    this.#push(item);
  }

  #push(item: Item): void {
    this.#characters += item.text.length + (item.result?.length ?? 0) + (item.note?.length ?? 0) + 24;
    if (item.kind === "statement") this.#statements++;
    this.items.push(item);
  }

  /** What a descriptor stands for; with EBADF what its number stood for before it was closed. */
  thing(task: Task, value: Value | undefined, result: Outcome): Thing | "none" | undefined {
    const number = numberOf(value);
    if (number === undefined) return value?.kind === "int" && value.value < 0n && value.value > -1000n && value.value !== -100n ? "none" : undefined;
    const open = task.files.get(number);
    if (open !== undefined) return open;
    return result.kind === "errno" && result.errno === "EBADF" ? this.#closed.get(task.files)?.get(number) : undefined;
  }

  /** The number now means this thing, or something that is not followed. */
  opened(task: Task, number: number, thing: Thing | undefined): void {
    const before = task.files.get(number);
    if (before !== undefined) before.holders--;
    this.#closed.get(task.files)?.delete(number);
    if (thing === undefined) task.files.delete(number);
    else task.files.set(number, thing);
  }

  /** The number means nothing any more. True where that was the last one. */
  closed(task: Task, number: number): boolean {
    const thing = task.files.get(number);
    if (thing === undefined) return false;
    task.files.delete(number);
    const closed = this.#closed.get(task.files) ?? new Map<number, Thing>();
    closed.set(number, thing);
    this.#closed.set(task.files, closed);
    thing.holders--;
    return thing.holders <= 0;
  }
}

/** What is said of them: the lines themselves while they are few. */
export function foldText({ counts, lines }: Pick<Fold, "counts" | "lines">): string {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (total < FOLD_FROM) return lines.join("\n");
  const named = [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => (count === 1 ? name : `${name} x${count}`));
  const shown = named.slice(0, 8).join(", ");
  return commentText(`${total} lines about something else: ${shown}${named.length > 8 ? ` and ${named.length - 8} more` : ""}`);
}

/** What stands behind `=`: nothing where it is not known. */
export function resultText(result: Outcome, print: (value: bigint) => string = printInt): string | undefined {
  if (result.kind === "unknown") return undefined;
  if (result.kind === "errno") return result.known ? `-${result.errno}` : "fails";
  return print(result.value);
}

/** Where the language has no name for the errno. */
export const errnoNote = (result: Outcome): { note?: string } => (result.kind === "errno" && !result.known ? { note: `-${result.errno}` } : {});
