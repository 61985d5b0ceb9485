// `memfd check`: every scenario of the files under each of its kernels, and one verdict.

import { counted } from "../check/extent.ts";
import type { Command } from "./args.ts";
import { type Environment, EXIT, type ExitStatus } from "./environment.ts";
import { findFiles } from "./files.ts";
import { jsonReport } from "./json.ts";
import { junitReport } from "./junit.ts";
import type { Loaded, PlacedFinding, Run } from "./loaded.ts";
import { type CheckedScenario, exitStatus, type Outcome, verdictLine } from "./outcome.ts";
import { sarifReport } from "./sarif.ts";
import { distinct, load, run, unreadable } from "./session.ts";
import { withSuggestions } from "./suggest.ts";
import { tapReport } from "./tap.ts";
import { fileText, findingText } from "./text.ts";
import { Watch } from "./watch.ts";

type CheckCommand = Extract<Command, { name: "check" }>;

/** Files whose runs are not done while later files are read already: work for a second core, and texts that wait to be printed. */
const AHEAD = 32;

interface Begun {
  readonly loaded: Loaded | PlacedFinding;
  readonly runs: readonly Promise<Run>[];
}

export async function checkCommand(command: CheckCommand, environment: Environment): Promise<ExitStatus> {
  const { files, problems } = findFiles(command.paths, environment.files);
  const results = new Results(command, environment);
  const watch = new Watch(environment);
  for (const problem of problems) results.add(unreadable(problem.path, problem.reason), []);
  const begun: Begun[] = [];
  let left = files.length;
  for (const file of files) {
    if (environment.interrupt?.aborted) break;
    left -= 1;
    begun.push(await begin(file, command, environment, watch));
    if (begun.length > AHEAD) await end(begun.shift(), results);
  }
  while (begun.length > 0) await end(begun.shift(), results);
  return results.finish(left);
}

/** Starts every run of a file; each is answered when it is done, the file as a whole in its turn. */
async function begin(file: string, command: CheckCommand, environment: Environment, watch: Watch): Promise<Begun> {
  const loaded = load(file, environment, command.kernels);
  const runs: Promise<Run>[] = [];
  if (!("programs" in loaded)) return { loaded, runs };
  for (const program of loaded.programs) {
    const checked = run(loaded, program, environment, command, watch);
    runs.push(command.suggest === true ? checked.then((done) => withSuggestions(done, environment, command)) : checked);
    // Signals, and words from the workers, come between two turns.
    await new Promise((done) => setImmediate(done));
  }
  return { loaded, runs };
}

async function end(begun: Begun | undefined, results: Results): Promise<void> {
  if (begun !== undefined) results.add(begun.loaded, await Promise.all(begun.runs));
}

/** What was found, in the order of the files whatever was done first; as text it is printed file by file. */
class Results {
  readonly #command: CheckCommand;
  readonly #environment: Environment;
  readonly #scenarios: CheckedScenario[] = [];
  readonly #findings: PlacedFinding[] = [];
  #notRun = false;

  constructor(command: CheckCommand, environment: Environment) {
    this.#command = command;
    this.#environment = environment;
  }

  get #text(): boolean {
    return this.#command.format === "text";
  }

  add(loaded: Loaded | PlacedFinding, runs: readonly Run[]): void {
    if (!("programs" in loaded)) {
      this.#findings.push(loaded);
      if (this.#text) this.#environment.out(findingText(loaded));
      return;
    }
    const found = distinct([...loaded.findings, ...runs.flatMap((each) => each.findings)]);
    this.#notRun ||= loaded.notRun;
    this.#scenarios.push(...runs.map((each) => ({ loaded, run: each })));
    this.#findings.push(...found);
    if (this.#text) this.#environment.out(fileText(loaded, runs, found));
  }

  /** `left`: files that nobody looked at any more. */
  finish(left: number): ExitStatus {
    const { out, error, interrupt } = this.#environment;
    const { format } = this.#command;
    const outcome: Outcome = { scenarios: this.#scenarios, findings: this.#findings, notRun: this.#notRun || left > 0 };
    out(format === "text" ? `${verdictLine(outcome)}\n` : machineReport(format, outcome));
    if (interrupt?.aborted) {
      error(`memfd: stopped${left > 0 ? `; ${counted(left, "file")} not checked` : ""}\n`);
      return EXIT.interrupted;
    }
    if (outcome.scenarios.length === 0 && outcome.findings.length === 0) error("memfd: no scenario in these files\n");
    return exitStatus(outcome);
  }
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
