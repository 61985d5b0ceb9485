// Searches for a change that saves a scenario, one after the other in a worker of their own: for the language server and for the command line.

import { SUGGEST_LIMITS, type Suggestions } from "../check/suggest/index.ts";
import { Lane, type WorkerFactory } from "./lane.ts";
import type { SuggestTask } from "./model-task.ts";

/** Beyond the limit of time, for the run that is under way. */
const OVERDUE_MILLISECONDS = 10_000;

export type SuggestAnswer = { readonly suggestions: Suggestions } | { readonly stopped: true } | { readonly failed: string };

/** Whoever asked may no longer want it: `aborted` says so now, `onAbort` later. */
export interface Patience {
  readonly aborted: () => boolean;
  /** Answers how to take the listener away again. */
  readonly onAbort: (listener: () => void) => () => void;
}

export class SuggestLane {
  readonly #workers: WorkerFactory;
  #lane: Lane | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(workers: WorkerFactory) {
    this.#workers = workers;
  }

  suggest(task: Omit<SuggestTask, "kind">, patience: Patience): Promise<SuggestAnswer> {
    const answer = this.#queue.then(() => this.#run(task, patience));
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  dispose(): void {
    this.#lane?.dispose();
  }

  async #run(task: Omit<SuggestTask, "kind">, { aborted, onAbort }: Patience): Promise<SuggestAnswer> {
    if (aborted()) return { stopped: true };
    this.#lane ??= new Lane(this.#workers);
    const lane = this.#lane;
    const forget = onAbort(() => lane.cancel());
    const answer = await lane.run({ ...task, kind: "suggest" }, (task.maxMilliseconds ?? SUGGEST_LIMITS.maxMilliseconds) + OVERDUE_MILLISECONDS);
    forget();
    switch (answer.kind) {
      case "suggestions":
        return { suggestions: answer.suggestions };
      case "stopped":
        return { stopped: true };
      case "failed":
        return { failed: answer.message };
      default:
        return { failed: answer.kind === "memory" ? "it ran out of memory" : "it did not answer within its limit of time" };
    }
  }
}
