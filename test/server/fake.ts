// Small Programs and a fake model worker whose answers the test gives by hand.

import type { Forecast } from "../../src/check/forecast.ts";
import type { Report, Verdict } from "../../src/check/report.ts";
import type { Program } from "../../src/scenario/program.ts";
import type { ModelPort, WorkerEnd, WorkerFactory } from "../../src/server/lane.ts";
import type { ModelMessage, ModelRequest } from "../../src/server/model-task.ts";

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
  const extent = { states: 3, transitions: 2, complete: limit === undefined, milliseconds: 1, reduced: true, depth: 2, frontier: limit === undefined ? 0 : 1 };
  const exploration = { ...extent, ...(limit === undefined ? {} : { limit }) };
  const calls = [{ results: [{ result: { kind: "errno", errno: "EBADF" } as const, schedule: [] }] }];
  return {
    scenario,
    kernel: "v8",
    verdict,
    calls,
    violations: [],
    remarks: [],
    witnesses: [],
    notJudged: [],
    exploration,
    refinement: { cuts: [], extraFrames: 0 },
  };
}

/** Every request it got; `answer` replies to one of them as its worker would. */
export class FakeWorkers implements WorkerFactory {
  readonly shared: boolean;
  readonly parallel: number;
  readonly requests: { readonly request: ModelRequest; readonly worker: number }[] = [];
  readonly ended: number[] = [];
  readonly #listeners: ((message: ModelMessage | undefined, end?: WorkerEnd) => void)[] = [];

  constructor(shared = true, parallel = 1) {
    this.shared = shared;
    this.parallel = parallel;
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
    return this.requests.map(({ request: { task } }) => (task.kind === "kernels" ? task.scenario : task.program.name));
  }

  /** Workers started. */
  get started(): number {
    return this.#listeners.length;
  }

  /** `bytes`: what the worker says of the answer's size. */
  answer(at: number, answer: Report | "failed", bytes?: number): void {
    const { request, worker } = this.requests.at(at) ?? this.requests[0];
    const { id } = request;
    this.#listeners[worker](
      answer === "failed"
        ? { kind: "failed", id, message: "broken" }
        : { kind: "report", id, report: answer, bytes, stopped: answer.exploration.limit === "stopped" },
    );
  }

  /** The run of request `at` says how far it is. */
  tell(at: number, states: number, milliseconds: number, forecast?: Forecast): void {
    const { request, worker } = this.requests.at(at) ?? this.requests[0];
    const progress = { states, transitions: states * 2, frontier: 10, depth: 5, milliseconds };
    this.#listeners[worker]({ kind: "progress", id: request.id, live: { progress, rate: 1000, ...(forecast === undefined ? {} : { forecast }) } });
  }

  crash(worker: number, reason: string, memory = false): void {
    this.#listeners[worker](undefined, { reason, memory });
  }
}

export const turn = (): Promise<void> => new Promise((done) => setImmediate(done));
export const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));
