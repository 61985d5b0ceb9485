// The language server over the wire: what an editor sees when files are opened, edited, broken, huge or closed.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { CodeAction, CodeLens, CompletionItem, DocumentSymbol, FoldingRange, Hover, InlayHint, TextEdit } from "vscode-languageserver";
import { RUN, type RunResult, STOP, STORY, type StoryResult, TRACE, type TraceResult } from "../../src/server/protocol.ts";
import { storyText } from "../../src/view/story.ts";
import { Client } from "./client.ts";

const EVERYWHERE = { start: { line: 0, character: 0 }, end: { line: 100_000, character: 0 } };
let client: Client;
let folder: string;
let files = 0;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "memfd-server-"));
  client = new Client();
  await client.initialize();
});

after(async () => {
  assert.equal(await client.close(), 0, "shutdown and exit end the process with 0");
  rmSync(folder, { recursive: true });
  assert.deepEqual(client.errors, [], "nothing on standard error, no error in the log");
});

const uriOf = (name: string): string => pathToFileURL(join(folder, name)).href;

async function open(text: string, name = `file-${(files += 1)}.memfd`): Promise<string> {
  const uri = uriOf(name);
  await client.open(uri, text);
  return uri;
}

const hints = async (uri: string): Promise<readonly string[]> => {
  const found = await client.request<InlayHint[]>("textDocument/inlayHint", { textDocument: { uri }, range: EVERYWHERE });
  return found.map((hint) => `${hint.position.line}:${hint.position.character} ${hint.label}`);
};

const scenario = (name: string, ...lines: string[]): string => `scenario "${name}" {\n  kernel v8\n${lines.map((line) => `  ${line}\n`).join("")}}\n`;

/** Threads that meet at one page: more interleavings than any limit of a test. */
const ENDLESS = scenario(
  "endless",
  'ram = memfd_create("x", MFD_INACCESSIBLE)',
  "ftruncate(ram, 64K)",
  "parallel {",
  ...Array.from({ length: 7 }, (_, thread) =>
    `  t${thread} { repeat 6 as i { fallocate(ram, 0, 0x1000, 4K) fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) } }`.replace(
      "4K) fallocate",
      "4K); fallocate",
    ),
  ),
  "}",
);

test("a file is opened: results inline, a squiggle on the broken expectation, verdicts", async () => {
  const uri = await open(scenario("closed twice", "close(-1)", "close(-1) = -EBADF", "close(-1) = 0"));
  const status = await client.settled(uri);
  assert.deepEqual(
    status.scenarios.map(({ scenario: name, kernel, state, line }) => [name, kernel, state, line]),
    [["closed twice", "v8", "fail", 0]],
  );
  assert.deepEqual(await hints(uri), ["2:11 = -EBADF", "3:20 ✓", "4:15 ✗ -EBADF"]);
  const diagnostics = await client.until("the broken expectation", () => client.diagnostics(uri)?.length === 1 && client.diagnostics(uri));
  const [{ range, severity, code, codeDescription, source }] = diagnostics;
  assert.equal(range.start.line, 4);
  assert.equal(severity, 1);
  assert.match(String(code), /^MEMFD3\d{3}$/);
  assert.equal(codeDescription?.href, `memfd-help:/${code}.md`);
  assert.equal(source, "memfd");
});

test("a quick fix writes the actual result, and the verdict follows", async () => {
  const text = scenario("fixable", "close(-1) = 0");
  const uri = await open(text);
  await client.settled(uri);
  const range = { start: { line: 2, character: 4 }, end: { line: 2, character: 4 } };
  const whole = { start: { line: 2, character: 0 }, end: { line: 2, character: 99 } };
  const params = { textDocument: { uri }, range: whole, context: { diagnostics: [] } };
  const actions = await client.request<CodeAction[]>("textDocument/codeAction", params);
  const fix = actions.find((action) => action.edit !== undefined);
  const edits = fix?.edit?.changes?.[uri] ?? [];
  assert.equal(edits.length, 1, `an edit among ${JSON.stringify(actions)} at ${JSON.stringify(range)}`);
  const lines = text.split("\n");
  const [{ range: at, newText }] = edits;
  lines[2] = lines[2].slice(0, at.start.character) + newText + lines[2].slice(at.end.character);
  assert.match(lines[2], /^ {2}close\(-1\) = -EBADF$/);
  const version = await client.replace(uri, lines.join("\n"));
  const status = await client.settled(uri, version);
  assert.equal(status.pass, 1);
  await client.until("no squiggle", () => client.diagnostics(uri)?.length === 0);
});

