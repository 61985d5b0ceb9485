// `memfd check`: every scenario of the files under each of its kernels, and one verdict.

import type { Command } from "./args.ts";
import type { Environment, ExitStatus } from "./environment.ts";
import { findFiles } from "./files.ts";
import { jsonReport } from "./json.ts";
import { junitReport } from "./junit.ts";
import { type CheckedScenario, exitStatus, type Outcome, verdictLine } from "./outcome.ts";
import { sarifReport } from "./sarif.ts";
import { distinct, load, type PlacedFinding, run, unreadable } from "./session.ts";
import { tapReport } from "./tap.ts";
import { fileText, findingText } from "./text.ts";

type CheckCommand = Extract<Command, { name: "check" }>;

export function checkCommand(command: CheckCommand, environment: Environment): ExitStatus {
  const { files, problems } = findFiles(command.paths, environment.files);
  const text = command.format === "text";
  const scenarios: CheckedScenario[] = [];
  const findings: PlacedFinding[] = [];
  let notRun = false;
  for (const problem of problems) {
    const finding = unreadable(problem.path, problem.reason);
    findings.push(finding);
    if (text) environment.out(findingText(finding));
  }
  for (const file of files) {
    const loaded = load(file, environment, command.kernels);
    if (!("programs" in loaded)) {
      findings.push(loaded);
      if (text) environment.out(findingText(loaded));
      continue;
    }
    const checked = loaded.programs.map((program) => ({ loaded, run: run(loaded, program, environment, command) }));
    const found = distinct([...loaded.findings, ...checked.flatMap((each) => each.run.findings)]);
    notRun ||= loaded.notRun;
    scenarios.push(...checked);
    findings.push(...found);
    if (text)
      environment.out(
        fileText(
          loaded,
          checked.map((each) => each.run),
          found,
        ),
      );
  }
  const outcome: Outcome = { scenarios, findings, notRun };
  environment.out(text ? `${verdictLine(outcome)}\n` : machineReport(command.format, outcome));
  if (scenarios.length === 0 && findings.length === 0) environment.error("memfd: no scenario in these files\n");
  return exitStatus(outcome);
}

function machineReport(format: Exclude<CheckCommand["format"], "text">, outcome: Outcome): string {
  switch (format) {
    case "json":
      return jsonReport(outcome);
    case "sarif":
      return sarifReport(outcome);
    case "junit":
      return junitReport(outcome);
    case "tap":
      return tapReport(outcome);
  }
}
