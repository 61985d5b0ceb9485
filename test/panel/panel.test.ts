// The panel in a browser: what is seen, the keyboard, the conversation with the extension, accessibility in every theme, and the content security policy.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { axe, type Harness, MISSING, type Shown, start } from "./page.ts";
import { THEMES } from "./themes.ts";
import { longTrace, punchWindow } from "./traces.ts";

if (MISSING !== false) console.error(MISSING);

const trace = punchWindow();
const FILE = trace.files[0];

const RUN = { skip: MISSING };

let harness: Harness;
before(async () => {
  if (MISSING === false) harness = await start();
});
after(() => harness?.close());

/** Opens, shows the trace, and at the end holds the page to its policy. */
async function shown(
  options: Parameters<Harness["open"]>[0],
  body: (panel: Shown) => Promise<void>,
  message: Record<string, unknown> = { type: "trace", trace },
): Promise<void> {
  const panel = await harness.open(options);
  try {
    await panel.send(message);
    await panel.page.waitForSelector(".timeline-row");
    await body(panel);
    assert.deepEqual(await panel.refusals(), []);
    assert.deepEqual(panel.errors, []);
  } finally {
    await panel.close();
  }
}
const failing = { ...trace, verdict: "fail", violations: trace.violations.map((violation) => ({ ...violation, expected: false })) };
const count = ({ page }: Shown): Promise<string> => page.locator(".count").innerText();
const press = async ({ page }: Shown, ...keys: string[]): Promise<void> => {
  for (const key of keys) await page.keyboard.press(key);
};

test("opens on the violation and says what broke, where, and how it came to that", RUN, () =>
  shown({}, async (panel) => {
    const { page } = panel;
    assert.equal(await count(panel), "22 / 24");
    assert.equal(await page.locator("h1").innerText(), trace.scenario);
    assert.match(await page.locator(".card").innerText(), /frame 7 leaves the file and is free/);
    assert.deepEqual(await page.locator(".causes button").allInnerTexts(), [
      "step 15: vmm KVM_SET_USER_MEMORY_REGION commit_slot",
      "step 17: vcpu0 store map",
      "step 19: vcpu0 store access",
    ]);
    assert.deepEqual(await page.locator("td.broken").evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).dataset.column)), ["ept", "tlb"]);
    assert.deepEqual(await page.locator("td.changed").evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).dataset.column)), ["file", "frame"]);
    assert.equal(await page.locator("td.changed del").last().innerText(), "7, ref 1");
    assert.match(await page.locator(".kind-violation").innerText(), /no-stale-mapping\s+expected/);
    assert.equal(await page.locator("tr.empty").count(), 1);
  }),
);

test("keyboard: steps, violations, ends, and the live region follows", RUN, () =>
  shown({}, async (panel) => {
    await press(panel, "ArrowRight");
    assert.equal(await count(panel), "23 / 24");
    await press(panel, "Shift+ArrowLeft");
    assert.equal(await count(panel), "22 / 24");
    await press(panel, "Home");
    assert.equal(await count(panel), "0 / 24");
    await press(panel, "ArrowLeft");
    assert.equal(await count(panel), "0 / 24");
    await press(panel, "ArrowRight", "ArrowRight", "ArrowRight");
    assert.equal(await count(panel), "3 / 24");
    assert.match(await panel.page.locator(".timeline-row.current").innerText(), /new_file 3\/5/, "the folded call says where in it the cursor stands");
    await press(panel, "Shift+ArrowRight", "End");
    assert.equal(await count(panel), "24 / 24");
    await panel.page.getByText("step 24 of 24: vmm fallocate invalidate", { exact: false }).waitFor({ state: "attached" });
  }),
);

test("every control can be reached and has a name; the timeline and the table are one stop each", RUN, () =>
  shown({}, async (panel) => {
    const stops: string[] = [];
    for (let index = 0; index < 24; index += 1) {
      await press(panel, "Tab");
      const name = await panel.page.evaluate(() => {
        const at = document.activeElement as HTMLElement;
        if (at === document.body) return "";
        return at.closest("[data-at]") !== null ? "cell" : at.matches(".timeline-row") ? "row" : (at.getAttribute("aria-label") ?? at.innerText.split("\n")[0]);
      });
      if (name === "") break;
      stops.push(name);
    }
    assert.equal(stops.filter((name) => name === "cell").length, 1);
    assert.equal(stops.filter((name) => name === "row").length, 1);
    for (const name of ["Previous violation", "Play", "Next step", "Step", "v8-punch-window.memfd:23"])
      assert.ok(stops.includes(name), `${name} in ${stops.join(", ")}`);
  }),
);

