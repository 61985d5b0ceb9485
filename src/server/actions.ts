// Code actions: the fixes that findings carry, a kernel that has what this one lacks, and for a broken or found invariant its story in the panel and
// the line that expects it.

import type { CodeAction, Range, TextEdit, WorkspaceEdit } from "vscode-languageserver";
import type { Fix } from "../base/finding.ts";
import type { Violation } from "../check/report.ts";
import { isSaveable as isAbout, saveable } from "../check/suggest/index.ts";
import { encodeSchedule } from "../explore/schedule.ts";
import { type DiagnosticOptions, findingsOf, type Located, locatedFindings, rangeOf, toDiagnostic } from "./diagnostics.ts";
import type { ProgramRun, Snapshot } from "./documents.ts";
import { kernelActions } from "./kernel-fixes.ts";
import { CodeActionKind } from "./lsp.ts";
import { SHOW_COMMAND, SUGGEST_COMMAND } from "./protocol.ts";
import type { Texts } from "./texts.ts";
import type { Outcomes } from "./verdicts.ts";

interface ActionOptions extends DiagnosticOptions {
  readonly clientCommands: boolean;
}

export function codeActions(snapshot: Snapshot, outcomes: Outcomes, texts: Texts, range: Range, options: ActionOptions): CodeAction[] {
  const from = snapshot.document.offsetAt(range.start);
  const to = snapshot.document.offsetAt(range.end);
  const touched = locatedFindings(snapshot, outcomes).filter(
    ({ finding }) => finding.span.file === snapshot.uri && finding.span.from <= to && finding.span.to >= from,
  );
  const actions: CodeAction[] = [];
  for (const entry of touched) {
    const diagnostics = [toDiagnostic(entry, snapshot, texts, options)];
    const fixes = entry.finding.fixes ?? [];
    fixes.forEach((fix, at) => {
      actions.push({ title: fix.title, kind: CodeActionKind.QuickFix, diagnostics, edit: editOf(fix, texts), isPreferred: at === 0 && fixes.length === 1 });
    });
    // A finding under several kernels is several findings.
    const fresh = kernelActions(entry, snapshot).filter(({ title }) => actions.every((known) => known.title !== title));
    actions.push(...fresh.map((action) => ({ ...action, diagnostics })));
    actions.push(...expectActions(entry, snapshot, outcomes).map((action) => ({ ...action, diagnostics })));
    if (options.clientCommands) {
      const named = [...storyActions(entry, snapshot, outcomes), ...orderActions(entry, snapshot, outcomes)];
      actions.push(...named.map((action) => ({ ...action, diagnostics })));
    }
  }
  return actions;
}

/** For what fails: the search takes seconds, so it is a command and not an edit that is there already. */
function orderActions({ finding, runs }: Located, snapshot: Snapshot, outcomes: Outcomes): CodeAction[] {
  if (finding.severity !== "error") return [];
  const failing = runs.filter(({ program, job }) => {
    const outcome = outcomes.outcome(job.key);
    return outcome?.kind === "report" && saveable(program, outcome.report) && isAbout(finding.code);
  });
  return failing.map(({ program }) => {
    const title = `Suggest an order that saves it${failing.length > 1 ? ` under ${program.profile.name} in "${program.name}"` : ""}`;
    const argument = { uri: snapshot.uri, scenario: program.name, kernel: program.profile.name };
    return { title, kind: CodeActionKind.QuickFix, command: { title, command: SUGGEST_COMMAND, arguments: [argument] } };
  });
}

function editOf(fix: Fix, texts: Texts): WorkspaceEdit {
  const changes: Record<string, TextEdit[]> = {};
  for (const { span, text } of fix.edits) (changes[span.file] ??= []).push({ range: rangeOf(span, texts), newText: text });
  return { changes };
}

/** Findings and violations are paired by what `locate` says of that violation alone, so that a line with several stories offers the right one. */
function toldBy({ finding }: Located, run: ProgramRun, outcomes: Outcomes): Violation | undefined {
  const outcome = outcomes.outcome(run.job.key);
  if (outcome?.kind !== "report") return undefined;
  return outcome.report.violations.find((candidate) => {
    const alone = { kind: "report" as const, report: { ...outcome.report, violations: [candidate], remarks: [] } };
    return computeAlone(run, alone).some((one) => one.code === finding.code && one.message === finding.message && one.span.from === finding.span.from);
  });
}

function storyActions(entry: Located, snapshot: Snapshot, outcomes: Outcomes): CodeAction[] {
  return entry.runs.flatMap((run) => {
    const { program } = run;
    const violation = toldBy(entry, run, outcomes);
    if (violation === undefined) return [];
    const several = snapshot.runs.length > 1;
    const argument = { uri: snapshot.uri, scenario: program.name, kernel: program.profile.name, schedule: encodeSchedule(violation.story.schedule) };
    const title = `Show the story of ${violation.invariant}${several ? ` under ${program.profile.name} in "${program.name}"` : ""}`;
    return [{ title, kind: CodeActionKind.QuickFix, command: { title, command: SHOW_COMMAND, arguments: [argument] } }];
  });
}

/** Writes that the scenario is about this violation, into each scenario of the file in which it is unexpected, for the kernels under which it is. */
function expectActions(entry: Located, snapshot: Snapshot, outcomes: Outcomes): CodeAction[] {
  const kernels = new Map<string, string[]>();
  for (const run of entry.runs) {
    const violation = toldBy(entry, run, outcomes);
    if (violation === undefined || violation.expected || run.program.safe !== undefined) continue;
    const key = `${violation.invariant} ${run.program.name}`;
    kernels.set(key, [...(kernels.get(key) ?? []), run.program.profile.name]);
  }
  return [...kernels].flatMap(([key, under]) => {
    const at = key.indexOf(" ");
    const [invariant, name] = [key.slice(0, at), key.slice(at + 1)];
    const all = snapshot.runs.filter(({ program }) => program.name === name).length;
    const expects = `expect violation ${invariant}`;
    const edit = atEnd(snapshot, name, under.length < all ? `on ${under.join(", ")} { ${expects} }` : expects);
    const title = `Add “${expects}”${kernels.size > 1 ? ` to "${name}"` : ""}`;
    return edit === undefined ? [] : [{ title, kind: CodeActionKind.QuickFix, edit: { changes: { [snapshot.uri]: [edit] } } }];
  });
}

/** A statement more at the end of a scenario: on a line of its own before its closing brace, or behind the last line of a file without scenarios. */
function atEnd({ analysis, document }: Snapshot, name: string, statement: string): TextEdit | undefined {
  const outlined = analysis.outline.find((candidate) => candidate.name === name);
  if (outlined === undefined) return undefined;
  const { text } = analysis;
  const brace =
    text[outlined.span.to - 1] === "}" && /^\s*scenario\b/.test(text.slice(outlined.span.from, outlined.span.to)) ? outlined.span.to - 1 : undefined;
  const insert = (offset: number, newText: string): TextEdit => ({ range: { start: document.positionAt(offset), end: document.positionAt(offset) }, newText });
  if (brace === undefined) return insert(outlined.span.to, `\n${statement}`);
  const lineStart = text.lastIndexOf("\n", brace - 1) + 1;
  const indent = text.slice(lineStart, brace);
  return /^[ \t]*$/.test(indent) ? insert(lineStart, `${indent}  ${statement}\n`) : insert(brace, `; ${statement} `);
}

function computeAlone(run: ProgramRun, outcome: Parameters<typeof findingsOf>[1]): ReturnType<typeof findingsOf> {
  return findingsOf({ ...run.program }, outcome);
}
