// Runs a changed Program to its end and holds it against the unchanged one: the goal must be gone, and nothing may be worse, whatever the scenario watches.

import type { Budget } from "../../explore/system.ts";
import { matches } from "../../model/queries.ts";
import { printResult, returnsOfCall } from "../../scenario/print.ts";
import type { CallId, Program, Question, Result } from "../../scenario/program.ts";
import { type CheckOptions, check, DEFAULT_LIMITS } from "../index.ts";
import type { Report, Schedule } from "../report.ts";
import { callName, goalText, isThere, remarkText, schedulesOf } from "./goals.ts";
import { heldBack, interleaving, seenSteps } from "./replay.ts";
import type { Goal } from "./types.ts";

export interface SuggestOptions extends Pick<CheckOptions, "now" | "cancelled" | "maxStates" | "maxBytes"> {
  /** Milliseconds for all candidates together. */
  readonly maxMilliseconds?: number;
  /** Runs, at most. */
  readonly maxCandidates?: number;
  /** Told before each candidate how many were run, and which one is next. */
  readonly tell?: (tried: number, title: string) => void;
}

export const SUGGEST_LIMITS = { maxMilliseconds: 20_000, maxCandidates: 1_500 } as const;

export interface Saved {
  readonly ok: true;
  readonly states: number;
  readonly removes: readonly Goal[];
  readonly remains: readonly Goal[];
  /** What calls no longer answer, in words. */
  readonly lost: readonly string[];
  readonly notJudged: readonly string[];
}

export interface Refused {
  readonly ok: false;
  readonly reason: string;
  readonly steps: string;
  readonly schedule: Schedule;
  /** The run that shows it, for the next candidates. */
  readonly shown?: { readonly program: Program; readonly report: Report; readonly schedules: readonly Schedule[] };
  /** The goal is gone, and the scenario is worse in something else. */
  readonly gone?: boolean;
  /** What is worse is an invariant that the unchanged scenario keeps. */
  readonly instead?: boolean;
}

export type Attempt = Saved | Refused;

/** Thrown where the time, the number of runs or the patience of the user is over. */
export class Stopped extends Error {
  readonly limit: "time" | "candidates" | "cancelled";
  constructor(limit: "time" | "candidates" | "cancelled") {
    super(limit);
    this.limit = limit;
  }
}

export class Verifier {
  readonly program: Program;
  readonly goals: readonly Goal[];
  tried = 0;
  readonly #options: SuggestOptions;
  readonly #begin: number;
  readonly #cache = new Map<string, Attempt>();
  #baseline: Report | undefined;

  constructor(program: Program, goals: readonly Goal[], options: SuggestOptions) {
    this.program = program;
    this.goals = goals;
    this.#options = options;
    this.#begin = options.now();
  }

  /** The unchanged scenario with every invariant watched. */
  get baseline(): Report {
    this.#baseline ??= this.#run(withEnd({ ...this.program, watch: {}, expected: [] }));
    return this.#baseline;
  }

  /** `key` tells candidates apart: an equal one is not run again. */
  attempt(key: string, title: string, changed: Program, ordered = false): Attempt {
    const known = this.#cache.get(key);
    if (known) return known;
    this.poll();
    this.#options.tell?.(this.tried, title);
    this.tried += 1;
    let attempt = this.#attempt(changed);
    if (attempt.ok && ordered) attempt = this.#deadEnd(changed) ?? attempt;
    this.#cache.set(key, attempt);
    return attempt;
  }

