// Entry of the extension in a Node host: the server is a process of its own and speaks LSP over stdio, as with any other editor.

import * as vscode from "vscode";
import { LanguageClient, TransportKind } from "vscode-languageclient/node";
import { type Api, activateWith, clientOptions } from "./extension.ts";

let client: LanguageClient | undefined;

export function activate(context: vscode.ExtensionContext): Api {
  const module = vscode.Uri.joinPath(context.extensionUri, "out", "server.js").fsPath;
  const server = { module, transport: TransportKind.stdio };
  client = new LanguageClient("memfd", "Memfd", { run: server, debug: server }, clientOptions(true));
  return activateWith(context, client);
}

export function deactivate(): Promise<void> | undefined {
  return client?.stop();
}
