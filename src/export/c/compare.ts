// Model against machine, call by call: what an emitted program printed, held against the results that the model found over all interleavings.

import type { Report } from "../../check/report.ts";
import { profile } from "../../scenario/catalogue/index.ts";
import { printResult, returnsOfCall } from "../../scenario/print.ts";
import type { Program, Result, Site } from "../../scenario/program.ts";
import { type Answer, answerText, readAnswers, sameAnswer } from "./answer.ts";
import { type Deviation, deviation, type MachineFacts } from "./deviations.ts";
import type { Emitted, Entry } from "./emit.ts";

/** `follows`: it differs, but so did an earlier line, after which the two need not have the same state. */
type Agreement = "agrees" | "differs" | "deviates" | "follows" | "skipped" | "not judged";

export interface ComparedRow {
  /** Where a finding about it belongs. */
  readonly site: Site;
  /** `line 12: fallocate(ram, …)`. */
  readonly title: string;
  readonly model: string;
  readonly machine: string;
  readonly agreement: Agreement;
  /** Why it was skipped, which deviation it is, or what it follows. */
  readonly note?: string;
  readonly deviation?: Pick<Deviation, "name" | "reason" | "source">;
}

export interface Compared {
  readonly rows: readonly ComparedRow[];
  readonly agreed: number;
  /** Differences that no row of the table explains, and those that one does. */
  readonly differed: number;
  readonly deviated: number;
  readonly skipped: number;
  /** Differences behind a first one. */
  readonly followed: number;
}

/** What came of a run of the emitted program: its output, and how it ended where that is no ordinary exit. */
export interface RunOutput {
  readonly output: string;
  readonly ended?: string;
}

export function compareAnswers(program: Program, report: Report, emitted: Emitted, run: RunOutput, facts: MachineFacts): Compared {
  const answers = readAnswers(run.output, program, emitted.entries, run.ended ?? "the program printed no answer");
  const rows: ComparedRow[] = [];
  let first: ComparedRow | undefined;
  for (const [at, entry] of emitted.entries.entries()) {
    const row = judged(program, report, entry, answers[at], facts);
    const later = first !== undefined && row.agreement === "differs";
    rows.push(later ? { ...row, agreement: "follows", note: `after the difference at ${placeOf(first!.title)} the two states need not be the same` } : row);
    if (first === undefined && (row.agreement === "differs" || row.agreement === "deviates")) first = row;
  }
  const count = (agreement: Agreement): number => rows.filter((row) => row.agreement === agreement).length;
  return {
    rows,
    agreed: count("agrees"),
    differed: count("differs"),
    deviated: count("deviates"),
    skipped: count("skipped") + count("not judged"),
    followed: count("follows"),
  };
}

const placeOf = (title: string): string => title.slice(0, title.indexOf(": "));

const siteOf = (program: Program, { subject }: Entry): Site => (subject.kind === "call" ? program.calls[subject.call].site : subject.site);

function judged(program: Program, report: Report, entry: Entry, answer: Answer, facts: MachineFacts): ComparedRow {
  const { subject, title } = entry;
  const base = { site: siteOf(program, entry), title };
  const model = modelText(program, report, entry);
  if (answer.kind === "skipped") return { ...base, model, machine: "", agreement: "skipped", note: answer.reason };
  const results = subject.kind === "call" ? (report.calls[subject.call]?.results ?? []).map((outcome) => outcome.result) : [];
  const open = { model, agreement: "not judged", note: "the model has no answer for it" } as const;
  // What the model leaves open may also end the program.
  if (answer.kind === "none" && subject.kind === "call" && results.length === 0) return { ...base, ...open, machine: answer.text };
  if (answer.kind === "none") return { ...base, model, machine: answer.text, agreement: "differs" };
  if (answer.kind === "held") return { ...base, model, machine: answer.holds ? "holds" : "does not hold", ...heldAgreement(report, entry, answer.holds) };
  if (subject.kind !== "call") return { ...base, model, machine: answer.text, agreement: "differs" };
  const machine = machineText(program, subject.call, answer.result, answer.text);
  if (results.length === 0) return { ...base, ...open, machine };
  if (results.some((result) => sameAnswer(answer.result, result))) return { ...base, model, machine, agreement: "agrees" };
  const call = program.calls[subject.call];
  const row = results.map((result) => deviation(program, call, answerText(result), answerText(answer.result), facts)).find((each) => each !== undefined);
  if (row === undefined) return { ...base, model, machine, agreement: "differs" };
  const { name, reason, source } = row;
  return { ...base, model, machine, agreement: "deviates", note: reason, deviation: { name, reason, source } };
}

/** An `exists` is about some run: one real run that does not show it says nothing. */
function heldAgreement(report: Report, { subject }: Entry, holds: boolean): Pick<ComparedRow, "agreement" | "note"> {
  if (subject.kind === "exists") return holds ? { agreement: "agrees" } : { agreement: "not judged", note: "another run may show it" };
  if (subject.kind === "call" || holds) return { agreement: "agrees" };
  return mayFail(report, subject.site) ? { agreement: "agrees" } : { agreement: "differs" };
}

const mayFail = (report: Report, site: Site): boolean => report.remarks.some((remark) => remark.site === site && remark.severity === "error");

function modelText(program: Program, report: Report, { subject }: Entry): string {
  if (subject.kind === "exists") return "in some run";
  if (subject.kind !== "call") return mayFail(report, subject.site) ? "may fail" : "holds";
  const returns = returnsOfCall(program.calls[subject.call]);
  const results = report.calls[subject.call]?.results ?? [];
  return results.length === 0 ? "no answer" : results.map(({ result }) => printResult(result, returns)).join(" or ");
}

function machineText(program: Program, id: number, result: Result, text: string): string {
  return result.kind === "handle" || result.kind === "value" ? printResult(result, returnsOfCall(program.calls[id])) : text;
}

/** 0: all that ran agree, and something ran. 1: something differs, deviations included. 3: nothing could be compared. */
export function compareStatus(all: readonly Compared[]): 0 | 1 | 3 {
  if (all.some(({ differed, deviated }) => differed > 0 || deviated > 0)) return 1;
  return all.some(({ agreed }) => agreed > 0) ? 0 : 3;
}

/** What the comparison of this scenario on that kernel can mean. `release`: as uname says it. */
export function headingOf(program: Program, release: string): string {
  const { name, base } = program.profile;
  const running = /^\d+\.\d+/.exec(release)?.[0];
  const own = /^\d+\.\d+/.exec(base)?.[0];
  const variant = name === base ? "" : `, a variant of ${base}`;
  if (own !== undefined && own === running) return `kernel ${name}${variant}; this machine runs ${release}`;
  const title = profile(base)?.title ?? base;
  return `kernel ${name}${variant} (${title}) is not this machine's kernel, ${release}: a difference may be history, not a mistake`;
}