  poll(): void {
    if (this.#options.cancelled?.()) throw new Stopped("cancelled");
    if (this.#left() <= 0) throw new Stopped("time");
    if (this.tried >= (this.#options.maxCandidates ?? SUGGEST_LIMITS.maxCandidates)) throw new Stopped("candidates");
  }

  #left(): number {
    return (this.#options.maxMilliseconds ?? SUGGEST_LIMITS.maxMilliseconds) - (this.#options.now() - this.#begin);
  }

  #run(program: Program): Report {
    const { now, cancelled, maxStates, maxBytes } = this.#options;
    const report = check(program, { now, cancelled, maxStates, maxBytes, maxMilliseconds: Math.max(1, this.#left()) });
    // A run that was cut short says nothing; whether the whole search is over is asked here, so that nobody judges such a run.
    if (!report.exploration.complete) {
      if (cancelled?.()) throw new Stopped("cancelled");
      if (this.#left() <= 0) throw new Stopped("time");
    }
    return report;
  }

  #attempt(changed: Program): Attempt {
    const only = this.goals.flatMap((goal) => (goal.kind === "invariant" ? [goal.invariant] : []));
    const first = { ...changed, watch: { only }, expected: [] };
    const quick = this.#run(first);
    const remains = this.goals.filter((goal) => isThere(goal, quick));
    // What breaks is there however little was explored; that nothing breaks is known at the end only.
    if (remains.length === this.goals.length) return this.#stillThere(first, quick, remains);
    if (!quick.exploration.complete) return unexplored(quick);
    const full = this.#run(withEnd({ ...changed, watch: {}, expected: [] }));
    const worse = this.#worse(changed, full, remains);
    if (worse) return worse;
    return {
      ok: true,
      states: full.exploration.states,
      removes: this.goals.filter((goal) => !remains.includes(goal)),
      remains,
      lost: this.#lost(full),
      notJudged: full.notJudged.filter(({ invariant }) => !this.baseline.notJudged.some((row) => row.invariant === invariant)).map((row) => row.invariant),
    };
  }

  #stillThere(program: Program, report: Report, goals: readonly Goal[]): Refused {
    const schedules = goals.flatMap((goal) => schedulesOf(goal, program, report));
    const [goal] = goals;
    const violation = goal.kind === "invariant" ? report.violations.find((candidate) => candidate.invariant === goal.invariant) : undefined;
    const reason = violation ? `${violation.invariant} still breaks at ${place(program, violation.call, violation.step)}` : `still there: ${goalText(goal)}`;
    return { ok: false, reason, ...this.#shown(program, report, schedules) };
  }

  #shown(program: Program, report: Report, schedules: readonly Schedule[]): Pick<Refused, "steps" | "schedule" | "shown"> {
    const schedule = schedules[0] ?? [];
    const steps = interleaving(program, seenSteps(program, report.refinement, schedule, false));
    return { steps, schedule, shown: { program, report, schedules } };
  }

  /** The first thing in which the changed scenario is worse than the unchanged one. */
  #worse(changed: Program, full: Report, remains: readonly Goal[]): Refused | undefined {
    const { baseline } = this;
    if (!full.exploration.complete) return unexplored(full);
    const gone = this.goals.flatMap((goal) => (goal.kind === "invariant" && !remains.includes(goal) ? [goal.invariant] : []));
    const fresh = full.violations.find(
      ({ invariant, call }) => gone.includes(invariant) || !baseline.violations.some((old) => old.invariant === invariant && old.call === call),
    );
    if (fresh) {
      const reason = `then ${fresh.invariant} breaks at ${place(changed, fresh.call, fresh.step)}: ${fresh.message}`;
      return { ok: false, reason, gone: true, instead: true, ...this.#shown(changed, full, [fresh.story.schedule]) };
    }
    const plain = (reason: string): Refused => ({ ok: false, reason, steps: "", schedule: [] });
    if (full.witnesses.every((witness) => witness.site !== endSite(changed))) return plain("no schedule comes to an end any more");
    for (const [id, { results }] of full.calls.entries()) {
      const before = baseline.calls[id].results.map((outcome) => outcome.result);
      const after = results.map((outcome) => outcome.result);
      const name = callName(changed, id);
      if (before.length > 0 && after.length === 0) return plain(`${name} is no longer reached`);
      if (before.some(isSuccess) && !after.some(isSuccess)) return plain(`${name} no longer succeeds`);
      const fails = results.find(({ result }) => !isSuccess(result) && !before.some((old) => sameResult(old, result)));
      if (fails)
        return {
          ok: false,
          reason: `${name} then answers ${answer(changed, id, fails.result)}`,
          ...this.#shown(changed, full, fails.schedule === undefined ? [] : [fails.schedule]),
        };
    }
    const remark = full.remarks.find(
      (candidate) =>
        (candidate.severity === "error" || candidate.code === "MEMFD3003") &&
        !baseline.remarks.some((old) => old.code === candidate.code && old.site === candidate.site),
    );
    if (!remark) return undefined;
    const witnesses = full.witnesses.filter((witness) => witness.site === remark.site).map((witness) => witness.schedule);
    return { ok: false, reason: remarkReason(changed, remark.site, remark.code, remark.message), gone: true, ...this.#shown(changed, full, witnesses) };
  }

  /** An order that stops somebody for ever in some schedule takes nothing away: who waits there keeps what the other one needs. */
  #deadEnd(changed: Program): Refused | undefined {
    const [found, before] = [changed, this.program].map((program) => heldBack(program, this.baseline.refinement, this.#budget()));
    if (!found || before) return undefined;
    const steps = interleaving(changed, seenSteps(changed, this.baseline.refinement, found, false));
    return { ok: false, reason: "it can wait for ever for what cannot come any more", steps, schedule: found };
  }

  #budget(): Budget {
    const { now, cancelled, maxStates, maxBytes } = this.#options;
    return {
      now,
      cancelled,
      maxStates: maxStates ?? DEFAULT_LIMITS.maxStates,
      maxBytes: maxBytes ?? DEFAULT_LIMITS.maxBytes,
      maxMilliseconds: Math.max(1, this.#left()),
    };
  }

  #lost(full: Report): string[] {
    return this.baseline.calls.flatMap(({ results }, id) =>
      results
        .filter(({ result }) => !full.calls[id].results.some((left) => sameResult(left.result, result)))
        .map(({ result }) => `${callName(this.program, id)} no longer answers ${answer(this.program, id, result)}`),
    );
  }
}

/** `exists 1`: its witness shows that some schedule comes to an end. */
function withEnd(program: Program): Program {
  const end: Question = { kind: "exists", condition: { kind: "int", value: 1n }, site: endSite(program) };
  return { ...program, questions: [...program.questions, end], sites: [...program.sites, program.sites[program.site]] };
}

const endSite = (program: Program): number => program.sites.length;

const unexplored = (report: Report): Refused => ({
  ok: false,
  reason: `not explored to the end: ${report.exploration.limit ?? report.remarks[0]?.message ?? "a limit"}`,
  steps: "",
  schedule: [],
});

const isSuccess = (result: Result): boolean => matches(result, { kind: "ok" });

function sameResult(one: Result, other: Result): boolean {
  return printResult(one) === printResult(other) && one.kind === other.kind;
}

const answer = (program: Program, call: CallId, result: Result): string => printResult(result, returnsOfCall(program.calls[call]));

const place = (program: Program, call: CallId, step: string): string => (call < 0 ? step : `${callName(program, call)}.${step}`);

const remarkReason = (program: Program, site: number, code: string, message: string): string => `then ${remarkText(program, { code, site, message })}`;
