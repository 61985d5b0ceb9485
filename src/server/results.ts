// The results of the calls at one place of the text: a call in a setup or a `repeat` runs several times, in several scenarios, under several kernels.

import type { Outcome as CallOutcome, Report } from "../check/report.ts";
import { printPattern, printResult, returnsOfCall } from "../scenario/print.ts";
import type { Call, CallId, ResultPattern } from "../scenario/program.ts";
import type { ProgramRun, Snapshot } from "./documents.ts";
import type { Outcomes } from "./verdicts.ts";

/** One call of one run, with what it answered. */
export interface Answer {
  readonly run: ProgramRun;
  readonly call: CallId;
  /** As printed, in the Report's order. */
  readonly results: readonly { readonly text: string; readonly outcome: CallOutcome }[];
  readonly report: Report;
  /** The run explored everything: nothing else can come back. */
  readonly complete: boolean;
  /** How what it answered stands to what is written behind `=`; undefined where nothing is. */
  readonly written: Written | undefined;
}

/** What is written behind `=` against what came back. `asks`: `?` and `_` expect nothing. `vague`: the text says less than what came back (`ok`). */
export type Written =
  | { readonly kind: "broken" | "asks" | "vague" }
  /** What is written says each result; those of `unseen` do not occur. */
  | { readonly kind: "said"; readonly unseen: readonly string[] };

/** All that is known of the call whose text begins at `from`. */
export interface CallPlace {
  readonly from: number;
  /** The end of the call: its closing parenthesis. */
  readonly to: number;
  /** The end of what was written as its result, where something was; else `to`. */
  readonly end: number;
  readonly answers: Answer[];
}

/** The call places of the document between two offsets, in the order of the text. Calls that stand in imported files are theirs. */
export function callPlaces(snapshot: Snapshot, outcomes: Outcomes, from: number, to: number): readonly CallPlace[] {
  const places = new Map<number, CallPlace>();
  for (const run of snapshot.runs) {
    const outcome = outcomes.outcome(run.job.key);
    if (outcome?.kind !== "report") continue;
    const { program } = run;
    program.calls.forEach((call, id) => {
      const span = program.sites[call.site];
      if (span.file !== snapshot.uri || span.to < from || span.from > to) return;
      const report = outcome.report.calls[id];
      if (report === undefined) return;
      let place = places.get(span.from);
      if (place === undefined) {
        place = newPlace(run, call);
        places.set(span.from, place);
      }
      const returns = returnsOf(call);
      const results = report.results.map((one) => ({ text: printResult(one.result, returns), outcome: one }));
      const { complete } = outcome.report.exploration;
      const texts = new Set(results.map((one) => one.text));
      place.answers.push({ run, call: id, results, report: outcome.report, complete, written: written(call, outcome.report, texts) });
    });
  }
  return [...places.values()].sort((one, other) => one.from - other.from);
}

function newPlace({ program }: ProgramRun, call: Call): CallPlace {
  const span = program.sites[call.site];
  const { expect } = call;
  const end = expect === undefined ? span.to : Math.max(span.to, program.sites[expect.site].to);
  return { from: span.from, to: span.to, end, answers: [] };
}

function written({ expect, ...call }: Call, report: Report, texts: ReadonlySet<string>): Written | undefined {
  if (expect === undefined) return undefined;
  if (expect.any.some(({ kind }) => kind === "unknown" || kind === "any")) return { kind: "asks" };
  if (report.remarks.some(({ site, severity }) => site === expect.site && severity === "error")) return { kind: "broken" };
  const returns = returnsOf(call);
  const patterns = [...new Set(expect.any.map((pattern) => patternText(pattern, returns)))];
  const says = (pattern: string, text: string): boolean => pattern === text || (pattern.startsWith("exit ") && text.startsWith(`${pattern} {`));
  if (texts.size === 0 || ![...texts].every((text) => patterns.some((pattern) => says(pattern, text)))) return { kind: "vague" };
  return { kind: "said", unseen: patterns.filter((pattern) => ![...texts].some((text) => says(pattern, text))) };
}

/** A number is printed as the result is: `0x41`, `65` and `'A'` are one answer. */
const patternText = (pattern: ResultPattern, returns: ReturnType<typeof returnsOf>): string =>
  pattern.kind === "value" ? printResult(pattern, returns) : printPattern(pattern);

function returnsOf(call: Call): ReturnType<typeof returnsOfCall> | undefined {
  try {
    return returnsOfCall(call);
  } catch {
    return undefined;
  }
}

/** Texts without doubles, in order of first sight, each with the kernels that gave it. */
export function resultSet(answers: readonly Answer[]): ReadonlyMap<string, ReadonlySet<string>> {
  const set = new Map<string, Set<string>>();
  for (const answer of answers) {
    for (const { text } of answer.results) {
      const kernels = set.get(text) ?? new Set();
      kernels.add(answer.run.program.profile.name);
      set.set(text, kernels);
    }
  }
  return set;
}

export function kernelsOf(answers: readonly Answer[]): readonly string[] {
  return [...new Set(answers.map((answer) => answer.run.program.profile.name))];
}
