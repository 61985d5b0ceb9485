// One model worker and at most one task in it: start, cancel, replace. A worker that does not stop when told is terminated and a new one takes its place.

import type { Live, ModelAnswer, ModelMessage, ModelRequest, ModelTask } from "./model-task.ts";

/** Why a worker is gone, where that is known. */
export interface WorkerEnd {
  readonly reason?: string;
  /** It asked for more memory than it may have. */
  readonly memory: boolean;
}

/** A started worker, of whichever kind the host has. */
export interface ModelPort {
  post(request: ModelRequest): void;
  /** `undefined` = the worker is gone. */
  listen(listener: (message: ModelMessage | undefined, end?: WorkerEnd) => void): void;
  terminate(): void;
}

export interface WorkerFactory {
  start(): ModelPort;
  /** The worker sees memory that we share with it; without that only its end stops a run. */
  readonly shared: boolean;
  /** How many workers pay on this machine. */
  readonly parallel: number;
}

/** `live`: the last that was heard of a run that ended without an answer of its own. */
export type LaneAnswer = ModelAnswer | { readonly kind: "stopped" | "memory"; readonly live?: Live } | { readonly kind: "overdue" };

interface Current {
  readonly id: number;
  readonly settle: (answer: LaneAnswer) => void;
  readonly told?: (live: Live) => void;
  live?: Live;
  readonly stop?: Int32Array;
  readonly watchdog: ReturnType<typeof setTimeout>;
  grace?: ReturnType<typeof setTimeout>;
}

/** How long a cancelled worker may take until it is terminated. */
export const GRACE_MILLISECONDS = 200;

export class Lane {
  readonly #factory: WorkerFactory;
  #port: ModelPort | undefined;
  #current: Current | undefined;
  #next = 1;
  #disposed = false;
  /** Workers started so far; for tests and logs. */
  started = 0;

  constructor(factory: WorkerFactory) {
    this.#factory = factory;
  }

  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** A worker is there: a task costs no start. */
  get warmed(): boolean {
    return this.#port !== undefined;
  }

  /** Starts the worker ahead of its first task, where that is soon to come. */
  warm(): void {
    if (this.#disposed) return;
    try {
      this.#port ??= this.#start();
    } catch {
      // The first task will meet the same and answer it.
    }
  }

  /** Only while not busy. Resolves always; `overdue` when nothing came within `patience` milliseconds. `told` hears how far the task has come. */
  run(task: ModelTask, patience: number, told?: (live: Live) => void): Promise<LaneAnswer> {
    if (this.#current !== undefined) throw new Error("the lane is busy");
    if (this.#disposed) return Promise.resolve({ kind: "stopped" });
    const id = this.#next++;
    const stop = this.#factory.shared ? new Int32Array(new SharedArrayBuffer(4)) : undefined;
    return new Promise((settle) => {
      const watchdog = setTimeout(() => this.#abandon(id, { kind: "overdue" }), patience);
      this.#current = { id, settle, told, stop, watchdog };
      try {
        this.#port ??= this.#start();
        this.#port.post({ id, task, stop });
      } catch (error) {
        this.#abandon(id, { kind: "failed", id, message: error instanceof Error ? error.message : String(error) });
      }
    });
  }

  /** Ends the task that runs, if any: by the shared word, else (or if that is not heard in time) by ending the worker. */
  cancel(): void {
    const current = this.#current;
    if (current === undefined || current.grace !== undefined) return;
    const abandon = (): void => this.#abandon(current.id, { kind: "stopped", live: current.live });
    if (current.stop === undefined) return abandon();
    Atomics.store(current.stop, 0, 1);
    current.grace = setTimeout(abandon, GRACE_MILLISECONDS);
  }

  dispose(): void {
    this.#disposed = true;
    if (this.#current !== undefined) this.#abandon(this.#current.id, { kind: "stopped" });
    this.#port?.terminate();
    this.#port = undefined;
  }

  #start(): ModelPort {
    const port = this.#factory.start();
    this.started += 1;
    port.listen((message, end) => {
      if (port !== this.#port) return;
      const current = this.#current;
      if (message === undefined) {
        this.#port = undefined;
        if (current !== undefined) this.#settle(current, endOf(current, end));
      } else if (current === undefined || message.id !== current.id) {
        return;
      } else if (message.kind === "progress") {
        current.live = message.live;
        current.told?.(message.live);
      } else {
        this.#settle(current, message);
      }
    });
    return port;
  }

  #abandon(id: number, answer: LaneAnswer): void {
    const current = this.#current;
    if (current?.id !== id) return;
    const port = this.#port;
    this.#port = undefined;
    port?.terminate();
    this.#settle(current, answer);
  }

  #settle(current: Current, answer: LaneAnswer): void {
    clearTimeout(current.watchdog);
    if (current.grace !== undefined) clearTimeout(current.grace);
    this.#current = undefined;
    current.settle(answer);
  }
}

function endOf({ id, live }: Current, end: WorkerEnd | undefined): LaneAnswer {
  return end?.memory === true ? { kind: "memory", live } : { kind: "failed", id, message: end?.reason ?? "the model worker ended" };
}
