// The formatter: two spaces per open brace, one space where the language wants one, comments and blank lines kept. It changes blanks only, and
// gives a text back as it is where reading it again would not give the same tree.

import { parser } from "./generated/parser.ts";
import { refuse } from "./parse.ts";
import { type Chars, isDigit, isNameStart, isSpace, scanBlockComment, scanLineComment, scanName, scanNumber, scanString } from "./scan.ts";

interface Piece {
  readonly text: string;
  readonly kind: "word" | "number" | "string" | "comment" | "symbol";
  readonly from: number;
  /** Blanks in front of it, as they were. */
  readonly before: string;
}

const TWO = new Set(["<<", ">>", "<=", ">=", "==", "!=", "&&", "||"]);

function readPieces(line: string): Piece[] {
  const chars: Chars = { peek: (i) => (i >= 0 && i < line.length ? line.charCodeAt(i) : -1) };
  const pieces: Piece[] = [];
  let i = 0;
  while (i < line.length) {
    const start = i;
    while (isSpace(chars.peek(i))) i++;
    if (i >= line.length) break;
    const before = line.slice(start, i);
    const c = chars.peek(i);
    let kind: Piece["kind"] = "symbol";
    let end = i + (TWO.has(line.slice(i, i + 2)) ? 2 : 1);
    const comment = scanLineComment(chars, i) || scanBlockComment(chars, i);
    if (comment > 0) [kind, end] = ["comment", i + comment];
    else if (c === 34) [kind, end] = ["string", scanString(chars, i)];
    else if (isNameStart(c)) [kind, end] = ["word", scanName(chars, i)];
    else if (isDigit(c) || c === 39) [kind, end] = ["number", Math.max(i + 1, scanNumber(chars, i))];
    else if (c === 35 && isNameStart(chars.peek(i + 1))) [kind, end] = ["word", scanName(chars, i + 1)];
    else if (c === 46 && isNameStart(chars.peek(i + 1))) [kind, end] = ["word", scanName(chars, i + 1)];
    pieces.push({ text: line.slice(i, end), kind, from: i, before });
    i = end;
  }
  return pieces;
}

/** Words behind which a minus is a sign, not a difference. */
const BEFORE_SIGN = new Set(["or", "assert", "exists", "never", "forall"]);

const isOperand = (piece: Piece | undefined): boolean =>
  piece !== undefined &&
  (piece.kind === "number" || piece.kind === "string" || (piece.kind === "word" && !BEFORE_SIGN.has(piece.text)) || piece.text === ")" || piece.text === "]");

const TIGHT = new Set(["|", "&", "<<", ">>", "^", "*", "/", "%"]);

/** Whether a blank stands between two pieces of a line. */
function blankBetween(left: Piece, right: Piece, beforeLeft: Piece | undefined, named: boolean, inExit: boolean): boolean {
  if (right.kind === "comment" || left.kind === "comment") return true;
  if (inExit && (left.text === "{" || right.text === "}")) return false;
  if ([")", "]", ",", ";", ":"].includes(right.text) || ["(", "[", "@"].includes(left.text)) return false;
  if (right.text === "(" || right.text === "[") return left.kind !== "word" ? left.text !== ")" && !["!", "~", "-"].includes(left.text) : right.before !== "";
  if (left.text.startsWith(".") && left.kind === "symbol") return false;
  if (right.text.startsWith(".") && right.kind === "word") return false;
  if (right.text === "=" || left.text === "=") return !named;
  if (left.text === "!" || left.text === "~") return false;
  if (left.text === "-" && !isOperand(beforeLeft)) return false;
  // Flags may be written without blanks (`A|B`); a person's choice stays.
  if (TIGHT.has(right.text) || TIGHT.has(left.text)) return right.before !== "";
  return true;
}

/** How far a column of `=` or `{` that a person lined up may reach over lines that do not take part. */
const REACH = 4;

/** True where a line near by has the same symbol in the same column behind more than one blank, or behind the longest name. */
function linedUp(lines: readonly (readonly Piece[])[], at: number, piece: Piece): boolean {
  if (piece.before.length < 2 || piece.before.includes("\t") || (piece.text !== "=" && piece.text !== "{" && piece.text !== "extends")) return false;
  for (let i = Math.max(0, at - REACH); i <= Math.min(lines.length - 1, at + REACH); i++) {
    if (i !== at && lines[i].some((other) => other.from === piece.from && other.text === piece.text)) return true;
  }
  return false;
}

