// Text → tree → declarations, incrementally: Lezer reuses what an edit left alone, and a declaration with the same text is built once.

import { type Tree, TreeFragment } from "@lezer/common";
import type { Complaint, Item } from "./ast.ts";
import { buildItem } from "./build.ts";
import { parser } from "./generated/parser.ts";
import { type Chars, scanBlockComment, scanLineComment, scanString } from "./scan.ts";

export const MAX_SOURCE = 1_000_000;
export const MAX_NESTING = 100;
/** Declarations and statements at file level; a file that a person writes has a tenth of that. */
export const MAX_ITEMS = 20_000;
/** Steps of the parser between two looks at the limit. */
const SLICE = 20_000;

export interface ParsedItem {
  readonly item: Item;
  readonly offset: number;
  readonly text: string;
}

export interface ParsedFile {
  readonly file: string;
  readonly text: string;
  readonly tree: Tree;
  readonly items: readonly ParsedItem[];
  /** Built declarations by their text, for the next edit. */
  readonly built: ReadonlyMap<string, Item>;
}

/** Why a text is not parsed at all; absolute offsets. */
export function refuse(text: string): Complaint | undefined {
  if (text.length > MAX_SOURCE) {
    return { code: "MEMFD6006", from: 0, to: lineEnd(text, 0), message: `the file has ${text.length} characters; at most ${MAX_SOURCE} are read` };
  }
  const binary = text.search(/[\0\ufffd]/);
  if (binary >= 0) {
    const what = text[binary] === "\0" ? "a NUL byte" : "bytes that are no UTF-8";
    return { code: "MEMFD1001", from: binary, to: binary + 1, message: `the file holds ${what}; it is not read` };
  }
  return tooDeep(text);
}

function lineEnd(text: string, from: number): number {
  const at = text.slice(from, from + 1000).search(/[\r\n]/);
  return at < 0 ? Math.min(text.length, from + 1000) : from + at;
}

function tooDeep(text: string): Complaint | undefined {
  const chars: Chars = { peek: (i) => (i < text.length ? text.charCodeAt(i) : -1) };
  let depth = 0;
  for (let i = 0; i < text.length; ) {
    const c = text.charCodeAt(i);
    if (c === 34) i = scanString(chars, i);
    else if (c === 47) i += scanLineComment(chars, i) || scanBlockComment(chars, i) || 1;
    else {
      if (c === 40 || c === 91 || c === 123) depth++;
      else if ((c === 41 || c === 93 || c === 125) && depth > 0) depth--;
      if (depth > MAX_NESTING)
        return { code: "MEMFD6002", from: i, to: i + 1, message: `blocks and parentheses nest at most ${MAX_NESTING} deep; the file is not read` };
      i++;
    }
  }
  return undefined;
}

/** The range in which two texts differ. */
export function difference(before: string, after: string): { fromA: number; toA: number; fromB: number; toB: number } | undefined {
  if (before === after) return undefined;
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before.charCodeAt(start) === after.charCodeAt(start)) start++;
  let end = 0;
  while (end < shorter - start && before.charCodeAt(before.length - 1 - end) === after.charCodeAt(after.length - 1 - end)) end++;
  return { fromA: start, toA: before.length - end, fromB: start, toB: after.length - end };
}

function parseTree(text: string, previous: ParsedFile | undefined): Tree {
  const change = previous === undefined ? undefined : difference(previous.text, text);
  if (previous !== undefined && change === undefined) return previous.tree;
  const fragments = previous === undefined ? [] : TreeFragment.applyChanges(TreeFragment.addTree(previous.tree), change === undefined ? [] : [change]);
  const parse = parser.startParse(text, fragments);
  // Each step of the parser takes a token or a repair, so their number is linear in the text; past that the rest is left out.
  const limit = 16 * text.length + SLICE;
  for (let steps = 0; ; steps++) {
    const tree = parse.advance();
    if (tree !== null) return tree;
    if (steps === limit) parse.stopAt(parse.parsedPos);
  }
}

export function parseFile(file: string, text: string, previous?: ParsedFile): ParsedFile {
  const tree = parseTree(text, previous);
  if (previous !== undefined && previous.tree === tree) return previous.file === file ? previous : { ...previous, file };
  const built = new Map<string, Item>();
  const items: ParsedItem[] = [];
  const cursor = tree.cursor();
  if (cursor.firstChild()) {
    do {
      if (cursor.name.endsWith("Comment")) {
        if (cursor.name === "BlockComment" && !text.startsWith("*/", cursor.to - 2)) items.push(unclosed(cursor.from, text));
        continue;
      }
      if (items.length === MAX_ITEMS) {
        const message = `a file may have at most ${MAX_ITEMS} declarations and statements; what follows is not read`;
        items.push(brokenItem(cursor.from, text, { code: "MEMFD6003", from: 0, to: 1, message }));
        break;
      }
      const offset = cursor.from;
      const own = text.slice(offset, cursor.to);
      const item = built.get(own) ?? previous?.built.get(own) ?? buildItem(cursor.node.cursor(), offset, own);
      built.set(own, item);
      items.push({ item, offset, text: own });
    } while (cursor.nextSibling());
  }
  return { file, text, tree, items, built };
}

function unclosed(offset: number, text: string): ParsedItem {
  return brokenItem(offset, text, { code: "MEMFD1010", from: 0, to: 2, message: "the comment is not closed" });
}

/** Nothing but what is wrong at its place. */
function brokenItem(offset: number, text: string, complaint: Complaint): ParsedItem {
  const range = { from: complaint.from, to: complaint.to };
  const statement = { kind: "broken", ...range, prefixes: [], header: range } as const;
  return { item: { kind: "statement", ...range, statement, complaints: [complaint] }, offset, text: text.slice(offset, offset + complaint.to) };
}
