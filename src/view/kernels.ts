// One scenario under several kernels, side by side: a verdict per kernel, the calls and invariants on which they differ, and the first atomic step at
// which each of them leaves the way of the kernel that the scenario names. Pure; takes Programs and Reports, answers plain rows.

import { watched } from "../check/index.ts";
import type { Remark, Report, Verdict, Violation } from "../check/report.ts";
import { encodeSchedule } from "../explore/schedule.ts";
import { NO_DEADLOCK, NO_LIVELOCK } from "../invariants/index.ts";
import { callSpec } from "../scenario/catalogue/index.ts";
import { printCall, printExpression, printResult } from "../scenario/print.ts";
import type { CallId, Program, Site } from "../scenario/program.ts";
import { divergencesFrom, type KernelDivergence, type Ran } from "./kernels-diverge.ts";
import type { Place } from "./results.ts";

export interface KernelNote extends Place {
  readonly message: string;
}

/** What is known of the scenario under one kernel. Without a report it was not run, and `reason` says why. */
export interface KernelRun {
  readonly kernel: string;
  readonly program?: Program;
  readonly report?: Report;
  readonly reason?: string;
  /** What the language found under this kernel alone: a call or a constant that it does not have. */
  readonly notes: readonly KernelNote[];
}

export interface KernelColumn {
  readonly kernel: string;
  /** The row of the catalogue that it rests on. */
  readonly base: string;
  /** What a variant changes, one entry per edit. */
  readonly changes: readonly string[];
  readonly verdict: Verdict | "notRun";
  readonly states: number;
  readonly complete: boolean;
  /** Why it is incomplete or was not run. */
  readonly reason?: string;
  readonly notes: readonly KernelNote[];
  /** Number of its group: kernels with the same verdict and the same answers, from 0. */
  readonly group: number;
}

export interface AnswerCell {
  /** Index into `CallRow.answers`; -1 where the call has no answer because the kernel was not run. */
  readonly answer: number;
  /** The run was cut short: there may be more answers. */
  readonly partial: boolean;
  /** The scenario expects something else here. */
  readonly wrong: boolean;
  /** A schedule that shows the answer; one that the reference kernel does not give, where there is one. */
  readonly schedule?: string;
}

export interface CallRow extends Place {
  readonly key: string;
  readonly actor: string;
  readonly call: string;
  /** Distinct sets of answers, the reference kernel's first; an empty set is a call that no interleaving reaches. */
  readonly answers: readonly (readonly string[])[];
  /** One per kernel. */
  readonly cells: readonly AnswerCell[];
}

export interface ViolationCell {
  /** `unknown`: the run was cut short, or cannot judge this. */
  readonly state: "breaks" | "expected" | "holds" | "unknown" | "unwatched" | "notRun";
  readonly step?: string;
  readonly message?: string;
  readonly schedule?: string;
}

export interface ViolationRow extends Place {
  readonly key: string;
  readonly invariant: string;
  /** `vmm: fallocate(ram, …)`; empty where no call is to blame. */
  readonly call: string;
  readonly cells: readonly ViolationCell[];
}

/** An expectation that some kernel does not meet. */
export interface ExpectationRow extends Place {
  readonly key: string;
  readonly what: string;
  /** What is wrong under each kernel; empty where it holds, undefined where that is not known. */
  readonly cells: readonly (string | null)[];
}

export interface KernelsView {
  readonly version: 1;
  readonly scenario: string;
  readonly file: string;
  readonly line: number;
  readonly kernels: readonly KernelColumn[];
  /** Known by name, not modelled. */
  readonly unmodelled: readonly string[];
  /** Index of the kernel that the others are held against; -1 where none was run. */
  readonly reference: number;
  /** Calls that answer differently, in the order of the text; `agreed` others answer alike. */
  readonly calls: readonly CallRow[];
  readonly agreed: number;
  readonly violations: readonly ViolationRow[];
  readonly expectations: readonly ExpectationRow[];
  /** On which story the steps were compared; absent for one run through the text. */
  readonly story?: { readonly kernel: string; readonly invariant: string };
  /** One entry per kernel that was run, other than the reference. */
  readonly divergences: readonly KernelDivergence[];
}

export interface KernelsOptions {
  readonly scenario: string;
  /** Where its header stands. */
  readonly at: Place;
  readonly unmodelled: readonly string[];
  /** Kernels that the scenario names itself: the first of them that was run is the reference. */
  readonly own: readonly string[];
  /** Place of a site of the Program of `runs[run]`. */
  placeOf(run: number, site: Site): Place;
}

