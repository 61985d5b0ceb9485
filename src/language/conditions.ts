// Conditions of assert, exists, never and forall → Expression.

import { asS64 } from "../base/units.ts";
import { cannotCompute, compute } from "../scenario/arithmetic.ts";
import { calls, queries } from "../scenario/catalogue/index.ts";
import type { BinaryOperator, CallId, Expression, Operand } from "../scenario/program.ts";
import { operandFor } from "./arguments.ts";
import type { Node, Primary } from "./ast.ts";
import { indexText, meaning } from "./fold.ts";
import { didYouMean } from "./near.ts";
import { parseInteger } from "./numbers.ts";
import { isPattern, lowerPattern } from "./results.ts";
import type { Scope } from "./scope.ts";

/** Undefined where a part of it has a finding. */
export function lowerCondition(scope: Scope, node: Node): Expression | undefined {
  switch (node.kind) {
    case "number": {
      const literal = parseInteger(node.text);
      return "error" in literal ? scope.report(literal.code, node, literal.error) : { kind: "int", value: asS64(literal.value) };
    }
    case "primary": {
      if (node.args !== undefined) return node.name.text === "result" ? lowerResult(scope, node) : lowerQuery(scope, node);
      if (node.field !== undefined) return scope.report("MEMFD2027", node, "only a state expression has a field");
      if (isPattern(scope, node)) return scope.report("MEMFD2027", node, `\`${node.name.text}\` stands only beside == or != to \`result(label)\``);
      const found = meaning(scope, node);
      if (found?.kind === "kvm") return scope.report("MEMFD2005", node, "`kvm` has no value");
      return found === undefined ? undefined : found.kind === "int" ? { kind: "int", value: found.value } : { kind: "name", handle: found.handle };
    }
    case "unary": {
      const of = lowerCondition(scope, node.of);
      if (of === undefined) return undefined;
      const operator = node.operator as "-" | "~" | "!";
      if (of.kind !== "int") return { kind: "unary", operator, of };
      return { kind: "int", value: asS64(operator === "-" ? -of.value : operator === "~" ? ~of.value : of.value === 0n ? 1n : 0n) };
    }
    case "binary":
      return lowerBinary(scope, node);
    case "missing":
      return undefined;
    case "string":
      return scope.report("MEMFD2027", node, "a string has no place in a condition");
    default:
      return scope.report("MEMFD2027", node, "this form stands only beside == or != to `result(label)`");
  }
}

const isResult = (node: Node): node is Primary => node.kind === "primary" && node.name.text === "result" && node.args !== undefined;

function lowerBinary(scope: Scope, node: Node & { kind: "binary" }): Expression | undefined {
  const operator = node.operator as BinaryOperator;
  if (operator === "==" || operator === "!=") {
    const [asked, answer] = isResult(node.left) ? [node.left, node.right] : [node.right, node.left];
    if (isResult(asked) && isPattern(scope, answer)) {
      const pattern = lowerPattern(scope, answer);
      const result = lowerResult(scope, asked);
      if (pattern === undefined || result?.kind !== "result") return undefined;
      const matches: Expression & { kind: "matches" } = { kind: "matches", calls: result.calls, pattern, negated: operator === "!=", site: result.site };
      return matches;
    }
  }
  const left = lowerCondition(scope, node.left);
  const right = lowerCondition(scope, node.right);
  if (left === undefined || right === undefined) return undefined;
  if (left.kind !== "int" || right.kind !== "int") return { kind: "binary", operator, left, right };
  const value = compute(operator, left.value, right.value);
  return value === undefined ? scope.report("MEMFD2033", node, cannotCompute(operator)) : { kind: "int", value };
}

/** `result(label)`: the label may stand further down. */
function lowerResult(scope: Scope, node: Primary): Expression | undefined {
  const label = node.args?.[0]?.value;
  if (node.args?.length !== 1 || label?.kind !== "primary" || label.args !== undefined) return scope.report("MEMFD2003", node, "`result` takes one label");
  const suffix = indexText(scope, label.indexes);
  if (suffix === undefined) return undefined;
  const found: CallId[] = [];
  const rounds = [...scope.rounds];
  const source = scope.source;
  scope.pending.push(() => {
    const now = scope.source;
    scope.source = source;
    found.push(...callsLabelled(scope, label.name.text, suffix, rounds, label));
    scope.source = now;
  });
  return { kind: "result", calls: found, site: scope.site(node) };
}

/** Calls that a label means: the one of this round, the one that an index picks, or all of a `repeat`. */
export function callsLabelled(scope: Scope, name: string, suffix: string, rounds: readonly string[], at: { from: number; to: number }): readonly CallId[] {
  for (let depth = suffix === "" ? rounds.length : 0; depth >= 0; depth--) {
    const entry = scope.labels.get(name + suffix + rounds.slice(0, depth).join(""));
    if (entry !== undefined) return [entry.call];
  }
  const family = suffix === "" ? scope.families.get(name) : undefined;
  if (family !== undefined) return family;
  if (!scope.lenient)
    scope.report("MEMFD2010", at, `no call is labelled @${name}${suffix}${didYouMean(name + suffix, [...scope.labels.keys(), ...scope.families.keys()])}`);
  return [];
}

function lowerQuery(scope: Scope, node: Primary): Expression | undefined {
  const name = node.name.text;
  const row = queries.find((query) => query.name === name);
  if (row === undefined) {
    if (calls.some((spec) => spec.name === name)) return scope.report("MEMFD2036", node.name, `\`${name}\` is a call; a condition asks about the state`);
    return scope.report(
      "MEMFD2031",
      node.name,
      `there is no state expression \`${name}\`${didYouMean(
        name,
        queries.map((query) => query.name),
      )}`,
    );
  }
  const args = node.args ?? [];
  if (args.length !== row.params.length) {
    return scope.report(
      "MEMFD2003",
      node,
      `\`${name}\` takes ${row.params.map((param) => param.name).join(", ")}: ${row.params.length} argument${row.params.length === 1 ? "" : "s"}, not ${args.length}`,
    );
  }
  const operands: Operand[] = [];
  for (const [i, param] of row.params.entries()) {
    const at = args[i].name === undefined ? i : args.findIndex((arg) => arg.name?.text === param.name);
    const operand =
      at < 0 ? scope.report("MEMFD2004", args[i], `\`${name}\` has no parameter \`${args[i].name?.text}\``) : operandFor(scope, param, args[at].value);
    if (operand === undefined) return undefined;
    operands.push(operand);
  }
  if (node.field !== undefined && !(row.returns === "state" && (node.field === "level" || node.field === "frame"))) {
    return scope.report("MEMFD2031", node, `\`${name}\` has no field \`.${node.field}\``);
  }
  if (!row.modelled) return scope.report("MEMFD5005", node, `the state expression \`${name}\` is not modelled yet`);
  const site = scope.site(node);
  return node.field === undefined ? { kind: "query", query: name, operands, site } : { kind: "query", query: name, operands, field: node.field, site };
}
