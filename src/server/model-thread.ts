// The model worker under Node, once it is loaded: one request after the other.

import { parentPort } from "node:worker_threads";
import { type ModelMessage, type ModelRequest, perform } from "./model-task.ts";

/** `answered` is called once, after the first answer has left. */
export function serveModel(answered: () => void): void {
  const post = (message: ModelMessage): void => parentPort?.postMessage(message);
  let first = true;
  parentPort?.on("message", (request: ModelRequest) => {
    post(perform(request, post));
    if (first) setImmediate(answered);
    first = false;
  });
}
