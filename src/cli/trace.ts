// `memfd trace`: the stories of a file's scenarios; with --full every call and step, and the state of the machine where a rule breaks.

import { counted } from "../check/extent.ts";
import { decodeSchedule } from "../explore/schedule.ts";
import { MAX_TRACE_STEPS, type TraceView } from "../view/rows.ts";
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
  const decoded = command.schedule === undefined ? undefined : decodeSchedule(command.schedule);
  if (decoded?.ok === false) {
    environment.error(`memfd: --schedule: ${decoded.message}\n`);
    return EXIT.input;
  }
  const asked = Math.min(decoded?.schedule.length ?? 0, MAX_TRACE_STEPS);
  let fits = asked === 0;
  const checked: CheckedScenario[] = [];
  const watch = new Watch(environment);
  for (const program of chosen) {
    const each = await run(loaded, program, environment, command, watch);
    checked.push({ loaded, run: each });
    if (checked.length > 1) environment.out(`\n${RULE}\n`);
    const view = viewOf(loaded, each, environment, command);
    environment.out(view === undefined ? each.findings.map(findingText).join("") : storyOf(view, each, command));
    const taken = view === undefined ? 0 : view.steps.length - 1;
    if (taken >= asked) fits = true;
    else environment.error(`memfd: --schedule: "${program.name}" under ${program.profile.name} takes ${taken} of its ${counted(asked, "step")}\n`);
  }
  if (checked.length === 0) environment.error("memfd: no scenario could be run\n");
  if (environment.interrupt?.aborted) return EXIT.interrupted;
  return fits
    ? exitStatus({ scenarios: checked, findings: loaded.findings.filter(isInputError), notRun: command.scenario === undefined && loaded.notRun })
    : EXIT.input;
}

/** Undefined where a bug of the model is the whole story: there is nothing to replay. */
function viewOf(loaded: Loaded, { program, report, findings }: Run, environment: Environment, command: TraceCommand): TraceView | undefined {
  if (report.exploration.states === 0 && findings.length > 0) return undefined;
  const schedule = command.schedule === undefined ? {} : { schedule: command.schedule };
  return environment.engine.trace(program, report, { ...schedule, lineOf: loaded.placeOf });
}

function storyOf(view: TraceView, { findings }: Run, command: TraceCommand): string {
  if (!command.full) return storyText(view);
  const broken = findings.filter((finding) => finding.severity === "error" && finding.code.startsWith("MEMFD3"));
  return traceText(view) + (broken.length === 0 ? "" : `\n${broken.map(findingText).join("")}`);
}
