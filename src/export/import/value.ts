// What strace prints between the parentheses of a call: numbers, flags by name, strings with C escapes, descriptors with what they name, structures.
// Nothing here throws and every loop moves on, whatever the text is.

import { constantsNamed } from "../../scenario/catalogue/index.ts";

export type Value =
  /** A number, flags folded; `names` is the note of `-y` behind a descriptor. */
  | { readonly kind: "int"; readonly value: bigint; readonly names?: string }
  /** Bytes; `cut`: strace ended them with `...`. */
  | { readonly kind: "string"; readonly bytes: readonly number[]; readonly cut: boolean }
  | { readonly kind: "struct"; readonly fields: ReadonlyMap<string, Value> }
  /** `[…]`, as it stands. */
  | { readonly kind: "list"; readonly text: string }
  | { readonly kind: "other"; readonly text: string };

/** Constants that strace names and the catalogue does not offer, because no modelled call knows them (include/uapi: mman-common.h, memfd.h, fcntl.h). */
const MORE = new Map<string, bigint>([
  ["NULL", 0n],
  ["AT_FDCWD", -100n],
  ["F_DUPFD", 0n],
  ["F_GETFD", 1n],
  ["F_SETFD", 2n],
  ["F_GETFL", 3n],
  ["F_SETFL", 4n],
  ["F_DUPFD_CLOEXEC", 1030n],
  ["FD_CLOEXEC", 1n],
  ["O_CLOEXEC", 0o2000000n],
  ["MAP_GROWSDOWN", 0x100n],
  ["MAP_DENYWRITE", 0x800n],
  ["MAP_EXECUTABLE", 0x1000n],
  ["MAP_NONBLOCK", 0x10000n],
  ["MAP_STACK", 0x20000n],
  ["MAP_SYNC", 0x80000n],
  ["MAP_FIXED_NOREPLACE", 0x100000n],
  ["MAP_DROPPABLE", 0x8n],
  ["PROT_GROWSDOWN", 0x1000000n],
  ["PROT_GROWSUP", 0x2000000n],
  ["MADV_RANDOM", 1n],
  ["MADV_SEQUENTIAL", 2n],
  ["MADV_WILLNEED", 3n],
  ["MADV_DONTFORK", 10n],
  ["MADV_DOFORK", 11n],
  ["MADV_MERGEABLE", 12n],
  ["MADV_UNMERGEABLE", 13n],
  ["MADV_NOHUGEPAGE", 15n],
  ["MADV_DONTDUMP", 16n],
  ["MADV_DODUMP", 17n],
  ["MADV_WIPEONFORK", 18n],
  ["MADV_KEEPONFORK", 19n],
  ["MADV_COLD", 20n],
  ["MADV_PAGEOUT", 21n],
  ["MADV_DONTNEED_LOCKED", 24n],
  ["MADV_HWPOISON", 100n],
  ["MFD_HUGE_SHIFT", 26n],
  ["MAP_HUGE_SHIFT", 26n],
]);

/** The value of a constant's name; where it changed between releases, the newest. */
export function constantValue(name: string): bigint | undefined {
  return constantsNamed(name).at(-1)?.value ?? MORE.get(name);
}

const MAX_DEPTH = 16;
const MAX_FIELDS = 256;
/** Bytes of a string that are kept; longer data is data of which the beginning is known. */
const MAX_BYTES = 4096;

const isBlank = (c: number): boolean => c === 32 || c === 9;

/** A cursor over one line. */
export class ValueReader {
  readonly text: string;
  at: number;

  constructor(text: string, at: number) {
    this.text = text;
    this.at = at;
  }

  /** Values up to the closing parenthesis, which is passed; `closed` says whether there was one. */
  arguments(): { values: Value[]; closed: boolean } {
    const values: Value[] = [];
    for (;;) {
      this.#skip();
      if (this.at >= this.text.length) return { values, closed: false };
      const c = this.text[this.at];
      if (c === ")") {
        this.at++;
        return { values, closed: true };
      }
      if (c === "," || c === "}" || c === "]") {
        this.at++;
        continue;
      }
      const value = this.value(0);
      if (values.length < MAX_FIELDS) values.push(value);
    }
  }

  /** One value; always moves on where text is left. */
  value(depth: number): Value {
    this.#skip();
    const named = /[A-Za-z_][A-Za-z0-9_]*=(?!=)/y;
    named.lastIndex = this.at;
    if (depth === 0 && named.test(this.text)) this.at = named.lastIndex;
    const before = this.at;
    const value = this.#plain(depth);
    if (this.at === before) this.at++;
    // What the kernel wrote over an argument: `{in} => {out}`. What went in decides what the call did.
    this.#skip();
    if (this.text.startsWith("=>", this.at) && depth < MAX_DEPTH) {
      this.at += 2;
      this.value(depth + 1);
    }
    return value;
  }

