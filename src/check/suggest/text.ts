// Changes as `.memfd` text: entries and declarations of kernel variants, in 80 columns.

import type { ProfileEdit } from "../../scenario/program.ts";

const WIDTH = 80;

export function entryText(edit: ProfileEdit): string {
  if (edit.kind === "steps") return `${edit.operation} = ${edit.steps.join(", ")}`;
  return edit.kind === "without" ? `${edit.operation} without ${edit.step}` : `${edit.feature} = ${edit.value}`;
}

/** On one line where that fits, else an entry per line, broken behind commas. */
export function variantText(name: string, base: string, edits: readonly ProfileEdit[]): string {
  const entries = edits.map(entryText);
  const line = `kernel ${name} extends ${base} { ${entries.join("; ")} }`;
  if (entries.length === 1 && line.length <= WIDTH) return line;
  return [`kernel ${name} extends ${base} {`, ...entries.flatMap((entry) => folded(entry, "  ")), "}"].join("\n");
}

function folded(entry: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const part of entry.split(/(?<=,) /)) {
    const longer = line.trim() === "" ? `${line}${part}` : `${line} ${part}`;
    if (longer.length <= WIDTH || line.trim() === "") line = longer;
    else {
      lines.push(line);
      line = `${indent}  ${part}`;
    }
  }
  return [...lines, line];
}

/** `v8-pages` and `bracketed` → `v8-pages-bracketed`, with a number behind it where that is taken. A `-` must stand before a letter. */
export function variantName(base: string, word: string, taken: ReadonlySet<string>): string {
  const safe = base.replace(/[^A-Za-z0-9_-]/g, "_").replace(/^(?=[0-9])/, "linux");
  let name = `${safe}-${word}`;
  for (let number = 2; taken.has(name); number++) name = `${safe}-${word}${number}`;
  return name;
}
