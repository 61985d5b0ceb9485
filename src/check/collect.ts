// Listens to an exploration and keeps what the report needs: the result set of every call, the first edge of every violation, witnesses of the questions.

import type { Edge, Observer } from "../explore/system.ts";
import type { Invariant } from "../invariants/index.ts";
import { bits } from "../model/footprint.ts";
import type { Machine } from "../model/machine.ts";
import { NoAnswer } from "../model/queries.ts";
import type { CallId, Question, Site } from "../scenario/program.ts";
import type { Schedule } from "./report.ts";

/** A violated invariant at one step of one call, with the schedule that came first. */
export interface Breach {
  readonly invariant: Invariant;
  readonly call: CallId;
  readonly step: string;
  readonly subject: number;
  schedule: Schedule;
}

export interface Deadlock {
  readonly calls: readonly CallId[];
  readonly schedule: Schedule;
}

/** Subjects of one invariant; enough for every pair of cells and frames. */
const SUBJECTS = 2 ** 40;

export class Collector implements Observer {
  readonly #machine: Machine;
  readonly #stateful: readonly { readonly invariant: Invariant; readonly base: number }[];
  readonly #eventful: readonly Invariant[];
  readonly #watched: number;
  /** The state that is expanded, and what is broken in it, worked out when the first edge needs it. */
  readonly #expanded: Int32Array;
  #judged = false;
  #before: number[] = [];
  #after: number[] = [];
  #into: number[] = [];
  #base = 0;
  readonly #push: (subject: number) => void;
  /** By call: result number → first schedule. */
  readonly results: Map<number, Schedule>[];
  readonly breaches = new Map<string, Breach>();
  readonly failedAsserts = new Map<Site, Schedule>();
  /** By question: a schedule where its condition holds, and one where it does not. */
  readonly holds = new Map<Question, Schedule>();
  readonly fails = new Map<Question, Schedule>();
  readonly unanswered = new Map<Question, string>();
  readonly deadlocks = new Map<string, Deadlock>();
  ends = 0;

  constructor(machine: Machine, invariants: readonly Invariant[]) {
    this.#machine = machine;
    this.results = machine.program.calls.map(() => new Map());
    this.#stateful = invariants.flatMap((invariant, index) => (invariant.state ? [{ invariant, base: index * SUBJECTS }] : []));
    this.#eventful = invariants.filter((invariant) => invariant.event);
    this.#watched = bits(this.#stateful.flatMap(({ invariant }) => invariant.reads).filter((region) => region !== "thread"));
    this.#expanded = new Int32Array(machine.words);
    this.#push = (subject) => this.#into.push(this.#base + subject);
  }

  state(state: Int32Array): void {
    this.#expanded.set(state.length === this.#expanded.length ? state : state.subarray(0, this.#expanded.length));
    this.#judged = false;
  }

  edge(state: Int32Array, edge: Edge): void {
    const machine = this.#machine;
    // `schedule()` may run other steps on the machine, so what this one left there is taken first.
    const { lastCall: call, lastStep: step, lastWrites } = machine;
    const events = machine.events.length > 0 ? machine.events.slice() : machine.events;
    for (const event of events) {
      if (event.kind === "returned") {
        const seen = this.results[event.a];
        if (!seen.has(event.b)) seen.set(event.b, edge.schedule());
      } else if (event.kind === "assert-failed") {
        if (!this.failedAsserts.has(event.a)) this.failedAsserts.set(event.a, edge.schedule());
      } else {
        for (const invariant of this.#eventful) {
          const subject = invariant.event?.(machine, event, state);
          if (subject !== undefined) this.#breach(invariant, subject, call, step, edge);
        }
      }
    }
    if ((lastWrites & this.#watched) === 0) return;
    if (!this.#judged) this.#judge(this.#expanded, this.#before);
    this.#judged = true;
    this.#judge(state, this.#after);
    for (const key of this.#after) {
      if (this.#before.includes(key)) continue;
      const found = this.#stateful.find((row) => row.base === key - (key % SUBJECTS));
      if (found) this.#breach(found.invariant, key % SUBJECTS, call, step, edge);
    }
  }

  end(state: Int32Array, finished: boolean, schedule: () => { actor: number; choice: number }[]): void {
    if (finished) {
      this.ends += 1;
      for (const question of this.#machine.program.questions) this.#ask(question, state, schedule);
    } else this.#stuck(state, schedule);
  }

  #judge(state: Int32Array, into: number[]): void {
    into.length = 0;
    this.#into = into;
    for (const { invariant, base } of this.#stateful) {
      this.#base = base;
      invariant.state?.(this.#machine, state, this.#push);
    }
  }

  /** One entry per invariant, call and step: the first one found has a shortest schedule. */
  #breach(invariant: Invariant, subject: number, call: CallId, step: string, edge: Edge): void {
    const key = `${invariant.name} ${call} ${step}`;
    if (!this.breaches.has(key)) this.breaches.set(key, { invariant, call, step, subject, schedule: edge.schedule() });
  }

  #ask(question: Question, state: Int32Array, schedule: () => { actor: number; choice: number }[]): void {
    try {
      const answers = this.#machine.evaluate(state, question.condition) !== 0n ? this.holds : this.fails;
      if (!answers.has(question)) answers.set(question, schedule());
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.unanswered.set(question, error.message);
    }
  }

  /** The calls at which actors stand for ever answer `blocks`. */
  #stuck(state: Int32Array, schedule: () => { actor: number; choice: number }[]): void {
    const machine = this.#machine;
    if (machine.isHeldBack(state)) return;
    const calls: CallId[] = [];
    const blocks = machine.results.number({ kind: "blocks" });
    for (let actor = 0; actor < machine.actors; actor++) {
      const call = machine.instruction(state, actor)?.call;
      if (call === undefined) continue;
      calls.push(call);
      if (!this.results[call].has(blocks)) this.results[call].set(blocks, schedule());
    }
    const key = calls.join();
    if (!this.deadlocks.has(key)) this.deadlocks.set(key, { calls, schedule: schedule() });
  }
}
