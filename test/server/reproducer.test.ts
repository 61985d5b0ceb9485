// The C reproducer and the comparison with this machine's kernel, over the wire.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { CodeLens } from "vscode-languageserver";
import { COMPARE_MACHINE, type CompareMachineResult, EMIT_C, type EmitCResult } from "../../src/server/protocol.ts";
import { noRun, skipped } from "../export/support.ts";
import { Client } from "./client.ts";

let client: Client;

before(async () => {
  client = new Client();
  await client.initialize();
});

after(async () => {
  assert.equal(await client.close(), 0);
  assert.deepEqual(client.errors, []);
});

const TEXT =
  'kernel v8\nscenario "a" {\n  a = memfd_create("a", 0)\n  ftruncate(a, 4K) = 0\n  b = memfd_create("b", 0x10)\n}\nscenario "b" {\n  c = memfd_create("c", MFD_INACCESSIBLE)\n}\n';

test("a scenario is exported as C with the lines of its document", async () => {
  const uri = "file:///export.memfd";
  await client.open(uri, TEXT);
  const { text, refusal } = await client.request<EmitCResult>(EMIT_C, { uri, scenario: "a" });
  assert.equal(refusal, undefined);
  assert.match(text ?? "", /\/\* line 4: ftruncate\(a, 4K\) = 0 \*\//);
  assert.match((await client.request<EmitCResult>(EMIT_C, { uri, scenario: "none" })).refusal ?? "", /no scenario "none"/);
  assert.match((await client.request<EmitCResult>(EMIT_C, { uri: "file:///closed.memfd" })).refusal ?? "", /not open/);
});

test("a comparison answers with its differences on their lines, or says why there is none", async (context) => {
  if (skipped(context, noRun())) return;
  const uri = "file:///compare.memfd";
  await client.open(uri, TEXT);
  const result = await client.request<CompareMachineResult>(COMPARE_MACHINE, { uri, scenario: "a" });
  assert.equal(result.refusal, undefined);
  assert.match(result.heading ?? "", /not this machine's kernel/);
  // MFD_EXEC came with 6.3; an older kernel refuses the flag as the model does.
  for (const each of result.differences ?? []) {
    assert.equal(each.start.line, 4);
    assert.ok(each.known && /Linux 6\.3/.test(each.message));
  }
  assert.match(result.summary ?? "", (result.differences ?? []).length === 1 ? /^2 agree, 1 deviate/ : /^3 agree$/);
  const none = await client.request<CompareMachineResult>(COMPARE_MACHINE, { uri, scenario: "b" });
  assert.match(none.refusal ?? "", /Nothing of it runs here: MFD_INACCESSIBLE/);
});

test("lenses for C stand over what a real kernel can be asked, the comparison over releases only", async () => {
  const uri = "file:///lenses.memfd";
  await client.open(uri, `${TEXT}scenario "now" {\n  kernel 6.18\n  d = memfd_create("d", MFD_EXEC)\n}\nscenario "broken" {\n  no_such_call(1)\n}\n`);
  const lenses = await client.request<CodeLens[]>("textDocument/codeLens", { textDocument: { uri } });
  const titles = new Map<number, string[]>();
  for (const { range, command } of lenses) titles.set(range.start.line, [...(titles.get(range.start.line) ?? []), command?.title ?? ""]);
  const offered = [...titles.values()].map((each) => each.filter((title) => /^(Compare|Export)/.test(title)));
  assert.deepEqual(offered, [["Compare kernels", "Export C"], ["Compare kernels"], ["Compare kernels", "Export C", "Compare with this machine"], []]);
  const compare = lenses.find(({ command }) => command?.title === "Compare with this machine");
  assert.deepEqual(compare?.command?.arguments, [{ uri, scenario: "now", kernel: "6.18" }]);
});
