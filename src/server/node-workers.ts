// Model workers as threads of a Node process: for the server over stdio and for the command line.

import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import type { ModelPort, WorkerEnd, WorkerFactory } from "./lane.ts";
import type { ModelMessage } from "./model-task.ts";

/**
 * Objects and strings of one worker: the machine, what was collected, the report. States lie in typed arrays outside of it and have a limit of their own, so
 * this much is never reached by a scenario that a person writes; a worker that does reach it ends, and nobody else.
 */
const HEAP_MEGABYTES = 1024;
/** A third would only take time from the two and from the editor. */
const MOST_WORKERS = 2;

/** Bundled, the worker's file lies beside the entry; from the sources it is the TypeScript file, `source` from the entry's folder, which newer Nodes load. */
export function workerFile(source: string): string {
  return typeof __dirname === "string" ? join(__dirname, "model-worker.js") : join(dirname(process.argv[1]), source);
}

export interface NodeWorkerOptions {
  readonly heapMegabytes?: number;
  readonly parallel?: number;
  /** Starts the first worker at once: it loads on another core while this thread loads the rest. */
  readonly ahead?: boolean;
}

export function nodeWorkers(file: string | URL, options: NodeWorkerOptions = {}): WorkerFactory {
  const start = (): ModelPort => startWorker(file, options.heapMegabytes ?? HEAP_MEGABYTES);
  let ahead = options.ahead === true ? start() : undefined;
  return {
    shared: true,
    parallel: options.parallel ?? Math.min(MOST_WORKERS, availableParallelism()),
    start() {
      const port = ahead ?? start();
      ahead = undefined;
      return port;
    },
  };
}

function startWorker(file: string | URL, heapMegabytes: number): ModelPort {
  // Standard output belongs to the protocol, or to the report. Errors are handed on once the thread is under way.
  const worker = new Worker(file, { stdout: true, stderr: true, resourceLimits: { maxOldGenerationSizeMb: heapMegabytes } });
  worker.stderr.on("data", (text) => void process.stderr.write(text));
  // An idle worker does not keep the process alive after the client has gone.
  worker.unref();
  return {
    post: (request) => worker.postMessage(request),
    listen(listener) {
      let end: WorkerEnd | undefined;
      worker.on("message", (message: ModelMessage) => listener(message));
      worker.on("messageerror", (error) => {
        end = { reason: error.message, memory: false };
        void worker.terminate();
      });
      worker.on("error", (error: unknown) => {
        const { code, message } = error as NodeJS.ErrnoException;
        end = { reason: message ?? String(error), memory: code === "ERR_WORKER_OUT_OF_MEMORY" };
      });
      worker.on("exit", () => listener(undefined, end));
    },
    terminate: () => void worker.terminate(),
  };
}
