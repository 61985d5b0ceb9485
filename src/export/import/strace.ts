// Lines of `strace`: prefixes of -f, -t, -r, -i and -n, calls that another thread cut in two, signals, ends of threads.

import { failed, type Outcome, type TracedCall } from "./call.ts";
import { integerOf, type Value, ValueReader } from "./value.ts";

export type StraceEvent =
  | { readonly kind: "call"; readonly call: TracedCall }
  /** A call began whose end comes later. */
  | { readonly kind: "begin"; readonly task: number; readonly name: string; readonly args: readonly Value[]; readonly line: string }
  | { readonly kind: "signal"; readonly task: number; readonly signal: string; readonly code: string; readonly address?: bigint; readonly line: string }
  | { readonly kind: "exit"; readonly task: number; readonly line: string }
  | { readonly kind: "other"; readonly task: number; readonly line: string };

interface Pending {
  readonly text: string;
  readonly start: number;
}

/** Threads that are inside a call at the same time; more are forgotten, oldest first. */
const MAX_PENDING = 4096;
/** A line that is longer is no call that anybody would read; its text is cut before it is looked at. */
export const MAX_LINE = 128 * 1024;

const TASK = [/^\[pid\s+(\d{1,10})(?:<[^>]{0,64}>)?\]\s*/, /^(\d{1,10})(?:<[^>]{0,64}>)?\s+(?=\S)/];
const PREFIXES = [
  /^\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\s+/,
  /^\(\+\s*\d{1,9}(?:\.\d{1,9})?\)\s*/,
  /^\d{1,12}\.\d{1,9}\s+/,
  /^\[\s*\d{1,4}\]\s*/,
  /^\[[0-9a-f?]{8,16}\]\s*/,
];

function withoutPrefix(line: string): { task: number | undefined; text: string } {
  let text = line.trimStart();
  let task: number | undefined;
  for (const form of TASK) {
    const found = form.exec(text);
    if (found === null) continue;
    task = Number(found[1]);
    text = text.slice(found[0].length);
    break;
  }
  for (let rounds = 0; rounds < 6; rounds++) {
    const found = PREFIXES.map((form) => form.exec(text)).find((match) => match !== null);
    if (found === undefined || found === null) break;
    text = text.slice(found[0].length);
  }
  return { task, text };
}

/** True where a line has the form of strace's output; what the import decides by which tool wrote the file. */
export function looksLikeStrace(line: string): boolean {
  const { text } = withoutPrefix(line.slice(0, MAX_LINE));
  return /^\w+\(.*(?:\)\s*=\s|<unfinished \.\.\.>)|^<\.\.\. \w+ resumed>|^--- (?:SIG|stopped)|^\+\+\+ (?:exited|killed)/.test(text.slice(0, 4096));
}

const UNFINISHED = /\s*<unfinished \.\.\.>\s*$/;
const RESUMED = /^<\.\.\. (\w+) resumed>\s?/;
const SIGNAL = /^--- (SIG[A-Z0-9_+]+)(?: (\{.{0,2000}\}))? ---/;

export class StraceReader {
  readonly #pending = new Map<number, Pending>();
  /** Threads that strace said it attached to, and those of them that have not ended. */
  readonly #attached = new Set<number>();
  readonly #alive = new Set<number>([0]);
  /** On a terminal the first thread has no number until there is a second one; then it gets this. */
  #main: number | undefined;
  /** A line into which strace wrote that it attached to a thread: the next one goes on with it. */
  #broken: string | undefined;

  /** What a line says; `number` counts lines from 1. */
  line(raw: string, number: number): StraceEvent {
    const whole = this.#broken !== undefined && !/^(?:\[pid\s|\d+\s)/.test(raw) ? this.#broken + raw : raw;
    this.#broken = undefined;
    const { task: named, text } = withoutPrefix(whole.slice(0, MAX_LINE));
    const line = text.trimEnd();
    const attached = /^(.{0,4000}?)strace: Process (\d{1,10}) attached/.exec(line);
    if (attached !== null && this.#attached.size < MAX_PENDING) {
      this.#attached.add(Number(attached[2]));
      this.#alive.add(Number(attached[2]));
      if (attached[1] !== "") this.#broken = attached[1];
    }
    const task = this.#task(named, line);
    const signal = SIGNAL.exec(line);
    if (signal !== null) return this.#signal(task, signal, line);
    if (line.startsWith("+++ ")) {
      this.#pending.delete(task);
      this.#alive.delete(task);
      return { kind: "exit", task, line };
    }
    const resumed = RESUMED.exec(line);
    if (resumed !== null) return this.#resumed(task, resumed, line, number);
    const unfinished = UNFINISHED.exec(line);
    if (unfinished !== null) return this.#unfinished(task, line.slice(0, unfinished.index), number);
    return complete(task, line, number, number);
  }

