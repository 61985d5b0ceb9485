// The files under scenarios/ and the engine that the command line runs them with, for the tests beside this file.

import { readdirSync, readFileSync } from "node:fs";
import { posix, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { check } from "../../src/check/index.ts";
import { locate } from "../../src/check/locate.ts";
import type { Report } from "../../src/check/report.ts";
import type { Engine, Environment } from "../../src/cli/environment.ts";
import { realFiles } from "../../src/cli/files.ts";
import { runCommand } from "../../src/cli/run.ts";
import { VERSION } from "../../src/cli/version.ts";
import { thisMachine } from "../../src/export/c/machine.ts";
import { format } from "../../src/language/format.ts";
import { type Analysis, analyse } from "../../src/language/index.ts";
import { kernelsOf, underKernel } from "../../src/language/under.ts";
import type { Program } from "../../src/scenario/program.ts";
import { trace } from "../../src/view/trace.ts";

export const ROOT = relative(process.cwd(), fileURLToPath(new URL("../..", import.meta.url))).replaceAll("\\", "/");

/** `series/v4-seal-mask.memfd` and so on, in order. */
export const SCENARIO_FILES: readonly string[] = readdirSync(posix.join(ROOT, "scenarios"), { recursive: true })
  .map((name) => String(name).replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".memfd"))
  .sort();

/** The path of a scenario file, or of their folder, from where the tests run. */
export const pathOf = (name = ""): string => posix.join(ROOT, "scenarios", name);

export const textOf = (name: string): string => readFileSync(pathOf(name), "utf8");

/** Imports lie beside the importing file. */
function importOf(path: string, from: string): { file: string; text: string } | undefined {
  const file = posix.join(posix.dirname(from), path);
  return SCENARIO_FILES.includes(file) ? { file, text: textOf(file) } : undefined;
}

export const analysed = (name: string, text: string = textOf(name)): Analysis => analyse(name, text, { imports: importOf });

/** Enough for every scenario that ships, many times over; a run that needs more is reported as incomplete and fails the test. */
export const checked = (program: Program): Report => check(program, { now: () => performance.now(), maxStates: 1_000_000, maxMilliseconds: 60_000 });

const engine: Engine = {
  analyse(file, text, options) {
    const analysis = analyse(file, text, options);
    const { findings, programs, outline, tree } = analysis;
    const under = (scenario: string, kernel: string) => underKernel(analysis, scenario, kernel);
    return { findings, programs, outline, tree, kernels: kernelsOf(analysis), under };
  },
  check: (program, { maxStates, maxMilliseconds, now }) => check(program, { maxStates, maxMilliseconds, now }),
  locate,
  trace,
  format,
};

/** The command line in this process: what it prints and its exit status. */
export async function memfd(...args: readonly string[]): Promise<{ status: number; out: string; error: string }> {
  let out = "";
  let error = "";
  const environment: Environment = {
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
    now: () => performance.now(),
    files: realFiles,
    engine,
    machine: thisMachine,
  };
  return { status: await runCommand(args, environment, VERSION), out, error };
}
