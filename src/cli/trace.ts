// `memfd trace`: the stories of a file's scenarios; with --full every call and step, and the state of the machine where a rule breaks.

import { storyText } from "../view/story.ts";
import { traceText } from "../view/text.ts";
import type { Command } from "./args.ts";
import { loadChosen } from "./chosen.ts";
import { type Environment, EXIT, type ExitStatus } from "./environment.ts";
import type { Loaded, Run } from "./loaded.ts";
import { type CheckedScenario, exitStatus } from "./outcome.ts";
import { isInputError, run } from "./session.ts";
import { findingText } from "./text.ts";
import { Watch } from "./watch.ts";

type TraceCommand = Extract<Command, { name: "trace" }>;

const RULE = `${"=".repeat(80)}\n`;

export async function traceCommand(command: TraceCommand, environment: Environment): Promise<ExitStatus> {
  const found = loadChosen(command.file, command, environment);
  if (found === undefined) return EXIT.input;
  const { loaded, chosen } = found;
  const checked: CheckedScenario[] = [];
  const watch = new Watch(environment);
  for (const program of chosen) {
    const each = await run(loaded, program, environment, command, watch);
    checked.push({ loaded, run: each });
    if (checked.length > 1) environment.out(`\n${RULE}\n`);
    environment.out(storyOf(loaded, each, environment, command));
  }
  if (checked.length === 0) environment.error("memfd: no scenario could be run\n");
  if (environment.interrupt?.aborted) return EXIT.interrupted;
  return exitStatus({ scenarios: checked, findings: loaded.findings.filter(isInputError), notRun: command.scenario === undefined && loaded.notRun });
}

function storyOf(loaded: Loaded, each: Run, environment: Environment, command: TraceCommand): string {
  const { program, report } = each;
  // The bug of the model is the whole story: there is nothing to replay.
  if (report.exploration.states === 0 && each.findings.length > 0) return each.findings.map(findingText).join("");
  const schedule = command.schedule === undefined ? {} : { schedule: command.schedule };
  const view = environment.engine.trace(program, report, { ...schedule, lineOf: loaded.placeOf });
  if (!command.full) return storyText(view);
  const broken = each.findings.filter((finding) => finding.severity === "error" && finding.code.startsWith("MEMFD3"));
  return traceText(view) + (broken.length === 0 ? "" : `\n${broken.map(findingText).join("")}`);
}
