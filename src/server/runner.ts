// Which Programs run, in which order, and what they answered: wanted keys per document, up to two lanes, a cache of Reports. Equal Programs have one key and
// run once, whoever asks. An answer nobody wants any more dies here.

import { cutShort } from "../check/extent.ts";
import type { Report } from "../check/report.ts";
import type { Program } from "../scenario/program.ts";
import { Cache } from "./cache.ts";
import { programKey } from "./key.ts";
import { Lane, type LaneAnswer, type WorkerFactory } from "./lane.ts";
import type { Live } from "./model-task.ts";

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

/** Reports kept beyond those that open documents want, and bytes of all together. */
const CACHE = { entries: 2_000, bytes: 64 << 20 } as const;
/** A worker that is this much over its own limit of time hangs. */
const OVERDUE_MILLISECONDS = 5_000;
/** Work that waits as long as this is worth the start of a second worker, which takes about as long again. */
export const SECOND_LANE_MILLISECONDS = 50;
/** On the last lane a run may take so long while others wait that have not had their turn; then it goes behind them. */
export const TURN_MILLISECONDS = 1_000;

export function wanted(program: Program, limits: Limits): Wanted {
  return { key: `${programKey(program)}/${limits.maxStates}/${limits.maxMilliseconds}`, program, limits };
}

/**
 * A lane and its run. Independent runs share the cores; one exploration stays on one of them, for a table of states that two workers share costs more than it
 * saves below about a million states, and its order of states would not be the same twice.
 */
interface Slot {
  readonly lane: Lane;
  job?: Wanted;
  /** Nobody waits for this run any more, or it is to begin again later. */
  cancelled: boolean;
  since: number;
  live?: Live;
}

export interface RunnerHooks {
  /** Told each key whose outcome came. */
  changed(key: string): void;
  /** Told, about ten times a second, each key whose run has come further. */
  progressed?(key: string): void;
}

export class Runner {
  readonly #slots: readonly Slot[];
  readonly #outcomes = new Cache<Outcome>(CACHE, (key) => this.#isWanted(key));
  /** Owner → its wanted Programs, in the order in which they shall run. The owner touched last comes first. */
  readonly #wanted = new Map<string, Map<string, Wanted>>();
  /** Runs that had their turn and made room for others. */
  readonly #putBack = new Set<string>();
  readonly #hooks: RunnerHooks;
  readonly #now: () => number;
  readonly #waiters = new Map<string, (() => void)[]>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Since when something waits while the lanes that are there are busy. */
  #waiting: number | undefined;

  /** `now`: milliseconds; a test stops the clock. */
  constructor(factory: WorkerFactory, hooks: RunnerHooks, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#slots = Array.from({ length: Math.max(1, factory.parallel) }, () => ({ lane: new Lane(factory), cancelled: false, since: 0 }));
    this.#hooks = hooks;
  }

  /** Starts the first worker ahead of the first run: it loads while the editor and the server still introduce themselves. */
  warm(): void {
    this.#slots[0].lane.warm();
  }

  outcome(key: string): Outcome | undefined {
    return this.#outcomes.get(key);
  }

  /** How far the run of `key` has come, while it runs. */
  live(key: string): Live | undefined {
    return this.#slotOf(key)?.live;
  }

