// `memfd import`: a log of strace or ftrace as a scenario on standard output. The log is read piece by piece, and no further than the text grows.

import { isKernel, TraceImport } from "../export/import/index.ts";
import { didYouMean } from "../language/near.ts";
import { profiles } from "../scenario/catalogue/index.ts";
import type { Command } from "./args.ts";
import { type Environment, EXIT, type ExitStatus } from "./environment.ts";

/** What `trace-cmd record` writes begins with these bytes; the control characters are what tells it from text. */
const TRACE_DAT = "\u0017\u0008Dtracing";
/** A line that has no end so far is handed over as it is. */
const MAX_LINE = 1 << 20;

export function importCommand(command: Extract<Command, { name: "import" }>, environment: Environment): ExitStatus {
  const complain = (message: string): ExitStatus => {
    environment.error(`memfd: ${message}\n`);
    return EXIT.input;
  };
  const { kernel, scenario, all, file } = command;
  if (kernel !== undefined && !isKernel(kernel)) {
    const names = profiles.map((row) => row.name);
    return complain(`there is no kernel ${kernel}${didYouMean(kernel, names).replaceAll("`", "")}; known are ${names.join(", ")}`);
  }
  const opened = open(file, environment);
  if (!opened.ok) return complain(`${file}: ${opened.reason}`);
  const trace = new TraceImport({ all, ...(kernel === undefined ? {} : { kernel }), ...(scenario === undefined ? {} : { name: scenario }) });
  let rest = "";
  let first = true;
  let more = true;
  for (const piece of opened.pieces) {
    if (first && piece.startsWith(TRACE_DAT)) return complain(`${file}: it is what trace-cmd record writes; import what trace-cmd report prints of it`);
    first = false;
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE) rest = rest.slice(0, MAX_LINE);
    more = lines.every((line) => trace.line(line.replace(/\r$/, "")));
    if (!more) break;
  }
  if (more && rest !== "") trace.line(rest.replace(/\r$/, ""));
  const imported = trace.finish();
  environment.out(imported.text);
  if (imported.cut) environment.error(`memfd: ${file}: only its first ${imported.lines} lines were imported\n`);
  if (imported.format !== "unknown") return EXIT.pass;
  return complain(`${file}: no line of it looks like a trace of strace, trace-cmd or the kernel`);
}

function open(path: string, { files }: Environment): { ok: true; pieces: Iterable<string> } | { ok: false; reason: string } {
  if (files.pieces !== undefined) return files.pieces(path);
  const read = files.read(path);
  return read.ok ? { ok: true, pieces: [read.text] } : read;
}
