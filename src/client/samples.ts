// `New Scenario`, and `Open Sample Scenario…`: the scenarios that ship with the extension. They are read here, never written: a copy is one's own.

import * as vscode from "vscode";
import { LANGUAGE } from "./client.ts";
import { NEW_SCENARIO, SAMPLES } from "./samples-list.ts";

interface Item extends vscode.QuickPickItem {
  readonly path?: string;
}

/** `path`: what a link, a keybinding or a test asks for. */
export function registerSamples(extension: vscode.Uri): vscode.Disposable[] {
  const root = vscode.Uri.joinPath(extension, "scenarios");
  return [
    vscode.commands.registerCommand("memfd.newScenario", async () => {
      const document = await vscode.workspace.openTextDocument({ language: LANGUAGE, content: NEW_SCENARIO });
      return vscode.window.showTextDocument(document);
    }),
    vscode.commands.registerCommand("memfd.openSample", async (path?: unknown) => {
      const chosen = typeof path === "string" ? path : await choose(root);
      return chosen === undefined ? undefined : open(root, chosen);
    }),
  ];
}

async function choose(root: vscode.Uri): Promise<string | undefined> {
  const name = (path: string): string => path.slice(path.lastIndexOf("/") + 1).replace(/\.memfd$/, "");
  const first = SAMPLES.map(({ path, about }): Item => ({ label: name(path), description: path.slice(0, path.indexOf("/")), detail: about, path }));
  const known = new Set(SAMPLES.map(({ path }) => path));
  const rest = (await allBelow(root)).filter((path) => !known.has(path));
  const others = rest.map((path): Item => ({ label: name(path), description: path.slice(0, path.indexOf("/")), path }));
  const separator: Item = { label: "all others", kind: vscode.QuickPickItemKind.Separator };
  const items = others.length === 0 ? first : [...first, separator, ...others];
  const options = { title: "Open Sample Scenario", placeHolder: "A sample opens read-only", matchOnDescription: true, matchOnDetail: true };
  return (await vscode.window.showQuickPick(items, options))?.path;
}

/** Of folders with scenarios in them; empty where the extension's files cannot be listed (a browser). */
async function allBelow(root: vscode.Uri): Promise<string[]> {
  try {
    const folders = (await vscode.workspace.fs.readDirectory(root)).filter(([, type]) => type === vscode.FileType.Directory).map(([folder]) => folder);
    const listed = await Promise.all(
      folders.sort().map(async (folder) => {
        const files = await vscode.workspace.fs.readDirectory(vscode.Uri.joinPath(root, folder));
        return files.flatMap(([file]) => (file.endsWith(".memfd") ? [`${folder}/${file}`] : [])).sort();
      }),
    );
    return listed.flat();
  } catch {
    return [];
  }
}

async function open(root: vscode.Uri, path: string): Promise<vscode.TextEditor | undefined> {
  try {
    const document = await vscode.workspace.openTextDocument(vscode.Uri.joinPath(root, path));
    const editor = await vscode.window.showTextDocument(document, { preview: false });
    await vscode.commands.executeCommand("workbench.action.files.setActiveEditorReadonlyInSession");
    return editor;
  } catch (error) {
    void vscode.window.showWarningMessage(`Memfd: the sample cannot be opened: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