function spaced(pieces: readonly Piece[], depth: number, keeps: (piece: Piece) => boolean): { text: string; depth: number } {
  let text = "";
  let inside = depth;
  const exits: boolean[] = [];
  pieces.forEach((piece, i) => {
    const left = pieces[i - 1];
    if (piece.text === "{") exits.push(inside > 0 || pieces.slice(Math.max(0, i - 2), i).some((p) => p.text === "exit"));
    const inExit = exits[exits.length - 1] === true;
    if (left !== undefined) {
      const named = (inside > 0 || inExit) && (piece.text === "=" || left.text === "=");
      // Behind a result everything up to the end of what strace printed is kept.
      const gap = left.kind === "comment" || piece.kind === "comment" ? piece.before || " " : keeps(piece) ? piece.before : " ";
      text += blankBetween(left, piece, pieces[i - 2], named, inExit) ? gap : "";
    }
    text += piece.text;
    if (piece.text === "}") exits.pop();
    if (piece.text === "(" || piece.text === "[") inside++;
    if (piece.text === ")" || piece.text === "]") inside = Math.max(0, inside - 1);
  });
  return { text, depth: inside };
}

/** Ranges of the lines that the parser found broken, and of text that strace printed: these stay as they are. */
function keptLines(text: string, starts: readonly number[]): Set<number> {
  const kept = new Set<number>();
  const lineOf = (offset: number): number => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  parser.parse(text).iterate({
    enter(node) {
      const broken = node.name.startsWith("Bad") && node.name !== "BadBrace";
      const block = node.name === "BlockComment" && text.slice(node.from, node.to).includes("\n");
      if (!broken && node.name !== "Decoration" && !block) return;
      for (let line = lineOf(node.from); line <= lineOf(node.to); line++) kept.add(line);
    },
  });
  return kept;
}

const signature = (text: string): string => {
  const names: string[] = [];
  parser
    .parse(text)
    .iterate({ enter: (node) => void names.push(`${node.name}${node.node.firstChild === null ? `:${text.slice(node.from, node.to).trim()}` : ""}`) });
  return names.join(" ");
};

/** A text with a longer line was written by no person; laying it out would take seconds, for its tree is as deep as the line is long. */
const MAX_LINE = 20_000;

/** The text, formatted. Lines with errors stay as they are, and so does a text with a line that nobody can read. */
export function format(text: string): string {
  if (text === "" || refuse(text) !== undefined || new RegExp(`[^\\r\\n]{${MAX_LINE}}`).test(text)) return text;
  // A column that was lined up may fall apart when what stands before it changes; the second look sees that.
  let before = text;
  for (let pass = 0; pass < 8; pass++) {
    const after = formatOnce(before);
    if (after === before) return after;
    before = after;
  }
  return text;
}

function formatOnce(text: string): string {
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const lines = text.split(/\r\n|\n|\r/);
  const starts: number[] = [];
  let at = 0;
  for (const line of lines) {
    starts.push(at);
    at += line.length;
    at += text.startsWith("\r\n", at) ? 2 : 1;
  }
  const kept = keptLines(text, starts);
  const all = lines.map(readPieces);
  const out: string[] = [];
  let depth = 0;
  let parens = 0;
  let column = 0;
  let continues = false;
  lines.forEach((line, i) => {
    const pieces = all[i];
    const closes = pieces.findIndex((piece) => piece.text !== "}") === -1 ? pieces.length : pieces.findIndex((piece) => piece.text !== "}");
    const base = "  ".repeat(Math.max(0, depth - closes));
    const open = parens;
    if (kept.has(i)) out.push(line.trimEnd() === "" ? "" : line);
    else if (pieces.length === 0) out.push("");
    else {
      const body = spaced(pieces, parens, (piece) => linedUp(all, i, piece));
      const indent = open > 0 ? " ".repeat(column) : continues && startsWithSymbol(pieces[0]) ? `${base}  ` : base;
      out.push(`${indent}${body.text}`);
    }
    for (const piece of pieces) {
      if (piece.kind === "comment" || piece.kind === "string") continue;
      if (piece.text === "{") depth++;
      else if (piece.text === "}") depth = Math.max(0, depth - 1);
      else if (piece.text === "(") parens++;
      else if (piece.text === ")") parens = Math.max(0, parens - 1);
    }
    if (open === 0 && parens > 0) column = Math.max(base.length + 2, openColumn(out[out.length - 1]));
    if (pieces.some((piece) => piece.kind !== "comment")) continues = true;
  });
  while (out.length > 1 && out[out.length - 1] === "" && out[out.length - 2] === "") out.pop();
  if (out[out.length - 1] !== "") out.push("");
  const formatted = out.join(eol);
  return signature(formatted) === signature(text) ? formatted : text;
}

const startsWithSymbol = (piece: Piece): boolean => piece.kind === "symbol" && piece.text !== "}" && piece.text !== "{";

/** The column behind the parenthesis that stays open on a line. */
function openColumn(line: string): number {
  const open: number[] = [];
  for (const piece of readPieces(line)) {
    if (piece.text === "(") open.push(piece.from + 1);
    else if (piece.text === ")") open.pop();
  }
  return open[0] ?? 0;
}
