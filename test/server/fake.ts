// Small Programs and a fake model worker whose answers the test gives by hand.

import type { Report, Verdict } from "../../src/check/report.ts";
import type { Program } from "../../src/scenario/program.ts";
import type { ModelPort, WorkerFactory } from "../../src/server/lane.ts";
import type { ModelAnswer, ModelRequest } from "../../src/server/model-task.ts";

/** A scenario of one call `ftruncate(-1, size)`; `shift` moves every span. */
export function program(name: string, size: bigint, shift = 0): Program {
  const span = (from: number, to: number) => ({ file: "file:///a.memfd", from: from + shift, to: to + shift });
  return {
    name,
    site: 0,
    profile: { name: "v8", base: "v8", edits: [] },
    handles: [],
    actors: [{ name: "vmm", kind: "vmm" }],
    calls: [
      {
        spec: "ftruncate",
        known: true,
        actor: 0,
        operands: [
          { kind: "int", value: -1n },
          { kind: "int", value: size },
        ],
        site: 1,
        statement: 2,
      },
    ],
    body: [{ kind: "call", call: 0 }],
    questions: [],
    expected: [],
    watch: {},
    sites: [span(0, 10), span(20, 40), span(20, 45)],
  };
}

export function report(scenario: string, verdict: Verdict = "pass", limit?: string): Report {
  const exploration = { states: 3, transitions: 2, complete: limit === undefined, milliseconds: 1, ...(limit === undefined ? {} : { limit }) };
  const calls = [{ results: [{ result: { kind: "errno", errno: "EBADF" } as const, schedule: [] }] }];
  return { scenario, kernel: "v8", verdict, calls, violations: [], remarks: [], witnesses: [], exploration, refinement: { cuts: [], extraFrames: 0 } };
}

/** Every request it got; `answer` replies to one of them as its worker would. */
export class FakeWorkers implements WorkerFactory {
  readonly shared: boolean;
  readonly requests: { readonly request: ModelRequest; readonly worker: number }[] = [];
  readonly ended: number[] = [];
  readonly #listeners: ((answer: ModelAnswer | undefined, reason?: string) => void)[] = [];

  constructor(shared = true) {
    this.shared = shared;
  }

  start(): ModelPort {
    const worker = this.#listeners.length;
    this.#listeners.push(() => undefined);
    return {
      post: (request) => void this.requests.push({ request, worker }),
      listen: (listener) => {
        this.#listeners[worker] = listener;
      },
      terminate: () => void this.ended.push(worker),
    };
  }

  get last(): ModelRequest {
    const last = this.requests.at(-1);
    if (last === undefined) throw new Error("the worker got no request");
    return last.request;
  }

  /** The scenario names in the order in which they were started. */
  get names(): readonly string[] {
    return this.requests.map(({ request }) => request.task.program.name);
  }

  answer(at: number, answer: Report | "failed"): void {
    const { request, worker } = this.requests.at(at) ?? this.requests[0];
    const { id } = request;
    this.#listeners[worker](
      answer === "failed" ? { kind: "failed", id, message: "broken" } : { kind: "report", id, report: answer, stopped: answer.exploration.limit === "stopped" },
    );
  }

  crash(worker: number, reason: string): void {
    this.#listeners[worker](undefined, reason);
  }
}

export const turn = (): Promise<void> => new Promise((done) => setImmediate(done));
export const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));
