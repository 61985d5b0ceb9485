#!/usr/bin/env node
// Entry of the command `memfd` under Node: keeps what V8 compiled for the next start (node:module, since Node 22), then loads the rest.

import * as modules from "node:module";

const { enableCompileCache } = modules as { enableCompileCache?: () => unknown };
enableCompileCache?.();
void import("./main.ts");
