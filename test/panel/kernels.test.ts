// The tab of the kernels in a browser: what is seen, the keyboard, what a click asks for, progress, accessibility in every theme, and narrow windows.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { columnDetail, columnsOf } from "../../src/panel/kernels-words.ts";
import type { KernelsView } from "../../src/view/kernels.ts";
import { sideBySide } from "../view/side-by-side.ts";
import { axe, type Harness, MISSING, type Shown, start } from "./page.ts";
import { THEMES } from "./themes.ts";
import { punchWindow } from "./traces.ts";

if (MISSING !== false) console.error(MISSING);

const RUN = { skip: MISSING };
const FILE = "file:///scenarios/series/v8-punch-window.memfd";
const TEXT = readFileSync(join(import.meta.dirname, "../../scenarios/series/v8-punch-window.memfd"), "utf8");
const KERNELS = ["v4", "v8", "v8-pages", "v8-reordered", "v8-bracketed", "v8-untested", "v8-half"];
const lineOf = (part: string): number => TEXT.slice(0, TEXT.indexOf(part)).split("\n").length;

let view: KernelsView;
let harness: Harness;
before(async () => {
  view = sideBySide(FILE, TEXT, undefined, {}, KERNELS);
  if (MISSING === false) harness = await start();
});
after(() => harness?.close());

/** The column in which a kernel is. */
const at = (kernel: string, shows = view): number => columnsOf(shows).findIndex((members) => members.some((each) => shows.kernels[each].kernel === kernel)) + 1;
const indexOf = (kernel: string): number => view.kernels.findIndex((column) => column.kernel === kernel);

async function shown(options: Parameters<Harness["open"]>[0], body: (panel: Shown) => Promise<void>, shows: KernelsView = view): Promise<void> {
  const panel = await harness.open(options);
  try {
    await panel.send({ type: "kernels", view: shows, front: true });
    await panel.page.getByRole("grid", { name: "Kernels side by side" }).waitFor();
    await body(panel);
    assert.deepEqual([panel.errors, await panel.refusals()], [[], []]);
  } finally {
    await panel.close();
  }
}

const cell = ({ page }: Shown, row: number, column: number) => page.locator(`[data-at="${row}/${column}"]`);
const last = async (panel: Shown) => (await panel.posted()).at(-1);
const focused = ({ page }: Shown): Promise<string | undefined> => page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset.at);

test("a column for each set of kernels that answer alike with its verdict, a row per difference, differing cells marked in words and shape", RUN, () =>
  shown({ width: 1200 }, async (panel) => {
    const { page } = panel;
    const heads = await page.getByRole("columnheader").allInnerTexts();
    assert.equal(heads.length, new Set(view.kernels.map(({ group }) => group)).size + 1);
    assert.equal(at("v8-pages"), 1, "what the others are held against stands first");
    assert.match(heads[at("v8-pages")], /v8-pages\s+pass\s+\d+ states\s+reference/);
    assert.match(heads[at("v4")], /v4\s+fail/);
    assert.match(await cell(panel, 1, 0).innerText(), new RegExp(`line ${lineOf("vcpu0 { load(0x1000)")} · vcpu0\\s+load\\(0x1000\\)`));
    const differs = cell(panel, 1, at("v4"));
    assert.match(await differs.innerText(), /^≠\s+differs:\s+0x41 or exit KVM_EXIT_MEMORY_ERROR/);
    assert.equal(await differs.locator(".icon-fail").count(), 1, "not what the line expects");
    assert.doesNotMatch(await cell(panel, 1, at("v8-pages")).innerText(), /≠/);
    const sections = await page.locator(".section").allInnerTexts();
    assert.deepEqual(sections, ["Calls that answer differently", "Invariants that break", "Expectations that do not hold"]);
    assert.match(await page.locator(".kernel-notes").last().innerText(), /Not modelled yet: next/);
    const partings = await page.getByRole("region", { name: "First step that differs" }).innerText();
    assert.match(partings, /v4\s+invalidate \(holding .*\): the EPT of vm no longer maps/);
  }),
);

