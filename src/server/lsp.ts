// The numbers and words of the Language Server Protocol 3.17 that the server sends. The protocol's library holds them too, but the server takes only types from
// there: it would be loaded at each start.

import type * as lsp from "vscode-languageserver";

export const DiagnosticSeverity = { Error: 1, Warning: 2, Information: 3 } as const satisfies Partial<Record<keyof typeof lsp.DiagnosticSeverity, number>>;
export const CodeActionKind = { QuickFix: "quickfix" } as const satisfies Partial<Record<keyof typeof lsp.CodeActionKind, string>>;
export const MarkupKind = { Markdown: "markdown" } as const satisfies Partial<Record<keyof typeof lsp.MarkupKind, lsp.MarkupKind>>;
export const InlayHintKind = { Type: 1 } as const satisfies Partial<Record<keyof typeof lsp.InlayHintKind, lsp.InlayHintKind>>;
export const FoldingRangeKind = { Comment: "comment" } as const satisfies Partial<Record<keyof typeof lsp.FoldingRangeKind, lsp.FoldingRangeKind>>;
export const SymbolKind = { Key: 20, Event: 24 } as const satisfies Partial<Record<keyof typeof lsp.SymbolKind, lsp.SymbolKind>>;
export const TextDocumentSyncKind = { Incremental: 2 } as const satisfies Partial<Record<keyof typeof lsp.TextDocumentSyncKind, lsp.TextDocumentSyncKind>>;
export const CompletionItemKind = {
  Text: 1,
  Method: 2,
  Function: 3,
  Field: 5,
  Variable: 6,
  Class: 7,
  Interface: 8,
  Module: 9,
  Property: 10,
  Value: 12,
  Keyword: 14,
  Reference: 18,
  Constant: 21,
  Event: 23,
} as const satisfies Partial<Record<keyof typeof lsp.CompletionItemKind, lsp.CompletionItemKind>>;
export const InsertTextFormat = { Snippet: 2 } as const satisfies Partial<Record<keyof typeof lsp.InsertTextFormat, lsp.InsertTextFormat>>;
/** Of `window/logMessage`. */
export const MessageType = { Error: 1 } as const satisfies Partial<Record<keyof typeof lsp.MessageType, lsp.MessageType>>;
