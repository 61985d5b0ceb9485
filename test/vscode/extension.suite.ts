// The extension as VS Code sees it: where it comes from, when it activates, which commands it brings.

import assert from "node:assert/strict";
import { sep } from "node:path";
import * as vscode from "vscode";
import { eventually, extension, openText } from "./support.ts";

const EMPTY = 'kernel v8\n\nscenario "nothing happens" {\n  fd = memfd_create("ram", MFD_CLOEXEC)\n}\n';

describe("extension", () => {
  it("comes from where the harness says", () => {
    const project = process.env.MEMFD_PROJECT;
    if (!project) return;
    const inside = extension().extensionPath.startsWith(project + sep);
    const installed = extension().extensionPath.includes(`${sep}ext${sep}`);
    if (process.env.MEMFD_SUITE_EXTENSION === "vsix") assert.ok(installed, extension().extensionPath);
    else assert.ok(extension().extensionPath === project || (inside && !installed), extension().extensionPath);
  });

  it("activates on a .memfd file and not before", async () => {
    assert.equal(extension().isActive, false);
    const document = await openText("activation.memfd", EMPTY);
    assert.equal(document.languageId, "memfd");
    await eventually("the extension is active", () => extension().isActive);
  });

  it("registers every command that its manifest names", async () => {
    const named: { command: string; title: string }[] = extension().packageJSON.contributes.commands;
    assert.ok(named.length >= 4);
    const registered = new Set(await vscode.commands.getCommands(true));
    assert.deepEqual(
      named.filter(({ command }) => !registered.has(command)),
      [],
    );
  });

  it("offers the four commands of the palette by name", () => {
    const titles = extension().packageJSON.contributes.commands.map(({ category, title }: { category: string; title: string }) => `${category}: ${title}`);
    for (const wanted of ["Memfd: Run Scenario", "Memfd: Run All Scenarios in File", "Memfd: Show Page Tables", "Memfd: Stop"]) {
      assert.ok(titles.includes(wanted), `${wanted} is not among ${titles.join(", ")}`);
    }
  });
});
