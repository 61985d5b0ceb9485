// The tokenizer of the grammar: line ends, contextual keywords, and the Bad tokens that keep one broken line from costing another.
// It looks at the next token, asks the parser whether it fits, and if not hands out what closes the construct that stands open.

import { ExternalTokenizer, type InputStream, type Stack } from "@lezer/lr";
import * as T from "./generated/terms.ts";
import {
  isDigit,
  isLineBreak,
  isNameStart,
  isSpace,
  scanBlockComment,
  scanLineComment,
  scanName,
  scanNumber,
  scanString,
  skipBlank,
  sweepLine,
} from "./scan.ts";

const NONE = -1;
const END = -2;

interface Token {
  readonly term: number;
  /** Offset of its end from the position of the stream. */
  readonly end: number;
  readonly symbol: boolean;
}

const PUNCTUATION: Record<string, number> = {
  "{": T.Open,
  "}": T.Close,
  "(": T.openParen,
  ")": T.CloseParen,
  "[": T.openBracket,
  "]": T.CloseBracket,
  ",": T.comma,
  "=": T.equal,
  ":": T.colon,
  "@": T.at,
  ";": T.Semicolon,
  "?": T.Unknown,
  "-": T.Minus,
  "!": T.UnaryOperator,
  "~": T.UnaryOperator,
};
const ONE = "*/%+&^|<>";
const TWO = new Set(["<<", ">>", "<=", ">=", "==", "!=", "&&", "||"]);

/** What must follow on the line for a word to be a keyword at the start of a statement. */
type Follow = "brace" | "string" | "name" | "nameOrNumber" | "expression";
const STATEMENT_KEYWORDS = new Map<string, { term: number; follow: Follow }>([
  ["import", { term: T.importKw, follow: "string" }],
  ["scenario", { term: T.scenarioKw, follow: "string" }],
  ["setup", { term: T.setupKw, follow: "name" }],
  ["kernel", { term: T.kernelKw, follow: "nameOrNumber" }],
  ["on", { term: T.onKw, follow: "nameOrNumber" }],
  ["parallel", { term: T.parallelKw, follow: "brace" }],
  ["atomic", { term: T.atomicKw, follow: "brace" }],
  ["machine", { term: T.machineKw, follow: "brace" }],
  ["process", { term: T.processKw, follow: "name" }],
  ["repeat", { term: T.repeatKw, follow: "nameOrNumber" }],
  ["use", { term: T.useKw, follow: "name" }],
  ["order", { term: T.orderKw, follow: "name" }],
  ["check", { term: T.checkKw, follow: "name" }],
  ["ignore", { term: T.ignoreKw, follow: "name" }],
  ["expect", { term: T.expectKw, follow: "name" }],
  ["assert", { term: T.assertKw, follow: "expression" }],
  ["exists", { term: T.Exists, follow: "expression" }],
  ["never", { term: T.Never, follow: "expression" }],
  ["forall", { term: T.Forall, follow: "expression" }],
]);
const DECLARATIONS = new Set(["import", "scenario", "setup"]);
const INNER_KEYWORDS = new Map<string, number>([
  ["as", T.asKw],
  ["before", T.beforeKw],
  ["at", T.atKw],
  ["extends", T.extendsKw],
  ["without", T.withoutKw],
  ["or", T.orKw],
  ["safe", T.Safe],
  ["violation", T.Violation],
]);

/** The words that begin a statement; completion offers them. */
export const KEYWORDS: readonly string[] = [...STATEMENT_KEYWORDS.keys()];

function fits(input: InputStream, at: number, follow: Follow): boolean {
  const c = input.peek(at);
  switch (follow) {
    case "brace":
      return c === 123;
    case "string":
      return c === 34;
    case "name":
      return isNameStart(c);
    case "nameOrNumber":
      return isNameStart(c) || isDigit(c);
    case "expression":
      if (c === 33) return input.peek(at + 1) !== 61;
      return isNameStart(c) || isDigit(c) || c === 40 || c === 45 || c === 126 || c === 39 || c === 34 || c === 35 || c === 63;
  }
}

const isClosing = (c: number): boolean => c < 0 || c === 59 || c === 125;

function beginsLine(input: InputStream, start: number): boolean {
  let i = start - 1;
  while (isSpace(input.peek(i))) i--;
  const c = input.peek(i);
  return c < 0 || isLineBreak(c);
}

