// `memfd trace`: the stories of a file's scenarios; with --full every call and step, and the state of the machine where a rule breaks.

import { nearest } from "../language/near.ts";
import type { Program } from "../scenario/program.ts";
import { storyText } from "../view/story.ts";
import { traceText } from "../view/text.ts";
import type { Command } from "./args.ts";
import { type Environment, EXIT, type ExitStatus } from "./environment.ts";
import { type CheckedScenario, exitStatus } from "./outcome.ts";
import { distinct, isInputError, type Loaded, load, type Run, run } from "./session.ts";
import { findingText } from "./text.ts";
import { Watch } from "./watch.ts";

type TraceCommand = Extract<Command, { name: "trace" }>;

const RULE = `${"=".repeat(80)}\n`;

export async function traceCommand(command: TraceCommand, environment: Environment): Promise<ExitStatus> {
  const loaded = load(command.file, environment, command.kernels);
  if (!("programs" in loaded)) {
    environment.error(findingText(loaded));
    return EXIT.input;
  }
  for (const finding of distinct(loaded.findings)) if (finding.severity !== "information") environment.error(findingText(finding));
  const chosen = choose(loaded.programs, command.scenario);
  if (typeof chosen === "string") {
    environment.error(`memfd: ${chosen}\n`);
    return EXIT.input;
  }
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

/** All, or those of one name: exact, or the only one that has the text in its name. */
export function choose(programs: readonly Program[], name: string | undefined): readonly Program[] | string {
  if (name === undefined) return programs;
  const names = [...new Set(programs.map((program) => program.name))];
  const matches = names.includes(name) ? [name] : names.filter((each) => each.toLowerCase().includes(name.toLowerCase()));
  if (matches.length === 1) return programs.filter((program) => program.name === matches[0]);
  const list = (matches.length > 1 ? matches : names).map((each) => `  ${each}`).join("\n");
  if (matches.length > 1) return `more than one scenario has "${name}" in its name:\n${list}`;
  const near = nearest(name, names);
  return `no scenario is named "${name}"${near ? `; did you mean "${near}"?` : names.length > 0 ? `; this file has:\n${list}` : "; this file has none"}`;
}
