// A suggestion as edits of the text: `order` lines with their labels into the parallel block, or the declaration of a variant before the scenario and its name
// into the scenario's `kernel`. The edited text is read again: only where it means the Program that was verified are the edits offered.

import type { SyntaxNodeRef } from "@lezer/common";
import type { Fix, Span } from "../base/finding.ts";
import type { Suggestion } from "../check/suggest/index.ts";
import { type Analysis, analyse, type Options } from "../language/index.ts";
import { printProgram } from "../scenario/print.ts";
import type { Program } from "../scenario/program.ts";

export type Edits = Fix["edits"];

interface EditHost {
  readonly analysis: Analysis;
  /** The text of a file that the analysis read. */
  text(file: string): string;
  readonly imports: Options["imports"];
}

/** Undefined where the text cannot be changed so by itself: `repeat`, `on`, a list of kernels with `all`. */
export function editsFor(host: EditHost, program: Program, suggestion: Suggestion): Edits | undefined {
  const edits = suggestion.kind === "order" ? orderEdits(host, program, suggestion) : kernelEdits(host, program, suggestion);
  if (edits === undefined) return undefined;
  const all = inOrder([...edits, ...expectationEdits(host, program, suggestion)]);
  return all !== undefined && means(host, all, suggestion.program) ? all : undefined;
}

const at = (file: string, offset: number): Span => ({ file, from: offset, to: offset });

function orderEdits(host: EditHost, program: Program, { orders, labels }: Suggestion): Edits | undefined {
  const braces = orders.map(({ parallel }) => closingBrace(host, program.sites[parallel]));
  const lines = orders.flatMap(({ parallel, line }, index) => {
    const { file } = program.sites[parallel];
    const text = host.text(file);
    const brace = braces[index];
    if (brace === undefined) return [];
    const start = text.lastIndexOf("\n", brace - 1) + 1;
    const indent = /^[ \t]*/.exec(text.slice(start, brace))?.[0] ?? "";
    // A closing brace alone on its line: the order gets a line above it. Else the block is opened up.
    if (text.slice(start, brace).trim() === "") return [{ span: at(file, start), text: `${indent}  ${line}\n` }];
    return [{ span: { file, from: trimmedEnd(text, brace), to: brace }, text: `\n${indent}  ${line}\n${indent}` }];
  });
  if (braces.includes(undefined)) return undefined;
  const merged = new Map<number, (typeof lines)[number]>();
  for (const line of lines) {
    const same = merged.get(line.span.from);
    merged.set(
      line.span.from,
      same === undefined ? line : { span: same.span, text: same.span.from === same.span.to ? same.text + line.text : joined(same.text, line.text) },
    );
  }
  const named = labels.map(({ call, label }) => {
    const { file, to } = program.sites[program.calls[call].statement];
    const text = host.text(file);
    // A `;` belongs to the statement that it ends; the label stands before it.
    return { span: at(file, text[to - 1] === ";" ? trimmedEnd(text, to - 1) : to), text: ` @${label}` };
  });
  return [...merged.values(), ...named];
}

/** Of the `parallel` block whose header this is. */
function closingBrace({ analysis, text }: EditHost, header: Span): number | undefined {
  const tree = header.file === analysis.file ? analysis.tree : analysis.importCache.get(header.file)?.tree;
  let node = tree?.resolveInner(header.from, 1) ?? null;
  while (node !== null && node.name !== "Parallel") node = node.parent;
  const brace = node === null ? -1 : text(header.file).lastIndexOf("}", node.to - 1);
  return node === null || brace <= header.to ? undefined : brace;
}

/** Two openings of one line: the second line goes below the first. */
const joined = (first: string, second: string): string => `${first.slice(0, first.lastIndexOf("\n"))}${second}`;

const trimmedEnd = (text: string, offset: number): number => text.slice(0, offset).trimEnd().length;

function kernelEdits(host: EditHost, program: Program, { kernel, text: declaration }: Suggestion): Edits | undefined {
  const { analysis } = host;
  const { file } = analysis;
  const header = program.sites[program.site];
  if (kernel === undefined || header.file !== file || analysis.tree === undefined) return undefined;
  const scenario = enclosing(analysis, header);
  const choice = chosen(analysis, scenario, program.profile.name);
  if (choice === "unclear") return undefined;
  const text = host.text(file);
  if (scenario === undefined) {
    if (choice === undefined) return [{ span: at(file, 0), text: `${declaration}\nkernel ${kernel}\n\n` }];
    return [
      { span: at(file, lineStart(text, choice.statement)), text: `${declaration}\n` },
      { span: { file, from: choice.from, to: choice.to }, text: kernel },
    ];
  }
  const declared = { span: at(file, aboveComments(text, scenario.from)), text: `${declaration}\n\n` };
  if (choice !== undefined) return [declared, { span: { file, from: choice.from, to: choice.to }, text: kernel }];
  const open = text.indexOf("{", header.to);
  if (open < 0) return undefined;
  const oneLine = !/^[ \t]*(\/\/[^\n]*)?\r?\n/.test(text.slice(open + 1));
  return [declared, { span: at(file, open + 1), text: oneLine ? ` kernel ${kernel};` : `\n  kernel ${kernel}` }];
}