test("an edit that only moves a scenario moves its squiggle without a new run", async () => {
  const text = scenario("moved", "close(-1) = 0");
  const uri = await open(text);
  await client.settled(uri);
  await client.until("the squiggle", () => client.diagnostics(uri)?.[0]?.range.start.line === 2);
  const seen = client.statuses.length;
  const version = await client.replace(uri, `// one\n// two\n${text}`);
  await client.settled(uri, version);
  await client.until("the moved squiggle", () => client.diagnostics(uri)?.[0]?.range.start.line === 4);
  assert.deepEqual(
    client.statuses.slice(seen).filter(({ running }) => running),
    [],
  );
});

test("a newer edit cancels an endless run at once", async () => {
  const uri = await open(ENDLESS);
  await client.until("the run", () => client.statuses.findLast((status) => status.uri === uri)?.running);
  const before = performance.now();
  const version = await client.replace(uri, scenario("quick", "close(-1) = 0"));
  const status = await client.settled(uri, version);
  const took = performance.now() - before;
  assert.equal(status.fail, 1);
  assert.ok(took < 8_000, `${Math.round(took)} ms`);
  const versions = client.published.filter((one) => one.uri === uri && one.version !== undefined).map((one) => one.version ?? 0);
  assert.deepEqual(
    versions,
    [...versions].sort((one, other) => one - other),
    "no answer for an older text after one for a newer",
  );
});

test("while an endless run goes on, requests are answered; stop makes it incomplete, never a pass", async () => {
  const uri = await open(`${ENDLESS}\n${scenario("other", "close(-1)")}`);
  await client.until("the run", () => client.statuses.findLast((status) => status.uri === uri)?.running);
  const before = performance.now();
  const symbols = await client.request<DocumentSymbol[]>("textDocument/documentSymbol", { textDocument: { uri } });
  const took = performance.now() - before;
  assert.deepEqual(
    symbols.map(({ name }) => name),
    ["endless", "other"],
  );
  assert.ok(took < 5_000, `${Math.round(took)} ms`);
  await client.request(STOP, {});
  const status = await client.settled(uri);
  const endless = status.scenarios.find((one) => one.scenario === "endless");
  assert.equal(endless?.state, "incomplete");
  assert.match(endless?.reason ?? "", /^stopped (after|before) /);
  const again = await client.request<RunResult>(RUN, { uri, scenario: "other" });
  assert.deepEqual(
    again.verdicts.map(({ scenario: name, state }) => [name, state]),
    [["other", "pass"]],
  );
  await client.rpc.sendNotification("textDocument/didClose", { textDocument: { uri } });
});

test("a client's cancellation ends the waiting for a run", async () => {
  const uri = await open(ENDLESS);
  const { CancellationTokenSource } = await import("vscode-languageserver/node");
  const source = new CancellationTokenSource();
  const answer = client.rpc.sendRequest<RunResult>(RUN, { uri }, source.token).catch((error: Error) => error);
  await client.until("the run", () => client.statuses.findLast((status) => status.uri === uri)?.running);
  source.cancel();
  assert.ok((await answer) !== undefined);
  await client.rpc.sendNotification("textDocument/didClose", { textDocument: { uri } });
  const closed = await client.until("the closed status", () => client.statuses.findLast((status) => status.uri === uri && status.scenarios.length === 0));
  assert.equal(closed.running, false);
});

test("the story of a scenario, by name and by the cursor's position; a refusal says why", async () => {
  const uri = await open(`${scenario("first", "close(-1)")}${scenario("second", "close(-1)")}${scenario("broken", "close(")}`);
  await client.settled(uri);
  const named = await client.request<TraceResult>(TRACE, { uri, scenario: "first" });
  assert.equal(named.trace?.scenario, "first");
  assert.deepEqual(named.trace?.files, [uri]);
  assert.equal(named.trace?.steps.at(-1)?.line, 3);
  const under = await client.request<TraceResult>(TRACE, { uri, position: { line: 6, character: 3 } });
  assert.equal(under.trace?.scenario, "second");
  assert.match((await client.request<TraceResult>(TRACE, { uri, scenario: "broken" })).refusal ?? "", /Line 11: this parenthesis is not closed/);
  assert.match((await client.request<TraceResult>(TRACE, { uri, scenario: "none" })).refusal ?? "", /no scenario "none"/);
  assert.match((await client.request<TraceResult>(TRACE, { uri, scenario: "first", kernel: "v4" })).refusal ?? "", /under v8/);
  assert.match((await client.request<TraceResult>(TRACE, { uri: uriOf("closed.memfd") })).refusal ?? "", /not open/);
});

