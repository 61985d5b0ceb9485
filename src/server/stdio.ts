// The server as a process of its own: LSP over stdio, model runs in worker threads, imports from the file system. `memfd lsp --stdio` starts the same.

import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createMessageConnection } from "vscode-jsonrpc/node";
import type { WorkerFactory } from "./lane.ts";
import { startServer } from "./server.ts";
import { type FileHost, MAX_FILE_BYTES } from "./texts.ts";

/** A client that ended without a word is noticed after this time, where its end leaves our standard input open. */
const ALIVE_MILLISECONDS = 3_000;

const decoder = new TextDecoder("utf-8");
/** Texts by URI, as long as the file's time and size stay. */
const known = new Map<string, { readonly modified: number; readonly size: number; readonly text: string }>();
const MAX_KNOWN = 256;

const files: FileHost = {
  read(uri) {
    try {
      if (!uri.startsWith("file:")) return undefined;
      const path = fileURLToPath(uri);
      const stat = statSync(path);
      // A pipe or a device would never end.
      if (!stat.isFile() || stat.size > MAX_FILE_BYTES) return undefined;
      const old = known.get(uri);
      if (old !== undefined && old.modified === stat.mtimeMs && old.size === stat.size) return old.text;
      const text = decoder.decode(readFileSync(path));
      if (known.size >= MAX_KNOWN) known.clear();
      known.set(uri, { modified: stat.mtimeMs, size: stat.size, text });
      return text;
    } catch {
      return undefined;
    }
  },
};

export function serve(workers: WorkerFactory): void {
  const server = startServer((logger) => createMessageConnection(process.stdin, process.stdout, logger), {
    files,
    workers,
    machine: async () => (await import("../export/c/machine.ts")).thisMachine,
    client(processId) {
      const watch = setInterval(() => void (isAlive(processId) || server.gone()), ALIVE_MILLISECONDS);
      watch.unref();
    },
    exit: (code) => process.exit(code),
    now,
  });
  for (const end of ["end", "close"]) process.stdin.on(end, () => server.gone());
  // A client that does not read any more is gone.
  process.stdout.on("error", () => server.gone());
}

function now(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

/** One that belongs to another user is alive too. */
function isAlive(processId: number): boolean {
  try {
    return process.kill(processId, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
