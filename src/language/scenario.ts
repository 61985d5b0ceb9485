// One scenario under each of its kernels → Programs with movable sites, and the cache of these across edits.

import type { Finding } from "../base/finding.ts";
import { profiles } from "../scenario/catalogue/index.ts";
import type { Actor, Program, Statement } from "../scenario/program.ts";
import type { Complaint, Range, Stmt, Word } from "./ast.ts";
import type { Declarations, Source } from "./declarations.ts";
import { editsOf, MAINLINE, newest, type Resolution, resolveKernel } from "./kernels.ts";
import { Lowerer } from "./lower.ts";
import { type RawFinding, type RawSpan, resolveSpan, Scope, severityOf } from "./scope.ts";

/** A kernel name and where it stands: `source` is a declaration of the main file. */
export interface KernelWord extends Word {
  readonly source: Source;
}

/** What is lowered: a scenario, the statements of a bare file, or for its findings alone a setup that nobody uses. */
export interface Unit {
  readonly name: string;
  readonly source: Source;
  readonly header: Range;
  /** Statements with the declaration that holds each. */
  readonly statements: readonly { readonly statement: Stmt; readonly source: Source }[];
  readonly complaints: readonly Complaint[];
  readonly lenient: boolean;
}

/** A name that completion and hover know in a scenario. */
export interface KnownName {
  readonly name: string;
  readonly kind: "handle" | "actor" | "label";
  readonly detail: string;
}

export interface Lowered {
  readonly drafts: readonly { readonly program: Program; readonly sites: readonly RawSpan[] }[];
  readonly findings: readonly RawFinding[];
  /** A finding makes the meaning unclear: the scenario is not run. */
  readonly broken: boolean;
  readonly kernels: readonly string[];
  readonly names: readonly KnownName[];
  readonly usedSetups: ReadonlySet<string>;
}

interface Choice {
  readonly word: KernelWord | undefined;
  readonly resolution: Resolution;
}

/** The profiles to run under; what is wrong with the names goes to `report`. */
function choices(unit: Unit, words: readonly KernelWord[], declarations: Declarations, report: (code: string, at: RawSpan, message: string) => void): Choice[] {
  const found: Choice[] = [];
  const add = (word: KernelWord | undefined, name: string): void => {
    const at: RawSpan =
      word === undefined ? { source: unit.source.key, from: unit.header.from, to: unit.header.to } : { source: word.source.key, from: word.from, to: word.to };
    const resolution = resolveKernel(name, declarations);
    if ("error" in resolution) return report(resolution.code, at, resolution.error);
    if (found.some((choice) => choice.resolution.name === resolution.name)) return;
    if (!resolution.modelled) {
      const which = name === MAINLINE ? `\`mainline\` is ${newest()}, which` : `\`${resolution.base}\``;
      const hint = word === undefined ? `; name a kernel, such as \`kernel ${profiles.find((row) => row.modelled)?.name ?? ""}\`` : "";
      report("MEMFD5003", at, `${which} is not modelled yet${hint}`);
    }
    found.push({ word, resolution });
  };
  if (words.length === 0) add(undefined, MAINLINE);
  for (const word of words) {
    if (word.text === "") continue;
    if (word.text !== "all") add(word, word.text);
    else {
      const missing = profiles.filter((row) => !row.modelled).map((row) => row.name);
      if (missing.length > 0) report("MEMFD5003", { source: word.source.key, from: word.from, to: word.to }, `not modelled yet: ${missing.join(", ")}`);
      for (const row of profiles) if (row.modelled) add(word, row.name);
    }
  }
  return found;
}

/** The kernel statement that a scenario begins with, and the rest. */
export function splitKernel(unit: Unit): { words: readonly KernelWord[] | undefined; rest: Unit["statements"] } {
  const first = unit.statements.find(({ statement }) => statement.kind !== "machine");
  if (first === undefined || first.statement.kind !== "kernel" || first.statement.base !== undefined || first.statement.prefixes.length > 0) {
    return { words: undefined, rest: unit.statements };
  }
  return { words: first.statement.names.map((word) => ({ ...word, source: first.source })), rest: unit.statements.filter((entry) => entry !== first) };
}

/** What the text has and the model has not: the scenario is read and not run. */
const LATER: ReadonlySet<string> = new Set(["MEMFD5004", "MEMFD5005", "MEMFD5006"]);

