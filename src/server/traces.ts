// Stories of finished runs, made in a worker of their own so that a long run never keeps a hover or the panel waiting. The last few are kept.

import type { Report } from "../check/report.ts";
import type { TraceView } from "../view/rows.ts";
import { Cache } from "./cache.ts";
import type { ProgramRun } from "./documents.ts";
import { Lane, type LaneAnswer, type WorkerFactory } from "./lane.ts";
import type { ModelTask } from "./model-task.ts";
import type { Texts } from "./texts.ts";

const KEPT = { entries: 32, bytes: 32 << 20 } as const;
/** A replay walks one schedule: seconds mean that something hangs. */
const PATIENCE_MILLISECONDS = 20_000;

export class Traces {
  readonly #lane: Lane;
  readonly #texts: Texts;
  readonly #kept = new Cache<TraceView>(KEPT);
  #queue: Promise<unknown> = Promise.resolve();

  constructor(factory: WorkerFactory, texts: Texts) {
    this.#lane = new Lane(factory);
    this.#texts = texts;
  }

  /** Resolves to a sentence where there is no story. */
  trace(run: ProgramRun, report: Report, schedule: string | undefined): Promise<TraceView | string> {
    const { program, job } = run;
    const lines = program.sites.map((span) => this.#texts.line(span));
    const key = `${job.key} ${schedule ?? ""} ${program.sites.map((span, at) => `${span.file}:${lines[at]}`).join(" ")}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return Promise.resolve(kept);
    const answer = this.#queue.then(async () => {
      const known = this.#kept.get(key);
      if (known !== undefined) return known;
      const result = await this.#lane.run({ kind: "trace", program, report, schedule, lines }, PATIENCE_MILLISECONDS);
      if (result.kind === "failed") return `The story cannot be shown: ${result.message}`;
      if (result.kind !== "trace") return "The story took too long.";
      this.#kept.set(key, result.trace, result.bytes ?? 0);
      return result.trace;
    });
    this.#queue = answer;
    return answer;
  }

  /** Other work on finished reports, in the same worker. */
  work(task: ModelTask): Promise<LaneAnswer> {
    const answer = this.#queue.then(() => this.#lane.run(task, PATIENCE_MILLISECONDS));
    this.#queue = answer;
    return answer;
  }

  /** A first hover shall not pay for the start of the worker. */
  warm(): void {
    this.#lane.warm();
  }

  dispose(): void {
    this.#lane.dispose();
  }
}