/** The term of a word at `start`; a keyword only where the parser could take it and the rest of the line agrees. */
function wordTerm(input: InputStream, stack: Stack, word: string, start: number, end: number): number {
  const inner = INNER_KEYWORDS.get(word);
  if (inner !== undefined && stack.canShift(inner)) return inner;
  if (word === "exit" && stack.canShift(T.exitKw)) {
    const next = skipBlank(input, end);
    return !next.crossed && isNameStart(input.peek(next.at)) ? T.exitKw : T.ExitAlone;
  }
  const keyword = STATEMENT_KEYWORDS.get(word);
  if (keyword === undefined) return T.Name;
  const shiftable = stack.canShift(keyword.term);
  const declares = DECLARATIONS.has(word) && (stack.canShift(T.BadBrace) || beginsLine(input, start));
  if (!shiftable && !declares) return T.Name;
  const next = skipBlank(input, end);
  const braceBelow = keyword.follow === "brace" && next.crossed && fits(input, next.at, "brace");
  if ((!next.crossed || braceBelow) && fits(input, next.at, keyword.follow)) return keyword.term;
  const alone = next.crossed || isClosing(input.peek(next.at));
  return alone && stack.canShift(T.LonelyKeyword) ? T.LonelyKeyword : T.Name;
}

function word(input: InputStream, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end && i < start + 12; i++) text += String.fromCharCode(input.peek(i));
  return text;
}

/** The next token, read at offset `start` from the position of the stream. */
function read(input: InputStream, stack: Stack, start: number): Token {
  const c = input.peek(start);
  if (c < 0) return { term: END, end: start, symbol: false };
  if (isNameStart(c)) {
    const end = scanName(input, start);
    return { term: end - start > 10 ? T.Name : wordTerm(input, stack, word(input, start, end), start, end), end, symbol: false };
  }
  if (isDigit(c) || c === 39) {
    const end = scanNumber(input, start);
    return { term: end > start ? T.Number : NONE, end, symbol: false };
  }
  if (c === 34) return { term: stack.canShift(T.DataText) ? T.DataText : T.String, end: scanString(input, start), symbol: false };
  if (c === 35) {
    const end = isNameStart(input.peek(start + 1)) ? scanName(input, start + 1) : start;
    return { term: end > start ? T.Exception : NONE, end, symbol: false };
  }
  if (c === 46) {
    const end = isNameStart(input.peek(start + 1)) ? scanName(input, start + 1) : start;
    return { term: end > start ? T.Field : NONE, end, symbol: true };
  }
  const one = String.fromCharCode(c);
  if (TWO.has(one + String.fromCharCode(Math.max(0, input.peek(start + 1))))) return { term: T.BinaryOperator, end: start + 2, symbol: true };
  if (ONE.includes(one)) return { term: T.BinaryOperator, end: start + 1, symbol: true };
  return { term: PUNCTUATION[one] ?? NONE, end: start + 1, symbol: true };
}

/** What strace prints behind a result: `</memfd:x>` directly behind it, or `(Invalid argument)` behind a space. */
function decorationEnd(input: InputStream): number {
  const c = input.next;
  if (c === 60) {
    if (isSpace(input.peek(-1)) || isSpace(input.peek(1)) || input.peek(1) === 61 || input.peek(1) === 60) return 0;
  } else if (c !== 40 || !isSpace(input.peek(-1))) return 0;
  const close = c === 60 ? 62 : 41;
  for (let i = 1; ; i++) {
    const d = input.peek(i);
    if (d < 0 || isLineBreak(d)) return 0;
    if (d === close) return i + 1;
  }
}

function errnoEnd(input: InputStream): number {
  if (input.next !== 69) return 0;
  const end = scanName(input, 0);
  for (let i = 1; i < end; i++) {
    const c = input.peek(i);
    if (!isDigit(c) && !(c >= 65 && c <= 90)) return 0;
  }
  return end > 1 ? end : 0;
}

function take(input: InputStream, term: number, end?: number): true {
  input.acceptToken(term, end);
  return true;
}

const ZERO_LENGTH = [T.BadField, T.BadOperand, T.BadName];

