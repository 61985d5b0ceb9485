// One file from its text to its runs: what the language found, and one check per scenario and kernel, with findings that have lines.

import { ModelBug } from "../base/assert.ts";
import type { Finding, Span } from "../base/finding.ts";
import { unjudged } from "../check/extent.ts";
import type { Program, Site } from "../scenario/program.ts";
import type { Place } from "../view/results.ts";
import { ALL, underAll } from "./all-kernels.ts";
import type { Analysed, Environment, Limits } from "./environment.ts";
import { importer } from "./files.ts";
import { Lines } from "./lines.ts";
import type { Loaded, PlacedFinding, Run } from "./loaded.ts";
import { underKernels } from "./override.ts";
import type { Watch } from "./watch.ts";

/** The file itself: not a file of text, not there, or too large. */
const UNREADABLE = "MEMFD1000";
const MODEL_BUG = "MEMFD9001";

export function unreadable(file: string, reason: string): PlacedFinding {
  return { file, line: 1, column: 1, endLine: 1, endColumn: 1, severity: "error", code: UNREADABLE, message: `Cannot read this file: ${reason}.`, related: [] };
}

export function load(file: string, environment: Environment, kernels: readonly string[]): Loaded | PlacedFinding {
  const { files, engine } = environment;
  const read = files.read(file);
  if (!read.ok) return unreadable(file, read.reason);
  const texts = new Map([[file, read.text]]);
  const imports = importer(files, texts);
  let analysed = engine.analyse(file, read.text, { imports });
  let back = (offset: number): number => offset;
  const all = kernels.includes(ALL) ? underAll(analysed) : undefined;
  if (kernels.length > 0 && all === undefined) {
    const overridden = underKernels(read.text, analysed.tree, kernels);
    analysed = engine.analyse(file, overridden.text, { imports });
    back = overridden.back;
  }
  const lines = new Map<string, Lines>();
  const position = (name: string, offset: number): { line: number; column: number } => {
    let known = lines.get(name);
    if (known === undefined) {
      known = new Lines(texts.get(name) ?? "");
      lines.set(name, known);
    }
    return known.at(name === file ? back(offset) : offset);
  };
  const placed = (finding: Finding): PlacedFinding => {
    const { span } = finding;
    const from = position(span.file, span.from);
    const to = position(span.file, span.to);
    const related = (finding.related ?? []).map((each) => ({ file: each.span.file, ...position(each.span.file, each.span.from), message: each.message }));
    const { severity, code, message } = finding;
    return { file: span.file, line: from.line, column: from.column, endLine: to.line, endColumn: to.column, severity, code, message, related };
  };
  const placeOf = (span: Span): Place => ({ file: span.file, line: position(span.file, span.from).line });
  const siteOf = (program: Program) => (site: Site) => placeOf(program.sites[site]);
  const findings = analysed.findings.map(placed);
  if (all === undefined) return { file, programs: analysed.programs, findings, notRun: isPartial(analysed), placeOf, siteOf, placed };
  const { programs, notRun, sides } = all;
  const everywhere = distinct([...findings, ...all.findings.map(placed)]);
  return { file, programs, findings: everywhere, notRun, all: { sides, findings }, placeOf, siteOf, placed };
}

function isPartial({ outline, programs }: Analysed): boolean {
  const runs = new Set(programs.map((program) => JSON.stringify([program.name, program.profile.name])));
  return outline.some(({ name, kernels }) => kernels.length === 0 || kernels.some((kernel) => !runs.has(JSON.stringify([name, kernel]))));
}

export interface RunLimits {
  readonly maxStates?: number;
  readonly seconds?: number;
}

/** A bug of the model stays with the scenario that met it: the run is incomplete, never green, and the others go on. */
export async function run(loaded: Loaded, program: Program, environment: Environment, limits: RunLimits, watch?: Watch): Promise<Run> {
  const { engine, now, interrupt } = environment;
  const budget: Limits = {
    now,
    signal: interrupt,
    progress: (live) => watch?.heard(loaded, program, live),
    ...(limits.maxStates === undefined ? {} : { maxStates: limits.maxStates }),
    ...(limits.seconds === undefined ? {} : { maxMilliseconds: limits.seconds * 1000 }),
  };
  try {
    const report = await engine.check(program, budget);
    return { program, report, findings: engine.locate(program, report).map(loaded.placed) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const message = `The model failed, which is a bug of the model and says nothing about the scenario: ${error.message}${error instanceof ModelBug ? "" : ` (${error.name})`}`;
    const finding: Finding = { code: MODEL_BUG, severity: "error", span: program.sites[program.site], message };
    const report = unjudged(program, [], "a bug of the model");
    return { program, report, findings: [loaded.placed(finding)] };
  } finally {
    watch?.ended(program);
  }
}

/** Findings without doubles, in the order of the text. */
export function distinct(findings: readonly PlacedFinding[]): PlacedFinding[] {
  const seen = new Set<string>();
  return findings
    .filter((each) => {
      const key = JSON.stringify([each.file, each.line, each.column, each.endLine, each.endColumn, each.severity, each.code, each.message]);
      return !seen.has(key) && seen.add(key);
    })
    .sort((a, b) => (a.file === b.file ? a.line - b.line || a.column - b.column : 0));
}

/** The text cannot be read or parsed, or names or counts something that does not exist: what exit status 2 says. */
export function isInputError(finding: PlacedFinding): boolean {
  return finding.severity === "error" && /^MEMFD([12]|5002)/.test(finding.code);
}
