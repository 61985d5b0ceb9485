// `order A before B` that saves a scenario: the strongest order of two calls first, for a weaker one allows all that it allows and more; where it saves, it is
// weakened step by step as far as it still does. A schedule that is known to break the goal rules out every order that allows it.

import { callSpec } from "../../scenario/catalogue/index.ts";
import type { ActorId, CallId, Order, Program, Site } from "../../scenario/program.ts";
import type { Refinement, Report, Schedule } from "../report.ts";
import { callName, goalText, schedulesOf } from "./goals.ts";
import { type Block, blocksOf, type SeenStep, seenSteps, stillRuns } from "./replay.ts";
import type { Goal, Refusal, Suggestion } from "./types.ts";
import type { Attempt, Saved, Verifier } from "./verify.ts";

/** An order between two calls of one block; a step that is not named means the whole call. */
interface Constraint {
  readonly block: Site;
  readonly before: CallId;
  readonly beforeStep?: string;
  readonly after: CallId;
  readonly afterStep?: string;
}

interface Story {
  readonly goal: Goal;
  readonly program: Program;
  readonly refinement: Refinement;
  readonly schedule: Schedule;
}

/** Calls of a block that are ordered, those nearest to what breaks. */
const MOST_CALLS = 6;
const MOST_PAIRS = 60;

export class OrderSearch {
  readonly #verifier: Verifier;
  readonly #program: Program;
  readonly #stories: Story[] = [];
  /** Steps of each call in the order in which they were first seen. */
  readonly #steps = new Map<CallId, SeenStep[]>();
  readonly #recent: CallId[] = [];
  readonly #labels: ReadonlyMap<CallId, string>;
  readonly suggestions: Suggestion[] = [];
  readonly refused: Refusal[] = [];
  ruledOut = 0;

  constructor(verifier: Verifier, report: Report) {
    this.#verifier = verifier;
    this.#program = verifier.program;
    this.#labels = labelsFor(this.#program);
    this.#learn(this.#program, report);
  }

  run(): void {
    const failing: Constraint[] = [];
    for (const block of blocksOf(this.#program)) {
      for (const constraint of this.#pairs(block)) {
        const attempt = this.#try([constraint]);
        if (!attempt?.ok || attempt.remains.length > 0) failing.push(constraint);
        if (attempt?.ok) for (const first of [true, false]) this.#accept(this.#weakened([constraint], first));
      }
    }
    if (this.suggestions.some((suggestion) => suggestion.remains.length === 0)) return;
    let left = MOST_PAIRS;
    for (const [at, one] of failing.entries()) {
      for (const other of failing.slice(at + 1)) {
        if (left <= 0) return;
        if (one.before === other.after && one.after === other.before) continue;
        if (!this.#viable([one, other])) continue;
        left -= 1;
        const attempt = this.#try([one, other]);
        if (attempt?.ok && this.#removesMore(attempt)) this.#accept(this.#weakened([one, other], true));
      }
    }
  }

  /** Takes over what a run that shows the goal teaches: schedules that an order must take away, and steps that it may name. */
  #learn(program: Program, report: Report): void {
    for (const goal of this.#verifier.goals) {
      for (const schedule of schedulesOf(goal, program, report)) {
        this.#stories.push({ goal, program, refinement: report.refinement, schedule });
        const seen = seenSteps(program, report.refinement, schedule, true);
        for (const step of seen) {
          const known = this.#steps.get(step.call) ?? [];
          if (!known.some((other) => other.step === step.step)) this.#steps.set(step.call, [...known, step]);
        }
        for (const { call } of seen.slice(0, schedule.length).reverse()) if (!this.#recent.includes(call)) this.#recent.push(call);
      }
    }
  }

  /** Strongest orders between calls of different actors that a story has in the other order. */
  #pairs(block: Block): Constraint[] {
    const near = [...this.#recent, ...block.calls.keys()].filter(
      (call, at, all) => block.calls.has(call) && this.#labels.has(call) && all.indexOf(call) === at,
    );
    const calls = near.slice(0, MOST_CALLS);
    return calls.flatMap((after) =>
      calls
        .filter((before) => block.calls.get(before) !== block.calls.get(after))
        .map((before): Constraint => ({ block: block.site, before, after }))
        .filter((constraint) => this.#viable([constraint]) || this.#stories.some((story) => this.#takesAway([constraint], story))),
    );
  }

  #try(constraints: readonly Constraint[]): Attempt | undefined {
    if (!this.#viable(constraints)) {
      // One that takes away only some of the known stories may do together with another one.
      this.ruledOut += 1;
      return constraints.length === 1 && isWhole(constraints[0]) ? this.#refuse(constraints) : undefined;
    }
    const title = this.#title(constraints);
    const changed = this.#changed(constraints);
    const attempt = this.#verifier.attempt(title, title, changed, true);
    if (!attempt.ok) {
      if (attempt.shown && !attempt.gone) this.#learn(attempt.shown.program, attempt.shown.report);
      if (constraints.length === 1 && isWhole(constraints[0]))
        this.refused.push({ title, reason: attempt.reason, steps: attempt.steps, schedule: attempt.schedule, gone: attempt.gone === true });
    }
    return attempt;
  }

  /** A known story has the order already and breaks all the same. */
  #refuse(constraints: readonly Constraint[]): Attempt {
    const story = this.#stories.find((candidate) => !this.#takesAway(constraints, candidate));
    const reason = story ? `a schedule that has this order already shows ${goalText(story.goal)}` : "";
    return { ok: false, reason, steps: "", schedule: story?.schedule ?? [] };
  }

  /** Some goal has no known story that these orders leave. */
  #viable(constraints: readonly Constraint[]): boolean {
    return this.#verifier.goals.some((goal) => this.#stories.every((story) => story.goal !== goal || this.#takesAway(constraints, story)));
  }

