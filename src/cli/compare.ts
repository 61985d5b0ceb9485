// `memfd compare`: the scenarios built and run on this machine's kernel, call by call against the model.

import { type Compared, type ComparedRow, compareAnswers, compareStatus, headingOf } from "../export/c/compare.ts";
import type { Machine } from "../export/c/machine.ts";
import { wrap } from "../view/columns.ts";
import type { Command } from "./args.ts";
import { loadChosen } from "./chosen.ts";
import { emitted } from "./emit-c.ts";
import { type Environment, EXIT, type ExitStatus } from "./environment.ts";
import { findFiles } from "./files.ts";
import type { Loaded, Run } from "./loaded.ts";
import { isInputError, run, unreadable } from "./session.ts";
import { findingText } from "./text.ts";

type CompareCommand = Extract<Command, { name: "compare" }>;

const WIDTH = 80;
const NEVER = new AbortController().signal;

export async function compareCommand(command: CompareCommand, environment: Environment): Promise<ExitStatus> {
  const { machine } = environment;
  const unable = machine === undefined ? "no machine to run on" : machine.unable();
  if (machine === undefined || unable !== undefined) {
    environment.error(`memfd: nothing can be compared here: ${unable}\n`);
    return EXIT.incomplete;
  }
  for (const caution of machine.cautions()) environment.error(`memfd: ${caution}\n`);
  const { files, problems } = findFiles(command.paths, environment.files);
  for (const problem of problems) environment.error(findingText(unreadable(problem.path, problem.reason)));
  let wrong = problems.length > 0;
  let stopped = false;
  let unbuilt = false;
  const all: Compared[] = [];
  for (const file of files) {
    const found = loadChosen(file, command, environment, `${file}: `);
    wrong ||= found === undefined || found.loaded.findings.some(isInputError);
    if (found === undefined) continue;
    const { loaded, chosen } = found;
    for (const heading of new Set(chosen.map((program) => headingOf(program, machine.release()))))
      environment.out(`${indented(`${file}: ${heading}`, 0, 2)}\n`);
    for (const program of chosen) {
      stopped ||= environment.interrupt?.aborted === true;
      if (stopped) break;
      const compared = await compareOne(loaded, await run(loaded, program, environment, {}), machine, environment);
      if (compared === "unbuilt") unbuilt = true;
      else if (compared !== undefined) all.push(compared);
    }
  }
  environment.out(`${summary(all)}\n`);
  if (wrong) return EXIT.input;
  if (stopped) return EXIT.interrupted;
  const status = compareStatus(all);
  return unbuilt && status === EXIT.pass ? EXIT.incomplete : status;
}

async function compareOne(loaded: Loaded, checked: Run, machine: Machine, environment: Environment): Promise<Compared | "unbuilt" | undefined> {
  const { program, report } = checked;
  environment.out(indented(`"${program.name}" under ${program.profile.name}`, 0, 2));
  const c = emitted(loaded, checked);
  if (c.entries.every((entry) => entry.skipped !== undefined)) {
    environment.out(`${indented(`nothing of it runs here: ${c.entries[0]?.skipped ?? "it calls nothing"}`, 2)}\n`);
    return undefined;
  }
  const ran = await machine.run(c.text, environment.interrupt ?? NEVER);
  if ("failure" in ran) {
    environment.error(`memfd: ${ran.failure}\n`);
    return "unbuilt";
  }
  const compared = compareAnswers(program, report, c, ran, machine.facts());
  environment.out(`${compared.rows.map(rowText).join("")}\n`);
  return compared;
}

/** Text behind so many blanks, its further lines behind `more`. */
function indented(text: string, blanks: number, more = blanks): string {
  const lines = wrap(text, WIDTH - blanks, " ".repeat(more - blanks));
  return lines.map((each) => `${" ".repeat(blanks)}${each}\n`).join("");
}

/** Same answers on one line, differing ones one below the other. */
function rowText(row: ComparedRow): string {
  const { title, model, machine, agreement, note, deviation } = row;
  const line = (text: string): string => indented(text, 13);
  const head = (mark: string, rest: string): string => indented(`${mark.padEnd(8)} ${title}${rest}`, 2, 11);
  switch (agreement) {
    case "agrees":
      return head("agrees", machine === "holds" || machine === "does not hold" ? `: ${machine}` : ` = ${machine}`);
    case "skipped":
    case "not judged":
      return head("skipped", "") + line(note ?? "");
    case "follows":
      return head("follows", "") + line(`model: ${model}`) + line(`kernel: ${machine}`) + line(note ?? "");
    case "differs":
      return head("DIFFERS", "") + line(`model: ${model}`) + line(`kernel: ${machine}`);
    case "deviates":
      return (
        head("DEVIATES", "") +
        line(`model: ${model}`) +
        line(`kernel: ${machine}`) +
        line(`known: ${deviation?.reason ?? ""}`) +
        line(`source: ${deviation?.source ?? ""}`)
      );
  }
}

function summary(all: readonly Compared[]): string {
  const total = (of: (compared: Compared) => number): number => all.reduce((sum, compared) => sum + of(compared), 0);
  const [agreed, differed, deviated] = [total((each) => each.agreed), total((each) => each.differed), total((each) => each.deviated)];
  const [skipped, followed] = [total((each) => each.skipped), total((each) => each.followed)];
  if (agreed + differed + deviated === 0) return "nothing could be compared";
  const parts = [`${agreed} agree`, `${differed} differ`, `${deviated} deviate for a known reason`, `${followed} follow one of these`, `${skipped} skipped`];
  return parts.filter((part, at) => at === 0 || !part.startsWith("0 ")).join(", ");
}
