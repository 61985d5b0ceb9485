// The cache key of a Program: everything of its value but `sites`, so that an edit elsewhere in the file, which only moves spans, leaves the key as it was.

import type { Program } from "../scenario/program.ts";

const programKeys = new WeakMap<Program, string>();
const partKeys = new WeakMap<object, string>();

/** Equal for equal Programs whatever their `sites`; 106 bits of hash, so that a key costs nothing to keep and compare. */
export function programKey(program: Program): string {
  let key = programKeys.get(program);
  if (key !== undefined) return key;
  // The language keeps the parts of an unmoved declaration by identity; hashing them once makes a keystroke in a file of 500 scenarios cheap.
  const parts: string[] = [];
  for (const name of Object.keys(program).sort() as (keyof Program)[]) {
    if (name === "sites") continue;
    const value = program[name];
    if (value !== undefined) parts.push(`${name}:${typeof value === "object" ? partKey(value) : canonical(value)}`);
  }
  key = hash(parts.join(";"));
  programKeys.set(program, key);
  return key;
}

function partKey(part: object): string {
  let key = partKeys.get(part);
  if (key === undefined) {
    key = hash(canonical(part));
    partKeys.set(part, key);
  }
  return key;
}

/** One text per value: object keys sorted, `undefined` left out, integers of either kind told apart (`1`, `1n`), strings quoted. */
export function canonical(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "bigint":
      return `${value}n`;
    case "object":
      break;
    default:
      return String(value);
  }
  if (value === null) return "null";
  if (Array.isArray(value)) {
    let text = "[";
    for (let at = 0; at < value.length; at += 1) text += at === 0 ? canonical(value[at]) : `,${canonical(value[at])}`;
    return `${text}]`;
  }
  let text = "{";
  const record = value as Record<string, unknown>;
  for (const name of sortedKeys(record)) {
    const field = record[name];
    if (field !== undefined) text += `${text.length > 1 ? "," : ""}${JSON.stringify(name)}:${canonical(field)}`;
  }
  return `${text}}`;
}

function sortedKeys(record: Record<string, unknown>): string[] {
  const keys = Object.keys(record);
  for (let at = 1; at < keys.length; at += 1) if (keys[at - 1] > keys[at]) return keys.sort();
  return keys;
}

/** Two independent 53-bit mixes of multiply and xor-shift over UTF-16 units. */
function hash(text: string): string {
  return `${mix(text, 0x9e3779b9)}${mix(text, 0x85ebca6b)}`;
}

function mix(text: string, seed: number): string {
  let high = 0xdeadbeef ^ seed;
  let low = 0x41c6ce57 ^ seed;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    high = Math.imul(high ^ unit, 0x9e3779b1);
    low = Math.imul(low ^ unit, 0x5f356495);
  }
  high = Math.imul(high ^ (high >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35);
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ Math.imul(high ^ (high >>> 13), 0xc2b2ae35);
  return (4294967296 * (0x1fffff & low) + (high >>> 0)).toString(36).padStart(11, "0");
}
