// Holds what was found against what the scenario expects: results on their lines, `expect violation`, exists, never, forall, assert. Says nothing final about
// what a run that was cut short has not seen.

import type { Machine } from "../model/machine.ts";
import { matches } from "../model/queries.ts";
import { printPattern, printResult, returnsOfCall } from "../scenario/print.ts";
import type { CallId, ExpectedViolation, Point, Program, Question, Result, Site } from "../scenario/program.ts";
import type { Collector } from "./collect.ts";
import type { CallReport, Remark, Violation } from "./report.ts";

export function callReports(machine: Machine, collector: Collector): CallReport[] {
  return collector.results.map((seen) => ({ results: [...seen].map(([number, schedule]) => ({ result: machine.results.result(number), schedule })) }));
}

const answerText = (program: Program, call: CallId, result: Result): string => printResult(result, returnsOfCall(program.calls[call]));

/** What a fix writes behind `=`: every answer, and what stands there for other kernels. */
function rewritten(program: Program, call: CallId, results: readonly Result[]): string {
  const elsewhere = program.calls[call].expect?.elsewhere ?? [];
  const here = elsewhere.length > 0 ? ` on ${program.profile.name}` : "";
  return [...results.map((result) => answerText(program, call, result) + here), ...elsewhere].join(" or ");
}

/** Results that no pattern of the line covers. */
export function judgeResults(program: Program, calls: readonly CallReport[], complete: boolean): Remark[] {
  return program.calls.flatMap((call, id): Remark[] => {
    const { expect } = call;
    if (!expect) return [];
    const results = calls[id].results.map((outcome) => outcome.result);
    const actual = results.map((result) => answerText(program, id, result)).join(" or ");
    // Bytes as found have no RESULT to write them with, so no quick fix offers them.
    const writable = results.every((result) => result.kind !== "found" && result.kind !== "handle") ? { actual: rewritten(program, id, results) } : {};
    if (expect.any.some((pattern) => pattern.kind === "unknown")) {
      return results.length === 0 ? [] : [{ code: "MEMFD3002", severity: "information", site: expect.site, message: `answers ${actual}`, ...writable }];
    }
    if (results.length === 0)
      return complete ? [{ code: "MEMFD3003", severity: "warning", site: call.site, message: "no interleaving reaches this call" }] : [];
    const wrong = results.filter((result) => !expect.any.some((pattern) => matches(result, pattern)));
    if (wrong.length === 0) return [];
    const wanted = expect.any.map(printPattern).join(" or ");
    const some = wrong.length < results.length ? "in some interleaving " : "";
    const message = `${some}answers ${wrong.map((result) => answerText(program, id, result)).join(" or ")}, not ${wanted}`;
    return [{ code: "MEMFD3001", severity: "error", site: expect.site, message, ...writable }];
  });
}

export function isAt(violation: Pick<Violation, "call" | "step">, at: Point | undefined): boolean {
  return !at || (at.calls.includes(violation.call) && (at.step === undefined || at.step === violation.step));
}

/** An expected violation that no interleaving shows. */
export function judgeExpected(program: Program, violations: readonly Violation[], complete: boolean): Remark[] {
  if (!complete) return [];
  return program.expected.flatMap((expected: ExpectedViolation): Remark[] => {
    const same = violations.filter((violation) => violation.invariant === expected.invariant);
    if (same.some((violation) => isAt(violation, expected.at))) return [];
    const place = expected.at ? ` at ${expected.at.label}${expected.at.step ? `.${expected.at.step}` : ""}` : "";
    const elsewhere = same.length > 0 ? `; it is broken at ${[...new Set(same.map((violation) => violation.step))].join(", ")}` : "";
    return [
      {
        code: "MEMFD3010",
        severity: "error",
        site: expected.site,
        message: `no interleaving breaks ${expected.invariant}${place}${elsewhere}`,
        related: same
          .slice(0, 4)
          .flatMap((violation) => (violation.call < 0 ? [] : [{ site: program.calls[violation.call].site, message: violation.message }])),
      },
    ];
  });
}

/** exists, never, forall over the final states; a question that some final state cannot answer says so. */
export function judgeQuestions(program: Program, collector: Collector, complete: boolean): Remark[] {
  return program.questions.flatMap((question: Question): Remark[] => {
    const { site } = question;
    const values = valuesAt(collector, site);
    const unanswered = collector.unanswered.get(question);
    if (unanswered !== undefined) return [{ code: "MEMFD3023", severity: "error", site, message: unanswered }];
    if (question.kind === "never" && collector.holds.has(question))
      return [{ code: "MEMFD3021", severity: "error", site, message: "some final state has it", ...values }];
    if (question.kind === "forall" && collector.fails.has(question))
      return [{ code: "MEMFD3022", severity: "error", site, message: "some final state does not have it", ...values }];
    if (question.kind === "exists" && !collector.holds.has(question) && complete && collector.ends > 0)
      return [{ code: "MEMFD3020", severity: "error", site, message: "no final state has it", ...valuesAt(collector, site, "in one ") }];
    return [];
  });
}

export function judgeAsserts(collector: Collector): Remark[] {
  return [...collector.failedAsserts.keys()].map(
    (site): Remark => ({ code: "MEMFD3024", severity: "error", site, message: "does not hold here in some interleaving", ...valuesAt(collector, site) }),
  );
}

function valuesAt(collector: Collector, site: Site, before = ""): Pick<Remark, "values"> {
  const values = collector.values.get(site) ?? "";
  return values === "" ? {} : { values: `${before}${values}` };
}
