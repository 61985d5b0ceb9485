// `Memfd: Suggest an Order`: the search for a change that saves a scenario, in a worker of its own so that typing goes on, and its answer as edits of the text.

import type { CancellationToken } from "vscode-jsonrpc";
import type { TextEdit } from "vscode-languageserver";
import type { Report } from "../check/report.ts";
import type { Suggestion, Suggestions } from "../check/suggest/index.ts";
import { suggestionsText } from "../view/suggestions.ts";
import { rangeOf } from "./diagnostics.ts";
import type { ProgramRun, Snapshot } from "./documents.ts";
import type { WorkerFactory } from "./lane.ts";
import type { SuggestedChange, SuggestResult } from "./protocol.ts";
import { SuggestLane } from "./suggest-lane.ts";
import { editsFor } from "./suggestion-edits.ts";
import type { Texts } from "./texts.ts";

export class Suggester {
  readonly #lane: SuggestLane;
  readonly #texts: Texts;

  constructor(workers: WorkerFactory, texts: Texts) {
    this.#lane = new SuggestLane(workers);
    this.#texts = texts;
  }

  /** One search at a time; the next one waits. */
  async suggest(snapshot: Snapshot, { program, job }: ProgramRun, report: Report, token: CancellationToken): Promise<SuggestResult> {
    const taken = [...snapshot.analysis.declarations.variants.keys()];
    const answer = await this.#lane.suggest(
      { program, report, taken, maxStates: job.limits.maxStates },
      {
        aborted: () => token.isCancellationRequested,
        onAbort(listener) {
          const subscription = token.onCancellationRequested(listener);
          return () => subscription.dispose();
        },
      },
    );
    if (token.isCancellationRequested || "stopped" in answer) return { refusal: "Cancelled." };
    if ("failed" in answer) return { refusal: `The search for a change failed: ${answer.failed}` };
    return this.#result(snapshot, program, answer.suggestions);
  }

  dispose(): void {
    this.#lane.dispose();
  }

  #result(snapshot: Snapshot, program: ProgramRun["program"], answer: Suggestions): SuggestResult {
    const changes = answer.suggestions.map((suggestion): SuggestedChange => {
      const { kind, title, text, meaning, removes, remains, states } = suggestion;
      const edits = this.#edits(snapshot, program, suggestion);
      return { kind, title, text, meaning, removes, remains, states, ...(edits === undefined ? {} : { edits }) };
    });
    const { scenario, kernel, notes } = answer;
    return { scenario, kernel, version: snapshot.version, changes, notes, text: suggestionsText(answer, program, "") };
  }

  #edits(snapshot: Snapshot, program: ProgramRun["program"], suggestion: Suggestion): Record<string, TextEdit[]> | undefined {
    const texts = this.#texts;
    const host = { analysis: snapshot.analysis, text: (file: string) => texts.document(file).getText(), imports: texts.importer(() => undefined) };
    const edits = editsFor(host, program, suggestion);
    if (edits === undefined) return undefined;
    const byFile: Record<string, TextEdit[]> = {};
    for (const { span, text } of edits) (byFile[span.file] ??= []).push({ range: rangeOf(span, texts), newText: text });
    return byFile;
  }
}
