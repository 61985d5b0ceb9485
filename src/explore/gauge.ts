// Watches the time and the wish to stop while a search runs, and tells how far it is. It asks at least every 1,024 states, and more often where states are
// slow, so that a stop is seen within milliseconds.

import type { Budget, Progress } from "./system.ts";

const MOST_STATES = 1024;
/** Between two polls: fewer states from here on when they took longer than `SLOW` milliseconds, more when they took less than `FAST`. */
const SLOW = 4;
const FAST = 1;
/**
 * Milliseconds between two tellings, where the next poll is expected to come later than that. Polls lie some milliseconds apart, and the promise is ten a
 * second.
 */
const TELL = 80;

/** What the gauge needs to see of a search while it runs. */
export type Counts = Omit<Progress, "milliseconds">;

export class Gauge {
  limit: "time" | "cancelled" | undefined = undefined;
  /** Number of states from which on `poll` has to be asked. */
  nextPoll = 0;
  private readonly budget: Budget;
  private readonly counts: () => Counts;
  private readonly started: number;
  private last: number;
  private told: number;
  private interval = 1;

  constructor(budget: Budget, counts: () => Counts) {
    this.budget = budget;
    this.counts = counts;
    this.started = budget.now();
    this.last = this.started;
    this.told = this.started;
  }

  /** True when the search has to stop; `limit` says why. */
  poll(done: number): boolean {
    const now = this.budget.now();
    const took = now - this.last;
    this.last = now;
    if (took > SLOW) this.interval = Math.max(1, Math.floor((this.interval * SLOW) / took));
    else if (took < FAST && done > 0) this.interval = Math.min(MOST_STATES, this.interval * 2);
    this.nextPoll = done + this.interval;
    if (this.budget.progress !== undefined && now - this.told + took >= TELL) {
      this.told = now;
      this.budget.progress({ ...this.counts(), milliseconds: now - this.started });
    }
    if (this.budget.cancelled?.() === true) this.limit = "cancelled";
    else if (now - this.started > this.budget.maxMilliseconds) this.limit = "time";
    return this.limit !== undefined;
  }

  elapsed(): number {
    return this.budget.now() - this.started;
  }
}