/** The token does not fit: closes the innermost construct, or at the end of a statement swallows the rest of its line. */
function repair(input: InputStream, stack: Stack, next: Token, crossed: boolean): boolean {
  const comma = next.term === T.comma && stack.canShift(T.BadOperand);
  if (!comma && stack.canShift(T.BadClose)) return take(input, T.BadClose);
  if (stack.canShift(T.BadEnd)) return swallow(input, crossed, T.BadEnd, T.BadBlock);
  for (const term of ZERO_LENGTH) if (stack.canShift(term)) return take(input, term);
  const declares = next.term === T.importKw || next.term === T.scenarioKw || next.term === T.setupKw;
  if (declares || next.term === END) {
    if (stack.canShift(T.BadBrace)) return take(input, T.BadBrace);
    return stack.canShift(T.BadCore) && take(input, T.BadCore);
  }
  if (next.term === T.Close && stack.canShift(T.BadCore)) return take(input, T.BadCore);
  if (crossed || !stack.canShift(T.BadStatement)) return false;
  if (next.term === T.Close) return take(input, T.BadStatement, closingRun(input));
  return swallow(input, crossed, T.BadStatement, T.BadBlockStatement);
}

/** Braces that close nothing, one behind the other on a line: one mistake. */
function closingRun(input: InputStream): number {
  let end = 1;
  for (let i = 1; ; i++) {
    const c = input.peek(i);
    if (c === 125) end = i + 1;
    else if (!isSpace(c)) return end;
  }
}

function swallow(input: InputStream, crossed: boolean, plain: number, withBlock: number): boolean {
  if (crossed || input.next < 0) return take(input, plain);
  const { end, brace } = sweepLine(input);
  if (brace >= 0) return take(input, withBlock, brace);
  return take(input, plain, plain === T.BadStatement ? Math.max(1, end) : end);
}

function lexAfterBlank(input: InputStream, stack: Stack): boolean {
  const blank = skipBlank(input, 0);
  const next = read(input, stack, blank.at);
  const c = input.peek(blank.at);
  const fit = next.term >= 0 && stack.canShift(next.term);
  if ((blank.crossed || c < 0 || c === 125) && stack.canShift(T.LineEnd) && !(next.symbol && fit && c !== 125)) return take(input, T.LineEnd);
  if (blank.crossed || c < 0) {
    return !fit && repair(input, stack, next, blank.crossed);
  }
  if (blank.at > 0) return false;
  // Asking the parser is dear, so the first character is looked at before.
  if ((c === 60 || c === 40) && stack.canShift(T.Decoration)) {
    const end = decorationEnd(input);
    if (end > 0) return take(input, T.Decoration, end);
  }
  if (c === 69 && stack.canShift(T.ErrnoName)) {
    const end = errnoEnd(input);
    if (end > 0) return take(input, T.ErrnoName, end);
  }
  if (next.term === T.Name && wordIsOn(input, next.end) && stack.canShift(T.onKw)) return take(input, T.onKw, next.end);
  return fit ? take(input, next.term, next.end) : repair(input, stack, next, false);
}

function wordIsOn(input: InputStream, end: number): boolean {
  if (end !== 2 || input.next !== 111 || input.peek(1) !== 110) return false;
  const next = skipBlank(input, end);
  return !next.crossed && fits(input, next.at, "nameOrNumber");
}

export const lex = new ExternalTokenizer(
  (input, stack) => {
    const c = input.next;
    if (c === 47) {
      const line = scanLineComment(input);
      if (line > 0 && !needsDecision(input)) {
        input.acceptToken(T.LineComment, line);
        return;
      }
      const block = scanBlockComment(input);
      if (block > 0 && !needsDecision(input)) {
        input.acceptToken(T.BlockComment, block);
        return;
      }
    }
    const decided = lexAfterBlank(input, stack);
    if (!decided && c === 47) {
      const length = scanLineComment(input) || scanBlockComment(input);
      if (length > 0) input.acceptToken(input.peek(1) === 47 ? T.LineComment : T.BlockComment, length);
    }
  },
  { contextual: true },
);

/** Directly behind a token the line end is decided first, and the comment becomes a token on the next call. */
function needsDecision(input: InputStream): boolean {
  const c = input.peek(-1);
  return !(c < 0 || isSpace(c) || isLineBreak(c));
}
