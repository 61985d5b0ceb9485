// RESULT: what may stand behind `=`, and beside `==` to `result(label)`.

import { ERRNO, type Errno, errnoName, isErrno } from "../base/errno.ts";
import type { ResultPattern } from "../scenario/program.ts";
import type { Node, Range } from "./ast.ts";
import { fold } from "./fold.ts";
import { didYouMean } from "./near.ts";
import { parseString } from "./numbers.ts";
import type { Scope } from "./scope.ts";

const WORDS: Record<string, ResultPattern> = {
  ok: { kind: "ok" },
  fails: { kind: "fails" },
  blocks: { kind: "blocks" },
  _: { kind: "any" },
  SIGBUS: { kind: "signal", signal: "SIGBUS" },
  SIGSEGV: { kind: "signal", signal: "SIGSEGV" },
  SIGKILL: { kind: "signal", signal: "SIGKILL" },
};

const plainName = (node: Node): string | undefined =>
  node.kind === "primary" && node.args === undefined && node.indexes.length === 0 && node.field === undefined ? node.name.text : undefined;

const isStatus = (name: string | undefined): name is string => name !== undefined && /^TDX_[A-Z0-9_]+$/.test(name);

/** True for a form that is a result and no integer: `ok`, `-EINVAL`, `exit …`, a TDX status. */
export function isPattern(scope: Scope, node: Node): boolean {
  const name = plainName(node);
  if (name !== undefined) return (Object.hasOwn(WORDS, name) && !scope.handleIds.has(name)) || (isStatus(name) && !scope.declarations.constants.has(name));
  if (node.kind === "unary" && node.operator === "-") return isErrno(plainName(node.of) ?? "");
  if (node.kind === "binary" && node.operator === "/") return isStatus(plainName(node.left));
  return (
    node.kind === "exit" || node.kind === "exception" || node.kind === "unknown" || node.kind === "errno" || node.kind === "answer" || node.kind === "string"
  );
}

function errnoPattern(scope: Scope, node: Range, name: string): ResultPattern | undefined {
  if (isErrno(name)) return { kind: "errno", errno: name as Errno };
  return scope.report("MEMFD2030", node, `\`${name}\` is no errno of a modelled call${didYouMean(name, Object.keys(ERRNO))}`);
}

function exitPattern(scope: Scope, node: Node & { kind: "exit" }): ResultPattern | undefined {
  if (node.name === undefined) return undefined;
  if (!/^(?:KVM_EXIT|EXIT_REASON)_[A-Z0-9_]+$/.test(node.name.text))
    return scope.report("MEMFD2030", node.name, "the name of an exit begins with KVM_EXIT_, that of a TD exit with EXIT_REASON_");
  const fields: { name: string; value: bigint }[] = [];
  for (const field of node.fields) {
    const folded = fold(scope, field.value);
    if (folded === undefined) return undefined;
    if (folded.handle !== undefined) return scope.report("MEMFD2030", field.value, "a field of an exit is an integer");
    if (fields.some((other) => other.name === field.name.text)) return scope.report("MEMFD2004", field.name, `\`${field.name.text}\` is given twice`);
    fields.push({ name: field.name.text, value: folded.value });
  }
  return { kind: "exit", exit: node.name.text, fields };
}

/** One RESULT, or undefined with a finding. */
export function lowerPattern(scope: Scope, node: Node): ResultPattern | undefined {
  const name = plainName(node);
  if (name !== undefined && Object.hasOwn(WORDS, name)) return WORDS[name];
  if (isStatus(name) && isPattern(scope, node)) return { kind: "status", status: name };
  switch (node.kind) {
    case "unknown":
      return { kind: "unknown" };
    case "exception":
      if (node.text === "#VE" || node.text === "#PF" || node.text === "#MC" || node.text === "#UD") return { kind: "exception", exception: node.text };
      return scope.report("MEMFD2030", node, `\`${node.text}\` is no exception that a guest access can raise; #VE, #PF, #MC and #UD are`);
    case "exit":
      return exitPattern(scope, node);
    case "errno": {
      const code = node.of.kind === "unary" && node.of.operator === "-" && node.of.of.kind === "number" && node.of.of.text === "1";
      if (!code) return scope.report("MEMFD2030", node, `the errno stands behind -1, or as -${node.name.text}`);
      return errnoPattern(scope, node.name, node.name.text);
    }
    case "answer": {
      const value = fold(scope, node.of);
      const data = node.data.kind === "string" ? parseString(node.data.text) : undefined;
      if (value === undefined || data === undefined) return undefined;
      if ("error" in data) return scope.report(data.code, node.data, data.error);
      if (value.handle !== undefined) return scope.report("MEMFD2030", node.of, "in front of the data stands the count");
      if (value.value !== BigInt(data.value.length))
        return scope.report("MEMFD2030", node, `the count says ${value.value}, the string has ${data.value.length} bytes`);
      return { kind: "value", value: value.value, data: data.value };
    }
    case "unary": {
      const inner = node.operator === "-" ? plainName(node.of) : undefined;
      if (inner !== undefined && /^E[A-Z0-9]+$/.test(inner)) return errnoPattern(scope, node.of, inner);
      break;
    }
    case "binary": {
      const status = plainName(node.left);
      const operand = plainName(node.right);
      if (node.operator === "/" && isStatus(status)) {
        if (operand === undefined) return scope.report("MEMFD2030", node.right, "behind the status stands its operand, such as RCX");
        return { kind: "status", status, operand };
      }
      break;
    }
    case "string": {
      const literal = parseString(node.text);
      if ("error" in literal) return scope.report(literal.code, node, literal.error);
      return { kind: "text", text: Array.from(literal.value, (byte) => String.fromCharCode(byte)).join("") };
    }
  }
  return integerPattern(scope, node);
}

function integerPattern(scope: Scope, node: Node): ResultPattern | undefined {
  const folded = fold(scope, node);
  if (folded === undefined) return undefined;
  if (folded.handle !== undefined) return scope.report("MEMFD2030", node, "a result is an integer; numbers of descriptors are not modelled, write `ok`");
  const errno = folded.value < 0n && folded.value > -4096n ? errnoName(Number(-folded.value)) : undefined;
  return errno === undefined ? { kind: "value", value: folded.value } : { kind: "errno", errno };
}
