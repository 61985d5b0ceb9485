// Entry of the extension in a browser host: the server is a web worker, and gets the text of the model worker that it starts inside itself.

import * as vscode from "vscode";
import { BrowserMessageReader, BrowserMessageWriter, LanguageClient } from "vscode-languageclient/browser";
import { type Api, activateWith, clientOptions } from "./extension.ts";

let client: LanguageClient | undefined;

export function activate(context: vscode.ExtensionContext): Api {
  const file = (name: string) => vscode.Uri.joinPath(context.extensionUri, "out", name);
  const start = async () => {
    const source = new TextDecoder().decode(await vscode.workspace.fs.readFile(file("model-worker.browser.js")));
    const worker = new Worker(file("server.browser.js").toString(true));
    worker.postMessage({ modelWorker: source });
    // A bare worker is not recognised by the client where the host wraps `Worker`; a pair of reader and writer always is.
    return { reader: new BrowserMessageReader(worker), writer: new BrowserMessageWriter(worker) };
  };
  client = new LanguageClient("memfd", "Memfd", start, clientOptions(true));
  return activateWith(context, client);
}

export function deactivate(): Promise<void> | undefined {
  return client?.stop();
}