  readonly #taken = new Map<string, boolean>();

  #takesAway(constraints: readonly Constraint[], story: Story): boolean {
    return constraints.some((constraint) => {
      const key = `${this.#stories.indexOf(story)} ${lineOf(constraint, this.#labels)}`;
      let known = this.#taken.get(key);
      if (known === undefined) {
        this.#verifier.poll();
        known = !stillRuns(withOrders(story.program, [constraint], this.#labels), story.refinement, story.schedule);
        this.#taken.set(key, known);
      }
      return known;
    });
  }

  /** Names steps in place of whole calls as long as it still saves: first on the side that waits for, or on the side that waits. */
  #weakened(constraints: readonly Constraint[], beforeFirst: boolean): readonly Constraint[] {
    const sides = beforeFirst ? (["before", "after"] as const) : (["after", "before"] as const);
    const goals = this.#removed(constraints);
    let best = constraints;
    for (let at = 0; at < constraints.length; at++) {
      for (const side of sides) {
        const weaker = this.#weakerFirst(best[at], side).map((one) => best.map((other, index) => (index === at ? one : other)));
        const found = weaker.find((candidate) => this.#try(candidate)?.ok && this.#removed(candidate) === goals);
        if (found) best = found;
      }
    }
    return best;
  }

  /** Than each single order that was found: two lines for what one line does are no answer. */
  #removesMore(saved: Saved): boolean {
    return this.suggestions.every((suggestion) => suggestion.cost > 1 || suggestion.removes.length < saved.removes.length);
  }

