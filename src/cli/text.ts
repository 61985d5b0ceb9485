// `--format text`: findings as compilers print them, then one line per scenario and kernel.

import { fold, wrap } from "../view/columns.ts";
import type { Loaded, PlacedFinding, Run } from "./session.ts";

const WIDTH = 80;
const WORDS = { pass: "pass", fail: "FAIL", incomplete: "incomplete" } as const;

export function findingText(finding: PlacedFinding): string {
  const where = `${finding.file}:${finding.line}:${finding.column}`;
  const head = fold(`${where}: ${finding.severity}: ${finding.message} [${finding.code}]`);
  // Of what the scenario expects, the line itself is enough; `memfd trace` tells the story.
  const told = finding.severity === "information" ? [] : finding.related;
  const related = told.map((each) => fold(`  ${each.file}:${each.line}:${each.column}: ${each.message}`));
  return `${[head, ...related].join("\n")}\n`;
}

export function fileText(loaded: Loaded, runs: readonly Run[], findings: readonly PlacedFinding[]): string {
  return findings.map(findingText).join("") + runs.map((each) => runText(loaded, each)).join("");
}

function runText(loaded: Loaded, run: Run): string {
  const { report, program } = run;
  const { file, line } = loaded.siteOf(program)(program.site);
  const { states, complete, limit } = report.exploration;
  const extent = complete ? `${states} states, all interleavings` : `${states} states, stopped${limit ? `: ${limit}` : ""}`;
  return `${wrap(`${file}:${line}: ${WORDS[report.verdict]}: "${report.scenario}" under ${report.kernel} (${extent})`, WIDTH, "  ").join("\n")}\n`;
}
