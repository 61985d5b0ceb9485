// Constant expressions: 64-bit two's complement, with at most one handle that an offset is added to.

import { ERRNO, isErrno } from "../base/errno.ts";
import { asS64 } from "../base/units.ts";
import { cannotCompute, compute } from "../scenario/arithmetic.ts";
import { calls, constant, constants, constantsNamed, profiles } from "../scenario/catalogue/index.ts";
import type { BinaryOperator, HandleId } from "../scenario/program.ts";
import type { Node, Primary } from "./ast.ts";
import { nearest } from "./near.ts";
import { parseInteger } from "./numbers.ts";
import type { Scope } from "./scope.ts";

/** What a name means. */
export type Meaning = { readonly kind: "int"; readonly value: bigint } | { readonly kind: "handle"; readonly handle: HandleId } | { readonly kind: "kvm" };

/** A folded operand: an integer, or a handle and an offset. */
export interface Folded {
  readonly handle?: HandleId;
  readonly value: bigint;
}

export const RESERVED = new Set(["ok", "fails", "blocks", "exit", "_", "vmm", "kvm", "NULL"]);

export function indexText(scope: Scope, indexes: readonly Node[]): string | undefined {
  let text = "";
  for (const index of indexes) {
    const folded = fold(scope, index);
    if (folded === undefined) return undefined;
    if (folded.handle !== undefined || folded.value < 0n) return scope.report("MEMFD2033", index, "an index is a constant that is not negative");
    text += `[${folded.value}]`;
  }
  return text;
}

const listed = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");

/** The meaning of a plain or indexed name, or a finding. */
export function meaning(scope: Scope, node: Primary): Meaning | undefined {
  const name = node.name.text;
  if (node.indexes.length > 0) {
    const suffix = indexText(scope, node.indexes);
    if (suffix === undefined) return undefined;
    const handle = scope.handleIds.get(name + suffix);
    if (handle !== undefined) return { kind: "handle", handle };
    return scope.lenient
      ? undefined
      : scope.report("MEMFD2002", node, `\`${name}${suffix}\` is not bound${nearText(`${name}${suffix}`, scope.handleIds.keys())}`);
  }
  const variable = scope.variables.get(name);
  if (variable !== undefined) return { kind: "int", value: variable };
  const handle = scope.lookUp(name);
  if (handle !== undefined) return { kind: "handle", handle };
  if (name === "NULL") return { kind: "int", value: 0n };
  if (name === "kvm") return { kind: "kvm" };
  const own = ownConstant(scope, name, node);
  if (own !== undefined) return own.value === undefined ? undefined : { kind: "int", value: own.value };
  const known = constant(name, scope.choice.base);
  if (known !== undefined) return { kind: "int", value: known.value };
  if (isErrno(name)) return { kind: "int", value: BigInt(ERRNO[name]) };
  return unknownName(scope, node);
}

function nearText(name: string, candidates: Iterable<string>): string {
  const near = nearest(name, candidates);
  return near === undefined ? "" : `; did you mean \`${near}\`?`;
}

