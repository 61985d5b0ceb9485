// The server as it runs in a browser host: a web worker in a real Chromium, with the model in a worker inside it, and imports read by the client.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import type { PublishDiagnosticsParams } from "vscode-languageserver";
import type { KernelsResult, StatusParams, StoryResult } from "../../src/server/protocol.ts";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu"];

async function bundle(entry: string): Promise<string> {
  const entryPoints = [fileURLToPath(new URL(`../../src/server/${entry}`, import.meta.url))];
  const { outputFiles } = await build({
    entryPoints,
    bundle: true,
    write: false,
    platform: "browser",
    target: "chrome132",
    format: "iife",
    logLevel: "silent",
  });
  return outputFiles[0].text;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
}

/** Runs in the page: starts the worker, opens a document, answers `memfd/readFile`, and returns all that came until `last` says enough. */
async function drive(input: { server: string; model: string; text: string; library: string }): Promise<Message[]> {
  const worker = new Worker(URL.createObjectURL(new Blob([input.server], { type: "text/javascript" })));
  const received: Message[] = [];
  const uri = "vscode-vfs://host/folder/a.memfd";
  const send = (message: object): void => worker.postMessage({ jsonrpc: "2.0", ...message });
  const done = new Promise<void>((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(event.message));
    setTimeout(() => reject(new Error(`not done: ${JSON.stringify(received).slice(0, 2000)}`)), 20_000);
    worker.onmessage = ({ data }: MessageEvent<Message>) => {
      received.push(data);
      if (data.id !== undefined && data.method === "memfd/readFile") send({ id: data.id, result: { text: input.library } });
      else if (data.id !== undefined && data.method !== undefined) send({ id: data.id, result: null });
      const status = data.method === "memfd/status" ? (data.params as { running: boolean; pass: number; fail: number }) : undefined;
      if (status !== undefined && !status.running && status.pass + status.fail > 0) send({ id: 7, method: "memfd/story", params: { uri, scenario: "s" } });
      if (data.id === 7 && data.method === undefined) send({ id: 8, method: "memfd/kernels", params: { uri, scenario: "s" } });
      if (data.id === 8 && data.method === undefined) setTimeout(resolve, 300);
    };
  });
  worker.postMessage({ modelWorker: input.model });
  send({ id: 1, method: "initialize", params: { processId: null, rootUri: null, capabilities: {}, initializationOptions: { readFile: true } } });
  send({ method: "initialized", params: {} });
  send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "memfd", version: 1, text: input.text } } });
  await done;
  worker.terminate();
  return received;
}

test("opens, imports through the client, runs the model in a nested worker, publishes", {
  skip: !existsSync(CHROMIUM) && `SKIPPED: no Chromium at ${CHROMIUM}; the web worker was not tried in a browser`,
}, async (context: TestContext) => {
  const [server, model] = await Promise.all([bundle("browser.ts"), bundle("model-worker.browser.ts")]);
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  context.after(() => browser.close());
  const page = await browser.newPage();
  const text = 'import "library.memfd"\nscenario "s" {\n  kernel v8\n  use closes\n  close(-1) = 0\n}\n';
  const library = "setup closes {\n  close(-1) = -EBADF\n}\n";
  const received = await page.evaluate(drive, { server, model, text, library });
  const asked = received.filter(({ method }) => method === "memfd/readFile").map(({ params }) => params);
  assert.deepEqual(asked, [{ uri: "vscode-vfs://host/folder/library.memfd" }], "asked once");
  const status = received.findLast(({ method }) => method === "memfd/status")?.params as StatusParams;
  assert.deepEqual([status.fail, status.pass], [1, 0]);
  const story = received.find(({ id, method }) => id === 7 && method === undefined)?.result as StoryResult;
  assert.match(story.text ?? "", /^"s"\nKernel v8: /);
  assert.match(story.text ?? "", /Verdict: fail;/);
  const compared = received.find(({ id, method }) => id === 8 && method === undefined)?.result as KernelsResult | undefined;
  const kernels = compared?.kernels;
  assert.deepEqual(
    [kernels?.kernels.some((column) => column.kernel === "v4"), kernels?.agreed, kernels?.reference],
    [true, 2, kernels?.kernels.findIndex((column) => column.kernel === "v8")],
  );
  assert.ok(
    kernels?.kernels.every((column) => column.verdict === "fail"),
    "-EBADF, not 0, under each",
  );
  const published = received.findLast(({ method }) => method === "textDocument/publishDiagnostics")?.params as PublishDiagnosticsParams;
  assert.deepEqual(
    published.diagnostics.map(({ range }) => range.start.line),
    [4],
  );
});
