// Entry of the language server under Node. The model's worker starts first, for it loads on another core. What V8 compiled of the server is kept beside other
// temporary files (node:module, since Node 22), so that the next start need not compile it again.

import * as modules from "node:module";
import { nodeWorkers, workerFile } from "./node-workers.ts";

/** Long after the first answers, and long before an editor is closed. */
const KEEP_AFTER_MILLISECONDS = 3_000;

const { enableCompileCache, flushCompileCache } = modules as { enableCompileCache?: () => unknown; flushCompileCache?: () => void };
enableCompileCache?.();
const workers = nodeWorkers(workerFile("model-worker.node.ts"), { ahead: true });
void import("./stdio.ts").then(({ serve }) => {
  serve(workers);
  // Written at exit too, but an editor ends its servers by a signal.
  if (flushCompileCache) setTimeout(flushCompileCache, KEEP_AFTER_MILLISECONDS).unref();
});
