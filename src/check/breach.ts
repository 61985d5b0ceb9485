// What a search comes upon: a rule that breaks in a step, actors that wait for each other; each with its schedule.

import type { Invariant } from "../invariants/index.ts";
import type { CallId } from "../scenario/program.ts";
import type { Schedule } from "./report.ts";

/** A violated invariant at one step of one call, with the schedule that came first. */
export interface Breach {
  readonly invariant: Invariant;
  readonly call: CallId;
  readonly step: string;
  readonly subject: number;
  schedule: Schedule;
}

/** Calls under way of which none can go on. */
export interface Deadlock {
  readonly calls: readonly CallId[];
  readonly schedule: Schedule;
}

/** Breaches of one rule in one step of one call are one. */
export const breachKey = (invariant: Invariant, call: CallId, step: string): string => `${invariant.name} ${call} ${step}`;