test("the story as text is what the command line prints; a refusal says why", async () => {
  const uri = await open(scenario("first", "close(-1) = 0"));
  await client.settled(uri);
  const { trace } = await client.request<TraceResult>(TRACE, { uri, scenario: "first" });
  const story = await client.request<StoryResult>(STORY, { uri, position: { line: 2, character: 3 } });
  assert.ok(trace !== undefined);
  assert.deepEqual(story, { text: storyText(trace), scenario: "first", kernel: "v8" });
  assert.match(story.text ?? "", /close\(-1\) \(line \d+\) answers -EBADF, which its line does not expect/);
  assert.match((await client.request<StoryResult>(STORY, { uri, scenario: "none" })).refusal ?? "", /no scenario "none"/);
  assert.match((await client.request<StoryResult>(STORY, { uri: uriOf("closed.memfd") })).refusal ?? "", /not open/);
});

test("several kernels: each its own verdict, lens and result", async () => {
  const uri = await open('scenario "two" {\n  kernel v4, v8\n  close(-1) = -EBADF\n}\n');
  const status = await client.settled(uri);
  assert.deepEqual(
    status.scenarios.map(({ kernel, state }) => [kernel, state]),
    [
      ["v4", "pass"],
      ["v8", "pass"],
    ],
  );
  const lenses = await client.request<CodeLens[]>("textDocument/codeLens", { textDocument: { uri } });
  assert.deepEqual(
    lenses.map(({ command }) => command?.title),
    ["Run", "Show page tables", "✓ v4", "✓ v8", "Compare kernels", "Export C"],
  );
});

test("hover tells the prototype, what came back and the memory after it", async () => {
  const uri = await open(scenario("hovered", 'ram = memfd_create("x", MFD_INACCESSIBLE)', "ftruncate(ram, 16K)"));
  await client.settled(uri);
  const hover = await client.request<Hover | null>("textDocument/hover", { textDocument: { uri }, position: { line: 3, character: 5 } });
  const text = typeof hover?.contents === "object" && "value" in hover.contents ? hover.contents.value : "";
  assert.match(text, /ftruncate/);
  assert.match(text, /Returned here/);
  assert.match(text, /Memory after it/);
});

test("completion, folding and formatting", async () => {
  const uri = await open('scenario "ugly" {\nkernel v8\n      close( -1 )\n}\n');
  const folds = await client.request<FoldingRange[]>("textDocument/foldingRange", { textDocument: { uri } });
  assert.deepEqual(folds, [{ startLine: 0, endLine: 2 }]);
  const edits = await client.request<TextEdit[]>("textDocument/formatting", { textDocument: { uri }, options: { tabSize: 2, insertSpaces: true } });
  assert.equal(edits.length, 1);
  const items = await client.request<CompletionItem[]>("textDocument/completion", { textDocument: { uri }, position: { line: 2, character: 6 } });
  assert.ok(
    items.some(({ label }) => label === "memfd_create"),
    `${items.length} items`,
  );
});

test("imports: an open document before the disk, and its edit reaches who imports it", async () => {
  writeFileSync(join(folder, "library.memfd"), "setup closes {\n  close(-1) = 0\n}\n");
  const uri = await open(`import "library.memfd"\n${scenario("imports", "use closes")}`);
  assert.equal((await client.settled(uri)).fail, 1);
  const shown = await client.until("the finding in the import", () => client.diagnostics(uri)?.length === 1 && client.diagnostics(uri)?.[0]);
  assert.equal(shown.range.start.line, 1, "on the scenario that uses it");
  assert.equal(shown.relatedInformation?.[0].location.uri, uriOf("library.memfd"));
  await open("setup closes {\n  close(-1) = -EBADF\n}\n", "library.memfd");
  await client.until("the new verdict", () => client.statuses.findLast((status) => status.uri === uri)?.pass === 1);
  await client.until("no squiggle", () => client.diagnostics(uri)?.length === 0);
});