function unknownName(scope: Scope, node: Primary): undefined {
  const name = node.name.text;
  const elsewhere = constantsNamed(name);
  if (elsewhere.length > 0) {
    const having = profiles.filter((row) => constant(name, row.name) !== undefined).map((row) => row.name);
    return scope.report(
      "MEMFD5002",
      node,
      `\`${name}\` does not exist in \`${scope.choice.name}\`; ${listed(having)} ${having.length === 1 ? "has" : "have"} it`,
    );
  }
  if (scope.lenient) return undefined;
  const known = (part: string): boolean =>
    /^\d/.test(part) ||
    scope.lookUp(part) !== undefined ||
    scope.variables.has(part) ||
    scope.declarations.constants.has(part) ||
    constant(part, scope.choice.base) !== undefined;
  const parts = name.split("-");
  if (parts.length > 1 && parts.every(known)) {
    const spaced = parts.join(" - ");
    return scope.report("MEMFD2002", node, `\`${name}\` is one name; write \`${spaced}\``, undefined, { title: `Write ${spaced}`, text: spaced });
  }
  const family = [...scope.handleIds.keys()].filter((key) => key.startsWith(`${name}[`));
  if (family.length > 0) return scope.report("MEMFD2002", node, `\`${name}\` was bound in a \`repeat\`: write \`${family[0]}\` for one of them`);
  if (calls.some((spec) => spec.name === name))
    return scope.report("MEMFD2036", node, `\`${name}\` is a call; calls do not nest: bind its result to a name first`);
  const candidates = [
    ...scope.handleIds.keys(),
    ...scope.variables.keys(),
    ...scope.declarations.constants.keys(),
    ...constants.map((row) => row.name),
    "NULL",
    "kvm",
    ...Object.keys(ERRNO),
  ];
  const near = nearest(name, candidates);
  const later = scope.declarations.setups.has(name) ? " (it is the name of a setup)" : "";
  return scope.report(
    "MEMFD2002",
    node,
    `\`${name}\` is neither bound above nor a constant${later}${near === undefined ? "" : `; did you mean \`${near}\`?`}`,
    undefined,
    near === undefined ? undefined : { title: `Write ${near}`, text: near },
  );
}

const MAX_CHAIN = 100;
const evaluating = new Set<string>();

function ownConstant(scope: Scope, name: string, node: Primary): { value: bigint | undefined } | undefined {
  const declared = scope.declarations.constants.get(name);
  if (declared === undefined) return undefined;
  const known = scope.constantValues.get(name);
  if (known !== undefined) return known;
  if (evaluating.size > MAX_CHAIN) {
    scope.report("MEMFD6002", node, `constants refer to one another at most ${MAX_CHAIN} deep`);
    return { value: undefined };
  }
  if (evaluating.has(name)) {
    scope.report("MEMFD2033", node, `the constant \`${name}\` refers to itself`);
    return { value: undefined };
  }
  evaluating.add(name);
  const source = scope.source;
  const anchor = scope.anchor;
  const variables = new Map(scope.variables);
  try {
    scope.anchor ??= scope.span(node);
    scope.source = declared;
    scope.variables.clear();
    const folded = fold(scope, declared.value);
    if (folded?.handle !== undefined) scope.report("MEMFD2033", declared.value, "a constant is made of integers and constants only");
    const result = { value: folded?.handle === undefined ? folded?.value : undefined };
    scope.constantValues.set(name, result);
    return result;
  } finally {
    scope.source = source;
    scope.anchor = anchor;
    for (const [key, value] of variables) scope.variables.set(key, value);
    evaluating.delete(name);
  }
}

const CONDITION_ONLY = new Set(["<", "<=", ">", ">=", "==", "!=", "&&", "||"]);

function integer(scope: Scope, node: Node & { kind: "number" }): Folded | undefined {
  const literal = parseInteger(node.text);
  if ("error" in literal) return scope.report(literal.code, node, literal.error);
  return { value: asS64(literal.value) };
}

/** Folds an argument or a constant; reports what has no place in one. */
export function fold(scope: Scope, node: Node): Folded | undefined {
  switch (node.kind) {
    case "number":
      return integer(scope, node);
    case "primary": {
      if (node.args !== undefined) {
        const isCall = calls.some((spec) => spec.name === node.name.text);
        return scope.report("MEMFD2036", node, isCall ? "calls do not nest: bind the result to a name first" : "a state expression stands only in a condition");
      }
      if (node.field !== undefined) return scope.report("MEMFD2027", node, "only a state expression has a field");
      const found = meaning(scope, node);
      if (found?.kind === "kvm") return scope.report("MEMFD2005", node, "`kvm` stands only where an ioctl wants an open /dev/kvm");
      return found === undefined ? undefined : found.kind === "int" ? { value: found.value } : { handle: found.handle, value: 0n };
    }
    case "unary": {
      if (node.operator === "!") return scope.report("MEMFD2027", node, "`!` stands only in a condition");
      const of = fold(scope, node.of);
      if (of === undefined) return undefined;
      if (of.handle !== undefined) return scope.report("MEMFD2005", node, "a name that a call binds has no sign");
      return { value: asS64(node.operator === "-" ? -of.value : ~of.value) };
    }
    case "binary":
      return foldBinary(scope, node);
    case "string":
      return scope.report("MEMFD2005", node, "a string stands only where the prototype wants a name or data");
    case "missing":
      return undefined;
    default:
      return scope.report("MEMFD2027", node, "this form stands only as a result");
  }
}

function foldBinary(scope: Scope, node: Node & { kind: "binary" }): Folded | undefined {
  if (CONDITION_ONLY.has(node.operator)) return scope.report("MEMFD2027", node, `\`${node.operator}\` stands only in a condition`);
  const left = fold(scope, node.left);
  const right = fold(scope, node.right);
  if (left === undefined || right === undefined) return undefined;
  if (left.handle !== undefined || right.handle !== undefined) {
    const one = left.handle === undefined || right.handle === undefined;
    if (one && node.operator === "+") return { handle: left.handle ?? right.handle, value: asS64(left.value + right.value) };
    if (one && node.operator === "-" && right.handle === undefined) return { handle: left.handle, value: asS64(left.value - right.value) };
    return scope.report("MEMFD2005", node, "to a name that a call binds only an offset can be added");
  }
  const value = compute(node.operator as BinaryOperator, left.value, right.value);
  return value === undefined ? scope.report("MEMFD2033", node, cannotCompute(node.operator)) : { value };
}
