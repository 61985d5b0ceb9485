// Entry of the model worker under Node (worker_threads).

import { parentPort } from "node:worker_threads";
import { type ModelRequest, perform } from "./model-task.ts";

parentPort?.on("message", (request: ModelRequest) => parentPort?.postMessage(perform(request, (message) => parentPort?.postMessage(message))));
