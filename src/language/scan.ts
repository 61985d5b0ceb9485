// Character-level rules of the language: names, numbers, strings, comments, blanks, and the rest of a broken line.

/** What the scanners read: Lezer's stream, or a text at a position. */
export interface Chars {
  peek(offset: number): number;
}

export const isDigit = (c: number): boolean => c >= 48 && c <= 57;
export const isLetter = (c: number): boolean => (c >= 97 && c <= 122) || (c >= 65 && c <= 90);
export const isNameStart = (c: number): boolean => isLetter(c) || c === 95;
export const isWordPart = (c: number): boolean => isNameStart(c) || isDigit(c);
export const isLineBreak = (c: number): boolean => c === 10 || c === 13;
export const isSpace = (c: number): boolean => c === 32 || c === 9 || c === 0xfeff || c === 0xa0 || c === 11 || c === 12;

/** `-` belongs to a name directly between a name character and a letter; a dot where another part of a dotted name follows. */
export function scanName(input: Chars, at: number): number {
  let i = at + 1;
  for (;;) {
    const c = input.peek(i);
    if (isWordPart(c)) i++;
    else if (c === 45 && isLetter(input.peek(i + 1))) i += 2;
    else if (c === 46 && isNameStart(input.peek(i + 1))) i += 2;
    else return i;
  }
}

/** Everything that hangs together with the first digit (what is wrong with it is said later), or a character literal. Returns `at` where neither is. */
export function scanNumber(input: Chars, at: number): number {
  if (input.peek(at) === 39) {
    const body = input.peek(at + 1);
    if (body < 0 || isLineBreak(body) || body === 39) return at;
    if (body !== 92) return input.peek(at + 2) === 39 ? at + 3 : at;
    for (let i = at + 2; i < at + 8; i++) {
      const c = input.peek(i);
      if (c < 0 || isLineBreak(c)) return at;
      if (c === 39 && i > at + 2) return i + 1;
    }
    return at;
  }
  let i = at + 1;
  while (isWordPart(input.peek(i)) || (input.peek(i) === 46 && isDigit(input.peek(i + 1)))) i++;
  return i;
}

/** To the closing quote, or without one to the end of the line. */
export function scanString(input: Chars, at: number): number {
  let i = at + 1;
  for (;;) {
    const c = input.peek(i);
    if (c < 0 || isLineBreak(c)) return i;
    if (c === 34) return i + 1;
    i += c === 92 && input.peek(i + 1) >= 0 && !isLineBreak(input.peek(i + 1)) ? 2 : 1;
  }
}

export function scanLineComment(input: Chars, at = 0): number {
  if (input.peek(at) !== 47 || input.peek(at + 1) !== 47) return 0;
  let i = at + 2;
  while (input.peek(i) >= 0 && !isLineBreak(input.peek(i))) i++;
  return i - at;
}

/** Length of the block comment at `at`; without its end it goes to the end of the file. */
export function scanBlockComment(input: Chars, at = 0): number {
  if (input.peek(at) !== 47 || input.peek(at + 1) !== 42) return 0;
  let i = at + 2;
  for (;;) {
    const c = input.peek(i);
    if (c < 0) return i - at;
    if (c === 42 && input.peek(i + 1) === 47) return i + 2 - at;
    i++;
  }
}

/** Over spaces and comments. `crossed`: a line end lies between; a comment that spans lines counts as one. */
export function skipBlank(input: Chars, at: number): { at: number; crossed: boolean } {
  let i = at;
  let crossed = false;
  for (;;) {
    const c = input.peek(i);
    if (isSpace(c)) i++;
    else if (isLineBreak(c)) {
      crossed = true;
      i++;
    } else if (c === 47) {
      const line = scanLineComment(input, i);
      const block = line > 0 ? 0 : scanBlockComment(input, i);
      if (line + block === 0) return { at: i, crossed };
      for (let k = i; block > 0 && !crossed && k < i + block; k++) crossed = isLineBreak(input.peek(k));
      i += line + block;
    } else return { at: i, crossed };
  }
}

/** The rest of a broken line: up to its end, a `;`, or a `}` that closes something before it; `brace` is where a block opens that stays open. */
export function sweepLine(input: Chars): { end: number; brace: number } {
  const open: number[] = [];
  let i = 0;
  let end = 0;
  for (;;) {
    const c = input.peek(i);
    if (c < 0 || isLineBreak(c) || (c === 59 && open.length === 0)) break;
    if (c === 47 && input.peek(i + 1) === 47) break;
    if (c === 47 && input.peek(i + 1) === 42) {
      const length = scanBlockComment(input, i);
      const blank = skipBlank({ peek: (k) => (k < i + length ? input.peek(k) : -1) }, i);
      if (blank.crossed || input.peek(i + length) < 0) break;
      i += length;
      continue;
    }
    if (c === 125 && open.pop() === undefined) break;
    if (c === 123) open.push(i);
    i = c === 34 ? scanString(input, i) : i + 1;
    if (!isSpace(c)) end = i;
  }
  return { end, brace: open.length > 0 ? open[0] : -1 };
}
