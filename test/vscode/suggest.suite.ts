// `Suggest an Order` as a user starts it: from the command to the change in the text, and the ways out.

import assert from "node:assert/strict";
import * as vscode from "vscode";
import { GUEST } from "../check/punch.ts";
import { codeOf, diagnostics, eventually, lineOf, openText } from "./support.ts";

const SETUP = `kernel v8
kernel v8-pages extends v8 { notifier_units = pages }
setup guest {
${GUEST}}
`;
const PUNCH = `scenario "punch" {
  kernel v8-pages
  check no-stale-mapping
  use guest
  parallel {
    vmm   { fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) = 0 }
    vcpu0 { load(0x1000) = ok }
  }
}
`;
const QUIET = 'scenario "quiet" {\n  use guest\n}\n';

interface Change {
  readonly kind: string;
  readonly title: string;
}

/** The command at a text, and then a command of the list that it opens, again and again until the first one is done. */
async function suggest(document: vscode.TextDocument, at: string, answer: string): Promise<Change | undefined> {
  const editor = await vscode.window.showTextDocument(document);
  const line = lineOf(document, at);
  editor.selection = new vscode.Selection(line, 2, line, 2);
  let settled: { readonly change: Change | undefined } | undefined;
  const running = vscode.commands.executeCommand<Change | undefined>("memfd.suggestOrder").then((change) => {
    settled = { change };
  });
  const done = eventually(
    "the command is done",
    async () => {
      await vscode.commands.executeCommand(answer);
      return settled;
    },
    25,
  );
  await Promise.all([running, done]);
  return settled?.change;
}

const failing = (document: vscode.TextDocument): boolean =>
  vscode.languages.getDiagnostics(document.uri).some((each) => codeOf(each).startsWith("MEMFD4") && each.severity === vscode.DiagnosticSeverity.Error);

describe("suggested orders", () => {
  it("writes the chosen change into the text, and the violation is gone", async () => {
    const document = await openText("suggest.memfd", SETUP + PUNCH);
    await diagnostics(document, (each) => codeOf(each).startsWith("MEMFD4") && each.severity === vscode.DiagnosticSeverity.Error);
    const change = await suggest(document, "fallocate(ram, FALLOC", "workbench.action.acceptSelectedQuickOpenItem");
    assert.equal(change?.kind, "steps");
    assert.match(document.getText(), /fallocate\.punch_hole = [\w, \n]*invalidate_begin, truncate,\s+invalidate_end/);
    await eventually("the violation is gone", () => !failing(document));
    const { verdicts } = await vscode.commands.executeCommand<{ verdicts: { state: string }[] }>("memfd.runAll");
    assert.deepEqual(
      verdicts.map(({ state }) => state),
      ["pass"],
    );
  });

  it("leaves the text alone when the list is closed", async () => {
    const document = await openText("suggest-closed.memfd", SETUP + PUNCH);
    await diagnostics(document, (each) => codeOf(each).startsWith("MEMFD4"));
    assert.equal(await suggest(document, "fallocate(ram, FALLOC", "workbench.action.closeQuickOpen"), undefined);
    assert.equal(document.getText(), SETUP + PUNCH);
    assert.ok(failing(document));
  });

  it("has nothing to offer where nothing breaks", async () => {
    const document = await openText("suggest-quiet.memfd", SETUP + QUIET);
    assert.equal(await suggest(document, 'scenario "quiet"', "workbench.action.acceptSelectedQuickOpenItem"), undefined);
    assert.equal(document.getText(), SETUP + QUIET);
  });
});
