// Folding ranges and document symbols. Folding scans braces and comments itself, so that it also works in text that does not parse.

import type { DocumentSymbol, FoldingRange } from "vscode-languageserver";
import type { TextDocument } from "vscode-languageserver-textdocument";
import { rangeOf } from "./diagnostics.ts";
import type { Snapshot } from "./documents.ts";
import { FoldingRangeKind, SymbolKind } from "./lsp.ts";
import type { Texts } from "./texts.ts";

/** VS Code shows no more of them. */
const MAX_RANGES = 5_000;

export function foldingRanges(document: TextDocument): FoldingRange[] {
  const text = document.getText();
  const ranges: FoldingRange[] = [];
  const braces: number[] = [];
  let line = 0;
  let at = 0;
  const add = (from: number, to: number, kind?: FoldingRange["kind"]): void => {
    if (to > from && ranges.length < MAX_RANGES) ranges.push({ startLine: from, endLine: to, ...(kind === undefined ? {} : { kind }) });
  };
  // Strings and comments are consumed whole; a line end, of any of LSP's three kinds, ends a string.
  const token = /\r\n|[\r\n]|"(?:[^"\\\r\n]|\\.)*"?|'(?:[^'\\\r\n]|\\.)'|\/\/[^\r\n]*|\/\*[\s\S]*?(?:\*\/|$)|[{}]/g;
  let comment: { from: number; to: number } | undefined;
  const endComment = (): void => {
    if (comment !== undefined) add(comment.from, comment.to, FoldingRangeKind.Comment);
    comment = undefined;
  };
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [found] = match;
    at = match.index;
    if (found === "\n" || found.startsWith("\r")) {
      line += 1;
    } else if (found.startsWith("//")) {
      const own = text.slice(Math.max(text.lastIndexOf("\n", at), text.lastIndexOf("\r", at)) + 1, at).trim() === "";
      if (own && comment !== undefined && comment.to === line - 1) comment.to = line;
      else {
        endComment();
        if (own) comment = { from: line, to: line };
      }
    } else if (found.startsWith("/*")) {
      const lines = found.split(/\r\n|[\r\n]/).length - 1;
      add(line, line + lines, FoldingRangeKind.Comment);
      line += lines;
    } else if (found === "{") {
      braces.push(line);
    } else if (found === "}") {
      const from = braces.pop();
      // The line of the closing brace stays visible.
      if (from !== undefined) add(from, line - 1);
    }
  }
  endComment();
  return ranges;
}

/** Scenarios with their calls that carry a label. */
export function documentSymbols(snapshot: Snapshot, texts: Texts): DocumentSymbol[] {
  return snapshot.analysis.outline.map((entry) => {
    const range = rangeOf(entry.span, texts);
    const run = snapshot.runs.find((candidate) => candidate.program.name === entry.name);
    const children = run === undefined ? [] : labelled(run.program, snapshot, entry.span, texts);
    return {
      name: entry.name || "(unnamed)",
      detail: entry.kernels.join(", "),
      kind: SymbolKind.Event,
      range,
      selectionRange: rangeOf(entry.header, texts),
      children,
    };
  });
}

function labelled(program: Snapshot["runs"][number]["program"], snapshot: Snapshot, within: { from: number; to: number }, texts: Texts): DocumentSymbol[] {
  const symbols = new Map<string, DocumentSymbol>();
  for (const call of program.calls) {
    const span = program.sites[call.statement];
    if (call.label === undefined || span.file !== snapshot.uri || span.from < within.from || span.to > within.to) continue;
    const range = rangeOf(span, texts);
    const detail = `${program.actors[call.actor].name}: ${call.spec}`;
    symbols.set(call.label, { name: `@${call.label}`, detail, kind: SymbolKind.Key, range, selectionRange: rangeOf(program.sites[call.site], texts) });
  }
  return [...symbols.values()];
}
