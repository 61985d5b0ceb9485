// The texts that the client has open, as its notifications tell them (LSP's "Text Document Synchronization", incremental).

import type { MessageConnection } from "vscode-jsonrpc";
import type { DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams } from "vscode-languageserver";
import { TextDocument } from "vscode-languageserver-textdocument";

export interface SyncedListener {
  opened(document: TextDocument): void;
  /** After opening too. */
  changed(document: TextDocument): void;
  saved(document: TextDocument): void;
  closed(document: TextDocument): void;
}

/** A document stays the same object from its opening to its closing. What is said of one that is not open is ignored. */
export function syncTexts(connection: MessageConnection, listener: SyncedListener): void {
  const open = new Map<string, TextDocument>();
  connection.onNotification("textDocument/didOpen", ({ textDocument }: DidOpenTextDocumentParams) => {
    const { uri, languageId, version, text } = textDocument;
    const document = TextDocument.create(uri, languageId, version, text);
    open.set(uri, document);
    listener.opened(document);
    listener.changed(document);
  });
  connection.onNotification("textDocument/didChange", ({ textDocument, contentChanges }: DidChangeTextDocumentParams) => {
    const document = open.get(textDocument.uri);
    if (document === undefined || contentChanges.length === 0) return;
    listener.changed(TextDocument.update(document, contentChanges, textDocument.version));
  });
  connection.onNotification("textDocument/didSave", ({ textDocument }: DidSaveTextDocumentParams) => {
    const document = open.get(textDocument.uri);
    if (document !== undefined) listener.saved(document);
  });
  connection.onNotification("textDocument/didClose", ({ textDocument }: DidCloseTextDocumentParams) => {
    const document = open.get(textDocument.uri);
    open.delete(textDocument.uri);
    if (document !== undefined) listener.closed(document);
  });
}
