// The command `memfd`: the same engine as the editor's, on files. Started by node.ts, bundled as out/cli.js.

import { check, DEFAULT_LIMITS } from "../check/index.ts";
import { locate } from "../check/locate.ts";
import { thisMachine } from "../export/c/machine.ts";
import { format } from "../language/format.ts";
import { analyse } from "../language/index.ts";
import { kernelsOf, underKernel } from "../language/under.ts";
import { nodeWorkers, workerFile } from "../server/node-workers.ts";
import { SuggestLane } from "../server/suggest-lane.ts";
import { trace } from "../view/trace.ts";
import { type Engine, EXIT } from "./environment.ts";
import { realFiles } from "./files.ts";
import { Models } from "./models.ts";
import { runCommand } from "./run.ts";
import { suggestIn } from "./suggest.ts";
import { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

const models = new Models({ check, workers: nodeWorkers(workerFile("../server/model-worker.node.ts")), maxMilliseconds: DEFAULT_LIMITS.maxMilliseconds });

const suggester = new SuggestLane(nodeWorkers(workerFile("../server/model-worker.node.ts"), { parallel: 1 }));

const engine: Engine = {
  analyse(file, text, options) {
    const analysis = analyse(file, text, options);
    const { findings, programs, outline, tree } = analysis;
    const under = (scenario: string, kernel: string) => underKernel(analysis, scenario, kernel);
    return { findings, programs, outline, tree, kernels: kernelsOf(analysis), under };
  },
  check: (program, limits) => models.check(program, limits),
  locate,
  trace,
  format,
  suggest: (program, report, limits) => suggestIn(suggester, program, report, limits),
};

// `memfd check … | head` closes the pipe early: no reason for a stack trace.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

const terminal = new Terminal(process.stdout, process.stderr);
const interrupt = new AbortController();
// The first Ctrl+C asks what runs to stop and prints what is known; the second ends the program.
process.on("SIGINT", () => {
  if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
  interrupt.abort();
});

void runCommand(
  process.argv.slice(2),
  {
    out: (text) => terminal.out(text),
    error: (text) => terminal.error(text),
    now: () => performance.now(),
    files: realFiles,
    engine,
    machine: thisMachine,
    status: terminal.status,
    interrupt: interrupt.signal,
  },
  VERSION,
).then((status) => {
  process.exitCode = status;
  models.dispose();
  suggester.dispose();
});