test("the timeline's rows: up and down, unfold and fold, enter shows the line", RUN, () =>
  shown({}, async (panel) => {
    const { page } = panel;
    await page.locator(".timeline-row.current").focus();
    await press(panel, "ArrowUp", "ArrowUp", "ArrowUp");
    assert.equal(await count(panel), "19 / 24");
    const rows = await page.locator(".timeline-row").count();
    await press(panel, "+");
    await page.locator(".nested").first().waitFor();
    assert.equal(await page.locator(".timeline-row").count(), rows + 4);
    assert.equal(await page.evaluate(() => document.activeElement?.matches(".timeline-row.current")), true);
    await press(panel, "ArrowUp", "Enter");
    assert.equal(await count(panel), "18 / 24");
    assert.deepEqual((await panel.posted()).at(-1), { type: "reveal", step: 18, file: FILE, line: 12 });
    await press(panel, "-");
    await page.locator(".nested").first().waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Unfold the 5 steps of this call" }).first().click();
    assert.equal(await page.locator(".nested").count(), 5);
  }),
);

test("the table: arrows walk the cells, blame follows, enter goes to the step that changed the cell", RUN, () =>
  shown({}, async (panel) => {
    const { page } = panel;
    await page.locator('td[data-at="1/1"]').focus();
    await press(panel, "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight");
    assert.equal(await count(panel), "22 / 24", "arrows inside the table are the table's");
    assert.match(await page.locator(".blame").innerText(), /^EPT of 0x1000: last changed by step 17, vcpu0 store map/);
    assert.equal(await page.locator(".arc-from").getAttribute("data-step"), "19", "the folded call of step 17 is where the arrow begins");
    await press(panel, "Enter");
    assert.equal(await count(panel), "17 / 24");
    await press(panel, ".");
    assert.equal(await count(panel), "18 / 24");
    await press(panel, "Control+Home");
    assert.equal(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.at), "0/0");
    assert.equal(await page.locator('[data-at][tabindex="0"]').count(), 1);
  }),
);

test("buttons do what the keys do; play runs and stops where something breaks", RUN, () =>
  shown({}, async (panel) => {
    const { page } = panel;
    await page.getByRole("button", { name: "Before the first step" }).click();
    await page.getByRole("button", { name: "Next step" }).click();
    assert.equal(await count(panel), "1 / 24");
    await page.getByRole("slider", { name: "Step" }).fill("20");
    assert.equal(await count(panel), "20 / 24");
    await press(panel, "p");
    await page.getByRole("button", { name: "Pause" }).waitFor();
    await page.getByRole("button", { name: "Play" }).waitFor({ timeout: 6_000 });
    assert.equal(await count(panel), "22 / 24");
  }),
);

test("the story can be copied: a button with words, by mouse and keyboard", RUN, () =>
  shown({}, async (panel) => {
    const button = panel.page.getByRole("button", { name: "Copy story" });
    await button.click();
    await button.focus();
    await press(panel, "Enter");
    assert.deepEqual(
      (await panel.posted()).filter(({ type }) => type === "copyStory"),
      [{ type: "copyStory" }, { type: "copyStory" }],
    );
  }),
);

test("messages: ready first, cursor on each move, select follows the editor, another story is asked for", RUN, () =>
  shown({}, async (panel) => {
    assert.deepEqual((await panel.posted()).slice(0, 2), [{ type: "ready" }, { type: "cursor", step: 22 }]);
    await panel.send({ type: "select", file: FILE, line: 5 });
    await panel.page.locator(".count", { hasText: "5 / 24" }).waitFor();
    assert.deepEqual((await panel.posted()).at(-1), { type: "cursor", step: 5 });
    await panel.page.locator(".kind-violation button").click();
    assert.deepEqual((await panel.posted()).at(-1), { type: "reveal", step: 22, file: FILE, line: 23 });
    await panel.page.getByRole("combobox", { name: "Story" }).selectOption({ index: 1 });
    assert.deepEqual((await panel.posted()).at(-1), { type: "story", schedule: trace.stories[1].schedule });
  }),
);

test("the cursor that comes with a trace is taken and not sent back; the same story keeps its cursor", RUN, () =>
  shown({}, async (panel) => {
    await panel.send({ type: "trace", trace, cursor: 7 });
    await panel.page.locator(".count", { hasText: "7 / 24" }).waitFor();
    assert.deepEqual(
      (await panel.posted()).filter((message) => message.type === "cursor"),
      [{ type: "cursor", step: 22 }],
    );
    await panel.send({ type: "trace", trace: { ...trace, summary: "again" } });
    await panel.page.getByText("again").waitFor();
    assert.equal(await count(panel), "7 / 24");
  }),
);

test("state: what was saved goes out with ready, and follows the cursor", RUN, async () => {
  const state = { uri: FILE, scenario: trace.scenario, kernel: "v8", cursor: 3 };
  await shown(
    { state },
    async (panel) => {
      assert.deepEqual((await panel.posted())[0], { type: "ready", state });
      await press(panel, "End");
      assert.deepEqual(await panel.saved(), { ...state, cursor: 24 });
    },
    { type: "trace", trace, cursor: 3, state },
  );
});

