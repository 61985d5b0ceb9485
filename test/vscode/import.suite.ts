// `Import Trace…` as a keybinding or another extension calls it: a log of the workspace becomes an untitled scenario that the server reads at once.

import assert from "node:assert/strict";
import * as vscode from "vscode";
import { eventually, workspaceFolder } from "./support.ts";

const LOG =
  'memfd_create("ram", MFD_ALLOW_SEALING) = 3\nftruncate(3, 16384) = 0\nfcntl(3, F_ADD_SEALS, F_SEAL_SHRINK) = 0\nftruncate(3, 0) = -1 EPERM (Operation not permitted)\n';

describe("import of a trace", () => {
  const write = async (name: string, text: string): Promise<vscode.Uri> => {
    const uri = vscode.Uri.joinPath(workspaceFolder(), name);
    await vscode.workspace.fs.writeFile(uri, new TextEncoder().encode(text));
    return uri;
  };

  it("opens the run as an untitled scenario, and its results hold", async () => {
    const uri = await write("run.strace", LOG);
    await vscode.commands.executeCommand("memfd.importTrace", { uri, kernel: "v8" });
    const made = await eventually("an untitled scenario", () => vscode.workspace.textDocuments.find((each) => each.isUntitled && each.languageId === "memfd"));
    assert.match(made.getText(), /kernel v8\n\nscenario "an imported trace" \{\n {2}ram = memfd_create\("ram", MFD_ALLOW_SEALING\) = ok\n/);
    assert.match(made.getText(), /\n {2}ftruncate\(ram, 0\) = -EPERM\n/);
    const result = await vscode.commands.executeCommand<{ verdicts: { state: string }[] }>("memfd.runScenario", { uri: made.uri.toString() });
    assert.deepEqual(
      result.verdicts.map(({ state }) => state),
      ["pass"],
    );
    // What is not saved would ask before it closes.
    await vscode.window.showTextDocument(made);
    await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
  });

  it("opens nothing for a text that is no trace", async () => {
    const uri = await write("notes.txt", "nothing of a trace\n");
    await vscode.commands.executeCommand("memfd.importTrace", uri);
    assert.equal(
      vscode.workspace.textDocuments.some((each) => each.isUntitled && each.languageId === "memfd"),
      false,
    );
  });
});
