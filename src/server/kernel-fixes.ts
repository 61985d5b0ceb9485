// For a call or constant that the chosen kernel does not have: the scenario put under one that has it.

import type { CodeAction, TextEdit } from "vscode-languageserver";
import type { OutlineEntry } from "../language/index.ts";
import { callsNamed, constant, constantsNamed, profiles } from "../scenario/catalogue/index.ts";
import type { Located } from "./diagnostics.ts";
import type { Snapshot } from "./documents.ts";
import { CodeActionKind } from "./lsp.ts";

const UNKNOWN_HERE: ReadonlySet<string> = new Set(["MEMFD5001", "MEMFD5002"]);
const MOST_OFFERED = 3;
/** A whole line `kernel a, b`; one with `extends` declares another. */
const CHOICE = /^([ \t]*kernel[ \t]+)([\w.-]+(?:[ \t]*,[ \t]*[\w.-]+)*)[ \t]*(?:;|\/\/.*)?$/gm;

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
  const { text, outline } = snapshot.analysis;
  const inside = ({ span }: OutlineEntry): boolean => span.from <= at && at <= span.to;
  const own = outline.find((entry) => inside(entry) && /^\s*scenario\b/.test(text.slice(entry.span.from, entry.span.to)));
  if (own === undefined) {
    const braced = (offset: number): boolean => outline.some(({ span }) => span.from < offset && offset < span.to && text[span.to - 1] === "}");
    const ofFile = choices(text, 0, text.length).filter((choice) => !braced(choice.from));
    if (ofFile.length > 1) return undefined;
    return ofFile.length === 1 ? replaced(snapshot, ofFile[0].from, ofFile[0].to, kernel) : replaced(snapshot, 0, 0, `kernel ${kernel}\n\n`);
  }
  const [choice] = choices(text, own.span.from, own.span.to);
  if (choice !== undefined) return replaced(snapshot, choice.from, choice.to, kernel);
  const brace = text.indexOf("{", own.header.to - 1);
  return brace < 0 || brace >= own.span.to ? undefined : replaced(snapshot, brace + 1, brace + 1, `\n  kernel ${kernel}`);
}

/** Where the kernels stand that lines between two offsets choose. */
function choices(text: string, from: number, to: number): { readonly from: number; readonly to: number }[] {
  return [...text.slice(from, to).matchAll(CHOICE)].map((match) => {
    const start = from + match.index + match[1].length;
    return { from: start, to: start + match[2].length };
  });
}

const replaced = ({ document }: Snapshot, from: number, to: number, newText: string): TextEdit => ({
  range: { start: document.positionAt(from), end: document.positionAt(to) },
  newText,
});
