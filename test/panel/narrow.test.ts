// The panel with long words in little room: results in the lanes of a timeline, names of actors and kernels.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { TraceView } from "../../src/view/rows.ts";
import { type Harness, MISSING, type Shown, start } from "./page.ts";
import { SPLIT, traceOf } from "./tdx-trace.ts";

const RUN = { skip: MISSING };
let harness: Harness;
before(async () => {
  if (MISSING === false) harness = await start();
});
after(() => harness?.close());

async function shown(width: number, trace: TraceView, body: (panel: Shown) => Promise<void>): Promise<void> {
  const panel = await harness.open({ width });
  try {
    await panel.send({ type: "trace", trace });
    await panel.page.waitForSelector(".timeline-row");
    await body(panel);
    assert.deepEqual([panel.errors, await panel.refusals()], [[], []]);
  } finally {
    await panel.close();
  }
}

const long = "a-very-long-name-of-somebody-who-writes";
const RACE = `scenario "two write, one seals" {
  kernel 6.18
  ram = memfd_create("ram", MFD_ALLOW_SEALING)
  ftruncate(ram, 4K)
  parallel {
    vmm { fcntl(ram, F_ADD_SEALS, F_SEAL_WRITE) }
    second { pwrite(ram, "b", 0) }
    third { pwrite(ram, "c", 0) }
  }
}
`;

test("a result in a lane is whole where there is room for all of them", RUN, () =>
  shown(720, traceOf(RACE), async ({ page }) => {
    assert.equal(await page.locator(".timeline-view.wide").count(), 1, "lanes side by side");
    const cut = await page.locator(".lanes .result").evaluateAll((all) =>
      all.flatMap((one) => {
        const box = one.getBoundingClientRect();
        const room = (one.closest(".words") as HTMLElement).getBoundingClientRect();
        return one.scrollWidth > one.clientWidth + 1 || box.right > room.right + 1 ? [one.textContent] : [];
      }),
    );
    assert.ok((await page.locator(".lanes .result").count()) >= 3);
    assert.deepEqual(cut, []);
  }),
);

test("long names of actors stay in the heads of their lanes, that of a kernel in the page", RUN, () => {
  const trace = traceOf(RACE.replaceAll("second", long));
  const named: TraceView = { ...trace, kernel: `${long}-${long}` };
  return shown(480, named, async ({ page }) => {
    const heads = await page
      .locator(".lane-head")
      .evaluateAll((all) => all.map((one) => ({ height: one.scrollHeight - one.clientHeight, box: one.getBoundingClientRect() })));
    for (const [index, { height, box }] of heads.entries()) {
      assert.ok(height <= 1, `head ${index} stands on one line`);
      if (index > 0) assert.ok(box.left >= heads[index - 1].box.right - 1, `head ${index} begins behind the one before it`);
    }
    const wide = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.equal(wide[0], wide[1], "the page does not scroll sideways");
    const chip = await page.locator(".chip").first().boundingBox();
    assert.ok(chip !== null && chip.x + chip.width <= 480, JSON.stringify(chip));
  });
});

test("a long status leaves the call its name, and a short one is whole", RUN, () => {
  const more = "TDH.MEM.PAGE.PROMOTE(td, 2M, 1) = TDX_GPA_RANGE_NOT_BLOCKED/RCX";
  const text = `${SPLIT.slice(0, SPLIT.lastIndexOf("}"))}  ${more}\n}\n`;
  return shown(400, traceOf(text), async ({ page }) => {
    const row = page.locator(".timeline-row", { hasText: "TDX_GPA_RANGE_NOT_BLOCKED/RCX" }).last();
    const call = await row.locator("code.ellipsis").boundingBox();
    const result = await row.locator(".result").boundingBox();
    const words = await row.locator(".words").last().boundingBox();
    assert.ok(call !== null && result !== null && words !== null);
    assert.ok(call.width >= 50, `the call has ${call.width} pixels`);
    assert.ok(result.x + result.width <= words.x + words.width + 1, "the status ends inside its row");
    const short = page.locator(".timeline-row", { hasText: "TDH.MEM.RANGE.BLOCK" }).last().locator(".result");
    assert.equal(await short.evaluate((one) => one.scrollWidth <= one.clientWidth), true, "TDX_SUCCESS is not cut");
  });
});