test("an import that is not there, itself, a folder, or on another machine is a finding on its line", async () => {
  for (const path of ["missing.memfd", "self.memfd", ".", "//host/share/x.memfd", "/dev/zero"]) {
    const uri = await open(`import "${path}"\n${scenario("s", "close(-1)")}`, "self.memfd");
    const found = await client.until(path, () => client.diagnostics(uri)?.find(({ severity }) => severity === 1));
    assert.equal(found.range.start.line, 0, path);
    await client.rpc.sendNotification("textDocument/didClose", { textDocument: { uri } });
    await client.until("cleared", () => client.diagnostics(uri)?.length === 0);
  }
});

test("the settings decide: manual runs nothing by itself, a command does; a limit of states is incomplete", async () => {
  client.settings = { run: "manual", maxStates: 1000, timeout: 5 };
  try {
    const uri = await open(ENDLESS);
    const status = await client.until("the status", () => client.statuses.findLast((one) => one.uri === uri && one.scenarios.length > 0));
    assert.deepEqual(
      status.scenarios.map(({ state }) => state),
      ["notRun"],
    );
    const { verdicts } = await client.request<RunResult>(RUN, { uri });
    assert.deepEqual(
      verdicts.map(({ state }) => state),
      ["incomplete"],
    );
    assert.match(verdicts[0].reason ?? "", /^the limit of 1,000 states, \d+ to go at depth \d+$/);
  } finally {
    client.settings = {};
  }
});

test("bad input is answered, on a line, and the server lives on", async () => {
  const texts = [
    "",
    "\0\0\0",
    "\ufffd\ufffd",
    "{".repeat(20_000),
    '"'.repeat(5_000),
    "scenario",
    "kernel all\nclose(-1)\n",
    "}\n".repeat(2_000),
    "import\n",
    "\u{1f600}".repeat(1_000),
  ];
  for (const text of texts) {
    const uri = await open(text);
    const symbols = await client.request<DocumentSymbol[]>("textDocument/documentSymbol", { textDocument: { uri } });
    assert.ok(Array.isArray(symbols));
    await hints(uri);
    for (const method of ["hover", "completion"])
      await client.request(`textDocument/${method}`, { textDocument: { uri }, position: { line: 9_999_999, character: 9_999_999 } });
    await client.rpc.sendNotification("textDocument/didClose", { textDocument: { uri } });
  }
  const uri = await open(scenario("alive", "close(-1)"));
  assert.equal((await client.settled(uri)).pass, 1);
});

test("requests without sense are refused or empty", async () => {
  const closed = { textDocument: { uri: uriOf("closed.memfd") } };
  assert.equal(await client.request("textDocument/hover", { ...closed, position: { line: 0, character: 0 } }), null);
  assert.equal(await client.request("textDocument/codeLens", closed), null);
  assert.deepEqual(await client.request(RUN, {}), { verdicts: [] });
  assert.deepEqual(await client.request(TRACE, null), { refusal: "The document is not open." });
  assert.equal(await client.request(STOP, null), null);
  await assert.rejects(client.request("memfd/unknown", {}));
});

test("ten megabytes: one answer, in bounded time, and the server lives on", async () => {
  const uri = await open(`scenario "big" {\n${"  close(-1)\n".repeat(900_000)}}\n`);
  const before = performance.now();
  await client.until("a finding", () => (client.diagnostics(uri)?.length ?? 0) > 0);
  const took = performance.now() - before;
  assert.ok(took < 60_000, `${Math.round(took)} ms`);
  await client.rpc.sendNotification("textDocument/didClose", { textDocument: { uri } });
  const other = await open(scenario("after", "close(-1)"));
  assert.equal((await client.settled(other)).pass, 1);
});

test("closing clears the squiggles", async () => {
  const uri = await open(scenario("gone", "close(-1) = 0"));
  await client.until("the squiggle", () => client.diagnostics(uri)?.length === 1);
  await client.rpc.sendNotification("textDocument/didClose", { textDocument: { uri } });
  await client.until("none", () => client.diagnostics(uri)?.length === 0);
});

test("the server ends by itself when the client is gone", async () => {
  const lost = new Client();
  await lost.initialize();
  lost.process.stdin?.end();
  assert.equal(await lost.exited, 1);
  lost.rpc.dispose();
});
