// From arguments to an exit status.

import { parseCommand } from "./args.ts";
import { checkCommand } from "./check.ts";
import { compareCommand } from "./compare.ts";
import { emitCommand } from "./emit-c.ts";
import { type Environment, EXIT, type ExitStatus } from "./environment.ts";
import { formatCommand } from "./format.ts";
import { helpText } from "./help.ts";
import { importCommand } from "./import.ts";
import { callsCommand, kernelsCommand } from "./reference.ts";
import { traceCommand } from "./trace.ts";

export async function runCommand(args: readonly string[], environment: Environment, version: string): Promise<ExitStatus> {
  const parsed = parseCommand(args);
  if (!parsed.ok) {
    environment.error(`memfd: ${parsed.message}\nTry memfd --help.\n`);
    return EXIT.input;
  }
  const { command } = parsed;
  switch (command.name) {
    case "check":
      return checkCommand(command, environment);
    case "trace":
      return traceCommand(command, environment);
    case "emit-c":
      return emitCommand(command, environment);
    case "compare":
      return compareCommand(command, environment);
    case "import":
      return importCommand(command, environment);
    case "kernels":
      return kernelsCommand(environment);
    case "calls":
      return callsCommand(command.names, environment);
    case "format":
      return formatCommand(command, environment);
    case "help":
      environment.out(helpText(command.of));
      return EXIT.pass;
    case "version":
      environment.out(`${version}\n`);
      return EXIT.pass;
  }
}
