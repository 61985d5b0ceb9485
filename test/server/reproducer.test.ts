// The C reproducer and the comparison with this machine's kernel, over the wire.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
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
