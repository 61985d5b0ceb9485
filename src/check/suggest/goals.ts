// What shall go away: the goals of a report, and the schedules that show each of them.

import { matches } from "../../model/queries.ts";
import { callSpec } from "../../scenario/catalogue/index.ts";
import { printCondition } from "../../scenario/print.ts";
import type { CallId, Expression, Program, Site, Statement } from "../../scenario/program.ts";
import { INVARIANT_CODES } from "../locate.ts";
import type { Remark, Report, Schedule } from "../report.ts";
import type { Goal } from "./types.ts";

/** Remarks that some interleaving causes, so that taking interleavings away or other steps can mend them: results, never, forall, assert. */
const CAUSED: ReadonlySet<string> = new Set(["MEMFD3001", "MEMFD3021", "MEMFD3022", "MEMFD3024"]);

/** Codes of findings that a suggestion may make go away. */
export const isSaveable = (code: string): boolean => CAUSED.has(code) || Object.values(INVARIANT_CODES).includes(code);

/** What fails; where nothing does, what is expected to break. */
export function goalsOf(program: Program, report: Report): Goal[] {
  const failing = report.violations.filter((violation) => !violation.expected);
  const remarks = report.remarks.filter((remark) => CAUSED.has(remark.code) && remark.severity === "error");
  const broken = failing.length + remarks.length > 0 ? failing : report.violations;
  const invariants = [...new Set(broken.map((violation) => violation.invariant))];
  return [
    ...invariants.map((invariant): Goal => ({ kind: "invariant", invariant })),
    ...remarks.map((remark): Goal => ({ kind: "remark", code: remark.code, site: remark.site, message: remarkText(program, remark) })),
  ];
}

export const callName = (program: Program, call: CallId): string => program.calls[call].label ?? callSpec(program.calls[call].spec).name;

/** A remark that names what it is about. */
export function remarkText(program: Program, { site, message }: Pick<Remark, "code" | "site" | "message">): string {
  const question = program.questions.find((candidate) => candidate.site === site);
  if (question) return `\`${question.kind} ${printCondition(program, question.condition)}\` fails`;
  const id = program.calls.findIndex((call) => call.expect?.site === site || call.site === site);
  if (id >= 0) return `${callName(program, id)} of ${program.actors[program.calls[id].actor].name} ${message}`;
  const condition = assertionAt(program.body, site);
  return condition ? `\`assert ${printCondition(program, condition)}\` fails` : message;
}

/** The condition of the `assert` at a site. */
export function assertionAt(body: readonly Statement[], site: Site): Expression | undefined {
  for (const statement of body) {
    if (statement.kind === "assert" && statement.site === site) return statement.condition;
    const inside = statement.kind === "atomic" ? [statement.body] : statement.kind === "parallel" ? statement.threads.map((thread) => thread.body) : [];
    for (const list of inside) {
      const found = assertionAt(list, site);
      if (found) return found;
    }
  }
  return undefined;
}

const MOST_NAMED = 3;

/** `no-stale-mapping, zeroed-on-allocation and 4 more` */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMED).join(", ");
  return names.length <= MOST_NAMED ? shown : `${shown} and ${names.length - MOST_NAMED} more`;
}

export const goalText = (goal: Goal): string => (goal.kind === "invariant" ? goal.invariant : goal.message);

export function isThere(goal: Goal, report: Report): boolean {
  if (goal.kind === "invariant") return report.violations.some((violation) => violation.invariant === goal.invariant);
  return report.remarks.some((remark) => remark.code === goal.code && remark.site === goal.site);
}

/** One schedule per way in which a report shows a goal. */
export function schedulesOf(goal: Goal, program: Program, report: Report): Schedule[] {
  if (goal.kind === "invariant") {
    return report.violations.filter((violation) => violation.invariant === goal.invariant).map((violation) => violation.story.schedule);
  }
  const witnesses = report.witnesses.filter((witness) => witness.site === goal.site).map((witness) => witness.schedule);
  const wrong = program.calls.flatMap((call, id) => {
    const { expect } = call;
    if (expect?.site !== goal.site) return [];
    return report.calls[id].results
      .filter(({ result }) => !expect.any.some((pattern) => matches(result, pattern)))
      .flatMap(({ schedule }) => (schedule === undefined ? [] : [schedule]));
  });
  return [...witnesses, ...wrong];
}
