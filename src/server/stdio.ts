// The server as a process of its own: LSP over stdio, model runs in worker threads, imports from the file system. `memfd lsp --stdio` starts the same.

import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createConnection } from "vscode-languageserver/node";
import { thisMachine } from "../export/c/machine.ts";
import type { WorkerFactory } from "./lane.ts";
import { startServer } from "./server.ts";
import { type FileHost, MAX_FILE_BYTES } from "./texts.ts";

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
  startServer(createConnection(process.stdin, process.stdout), { files, workers, machine: thisMachine });
}
