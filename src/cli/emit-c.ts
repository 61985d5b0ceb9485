// `memfd emit-c`: one scenario as a C program on standard output.

import { decodeSchedule } from "../explore/schedule.ts";
import { type Emitted, emitC } from "../export/c/emit.ts";
import type { Program, Site } from "../scenario/program.ts";
import type { Command } from "./args.ts";
import { loadChosen } from "./chosen.ts";
import { type Environment, EXIT, type ExitStatus } from "./environment.ts";
import type { Loaded, Run } from "./loaded.ts";
import { isInputError, run } from "./session.ts";

type EmitCommand = Extract<Command, { name: "emit-c" }>;

export async function emitCommand(command: EmitCommand, environment: Environment): Promise<ExitStatus> {
  const found = loadChosen(command.file, command, environment);
  if (found === undefined) return EXIT.input;
  const { loaded, chosen } = found;
  if (chosen.length !== 1) {
    const list = chosen.map((program) => `  "${program.name}" under ${program.profile.name}\n`).join("");
    environment.error(
      chosen.length === 0 ? "memfd: no scenario could be run\n" : `memfd: one C file has one scenario; choose with --scenario and --kernel:\n${list}`,
    );
    return EXIT.input;
  }
  const decoded = command.schedule === undefined ? undefined : decodeSchedule(command.schedule);
  if (decoded?.ok === false) {
    environment.error(`memfd: --schedule: ${decoded.message}\n`);
    return EXIT.input;
  }
  const [program] = chosen;
  const checked = await run(loaded, program, environment, {});
  environment.out(emitted(loaded, checked, command.schedule).text);
  return loaded.findings.some(isInputError) ? EXIT.input : EXIT.pass;
}

export function emitted(loaded: Loaded, { program, report }: Run, schedule?: string): Emitted {
  const placeOf = placeWords(loaded, program);
  return emitC(program, { report, placeOf, ...(schedule === undefined ? {} : { schedule }) });
}

/** `line 12`, and for a setup of another file that file's name too. */
function placeWords(loaded: Loaded, program: Program): (site: Site) => string {
  return (site) => {
    const { file, line } = loaded.siteOf(program)(site);
    return file === loaded.file ? `line ${line}` : `${file} line ${line}`;
  };
}
