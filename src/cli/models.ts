// Runs of the model for the command line: short ones at once, in this thread; long ones in workers, so that they can be stopped, end alone when they run out of
// memory, and share the cores.

import { cutShort } from "../check/extent.ts";
import type { CheckOptions } from "../check/index.ts";
import type { Report } from "../check/report.ts";
import type { Program } from "../scenario/program.ts";
import { Lane, type LaneAnswer, type WorkerFactory } from "../server/lane.ts";
import type { Limits } from "./environment.ts";

/**
 * A run that is over by then never pays for a worker, whose start takes longer; one that is not begins again in a worker. Only the clock decides: within it the
 * answer is the same as the worker's, for a run that was told to stop is not used.
 */
const AT_ONCE_MILLISECONDS = 40;
/** The first run of a process is slow because its code is, not because it is long. */
const COLD_FACTOR = 3;
/** More calls than this take long to compile, in which nobody hears a stop. */
const AT_ONCE_CALLS = 300;
/** Beyond its limit of time a run gets so long for its stories; then it hangs. */
const OVERDUE_MILLISECONDS = 60_000;

interface Waiting {
  readonly program: Program;
  readonly limits: Limits;
  readonly settle: (report: Report) => void;
  readonly refuse: (error: Error) => void;
}

export interface ModelsOptions {
  readonly check: (program: Program, options: CheckOptions) => Report;
  readonly workers: WorkerFactory;
  /** Milliseconds of check's own limit. */
  readonly maxMilliseconds: number;
}

export class Models {
  readonly #options: ModelsOptions;
  readonly #lanes: Lane[] = [];
  readonly #waiting: Waiting[] = [];
  /** Runs in a lane, by lane. */
  readonly #running = new Map<Lane, Waiting>();
  readonly #heeded = new WeakSet<AbortSignal>();
  #cold = true;

  constructor(options: ModelsOptions) {
    this.#options = options;
  }

  /** Workers started so far; for tests. */
  get started(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.started, 0);
  }

  /** Rejects only where the model breaks or hangs; a limit, a stop and the end of memory are answers. */
  check(program: Program, limits: Limits): Promise<Report> {
    if (limits.signal?.aborted) return Promise.resolve(cutShort(program, "cancelled"));
    const report = this.#atOnce(program, limits);
    if (report !== undefined) return Promise.resolve(report);
    return new Promise((settle, refuse) => {
      const entry = { program, limits, settle, refuse };
      this.#heed(limits.signal);
      this.#waiting.push(entry);
      this.#pump();
    });
  }

  dispose(): void {
    for (const lane of this.#lanes) lane.dispose();
  }

  #atOnce(program: Program, limits: Limits): Report | undefined {
    const { maxStates, maxMilliseconds, now } = limits;
    if (program.calls.length > AT_ONCE_CALLS) return undefined;
    const end = now() + AT_ONCE_MILLISECONDS * (this.#cold ? COLD_FACTOR : 1);
    this.#cold = false;
    let late = false;
    const cancelled = (): boolean => {
      late ||= now() >= end;
      return late;
    };
    const report = this.#options.check(program, { maxStates, maxMilliseconds, now, cancelled });
    return late ? undefined : report;
  }

  /** One listener for all runs of a signal: hundreds may wait for the same. */
  #heed(signal: AbortSignal | undefined): void {
    if (signal === undefined || this.#heeded.has(signal)) return;
    this.#heeded.add(signal);
    signal.addEventListener("abort", () => this.#abort(signal), { once: true });
  }

  #abort(signal: AbortSignal): void {
    const stopped = this.#waiting.filter(({ limits }) => limits.signal === signal);
    for (const entry of stopped) {
      this.#waiting.splice(this.#waiting.indexOf(entry), 1);
      entry.settle(cutShort(entry.program, "cancelled"));
    }
    for (const [lane, { limits }] of this.#running) if (limits.signal === signal) lane.cancel();
  }

  /** Whoever waits here is known to be long, so another worker pays at once. */
  #pump(): void {
    for (let entry = this.#waiting[0]; entry !== undefined; entry = this.#waiting[0]) {
      const lane = this.#freeLane();
      if (lane === undefined) return;
      this.#waiting.shift();
      this.#start(lane, entry);
    }
  }

  #freeLane(): Lane | undefined {
    const free = this.#lanes.find((lane) => !lane.busy);
    if (free !== undefined || this.#lanes.length >= Math.max(1, this.#options.workers.parallel)) return free;
    const lane = new Lane(this.#options.workers);
    this.#lanes.push(lane);
    return lane;
  }

  #start(lane: Lane, entry: Waiting): void {
    const { program, limits } = entry;
    const { maxStates, maxMilliseconds, progress } = limits;
    const patience = (maxMilliseconds ?? this.#options.maxMilliseconds) + OVERDUE_MILLISECONDS;
    this.#running.set(lane, entry);
    void lane.run({ kind: "check", program, maxStates, maxMilliseconds }, patience, progress).then((answer) => {
      this.#running.delete(lane);
      settle(entry, answer);
      this.#pump();
    });
  }
}

function settle({ program, settle, refuse }: Waiting, answer: LaneAnswer): void {
  switch (answer.kind) {
    case "report":
      return settle(answer.report);
    case "memory":
      return settle(cutShort(program, "memory", answer.live?.progress));
    case "stopped":
      return settle(cutShort(program, "cancelled", answer.live?.progress));
    case "failed":
      return refuse(new Error(answer.message));
    default:
      return refuse(new Error("the model did not answer within its limit of time"));
  }
}
