// Where the cursor stands: its statement up to the word that is being typed, the call around it, the block around that. Read from the text, for the tree is
// broken just there.

/** What stands before the cursor in its statement. */
export interface Place {
  /** The line up to the word that is being typed. */
  readonly line: string;
  /** The innermost call whose parenthesis is open, with the text of its arguments so far. */
  readonly call?: { readonly name: string; readonly args: string };
  /** The header of the innermost open block. */
  readonly block: string;
}

const REACH = 20_000;

/** Undefined inside strings and comments. */
export function placeAt(text: string, offset: number): Place | undefined {
  let start = offset;
  while (start > 0 && /[\w.-]/.test(text[start - 1])) start--;
  const from = Math.max(0, start - REACH);
  const before = text.slice(from, start);
  const open: { at: number; kind: string }[] = [];
  let lineStart = 0;
  for (let i = 0; i < before.length; i++) {
    const c = before[i];
    if (c === '"') {
      const end = /^"(?:[^"\\\n]|\\.)*"?/.exec(before.slice(i, i + 4000));
      const literal = end?.[0] ?? '"';
      i += literal.length - 1;
      const closed = literal.length > 1 && literal.endsWith('"');
      if (!closed && i >= before.length - 1) return undefined;
    } else if (c === "/" && before[i + 1] === "/") {
      const end = before.indexOf("\n", i);
      if (end < 0) return undefined;
      i = end;
      if (!open.some((o) => o.kind === "(")) lineStart = i + 1;
    } else if (c === "/" && before[i + 1] === "*") {
      const end = before.indexOf("*/", i + 2);
      if (end < 0) return undefined;
      i = end + 1;
    } else if (c === "(" || c === "{") {
      open.push({ at: i, kind: c });
      if (c === "{") lineStart = i + 1;
    } else if (c === ")" || c === "}") {
      if (open.length > 0) open.pop();
      if (c === "}") lineStart = i + 1;
    } else if (c === ";" || (c === "\n" && open[open.length - 1]?.kind !== "(")) lineStart = i + 1;
  }
  const paren = open[open.length - 1]?.kind === "(" ? open[open.length - 1] : undefined;
  const name = paren === undefined ? undefined : /([\w.-]+)$/.exec(before.slice(0, paren.at))?.[1];
  const brace = [...open].reverse().find((o) => o.kind === "{");
  const block = brace === undefined ? "" : (/[^\n;{}]*$/.exec(before.slice(0, brace.at))?.[0].trim() ?? "");
  const call = paren !== undefined && name !== undefined ? { name, args: before.slice(paren.at + 1) } : undefined;
  return { line: before.slice(lineStart).trimStart(), call, block };
}
