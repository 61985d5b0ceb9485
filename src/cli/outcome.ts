// What `check` found, over all files, and the two things everybody asks of it: the verdict and the exit status.

import type { Verdict } from "../check/report.ts";
import { EXIT, type ExitStatus } from "./environment.ts";
import type { Loaded, PlacedFinding, Run } from "./loaded.ts";
import { isInputError } from "./session.ts";

export interface CheckedScenario {
  readonly loaded: Loaded;
  readonly run: Run;
}

export interface Outcome {
  readonly scenarios: readonly CheckedScenario[];
  /** Of the language and of the runs, in the order of files and lines. */
  readonly findings: readonly PlacedFinding[];
  readonly notRun: boolean;
}

const countVerdict = (outcome: Outcome, verdict: Verdict): number => outcome.scenarios.filter((each) => each.run.report.verdict === verdict).length;
const inputErrors = (outcome: Outcome): number => outcome.findings.filter(isInputError).length;
const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** An input error outranks everything: what could not be read may hide any answer. */
export function exitStatus(outcome: Outcome): ExitStatus {
  if (inputErrors(outcome) > 0) return EXIT.input;
  if (countVerdict(outcome, "fail") > 0) return EXIT.fail;
  if (countVerdict(outcome, "incomplete") > 0 || outcome.notRun || outcome.scenarios.length === 0) return EXIT.incomplete;
  return EXIT.pass;
}

export function verdict(outcome: Outcome): Verdict {
  const status = exitStatus(outcome);
  return status === EXIT.pass ? "pass" : status === EXIT.incomplete ? "incomplete" : "fail";
}

export function verdictLine(outcome: Outcome): string {
  const total = outcome.scenarios.length;
  const parts = [
    inputErrors(outcome) > 0 ? `${plural(inputErrors(outcome), "error")} in the text` : "",
    countVerdict(outcome, "fail") > 0 ? `${countVerdict(outcome, "fail")} of ${plural(total, "scenario")} failed` : "",
    countVerdict(outcome, "incomplete") > 0 ? `${countVerdict(outcome, "incomplete")} of ${plural(total, "scenario")} incomplete` : "",
    outcome.notRun ? "some scenarios were not run" : "",
  ].filter((part) => part !== "");
  if (parts.length === 0) parts.push(total === 0 ? "no scenario was run" : `${plural(total, "scenario")}, every interleaving explored`);
  return `${verdict(outcome)}: ${parts.join(", ")}`;
}
