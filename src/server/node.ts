// Entry of the language server under Node. The model's worker starts first, for it loads on another core. What V8 compiled of the server is kept beside other
// temporary files (node:module, since Node 22), so that the next start need not compile it again.

import * as modules from "node:module";
import { nodeWorkers, workerFile } from "./node-workers.ts";

/** Long after the first answers, and long before an editor is closed. */
const KEEP_AFTER_MILLISECONDS = 3_000;
/** As a process that a signal ends: 128 and the signal's number. */
const TERMINATED = 143;

const { enableCompileCache, flushCompileCache } = modules as { enableCompileCache?: () => unknown; flushCompileCache?: () => void };
enableCompileCache?.();
const workers = nodeWorkers(workerFile("model-worker.node.ts"), { ahead: true });
void import("./stdio.ts").then(({ serve }) => {
  serve(workers);
  if (flushCompileCache) setTimeout(flushCompileCache, KEEP_AFTER_MILLISECONDS).unref();
  // It is written at exit too, but some editors end their servers by a signal.
  process.once("SIGTERM", () => process.exit(TERMINATED));
});
