// The bars without a peer: a keystroke, a huge guest, the start of the server up to its first diagnostics, the size of the package.

import { spawn, spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { median, quoted, timed } from "./table.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const STARTS = 7;
const STARTED = join(ROOT, "scenarios/series/v8-punch-window.memfd");
const DEADLINE = 20_000;

/** `product`: the bundle of product.ts. */
export function measureProduct(table, { folder, product }) {
  const { output } = timed(folder, `${quoted(process.execPath)} ${quoted(product)}`);
  const { keystroke, small, huge } = JSON.parse(output);
  table.single("a keystroke in a 5,000-line file of 500 scenarios, median", median(keystroke), "ms", 50);
  table.single("a scenario on a 1 TiB guest against the same on 16 MiB", median(huge) / median(small), "×", 2);
}

/** Builds what ships, starts its server as an editor does, and packs it. */
export async function measurePackage(table, { folder }) {
  const built = spawnSync(process.execPath, [join(ROOT, "esbuild.mjs")], { cwd: ROOT, encoding: "utf8" });
  if (built.status !== 0) {
    const why = `the build failed: ${(built.stderr || built.stdout).trim().split("\n")[0]}`;
    table.skipped("start of the server to first diagnostics", why);
    table.skipped("VSIX size", why);
    return;
  }
  const starts = [];
  for (let round = 0; round < STARTS; round++) starts.push(await firstDiagnostics());
  table.single(`server's start to first diagnostics (${STARTED.split("/").at(-1)}), median`, median(starts), "ms", 300);
  // In a process of its own, because the packer lists all files on standard output.
  const file = join(folder, "memfd.vsix");
  const script = `import { packVsix } from ${JSON.stringify(new URL("../host/package.mjs", import.meta.url).href)}; await packVsix(${JSON.stringify(file)});`;
  const packed = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { cwd: ROOT, encoding: "utf8" });
  if (packed.status === 0) table.single("VSIX size", statSync(file).size / 1e6, "MB", 1.5);
  else table.skipped("VSIX size", packed.stderr.trim().split("\n").at(-1));
}

/** Milliseconds from the start of the process to the first notification that holds a diagnostic of a model run. */
function firstDiagnostics() {
  const text = readFileSync(STARTED, "utf8");
  const uri = pathToFileURL(STARTED).href;
  const from = performance.now();
  const server = spawn(process.execPath, [join(ROOT, "out/server.js"), "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
  const send = (message) => {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(reject, new Error("the server published nothing")), DEADLINE);
    const end = (settle, value) => {
      clearTimeout(timer);
      server.removeAllListeners();
      server.kill();
      settle(value);
    };
    server.once("exit", (code) => end(reject, new Error(`the server ended (${code})`)));
    receive(server.stdout, ({ id, method, params }) => {
      if (id === 1) {
        send({ method: "initialized", params: {} });
        send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "memfd", version: 1, text } } });
      } else if (id !== undefined && method !== undefined) {
        send({ id, result: method === "workspace/configuration" ? params.items.map(() => null) : null });
      } else if (method === "textDocument/publishDiagnostics" && params.diagnostics.length > 0) end(resolve, performance.now() - from);
    });
    send({ id: 1, method: "initialize", params: { processId: process.pid, rootUri: pathToFileURL(ROOT).href, capabilities: {} } });
  });
}

/** Calls back for every message of LSP's framing. */
function receive(stream, onMessage) {
  let rest = Buffer.alloc(0);
  stream.on("data", (data) => {
    rest = Buffer.concat([rest, data]);
    for (;;) {
      const head = rest.indexOf("\r\n\r\n");
      const length = Number(/Content-Length: (\d+)/i.exec(rest.toString("utf8", 0, Math.max(0, head)))?.[1] ?? Number.NaN);
      if (head < 0 || Number.isNaN(length) || rest.length < head + 4 + length) return;
      const body = rest.toString("utf8", head + 4, head + 4 + length);
      rest = rest.subarray(head + 4 + length);
      onMessage(JSON.parse(body));
    }
  });
}
