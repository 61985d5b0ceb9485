// One model worker and at most one task in it: start, cancel, replace. A worker that does not stop when told is terminated and a new one takes its place.

import type { ModelAnswer, ModelRequest, ModelTask } from "./model-task.ts";

/** A started worker, of whichever kind the host has. */
export interface ModelPort {
  post(request: ModelRequest): void;
  /** `undefined` = the worker is gone; `reason` says why where that is known. */
  listen(listener: (answer: ModelAnswer | undefined, reason?: string) => void): void;
  terminate(): void;
}

export interface WorkerFactory {
  start(): ModelPort;
  /** The worker sees memory that we share with it; without that only its end stops a run. */
  readonly shared: boolean;
}

export type LaneAnswer = ModelAnswer | { readonly kind: "stopped" } | { readonly kind: "overdue" };

interface Current {
  readonly id: number;
  readonly settle: (answer: LaneAnswer) => void;
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

  /** Starts the worker ahead of its first task, where that is soon to come. */
  warm(): void {
    if (this.#disposed) return;
    try {
      this.#port ??= this.#start();
    } catch {
      // The first task will meet the same and answer it.
    }
  }

  /** Only while not busy. Resolves always; `overdue` when nothing came within `patience`. */
  run(task: ModelTask, patience: number): Promise<LaneAnswer> {
    if (this.#current !== undefined) throw new Error("the lane is busy");
    if (this.#disposed) return Promise.resolve({ kind: "stopped" });
    const id = this.#next++;
    const stop = this.#factory.shared ? new Int32Array(new SharedArrayBuffer(4)) : undefined;
    return new Promise((settle) => {
      const watchdog = setTimeout(() => this.#abandon(id, { kind: "overdue" }), patience);
      this.#current = { id, settle, stop, watchdog };
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
    if (current.stop === undefined) return this.#abandon(current.id, { kind: "stopped" });
    Atomics.store(current.stop, 0, 1);
    current.grace = setTimeout(() => this.#abandon(current.id, { kind: "stopped" }), GRACE_MILLISECONDS);
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
    port.listen((answer, reason) => {
      if (port !== this.#port) return;
      if (answer === undefined) {
        this.#port = undefined;
        const current = this.#current;
        if (current !== undefined) this.#settle(current, { kind: "failed", id: current.id, message: reason ?? "the model worker ended" });
      } else if (answer.id === this.#current?.id) {
        this.#settle(this.#current, answer);
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