export function lowerUnit(unit: Unit, fileKernel: readonly KernelWord[], declarations: Declarations): Lowered {
  const { words, rest } = splitKernel(unit);
  const findings: RawFinding[] = [];
  const seen = new Set<string>();
  const add = (finding: RawFinding): void => {
    const key = `${finding.code} ${finding.span.source} ${finding.span.from} ${finding.span.to} ${finding.message}`;
    if (!seen.has(key)) findings.push(finding);
    seen.add(key);
  };
  const report = (code: string, span: RawSpan, message: string): void => add({ code, severity: severityOf(code), span, message });
  const chosen = choices(unit, words ?? fileKernel, declarations, report);
  const drafts: { program: Program; sites: readonly RawSpan[] }[] = [];
  const usedSetups = new Set<string>();
  let names: readonly KnownName[] = [];
  let brokenSetup = false;
  const perKernel = chosen.map((choice) => {
    const scope = new Scope(unit.source, { name: choice.resolution.name, base: choice.resolution.base, edits: [] }, declarations, unit.lenient);
    const result = lowerUnder(scope, unit, rest, choice.resolution);
    for (const name of scope.usedSetups) {
      usedSetups.add(name);
      brokenSetup ||= declarations.setups.get(name)?.broken ?? false;
    }
    names = namesOf(scope);
    const variantBroken = choice.resolution.chain.some((variant) => variant.broken);
    return { scope, result, modelled: choice.resolution.modelled, variantBroken };
  });
  for (const { scope } of perKernel) for (const finding of scope.findings) add(finding);
  const later = findings.some((finding) => LATER.has(finding.code));
  const broken = later || brokenSetup || unit.complaints.length > 0 || unit.lenient || findings.some((finding) => finding.severity === "error");
  for (const { scope, result, modelled, variantBroken } of perKernel) {
    if (modelled && !broken && !variantBroken) drafts.push({ program: result, sites: scope.sites });
  }
  return { drafts, findings, broken: broken && !unit.lenient, kernels: chosen.map((choice) => choice.resolution.name), names, usedSetups };
}

function lowerUnder(scope: Scope, unit: Unit, rest: Unit["statements"], resolution: Resolution): Program {
  const site = scope.site(unit.header);
  const profile = editsOf(scope, resolution);
  const lowerer = new Lowerer(scope);
  const body: Statement[] = [];
  for (const { statement, source } of rest) {
    scope.source = source;
    lowerer.runOne(statement, body);
  }
  lowerer.finish();
  const { questions, expected, safe, only, except } = lowerer.gathered;
  const watch = { ...(only.length > 0 ? { only } : {}), ...(except.length > 0 ? { except } : {}) };
  const program: Program = {
    name: unit.name,
    site,
    profile,
    handles: scope.handles,
    actors: scope.actors,
    calls: scope.calls,
    body,
    questions,
    expected,
    watch,
    sites: [],
  };
  const machine = Object.keys(scope.machine).length > 0 ? { machine: scope.machine } : {};
  const processes = scope.processes.length > 1 ? { processes: scope.processes } : {};
  return { ...program, ...machine, ...processes, ...(safe === undefined ? {} : { safe }) };
}

function namesOf(scope: Scope): KnownName[] {
  return [
    ...scope.handles.map((row): KnownName => ({ name: row.name, kind: "handle", detail: row.kind })),
    ...scope.actors.map((row): KnownName => ({ name: row.name, kind: "actor", detail: actorDetail(scope, row) })),
    ...[...scope.labels.keys()].map((name): KnownName => ({ name, kind: "label", detail: "label" })),
  ];
}

function actorDetail(scope: Scope, { name, kind, process = 0 }: Actor): string {
  const of = scope.processes[process].name;
  return process === 0 ? kind : name === of ? "process" : `${kind} in ${of}`;
}

export function placeFinding(raw: RawFinding, sources: ReadonlyMap<string, Source>): Finding {
  const span = resolveSpan(raw.span, sources);
  const related = raw.related?.map((one) => ({ span: resolveSpan(one.span, sources), message: one.message }));
  const fixes = raw.fix === undefined ? undefined : [{ title: raw.fix.title, edits: [{ span: resolveSpan(raw.fix.span, sources), text: raw.fix.text }] }];
  return { code: raw.code, severity: raw.severity, span, message: raw.message, ...(related ? { related } : {}), ...(fixes ? { fixes } : {}) };
}
