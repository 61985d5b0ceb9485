// What the suites inside VS Code share: waiting for an answer, opening a scenario, reading what the editor shows.

import assert from "node:assert/strict";
import * as vscode from "vscode";

export const EXTENSION_ID = "memfd.memfd";

export function extension(): vscode.Extension<unknown> {
  const found = vscode.extensions.getExtension(EXTENSION_ID);
  assert.ok(found, `${EXTENSION_ID} is not among ${vscode.extensions.all.length} extensions`);
  return found;
}

/** Asks until the answer is there; fails with what was seen last. */
export async function eventually<T>(what: string, ask: () => T | undefined | false | PromiseLike<T | undefined | false>, seconds = 15): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) assert.fail(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function workspaceFolder(): vscode.Uri {
  const folder = vscode.workspace.workspaceFolders?.[0];
  assert.ok(folder, "no folder is open");
  return folder.uri;
}

/** Opens a file of the workspace folder in the editor. */
export async function open(path: string): Promise<vscode.TextDocument> {
  const document = await vscode.workspace.openTextDocument(vscode.Uri.joinPath(workspaceFolder(), path));
  await vscode.window.showTextDocument(document);
  return document;
}

/** Writes a new scenario into the workspace folder and opens it. */
export async function openText(name: string, text: string): Promise<vscode.TextDocument> {
  await vscode.workspace.fs.writeFile(vscode.Uri.joinPath(workspaceFolder(), name), new TextEncoder().encode(text));
  return open(name);
}

/** Replaces the whole text, as typing does. */
export async function retype(document: vscode.TextDocument, text: string): Promise<void> {
  const edit = new vscode.WorkspaceEdit();
  edit.replace(document.uri, new vscode.Range(0, 0, document.lineCount, 0), text);
  assert.ok(await vscode.workspace.applyEdit(edit));
}

export const codeOf = (diagnostic: vscode.Diagnostic): string =>
  String(typeof diagnostic.code === "object" && diagnostic.code !== null ? diagnostic.code.value : diagnostic.code);

/** Our diagnostics of a document, as soon as one of them satisfies `wanted`. */
export function diagnostics(document: vscode.TextDocument, wanted: (each: vscode.Diagnostic) => boolean = () => true): Promise<vscode.Diagnostic[]> {
  return eventually(`diagnostics of ${document.fileName}`, () => {
    const own = vscode.languages.getDiagnostics(document.uri).filter((each) => /^MEMFD\d{4}$/.test(codeOf(each)));
    return own.some(wanted) && own;
  });
}

/** The line (from 0) on which a text first stands. */
export function lineOf(document: vscode.TextDocument, text: string): number {
  const at = document.getText().indexOf(text);
  assert.ok(at >= 0, `${document.fileName} does not hold ${text}`);
  return document.positionAt(at).line;
}

const labelText = (label: vscode.InlayHint["label"]): string => (typeof label === "string" ? label : label.map((part) => part.value).join(""));

/** Inlay hints as `line: text`, once there is one. */
export function inlayHints(document: vscode.TextDocument): Promise<{ line: number; text: string }[]> {
  const range = new vscode.Range(0, 0, document.lineCount, 0);
  return eventually(`inlay hints of ${document.fileName}`, async () => {
    const hints = await vscode.commands.executeCommand<vscode.InlayHint[]>("vscode.executeInlayHintProvider", document.uri, range);
    return hints.length > 0 && hints.map((hint) => ({ line: hint.position.line, text: labelText(hint.label).trim() }));
  });
}

/** The hover's Markdown at a text. */
export async function hoverAt(document: vscode.TextDocument, text: string): Promise<string> {
  const position = document.positionAt(document.getText().indexOf(text) + 1);
  return eventually(`a hover at ${text}`, async () => {
    const hovers = await vscode.commands.executeCommand<vscode.Hover[]>("vscode.executeHoverProvider", document.uri, position);
    return hovers.flatMap((hover) => hover.contents.map((content) => (typeof content === "string" ? content : content.value))).join("\n");
  });
}
