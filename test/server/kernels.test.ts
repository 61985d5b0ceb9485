// `memfd/kernels` over the wire: every kernel's answer, progress, what is known is not run again, cancelling, and traces under kernels that a scenario does not
// name.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { CancellationTokenSource } from "vscode-languageserver/node";
import { KERNELS, KERNELS_PROGRESS, type KernelsProgressParams, type KernelsResult, TRACE, type TraceResult } from "../../src/server/protocol.ts";
import { Client } from "./client.ts";

let client: Client;
let folder: string;
const progress: KernelsProgressParams[] = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "memfd-kernels-"));
  client = new Client();
  client.rpc.onNotification(KERNELS_PROGRESS, (params: KernelsProgressParams) => void progress.push(params));
  await client.initialize();
});
after(async () => {
  assert.equal(await client.close(), 0);
  rmSync(folder, { recursive: true });
  assert.deepEqual(client.errors, []);
});

const uriOf = (name: string): string => pathToFileURL(join(folder, name)).href;
const ask = (params: Record<string, unknown>): Promise<KernelsResult> => client.request<KernelsResult>(KERNELS, params);

const TEXT = `kernel v8
kernel mine extends v8 { exit = KVM_EXIT_MEMORY_ERROR }
scenario "one" {
  fd = memfd_create("x", MFD_INACCESSIBLE)
  ftruncate(fd, 8K) = 0
  ftruncate(fd, 4K)
}
scenario "two" {
  close(-1) = -EBADF
}
`;

test("the scenario at the cursor under every modelled kernel and variant, with progress", async () => {
  const uri = uriOf("a.memfd");
  await client.open(uri, TEXT);
  await client.settled(uri);
  const { kernels: view, refusal } = await ask({ uri, position: { line: 4, character: 3 } });
  assert.ok(view, refusal);
  assert.deepEqual([view.scenario, view.file, view.line], ["one", uri, 3]);
  const names = view.kernels.map((column) => column.kernel);
  for (const kernel of ["v4", "v8", "mine"]) assert.ok(names.includes(kernel), kernel);
  for (const column of view.kernels)
    assert.equal(column.verdict === "notRun", /^(v9|v10|\d.*)$/.test(column.kernel), `${column.kernel}: MFD_INACCESSIBLE exists from v4 to v8`);
  assert.equal(view.kernels[view.reference].kernel, "v8");
  assert.equal(view.calls.length + view.agreed, 3);
  const told = progress.filter((one) => one.uri === uri && one.scenario === "one");
  const run = view.kernels.filter((column) => column.verdict !== "notRun").length;
  assert.deepEqual(told.at(-1), { uri, scenario: "one", done: run, of: run });
  assert.equal((await ask({ uri, scenario: "two" })).kernels?.line, 8);
});

test("equal questions have equal answers, and lines follow an edit above", async () => {
  const uri = uriOf("b.memfd");
  await client.open(uri, TEXT);
  const first = await ask({ uri, scenario: "one" });
  assert.deepEqual(await ask({ uri, scenario: "one" }), first);
  await client.replace(uri, `// above\n${TEXT}`);
  const moved = await ask({ uri, scenario: "one" });
  assert.equal(moved.kernels?.line, 4);
  assert.deepEqual(
    moved.kernels?.kernels.map((column) => [column.kernel, column.verdict, column.states]),
    first.kernels?.kernels.map((column) => [column.kernel, column.verdict, column.states]),
  );
});

test("page tables under a kernel that the scenario does not name", async () => {
  const uri = uriOf("c.memfd");
  await client.open(uri, TEXT);
  const { trace } = await client.request<TraceResult>(TRACE, { uri, scenario: "one", kernel: "v4", anyKernel: true });
  assert.equal(trace?.kernel, "v4");
  assert.ok((trace?.steps.length ?? 0) > 3);
  const unasked = await client.request<TraceResult>(TRACE, { uri, scenario: "one", kernel: "v4" });
  assert.match(unasked.refusal ?? "", /does not run under the kernel v4/, "an edit that drops a kernel ends its page tables");
  const unknown = await client.request<TraceResult>(TRACE, { uri, scenario: "one", kernel: "v99", anyKernel: true });
  assert.match(unknown.refusal ?? "", /does not run under the kernel v99/);
});

test("refusals are sentences", async () => {
  assert.match((await ask({ uri: uriOf("nowhere.memfd") })).refusal ?? "", /not open/);
  const uri = uriOf("d.memfd");
  await client.open(uri, "// nothing\n");
  assert.match((await ask({ uri })).refusal ?? "", /no scenario/);
  await client.replace(uri, TEXT);
  assert.match((await ask({ uri, scenario: "three" })).refusal ?? "", /no scenario "three"/);
});

test("cancelling ends the waiting and the runs", async () => {
  const uri = uriOf("e.memfd");
  const threads = Array.from(
    { length: 7 },
    (_, thread) => `  t${thread} { repeat 6 as i { fallocate(ram, 0, 0x1000, 4K); fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) } }`,
  );
  client.settings = { run: "manual", timeout: 600, maxStates: 200_000_000 };
  await client.open(
    uri,
    `scenario "endless" {\n  kernel v8\n  ram = memfd_create("x", MFD_INACCESSIBLE)\n  ftruncate(ram, 64K)\n  parallel {\n${threads.join("\n")}\n  }\n}\n`,
  );
  const source = new CancellationTokenSource();
  const seen = progress.length;
  const answer = client.rpc.sendRequest<KernelsResult>(KERNELS, { uri }, source.token).catch((error: Error) => ({ refusal: error.message }));
  await new Promise((done) => setTimeout(done, 300));
  source.cancel();
  assert.match((await answer).refusal ?? "", /cancel/i);
  assert.deepEqual(
    progress.slice(seen).filter((one) => one.uri === uri && one.done > 0),
    [],
    "no run came to its end",
  );
  client.settings = {};
  const other = uriOf("f.memfd");
  await client.open(other, TEXT);
  assert.equal((await client.settled(other)).running, false, "the worker is free again");
});
