// A scenario as a C program, and what this machine's kernel makes of it: the server's side of two commands that run at a user's word only.

import type { CancellationToken } from "vscode-jsonrpc";
import { fileName } from "../base/file-name.ts";
import type { Report } from "../check/report.ts";
import { type Compared, type ComparedRow, compareAnswers, headingOf } from "../export/c/compare.ts";
import { type Emitted, emitC } from "../export/c/emit.ts";
import type { Machine } from "../export/c/machine.ts";
import type { Program, Site } from "../scenario/program.ts";
import type { Snapshot } from "./documents.ts";
import type * as protocol from "./protocol.ts";
import type { Texts } from "./texts.ts";

export interface Answered {
  readonly snapshot: Snapshot;
  readonly program: Program;
  readonly report: Report;
}

export function emitAnswer({ snapshot, program, report }: Answered, texts: Texts, schedule?: string): protocol.EmitCResult {
  try {
    return { text: emitted(snapshot, program, report, texts, schedule).text };
  } catch (error) {
    return { refusal: error instanceof Error ? error.message : String(error) };
  }
}

function emitted(snapshot: Snapshot, program: Program, report: Report, texts: Texts, schedule?: string): Emitted {
  const placeOf = (site: Site): string => {
    const span = program.sites[site];
    const line = `line ${texts.line(span)}`;
    return span.file === snapshot.uri ? line : `${fileName(span.file)} ${line}`;
  };
  return emitC(program, { report, placeOf, ...(schedule === undefined ? {} : { schedule }) });
}

export async function compareAnswer(
  { snapshot, program, report }: Answered,
  texts: Texts,
  machine: Machine | undefined,
  token: CancellationToken,
): Promise<protocol.CompareMachineResult> {
  if (machine === undefined) return { refusal: "There is no kernel to compare with in a browser." };
  const unable = machine.unable();
  if (unable !== undefined) return { refusal: `Nothing can be compared here: ${unable}.` };
  const stop = new AbortController();
  token.onCancellationRequested(() => stop.abort());
  const c = emitted(snapshot, program, report, texts);
  if (c.entries.every((entry) => entry.skipped !== undefined)) return { refusal: `Nothing of it runs here: ${c.entries[0]?.skipped ?? "it calls nothing"}.` };
  const ran = await machine.run(c.text, stop.signal);
  if ("failure" in ran) return { refusal: stop.signal.aborted ? "Cancelled." : ran.failure };
  const compared = compareAnswers(program, report, c, ran, machine.facts());
  const differences = compared.rows.flatMap((row) => differenceOf(row, program, texts));
  const heading = [headingOf(program, machine.release()), ...machine.cautions()].join("; ");
  return { heading, summary: summaryOf(compared), version: snapshot.version, differences };
}

function summaryOf({ agreed, differed, deviated, followed, skipped }: Compared): string {
  if (agreed + differed + deviated === 0) return `nothing could be compared: ${skipped} skipped`;
  const parts = [`${agreed} agree`, `${differed} differ`, `${deviated} deviate for a known reason`, `${followed} follow one of these`, `${skipped} skipped`];
  return parts.filter((part, at) => at === 0 || !part.startsWith("0 ")).join(", ");
}

function differenceOf(row: ComparedRow, program: Program, texts: Texts): protocol.MachineDifference[] {
  const { agreement, model, machine, deviation } = row;
  if (agreement !== "differs" && agreement !== "deviates") return [];
  const span = program.sites[row.site];
  const document = texts.document(span.file);
  const why = deviation === undefined ? "" : ` Known: ${deviation.reason} (${deviation.source}).`;
  const message = `This machine's kernel answers ${machine}, the model (${program.profile.name}) ${model}.${why}`;
  return [{ uri: span.file, start: document.positionAt(span.from), end: document.positionAt(span.to), known: deviation !== undefined, message }];
}