test("the grid is one tab stop; arrows walk it, the line beneath tells the cell", RUN, () =>
  shown({ width: 1200 }, async (panel) => {
    const { page } = panel;
    assert.equal(await page.locator('[data-at][tabindex="0"]').count(), 1);
    await page.getByRole("tab", { name: "Kernels" }).focus();
    await page.keyboard.press("Tab");
    assert.equal(await focused(panel), "0/1");
    assert.match(await page.locator("#kernels-line").innerText(), /^v8-pages: pass, \d+ states, all interleavings/);
    for (const key of ["ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
    assert.equal(await focused(panel), "1/2");
    assert.match(await page.locator("#kernels-line").innerText(), /^v4 answers 0x41 or exit KVM_EXIT_MEMORY_ERROR.*, other than v8-pages/);
    await page.keyboard.press("ArrowRight");
    assert.match(await page.locator("#kernels-line").innerText(), /^v8 answers 0x41, other than v8-pages$/);
    await page.keyboard.press("Control+End");
    assert.equal(await focused(panel), `${view.calls.length + view.violations.length + view.expectations.length}/${columnsOf(view).length}`);
    await page.keyboard.press("Control+Home");
    assert.equal(await focused(panel), "0/0");
    assert.equal(await page.locator('[data-at][tabindex="0"]').count(), 1);
  }),
);

test("Enter and clicks: the line of a call, a kernel's page tables, the schedule that shows an answer", RUN, () =>
  shown({ width: 1200 }, async (panel) => {
    const { page } = panel;
    await cell(panel, 1, 0).click();
    assert.deepEqual(await last(panel), { type: "line", file: FILE, line: lineOf("vcpu0 { load(0x1000)") });
    await cell(panel, 0, at("v8")).click();
    assert.deepEqual(await last(panel), { type: "kernel", kernel: "v8" });
    await cell(panel, 1, at("v4")).focus();
    await page.keyboard.press("Enter");
    const { schedule } = view.calls[0].cells[indexOf("v4")];
    assert.ok(schedule);
    assert.deepEqual(await last(panel), { type: "kernel", kernel: "v4", schedule });
    await page.locator(".partings").getByRole("button", { name: "page tables of v4 at invalidate" }).click();
    const race = view.divergences.find((each) => each.kernel === indexOf("v4"))?.race?.right;
    assert.deepEqual(await last(panel), { type: "kernel", kernel: "v4", schedule: race?.schedule, cursor: race?.cursor });
    await page.locator(".partings .link").first().click();
    assert.equal((await last(panel))?.type, "line");
  }),
);

test("kernels that answer alike share a column; each of them has its page tables", RUN, () => {
  const text = 'kernel v4, v5, v8\nscenario "s" {\n  fd = memfd_create("x", MFD_INACCESSIBLE)\n  fcntl(fd, F_GET_SEALS) = 1 on v4 or _ on v5, v8\n}\n';
  const shows = sideBySide("file:///s.memfd", text, undefined, {}, ["v4", "v6", "v7", "v8"]);
  return shown(
    { width: 700 },
    async (panel) => {
      const alike = columnsOf(shows).find((members) => members.length > 1);
      assert.ok(alike, JSON.stringify(shows.kernels.map(({ kernel, group }) => [kernel, group])));
      const names = alike.map((kernel) => shows.kernels[kernel].kernel);
      const head = cell(panel, 0, at(names[0], shows));
      assert.ok((await head.innerText()).startsWith(names.join(", ")), await head.innerText());
      await panel.page.getByRole("button", { name: `page tables of ${names[1]}`, exact: true }).click();
      assert.deepEqual(await last(panel), { type: "kernel", kernel: names[1] });
    },
    shows,
  );
});

test("a kernel that lacks many calls says the first of them, and how many more", () => {
  const flags = ["CLOEXEC", "ALLOW_SEALING", "HUGETLB", "NOEXEC_SEAL", "EXEC"].map((name) => `  memfd_create("x", MFD_${name})\n`).join("");
  const calls =
    "  vm = KVM_CREATE_VM(0)\n  KVM_CREATE_GUEST_MEMFD(vm, 4K)\n  KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 0)\n  KVM_SET_USER_MEMORY_REGION2(vm, slot=0)\n";
  const lacking = sideBySide("file:///s.memfd", `kernel 6.18\nscenario "s" {\n${flags}${calls}}\n`, undefined, {}, ["6.18", "v4"]);
  const index = lacking.kernels.findIndex(({ kernel }) => kernel === "v4");
  const { size: length } = new Set(lacking.kernels[index].notes.map(({ message }) => message));
  assert.ok(length > 3, `${length} notes`);
  const detail = columnDetail(lacking, index);
  assert.equal(detail.match(/; line \d+/g)?.length, 3, detail);
  assert.match(detail, new RegExp(`and ${length - 3} more of the kind$`));
});

test("the tabs: arrows switch them, the first look asks, page tables and kernels keep their place", RUN, async () => {
  const panel = await harness.open({ width: 1000 });
  const { page } = panel;
  try {
    const state = { uri: FILE, scenario: view.scenario, kernel: "v8", cursor: 0 };
    await panel.send({ type: "trace", trace: punchWindow(), state });
    await page.getByRole("tab", { name: "Page tables", selected: true }).focus();
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Kernels");
    await page.getByRole("tab", { name: "Kernels", selected: true }).waitFor();
    assert.deepEqual(await last(panel), { type: "kernels" });
    await panel.send({ type: "kernels", done: 1, of: 7 });
    await page.getByText("Running under 7 kernels: 1 done").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    assert.deepEqual(await last(panel), { type: "stop" });
    await panel.send({ type: "kernels", notice: "Stopped before every kernel was run." });
    await page.getByRole("button", { name: "Compare again" }).click();
    assert.deepEqual(await last(panel), { type: "kernels" });
    await panel.send({ type: "kernels", view });
    await page.getByRole("grid", { name: "Kernels side by side" }).waitFor();
    assert.equal(((await panel.saved()) as { view?: string }).view, "kernels");
    const cursors = (await panel.posted()).filter((message) => message.type === "cursor").length;
    await page.getByRole("tab", { name: "Kernels" }).focus();
    await page.keyboard.press("Home");
    await page.getByRole("tab", { name: "Page tables", selected: true }).waitFor();
    await page.locator(".timeline-row").first().waitFor();
    assert.equal((await panel.posted()).filter((message) => message.type === "cursor").length, cursors, "the tabs' keys do not move in time");
    await page.keyboard.press("End");
    await page.getByRole("grid", { name: "Kernels side by side" }).waitFor();
    assert.equal((await panel.posted()).filter((message) => message.type === "kernels").length, 2, "what is known is not asked for again");
    await panel.send({ type: "kernels", stale: true });
    await page.waitForFunction(() => (globalThis as unknown as { posted: { type: string }[] }).posted.at(-1)?.type === "kernels");
    await panel.send({ type: "kernels", done: 3, of: 7 });
    await page.getByText("3 done").waitFor();
    assert.equal(await page.getByRole("grid", { name: "Kernels side by side" }).count(), 1, "the older answer stays meanwhile");
    await panel.send({ type: "trace", trace: punchWindow(), front: true });
    await page.getByRole("tab", { name: "Page tables", selected: true }).waitFor();
    assert.deepEqual([panel.errors, await panel.refusals()], [[], []]);
  } finally {
    await panel.close();
  }
});

test("kernels that were not run say why, and a comparison of another build is refused in words", RUN, () => {
  const text = 'kernel v4\nscenario "s" {\n  fd = memfd_create("x", MFD_ALLOW_SEALING)\n  fcntl(fd, F_ADD_SEALS, F_SEAL_INACCESSIBLE)\n}\n';
  const partial = sideBySide("file:///s.memfd", text);
  return shown(
    {},
    async (panel) => {
      const { page } = panel;
      const column = columnsOf(partial).findIndex(([first]) => partial.kernels[first].verdict === "notRun") + 1;
      assert.match(await cell(panel, 0, column).innerText(), /not run/);
      const notes = await page.locator(".kernel-notes li").allInnerTexts();
      const silent = notes.filter((note) => /not run: it cannot be read under this kernel; line 4: .*F_SEAL_INACCESSIBLE/.test(note));
      assert.deepEqual(silent.length, 1, `what is said alike of several kernels is said once: ${notes.join("\n")}`);
      assert.match(silent[0], /^v5, .*v8, .* does not exist there/);
      await cell(panel, 0, column).click();
      assert.deepEqual(await last(panel), { type: "line", file: "file:///s.memfd", line: 4 });
      await panel.send({ type: "kernels", view: { ...partial, version: 2 } as never });
      await page.getByText("The comparison has version 2").waitFor();
    },
    partial,
  );
});

for (const theme of Object.keys(THEMES) as (keyof typeof THEMES)[]) {
  test(`accessibility: axe finds nothing in ${theme}`, RUN, () =>
    shown({ theme, width: 900 }, async (panel) => {
      const { page } = panel;
      await cell(panel, 1, 1).focus();
      assert.deepEqual(await panel.refusals(), []);
      const { violations, passes } = await axe(page);
      assert.deepEqual(
        violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`),
        [],
      );
      assert.ok(passes.some((rule) => rule.id === "color-contrast"));
      await page.evaluate(() => {
        (globalThis as unknown as { refusals: string[] }).refusals = [];
      });
    }),
  );
}

const twelve = (): KernelsView => {
  const kernels = Array.from({ length: 12 }, (_, index) => ({ ...view.kernels[index % view.kernels.length], kernel: `variant-${index}`, group: index }));
  const wide = <T extends { cells: readonly unknown[] }>(row: T): T => ({ ...row, cells: kernels.map((_, index) => row.cells[index % view.kernels.length]) });
  return { ...view, kernels, calls: view.calls.map(wide), violations: view.violations.map(wide), expectations: view.expectations.map(wide), divergences: [] };
};

for (const width of [320, 620, 1200]) {
  test(`twelve kernels in ${width} px: the page does not scroll sideways; heading and calls stay in sight`, RUN, () =>
    shown(
      { width, height: 500 },
      async (panel) => {
        const { page } = panel;
        const wide = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
        assert.equal(wide[0], wide[1]);
        const rows = view.calls.length + view.violations.length + view.expectations.length;
        await cell(panel, rows, 12).focus();
        const boxes = await page.evaluate(() => {
          const box = (selector: string) => (document.querySelector(selector) as HTMLElement).getBoundingClientRect();
          const outer = box(".kernels-view");
          return { head: box('[data-at="0/12"]').top - outer.top, side: box('tbody [data-at$="/0"]').left - outer.left, height: outer.height };
        });
        assert.ok(Math.abs(boxes.head) < 3 && Math.abs(boxes.side) < 3, JSON.stringify(boxes));
        assert.equal(await focused(panel), `${rows}/12`);
      },
      twelve(),
    ),
  );
}
