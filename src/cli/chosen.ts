// The scenarios of a file that a command is about: what is wrong with the file, and with the name, is said here.

import { nearest } from "../language/near.ts";
import type { Program } from "../scenario/program.ts";
import type { Choice } from "./args.ts";
import type { Environment } from "./environment.ts";
import type { Loaded } from "./loaded.ts";
import { distinct, load } from "./session.ts";
import { findingText } from "./text.ts";

/** Undefined after an error has been said. `where`: in front of it, where there are several files. */
export function loadChosen(
  file: string,
  { scenario, kernels }: Choice,
  environment: Environment,
  where = "",
): { readonly loaded: Loaded; readonly chosen: readonly Program[] } | undefined {
  const loaded = load(file, environment, kernels);
  if (!("programs" in loaded)) {
    environment.error(findingText(loaded));
    return undefined;
  }
  for (const finding of distinct(loaded.findings)) if (finding.severity !== "information") environment.error(findingText(finding));
  const chosen = choose(loaded.programs, scenario);
  if (typeof chosen !== "string") return { loaded, chosen };
  environment.error(`memfd: ${where}${chosen}\n`);
  return undefined;
}

/** All, or those of one name: exact, or the only one that has the text in its name. */
function choose(programs: readonly Program[], name: string | undefined): readonly Program[] | string {
  if (name === undefined) return programs;
  const names = [...new Set(programs.map((program) => program.name))];
  const matches = names.includes(name) ? [name] : names.filter((each) => each.toLowerCase().includes(name.toLowerCase()));
  if (matches.length === 1) return programs.filter((program) => program.name === matches[0]);
  const list = (matches.length > 1 ? matches : names).map((each) => `  ${each}`).join("\n");
  if (matches.length > 1) return `more than one scenario has "${name}" in its name:\n${list}`;
  const near = nearest(name, names);
  return `no scenario is named "${name}"${near ? `; did you mean "${near}"?` : names.length > 0 ? `; this file has:\n${list}` : "; this file has none"}`;
}
