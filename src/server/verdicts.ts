// What a document's scenarios answered, as the status bar, the code lenses and `memfd/run` say it.

import type { ProgramRun, Snapshot } from "./documents.ts";
import type { ScenarioVerdict, StatusParams } from "./protocol.ts";
import type { Outcome, Runner } from "./runner.ts";

/** What of a Runner the readers of its answers need. */
export type Outcomes = Pick<Runner, "outcome" | "pending">;

export function verdictOf(snapshot: Snapshot, run: ProgramRun, outcomes: Outcomes): ScenarioVerdict {
  const { program } = run;
  const header = program.sites[program.site];
  const line = header.file === snapshot.uri ? snapshot.document.positionAt(header.from).line : 0;
  const base = { scenario: program.name, kernel: program.profile.name, line };
  const outcome = outcomes.outcome(run.job.key);
  if (outcome !== undefined) return { ...base, ...answered(outcome) };
  return outcomes.pending(run.job.key) ? { ...base, state: "running" } : { ...base, state: "notRun", reason: "it was not run yet" };
}

function answered(outcome: Outcome): Pick<ScenarioVerdict, "state" | "states" | "reason"> {
  switch (outcome.kind) {
    case "report": {
      const { verdict, exploration } = outcome.report;
      const reason = verdict === "incomplete" ? (exploration.limit ?? "not every interleaving could be judged") : undefined;
      return { state: verdict, states: exploration.states, reason };
    }
    case "stopped":
      return { state: "incomplete", states: outcome.report?.exploration.states, reason: "it was stopped" };
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

export function closedStatus(uri: string): StatusParams {
  return { uri, version: 0, running: false, pass: 0, fail: 0, incomplete: 0, notRun: 0, scenarios: [] };
}
