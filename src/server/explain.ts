// The page behind a diagnostic's code: title, explanation and the smallest text that triggers it, as Markdown.

import { diagnostics } from "../check/diagnostics.ts";

export function explain(code: string): string {
  const row = diagnostics.find((candidate) => candidate.code === code);
  if (row === undefined) return `# ${code.replaceAll(/[^A-Za-z0-9]/g, "")}\n\nThis build has no explanation of that code.\n`;
  const example = row.example.trim() === "" ? "" : `\n\nThe smallest scenario that shows it:\n\n\`\`\`memfd\n${row.example.trimEnd()}\n\`\`\``;
  return `# ${row.code}: ${row.title}\n\n*${row.severity}*\n\n${row.explanation}${example}\n`;
}
