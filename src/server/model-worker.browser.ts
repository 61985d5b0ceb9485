// Entry of the model worker in a browser: a web worker that the server's own worker starts.

import { type ModelRequest, perform } from "./model-task.ts";

interface WorkerScope {
  onmessage: ((event: { data: ModelRequest }) => void) | null;
  postMessage(message: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;
scope.onmessage = (event) => scope.postMessage(perform(event.data, (message) => scope.postMessage(message)));