  /** True while `key` waits or runs. */
  pending(key: string): boolean {
    if (this.#slotOf(key) !== undefined) return true;
    return !this.#outcomes.has(key) && this.#isWanted(key);
  }

  get idle(): boolean {
    return this.#slots.every((slot) => slot.job === undefined);
  }

  /** Bytes and number of the answers that are kept; for tests and logs. */
  get kept(): { readonly bytes: number; readonly entries: number } {
    return { bytes: this.#outcomes.bytes, entries: this.#outcomes.size };
  }

  /** Replaces what `owner` wants. What is new goes first. What nobody wants any more is not started, and stopped at once if it runs. */
  want(owner: string, jobs: readonly Wanted[]): void {
    const before = this.#wanted.get(owner);
    const fresh = before === undefined ? jobs : jobs.filter((job) => !before.has(job.key));
    const set = new Map([...fresh, ...jobs].map((job) => [job.key, job]));
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
    const jobs = new Map<string, Wanted>();
    for (const [name, set] of this.#wanted) if (owner === undefined || name === owner) for (const [key, job] of set) jobs.set(key, job);
    for (const [key, { program }] of jobs) {
      const slot = this.#slotOf(key);
      if (slot !== undefined) slot.lane.cancel();
      else if (!this.#outcomes.has(key)) this.#record(key, { kind: "stopped", report: cutShort(program, "cancelled") });
    }
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
    clearTimeout(this.#timer);
    this.#wanted.clear();
    for (const slot of this.#slots) slot.lane.dispose();
    for (const key of [...this.#waiters.keys()]) this.#wake(key);
  }

  #slotOf(key: string): Slot | undefined {
    return this.#slots.find((slot) => slot.job?.key === key && !slot.cancelled);
  }

  #releaseUnwanted(): void {
    for (const slot of this.#slots) if (slot.job !== undefined && !slot.cancelled && !this.#isWanted(slot.job.key)) this.#cancel(slot);
    for (const key of this.#putBack) if (!this.#isWanted(key)) this.#putBack.delete(key);
    for (const key of [...this.#waiters.keys()]) if (!this.pending(key)) this.#wake(key);
  }

  #cancel(slot: Slot): void {
    slot.cancelled = true;
    slot.lane.cancel();
  }

  #isWanted(key: string): boolean {
    for (const set of this.#wanted.values()) if (set.has(key)) return true;
    return false;
  }

  /** The next run: one that has not had its turn, else one that made room. A run that still winds down is not begun a second time beside itself. */
  #next(): Wanted | undefined {
    let late: Wanted | undefined;
    for (const set of this.#wanted.values()) {
      for (const job of set.values()) {
        if (this.#outcomes.has(job.key) || this.#slots.some((slot) => slot.job?.key === job.key)) continue;
        if (!this.#putBack.has(job.key)) return job;
        late ??= job;
      }
    }
    return late;
  }

  #pump(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (let job = this.#next(); job !== undefined; job = this.#next()) {
      const slot = this.#freeSlot();
      if (slot === undefined) return this.#waitForRoom(job);
      this.#start(slot, job);
    }
    this.#waiting = undefined;
  }

  /** A lane without a run. A lane whose worker is not there yet is opened only when work has waited for a while: most lists are done before. */
  #freeSlot(): Slot | undefined {
    const free = this.#slots.filter((slot) => slot.job === undefined);
    const warm = free.find((slot) => slot.lane.warmed) ?? (free.length === this.#slots.length ? free[0] : undefined);
    if (warm !== undefined || free.length === 0) return warm;
    this.#waiting ??= this.#now();
    return this.#now() - this.#waiting >= SECOND_LANE_MILLISECONDS ? free[0] : undefined;
  }

  #waitForRoom(job: Wanted): void {
    const now = this.#now();
    if (this.#slots.some((slot) => slot.job === undefined)) return this.#pumpIn(SECOND_LANE_MILLISECONDS - (now - (this.#waiting ?? now)));
    const last = this.#slots[this.#slots.length - 1];
    if (this.#putBack.has(job.key) || last.job === undefined || last.cancelled) return;
    const left = TURN_MILLISECONDS - (now - last.since);
    if (left > 0) return this.#pumpIn(left);
    this.#putBack.add(last.job.key);
    this.#cancel(last);
  }

  #pumpIn(milliseconds: number): void {
    this.#timer = setTimeout(() => this.#pump(), Math.max(1, Math.ceil(milliseconds)));
  }

  #start(slot: Slot, job: Wanted): void {
    slot.job = job;
    slot.cancelled = false;
    slot.since = this.#now();
    slot.live = undefined;
    const { program, limits } = job;
    const told = (live: Live): void => {
      slot.live = live;
      if (!slot.cancelled) this.#hooks.progressed?.(job.key);
    };
    slot.lane.run({ kind: "check", program, ...limits }, limits.maxMilliseconds + OVERDUE_MILLISECONDS, told).then((answer) => this.#finish(slot, job, answer));
  }

  #finish(slot: Slot, job: Wanted, answer: LaneAnswer): void {
    const { cancelled } = slot;
    slot.job = undefined;
    slot.cancelled = false;
    slot.live = undefined;
    const outcome = outcomeOf(job.program, answer);
    // A cancelled run may have come to its end just before it heard of it; that answer is as good as any other.
    if (!cancelled || outcome.kind === "report") this.#record(job.key, outcome, answer.kind === "report" ? answer.bytes : undefined);
    else if (!this.pending(job.key)) this.#wake(job.key);
    this.#pump();
  }

  #record(key: string, outcome: Outcome, bytes = 0): void {
    this.#putBack.delete(key);
    this.#outcomes.set(key, outcome, bytes);
    this.#wake(key);
    this.#hooks.changed(key);
  }

  #wake(key: string): void {
    const waiters = this.#waiters.get(key) ?? [];
    this.#waiters.delete(key);
    for (const wake of waiters) wake();
  }
}

function outcomeOf(program: Program, answer: LaneAnswer): Outcome {
  switch (answer.kind) {
    case "report":
      return answer.stopped === true ? { kind: "stopped", report: answer.report } : { kind: "report", report: answer.report };
    case "memory":
      return { kind: "report", report: cutShort(program, "memory", answer.live?.progress) };
    case "failed":
      return { kind: "failed", message: answer.message };
    case "overdue":
      return { kind: "failed", message: "the model did not answer within its limit of time" };
    case "stopped":
      return { kind: "stopped", report: cutShort(program, "cancelled", answer.live?.progress) };
    default:
      return { kind: "stopped" };
  }
}
