// What a document's scenarios answered, as the status bar, the code lenses and `memfd/run` say it.

import { forecastText } from "../check/forecast.ts";
import type { ProgramRun, Snapshot } from "./documents.ts";
import type { ProgressParams, ScenarioVerdict, StatusParams } from "./protocol.ts";
import type { Outcome, Runner } from "./runner.ts";

/** What of a Runner the readers of its answers need. */
export type Outcomes = Pick<Runner, "outcome" | "pending"> & Partial<Pick<Runner, "live">>;

export function verdictOf(snapshot: Snapshot, run: ProgramRun, outcomes: Outcomes): ScenarioVerdict {
  const { program } = run;
  const header = program.sites[program.site];
  const line = header.file === snapshot.uri ? snapshot.document.positionAt(header.from).line : 0;
  const base = { scenario: program.name, kernel: program.profile.name, line };
  const outcome = outcomes.outcome(run.job.key);
  if (outcome !== undefined) return { ...base, ...answered(outcome) };
  if (!outcomes.pending(run.job.key)) return { ...base, state: "notRun", reason: "it was not run yet" };
  const forecast = outcomes.live?.(run.job.key)?.forecast;
  return { ...base, state: "running", ...(forecast === undefined ? {} : { forecast: forecastText(forecast) }) };
}

function answered(outcome: Outcome): Pick<ScenarioVerdict, "state" | "states" | "reason"> {
  switch (outcome.kind) {
    case "report": {
      const { verdict, exploration } = outcome.report;
      const reason = verdict === "incomplete" ? (exploration.limit ?? "not every interleaving could be judged") : undefined;
      return { state: verdict, states: exploration.states, reason };
    }
    case "stopped":
      return { state: "incomplete", states: outcome.report?.exploration.states, reason: outcome.report?.exploration.limit ?? "it was stopped" };
    case "failed":
      return { state: "incomplete", reason: `the model failed: ${outcome.message}` };
  }
}

/** One entry per scenario and kernel, in the order of the text; scenarios whose text has errors are there as `notRun`. */
export function verdictsOf(snapshot: Snapshot, outcomes: Outcomes): readonly ScenarioVerdict[] {
  const verdicts = snapshot.runs.map((run) => verdictOf(snapshot, run, outcomes));
  const present = new Set(snapshot.runs.map((run) => run.program.name));
  for (const entry of snapshot.analysis.outline) {
    if (present.has(entry.name)) continue;
    const line = snapshot.document.positionAt(entry.header.from).line;
    const reason = entry.broken ? "its text has errors" : "its kernel is not modelled yet";
    for (const kernel of entry.kernels) verdicts.push({ scenario: entry.name, kernel, state: "notRun", line, reason });
  }
  return verdicts.sort((one, other) => one.line - other.line);
}

export function statusOf(snapshot: Snapshot, outcomes: Outcomes): StatusParams {
  const scenarios = verdictsOf(snapshot, outcomes);
  const count = (state: ScenarioVerdict["state"]): number => scenarios.filter((verdict) => verdict.state === state).length;
  return {
    uri: snapshot.uri,
    version: snapshot.version,
    running: count("running") > 0,
    pass: count("pass"),
    fail: count("fail"),
    incomplete: count("incomplete"),
    notRun: count("notRun"),
    scenarios,
  };
}

/** Most runs end within this time; nobody can read a progress that is gone at once. */
const SHOW_PROGRESS_MILLISECONDS = 300;

/** The runs of a document that take a while, each as it stands now; only that of `key` where one is given. */
export function progressOf(snapshot: Snapshot, outcomes: Outcomes, key?: string): readonly ProgressParams[] {
  return snapshot.runs.flatMap(({ program, job }): ProgressParams[] => {
    const live = key === undefined || job.key === key ? outcomes.live?.(job.key) : undefined;
    if (live === undefined || live.progress.milliseconds < SHOW_PROGRESS_MILLISECONDS) return [];
    const { states, frontier, depth, milliseconds } = live.progress;
    return [{ uri: snapshot.uri, scenario: program.name, kernel: program.profile.name, states, frontier, depth, rate: live.rate, milliseconds }];
  });
}

export function closedStatus(uri: string): StatusParams {
  return { uri, version: 0, running: false, pass: 0, fail: 0, incomplete: 0, notRun: 0, scenarios: [] };
}
