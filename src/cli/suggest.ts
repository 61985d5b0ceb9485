// `memfd check --suggest`: which order of steps saves a scenario in which something breaks, expected or not. The search runs in a worker, so that Ctrl+C is
// heard.

import type { Report } from "../check/report.ts";
import { type Suggestions, saveable } from "../check/suggest/index.ts";
import { encodeSchedule } from "../explore/schedule.ts";
import type { Program } from "../scenario/program.ts";
import type { SuggestLane } from "../server/suggest-lane.ts";
import type { Environment, Limits } from "./environment.ts";
import type { Run } from "./loaded.ts";
import type { RunLimits } from "./session.ts";

/** The engine's `suggest`, in a worker. */
export async function suggestIn(lane: SuggestLane, program: Program, report: Report, { maxStates, maxMilliseconds, signal }: Limits): Promise<Suggestions> {
  const answer = await lane.suggest(
    { program, report, maxStates, maxMilliseconds },
    {
      aborted: () => signal?.aborted === true,
      onAbort(listener) {
        signal?.addEventListener("abort", listener, { once: true });
        return () => signal?.removeEventListener("abort", listener);
      },
    },
  );
  if ("suggestions" in answer) return answer.suggestions;
  const nothing = { scenario: program.name, kernel: program.profile.name, goals: [], suggestions: [], refused: [], tried: 0, ruledOut: 0, complete: false };
  if ("stopped" in answer) return { ...nothing, limit: "cancelled", notes: ["the search for a change was stopped"] };
  return { ...nothing, notes: [`the search for a change failed: ${answer.failed}`] };
}

/** The run, with what was suggested for it where something breaks. */
export async function withSuggestions(run: Run, { engine, now, interrupt }: Environment, limits: RunLimits): Promise<Run> {
  if (engine.suggest === undefined || !saveable(run.program, run.report)) return run;
  const suggestions = await engine.suggest(run.program, run.report, {
    now,
    signal: interrupt,
    ...(limits.maxStates === undefined ? {} : { maxStates: limits.maxStates }),
    ...(limits.seconds === undefined ? {} : { maxMilliseconds: limits.seconds * 1000 }),
  });
  return { ...run, suggestions };
}

/** What `--format json` says of them; added to the scenario only where they were asked for. */
export function jsonSuggestions({ goals, suggestions, refused, tried, ruledOut, complete, limit, notes }: Suggestions, program: Program): unknown {
  return {
    goals,
    suggestions: suggestions.map(({ kind, title, text, meaning, cost, removes, remains, states, notJudged, labels }) => ({
      kind,
      title,
      text,
      meaning,
      cost,
      removes,
      remains,
      states,
      notJudged,
      labels: labels.map(({ call, label }) => ({ label, call: program.calls[call].spec, actor: program.actors[program.calls[call].actor].name })),
    })),
    refused: refused.map(({ title, reason, steps, schedule }) => ({ title, reason, steps, schedule: encodeSchedule(schedule) })),
    tried,
    ruledOut,
    complete,
    ...(limit === undefined ? {} : { limit }),
    notes,
  };
}
