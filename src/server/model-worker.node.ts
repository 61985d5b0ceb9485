// Entry of the model worker under Node (worker_threads). Each thread keeps a compile cache of its own, so it is switched on here, before the model is loaded.

import * as modules from "node:module";

const { enableCompileCache, flushCompileCache } = modules as { enableCompileCache?: () => unknown; flushCompileCache?: () => void };
enableCompileCache?.();
void import("./model-thread.ts").then(({ serveModel }) => serveModel(() => flushCompileCache?.()));
