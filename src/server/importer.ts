// A trace that the client sent, as a scenario. It is read in slices, so that the other requests of the editor do not wait for a long one.

import type { CancellationToken } from "vscode-jsonrpc";
import { isKernel, TraceImport } from "../export/import/index.ts";
import type * as protocol from "./protocol.ts";

const LINES_AT_ONCE = 5000;

const breath = (): Promise<void> => new Promise((done) => setTimeout(done, 0));

export async function importAnswer(params: protocol.ImportParams | undefined, token: CancellationToken): Promise<protocol.ImportResult> {
  const { text, kernel, scenario, cut } = params ?? ({} as Partial<protocol.ImportParams>);
  if (typeof text !== "string") return { refusal: "There is no text to import." };
  if (kernel !== undefined && !isKernel(kernel)) return { refusal: `There is no kernel ${kernel}.` };
  const trace = new TraceImport({
    more: cut === true,
    ...(kernel === undefined ? {} : { kernel }),
    ...(scenario === undefined ? {} : { name: scenario }),
  });
  let count = 0;
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\n", at);
    const stop = end < 0 ? text.length : end;
    if (!trace.line(text.slice(at, stop).replace(/\r$/, ""))) break;
    at = stop + 1;
    if (++count % LINES_AT_ONCE === 0) await breath();
    if (token.isCancellationRequested) return { refusal: "Cancelled." };
  }
  const imported = trace.finish();
  if (imported.format === "unknown") return { refusal: "No line of the text looks like a trace of strace, trace-cmd or the kernel." };
  return { text: imported.text, statements: imported.statements };
}
