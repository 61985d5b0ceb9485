// Integers and strings of the language: what a literal is worth, or what is wrong with it.

const SUFFIX: Record<string, bigint> = { K: 10n, M: 20n, G: 30n, T: 40n, P: 50n };
const ESCAPES: Record<string, number> = { n: 10, t: 9, r: 13, "0": 0, a: 7, b: 8, f: 12, v: 11, "\\": 92, "'": 39, '"': 34, "?": 63, e: 27 };
const FORM = /^(?:0[xX]([0-9a-fA-F_]+)|0[oO]([0-7_]+)|0[bB]([01_]+)|([0-9][0-9_]*))([KMGTP])?$/;

export type Literal<T> = { readonly value: T } | { readonly error: string; readonly code: string };

/** The value of an integer as written, not negative, below 2^64. */
export function parseInteger(text: string): Literal<bigint> {
  if (text.startsWith("'")) {
    const bytes = parseEscapes(text.slice(1, -1));
    if ("error" in bytes) return bytes;
    if (bytes.value.length !== 1) return { code: "MEMFD1006", error: `${text} is not one byte` };
    return { value: BigInt(bytes.value[0]) };
  }
  if (/^[0-9]+(\.[0-9]+)+$/.test(text)) return { code: "MEMFD1006", error: `${text} is a version; it stands only where the name of a kernel stands` };
  if (/^0[0-9_]*[0-9]/.test(text) && /^[0-9_]+$/.test(text)) {
    const digits = text.replace(/^[0_]+/, "") || "0";
    return { code: "MEMFD1006", error: `a leading zero is not allowed: write 0o${digits} for octal or ${digits} for decimal` };
  }
  const match = FORM.exec(text);
  if (match === null || /_$|__|_[KMGTP]$|^0[xXoObB]_/.test(text)) return { code: "MEMFD1006", error: `${text} is not an integer${hint(text)}` };
  if (text.length > 100) return { code: "MEMFD1007", error: "the integer does not fit into 64 bits" };
  const [, hex, octal, binary, decimal, suffix] = match;
  const digits = (hex ?? octal ?? binary ?? decimal).replaceAll("_", "");
  const prefix = hex !== undefined ? "0x" : octal !== undefined ? "0o" : binary !== undefined ? "0b" : "";
  const value = BigInt(prefix + digits) << (suffix === undefined ? 0n : SUFFIX[suffix]);
  if (value >= 1n << 64n) return { code: "MEMFD1007", error: `${text} does not fit into 64 bits` };
  return { value };
}

function hint(text: string): string {
  const lower = /^[0-9_]+([kmgtp])$/.exec(text);
  if (lower !== null) return `: write ${text.slice(0, -1)}${lower[1].toUpperCase()}`;
  if (/^[0-9_]+[KMGTP]i?B$/.test(text)) return `: write ${text.replace(/i?B$/, "")}`;
  return "; after the digits only one of K M G T P may follow";
}

/** The bytes of a string with its quotes. */
export function parseString(text: string): Literal<readonly number[]> {
  if (text.length < 2 || !text.endsWith('"') || /(^|[^\\])(\\\\)*\\"$/.test(text.slice(1)))
    return { code: "MEMFD1008", error: "the string is not closed on its line" };
  return parseEscapes(text.slice(1, -1));
}

const encoder = new TextEncoder();

function parseEscapes(body: string): Literal<readonly number[]> {
  const bytes: number[] = [];
  for (let i = 0; i < body.length; i++) {
    if (body[i] !== "\\") {
      const code = body.codePointAt(i) as number;
      if (code < 128) bytes.push(code);
      else for (const byte of encoder.encode(String.fromCodePoint(code))) bytes.push(byte);
      if (code > 0xffff) i++;
      continue;
    }
    const rest = body.slice(i + 1, i + 4);
    const hex = /^x([0-9a-fA-F]{1,2})/.exec(rest);
    const octal = /^[0-7]{1,3}/.exec(rest);
    if (hex !== null) {
      bytes.push(Number.parseInt(hex[1], 16));
      i += hex[0].length;
    } else if (octal !== null) {
      bytes.push(Number.parseInt(octal[0], 8) & 0xff);
      i += octal[0].length;
    } else if (rest[0] !== undefined && rest[0] in ESCAPES) {
      bytes.push(ESCAPES[rest[0]]);
      i++;
    } else return { code: "MEMFD1009", error: `\\${rest[0] ?? ""} is not an escape of C` };
  }
  return { value: bytes };
}

/** Bytes as a string literal that `parseString` reads back. */
export function quote(bytes: readonly number[]): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 34 || byte === 92) text += `\\${String.fromCharCode(byte)}`;
    else if (byte === 10) text += "\\n";
    else if (byte >= 32 && byte < 127) text += String.fromCharCode(byte);
    else text += `\\${byte.toString(8).padStart(3, "0")}`;
  }
  return `"${text}"`;
}
