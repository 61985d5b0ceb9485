// `memfd format`: lays the files out, in place and only where that changes something. With --check it only says which would change.

import type { Command } from "./args.ts";
import { type Environment, EXIT, type ExitStatus } from "./environment.ts";
import { findFiles } from "./files.ts";

export function formatCommand(command: Extract<Command, { name: "format" }>, environment: Environment): ExitStatus {
  const { files, problems } = findFiles(command.files, environment.files);
  let failed = problems.length > 0;
  let differs = false;
  const complain = (path: string, reason: string): void => {
    environment.error(`memfd: ${path}: ${reason}\n`);
    failed = true;
  };
  for (const problem of problems) complain(problem.path, problem.reason);
  for (const file of files) {
    const read = environment.files.read(file);
    if (!read.ok) complain(file, read.reason);
    else if (!read.validUtf8) complain(file, "not UTF-8; left as it is");
    else {
      const formatted = environment.engine.format(read.text);
      if (formatted === read.text) continue;
      differs = true;
      const problem = command.check ? undefined : environment.files.replace(file, formatted);
      if (problem === undefined) environment.out(`${file}\n`);
      else complain(file, problem);
    }
  }
  if (failed) return EXIT.input;
  return command.check && differs ? EXIT.fail : EXIT.pass;
}