  #task(named: number | undefined, line: string): number {
    if (named !== undefined) {
      if (this.#main === undefined && this.#attached.size > 0 && !this.#attached.has(named)) this.#main = named;
      return named === this.#main ? 0 : named;
    }
    const resumed = RESUMED.exec(line)?.[1];
    const waiting = resumed === undefined ? [] : [...this.#pending].filter(([, { text }]) => text.startsWith(`${resumed}(`));
    if (waiting.length === 1) return waiting[0][0];
    // With one thread left strace names none.
    return this.#alive.size === 1 ? (this.#alive.values().next().value as number) : 0;
  }

  /** Calls whose end the log does not have. */
  pending(): readonly { readonly task: number; readonly text: string; readonly start: number }[] {
    return [...this.#pending].map(([task, pending]) => ({ task, ...pending }));
  }

  #unfinished(task: number, text: string, start: number): StraceEvent {
    const name = /^(\w+)\(/.exec(text)?.[1];
    if (name === undefined) return { kind: "other", task, line: text };
    this.#pending.delete(task);
    this.#pending.set(task, { text, start });
    if (this.#pending.size > MAX_PENDING) this.#pending.delete(this.#pending.keys().next().value as number);
    const { values } = new ValueReader(text, name.length + 1).arguments();
    return { kind: "begin", task, name, args: values, line: text };
  }

  #resumed(task: number, found: RegExpExecArray, line: string, end: number): StraceEvent {
    const pending = this.#pending.get(task);
    if (pending === undefined || !pending.text.startsWith(`${found[1]}(`)) return { kind: "other", task, line };
    this.#pending.delete(task);
    // Old releases print a blank in front of what follows, later ones go on where they stopped.
    return complete(task, `${pending.text}${line.slice(found[0].length)}`.slice(0, MAX_LINE), pending.start, end);
  }

  #signal(task: number, [, signal, info = ""]: RegExpExecArray, line: string): StraceEvent {
    const value = new ValueReader(info, 0).value(1);
    const fields = value.kind === "struct" ? value.fields : new Map<string, Value>();
    const address = fields.get("si_addr");
    const code = fields.get("si_code");
    return {
      kind: "signal",
      task,
      signal,
      code: code?.kind === "other" ? code.text : "",
      ...(address?.kind === "int" ? { address: address.value } : {}),
      line,
    };
  }
}

function complete(task: number, line: string, start: number, end: number): StraceEvent {
  const name = /^(\w{1,64})\(/.exec(line)?.[1];
  if (name === undefined) return { kind: "other", task, line };
  const reader = new ValueReader(line, name.length + 1);
  const { values, closed } = reader.arguments();
  const result = closed ? outcome(line.slice(reader.at)) : undefined;
  if (result === undefined) return { kind: "other", task, line };
  return { kind: "call", call: { task, name, args: values, result, start, end, line } };
}

/** `= 0`, `= 3</memfd:x>`, `= -1 EPERM (Operation not permitted)`, `= 0x6 (seals …)`, `= ?`, with the time of -T behind it. */
function outcome(text: string): Outcome | undefined {
  const found = /^\s*=\s+(\?|-?(?:0x)?[0-9a-fA-F]+)(?=[\s<(]|$)/.exec(text);
  if (found === null) return undefined;
  const rest = text.slice(found[0].length);
  const errno = /^\s+(E[A-Z0-9]+)\b/.exec(rest)?.[1];
  if (found[1] === "?") return { kind: "unknown" };
  if (errno !== undefined) return /^ERESTART/.test(errno) ? { kind: "unknown" } : failed(errno);
  const value = integerOf(found[1]);
  if (value === undefined) return undefined;
  const note = /\s\(([^()]{1,200})\)/.exec(rest)?.[1];
  return note === undefined ? { kind: "value", value } : { kind: "value", value, note };
}
