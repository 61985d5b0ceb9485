// The commands of the palette, the code lenses and the editor's title bar.

import * as vscode from "vscode";
import { RUN, RUN_COMMAND, type RunResult, type ScenarioSelector, SHOW_COMMAND, STOP, type TraceParams } from "../server/protocol.ts";
import type { Client } from "./extension.ts";
import type { PagePanel } from "./panel.ts";
import { verdictLine } from "./status.ts";

const MESSAGE_MILLISECONDS = 6_000;

export function registerCommands(client: Client, panel: PagePanel): vscode.Disposable[] {
  const run = async (selector: ScenarioSelector | undefined): Promise<RunResult | undefined> => {
    if (selector === undefined) return undefined;
    const options = { location: vscode.ProgressLocation.Window, title: "Memfd: exploring every interleaving" };
    const result = await vscode.window.withProgress(options, (_progress, token) => client.sendRequest<RunResult>(RUN, selector, token));
    vscode.window.setStatusBarMessage(`Memfd: ${verdictLine(result.verdicts)}`, MESSAGE_MILLISECONDS);
    return result;
  };
  return [
    vscode.commands.registerCommand(RUN_COMMAND, (argument?: unknown) => run(selectorOf(argument))),
    vscode.commands.registerCommand("memfd.runAll", (argument?: unknown) => {
      const selector = selectorOf(argument);
      return run(selector === undefined ? undefined : { uri: selector.uri });
    }),
    vscode.commands.registerCommand(SHOW_COMMAND, (argument?: unknown) => {
      const selector = selectorOf(argument);
      return selector === undefined ? undefined : panel.show(selector);
    }),
    vscode.commands.registerCommand("memfd.stop", () => client.sendRequest(STOP, {})),
  ];
}

/** A lens or a code action names its scenario; a menu of the editor gives a Uri; the palette nothing: then the cursor decides. */
function selectorOf(argument: unknown): TraceParams | undefined {
  if (typeof argument === "object" && argument !== null && typeof (argument as ScenarioSelector).uri === "string") return argument as TraceParams;
  const editors = [vscode.window.activeTextEditor, ...vscode.window.visibleTextEditors].filter((editor) => editor?.document.languageId === "memfd");
  const wanted = argument instanceof vscode.Uri ? argument.toString() : undefined;
  const editor = wanted === undefined ? editors[0] : editors.find((candidate) => candidate?.document.uri.toString() === wanted);
  if (editor === undefined) return wanted === undefined ? undefined : { uri: wanted };
  const { line, character } = editor.selection.active;
  return { uri: editor.document.uri.toString(), position: { line, character } };
}
