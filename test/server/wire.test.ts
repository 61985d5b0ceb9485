// The process behind the protocol: what comes over standard input in whatever shape, and how it ends.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Message as AnyMessage, StreamMessageReader } from "vscode-jsonrpc/node";

const ENTRY = fileURLToPath(new URL("../../src/server/node.ts", import.meta.url));
const PATIENCE_MILLISECONDS = 20_000;

interface Message {
  readonly id?: number | null;
  readonly method?: string;
  readonly result?: unknown;
  readonly error?: { readonly code: number };
}

function start(context: TestContext, environment: NodeJS.ProcessEnv = {}) {
  const server: ChildProcess = spawn(process.execPath, [ENTRY, "--stdio"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  context.after(() => server.kill("SIGKILL"));
  const received: Message[] = [];
  let wake = (): void => undefined;
  new StreamMessageReader(server.stdout as NodeJS.ReadableStream).listen((message: AnyMessage) => {
    received.push(message as Message);
    wake();
  });
  const exited = new Promise<number | null>((done) => server.on("exit", done));
  const answer = async (wanted: (message: Message) => boolean): Promise<Message> => {
    const deadline = Date.now() + PATIENCE_MILLISECONDS;
    for (;;) {
      const found = received.find(wanted);
      if (found !== undefined) return found;
      assert.ok(Date.now() < deadline, `no answer among ${JSON.stringify(received).slice(0, 500)}`);
      await new Promise<void>((done) => {
        const timer = setTimeout(done, 250);
        wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  };
  const write = (bytes: Uint8Array | string): void => void server.stdin?.write(bytes);
  const send = (message: object): void => {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  send({ id: 1, method: "initialize", params: { processId: null, rootUri: null, capabilities: {} } });
  return { server, exited, answer, write, send };
}

test("what is no JSON is told of, and the next message is read", async (context) => {
  const { answer, write, send, exited } = start(context);
  write("Content-Length: 5\r\n\r\n{no}!");
  await answer(({ method }) => method === "window/logMessage");
  send({ id: 2, method: "memfd/nothing" });
  assert.equal((await answer(({ id }) => id === 2)).error?.code, -32601);
  send({ id: 3, method: "shutdown" });
  assert.equal((await answer(({ id }) => id === 3)).result, null);
  send({ method: "exit" });
  assert.equal(await exited, 0);
});

test("an end without shutdown is an error: by exit, and by a closed pipe", async (context) => {
  const [first, second] = [start(context), start(context)];
  await Promise.all([first, second].map(({ answer }) => answer(({ id }) => id === 1)));
  first.send({ method: "exit" });
  second.server.stdin?.end();
  assert.deepEqual(await Promise.all([first.exited, second.exited]), [1, 1]);
});

test("the process that started the server is gone, although its pipe is still open", async (context) => {
  const parent = spawn(process.execPath, ["--eval", "setInterval(() => 0, 1000)"], { stdio: "ignore" });
  context.after(() => parent.kill("SIGKILL"));
  const { exited, send, answer } = start(context);
  await answer(({ id }) => id === 1);
  send({ id: 2, method: "initialize", params: { processId: parent.pid, rootUri: null, capabilities: {} } });
  await answer(({ id }) => id === 2);
  const ended = new Promise((done) => parent.on("exit", done));
  parent.kill("SIGKILL");
  await ended;
  assert.equal(await exited, 1);
});

test("a signal ends the server, and what V8 compiled is kept for the next start", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "memfd-cache-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const { server, answer, exited } = start(context, { TMPDIR: folder, TMP: folder, TEMP: folder, NODE_COMPILE_CACHE: undefined });
  await answer(({ id }) => id === 1);
  server.kill("SIGTERM");
  assert.equal(await exited, 143);
  const kept = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.ok(kept.length > 0, "no compile cache was written");
});
