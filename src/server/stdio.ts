// The server as a process of its own: LSP over stdio, model runs in worker threads, imports from the file system. `memfd lsp --stdio` starts the same.

import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { createConnection } from "vscode-languageserver/node";
import type { ModelPort, WorkerFactory } from "./lane.ts";
import type { ModelAnswer } from "./model-task.ts";
import { startServer } from "./server.ts";
import { type FileHost, MAX_FILE_BYTES } from "./texts.ts";

/** Bundled, the worker's file lies beside this one; from the sources it is the TypeScript file itself, which newer Nodes load. */
function workerFile(): string {
  return typeof __dirname === "string" ? join(__dirname, "model-worker.js") : join(dirname(process.argv[1]), "model-worker.node.ts");
}

const workers: WorkerFactory = {
  shared: true,
  start(): ModelPort {
    // Standard output belongs to the protocol.
    const worker = new Worker(workerFile(), { stdout: true });
    // An idle worker does not keep the process alive after the client has gone.
    worker.unref();
    return {
      post: (request) => worker.postMessage(request),
      listen(listener) {
        let reason: string | undefined;
        worker.on("message", (answer: ModelAnswer) => listener(answer));
        worker.on("messageerror", (error) => {
          reason = error.message;
          void worker.terminate();
        });
        worker.on("error", (error) => {
          reason = error instanceof Error ? error.message : String(error);
        });
        worker.on("exit", () => listener(undefined, reason));
      },
      terminate: () => void worker.terminate(),
    };
  },
};

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

export function serve(): void {
  startServer(createConnection(process.stdin, process.stdout), { files, workers });
}
