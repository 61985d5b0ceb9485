// How one begins: the scenarios that ship, a new one, the walkthrough; and the mark of the panel's step in the text.

import assert from "node:assert/strict";
import * as vscode from "vscode";
import { NEW_SCENARIO, SAMPLES } from "../../src/client/samples-list.ts";
import { diagnostics, eventually, extension, open } from "./support.ts";

const labelOf = ({ label }: vscode.InlayHint): string => (typeof label === "string" ? label : label.map(({ value }) => value).join(""));

const hintsOf = async (document: vscode.TextDocument): Promise<vscode.InlayHint[]> => {
  const all = new vscode.Range(0, 0, document.lineCount, 0);
  return (await vscode.commands.executeCommand<vscode.InlayHint[]>("vscode.executeInlayHintProvider", document.uri, all)) ?? [];
};

describe("the first steps", () => {
  it("ships every scenario of the list", async () => {
    for (const { path } of SAMPLES) await vscode.workspace.fs.stat(vscode.Uri.joinPath(extension().extensionUri, "scenarios", path));
  });

  it("opens a sample where the extension has it, so that its imports are found", async () => {
    const editor = await vscode.commands.executeCommand<vscode.TextEditor>("memfd.openSample", "tdx/remove-accept-access.memfd");
    assert.equal(editor.document.languageId, "memfd");
    const hints = await eventually("results of the sample", async () => (await hintsOf(editor.document)).map(labelOf).some((label) => label.startsWith("✓")));
    assert.ok(hints);
    const wrong = vscode.languages.getDiagnostics(editor.document.uri).filter(({ severity }) => severity === vscode.DiagnosticSeverity.Error);
    assert.deepEqual(
      wrong.map(({ message }) => message),
      [],
    );
  });

  it("begins a new scenario that has answers at once", async () => {
    const editor = await vscode.commands.executeCommand<vscode.TextEditor>("memfd.newScenario");
    assert.equal(editor.document.getText(), NEW_SCENARIO);
    const labels = await eventually("results of the new scenario", async () => {
      const found = (await hintsOf(editor.document)).map(labelOf);
      return found.includes('= 1 "a" | 1 "\\000"') ? found : undefined;
    });
    assert.ok(labels.length >= 5, labels.join(", "));
  });

  it("names only commands that there are in the walkthrough", async () => {
    const [{ steps }] = extension().packageJSON.contributes.walkthroughs as { steps: { description: string; media: { markdown: string } }[] }[];
    const registered = new Set(await vscode.commands.getCommands(true));
    const named = steps.flatMap(({ description }) => [...description.matchAll(/\(command:([\w.]+)/g)].map(([, command]) => command));
    assert.ok(named.length >= steps.length, named.join(", "));
    assert.deepEqual(
      named.filter((command) => !registered.has(command)),
      [],
    );
    for (const { media } of steps) await vscode.workspace.fs.stat(vscode.Uri.joinPath(extension().extensionUri, media.markdown));
  });
});

describe("the panel's step in the text", () => {
  it("stands behind its line as a hint, which wraps with the line", async () => {
    const document = await open("series/v8-punch-window.memfd");
    await diagnostics(document);
    const at = document.positionAt(document.getText().indexOf("expect violation"));
    await vscode.commands.executeCommand("memfd.showPageTables", { uri: document.uri.toString(), position: { line: at.line, character: 0 } });
    const hint = await eventually("the hint of the step", async () => (await hintsOf(document)).find((each) => labelOf(each).startsWith("◂ ")), 20);
    assert.equal(labelOf(hint), "◂ truncate: page 0x1000 leaves the…");
    assert.equal(hint.position.character, document.lineAt(hint.position.line).text.length);
    assert.match(document.lineAt(hint.position.line).text, /@hole/);
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
    await open("series/v8-punch-window.memfd");
    await eventually("the mark is gone with its panel", async () => !(await hintsOf(document)).some((each) => labelOf(each).startsWith("◂ ")));
  });
});
