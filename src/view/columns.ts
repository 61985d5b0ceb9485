// Plain text in a fixed number of columns: wrapping, tables and lanes, as they are pasted into a mail.

const ASCII: Readonly<Record<string, string>> = {
  "→": "->",
  "←": "<-",
  "↔": "<->",
  "⇒": "=>",
  "–": "-",
  "—": "-",
  "−": "-",
  "…": "...",
  "“": '"',
  "”": '"',
  "‘": "'",
  "’": "'",
  "×": "x",
  "·": "-",
  "≤": "<=",
  "≥": ">=",
  "≠": "!=",
  "✓": "ok",
  "✗": "FAIL",
  "\u00a0": " ",
};

/** Typographic characters as mails write them, and no control character, so that a name from a file cannot steer the terminal. */
export function fold(text: string): string {
  return text.replace(/[^\x20-\x7e\n]/gu, (character) => ASCII[character] ?? (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(character) ? "?" : character));
}

/** Lines of at most `width` characters, broken at spaces; only a word that is longer than a line is cut, after a comma, `|`, `/` or `(` where it has one. */
export function wrap(text: string, width: number, hang = ""): string[] {
  const lines: string[] = [];
  for (const paragraph of fold(text).split("\n")) {
    let line = "";
    let empty = true;
    const flush = (): void => {
      lines.push(line);
      line = hang;
      empty = true;
    };
    for (const whole of paragraph.split(" ").filter((each) => each !== "")) {
      for (const [part, word] of pieces(whole, Math.max(8, width - hang.length)).entries()) {
        const glue = part === 0 ? " " : "";
        if (!empty && line.length + glue.length + word.length > width) flush();
        line = empty ? line + word : `${line}${glue}${word}`;
        empty = false;
      }
    }
    lines.push(line);
  }
  return lines;
}

function pieces(word: string, width: number): string[] {
  const parts: string[] = [];
  let rest = word;
  while (rest.length > width) {
    const head = rest.slice(0, width);
    const cut = Math.max(...["|", ",", "/", "("].map((mark) => head.lastIndexOf(mark))) + 1;
    const at = cut > width / 2 ? cut : width;
    parts.push(rest.slice(0, at));
    rest = rest.slice(at);
  }
  return [...parts, rest];
}

/** `head` in the first `margin` columns, the text wrapped beside it. */
export function beside(head: string, text: string, margin: number, width: number): string[] {
  return wrap(text, width - margin).map((line, number) => (number === 0 ? fold(head) : "").padEnd(margin) + line);
}

const longest = (lines: readonly string[]): number => lines.reduce((most, line) => Math.max(most, line.length), 0);

/** A table under its headings in at most `width` columns: the widest columns give way first, their cells wrap. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], width: number, gap = 2): string[] {
  const all = [headings, ...rows].map((row) => row.map(fold));
  const natural = headings.map((_, column) => longest(all.map((row) => row[column] ?? "")));
  const floor = headings.map((_, column) => Math.min(natural[column], Math.max(4, longest(all.flatMap((row) => (row[column] ?? "").split(" "))))));
  const widths = [...natural];
  const room = width - gap * (headings.length - 1);
  const total = (): number => widths.reduce((sum, each) => sum + each, 0);
  while (total() > room) {
    const candidates = widths.map((each, column) => ({ column, slack: each - floor[column], each })).filter((each) => each.slack > 0);
    const pick = (candidates.length > 0 ? candidates : widths.map((each, column) => ({ column, slack: 0, each })).filter((each) => each.each > 4)).sort(
      (a, b) => b.each - a.each,
    )[0];
    if (!pick) break;
    widths[pick.column] -= 1;
  }
  const lines: string[] = [];
  all.forEach((row, index) => {
    lines.push(
      ...sideBySide(
        row.map((cell, column) => wrap(cell, widths[column])),
        widths,
        gap,
      ),
    );
    if (index === 0) lines.push(widths.map((each) => "-".repeat(each)).join(" ".repeat(gap)));
  });
  return lines;
}

/** Blocks of lines next to each other. */
export function sideBySide(blocks: readonly (readonly string[])[], widths: readonly number[], gap: number): string[] {
  const height = blocks.reduce((most, block) => Math.max(most, block.length), 0);
  return Array.from({ length: height }, (_, line) =>
    blocks
      .map((block, column) => (block[line] ?? "").padEnd(widths[column]))
      .join(" ".repeat(gap))
      .trimEnd(),
  );
}
