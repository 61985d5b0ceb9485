// The commands of the palette, the code lenses and the editor's title bar.

import * as vscode from "vscode";
import {
  COMPARE_KERNELS_COMMAND,
  COPY_STORY_COMMAND,
  RUN,
  RUN_COMMAND,
  type RunResult,
  type ScenarioSelector,
  SHOW_COMMAND,
  STOP,
  SUGGEST_COMMAND,
  type TraceParams,
} from "../server/protocol.ts";
import type { Client } from "./client.ts";
import { registerReproducer } from "./compare.ts";
import { copyStory } from "./copy-story.ts";
import { registerImport } from "./import.ts";
import type { PagePanel } from "./panel.ts";
import { verdictLine } from "./status.ts";
import { suggestOrder } from "./suggest.ts";

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
    vscode.commands.registerCommand(RUN_COMMAND, (argument?: unknown) => run(needed(argument))),
    vscode.commands.registerCommand("memfd.runAll", (argument?: unknown) => {
      const selector = needed(argument);
      return run(selector === undefined ? undefined : { uri: selector.uri });
    }),
    vscode.commands.registerCommand(SHOW_COMMAND, (argument?: unknown) => {
      const selector = needed(argument);
      return selector === undefined ? undefined : panel.show(selector);
    }),
    // With the panel in front and no scenario under the cursor it is the story that the panel shows.
    vscode.commands.registerCommand(COPY_STORY_COMMAND, (argument?: unknown) =>
      copyStory(client, argument === undefined && panel.isActive ? panel.selector : (selectorOf(argument) ?? panel.selector)),
    ),
    vscode.commands.registerCommand(SUGGEST_COMMAND, (argument?: unknown) => {
      const selector = needed(argument);
      return selector === undefined ? undefined : suggestOrder(client, selector);
    }),
    vscode.commands.registerCommand(COMPARE_KERNELS_COMMAND, (argument?: unknown) => {
      const selector = needed(argument);
      if (selector === undefined) return undefined;
      const options = { location: vscode.ProgressLocation.Window, title: "Memfd: running under every kernel" };
      return vscode.window.withProgress(options, () => panel.compareKernels({ ...selector, kernel: undefined }));
    }),
    ...registerReproducer(client, needed),
    ...registerImport(client),
    vscode.commands.registerCommand("memfd.stop", () => client.sendRequest(STOP, {})),
  ];
}

/** The same for a command that needs one: where there is none, that is said. */
function needed(argument: unknown): TraceParams | undefined {
  const selector = selectorOf(argument);
  if (selector === undefined) void vscode.window.showInformationMessage("Memfd: open a .memfd file and put the cursor into a scenario.");
  return selector;
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
