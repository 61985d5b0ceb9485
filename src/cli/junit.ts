// `--format junit`: one test suite per file, one test case per scenario and kernel.

import type { PlacedFinding } from "./loaded.ts";
import type { CheckedScenario, Outcome } from "./outcome.ts";
import { isInputError } from "./session.ts";

const NAMES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  "\n": "&#10;",
  "\r": "&#13;",
  "\t": "&#9;",
};

/** XML 1.0 has no way to write most control characters and lone surrogates. */
const xml = (text: string): string =>
  text
    .replace(/\p{Surrogate}/gu, "\ufffd")
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
    .replace(/[&<>"'\n\r\t]/g, (character) => NAMES[character]);

const line = (finding: PlacedFinding): string => `${finding.file}:${finding.line}:${finding.column}: ${finding.severity}: ${finding.message} [${finding.code}]`;

function testcase({ loaded, run }: CheckedScenario): string {
  const { report } = run;
  const head = `    <testcase name="${xml(`${report.scenario} (${report.kernel})`)}" classname="${xml(loaded.file)}" time="${(report.exploration.milliseconds / 1000).toFixed(3)}"`;
  if (report.verdict === "pass") return `${head}/>`;
  const text = run.findings
    .filter((each) => each.severity !== "information")
    .map(line)
    .join("\n");
  const message = text.split("\n")[0] || `${report.verdict}${report.exploration.limit ? `: ${report.exploration.limit}` : ""}`;
  const element = report.verdict === "fail" ? "failure" : "error";
  return `${head}>\n      <${element} type="${report.verdict}" message="${xml(message)}">${xml(text)}</${element}>\n    </testcase>`;
}

export function junitReport(outcome: Outcome): string {
  const inputErrors = outcome.findings.filter(isInputError);
  const files = [...new Set([...outcome.scenarios.map((each) => each.loaded.file), ...inputErrors.map((each) => each.file)])];
  const suites = files.map((file) => {
    const scenarios = outcome.scenarios.filter((each) => each.loaded.file === file);
    const errors = inputErrors.filter((each) => each.file === file);
    const broken = errors.map(
      (each) =>
        `    <testcase name="${xml(`line ${each.line}`)}" classname="${xml(file)}">\n      <error type="input" message="${xml(line(each))}"/>\n    </testcase>`,
    );
    const failures = scenarios.filter((each) => each.run.report.verdict === "fail").length;
    const incomplete = scenarios.filter((each) => each.run.report.verdict === "incomplete").length;
    const cases = [...scenarios.map(testcase), ...broken];
    const counts = `tests="${cases.length}" failures="${failures}" errors="${incomplete + errors.length}"`;
    return `  <testsuite name="${xml(file)}" ${counts}>\n${cases.join("\n")}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join("\n")}\n</testsuites>\n`;
}