  #plain(depth: number): Value {
    const c = this.text[this.at];
    if (c === '"') return this.#string();
    if (c === "{" && depth < MAX_DEPTH) return this.#struct(depth);
    if (c === "[" && depth < MAX_DEPTH) return this.#list();
    return this.#atom();
  }

  #skip(): void {
    for (;;) {
      while (isBlank(this.text.charCodeAt(this.at))) this.at++;
      if (!this.text.startsWith("/*", this.at)) return;
      const end = this.text.indexOf("*/", this.at + 2);
      this.at = end < 0 ? this.text.length : end + 2;
    }
  }

  #string(): Value {
    const bytes: number[] = [];
    let at = this.at + 1;
    while (at < this.text.length && this.text[at] !== '"' && bytes.length < MAX_BYTES) {
      const { byte, next } = stringByte(this.text, at);
      bytes.push(...byte);
      at = next;
    }
    const long = at < this.text.length && this.text[at] !== '"';
    while (at < this.text.length && this.text[at] !== '"') at += this.text[at] === "\\" ? 2 : 1;
    at = Math.min(at + 1, this.text.length);
    const cut = this.text.startsWith("...", at);
    this.at = cut ? at + 3 : at;
    return { kind: "string", bytes, cut: cut || long };
  }

  #struct(depth: number): Value {
    this.at++;
    const fields = new Map<string, Value>();
    for (;;) {
      this.#skip();
      if (this.at >= this.text.length) break;
      const c = this.text[this.at];
      if (c === "}") {
        this.at++;
        break;
      }
      // A call that ends inside a structure is a broken line: its `)` belongs to the call.
      if (c === ")") break;
      if (c === "," || c === "]") {
        this.at++;
        continue;
      }
      const name = /([A-Za-z_][A-Za-z0-9_]*)=/y;
      name.lastIndex = this.at;
      const found = name.exec(this.text);
      if (found !== null) this.at = name.lastIndex;
      const value = this.value(depth + 1);
      if (found !== null && fields.size < MAX_FIELDS) fields.set(found[1], value);
    }
    return { kind: "struct", fields };
  }

  #list(): Value {
    const from = this.at;
    let open = 0;
    while (this.at < this.text.length) {
      const c = this.text[this.at++];
      if (c === "[") open++;
      else if (c === "]" && --open === 0) break;
    }
    return { kind: "list", text: this.text.slice(from, this.at) };
  }

  #atom(): Value {
    const from = this.at;
    let open = 0;
    let names: string | undefined;
    let end = -1;
    while (this.at < this.text.length) {
      const c = this.text[this.at];
      if (c === "<" && this.text[this.at + 1] !== "<" && this.text[this.at - 1] !== "<" && this.at > from) {
        if (end < 0) end = this.at;
        names = this.#angle();
        continue;
      }
      if (c === "/" && this.text[this.at + 1] === "*") {
        if (end < 0) end = this.at;
        this.#skip();
        continue;
      }
      if (open === 0 && (c === "," || c === ")" || c === "}" || c === "]" || (c === "=" && this.text[this.at + 1] === ">"))) break;
      if (c === "(") open++;
      else if (c === ")") open--;
      this.at++;
    }
    return atomValue(this.text.slice(from, end < 0 ? this.at : end).trim(), names);
  }

  /** `</memfd:ram>(deleted)`, `<anon_inode:kvm-vm>`, `</dev/kvm<char 10:232>>`. */
  #angle(): string {
    const from = this.at + 1;
    let open = 0;
    while (this.at < this.text.length) {
      const c = this.text[this.at++];
      if (c === "<") open++;
      else if (c === ">" && --open === 0) break;
    }
    const text = this.text.slice(from, Math.max(from, this.at - 1));
    if (this.text.startsWith("(deleted)", this.at)) this.at += "(deleted)".length;
    return text;
  }
}

const ESCAPES: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, v: 11, f: 12, a: 7, b: 8, '"': 34, "\\": 92, "'": 39 };
const encoder = new TextEncoder();

/** The byte or bytes at `at` of a string as strace prints it: C escapes, octal as short as it can be, hexadecimal with `-x`. */
function stringByte(text: string, at: number): { byte: readonly number[]; next: number } {
  const c = text[at];
  if (c !== "\\") {
    const code = text.codePointAt(at) as number;
    return code < 128 ? { byte: [code], next: at + 1 } : { byte: [...encoder.encode(String.fromCodePoint(code))], next: at + (code > 0xffff ? 2 : 1) };
  }
  const rest = text.slice(at + 1, at + 4);
  const octal = /^[0-7]{1,3}/.exec(rest);
  if (octal !== null) return { byte: [Number.parseInt(octal[0], 8) & 0xff], next: at + 1 + octal[0].length };
  const hex = /^x([0-9a-fA-F]{1,2})/.exec(rest);
  if (hex !== null) return { byte: [Number.parseInt(hex[1], 16)], next: at + 1 + hex[0].length };
  const control = ESCAPES[rest[0] ?? ""];
  return { byte: [control ?? 92], next: at + (control === undefined ? 1 : 2) };
}

/** A number as strace prints it: decimal, `0x…`, octal with a leading zero (modes), at most 64 bits. */
export function integerOf(text: string): bigint | undefined {
  if (!/^-?(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,22})$/.test(text)) return undefined;
  const negative = text.startsWith("-");
  const digits = negative ? text.slice(1) : text;
  const octal = /^0[0-7]+$/.test(digits);
  if (!octal && /^0[0-9]/.test(digits)) return undefined;
  const value = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  if (value >= 1n << 64n) return undefined;
  return BigInt.asIntN(64, negative ? -value : value);
}

function bitOf(text: string): bigint | undefined {
  const shifted = /^([0-9]{1,3})<<([A-Za-z0-9_]+)$/.exec(text);
  if (shifted === null) return integerOf(text) ?? constantValue(text);
  const by = integerOf(shifted[2]) ?? constantValue(shifted[2]);
  return by === undefined || by < 0n || by > 63n ? undefined : BigInt(shifted[1]) << by;
}

function atomValue(text: string, names: string | undefined): Value {
  let value = 0n;
  for (const part of text.split("|")) {
    const bit = bitOf(part.trim());
    if (bit === undefined) return { kind: "other", text };
    value |= bit;
  }
  return names === undefined ? { kind: "int", value } : { kind: "int", value, names };
}
