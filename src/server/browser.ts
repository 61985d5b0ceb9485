// Entry of the server as a web worker. The client sends the text of the model worker first, for a worker cannot know where the extension's files are served
// from.

import { BrowserMessageReader, BrowserMessageWriter, createMessageConnection, type Logger, type MessageConnection } from "vscode-jsonrpc/browser";
import type { ModelPort, WorkerFactory } from "./lane.ts";
import type { ModelMessage } from "./model-task.ts";
import { startServer } from "./server.ts";
import { NO_FILES } from "./texts.ts";

/** The little of a worker's scope that is used here; the types of a page's scope do not fit. */
interface Scope {
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  removeEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  postMessage(message: unknown): void;
  readonly crossOriginIsolated?: boolean;
  readonly navigator?: { readonly hardwareConcurrency?: number };
}

/** As in node-workers.ts: a third would only take time from the two and from the editor. */
const MOST_WORKERS = 2;
/** How browsers say that a worker's heap or an array of it could not grow. */
const OUT_OF_MEMORY = /out of memory|allocation failed/i;

const scope = globalThis as unknown as Scope;

const connect = (logger: Logger): MessageConnection => {
  const port = scope as unknown as Worker;
  return createMessageConnection(new BrowserMessageReader(port), new BrowserMessageWriter(port), logger);
};

function workerFactory(source: string): WorkerFactory {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return {
    // Without cross-origin isolation there is no shared memory: a run is then stopped by ending its worker.
    shared: typeof SharedArrayBuffer === "function" && scope.crossOriginIsolated === true,
    parallel: Math.min(MOST_WORKERS, scope.navigator?.hardwareConcurrency ?? 1),
    start(): ModelPort {
      const worker = new Worker(url);
      return {
        post: (request) => worker.postMessage(request),
        listen(listener) {
          worker.onmessage = (event: MessageEvent<ModelMessage>) => listener(event.data);
          worker.onerror = (event) => {
            worker.terminate();
            listener(undefined, { reason: event.message, memory: OUT_OF_MEMORY.test(event.message) });
          };
        },
        terminate: () => worker.terminate(),
      };
    },
  };
}

function start(event: MessageEvent): void {
  const source = (event.data as { modelWorker?: unknown } | undefined)?.modelWorker;
  if (typeof source !== "string") return;
  scope.removeEventListener("message", start);
  startServer(connect, { files: NO_FILES, workers: workerFactory(source) });
}

scope.addEventListener("message", start);
