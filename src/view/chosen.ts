// Which schedule a trace shows when nobody asks for one: what the scenario does not expect comes first, then what it expects to break, then what it asks for.
// Where a rule breaks, the story goes on to an end that the scenario asks for, if the broken state leads to one.

import type { Report, Schedule, Violation } from "../check/report.ts";
import { completed } from "../check/story.ts";
import { matches } from "../model/queries.ts";
import { NoAnswer } from "../model/refine.ts";
import type { MachineSystem } from "../model/system.ts";
import { printCall, printExpression, printResult, returnsOfCall } from "../scenario/print.ts";
import type { Expression, Program, Site, Statement } from "../scenario/program.ts";

export interface Chosen {
  readonly schedule: Schedule;
  /** What the schedule shows beside the rule that breaks in it. */
  readonly shown?: string;
}

/** Shown questions are cut here; the line says the rest. */
const MAX_CONDITION = 120;
/** States that are looked at on the way from a broken rule to an end that the scenario asks for. */
const MAX_ENDS = 4_000;

/** `limit`: at most so many steps. */
export function chosenStory(machine: MachineSystem, report: Report, lineOf: (site: Site) => number, limit: number): Chosen {
  const { program } = machine;
  const unexpected = report.violations.find((violation) => !violation.expected);
  const broken = unexpected ?? (report.verdict === "fail" ? undefined : report.violations[0]);
  if (broken) return goOn(machine, report, broken, lineOf, limit);
  const failing = unmetWitness(program, report, lineOf) ?? wrongAnswer(program, report, lineOf);
  if (!failing && report.violations.length > 0) return goOn(machine, report, report.violations[0], lineOf, limit);
  const { schedule, ...rest } = failing ?? witness(program, report, lineOf) ?? { schedule: [] };
  return { schedule: completed(machine, schedule.slice(0, limit), limit), ...rest };
}

/** From a broken rule to an end: one that an `exists` asks for, the last of them first; else whatever comes, where nothing goes round for ever. */
function goOn(machine: MachineSystem, report: Report, { story }: Violation, lineOf: (site: Site) => number, limit: number): Chosen {
  const begun = story.schedule.slice(0, limit);
  if (story.round !== undefined) return { schedule: begun };
  for (const question of machine.program.questions.toReversed()) {
    if (question.kind !== "exists" || !report.witnesses.some(({ site }) => site === question.site)) continue;
    const rest = toward(machine, begun, question.condition);
    if (rest === undefined || begun.length + rest.length > limit) continue;
    return {
      schedule: [...begun, ...rest],
      shown: `exists ${conditionText(machine.program, question.condition)} (line ${lineOf(question.site)}) holds at the end.`,
    };
  }
  return { schedule: completed(machine, begun, limit) };
}

/** The fewest steps that lead on from `begun` to an end in which the condition holds; undefined where none is near. */
function toward(machine: MachineSystem, begun: Schedule, condition: Expression): Schedule | undefined {
  const start = new Int32Array(machine.words);
  machine.initial(start);
  for (const { actor, choice } of begun) machine.step(start, actor, choice);
  const seen = new Set([start.join()]);
  let level: { state: Int32Array; steps: Schedule }[] = [{ state: start, steps: [] }];
  while (level.length > 0) {
    const next: typeof level = [];
    for (const { state, steps } of level) {
      if (machine.finished(state) && holds(machine, state, condition)) return steps;
      for (const follower of followers(machine, state)) {
        const key = follower.state.join();
        if (seen.has(key)) continue;
        if (seen.size >= MAX_ENDS) return undefined;
        seen.add(key);
        next.push({ state: follower.state, steps: [...steps, follower.step] });
      }
    }
    level = next;
  }
  return undefined;
}

function followers(machine: MachineSystem, state: Int32Array): { state: Int32Array; step: Schedule[number] }[] {
  const found: { state: Int32Array; step: Schedule[number] }[] = [];
  for (let actor = 0; actor < machine.actors; actor++) {
    let choices = 1;
    for (let choice = 0; choice < choices; choice++) {
      const after = Int32Array.from(state);
      choices = machine.step(after, actor, choice);
      if (choices > 0) found.push({ state: after, step: { actor, choice } });
    }
  }
  return found;
}

function holds(machine: MachineSystem, state: Int32Array, condition: Expression): boolean {
  try {
    return machine.evaluate(state, condition) !== 0n;
  } catch (error) {
    if (error instanceof NoAnswer) return false;
    throw error;
  }
}

function conditionText(program: Program, condition: Expression): string {
  // Bytes and addresses as the steps say them; small numbers stay.
  const text = printExpression(program, condition).replace(/(?<![\w.[\]"'])\d{2,}(?![\w"'])/g, (number) => `0x${BigInt(number).toString(16)}`);
  return text.length > MAX_CONDITION ? `${text.slice(0, MAX_CONDITION - 3)}...` : text;
}

/** An assertion, `never` or `forall` that fails, with a schedule in which it does. */
function unmetWitness(program: Program, report: Report, lineOf: (site: Site) => number): Chosen | undefined {
  for (const { site, schedule } of report.witnesses) {
    const question = program.questions.find((each) => each.site === site);
    const line = `line ${lineOf(site)}`;
    if (question?.kind === "never")
      return { schedule, shown: `never ${conditionText(program, question.condition)} (${line}) fails: this schedule ends with it.` };
    if (question?.kind === "forall")
      return { schedule, shown: `forall ${conditionText(program, question.condition)} (${line}) fails: this schedule ends without it.` };
    const condition = question ? undefined : assertion(program.body, site);
    if (condition) return { schedule, shown: `assert ${conditionText(program, condition)} (${line}) fails in this schedule.` };
  }
  return undefined;
}

function assertion(body: readonly Statement[], site: Site): Expression | undefined {
  for (const statement of body) {
    if (statement.kind === "assert" && statement.site === site) return statement.condition;
    const inner = statement.kind === "parallel" ? statement.threads.flatMap((thread) => thread.body) : statement.kind === "atomic" ? statement.body : [];
    const found = inner.length > 0 ? assertion(inner, site) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** A call that answers what its line does not list. */
function wrongAnswer(program: Program, report: Report, lineOf: (site: Site) => number): Chosen | undefined {
  for (const [id, call] of program.calls.entries()) {
    const { expect } = call;
    if (!expect || expect.any.some((pattern) => pattern.kind === "unknown")) continue;
    const wrong = report.calls[id]?.results.find(({ result }) => !expect.any.some((pattern) => matches(result, pattern)));
    if (!wrong) continue;
    const answer = printResult(wrong.result, returnsOfCall(call));
    return { schedule: wrong.schedule, shown: `${printCall(program, id)} (line ${lineOf(call.site)}) answers ${answer}, which its line does not expect.` };
  }
  return undefined;
}

/** The first `exists` of the text, and how it comes about. */
function witness(program: Program, report: Report, lineOf: (site: Site) => number): Chosen | undefined {
  for (const question of program.questions) {
    const found = question.kind === "exists" ? report.witnesses.find(({ site }) => site === question.site) : undefined;
    if (found)
      return { schedule: found.schedule, shown: `exists ${conditionText(program, question.condition)} (line ${lineOf(question.site)}): so it comes about.` };
  }
  return undefined;
}
