// LSP requests that read what is known already: hints, hovers, lenses, symbols, folding, formatting, completion, signatures, code actions. None of them starts
// a run.

import type { CodeActionParams, CompletionParams, InlayHintParams, TextDocumentIdentifier, TextDocumentPositionParams, TextEdit } from "vscode-languageserver";
import type { TextDocument } from "vscode-languageserver-textdocument";
import { format } from "../language/format.ts";
import { codeActions } from "./actions.ts";
import { completions, signatureHelp } from "./completion.ts";
import type { Snapshot } from "./documents.ts";
import { documentSymbols, foldingRanges } from "./folding.ts";
import { inlayHints } from "./hints.ts";
import { hover } from "./hover.ts";
import { codeLenses } from "./lenses.ts";
import type { ServerState } from "./state.ts";

interface OfDocument {
  readonly textDocument: TextDocumentIdentifier;
}

export function registerFeatures(state: ServerState): void {
  const { connection, documents, runner, texts, traces } = state;
  /** A request about a document that is closed by now, or whose analysis failed, has an empty answer. */
  const read = <T>(uri: string, use: (snapshot: Snapshot) => T): T | null => {
    try {
      const snapshot = documents.snapshot(uri);
      return snapshot === undefined ? null : use(snapshot);
    } catch (error) {
      state.complain(`A request about ${uri} failed: ${error instanceof Error ? error.stack : String(error)}`);
      return null;
    }
  };
  connection.onRequest("textDocument/inlayHint", ({ textDocument, range }: InlayHintParams) =>
    read(textDocument.uri, (snapshot) => inlayHints(snapshot, runner, range)),
  );
  connection.onRequest("textDocument/codeLens", ({ textDocument }: OfDocument) =>
    read(textDocument.uri, (snapshot) =>
      codeLenses(snapshot, runner, texts, { clientCommands: state.options.clientCommands === true, machine: state.host.machine !== undefined }),
    ),
  );
  connection.onRequest("textDocument/documentSymbol", ({ textDocument }: OfDocument) => read(textDocument.uri, (snapshot) => documentSymbols(snapshot, texts)));
  connection.onRequest("textDocument/hover", async ({ textDocument, position }: TextDocumentPositionParams) => {
    const found = await read(textDocument.uri, (snapshot) => hover(snapshot, runner, texts, traces, snapshot.document.offsetAt(position)));
    return found ?? null;
  });
  connection.onRequest("textDocument/completion", ({ textDocument, position, context }: CompletionParams) =>
    read(textDocument.uri, (snapshot) => {
      const { snippetSupport, labelDetailsSupport } = state.capabilities.textDocument?.completion?.completionItem ?? {};
      return completions(snapshot, snapshot.document.offsetAt(position), {
        snippets: snippetSupport === true,
        labelDetails: labelDetailsSupport === true,
        spaced: context?.triggerCharacter === " ",
      });
    }),
  );
  connection.onRequest("textDocument/signatureHelp", ({ textDocument, position }: TextDocumentPositionParams) =>
    read(textDocument.uri, (snapshot) => signatureHelp(snapshot, snapshot.document.offsetAt(position))),
  );
  connection.onRequest("textDocument/codeAction", ({ textDocument, range }: CodeActionParams) =>
    read(textDocument.uri, (snapshot) => {
      const relatedInformation = state.capabilities.textDocument?.publishDiagnostics?.relatedInformation === true;
      const clientCommands = state.options.clientCommands === true;
      return codeActions(snapshot, runner, texts, range, { helpScheme: state.options.helpScheme, relatedInformation, clientCommands });
    }),
  );
  connection.onRequest("textDocument/foldingRange", ({ textDocument }: OfDocument) => {
    const document = documents.document(textDocument.uri);
    return document === undefined ? null : foldingRanges(document);
  });
  connection.onRequest("textDocument/formatting", ({ textDocument }: OfDocument) => {
    const document = documents.document(textDocument.uri);
    return document === undefined ? null : formattingEdits(document, format(document.getText()));
  });
}

/** One edit from the first to the last difference, so that cursors and foldings outside of it stay. */
function formattingEdits(document: TextDocument, formatted: string): TextEdit[] {
  const text = document.getText();
  if (text === formatted) return [];
  const shorter = Math.min(text.length, formatted.length);
  let from = 0;
  while (from < shorter && text[from] === formatted[from]) from += 1;
  let tail = 0;
  while (tail < shorter - from && text[text.length - 1 - tail] === formatted[formatted.length - 1 - tail]) tail += 1;
  // Never between the halves of a surrogate pair or of a line end.
  while (from > 0 && /[\ud800-\udbff\r]/.test(text[from - 1])) from -= 1;
  while (tail > 0 && /[\udc00-\udfff\n]/.test(text[text.length - tail])) tail -= 1;
  const range = { start: document.positionAt(from), end: document.positionAt(text.length - tail) };
  return [{ range, newText: formatted.slice(from, formatted.length - tail) }];
}
