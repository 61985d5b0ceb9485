// The extension, whatever host runs it: starts the language client that its entry made, then commands, status bar and panel.

import * as vscode from "vscode";
import type { BaseLanguageClient, LanguageClientOptions } from "vscode-languageclient";
import {
  EXPLAIN,
  type ExplainResult,
  type InitializationOptions,
  PROGRESS,
  type ProgressParams,
  READ_FILE,
  type ReadFileParams,
  type ReadFileResult,
  STATUS,
  type StatusParams,
} from "../server/protocol.ts";
import { type Client, LANGUAGE } from "./client.ts";
import { registerCommands } from "./commands.ts";
import { PagePanel } from "./panel.ts";
import { registerSamples } from "./samples.ts";
import { StatusBar } from "./status.ts";

const HELP_SCHEME = "memfd-help";
/** The server refuses larger imports too. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

export function clientOptions(readFile: boolean): LanguageClientOptions {
  const initializationOptions: InitializationOptions = { clientCommands: true, helpScheme: HELP_SCHEME, readFile };
  return { documentSelector: [{ language: LANGUAGE }], initializationOptions, outputChannelName: "Memfd" };
}

/** What `activate` hands to other extensions and to tests. */
export interface Api {
  /** Settles when the language server answers. */
  readonly ready: Promise<void>;
  /** What the status bar says of the active file; undefined while it says nothing. */
  status(): string | undefined;
}

export function activateWith(context: vscode.ExtensionContext, client: BaseLanguageClient): Api {
  const status = new StatusBar();
  const panel = new PagePanel(context.extensionUri, client);
  client.middleware.provideInlayHints = async (document, range, token, next) => [
    ...((await next(document, range, token)) ?? []),
    ...panel.hints(document, range),
  ];
  context.subscriptions.push(
    status,
    panel,
    client.onNotification(STATUS, (params: StatusParams) => {
      status.update(params);
      panel.statusChanged(params);
    }),
    client.onNotification(PROGRESS, (params: ProgressParams) => status.progress(params)),
    client.onRequest(READ_FILE, readFile),
    vscode.workspace.registerTextDocumentContentProvider(HELP_SCHEME, { provideTextDocumentContent: (uri) => explanation(client, uri) }),
    vscode.window.registerWebviewPanelSerializer(PagePanel.viewType, panel),
    ...registerCommands(client, panel),
    ...registerSamples(context.extensionUri),
  );
  const ready = client.start();
  ready.catch(
    (error) => void vscode.window.showErrorMessage(`Memfd: the language server did not start: ${error instanceof Error ? error.message : String(error)}`),
  );
  return { ready, status: () => status.text };
}

async function explanation(client: Client, uri: vscode.Uri): Promise<string> {
  const code = uri.path.replace(/^\//, "").replace(/\.md$/, "");
  const { markdown } = await client.sendRequest<ExplainResult>(EXPLAIN, { code });
  return markdown;
}

async function readFile({ uri }: ReadFileParams): Promise<ReadFileResult> {
  try {
    const file = vscode.Uri.parse(uri, true);
    const stat = await vscode.workspace.fs.stat(file);
    if ((stat.type & vscode.FileType.File) === 0 || stat.size > MAX_FILE_BYTES) return {};
    return { text: new TextDecoder().decode(await vscode.workspace.fs.readFile(file)) };
  } catch {
    return {};
  }
}