const lineStart = (text: string, offset: number): number => text.lastIndexOf("\n", offset - 1) + 1;

/** A comment that stands right above a declaration belongs to it. */
function aboveComments(text: string, offset: number): number {
  let start = lineStart(text, offset);
  for (;;) {
    const above = text.lastIndexOf("\n", start - 2) + 1;
    if (start === 0 || !/^[ \t]*\/\//.test(text.slice(above, start))) return start;
    start = above;
  }
}

function enclosing(analysis: Analysis, header: Span): Span | undefined {
  return analysis.outline.find(({ span }) => span.file === header.file && span.from <= header.from && header.to <= span.to && isScenario(analysis, span))?.span;
}

function isScenario({ text }: Analysis, span: Span): boolean {
  return /^scenario\b/.test(text.slice(span.from));
}

interface Choice {
  readonly statement: number;
  readonly from: number;
  readonly to: number;
}

/** The name behind `kernel` that stands for this run: in the scenario, or for bare statements in the file. */
function chosen(analysis: Analysis, scenario: Span | undefined, name: string): Choice | "unclear" | undefined {
  const statements: { from: number; names: { from: number; to: number; text: string }[]; variant: boolean }[] = [];
  analysis.tree?.iterate({
    ...(scenario === undefined ? {} : { from: scenario.from, to: scenario.to }),
    enter(node: SyntaxNodeRef) {
      if (scenario === undefined && (node.name === "Scenario" || node.name === "Setup")) return false;
      if (node.name === "Kernel") statements.push({ from: node.from, names: [], variant: false });
      const last = statements.at(-1);
      if (node.name === "KernelBase" && last) last.variant = true;
      if (node.name === "KernelName" && last) last.names.push({ from: node.from, to: node.to, text: analysis.text.slice(node.from, node.to) });
      return undefined;
    },
  });
  const selection = statements.filter((statement) => !statement.variant && statement.names.length > 0).at(-1);
  if (selection === undefined) return undefined;
  const own =
    selection.names.find((candidate) => candidate.text === name) ??
    (selection.names.length === 1 && selection.names[0].text !== "all" ? selection.names[0] : undefined);
  return own === undefined ? "unclear" : { statement: selection.from, from: own.from, to: own.to };
}

/** The lines that expect what no longer breaks. */
function expectationEdits(host: EditHost, program: Program, suggestion: Suggestion): Edits {
  const kept = new Set(suggestion.program.expected.map(({ site }) => site));
  const gone = program.expected.filter(({ site }) => !kept.has(site));
  return gone.map(({ site }) => {
    const span = program.sites[site];
    const text = host.text(span.file);
    const start = lineStart(text, span.from);
    const end = text.indexOf("\n", span.to);
    const rest = text.slice(span.to, end < 0 ? text.length : end);
    const alone = text.slice(start, span.from).trim() === "" && /^\s*(\/\/.*)?$/.test(rest);
    return { span: alone && end >= 0 ? { file: span.file, from: start, to: end + 1 } : span, text: "" };
  });
}

/** From the first to the last; undefined where two touch the same text. */
function inOrder(edits: Edits): Edits | undefined {
  const sorted = [...edits].sort((a, b) =>
    a.span.file < b.span.file ? -1 : a.span.file > b.span.file ? 1 : a.span.from - b.span.from || a.span.to - b.span.to,
  );
  const apart = sorted.every(({ span }, index) => index === 0 || sorted[index - 1].span.file !== span.file || sorted[index - 1].span.to <= span.from);
  return apart ? sorted : undefined;
}

export function applied(text: string, file: string, edits: Edits): string {
  let result = "";
  let from = 0;
  for (const { span, text: added } of edits) {
    if (span.file !== file) continue;
    result += text.slice(from, span.from) + added;
    from = span.to;
  }
  return result + text.slice(from);
}

/** Does the edited text say what was verified, and nothing wrong that it did not say before? */
function means({ analysis, text, imports }: EditHost, edits: Edits, verified: Program): boolean {
  const { file } = analysis;
  const edited = analyse(file, applied(text(file), file, edits), {
    imports(path, from) {
      const found = imports(path, from);
      return found && { ...found, text: applied(found.text, found.file, edits) };
    },
  });
  const errors = (one: Analysis): number => one.findings.filter((finding) => finding.severity === "error").length;
  const wanted = printProgram(verified);
  return errors(edited) <= errors(analysis) && edited.programs.some((program) => program.name === verified.name && printProgram(program) === wanted);
}