  #removed(constraints: readonly Constraint[]): string {
    const attempt = this.#try(constraints);
    return attempt?.ok ? attempt.removes.map(goalText).join() : "";
  }

  /** A check writes nothing that anybody could wait for. */
  #weakerFirst(constraint: Constraint, side: "before" | "after"): Constraint[] {
    if (side === "before") {
      const steps = (this.#steps.get(constraint.before) ?? []).filter((step) => !step.returned && !step.step.startsWith("check_"));
      return steps.map((step) => ({ ...constraint, beforeStep: step.step }));
    }
    const steps = (this.#steps.get(constraint.after) ?? []).slice(1);
    return steps.reverse().map((step) => ({ ...constraint, afterStep: step.step }));
  }

  #accept(constraints: readonly Constraint[]): void {
    const attempt = this.#try(constraints);
    const title = this.#title(constraints);
    if (!attempt?.ok || this.suggestions.some((suggestion) => suggestion.title === title)) return;
    this.suggestions.push(this.#suggestion(constraints, attempt, title));
  }

  #suggestion(constraints: readonly Constraint[], saved: Saved, title: string): Suggestion {
    const program = this.#program;
    const calls = constraints.flatMap(({ before, after }) => [before, after]);
    const labels = [...new Set(calls)].flatMap((call) => (program.calls[call].label === undefined ? [{ call, label: this.#labels.get(call) ?? "" }] : []));
    const orders = constraints.map((constraint) => ({ parallel: constraint.block, line: lineOf(constraint, this.#labels) }));
    const gone = new Set(saved.removes.flatMap((goal) => (goal.kind === "invariant" ? [goal.invariant] : [])));
    const changed = this.#changed(constraints);
    return {
      kind: "order",
      title,
      text: orders.map(({ line }) => line).join("\n"),
      meaning: [...constraints.map((constraint) => meaningOf(program, constraint)), ...saved.lost].join("; "),
      cost: constraints.length,
      removes: saved.removes.map(goalText),
      remains: saved.remains.map(goalText),
      notJudged: saved.notJudged,
      states: saved.states,
      labels,
      orders,
      program: { ...changed, expected: changed.expected.filter(({ invariant }) => !gone.has(invariant)) },
    };
  }

  #title(constraints: readonly Constraint[]): string {
    return constraints.map((constraint) => lineOf(constraint, this.#labels)).join("; ");
  }

  #changed(constraints: readonly Constraint[]): Program {
    return withOrders(this.#program, constraints, this.#labels);
  }
}

const isWhole = (constraint: Constraint): boolean => constraint.beforeStep === undefined && constraint.afterStep === undefined;

function meaningOf(program: Program, { before, beforeStep, after, afterStep }: Constraint): string {
  const who = (call: CallId): string => `${callSpec(program.calls[call].spec).name} of ${actorName(program, program.calls[call].actor)}`;
  const waits = afterStep === undefined ? `${who(after)} does not begin` : `${who(after)} waits before ${afterStep}`;
  return `${waits} until ${who(before)} has ${beforeStep === undefined ? "returned" : `passed ${beforeStep}`}`;
}

const actorName = (program: Program, actor: ActorId): string => program.actors[actor].name;

const pointText = (label: string, step: string | undefined): string => (step === undefined ? label : `${label}.${step}`);

function lineOf({ before, beforeStep, after, afterStep }: Constraint, labels: ReadonlyMap<CallId, string>): string {
  return `order ${pointText(labels.get(before) ?? "", beforeStep)} before ${pointText(labels.get(after) ?? "", afterStep)}`;
}

function withOrders(program: Program, constraints: readonly Constraint[], labels: ReadonlyMap<CallId, string>): Program {
  const named = new Set(constraints.flatMap(({ before, after }) => [before, after]));
  const calls = program.calls.map((call, id) => (named.has(id) && call.label === undefined ? { ...call, label: labels.get(id) } : call));
  const body = program.body.map((statement) => {
    if (statement.kind !== "parallel") return statement;
    const added = constraints
      .filter((constraint) => constraint.block === statement.site)
      .map(({ before, beforeStep, after, afterStep }): Order => {
        const point = (call: CallId, step: string | undefined): Order["before"] => ({
          label: labels.get(call) ?? "",
          calls: [call],
          ...(step === undefined ? {} : { step }),
        });
        return { before: point(before, beforeStep), after: point(after, afterStep), site: statement.site };
      });
    return added.length === 0 ? statement : { ...statement, orders: [...statement.orders, ...added] };
  });
  return { ...program, calls, body };
}

/** Each call's own label, or one made for it. A call whose text runs more than once (`repeat`) cannot be given a label of its own. */
export function labelsFor(program: Program): ReadonlyMap<CallId, string> {
  const labels = new Map<CallId, string>();
  const taken = new Set(program.calls.flatMap(({ label }) => (label === undefined ? [] : [label, label.replace(/\[.*$/, "")])));
  const spans = program.calls.map(({ statement }) => `${program.sites[statement].file} ${program.sites[statement].from}`);
  program.calls.forEach((call, id) => {
    if (call.label !== undefined) {
      if (program.calls.filter((other) => other.label === call.label).length === 1) labels.set(id, call.label);
      return;
    }
    if (spans.indexOf(spans[id]) !== spans.lastIndexOf(spans[id])) return;
    const word = wordFor(program, id);
    let label = word;
    for (let number = 2; taken.has(label); number++) label = `${word}${number}`;
    taken.add(label);
    labels.set(id, label);
  });
  return labels;
}

const PUNCH_HOLE = 2n;

function wordFor(program: Program, id: CallId): string {
  const call = program.calls[id];
  const mode = call.operands[1];
  if (call.spec === "fallocate" && mode?.kind === "int" && (mode.value & PUNCH_HOLE) !== 0n) return "punch";
  return callName(program, id)
    .replace(/^KVM_/, "")
    .toLowerCase()
    .replace(/[^a-z0-9_]/g, "_");
}
