// For a call or constant that the chosen kernel does not have: the scenario put under one that has it.

import type { CodeAction, TextEdit } from "vscode-languageserver";
import { kernelChoices } from "../language/kernel-choices.ts";
import { callsNamed, constant, constantsNamed, profiles } from "../scenario/catalogue/index.ts";
import type { Located } from "./diagnostics.ts";
import type { Snapshot } from "./documents.ts";
import { CodeActionKind } from "./lsp.ts";

const UNKNOWN_HERE: ReadonlySet<string> = new Set(["MEMFD5001", "MEMFD5002"]);
const MOST_OFFERED = 3;

/** The newest first. */
export function kernelActions({ finding }: Located, snapshot: Snapshot): CodeAction[] {
  if (!UNKNOWN_HERE.has(finding.code)) return [];
  const { from, to } = finding.span;
  const having = kernelsWith(snapshot.analysis.text.slice(from, to)).slice(0, MOST_OFFERED);
  return having.flatMap((kernel) => {
    const edit = chosen(snapshot, from, kernel);
    return edit === undefined ? [] : [{ title: `Run under ${kernel}`, kind: CodeActionKind.QuickFix, edit: { changes: { [snapshot.uri]: [edit] } } }];
  });
}

/** Modelled kernels that have the call or the constant. */
function kernelsWith(name: string): string[] {
  const calls = callsNamed(name);
  const has = (kernel: string): boolean => calls.some((spec) => spec.profiles.includes(kernel)) || constant(name, kernel) !== undefined;
  if (calls.length === 0 && constantsNamed(name).length === 0) return [];
  return profiles
    .filter((row) => row.modelled && has(row.name))
    .map((row) => row.name)
    .reverse();
}

/** The scenario's own choice, else one more line in it; of bare statements and setups the choice of the file. */
function chosen(snapshot: Snapshot, at: number, kernel: string): TextEdit | undefined {
  const { text, outline, tree } = snapshot.analysis;
  if (tree === undefined) return undefined;
  const own = outline.find(({ span }) => span.from <= at && at <= span.to && /^\s*scenario\b/.test(text.slice(span.from, span.to)));
  const inOwn = (offset: number): boolean => own !== undefined && own.span.from <= offset && offset < own.span.to;
  const choices = kernelChoices(tree).filter(({ from, scenario }) => (own === undefined ? scenario === undefined : inOwn(from)));
  if (own === undefined && choices.length > 1) return undefined;
  if (choices.length > 0) return replaced(snapshot, choices[0].from, choices[0].to, kernel);
  if (own === undefined) return replaced(snapshot, 0, 0, `kernel ${kernel}\n\n`);
  const brace = text.indexOf("{", own.header.to - 1);
  return brace < 0 || brace >= own.span.to ? undefined : replaced(snapshot, brace + 1, brace + 1, `\n  kernel ${kernel}`);
}

const replaced = ({ document }: Snapshot, from: number, to: number, newText: string): TextEdit => ({
  range: { start: document.positionAt(from), end: document.positionAt(to) },
  newText,
});