test("without a trace: a hint, a notice, and a refusal that says why", RUN, async () => {
  const panel = await harness.open();
  try {
    assert.match(await panel.page.locator("main").innerText(), /Waiting for a scenario/);
    await panel.send({ type: "notice", text: "The scenario has errors; see line 4." });
    await panel.page.getByText("see line 4").waitFor();
    await panel.send({ type: "trace", trace: { ...trace, version: 9 } });
    await panel.page.getByText("the trace has version 9").waitFor();
    await panel.send({ type: "trace", trace: { ...trace, steps: [], violations: [] } });
    await panel.page.getByText("nothing of the scenario ran").waitFor();
    await panel.send({ type: "trace", trace });
    await panel.page.locator(".timeline-row").first().waitFor();
    await panel.send({ type: "notice", text: "Running again …", keep: true });
    await panel.page.locator(".banner").waitFor();
    assert.ok((await panel.page.locator(".timeline-row").count()) > 10, "what is shown stays");
    assert.deepEqual(panel.errors, []);
  } finally {
    await panel.close();
  }
});

for (const theme of Object.keys(THEMES) as (keyof typeof THEMES)[]) {
  test(`accessibility: axe finds nothing in ${theme}`, RUN, () =>
    shown(
      { theme },
      async (panel) => {
        const { page } = panel;
        await page.getByRole("button", { name: "Unfold the 5 steps of this call" }).first().click();
        await page.hover('td[data-column="ept"] >> nth=1');
        assert.deepEqual(await panel.refusals(), [], "before axe, whose own inline styles the policy refuses");
        const { violations, passes } = await axe(page);
        assert.deepEqual(
          violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`),
          [],
        );
        assert.ok(
          passes.some((rule) => rule.id === "color-contrast"),
          "axe did look at the colours",
        );
        await page.evaluate(() => {
          (globalThis as unknown as { refusals: string[] }).refusals = [];
        });
      },
      { type: "trace", trace: theme.startsWith("hc") ? trace : failing },
    ),
  );
}

test("the policy is live: a style attribute would have been counted", RUN, async () => {
  const panel = await harness.open();
  await panel.page.evaluate(() => document.body.setAttribute("style", "color: red"));
  await panel.page.waitForTimeout(50);
  assert.match((await panel.refusals()).join(), /style-src/);
  await panel.close();
});

for (const width of [320, 600, 1200]) {
  test(`${width} px: the page itself does not scroll sideways, and no button is cut off`, RUN, () =>
    shown({ width }, async ({ page }) => {
      const wide = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.equal(wide[0], wide[1]);
      const out = await page.evaluate(() =>
        [...document.querySelectorAll("button, select, input, h1, .count")]
          .filter((element) => {
            const box = element.getBoundingClientRect();
            return box.right > innerWidth + 0.5 || box.left < -0.5;
          })
          .map((element) => element.outerHTML.slice(0, 80)),
      );
      assert.deepEqual(out, []);
    }),
  );
}

/** Shows a trace of so many steps and answers the median time of one step to the next, layout included. */
async function stepTime(panel: Shown, steps: number): Promise<number> {
  const long = longTrace(steps);
  const machines = long.steps.slice(1, 25).map((step) => step.machine);
  // Put together in the page: a message of that size would measure the way there.
  const light = { ...long, summary: `of ${steps}`, steps: long.steps.map((step, index) => ({ ...step, machine: index % machines.length })) };
  await panel.page.evaluate(
    ([view, pool]) => {
      const whole = view as { steps: { machine: unknown }[] };
      for (const step of whole.steps) step.machine = (pool as unknown[])[step.machine as number];
      window.postMessage({ type: "trace", trace: whole, cursor: 100 }, "*");
    },
    [light, machines] as [unknown, unknown],
  );
  await panel.page.getByText(light.summary, { exact: true }).waitFor();
  return panel.page.evaluate(async () => {
    const times: number[] = [];
    for (let index = 0; index < 60; index += 1) {
      const began = performance.now();
      window.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
      for (const name of ["memfd-panel", "memfd-timeline"]) await (document.querySelector(name) as unknown as { updateComplete: Promise<void> }).updateComplete;
      document.body.getBoundingClientRect();
      times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b)[30];
  });
}

test("twenty thousand steps: few rows are drawn, a step costs what it costs among three hundred, the ends are reached", RUN, async () => {
  const panel = await harness.open();
  try {
    const short = await stepTime(panel, 300);
    const long = await stepTime(panel, 20_000);
    assert.ok(long < 5 * short + 50, `${long} ms a step among 20,000, ${short} ms among 300`);
    assert.ok((await panel.page.locator(".timeline-row").count()) < 120);
    for (const [key, step] of [
      ["End", "20000"],
      ["Home", "0"],
    ]) {
      await press(panel, key);
      const row = panel.page.locator(`.timeline-row.current[data-step="${step}"]`);
      await row.waitFor();
      const inSight = await row.evaluate((element) => {
        const view = (element.parentElement as HTMLElement).getBoundingClientRect();
        const own = element.getBoundingClientRect();
        return own.top >= view.top && own.bottom <= view.bottom + 1;
      });
      assert.ok(inSight, `the row of step ${step}`);
    }
    assert.deepEqual([panel.errors, await panel.refusals()], [[], []]);
  } finally {
    await panel.close();
  }
});
