// `Export C Reproducer` and `Compare with This Machine's Kernel`, as a user starts them.

import assert from "node:assert/strict";
import * as vscode from "vscode";
import { eventually, lineOf, openText, retype } from "./support.ts";

const TEXT = 'kernel v8\n\nscenario "one" {\n  ram = memfd_create("ram", 0)\n  ftruncate(ram, 16K) = 0\n  odd = memfd_create("odd", 0x10)\n}\n';

const compared = (document: vscode.TextDocument): vscode.Diagnostic[] =>
  vscode.languages.getDiagnostics(document.uri).filter((each) => each.source === "memfd compare");

describe("C reproducer", () => {
  it("opens the scenario as an untitled C document", async () => {
    const document = await openText("export-c.memfd", TEXT);
    await vscode.commands.executeCommand("memfd.exportC");
    const made = await eventually("an untitled C document", () => vscode.workspace.textDocuments.find((each) => each.isUntitled && each.languageId === "c"));
    const text = made.getText();
    assert.match(text, /\/\* line 5: ftruncate\(ram, 16K\) = 0 \*\//);
    assert.match(text, /^int main\(void\)$/m);
    // What is not saved would ask before it closes.
    await vscode.window.showTextDocument(made);
    await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
    await vscode.window.showTextDocument(document);
  });

  it("compares with this machine's kernel, and takes its findings away with the next edit", async function () {
    if (vscode.env.uiKind === vscode.UIKind.Web && vscode.env.remoteName === undefined) this.skip();
    const document = await openText("compare.memfd", TEXT);
    const result = await vscode.commands.executeCommand<{ refusal?: string; summary?: string } | undefined>("memfd.compareMachine");
    assert.ok(result, "the workspace is trusted");
    if (result.refusal !== undefined) {
      console.log(`skipped: comparing: ${result.refusal}`);
      this.skip();
    }
    assert.match(result.summary ?? "", /agree/);
    const found = compared(document);
    // MFD_EXEC came with Linux 6.3; before, the kernel refuses the flag as the model does.
    for (const each of found) assert.equal(each.range.start.line, lineOf(document, "0x10"));
    await retype(document, `${TEXT}// edited\n`);
    await eventually("no finding of the comparison is left", () => compared(document).length === 0);
  });
});
