// What the editor shows for a scenario: diagnostics on their lines, results inline, hover and code lens; all through the API, as a user gets them.

import assert from "node:assert/strict";
import * as vscode from "vscode";
import { codeOf, diagnostics, eventually, hoverAt, inlayHints, lineOf, open, openText, retype } from "./support.ts";

const scenario = (body: string): string => `kernel v8\n\nscenario "one" {\n${body}\n}\n`;
const CREATE = '  ram = memfd_create("guest-ram", MFD_INACCESSIBLE)\n';

const clean = (document: vscode.TextDocument, severity: vscode.DiagnosticSeverity): Promise<true> =>
  eventually("no such diagnostic is left", () => vscode.languages.getDiagnostics(document.uri).every((each) => each.severity > severity));

describe("language service", () => {
  it("says on its own line that a call does not exist, and takes it back when it is mended", async () => {
    const right = scenario(`${CREATE}  ftruncate(ram, 16K) = 0`);
    const wrong = right.replace("ftruncate", "ftruncatte");
    const document = await openText("unknown-call.memfd", wrong);
    const [first] = await diagnostics(document, (each) => each.severity === vscode.DiagnosticSeverity.Error);
    assert.equal(first.range.start.line, lineOf(document, "ftruncatte"));
    assert.match(codeOf(first), /^MEMFD2\d{3}$/);
    await retype(document, right);
    await clean(document, vscode.DiagnosticSeverity.Warning);
  });

  it("marks a broken expectation on the call's line", async () => {
    const document = await openText("broken-expectation.memfd", scenario(`${CREATE}  ftruncate(ram, 16K) = -1 EPERM`));
    const [first] = await diagnostics(document, (each) => each.severity === vscode.DiagnosticSeverity.Error);
    assert.equal(first.range.start.line, lineOf(document, "ftruncate"));
    assert.match(codeOf(first), /^MEMFD3\d{3}$/);
    await retype(document, scenario(`${CREATE}  ftruncate(ram, 16K) = 0`));
    await clean(document, vscode.DiagnosticSeverity.Warning);
  });

  it("keeps one broken line to itself: the other scenario of the file still answers", async () => {
    const other = `scenario "two" {\n${CREATE}  fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x800, 4K) = 0\n}\n`;
    const document = await openText("broken-line.memfd", scenario(`${CREATE}  ftruncate(ram,, 16K) = 0\n  close(ram) = 0`) + other);
    const found = await diagnostics(document, (each) => codeOf(each) === "MEMFD3001");
    const lines = new Set(found.filter((each) => each.severity === vscode.DiagnosticSeverity.Error).map((each) => each.range.start.line));
    assert.deepEqual([...lines].sort(), [lineOf(document, "ftruncate"), lineOf(document, "fallocate")].sort());
  });

  it("shows the result of a call inline, as the set over all interleavings", async () => {
    const body = `${CREATE}  ftruncate(ram, 16K)\n  fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x800, 4K)`;
    const document = await openText("hints.memfd", scenario(body));
    const hints = await eventually("a hint with EINVAL", async () => {
      const all = await inlayHints(document);
      return all.some(({ text }) => text.includes("EINVAL")) && all;
    });
    assert.ok(hints.some(({ line, text }) => line === lineOf(document, "fallocate") && text.includes("EINVAL")));
  });

  it("shows prototype and help of a call on hover", async () => {
    const document = await openText("hover.memfd", scenario(`${CREATE}  ftruncate(ram, 16K) = 0`));
    assert.match(await hoverAt(document, "ftruncate"), /ftruncate\(/);
  });

  it("copies the story of the scenario at the cursor", async () => {
    const document = await openText("copy-story.memfd", scenario(`${CREATE}  ftruncate(ram, 16K) = -1 EPERM`));
    await diagnostics(document, (each) => codeOf(each) === "MEMFD3001");
    await vscode.env.clipboard.writeText("");
    const editor = vscode.window.activeTextEditor;
    assert.ok(editor);
    const line = lineOf(document, "ftruncate");
    editor.selection = new vscode.Selection(line, 2, line, 2);
    const answered = await vscode.commands.executeCommand<string>("memfd.copyStory");
    const copied = await vscode.env.clipboard.readText();
    assert.equal(copied, answered);
    assert.match(copied, /^"one"\nKernel v8: /);
    assert.match(copied, /ftruncate\(ram, 16K\) \(line \d+\) answers 0, which its line does not expect/);
    assert.ok(copied.split("\n").every((each) => each.length <= 80));
  });

  it("puts Run and Show page tables over each scenario", async () => {
    const document = await openText("lenses.memfd", `${scenario(CREATE)}${scenario(CREATE).replace("kernel v8", "").replace('"one"', '"two"')}`);
    const wanted = [lineOf(document, 'scenario "one"'), lineOf(document, 'scenario "two"')];
    const lenses = await eventually("code lenses", async () => {
      const all = await vscode.commands.executeCommand<vscode.CodeLens[]>("vscode.executeCodeLensProvider", document.uri, 20);
      return all.length >= 2 && all;
    });
    for (const line of wanted) {
      const titles = lenses.filter((lens) => lens.range.start.line === line).map((lens) => lens.command?.title ?? "");
      assert.ok(titles.some((title) => /Run/.test(title)) && titles.some((title) => /page tables/i.test(title)), `line ${line + 1}: ${titles.join(", ")}`);
    }
  });
});

describe("the two mails' scenarios", () => {
  const informationOn = (document: vscode.TextDocument, text: string, invariant: string) =>
    diagnostics(document, (each) => {
      const there = each.range.start.line === lineOf(document, text) && each.message.includes(invariant);
      return there && each.severity === vscode.DiagnosticSeverity.Information;
    });

  it("v8: the punch that leaves a stale mapping, on the step's line with its story", async () => {
    const document = await open("series/v8-punch-window.memfd");
    const found = await informationOn(document, "@hole", "no-stale-mapping");
    const violation = found.find((each) => each.range.start.line === lineOf(document, "@hole"));
    assert.match(codeOf(violation!), /^MEMFD4\d{3}$/);
    assert.ok(violation!.relatedInformation?.length, "the story is missing");
    assert.deepEqual(
      found.filter((each) => each.severity === vscode.DiagnosticSeverity.Error),
      [],
    );
  });

  it("v4: the seal that is never set, on the memfd_create line", async () => {
    const document = await open("series/v4-seal-mask.memfd");
    await diagnostics(document, (each) => /^MEMFD4/.test(codeOf(each)) && document.lineAt(each.range.start.line).text.includes("memfd_create"));
  });
});
