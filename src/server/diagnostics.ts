// Findings of the language and of the model as LSP diagnostics of one document: merged where several kernels or scenarios say the same of one line.

import type { CodeDescription, Diagnostic, DiagnosticRelatedInformation, Range } from "vscode-languageserver";
import type { Finding, Related, Span } from "../base/finding.ts";
import { forecastFinding } from "../check/forecast.ts";
import { locate } from "../check/locate.ts";
import type { Program } from "../scenario/program.ts";
import type { ProgramRun, Snapshot } from "./documents.ts";
import { DiagnosticSeverity } from "./lsp.ts";
import type { Outcome } from "./runner.ts";
import type { Texts } from "./texts.ts";
import type { Outcomes } from "./verdicts.ts";

/** A file with more is shown up to here, and says so. */
const MAX_DIAGNOSTICS = 1_000;
const MAX_RELATED = 30;

const SEVERITY = { error: DiagnosticSeverity.Error, warning: DiagnosticSeverity.Warning, information: DiagnosticSeverity.Information } as const;

/** A finding and the runs that say it; none = the language said it. */
export interface Located {
  readonly finding: Finding;
  readonly runs: readonly ProgramRun[];
}

const located = new WeakMap<Program, { readonly outcome: Outcome; readonly findings: readonly Finding[] }>();

/** What the model says of one Program. Kept by identity: a keystroke elsewhere costs nothing here. */
export function findingsOf(program: Program, outcome: Outcome): readonly Finding[] {
  const known = located.get(program);
  if (known?.outcome === outcome) return known.findings;
  const findings = computeFindings(program, outcome);
  located.set(program, { outcome, findings });
  return findings;
}

function computeFindings(program: Program, outcome: Outcome): readonly Finding[] {
  const bug = (message: string): readonly Finding[] => [
    {
      code: "MEMFD9001",
      severity: "error",
      span: program.sites[program.site],
      message: `The model failed, which is a bug of the model and says nothing of the scenario: ${message}`,
    },
  ];
  if (outcome.kind === "failed") return bug(outcome.message);
  // What a run had found until it was stopped holds.
  if (outcome.report === undefined) return [];
  try {
    return locate(program, outcome.report);
  } catch (error) {
    return bug(error instanceof Error ? error.message : String(error));
  }
}

export function locatedFindings(snapshot: Snapshot, outcomes: Outcomes): readonly Located[] {
  const all: Located[] = snapshot.analysis.findings.map((finding) => ({ finding, runs: [] }));
  const merged = new Map<string, { finding: Finding; runs: ProgramRun[] }>();
  for (const run of snapshot.runs) {
    const outcome = outcomes.outcome(run.job.key);
    const forecast = outcome === undefined ? outcomes.live?.(run.job.key)?.forecast : undefined;
    const findings = outcome !== undefined ? findingsOf(run.program, outcome) : forecast !== undefined ? [forecastFinding(run.program, forecast)] : [];
    for (const finding of findings) {
      const { span } = finding;
      const key = `${finding.code} ${finding.severity} ${span.from} ${span.to} ${span.file} ${finding.message}`;
      const same = merged.get(key);
      if (same === undefined) merged.set(key, { finding, runs: [run] });
      else same.runs.push(run);
    }
  }
  all.push(...merged.values());
  return all;
}

export interface DiagnosticOptions {
  /** Scheme of the explanation's document; without it a code has no link. */
  readonly helpScheme?: string;
  readonly relatedInformation: boolean;
}

export function diagnosticsOf(snapshot: Snapshot, outcomes: Outcomes, texts: Texts, options: DiagnosticOptions): Diagnostic[] {
  const findings = locatedFindings(snapshot, outcomes);
  const shown = findings.length > MAX_DIAGNOSTICS ? findings.slice(0, MAX_DIAGNOSTICS - 1) : findings;
  const diagnostics = shown.map((entry) => toDiagnostic(entry, snapshot, texts, options));
  if (shown.length < findings.length) {
    const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };
    const message = `${findings.length - shown.length} more findings are not shown.`;
    diagnostics.push({ range, message, severity: DiagnosticSeverity.Information, source: "memfd" });
  }
  return diagnostics;
}

export function toDiagnostic(entry: Located, snapshot: Snapshot, texts: Texts, options: DiagnosticOptions): Diagnostic {
  const { finding } = entry;
  const here = finding.span.file === snapshot.uri;
  // What an imported file causes is shown where this document takes it in, with the true place as related information.
  const span = here ? finding.span : placeOf(entry, snapshot);
  const related: Related[] = here ? [] : [{ span: finding.span, message: "Here." }];
  related.push(...(finding.related ?? []));
  related.push(...scenarioNotes(entry, snapshot));
  const codeDescription: CodeDescription | undefined = options.helpScheme === undefined ? undefined : { href: `${options.helpScheme}:/${finding.code}.md` };
  return {
    range: rangeOf(span, texts),
    message: finding.message + kernelNote(entry, snapshot),
    severity: SEVERITY[finding.severity],
    source: "memfd",
    code: finding.code,
    ...(codeDescription === undefined ? {} : { codeDescription }),
    ...(related.length === 0 || !options.relatedInformation ? {} : { relatedInformation: relatedInformation(related, texts) }),
  };
}

function placeOf(entry: Located, snapshot: Snapshot): Span {
  const program = entry.runs[0]?.program;
  const header = program?.sites[program.site];
  return header?.file === snapshot.uri ? header : { file: snapshot.uri, from: 0, to: 0 };
}

function relatedInformation(related: readonly Related[], texts: Texts): DiagnosticRelatedInformation[] {
  return related.slice(0, MAX_RELATED).map(({ span, message }) => ({ location: { uri: span.file, range: rangeOf(span, texts) }, message }));
}

/** Which kernels, where a scenario runs under several and not all of them say it. */
function kernelNote(entry: Located, snapshot: Snapshot): string {
  if (entry.runs.length === 0) return "";
  const saying = new Set(entry.runs);
  const names = new Set(entry.runs.map((run) => run.program.name));
  const silent = snapshot.runs.some((run) => names.has(run.program.name) && !saying.has(run));
  const kernels = [...new Set(entry.runs.map((run) => run.program.profile.name))];
  const said = kernels.every((kernel) => entry.finding.message.includes(kernel));
  return silent && !said ? ` (kernel ${kernels.join(", ")})` : "";
}

/** A finding in a setup says which scenario used it. */
function scenarioNotes(entry: Located, snapshot: Snapshot): readonly Related[] {
  const notes = new Map<string, Related>();
  for (const { program } of entry.runs) {
    const whole = snapshot.analysis.outline.find((item) => item.name === program.name);
    const { span } = entry.finding;
    const inside = whole !== undefined && whole.span.file === span.file && whole.span.from <= span.from && span.to <= whole.span.to;
    if (!inside && whole !== undefined) notes.set(program.name, { span: program.sites[program.site], message: `In the scenario "${program.name}".` });
  }
  return [...notes.values()];
}

export function rangeOf(span: Span, texts: Texts): Range {
  const document = texts.document(span.file);
  return { start: document.positionAt(span.from), end: document.positionAt(Math.max(span.from, span.to)) };
}
