// The request `memfd/import`: a trace as text in, a scenario out; a refusal says why.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { CancellationToken } from "vscode-languageserver";
import { importAnswer } from "../../src/server/importer.ts";

const never: CancellationToken = { isCancellationRequested: false, onCancellationRequested: () => ({ dispose() {} }) };
const LOG = 'memfd_create("ram", 0) = 3\nftruncate(3, 4096) = 0\n';

test("a log becomes a scenario under the kernel and name that are asked for", async () => {
  const { text, statements } = await importAnswer({ text: LOG, kernel: "v8", scenario: "mine" }, never);
  assert.equal(statements, 2);
  assert.match(text ?? "", /kernel v8\n\nscenario "mine" \{\n {2}ram = memfd_create\("ram", 0\) = ok\n {2}ftruncate\(ram, 4K\) = 0\n\}\n$/);
  assert.match((await importAnswer({ text: LOG, cut: true }, never)).text ?? "", /what follows is cut off/);
});

test("what cannot be imported is refused with its reason", async () => {
  assert.match((await importAnswer({ text: "hello" }, never)).refusal ?? "", /looks like a trace/);
  assert.match((await importAnswer({ text: LOG, kernel: "v88" }, never)).refusal ?? "", /no kernel v88/);
  assert.match((await importAnswer(undefined, never)).refusal ?? "", /no text/);
  const cancelled: CancellationToken = { ...never, isCancellationRequested: true };
  assert.deepEqual(await importAnswer({ text: LOG }, cancelled), { refusal: "Cancelled." });
});
