// EPT violations that the TDX module counts, in the table of a TD's vCPUs: a column of its own, only where they can become too many.

import assert from "node:assert/strict";
import { it } from "node:test";
import { check } from "../../src/check/index.ts";
import type { StateRow, StateTable, TraceView } from "../../src/view/rows.ts";
import { traceText } from "../../src/view/text.ts";
import { trace } from "../../src/view/trace.ts";
import { program } from "../model/support.ts";
import { running } from "../model/tdx/support.ts";

const viewOf = (body: string): TraceView => {
  const one = program(`scenario "tdx" {\n  kernel 6.18\n${running()}\n${body}\n}\n`);
  return trace(one, check(one, { now: () => 0 }), { lineOf: () => ({ file: "x.memfd", line: 1 }) });
};
const tableOf = (view: TraceView, step: number): StateTable | undefined => view.steps.at(step)?.machine?.tables?.find(({ id }) => id === "tdvcpus");
const rowOf = (view: TraceView, step = -1): StateRow => tableOf(view, step)?.rows[0] as StateRow;
const loads = (times: number): string => `repeat ${times} as i { vcpu0: load(0x2000) }`;

it("the count, then the page that is listed, and nothing once the guest has come on", () => {
  const counted = rowOf(viewOf(`${loads(3)}\nvcpu0: load(0x3000)\n${loads(5)}`)).cells;
  assert.deepEqual([counted.stepping.text, counted.stepping.detail], ["5", "5 in a row at 0x2000"]);
  const listed = rowOf(viewOf(loads(7))).cells;
  assert.deepEqual([listed.state.text, listed.stepping.text], ["VCPU_READY", "0x2000 listed"]);
  assert.match(listed.stepping.detail ?? "", /7 or more in a row at 0x2000: the page is listed/);
  assert.equal(rowOf(viewOf(`${loads(6)}\nvcpu0: load(0x1000)\n${loads(1)}\nvcpu0: load(0x1000)`)).cells.stepping.text, "");
});

it("an entry on its way, and what the steps say of it", () => {
  const view = viewOf(`${loads(7)}\nTDH.VP.ENTER(vcpu0)`);
  const entering = view.steps.map((_, step) => rowOf(view, step)?.cells.state.text).filter((text) => text?.includes("on its way in"));
  assert.deepEqual(entering, ["VCPU_READY, on its way in", "VCPU_READY, on its way in"]);
  assert.match(JSON.stringify(view.steps), /suspected of being stepped/);
  assert.match(traceText(view), /EPT violations\n.*\n.*0x2000 listed/);
  assert.equal(
    view.steps
      .at(-1)
      ?.machine?.tables?.find(({ id }) => id === "td")
      ?.rows.find(({ key }) => key === "td/locks"),
    undefined,
  );
});

it("no column where no access can come seven times", () => {
  const ids = (times: number): string[] => tableOf(viewOf(loads(times)), -1)?.columns.map(({ id }) => id) ?? [];
  assert.deepEqual([ids(6).includes("stepping"), ids(7).includes("stepping")], [false, true]);
});
