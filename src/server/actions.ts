// Code actions: the fixes that findings carry, and for a broken or found invariant its story in the panel.

import type { CodeAction, Range, TextEdit, WorkspaceEdit } from "vscode-languageserver";
import type { Fix } from "../base/finding.ts";
import { isSaveable as isAbout, saveable } from "../check/suggest/index.ts";
import { encodeSchedule } from "../explore/schedule.ts";
import { type DiagnosticOptions, findingsOf, type Located, locatedFindings, rangeOf, toDiagnostic } from "./diagnostics.ts";
import type { Snapshot } from "./documents.ts";
import { CodeActionKind } from "./lsp.ts";
import { SHOW_COMMAND, SUGGEST_COMMAND } from "./protocol.ts";
import type { Texts } from "./texts.ts";
import type { Outcomes } from "./verdicts.ts";

export interface ActionOptions extends DiagnosticOptions {
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
function storyActions(entry: Located, snapshot: Snapshot, outcomes: Outcomes): CodeAction[] {
  return entry.runs.flatMap((run) => {
    const outcome = outcomes.outcome(run.job.key);
    if (outcome?.kind !== "report") return [];
    const { program } = run;
    const { finding } = entry;
    const violation = outcome.report.violations.find((candidate) => {
      const alone = { kind: "report" as const, report: { ...outcome.report, violations: [candidate], remarks: [] } };
      return computeAlone(run, alone).some((one) => one.code === finding.code && one.message === finding.message && one.span.from === finding.span.from);
    });
    if (violation === undefined) return [];
    const several = snapshot.runs.length > 1;
    const argument = { uri: snapshot.uri, scenario: program.name, kernel: program.profile.name, schedule: encodeSchedule(violation.story.schedule) };
    const title = `Show the story of ${violation.invariant}${several ? ` under ${program.profile.name} in "${program.name}"` : ""}`;
    return [{ title, kind: CodeActionKind.QuickFix, command: { title, command: SHOW_COMMAND, arguments: [argument] } }];
  });
}

function computeAlone(run: Snapshot["runs"][number], outcome: Parameters<typeof findingsOf>[1]): ReturnType<typeof findingsOf> {
  return findingsOf({ ...run.program }, outcome);
}
