// `--format tap`: TAP version 14, one test point per scenario and kernel and one per error of the text.

import { fold } from "../view/columns.ts";
import type { PlacedFinding } from "./loaded.ts";
import type { Outcome } from "./outcome.ts";
import { isInputError } from "./session.ts";

/** `#` would begin a directive. */
const description = (text: string): string => fold(text).replaceAll("\n", " ").replaceAll("\\", "\\\\").replaceAll("#", "\\#");

const note = (finding: PlacedFinding): string =>
  `# ${fold(`${finding.file}:${finding.line}:${finding.column}: ${finding.severity}: ${finding.message} [${finding.code}]`).replaceAll("\n", " ")}`;

export function tapReport(outcome: Outcome): string {
  const inputErrors = outcome.findings.filter(isInputError);
  const points = [
    ...outcome.scenarios.map(({ loaded, run }) => {
      const { report } = run;
      const point = `${loaded.file}: ${report.scenario} (${report.kernel})${report.verdict === "incomplete" ? `, incomplete: ${report.exploration.limit ?? "stopped"}` : ""}`;
      return { ok: report.verdict === "pass", point, notes: report.verdict === "pass" ? [] : run.findings.filter((each) => each.severity !== "information") };
    }),
    ...inputErrors.map((finding) => ({ ok: false, point: `${finding.file}: line ${finding.line} cannot be understood`, notes: [finding] })),
  ];
  const lines = points.flatMap(({ ok, point, notes }, index) => [`${ok ? "ok" : "not ok"} ${index + 1} - ${description(point)}`, ...notes.map(note)]);
  return `${["TAP version 14", `1..${points.length}`, ...lines].join("\n")}\n`;
}
