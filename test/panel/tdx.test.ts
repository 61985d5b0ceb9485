// The tables of the TDX module in the panel: what they say, keyboard, blame, accessibility in every theme.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { axe, type Harness, MISSING, type Shown, start } from "./page.ts";
import { REMOVAL, SPLIT, traceOf } from "./tdx-trace.ts";
import { THEMES } from "./themes.ts";

if (MISSING !== false) console.error(MISSING);

const RUN = { skip: MISSING };
const trace = traceOf(REMOVAL);
const broken = trace.violations[0].step;

let harness: Harness;
before(async () => {
  if (MISSING === false) harness = await start();
});
after(() => harness?.close());

async function shown(options: Parameters<Harness["open"]>[0], body: (panel: Shown) => Promise<void>, view = trace): Promise<void> {
  const panel = await harness.open(options);
  try {
    await panel.send({ type: "trace", trace: view });
    await panel.page.waitForSelector(".state-table");
    await body(panel);
    assert.deepEqual([panel.errors, await panel.refusals()], [[], []]);
  } finally {
    await panel.close();
  }
}

const cellOf = (panel: Shown, table: string, row: string, column: string) =>
  panel.page
    .locator(`[data-table="${table}"] tr`, { has: panel.page.locator("th", { hasText: new RegExp(`^${row}$`) }) })
    .locator("td")
    .nth(
      trace.steps[broken].machine.tables
        ?.find(({ id }) => id === table)
        ?.columns.slice(1)
        .filter(({ id }) => trace.steps[broken].machine.tables?.find((one) => one.id === table)?.rows.some((one) => one.cells[id].text !== ""))
        .findIndex(({ id }) => id === column) ?? -1,
    );

test("secure EPT by level, PAMT, TD, vCPUs and key ids stand below the pages, changed and broken cells marked", RUN, () =>
  shown({}, async (panel) => {
    const { page } = panel;
    assert.deepEqual(await page.locator(".state-table h2").allInnerTexts(), ["Secure EPT of td", "PAMT", "TD", "vCPUs of TDs", "Key ids"]);
    const levels = await page
      .locator('[data-table="sept0"] tbody th')
      .evaluateAll((heads) => heads.map((head) => `${head.className} ${(head as HTMLElement).innerText}`.trim()));
    assert.deepEqual(levels, ["0x0 +512G", "depth-1 0x0 +1G", "depth-2 0x0 +2M", "depth-3 0x0", "depth-3 0x1000"]);
    assert.match(await cellOf(panel, "sept0", "0x1000", "state").innerText(), /BLOCKED 17[\s\S]*FREE[\s\S]*tlb-tracked/);
    assert.match(await cellOf(panel, "pamt", "17", "type").innerText(), /PT_REG[\s\S]*PT_NDA/);
    assert.match(await cellOf(panel, "tdvcpus", "vcpu0", "tlb").innerText(), /0x1000: 17[\s\S]*tlb-tracked/);
    assert.match(await cellOf(panel, "hkid", "33", "state").innerText(), /HKID_ASSIGNED/);
    assert.equal(await page.locator(".state-table td.broken").count(), 2);
    const causes = await page.locator(".causes button").allInnerTexts();
    assert.ok(
      causes.some((text) => /vcpu0 store td_access/.test(text)),
      causes.join(),
    );
  }),
);

test("one tab stop for all tables; arrows walk from one to the next, and Enter goes to the step that last changed the cell", RUN, () =>
  shown({}, async (panel) => {
    const { page } = panel;
    assert.equal(await page.locator('.state-tables [tabindex="0"]').count(), 1);
    await page.locator('.state-tables [tabindex="0"]').focus();
    const at = (): Promise<string> => page.evaluate(() => (document.activeElement as HTMLElement).dataset.state ?? "");
    assert.equal(await at(), "sept0 1 1");
    await page.keyboard.press("Control+End");
    assert.match(await at(), /^sept0 5 \d$/);
    await page.keyboard.press("ArrowDown");
    assert.equal(await at(), "pamt 0 0");
    await page.keyboard.press("ArrowUp");
    assert.equal(await at(), "sept0 5 0");
    await page.locator('[data-table="tdvcpus"] td[data-state$=" 4"]').focus();
    assert.match(await page.locator("#state-blame").innerText(), /TLB of vcpu0: last changed by step \d+, vcpu0 store td_access/);
    assert.match(await page.locator("#state-blame").innerText(), /hit while it is inside/);
    await page.keyboard.press("Enter");
    const step = trace.steps.findIndex((one) => one.step === "td_access");
    assert.match(await page.locator(".count").innerText(), new RegExp(`^${step} /`));
  }),
);

test("before there is a TD there are no tables, and a table that goes takes the focus with it", RUN, () =>
  shown({}, async (panel) => {
    const { page } = panel;
    await page.locator('[data-table="hkid"] td').first().focus();
    await page.locator("h1").click();
    await page.keyboard.press("Home");
    await page.locator(".state-table").first().waitFor({ state: "detached" });
    await page.keyboard.press("End");
    await page.locator(".state-table").first().waitFor();
    assert.equal(await page.locator('.state-tables [tabindex="0"]').count(), 1);
  }),
);

for (const theme of Object.keys(THEMES) as (keyof typeof THEMES)[]) {
  test(`accessibility: axe finds nothing in the tables in ${theme}`, RUN, () =>
    shown({ theme, width: 900 }, async (panel) => {
      const { page } = panel;
      await page.locator('[data-table="pamt"] td').first().hover();
      assert.deepEqual(await panel.refusals(), []);
      const { violations } = await axe(page);
      assert.deepEqual(
        violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`),
        [],
      );
      await page.evaluate(() => {
        (globalThis as unknown as { refusals: string[] }).refusals = [];
      });
    }),
  );
}

for (const width of [320, 600, 1200]) {
  test(`${width} px: the tables scroll in themselves`, RUN, () =>
    shown({ width }, async ({ page }) => {
      const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(wide <= seen, `${wide} > ${seen}`);
    }),
  );
}

test("entries of a split page of 2 MB that no call names stand as one row under their table", RUN, () =>
  shown(
    {},
    async (panel) => {
      const { page } = panel;
      await page.keyboard.press("End");
      const row = page.locator('[data-table="sept0"] tr', { hasText: "the others" });
      assert.equal(await row.locator("th").getAttribute("class"), "depth-3");
      assert.match(await row.innerText(), /PENDING, 511 pages[\s\S]*PT_REG/);
      assert.equal(await row.locator("td.changed").count(), 2);
    },
    traceOf(SPLIT),
  ),
);
