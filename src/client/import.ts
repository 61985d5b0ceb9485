// `Memfd: Import Trace…`: a log of strace or ftrace as a scenario in a new editor. The file is read here, the server converts it: both work in a browser.

import * as vscode from "vscode";
import { IMPORT, IMPORT_COMMAND, type ImportParams, type ImportResult } from "../server/protocol.ts";
import { type Client, LANGUAGE } from "./client.ts";

/** More is not sent to the server: no scenario of that length is read by anybody. */
const MAX_BYTES = 32 * 1024 * 1024;

/** What a keybinding or a test may give: which file, and under which kernel. */
interface Argument {
  readonly uri?: vscode.Uri;
  readonly kernel?: string;
}

export function registerImport(client: Client): vscode.Disposable[] {
  return [vscode.commands.registerCommand(IMPORT_COMMAND, (argument?: unknown) => importTrace(client, argumentOf(argument)))];
}

function argumentOf(argument: unknown): Argument {
  if (argument instanceof vscode.Uri) return { uri: argument };
  return typeof argument === "object" && argument !== null ? (argument as Argument) : {};
}

/** Answers the document that it opened; undefined where there is nothing to import, which is said. */
async function importTrace(client: Client, { uri, kernel }: Argument): Promise<vscode.TextDocument | undefined> {
  const file = uri ?? (await chosen());
  if (file === undefined) return undefined;
  const result = await converted(client, file, kernel);
  if (result.text === undefined) {
    if (result.refusal !== "Cancelled.") void vscode.window.showInformationMessage(`Memfd: ${result.refusal ?? "there is nothing to import."}`);
    return undefined;
  }
  const document = await vscode.workspace.openTextDocument({ language: LANGUAGE, content: result.text });
  await vscode.window.showTextDocument(document);
  return document;
}

async function chosen(): Promise<vscode.Uri | undefined> {
  const picked = await vscode.window.showOpenDialog({
    title: "Import a log of strace, trace-cmd report or the kernel's trace file",
    openLabel: "Import",
    canSelectMany: false,
  });
  return picked?.[0];
}

async function converted(client: Client, file: vscode.Uri, kernel: string | undefined): Promise<ImportResult> {
  let bytes: Uint8Array;
  try {
    bytes = await vscode.workspace.fs.readFile(file);
  } catch (error) {
    return { refusal: `the file cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
  const cut = bytes.length > MAX_BYTES;
  const text = new TextDecoder().decode(cut ? bytes.subarray(0, MAX_BYTES) : bytes);
  const params: ImportParams = { text, cut, ...(kernel === undefined ? {} : { kernel }) };
  const options = { location: vscode.ProgressLocation.Notification, title: "Memfd: importing a trace", cancellable: true };
  return vscode.window.withProgress(options, (_progress, token) => client.sendRequest<ImportResult>(IMPORT, params, token));
}
