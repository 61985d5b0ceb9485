// Hover over a call of a scenario with a TD: the words of the TD stand below the pages.

import assert from "node:assert/strict";
import { it } from "node:test";
import { machineTable } from "../../src/server/hover.ts";
import { running } from "../model/tdx/support.ts";
import { traceOf } from "../panel/tdx-trace.ts";

it("the memory after a call has secure EPT, PAMT and TLB, and below the words of the TD", () => {
  const view = traceOf(`scenario "x" {\n  kernel 6.18\n${running()}\n  TDH.VP.ENTER(vcpu0)\n  vcpu0: load(0x1000)\n}\n`);
  const text = machineTable(view.steps.at(-1)?.machine ?? { pages: [], facts: [] }, view);
  assert.match(text, /\| page \| frame \| secure EPT \| PAMT \| TLB \|/);
  assert.match(text, /\| td 0x1000 \| 17 \| MAPPED 17 \| PT_REG \| vcpu0: 17 \|/);
  assert.match(text, /td life cycle: TD_KEYS_CONFIGURED · td key id: HKID 33 · td OP_STATE: RUNNABLE · td TD_EPOCH: 1 · td REFCOUNT even\/odd: 0\/1/);
});
