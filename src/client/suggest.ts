// `Memfd: Suggest an Order`: asks the server, shows what was verified, and writes the one that is chosen into the text.

import * as vscode from "vscode";
import { counted } from "../check/extent.ts";
import { type ScenarioSelector, SUGGEST, type SuggestedChange, type SuggestResult } from "../server/protocol.ts";
import type { Client } from "./client.ts";

type Suggested = Exclude<SuggestResult, { refusal: string }>;

interface Item extends vscode.QuickPickItem {
  readonly change?: SuggestedChange;
}

const ICON = { order: "list-ordered", steps: "arrow-swap", feature: "settings", "steps+feature": "arrow-swap" } as const;
const KIND = { order: "order in the scenario", steps: "another order of steps", feature: "another feature", "steps+feature": "steps and features" } as const;
const COPY = "Copy What Was Tried";

/** Answers the change that was written, for tests and keybindings. */
export async function suggestOrder(client: Client, selector: ScenarioSelector): Promise<SuggestedChange | undefined> {
  const options = { location: vscode.ProgressLocation.Notification, title: "Memfd: which order saves it?", cancellable: true };
  const result = await vscode.window.withProgress(options, (_progress, token) => client.sendRequest<SuggestResult>(SUGGEST, selector, token));
  if ("refusal" in result) {
    if (result.refusal !== "Cancelled.") void vscode.window.showInformationMessage(`Memfd: ${result.refusal}`);
    return undefined;
  }
  if (result.changes.length === 0) {
    const chosen = await vscode.window.showInformationMessage(`Memfd: ${result.notes.join("; ")}.`, COPY);
    if (chosen === COPY) await vscode.env.clipboard.writeText(result.text);
    return undefined;
  }
  const change = await choose(result);
  if (change !== undefined) await write(selector.uri, result, change);
  return change;
}

async function choose(result: Suggested): Promise<SuggestedChange | undefined> {
  const items = result.changes.map((change): Item => {
    const leaves = change.remains.length === 0 ? "" : `; leaves ${change.remains.join(", ")}`;
    return {
      label: `$(${ICON[change.kind]}) ${change.title}`,
      description: change.edits === undefined ? `${KIND[change.kind]}, to be copied` : KIND[change.kind],
      detail: `${change.meaning}. Verified: ${counted(change.states, "state")}, every interleaving and every invariant${leaves}.`,
      change,
    };
  });
  const copy: Item = { label: `$(copy) ${COPY}`, detail: result.notes.length === 0 ? undefined : `${result.notes.join("; ")}.` };
  const separator: Item = { label: "", kind: vscode.QuickPickItemKind.Separator };
  const title = `What saves "${result.scenario}" under ${result.kernel}?`;
  const item = await vscode.window.showQuickPick([...items, separator, copy], {
    title,
    matchOnDetail: true,
    placeHolder: "Enter writes the change into the text, or copies it where it says so",
  });
  if (item === copy) await vscode.env.clipboard.writeText(result.text);
  return item?.change;
}

async function write(uri: string, { version }: Suggested, change: SuggestedChange): Promise<void> {
  const document = vscode.workspace.textDocuments.find((candidate) => candidate.uri.toString() === vscode.Uri.parse(uri).toString());
  const fits = change.edits !== undefined && document?.version === version;
  if (!fits) {
    await vscode.env.clipboard.writeText(change.text);
    const why = change.edits === undefined ? "The text cannot be changed so by itself" : "The text has changed since";
    void vscode.window.showInformationMessage(`Memfd: ${why}; the change is on the clipboard.`);
    return;
  }
  const edit = new vscode.WorkspaceEdit();
  for (const [file, edits] of Object.entries(change.edits ?? {})) {
    const texts = edits.map(({ range, newText }) => {
      const { start, end } = range;
      return vscode.TextEdit.replace(new vscode.Range(start.line, start.character, end.line, end.character), newText);
    });
    edit.set(vscode.Uri.parse(file), texts);
  }
  await vscode.workspace.applyEdit(edit);
}
