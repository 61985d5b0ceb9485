// Listens to an exploration and keeps what the report needs: the result set of every call, the first edge of every violation, witnesses of the questions.

import type { Edge, Observer } from "../explore/system.ts";
import type { Invariant } from "../invariants/index.ts";
import type { ModelEvent } from "../model/events.ts";
import { type Compiled, compileExpression } from "../model/queries.ts";
import { NoAnswer } from "../model/refine.ts";
import type { MachineSystem } from "../model/system.ts";
import type { CallId, Question, Site } from "../scenario/program.ts";
import { type Breach, breachKey, type Deadlock } from "./breach.ts";
import type { Schedule } from "./report.ts";
import { assertionAt } from "./suggest/goals.ts";
import { closeUnderExchange } from "./twins.ts";
import { valuesOf } from "./values.ts";
import { Watcher } from "./watcher.ts";

type Steps = () => { actor: number; choice: number }[];

/** Steps that the schedules of all answers may have together; of thousands of calls in a row each schedule is a beginning of the next. */
const ANSWER_STEPS = 50_000;
/** From so many breaches on, only the first of each line is kept: a `repeat` breaks the same rule over and over. */
const BREACHES = 32;

export class Collector implements Observer {
  readonly #machine: MachineSystem;
  readonly #watcher: Watcher;
  readonly #eventful: readonly Invariant[];
  readonly #questions: readonly { readonly question: Question; readonly condition: Compiled }[];
  #stepsLeft = ANSWER_STEPS;
  /** Breaches that are known, by invariant and step. */
  readonly #known = new Map<Invariant, Map<string, Set<CallId>>>();
  readonly #brokenSites = new Set<string>();
  /** By call: result number → the first schedule; empty where `ANSWER_STEPS` are used up. */
  readonly results: Map<number, Schedule>[];
  readonly breaches = new Map<string, Breach>();
  readonly failedAsserts = new Map<Site, Schedule>();
  /** By question: a schedule where its condition holds, and one where it does not. */
  readonly holds = new Map<Question, Schedule>();
  readonly fails = new Map<Question, Schedule>();
  readonly unanswered = new Map<Question, string>();
  /** What the parts of a condition were in the first state in which an `assert` failed, a `never` had it, or a `forall` or `exists` had it not. */
  readonly values = new Map<Site, string>();
  readonly deadlocks = new Map<string, Deadlock>();
  ends = 0;

  constructor(machine: MachineSystem, invariants: readonly Invariant[]) {
    this.#machine = machine;
    this.results = machine.program.calls.map(() => new Map());
    this.#watcher = new Watcher(machine, invariants);
    this.#eventful = invariants.filter((invariant) => invariant.event);
    this.#questions = machine.program.questions.map((question) => ({ question, condition: compileExpression(machine, question.condition) }));
  }

  state(state: Int32Array): void {
    this.#watcher.from(state);
  }

  edge(state: Int32Array, edge: Edge): void {
    const { lastCall: call, lastStep: step, lastWrites, events } = this.#machine;
    // `schedule()` runs other steps on the machine, which fill the same events, so what this one left there is taken first.
    if (events.length > 0 && this.#areNews(events, state, call, step)) {
      for (const event of events.map((own) => ({ ...own }))) this.#hear(event, state, call, step, edge);
    }
    const broken = this.#watcher.broken(state, lastWrites);
    if (broken) for (const { invariant, subject } of broken) this.#breach(invariant, subject, call, step, edge);
  }

  end(state: Int32Array, finished: boolean, schedule: Steps): void {
    if (finished) {
      this.ends += 1;
      for (const { question, condition } of this.#questions) this.#ask(question, condition, state, schedule);
    } else this.#stuck(state, schedule);
  }

  /** After an exploration under symmetry: adds what the actors that were left out as equal do. Without symmetry, or without equal actors, adds nothing. */
  close(): void {
    closeUnderExchange(this.#machine, this);
  }

  #areNews(events: readonly ModelEvent[], state: Int32Array, call: CallId, step: string): boolean {
    for (const event of events) {
      if (event.kind === "returned") {
        if (!this.results[event.a].has(event.b)) return true;
      } else if (event.kind === "assert-failed") {
        if (!this.failedAsserts.has(event.a)) return true;
      } else {
        for (const invariant of this.#eventful) {
          if (invariant.event?.(this.#machine, event, state) !== undefined && !this.#knows(invariant, call, step)) return true;
        }
      }
    }
    return false;
  }

  #hear(event: ModelEvent, state: Int32Array, call: CallId, step: string, edge: Edge): void {
    if (event.kind === "returned") {
      const seen = this.results[event.a];
      if (!seen.has(event.b))
        seen.set(
          event.b,
          this.#answerSchedule(() => edge.schedule()),
        );
    } else if (event.kind === "assert-failed") {
      if (!this.failedAsserts.has(event.a)) {
        const condition = assertionAt(this.#machine.program.body, event.a);
        if (condition) this.values.set(event.a, valuesOf(this.#machine, condition, state));
        this.failedAsserts.set(event.a, edge.schedule());
      }
    } else {
      for (const invariant of this.#eventful) {
        const subject = invariant.event?.(this.#machine, event, state);
        if (subject !== undefined) this.#breach(invariant, subject, call, step, edge);
      }
    }
  }

  #answerSchedule(make: Steps): Schedule {
    if (this.#stepsLeft <= 0) return [];
    const schedule = make();
    this.#stepsLeft -= schedule.length;
    return schedule;
  }

  #knows(invariant: Invariant, call: CallId, step: string): boolean {
    return this.#known.get(invariant)?.get(step)?.has(call) === true;
  }

  /** One entry per invariant, call and step: the first one found. */
  #breach(invariant: Invariant, subject: number, call: CallId, step: string, edge: Edge): void {
    if (this.#knows(invariant, call, step)) return;
    let steps = this.#known.get(invariant);
    if (!steps) this.#known.set(invariant, (steps = new Map()));
    const calls = steps.get(step);
    if (calls) calls.add(call);
    else steps.set(step, new Set([call]));
    const site = `${invariant.name} ${step} ${this.#machine.program.calls[call]?.site}`;
    if (this.breaches.size >= BREACHES && this.#brokenSites.has(site)) return;
    this.#brokenSites.add(site);
    this.breaches.set(breachKey(invariant, call, step), { invariant, call, step, subject, schedule: edge.schedule() });
  }

  #ask(question: Question, condition: Compiled, state: Int32Array, schedule: Steps): void {
    try {
      const holds = condition(state) !== 0n;
      const answers = holds ? this.holds : this.fails;
      if (answers.has(question)) return;
      if (holds === (question.kind === "never")) this.values.set(question.site, valuesOf(this.#machine, question.condition, state));
      answers.set(question, schedule());
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.unanswered.set(question, error.message);
    }
  }

  /** The calls at which actors stand for ever answer `blocks`. */
  #stuck(state: Int32Array, schedule: Steps): void {
    const machine = this.#machine;
    if (machine.isHeldBack(state)) return;
    const calls: CallId[] = [];
    for (let actor = 0; actor < machine.actors; actor++) {
      const call = machine.instruction(state, actor)?.call;
      if (call !== undefined) calls.push(call);
    }
    const key = calls.join();
    if (this.deadlocks.has(key)) return;
    const steps = schedule();
    this.deadlocks.set(key, { calls, schedule: steps });
    const blocks = machine.results.number({ kind: "blocks" });
    for (const call of calls) if (!this.results[call].has(blocks)) this.results[call].set(blocks, steps);
  }
}
