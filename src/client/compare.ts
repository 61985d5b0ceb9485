// `Export C Reproducer` and `Compare with This Machine's Kernel`. The second builds and runs a program, so it runs at a user's word only, in a trusted
// workspace only; where it differs stands as diagnostics until the text changes.

import * as vscode from "vscode";
import {
  COMPARE_MACHINE,
  COMPARE_MACHINE_COMMAND,
  type CompareMachineResult,
  EMIT_C,
  type EmitCResult,
  EXPORT_C_COMMAND,
  type ScenarioSelector,
} from "../server/protocol.ts";
import type { Client } from "./client.ts";

const SOURCE = "memfd compare";
const MESSAGE_MILLISECONDS = 10_000;

export function registerReproducer(client: Client, selectorOf: (argument: unknown) => ScenarioSelector | undefined): vscode.Disposable[] {
  const found = vscode.languages.createDiagnosticCollection(SOURCE);
  return [
    found,
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      if (contentChanges.length > 0) found.delete(document.uri);
    }),
    vscode.workspace.onDidCloseTextDocument(({ uri }) => found.delete(uri)),
    vscode.commands.registerCommand(EXPORT_C_COMMAND, (argument?: unknown) => exportC(client, selectorOf(argument))),
    vscode.commands.registerCommand(COMPARE_MACHINE_COMMAND, (argument?: unknown) => compare(client, selectorOf(argument), found)),
  ];
}

async function exportC(client: Client, selector: ScenarioSelector | undefined): Promise<void> {
  if (selector === undefined) return;
  const options = { location: vscode.ProgressLocation.Window, title: "Memfd: writing the C reproducer" };
  const { text, refusal } = await vscode.window.withProgress(options, (_progress, token) => client.sendRequest<EmitCResult>(EMIT_C, selector, token));
  if (text === undefined) {
    void vscode.window.showWarningMessage(`Memfd: ${refusal ?? "There is nothing to export."}`);
    return;
  }
  const document = await vscode.workspace.openTextDocument({ language: "c", content: text });
  await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside });
}

async function compare(client: Client, selector: ScenarioSelector | undefined, found: vscode.DiagnosticCollection): Promise<CompareMachineResult | undefined> {
  if (selector === undefined) return undefined;
  if (!vscode.workspace.isTrusted) {
    void vscode.window.showWarningMessage("Memfd: comparing builds and runs a program on this machine; it needs a trusted workspace.");
    return undefined;
  }
  const options = { location: vscode.ProgressLocation.Notification, cancellable: true, title: "Memfd: running the scenario on this machine's kernel" };
  const result = await vscode.window.withProgress(options, (_progress, token) => client.sendRequest<CompareMachineResult>(COMPARE_MACHINE, selector, token));
  if (result.refusal !== undefined) {
    void vscode.window.showWarningMessage(`Memfd: ${result.refusal}`);
    return result;
  }
  show(result, selector.uri, found);
  void vscode.window.setStatusBarMessage(`Memfd: ${result.summary}`, MESSAGE_MILLISECONDS);
  return result;
}

function show({ differences = [], heading, version }: CompareMachineResult, uri: string, found: vscode.DiagnosticCollection): void {
  const target = vscode.Uri.parse(uri, true);
  found.delete(target);
  const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === target.toString());
  // The answer is about a text that is no more.
  if (open !== undefined && version !== undefined && open.version !== version) return;
  const byFile = new Map<string, vscode.Diagnostic[]>();
  for (const { uri: file, start, end, known, message } of differences) {
    const range = new vscode.Range(start.line, start.character, end.line, end.character);
    const severity = known ? vscode.DiagnosticSeverity.Information : vscode.DiagnosticSeverity.Warning;
    const diagnostic = new vscode.Diagnostic(range, `${message} ${heading ?? ""}`.trim(), severity);
    diagnostic.source = SOURCE;
    byFile.set(file, [...(byFile.get(file) ?? []), diagnostic]);
  }
  for (const [file, diagnostics] of byFile) found.set(vscode.Uri.parse(file, true), diagnostics);
}
