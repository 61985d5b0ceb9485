// Entry of the server as a web worker. The client sends the text of the model worker first, for a worker cannot know where the extension's files are served from.

import { BrowserMessageReader, BrowserMessageWriter, createConnection } from "vscode-languageserver/browser";
import type { ModelPort, WorkerFactory } from "./lane.ts";
import type { ModelAnswer } from "./model-task.ts";
import { startServer } from "./server.ts";
import { NO_FILES } from "./texts.ts";

/** The little of a worker's scope that is used here; the types of a page's scope do not fit. */
interface Scope {
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  removeEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  readonly crossOriginIsolated?: boolean;
}

const scope = globalThis as unknown as Scope & DedicatedScope;
type DedicatedScope = ConstructorParameters<typeof BrowserMessageReader>[0];

function workerFactory(source: string): WorkerFactory {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return {
    // Without cross-origin isolation there is no shared memory: a run is then stopped by ending its worker.
    shared: typeof SharedArrayBuffer === "function" && scope.crossOriginIsolated === true,
    start(): ModelPort {
      const worker = new Worker(url);
      return {
        post: (request) => worker.postMessage(request),
        listen(listener) {
          worker.onmessage = (event: MessageEvent<ModelAnswer>) => listener(event.data);
          worker.onerror = (event) => {
            worker.terminate();
            listener(undefined, event.message);
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
  startServer(createConnection(new BrowserMessageReader(scope), new BrowserMessageWriter(scope)), { files: NO_FILES, workers: workerFactory(source) });
}

scope.addEventListener("message", start);
