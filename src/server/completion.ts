// Completion and signatures: what the language offers, in LSP's words.

import type { CompletionItem, Range, SignatureHelp } from "vscode-languageserver";
import { type Completion, completeAt, completedFrom } from "../language/complete.ts";
import { signaturesAt } from "../language/signature.ts";
import type { Snapshot } from "./documents.ts";
import { CompletionItemKind, InsertTextFormat, MarkupKind } from "./lsp.ts";

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

interface CompletionTaste {
  /** The editor knows snippets. */
  readonly snippets: boolean;
  /** It shows parameters behind a label. */
  readonly labelDetails: boolean;
  /** Asked for because a space was typed. */
  readonly spaced: boolean;
}

export function completions(snapshot: Snapshot, offset: number, taste: CompletionTaste): CompletionItem[] {
  const { document } = snapshot;
  const end = document.positionAt(offset);
  const text = document.getText();
  return completeAt(snapshot.analysis, offset, taste.spaced).map((completion, at) => {
    const range = { start: document.positionAt(completedFrom(text, offset, completion.label)), end };
    return toItem(completion, at, range, taste);
  });
}

/** The language sorts by fitness; editors sort by `sortText`. */
function toItem(completion: Completion, at: number, range: Range, { snippets, labelDetails }: CompletionTaste): CompletionItem {
  const { label, kind, parameters } = completion;
  const { detail, documentation } = roomFor(completion);
  const snippet = snippets ? completion.snippet : undefined;
  return {
    label,
    kind: KIND[kind] ?? CompletionItemKind.Text,
    sortText: String(at).padStart(5, "0"),
    ...(parameters !== undefined && labelDetails ? { labelDetails: { detail: parameters } } : {}),
    ...(detail === undefined ? {} : { detail }),
    ...(documentation === undefined ? {} : { documentation: { kind: MarkupKind.Markdown, value: documentation } }),
    textEdit: { range, newText: snippet ?? label },
    ...(snippet === undefined ? {} : { insertTextFormat: InsertTextFormat.Snippet }),
    // The parenthesis that is typed takes the call, is closed by the editor, and asks for the help on parameters.
    ...(parameters === undefined ? {} : { commitCharacters: ["("] }),
  };
}

/** Editors give the detail its place in the row at the cost of the label. */
const SHORT_LABEL = 14;
const ROW = 46;

/** A detail that would cut a long label stands above the documentation instead. */
function roomFor({ label, parameters, detail, documentation }: Completion): Pick<Completion, "detail" | "documentation"> {
  const fits = detail === undefined || parameters !== undefined || label.length <= SHORT_LABEL || label.length + detail.length <= ROW;
  return fits ? { detail, documentation } : { documentation: [detail, documentation].filter((part) => part !== undefined).join("\n\n") };
}

/** Null where the cursor is in no call. */
export function signatureHelp(snapshot: Snapshot, offset: number): SignatureHelp | null {
  const found = signaturesAt(snapshot.analysis, offset);
  if (found.length === 0) return null;
  const signatures = found.map(({ label, parameters, documentation, active }) => ({
    label,
    documentation: { kind: MarkupKind.Markdown, value: documentation },
    parameters: parameters.map(({ from, to, documentation: text }) => ({
      label: [from, to] as [number, number],
      documentation: { kind: MarkupKind.Markdown, value: text },
    })),
    // Beyond the last: none is marked.
    activeParameter: active ?? parameters.length,
  }));
  return { signatures, activeSignature: 0, activeParameter: signatures[0].activeParameter };
}
