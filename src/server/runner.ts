// Which Programs run, in which order, and what they answered: wanted keys per document, one lane, a cache of Reports. An answer nobody wants any more dies here.

import type { Report } from "../check/report.ts";
import type { Program } from "../scenario/program.ts";
import { programKey } from "./key.ts";
import { Lane, type LaneAnswer, type WorkerFactory } from "./lane.ts";

export interface Limits {
  readonly maxStates: number;
  readonly maxMilliseconds: number;
}

/** What is known of one Program under these limits. */
export type Outcome =
  | { readonly kind: "report"; readonly report: Report }
  /** The run was stopped; `report` holds what it had until then. Never cached as an answer. */
  | { readonly kind: "stopped"; readonly report?: Report }
  /** The model broke: a bug of ours. */
  | { readonly kind: "failed"; readonly message: string };

export interface Wanted {
  readonly key: string;
  readonly program: Program;
  readonly limits: Limits;
}

/** Reports kept beyond those that open documents want. */
const CACHE_SIZE = 2_000;
/** A worker that is this much over its own limit of time hangs. */
const OVERDUE_MILLISECONDS = 5_000;

export function wanted(program: Program, limits: Limits): Wanted {
  return { key: `${programKey(program)}/${limits.maxStates}/${limits.maxMilliseconds}`, program, limits };
}

export class Runner {
  readonly #lane: Lane;
  /** Insertion order = age of last use. */
  readonly #outcomes = new Map<string, Outcome>();
  /** Owner → its wanted Programs, in the order in which they shall run. The owner touched last comes first. */
  readonly #wanted = new Map<string, Map<string, Wanted>>();
  #current: string | undefined;
  #cancelled = false;
  readonly #changed: (key: string) => void;
  readonly #waiters = new Map<string, (() => void)[]>();

  /** `changed` is told each key whose outcome came. */
  constructor(factory: WorkerFactory, changed: (key: string) => void) {
    this.#lane = new Lane(factory);
    this.#changed = changed;
  }

  outcome(key: string): Outcome | undefined {
    const outcome = this.#outcomes.get(key);
    if (outcome !== undefined) {
      this.#outcomes.delete(key);
      this.#outcomes.set(key, outcome);
    }
    return outcome;
  }

  /** True while `key` waits or runs. */
  pending(key: string): boolean {
    if (this.#current === key && !this.#cancelled) return true;
    if (this.#outcomes.has(key)) return false;
    for (const set of this.#wanted.values()) if (set.has(key)) return true;
    return false;
  }

  get running(): string | undefined {
    return this.#current;
  }

  /** Replaces what `owner` wants. What nobody wants any more is not started, and stopped at once if it runs. */
  want(owner: string, jobs: readonly Wanted[]): void {
    const set = new Map(jobs.map((job) => [job.key, job]));
    const rest = [...this.#wanted].filter(([other]) => other !== owner);
    this.#wanted.clear();
    if (set.size > 0) this.#wanted.set(owner, set);
    for (const [other, theirs] of rest) this.#wanted.set(other, theirs);
    this.#releaseUnwanted();
    this.#pump();
  }

  /** Forgets answers that a new run could better: stopped ones, incomplete ones, failures. */
  retry(keys: readonly string[]): void {
    for (const key of keys) {
      const outcome = this.#outcomes.get(key);
      if (outcome !== undefined && !(outcome.kind === "report" && outcome.report.exploration.complete)) this.#outcomes.delete(key);
    }
    this.#pump();
  }

  /** Stops what `owner` (else anybody) waits for. It stays stopped until its text changes or `retry`. */
  stop(owner?: string): void {
    const keys = new Set<string>();
    for (const [name, set] of this.#wanted) if (owner === undefined || name === owner) for (const key of set.keys()) keys.add(key);
    for (const key of keys) {
      if (key === this.#current || this.#outcomes.has(key)) continue;
      this.#record(key, { kind: "stopped" });
    }
    if (this.#current !== undefined && keys.has(this.#current)) this.#lane.cancel();
  }

  /** Resolves when none of `keys` is pending. */
  async settled(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      while (this.pending(key)) {
        await new Promise<void>((done) => this.#waiters.set(key, [...(this.#waiters.get(key) ?? []), done]));
      }
    }
  }

  dispose(): void {
    this.#wanted.clear();
    this.#lane.dispose();
    for (const key of [...this.#waiters.keys()]) this.#wake(key);
  }

  #releaseUnwanted(): void {
    if (this.#current !== undefined && !this.#isWanted(this.#current)) {
      this.#cancelled = true;
      this.#lane.cancel();
    }
    for (const key of [...this.#waiters.keys()]) if (!this.pending(key)) this.#wake(key);
  }

  #isWanted(key: string): boolean {
    for (const set of this.#wanted.values()) if (set.has(key)) return true;
    return false;
  }

  #next(): Wanted | undefined {
    for (const set of this.#wanted.values()) for (const job of set.values()) if (!this.#outcomes.has(job.key)) return job;
    return undefined;
  }

  #pump(): void {
    if (this.#current !== undefined) return;
    const job = this.#next();
    if (job === undefined) return;
    this.#current = job.key;
    this.#cancelled = false;
    const { program, limits } = job;
    this.#lane.run({ kind: "check", program, ...limits }, limits.maxMilliseconds + OVERDUE_MILLISECONDS).then((answer) => this.#finish(job, answer));
  }

  #finish(job: Wanted, answer: LaneAnswer): void {
    const cancelled = this.#cancelled;
    this.#current = undefined;
    this.#cancelled = false;
    const outcome = outcomeOf(answer);
    // A cancelled run may have come to its end just before it heard of it; that answer is as good as any other.
    if (!cancelled || outcome.kind === "report") this.#record(job.key, outcome);
    else this.#wake(job.key);
    this.#pump();
  }

  #record(key: string, outcome: Outcome): void {
    this.#outcomes.set(key, outcome);
    for (const old of this.#outcomes.keys()) {
      if (this.#outcomes.size <= CACHE_SIZE) break;
      if (!this.#isWanted(old)) this.#outcomes.delete(old);
    }
    this.#wake(key);
    this.#changed(key);
  }

  #wake(key: string): void {
    const waiters = this.#waiters.get(key) ?? [];
    this.#waiters.delete(key);
    for (const wake of waiters) wake();
  }
}

function outcomeOf(answer: LaneAnswer): Outcome {
  switch (answer.kind) {
    case "report":
      return answer.stopped === true ? { kind: "stopped", report: answer.report } : { kind: "report", report: answer.report };
    case "failed":
      return { kind: "failed", message: answer.message };
    case "overdue":
      return { kind: "failed", message: "the model did not answer within its limit of time" };
    default:
      return { kind: "stopped" };
  }
}
