// What the parts of a condition are in one state, in words: an expectation that does not hold says what there is instead.

import type { Machine } from "../model/machine.ts";
import { compileAnswer, compileExpression, NoAnswer } from "../model/queries.ts";
import { constants, flagNames, queries } from "../scenario/catalogue/index.ts";
import { printExpression, printInt, printResult, returnsOfCall } from "../scenario/print.ts";
import type { Expression, Program } from "../scenario/program.ts";

const MOST_PARTS = 3;

/** `pages(ram) is 0, result(look) is -EPERM`; empty where no part has an answer. At most the first three parts. */
export function valuesOf(machine: Machine, condition: Expression, state: Int32Array): string {
  const { program } = machine;
  const said = new Map<string, string>();
  for (const part of partsOf(condition)) {
    const name = nameOf(program, part);
    if (said.size === MOST_PARTS) break;
    if (said.has(name)) continue;
    const value = textOf(machine, part, state);
    if (value !== undefined) said.set(name, `${name} is ${value}`);
  }
  return [...said.values()].join(", ");
}

type Part = Extract<Expression, { kind: "query" | "result" | "matches" }>;

function partsOf(expression: Expression): readonly Part[] {
  switch (expression.kind) {
    case "int":
    case "name":
      return [];
    case "unary":
      return partsOf(expression.of);
    case "binary":
      return [...partsOf(expression.left), ...partsOf(expression.right)];
    default:
      return [expression];
  }
}

function nameOf(program: Program, part: Part): string {
  return printExpression(program, part.kind === "matches" ? { kind: "result", calls: part.calls, site: part.site } : part);
}

function textOf(machine: Machine, part: Part, state: Int32Array): string | undefined {
  const { program } = machine;
  if (part.kind !== "query") {
    const result = compileAnswer(machine, part.calls)(state);
    return result && printResult(result, returnsOfCall(program.calls[part.calls[0]]));
  }
  try {
    return queryText(program, part, compileExpression(machine, part)(state));
  } catch (error) {
    if (error instanceof NoAnswer) return undefined;
    throw error;
  }
}

function queryText({ profile }: Program, { query, field }: Extract<Part, { kind: "query" }>, value: bigint): string {
  const row = queries.find(({ name }) => name === query);
  const inProfile = constants.filter(({ profiles }) => profiles === undefined || profiles.includes(profile.base));
  const named = field === undefined && row?.group !== undefined ? inProfile.find((one) => one.group === row.group && one.value === value)?.name : undefined;
  if (named !== undefined) return named;
  if (value === 0n && (row?.returns === "frame" || field === "frame")) return "NONE";
  if (query === "seals" && value > 0n) return flagNames("F_SEAL_", value, profile.base);
  return query === "value" ? `0x${BigInt.asUintN(8, value).toString(16).padStart(2, "0")}` : printInt(value);
}
