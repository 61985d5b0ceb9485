// `--format text`: findings as compilers print them, then one line per scenario and kernel.

import { counted } from "../check/extent.ts";
import { fold, wrap } from "../view/columns.ts";
import { suggestionsText } from "../view/suggestions.ts";
import { sideBySide } from "./all-kernels.ts";
import type { Loaded, PlacedFinding, Run } from "./loaded.ts";

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
  if (loaded.all !== undefined) {
    // What a run found stands in its table; a run that failed has none.
    const failed = runs.filter((each) => each.report.exploration.states === 0).flatMap((each) => each.findings);
    const suggested = runs.map((each) =>
      each.suggestions === undefined ? "" : `"${each.report.scenario}" under ${each.report.kernel}:\n${suggestionsText(each.suggestions, each.program)}`,
    );
    return [...loaded.all.findings, ...failed].map(findingText).join("") + sideBySide(loaded, loaded.all.sides, runs) + suggested.join("");
  }
  return findings.map(findingText).join("") + runs.map((each) => runText(loaded, each)).join("");
}

function runText(loaded: Loaded, run: Run): string {
  const { report, program } = run;
  const { file, line } = loaded.siteOf(program)(program.site);
  const { states, complete, limit } = report.exploration;
  const extent = `${counted(states, "state")}, ${complete ? "all" : "not all"} interleavings${complete || limit === undefined ? "" : `: ${limit}`}`;
  return `${wrap(`${file}:${line}: ${WORDS[report.verdict]}: "${report.scenario}" under ${report.kernel} (${extent})`, WIDTH, "  ").join("\n")}\n${run.suggestions === undefined ? "" : suggestionsText(run.suggestions, program)}`;
}
