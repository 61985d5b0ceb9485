// What a person sees and presses in a real VS Code: squiggles, palette, the panel's rows and its keyboard, colours in every theme, Restricted Mode.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { openWorkbench, type Workbench } from "../host/workbench.mjs";

const WINDOW = "series/v8-punch-window.memfd";
const PANEL = "Memfd: Show Page Tables";
const THEMES = ["light", "dark", "high-contrast"] as const;
const VIEWS = ["iframe.webview.ready", "#active-frame", "main.panel"];

const cells = (workbench: Workbench) => workbench.webview().getByRole("grid", { name: "Pages across all owners" });
const stepText = (workbench: Workbench) => workbench.webview().getByRole("slider", { name: "Step" }).getAttribute("aria-valuetext");

/** "step 3 of 11" as numbers. */
async function step(workbench: Workbench): Promise<{ at: number; last: number }> {
  const [at, last] = (await stepText(workbench))?.match(/\d+/g)?.map(Number) ?? [];
  return { at, last };
}

/** Waits until the panel's cursor stands where it should; a wrong place is an error that names both. */
async function standsAt(workbench: Workbench, wanted: number): Promise<void> {
  const end = Date.now() + 5000;
  let seen = await step(workbench);
  while (seen.at !== wanted && Date.now() < end) {
    await workbench.page.waitForTimeout(50);
    seen = await step(workbench);
  }
  assert.equal(seen.at, wanted);
}

/** The line whose call breaks the invariant: only what is in sight is drawn. */
async function toTheHole(workbench: Workbench): Promise<void> {
  const text = readFileSync(join(workbench.folder, WINDOW), "utf8");
  await workbench.focusEditor();
  await workbench.goToLine(text.slice(0, text.indexOf("@hole")).split("\n").length);
}

async function openPanel(workbench: Workbench): Promise<void> {
  await workbench.focusEditor();
  await workbench.runCommand(PANEL);
  await cells(workbench).waitFor({ timeout: 30_000 });
}

/** Of rules that are kept axe names one node, not every one with its selectors. */
const accessibility = ({ page }: Workbench): ReturnType<AxeBuilder["analyze"]> =>
  new AxeBuilder({ page })
    .include(VIEWS)
    .options({ resultTypes: ["violations"] })
    .analyze();

describe("workbench", () => {
  let workbench: Workbench;
  before(async () => {
    workbench = await openWorkbench({ file: WINDOW, theme: "dark" });
  });
  after(() => workbench?.close());

  it("underlines the expected violation, and nothing as an error", async () => {
    await toTheHole(workbench);
    await workbench.squiggles("info").first().waitFor({ timeout: 30_000 });
    assert.equal(await workbench.squiggles("error").count(), 0);
  });

  it("offers the commands in the palette", async () => {
    await workbench.focusEditor();
    const titles = await workbench.paletteTitles("Memfd:");
    for (const wanted of ["Memfd: Run Scenario", "Memfd: Run All Scenarios in File", "Memfd: Compare Kernels", PANEL])
      assert.ok(titles.includes(wanted), titles.join(", "));
  });

  it("opens the page tables from the palette, with a row for the guest's page", async () => {
    await openPanel(workbench);
    assert.match(await cells(workbench).innerText(), /0x1000/);
  });

  it("steps forward and back with the arrow keys", async () => {
    await workbench.webview().getByRole("treegrid", { name: "Timeline" }).click();
    await workbench.page.keyboard.press("Home");
    await standsAt(workbench, 0);
    const { last } = await step(workbench);
    assert.ok(last > 4, `only ${last} steps`);
    await workbench.page.keyboard.press("ArrowRight");
    await standsAt(workbench, 1);
    await workbench.page.keyboard.press("ArrowRight");
    await standsAt(workbench, 2);
    await workbench.page.keyboard.press("ArrowLeft");
    await standsAt(workbench, 1);
    await workbench.page.keyboard.press("Shift+ArrowRight");
    await workbench.webview().getByText("no-stale-mapping").first().waitFor();
  });

  it("compares the kernels beside the text, and opens one kernel's page tables from a cell", async () => {
    await workbench.page.keyboard.press("Control+1");
    await workbench.runCommand("Memfd: Compare Kernels");
    const grid = workbench.webview().getByRole("grid", { name: "Kernels side by side" });
    await grid.waitFor({ timeout: 30_000 });
    assert.match(await grid.getByRole("columnheader", { name: /^v4/ }).innerText(), /(pass|fail)\s+[\d–]+ states/);
    await grid.getByRole("columnheader", { name: /^v4/ }).focus();
    await workbench.page.keyboard.press("Enter");
    await workbench.webview().getByText("kernel v4", { exact: true }).waitFor();
    await cells(workbench).waitFor();
    await workbench.webview().getByRole("tab", { name: "Kernels" }).click();
    await grid.waitFor();
  });

  for (const theme of THEMES) {
    it(`${theme}: no violation that axe finds, in the page tables and among the kernels`, async () => {
      await workbench.setTheme(theme);
      for (const tab of ["Kernels", "Page tables"]) {
        await workbench.webview().getByRole("tab", { name: tab }).click();
        await (tab === "Kernels" ? workbench.webview().getByRole("grid", { name: "Kernels side by side" }) : cells(workbench)).waitFor({ timeout: 30_000 });
        const { violations } = await accessibility(workbench);
        assert.deepEqual(
          violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`),
          [],
        );
      }
    });
  }

  it("hides the commands that need a scenario where none is open", async () => {
    await workbench.runCommand("View: Close All Editors");
    await workbench.page.waitForTimeout(500);
    assert.deepEqual((await workbench.paletteTitles("Memfd:")).filter((title) => title.startsWith("Memfd:")).sort(), [
      "Memfd: Import Trace…",
      "Memfd: New Scenario",
      "Memfd: Open Sample Scenario…",
    ]);
  });
});

describe("Restricted Mode", () => {
  it("answers in a folder that is not trusted", async () => {
    const workbench = await openWorkbench({ file: WINDOW, trusted: false, settings: { "security.workspace.trust.startupPrompt": "never" } });
    try {
      await workbench.page.getByText("Restricted Mode").first().waitFor({ timeout: 20_000 });
      await toTheHole(workbench);
      await workbench.squiggles("info").first().waitFor({ timeout: 30_000 });
    } finally {
      await workbench.close();
    }
  });
});
