// Completion: what the language offers, in LSP's words.

import type { CompletionItem } from "vscode-languageserver";
import { type Completion, completeAt } from "../language/complete.ts";
import type { Snapshot } from "./documents.ts";
import { CompletionItemKind, MarkupKind } from "./lsp.ts";

const KIND: Readonly<Record<string, CompletionItem["kind"]>> = {
  call: CompletionItemKind.Function,
  constant: CompletionItemKind.Constant,
  handle: CompletionItemKind.Variable,
  actor: CompletionItemKind.Class,
  label: CompletionItemKind.Reference,
  invariant: CompletionItemKind.Property,
  kernel: CompletionItemKind.Module,
  operation: CompletionItemKind.Method,
  step: CompletionItemKind.Event,
  query: CompletionItemKind.Function,
  setup: CompletionItemKind.Interface,
  keyword: CompletionItemKind.Keyword,
  parameter: CompletionItemKind.Field,
  result: CompletionItemKind.Value,
  feature: CompletionItemKind.Property,
};

export function completions(snapshot: Snapshot, offset: number): CompletionItem[] {
  return completeAt(snapshot.analysis, offset).map(toItem);
}

/** The language sorts by fitness; editors sort by `sortText`. */
function toItem(completion: Completion, at: number): CompletionItem {
  const { label, kind, detail, documentation } = completion;
  return {
    label,
    kind: KIND[kind] ?? CompletionItemKind.Text,
    sortText: String(at).padStart(5, "0"),
    ...(detail === undefined ? {} : { detail }),
    ...(documentation === undefined ? {} : { documentation: { kind: MarkupKind.Markdown, value: documentation } }),
  };
}
