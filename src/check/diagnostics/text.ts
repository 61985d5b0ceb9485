// MEMFD1xxx: the text cannot be read or parsed.

import type { DiagnosticRow } from "./types.ts";

export const textRows: readonly DiagnosticRow[] = [
  {
    code: "MEMFD1000",
    severity: "error",
    title: "File cannot be read",
    explanation:
      "The command line was given a path that it cannot read: nothing is there, the permission is missing, or it is neither a file nor a folder. Nothing of it is checked, " +
      "and the exit status is 2. No text triggers it, for there is none.",
    example: "",
  },
  {
    code: "MEMFD1001",
    severity: "error",
    title: "Not a text",
    explanation:
      "A file with a NUL byte or with bytes that are no UTF-8 is taken for binary and is not parsed. The squiggle stands on the first such byte. Save the file as UTF-8.",
    example: "\0",
  },
  {
    code: "MEMFD1002",
    severity: "error",
    title: "Syntax error",
    explanation:
      "The text does not go on as the language has it; the message says what was expected. Only this statement is lost: the lines after it are read as if it were not there. " +
      "A scenario with such a line is not run, because what it asks is not known.",
    example: "kernel v8\nclose(1 2)",
  },
  {
    code: "MEMFD1003",
    severity: "error",
    title: "Block not closed",
    explanation:
      'A `{` has no `}`; the squiggle stands on the `{`. `scenario "…"`, `setup NAME` and `import "…"` always begin a declaration, so a block that is open before them ends there ' +
      "and the declarations behind it stay whole.",
    example: "setup a {",
  },
  {
    code: "MEMFD1004",
    severity: "error",
    title: "Nothing to close",
    explanation: "A `}` stands where no block is open. Usually one `}` too many closed the block above it earlier than meant.",
    example: "kernel v8\n}",
  },
  {
    code: "MEMFD1005",
    severity: "error",
    title: "Operand missing",
    explanation:
      "A keyword stands alone on its line. Its first operand must stand on the same line, because a line that is complete ends its statement. " +
      "A word of your own that happens to be a keyword is a name as soon as `(`, `=` or `:` follows it.",
    example: "kernel v8\ncheck",
  },
  {
    code: "MEMFD1006",
    severity: "error",
    title: "Malformed integer",
    explanation:
      "Integers are decimal, 0x, 0o, 0b or a character such as 'A', with `_` between digits; one of K M G T P behind the number multiplies by a power of 1024. " +
      "A leading zero is refused, because C reads 0755 as octal and people do not agree what they read: write 0o755 or 755.",
    example: "PAGE = 0755",
  },
  {
    code: "MEMFD1007",
    severity: "error",
    title: "Integer too large",
    explanation: "Integers have 64 bits, as the kernel's loff_t and __u64 have. A suffix counts: 16P still fits, 16384P does not.",
    example: "PAGE = 99999999999999999999",
  },
  {
    code: "MEMFD1008",
    severity: "error",
    title: "String not closed",
    explanation: 'A string ends on the line on which it begins. For a long run of one byte write a product: "x" * 250.',
    example: 'kernel v8\nfd = memfd_create("x, 0)',
  },
  {
    code: "MEMFD1009",
    severity: "error",
    title: "Unknown escape",
    explanation:
      'Strings have the escapes of C: \\n, \\t, \\\\, \\", \\x41, \\101 and the like. Any other letter behind a backslash is refused and not guessed at.',
    example: 'kernel v8\nfd = memfd_create("\\q", 0)',
  },
  {
    code: "MEMFD1010",
    severity: "error",
    title: "Comment not closed",
    explanation: "A `/*` has no `*/`, so the rest of the file is comment. Comments do not nest: the first `*/` ends them.",
    example: "kernel v8\n/* x",
  },
  {
    code: "MEMFD1011",
    severity: "error",
    title: "Parenthesis not closed",
    explanation:
      "A parenthesis, bracket or brace of this statement is not closed. Inside parentheses line ends do not count, so the arguments of a call may go over several lines; " +
      "the statement ends where something stands that no argument can hold.",
    example: "kernel v8\nclose(1",
  },
];
