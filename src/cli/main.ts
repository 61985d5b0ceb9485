#!/usr/bin/env node
// The command `memfd`: the same engine as the editor's, on files. Bundled as out/cli.js.

import { check } from "../check/index.ts";
import { locate } from "../check/locate.ts";
import { format } from "../language/format.ts";
import { analyse } from "../language/index.ts";
import { trace } from "../view/trace.ts";
import type { Engine, SyntaxTree } from "./environment.ts";
import { realFiles } from "./files.ts";
import { runCommand } from "./run.ts";
import { VERSION } from "./version.ts";

const engine: Engine = {
  analyse(file, text, options) {
    const { findings, programs, outline, tree } = analyse(file, text, options);
    return { findings, programs, outline, tree: tree as SyntaxTree | undefined };
  },
  check,
  locate,
  trace,
  format,
};

// `memfd check … | head` closes the pipe early: no reason for a stack trace.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = runCommand(
  process.argv.slice(2),
  {
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
    now: () => performance.now(),
    files: realFiles,
    engine,
  },
  VERSION,
);
