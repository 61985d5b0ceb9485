// Hover and completion for leaves of the TDX module and their statuses.

import assert from "node:assert/strict";
import { it } from "node:test";
import { TDX_STATUS } from "../../src/base/tdx-status.ts";
import { completeAt } from "../../src/language/complete.ts";
import { describeAt } from "../../src/language/hover.ts";
import { callsNamed } from "../../src/scenario/catalogue/index.ts";
import { TDX_STATUS_HELP } from "../../src/scenario/catalogue/tdx-status-help.ts";
import { read } from "./support.ts";

const TEXT = `scenario "x" {
  kernel 6.18
  root = alloc_frame()
  td = TDH.MNG.CREATE(root, 33) = TDX_OPERAND_BUSY/KOT
  TDH.MEM.TRACK(td) = TDX_PREVIOUS_TLB_EPOCH_BUSY
}
`;
const hover = (word: string): string => describeAt(read(TEXT), TEXT.indexOf(word) + 1)?.markdown ?? "";

it("hover on a leaf: prototype, statuses in order with their numbers, locks, source", () => {
  const text = hover("TDH.MEM.TRACK");
  assert.match(text, /status TDH\.MEM\.TRACK\(td\)/);
  const found = [...text.matchAll(/^- `(TDX_[A-Z_]+(?:\/\w+)?)` (0x[0-9a-f]{16}): /gm)].map(([, status, number]) => [status, number]);
  assert.deepEqual(
    found.map(([status]) => status),
    callsNamed("TDH.MEM.TRACK")[0].errors.map(({ errno }) => errno),
  );
  assert.deepEqual(found.at(-2), ["TDX_OPERAND_BUSY/TD_EPOCH", "0x80000200000000a9"]);
  assert.match(text, /TD_EPOCH is locked; the leaf takes it exclusive/);
  assert.match(text, /Source: intel\/tdx-module TDX_1\.5\.01 tdh_mem_track\.c/);
});

it("hover on a status and on the operand behind it", () => {
  assert.match(hover("TDX_PREVIOUS"), /0x8000020100000000` · error[\s\S]*Kick it/);
  assert.match(hover("TDX_OPERAND_BUSY"), /0x8000020000000000` · error/);
  assert.match(hover("KOT"), /id 186 \(0xba\)/);
  for (const name of Object.keys(TDX_STATUS)) assert.match(TDX_STATUS_HELP[name as keyof typeof TDX_STATUS], /^[A-Z].*\.$/, name);
});

it("completion behind a leaf: its statuses in the order of its checks, then all others; behind other calls none", () => {
  const labels = (line: string): string[] => {
    const text = TEXT.replace(/ {2}TDH\.MEM\.TRACK.*\n/, `  ${line}\n`);
    return completeAt(read(text), text.indexOf(line) + line.length).map(({ label }) => label);
  };
  const found = labels("TDH.MEM.TRACK(td) = ");
  const own = ["TDX_SUCCESS", ...new Set(callsNamed("TDH.MEM.TRACK")[0].errors.map(({ errno }) => errno))];
  assert.deepEqual(found.slice(0, own.length), own);
  for (const name of Object.keys(TDX_STATUS)) assert.ok(found.includes(name), name);
  assert.deepEqual(labels("TDH.MEM.TRACK(td) = TDX_SUCCESS or ").slice(0, 2), own.slice(0, 2));
  assert.ok(!labels("ftruncate(root, 0) = ").some((label) => label.startsWith("TDX_")));
  assert.ok(labels("TDH.MEM.PAGE.").includes("TDH.MEM.PAGE.AUG"));
});
