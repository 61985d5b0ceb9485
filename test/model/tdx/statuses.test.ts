// Statuses of the TDX module: their numbers, and the catalogue's list of each leaf against the checks that the model goes down.

import assert from "node:assert/strict";
import { it } from "node:test";
import { isTdxError, isTdxOperand, isTdxStatus, TDX_OPERAND, TDX_STATUS, type TdxStatusName, tdxStatusWord } from "../../../src/base/tdx-status.ts";
import { statusText } from "../../../src/model/tdx/leaf.ts";
import { LEAVES } from "../../../src/model/tdx/leaves.ts";
import { callSpec } from "../../../src/scenario/catalogue/index.ts";
import { TDX_STATUSES } from "../../../src/scenario/catalogue/tdx-statuses.ts";

it("words in RAX are those that the module's sources and reports from the field give", () => {
  const words: readonly [string, bigint][] = [
    ["TDX_EPT_ENTRY_STATE_INCORRECT/RCX", 0xc0000b0d00000001n],
    ["TDX_PAGE_METADATA_INCORRECT/R8", 0xc000030000000008n],
    ["TDX_OPERAND_BUSY/SEPT_TREE", 0x8000020000000092n],
    ["TDX_OPERAND_BUSY/TD_EPOCH", 0x80000200000000a9n],
    ["TDX_PAGE_METADATA_INCORRECT/RCX", 0xc000030000000001n],
    ["TDX_TLB_TRACKING_NOT_DONE/RCX", 0xc0000b0800000001n],
    ["TDX_GPA_RANGE_NOT_BLOCKED/RCX", 0xc0000b0600000001n],
    ["TDX_GPA_RANGE_ALREADY_BLOCKED/RCX", 0x00000b0700000001n],
    ["TDX_PREVIOUS_TLB_EPOCH_BUSY", 0x8000020100000000n],
    ["TDX_TD_FATAL", 0xe000060400000000n],
    ["TDX_FLUSHVP_NOT_DONE", 0x8000082400000000n],
    ["TDX_NO_VCPUS", 0xc000060900000000n],
    ["TDX_SUCCESS", 0n],
  ];
  for (const [text, word] of words) {
    const [status, operand] = text.split("/");
    assert.ok(isTdxStatus(status) && (operand === undefined || isTdxOperand(operand)), text);
    assert.equal(tdxStatusWord(operand === undefined ? { status } : { status, operand }), word, text);
  }
});

it("bit 63 tells an error from what only informs", () => {
  const informing = (Object.keys(TDX_STATUS) as TdxStatusName[]).filter((name) => !isTdxError(name));
  assert.deepEqual(informing.sort(), [
    "TDX_GPA_RANGE_ALREADY_BLOCKED",
    "TDX_KEY_CONFIGURED",
    "TDX_NON_RECOVERABLE_TD",
    "TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE",
    "TDX_NON_RECOVERABLE_VCPU",
    "TDX_NO_HKID_READY_TO_WBCACHE",
    "TDX_PAGE_ALREADY_ACCEPTED",
    "TDX_SUCCESS",
  ]);
  assert.equal(new Set(Object.values(TDX_STATUS)).size, Object.keys(TDX_STATUS).length);
  assert.equal(TDX_OPERAND.SEPT_TREE, 0x92);
});

for (const leaf of LEAVES) {
  it(`${leaf.name}: the catalogue lists what its checks answer, in their order`, () => {
    const answers = [...leaf.checks.flatMap((check) => check.answers), ...(leaf.interruptions ?? [])].map(statusText);
    assert.deepEqual(
      TDX_STATUSES[leaf.name]?.map((row) => row.errno),
      answers,
    );
    assert.deepEqual(callSpec(leaf.name).errors, TDX_STATUSES[leaf.name]);
  });
}

it("leaves have the numbers of the module's interface", () => {
  const numbers = Object.fromEntries(LEAVES.map((leaf) => [leaf.name, leaf.number]));
  assert.equal(numbers["TDH.VP.ENTER"], 0);
  assert.equal(numbers["TDH.MEM.PAGE.AUG"], 6);
  assert.equal(numbers["TDH.MEM.TRACK"], 38);
  assert.equal(numbers["TDH.MEM.RANGE.UNBLOCK"], 39);
  assert.equal(new Set(Object.values(numbers)).size, LEAVES.length);
});