export function kernelsView(runs: readonly KernelRun[], options: KernelsOptions): KernelsView {
  const ran = runs.flatMap((run, index): Ran[] => {
    const { program, report } = run;
    if (program === undefined || report === undefined || report.exploration.states === 0) return [];
    const keys = callKeys(program);
    return [{ index, program, report, keys, calls: new Map(keys.map((key, call) => [key, call])) }];
  });
  const reference = ran.find((each) => options.own.includes(runs[each.index].kernel)) ?? ran[0];
  const rows = reference === undefined ? [] : callRows(ran, reference, runs.length, options);
  const differing = rows.filter((row) => new Set(row.cells.flatMap((cell) => (cell.answer < 0 ? [] : [cell.answer]))).size > 1);
  const violations = violationRows(ran, runs.length, options);
  const expectations = expectationRows(ran, runs.length, new Set(differing.map((row) => row.key)), options);
  const { story, divergences } = reference === undefined ? { story: undefined, divergences: [] } : divergencesFrom(ran, reference, options.placeOf);
  const columns = runs.map((run) => columnOf(run));
  const groups = groupsOf(columns, differing, violations, expectations);
  return {
    version: 1,
    scenario: options.scenario,
    ...options.at,
    kernels: columns.map((column, index) => ({ ...column, group: groups[index] })),
    unmodelled: options.unmodelled,
    reference: reference?.index ?? -1,
    calls: differing,
    agreed: rows.length - differing.length,
    violations,
    expectations,
    ...(story === undefined ? {} : { story }),
    divergences,
  };
}

/** The same call under every kernel: where it stands in the text, and for calls of a `repeat` or of a setup used twice the how manieth of that place. */
function callKeys(program: Program): string[] {
  const seen = new Map<string, number>();
  return program.calls.map((call) => {
    const span = program.sites[call.statement];
    const at = `${span.file}:${span.from} ${program.actors[call.actor].name}`;
    const count = seen.get(at) ?? 0;
    seen.set(at, count + 1);
    return `${at} ${count}`;
  });
}

/** What a variant changes, as its declaration says it. */
export function variantChanges({ profile }: Program): string[] {
  return profile.edits.map((edit) => {
    switch (edit.kind) {
      case "steps":
        return `${edit.operation} = ${edit.steps.join(", ")}`;
      case "without":
        return `${edit.operation} without ${edit.step}`;
      case "feature":
        return `${edit.feature} = ${edit.value}`;
    }
  });
}

function columnOf(run: KernelRun): Omit<KernelColumn, "group"> {
  const { kernel, program, report, notes } = run;
  const base = { kernel, base: program?.profile.base ?? kernel, changes: program === undefined ? [] : variantChanges(program), notes };
  if (report === undefined) return { ...base, verdict: "notRun", states: 0, complete: false, reason: run.reason ?? "it was not run" };
  const { states, complete, limit } = report.exploration;
  const reason = report.verdict === "incomplete" ? (limit ?? "not every interleaving could be judged") : undefined;
  return { ...base, verdict: report.verdict, states, complete, ...(reason === undefined ? {} : { reason }) };
}

function callRows(ran: readonly Ran[], reference: Ran, count: number, options: KernelsOptions): CallRow[] {
  const keys = [...new Set([reference, ...ran].flatMap((each) => each.keys))];
  const rows = keys.map((key): CallRow => {
    const first = reference.calls.has(key) ? reference : (ran.find((each) => each.calls.has(key)) ?? reference);
    const id = first.calls.get(key) as CallId;
    const answers = new Map<string, { number: number; texts: readonly string[] }>();
    const known = new Set(answersOf(reference, key).map(([text]) => text));
    const cells: AnswerCell[] = Array.from({ length: count }, () => ({ answer: -1, partial: false, wrong: false }));
    for (const each of [first, ...ran.filter((other) => other !== first)]) {
      if (!each.calls.has(key)) continue;
      const own = answersOf(each, key);
      const texts = own.map(([text]) => text);
      const entry = answers.get(JSON.stringify(texts)) ?? { number: answers.size, texts };
      answers.set(JSON.stringify(texts), entry);
      const schedule = (own.find(([text]) => !known.has(text)) ?? own[0])?.[1];
      const shown = schedule === undefined ? {} : { schedule };
      cells[each.index] = { answer: entry.number, partial: !each.report.exploration.complete, wrong: isWrong(each, key), ...shown };
    }
    const { program } = first;
    const actor = program.actors[program.calls[id].actor].name;
    const place = options.placeOf(first.index, program.calls[id].statement);
    return { key, ...place, actor, call: printCall(program, id), answers: [...answers.values()].map((entry) => entry.texts), cells };
  });
  return rows;
}

