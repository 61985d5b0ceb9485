// Leaves of a TD's life: each goes down its checks in the module's order, and of two faults at once the earlier check answers.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { report } from "../support.ts";
import { ROWS } from "./life-cycle.cases.ts";
import { type Case, statuses, testRows } from "./rows.ts";
import { scenarioText, upTo } from "./td.ts";

testRows(ROWS);

/** Two faults at once; the first answers. */
const TWICE: readonly Case[] = [
  { answer: "TDX_OPERAND_INVALID/RDX", prepare: upTo("created"), call: "TDH.MNG.CREATE(tdr, 5)" },
  { answer: "TDX_PAGE_METADATA_INCORRECT/RCX", prepare: upTo("created"), call: "TDH.MNG.CREATE(tdr, 33)" },
  // 10th page, and it is the module's already.
  { answer: "TDX_TDCX_NUM_INCORRECT", prepare: `${upTo("allocated").replace("repeat 6", "repeat 9")}`, call: "TDH.MNG.ADDCX(td, cx[0])" },
  // OP_STATE is asked behind the new page.
  { answer: "TDX_PAGE_METADATA_INCORRECT/RCX", prepare: upTo("initialised"), call: "TDH.MNG.ADDCX(td, cx[0])" },
  { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: upTo("created"), call: "TDH.MNG.ADDCX(td, 0x1001)" },
  // Parameters in the order of the structure's checks.
  { answer: "TDX_OPERAND_INVALID/ATTRIBUTES", prepare: upTo("allocated"), call: "TDH.MNG.INIT(td, attributes=2, max_vcpus=0, xfam=0)" },
  { answer: "TDX_OPERAND_INVALID/XFAM", prepare: upTo("allocated"), call: "TDH.MNG.INIT(td, max_vcpus=0, xfam=0)" },
  { answer: "TDX_OPERAND_INVALID/MAX_VCPUS", prepare: upTo("allocated"), call: "TDH.MNG.INIT(td, max_vcpus=0, gpaw=8)" },
  { answer: "TDX_OPERAND_INVALID/EPTP_CONTROLS", prepare: upTo("allocated"), call: "TDH.MNG.INIT(td, eptp_controls=0, tsc_frequency=0)" },
  { answer: "TDX_OP_STATE_INCORRECT", prepare: upTo("initialised"), call: "TDH.MNG.INIT(td, attributes=2)" },
  // The TDCS comes before OP_STATE, and OP_STATE before the vCPUs.
  { answer: "TDX_TDCS_NOT_ALLOCATED", prepare: upTo("configured"), call: "TDH.MR.FINALIZE(td)" },
  { answer: "TDX_OP_STATE_INCORRECT", prepare: upTo("allocated"), call: "TDH.MR.FINALIZE(td)" },
  { answer: "TDX_OP_STATE_INCORRECT", prepare: upTo("runnable"), call: "TDH.VP.CREATE(td, cx[0])" },
  // A leaf holds what it was given before it looks at the next operand.
  { answer: "TDX_OPERAND_BUSY/RCX", prepare: upTo("configured"), call: "TDH.MNG.ADDCX(td, tdr)" },
  { answer: "TDX_OPERAND_BUSY/RCX", prepare: upTo("vcpu-created"), call: "TDH.VP.ADDCX(vcpu, vp)" },
  { answer: "TDX_OPERAND_BUSY/RCX", prepare: upTo("vcpu-created"), call: "TDH.VP.ADDCX(vcpu, tdr)" },
  { answer: "TDX_VCPU_STATE_INCORRECT", prepare: upTo("vcpu-initialised"), call: "TDH.VP.ADDCX(vcpu, cx[0])" },
  // No vCPU page is missing where the vCPU is ready, but the number is asked first.
  { answer: "TDX_TDCX_NUM_INCORRECT", prepare: upTo("vcpu-created"), call: "TDH.VP.FLUSH(vcpu)" },
  { answer: "TDX_LIFECYCLE_STATE_INCORRECT", prepare: upTo("runnable"), call: "TDH.PHYMEM.PAGE.RECLAIM(tdr)" },
  { answer: "TDX_OPERAND_INVALID/RCX", call: "TDH.PHYMEM.CACHE.WB(2)" },
];

describe("two faults at once", () => {
  for (const one of TWICE) it(`${one.call}: ${one.answer}`, () => assert.deepEqual(statuses(one), [one.answer]));

  it("the lock of the key ownership table is asked before the life cycle in VPFLUSHDONE, and behind it in KEY.FREEID", () => {
    const create = "TDH.MNG.CREATE(page, 34)";
    const against = (call: string): string[] => statuses({ answer: "", prepare: `${upTo("torn-down")}\npage = alloc_frame()`, call, against: create });
    assert.deepEqual(against("TDH.MNG.VPFLUSHDONE(td)"), ["TDX_LIFECYCLE_STATE_INCORRECT", "TDX_OPERAND_BUSY/KOT"]);
    assert.deepEqual(against("TDH.MNG.KEY.FREEID(td)"), ["TDX_LIFECYCLE_STATE_INCORRECT"]);
  });
});

it("two vCPUs that are initialised at once do not get past MAX_VCPUS", () => {
  const second = "vp2 = alloc_frame()\nvcpu2 = TDH.VP.CREATE(td, vp2)\nrepeat 5 as i {\n  vy[i] = alloc_frame()\n  TDH.VP.ADDCX(vcpu2, vy[i]) = TDX_SUCCESS\n}";
  const prepare = `${upTo("vcpu-allocated").replace("TDH.MNG.INIT(td)", "TDH.MNG.INIT(td, max_vcpus=1)")}\n${second}`;
  assert.deepEqual(statuses({ answer: "", prepare, call: "TDH.VP.INIT(vcpu)", against: "TDH.VP.INIT(vcpu2)" }), ["TDX_MAX_VCPUS_EXCEEDED", "TDX_SUCCESS"]);
  const text = scenarioText([
    prepare,
    "parallel {\n  one: TDH.VP.INIT(vcpu) @a\n  two: TDH.VP.INIT(vcpu2) @b\n}",
    "forall result(a) != TDX_SUCCESS || result(b) != TDX_SUCCESS",
  ]);
  assert.equal(report(text).verdict, "pass");
});