/** Texts of the answers, sorted, each with a schedule that shows it. */
function answersOf(ran: Ran, key: string): [text: string, schedule: string][] {
  const id = ran.calls.get(key);
  if (id === undefined) return [];
  const { returns } = callSpec(ran.program.calls[id].spec);
  const texts = new Map((ran.report.calls[id]?.results ?? []).map(({ result, schedule }) => [printResult(result, returns), encodeSchedule(schedule)]));
  return [...texts].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function isWrong(ran: Ran, key: string): boolean {
  const expect = ran.program.calls[ran.calls.get(key) as CallId].expect?.site;
  return expect !== undefined && ran.report.remarks.some((remark) => remark.site === expect && remark.severity === "error");
}

const callLabel = (program: Program, call: CallId): string => `${program.actors[program.calls[call].actor].name}: ${printCall(program, call)}`;

function violationRows(ran: readonly Ran[], count: number, options: KernelsOptions): ViolationRow[] {
  const keyOf = (each: Ran, violation: Violation): string => `${violation.invariant} ${each.keys[violation.call] ?? ""}`;
  const rows = new Map<string, Omit<ViolationRow, "cells">>();
  for (const each of ran) {
    for (const violation of each.report.violations) {
      const key = keyOf(each, violation);
      const { call, invariant } = violation;
      const place = options.placeOf(each.index, call < 0 ? each.program.site : each.program.calls[call].statement);
      if (!rows.has(key)) rows.set(key, { key, ...place, invariant, call: call < 0 ? "" : callLabel(each.program, call) });
    }
  }
  return [...rows.values()].map((row) => {
    const cells: ViolationCell[] = Array.from({ length: count }, () => ({ state: "notRun" }));
    for (const each of ran)
      cells[each.index] = violationCell(
        each,
        row.invariant,
        each.report.violations.find((violation) => keyOf(each, violation) === row.key),
      );
    return { ...row, cells };
  });
}

function violationCell(ran: Ran, invariant: string, violation: Violation | undefined): ViolationCell {
  if (violation !== undefined) {
    const { step, message, expected, story } = violation;
    return { state: expected ? "expected" : "breaks", step, message, schedule: encodeSchedule(story.schedule) };
  }
  const { invariants, deadlock, livelock } = watched(ran.program);
  const isWatched = invariants.some((row) => row.name === invariant) || (invariant === NO_DEADLOCK && deadlock) || (invariant === NO_LIVELOCK && livelock);
  if (!isWatched) return { state: "unwatched" };
  const judged = ran.report.exploration.complete && !ran.report.notJudged.some((each) => each.invariant === invariant);
  return { state: judged ? "holds" : "unknown" };
}

/** Broken expectations; a result that has a row of its own among the calls is marked there. */
function expectationRows(ran: readonly Ran[], count: number, shown: ReadonlySet<string>, options: KernelsOptions): ExpectationRow[] {
  const rows = new Map<string, ExpectationRow & { cells: (string | null)[] }>();
  for (const each of ran) {
    for (const remark of each.report.remarks) {
      if (remark.severity !== "error") continue;
      const { what, call } = expectationOf(each.program, remark);
      if (call !== undefined && shown.has(each.keys[call])) continue;
      const { file, from } = each.program.sites[remark.site];
      const key = `${file}:${from} ${what}${call === undefined ? "" : ` ${each.keys[call]}`}`;
      const row = rows.get(key) ?? { key, ...options.placeOf(each.index, remark.site), what, cells: emptyCells(ran, count) };
      rows.set(key, row);
      row.cells[each.index] = row.cells[each.index] ? `${row.cells[each.index]}; ${remark.message}` : remark.message;
    }
  }
  return [...rows.values()].sort((a, b) => (a.file === b.file ? a.line - b.line : 0));
}

function emptyCells(ran: readonly Ran[], count: number): (string | null)[] {
  const cells: (string | null)[] = new Array(count).fill(null);
  for (const each of ran) if (each.report.exploration.complete) cells[each.index] = "";
  return cells;
}

/** What of the scenario a remark is about, in the words of the language. */
function expectationOf(program: Program, remark: Remark): { what: string; call?: CallId } {
  const call = program.calls.findIndex((candidate) => candidate.expect?.site === remark.site);
  if (call >= 0) return { what: `result of ${callLabel(program, call)}`, call };
  const question = program.questions.find((candidate) => candidate.site === remark.site);
  if (question !== undefined) return { what: `${question.kind} ${printExpression(program, question.condition)}` };
  const expected = program.expected.find((candidate) => candidate.site === remark.site);
  if (expected !== undefined) return { what: `expect violation ${expected.invariant}` };
  if (program.safe === remark.site) return { what: "expect safe" };
  return { what: remark.site === program.site ? "the scenario" : "assert" };
}

/** Kernels with the same verdict and the same answers have the same number; numbers go in the order of the kernels. */
function groupsOf(
  columns: readonly Omit<KernelColumn, "group">[],
  calls: readonly CallRow[],
  violations: readonly ViolationRow[],
  expectations: readonly ExpectationRow[],
): number[] {
  const numbers = new Map<string, number>();
  return columns.map((column, index) => {
    const answers = calls.map(({ cells }) => [cells[index].answer, cells[index].partial, cells[index].wrong]);
    const broken = violations.map(({ cells }) => [cells[index].state, cells[index].step]);
    const notes = column.notes.map((note) => [note.file, note.line, note.message.replaceAll(column.kernel, "")]);
    const reason = column.reason?.replaceAll(column.kernel, "");
    const key = JSON.stringify([column.verdict, column.complete, reason, notes, answers, broken, expectations.map(({ cells }) => cells[index])]);
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  });
}
