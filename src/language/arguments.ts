// Arguments of a call → one operand per parameter of its prototype.

import { asS64 } from "../base/units.ts";
import { type CallSpec, type Param, paramNamed } from "../scenario/catalogue/index.ts";
import type { HandleKind, Operand } from "../scenario/program.ts";
import type { Argument, Node, Primary, Range } from "./ast.ts";
import { type Folded, fold } from "./fold.ts";
import { didYouMean } from "./near.ts";
import { parseString } from "./numbers.ts";
import { actorOperand } from "./processes.ts";
import type { Scope } from "./scope.ts";

/** Kinds of handle that a parameter takes beside integers. */
const TAKES: Record<Param["type"], readonly HandleKind[]> = {
  fd: ["fd", "vm", "vcpu"],
  vm: ["vm"],
  vcpu: ["vcpu"],
  kvm: ["vm"],
  mapping: ["mapping"],
  address: ["mapping"],
  frame: ["frame"],
  td: ["vm", "frame"],
  tdvpr: ["vcpu", "frame"],
  actor: ["vcpu"],
  int: ["value"],
  flags: ["value"],
  gpa: ["value"],
  byte: ["value"],
  string: ["mapping"],
  data: ["value"],
  count: ["value"],
};

const WANTED: Record<Param["type"], string> = {
  fd: "a file descriptor",
  vm: "a VM",
  vcpu: "a vCPU",
  kvm: "`kvm` or a VM",
  mapping: "a mapping",
  address: "NULL, an integer or a mapping",
  frame: "a frame",
  td: "a TD",
  tdvpr: "a vCPU of a TD",
  actor: "the name of an actor",
  int: "an integer",
  flags: "flags",
  gpa: "a guest physical address",
  byte: "a byte, 0 to 255",
  string: "a string, NULL or an address",
  data: "a string, a byte, or either * a count",
  count: "a count",
};

const NAME_OF: Record<HandleKind, string> = {
  fd: "a file descriptor",
  vm: "a VM",
  vcpu: "a vCPU",
  mapping: "a mapping",
  frame: "a frame",
  process: "a process",
  value: "an integer",
};

export const signature = (spec: CallSpec): string =>
  `${spec.name}(${spec.params.map((p) => (p.optional || p.type === "kvm" ? `[${p.name}]` : p.name)).join(", ")})`;

function isKvmTarget(scope: Scope, node: Node): boolean {
  if (node.kind !== "primary" || node.args !== undefined) return false;
  if (node.name.text === "kvm") return true;
  const id = node.indexes.length === 0 ? scope.lookUp(node.name.text) : undefined;
  return id !== undefined && scope.handles[id].kind === "vm";
}

/** Operands in the order of the prototype, or undefined with a finding. */
export function lowerArguments(scope: Scope, spec: CallSpec, call: Primary): readonly Operand[] | undefined {
  const args = call.args ?? [];
  const given = new Map<string, Argument>();
  const optionalTarget = spec.params[0]?.type === "kvm" && (args.length === 0 || args[0].name !== undefined || !isKvmTarget(scope, args[0].value));
  const positions = optionalTarget ? spec.params.slice(1) : spec.params;
  let named: Argument | undefined;
  let good = true;
  const wrong = (code: string, range: Range, message: string): void => {
    scope.report(code, range, message);
    good = false;
  };
  for (const [i, arg] of args.entries()) {
    if (arg.name === undefined) {
      if (named !== undefined) wrong("MEMFD2004", arg, "positional arguments stand before named ones");
      else if (i >= positions.length) wrong("MEMFD2003", arg, `too many arguments: ${signature(spec)}`);
      else given.set(positions[i].name, arg);
      continue;
    }
    named = arg;
    const name = paramNamed(spec, arg.name.text)?.name;
    if (name === undefined) {
      wrong(
        "MEMFD2004",
        arg.name,
        `\`${spec.name}\` has no parameter \`${arg.name.text}\`${didYouMean(
          arg.name.text,
          spec.params.map((param) => param.name),
        )}`,
      );
    } else if (given.has(name)) wrong("MEMFD2004", arg.name, `\`${arg.name.text}\` is given twice`);
    else given.set(name, arg);
  }
  if (!good) return undefined;
  const missing = spec.params.filter((param) => !param.optional && param.type !== "kvm" && !given.has(param.name));
  if (missing.length > 0) {
    return scope.report("MEMFD2003", call, `missing ${missing.map((param) => `\`${param.name}\``).join(", ")}: ${signature(spec)}`);
  }
  const operands: Operand[] = [];
  for (const param of spec.params) {
    const arg = given.get(param.name);
    const operand: Operand | undefined = arg !== undefined ? operandFor(scope, param, arg.value) : param.type === "kvm" ? { kind: "kvm" } : { kind: "absent" };
    if (operand === undefined) good = false;
    else operands.push(operand);
  }
  return good ? operands : undefined;
}

/** One argument for one parameter. */
/** Parameters for which the page of a file may stand. */
const PAGES: ReadonlySet<Param["type"]> = new Set(["frame", "td", "tdvpr"]);

export function operandFor(scope: Scope, param: Param, node: Node): Operand | undefined {
  if (node.kind === "missing") return undefined;
  if (param.nullable && node.kind === "primary" && node.name.text === "NULL" && node.args === undefined) return { kind: "absent" };
  if (param.type === "string" || param.type === "data") {
    const data = dataOperand(scope, param, node);
    if (data !== "other") return data;
  }
  if (param.type === "actor") return actorOperand(scope, node);
  if (PAGES.has(param.type) && node.kind === "primary" && node.name.text === "frame" && node.args !== undefined) return frameOperand(scope, node);
  if (node.kind === "primary" && node.name.text === "kvm" && node.args === undefined && node.indexes.length === 0 && scope.lookUp("kvm") === undefined) {
    if (param.type === "kvm") return { kind: "kvm" };
    return scope.report("MEMFD2005", node, `\`${param.name}\` is ${WANTED[param.type]}, not /dev/kvm`);
  }
  const folded = fold(scope, node);
  return folded === undefined ? undefined : fitted(scope, param, node, folded);
}

function fitted(scope: Scope, param: Param, node: Node, folded: Folded): Operand | undefined {
  if (folded.handle === undefined) {
    if (param.type === "byte" && (folded.value < 0n || folded.value > 255n))
      return scope.report("MEMFD2005", node, `\`${param.name}\` is a byte, 0 to 255, not ${folded.value}`);
    if (param.type === "count" && folded.value < 0n) return scope.report("MEMFD2005", node, `\`${param.name}\` is a count and not negative`);
    return { kind: "int", value: folded.value };
  }
  const handle = scope.handles[folded.handle];
  const fits = TAKES[param.type].includes(handle.kind) || (handle.kind === "value" && param.type !== "string" && param.type !== "frame");
  if (!fits)
    return scope.lenient
      ? undefined
      : scope.report("MEMFD2005", node, `\`${param.name}\` is ${WANTED[param.type]}; \`${handle.name}\` is ${NAME_OF[handle.kind]}`);
  const page = handle.kind === "frame" && PAGES.has(param.type);
  if (folded.value !== 0n && handle.kind !== "mapping" && handle.kind !== "value" && !page) {
    return scope.report("MEMFD2005", node, `\`${handle.name}\` is ${NAME_OF[handle.kind]}; an offset can be added to a mapping or a frame only`);
  }
  return { kind: "handle", handle: folded.handle, offset: folded.value };
}

/** `frame(fd, off)`: whatever frame the file holds there when the call runs. */
function frameOperand(scope: Scope, node: Primary): Operand | undefined {
  const [file, at] = node.args ?? [];
  if (node.args?.length !== 2) return scope.report("MEMFD2003", node, "`frame` takes a file descriptor and an offset");
  const fd = operandFor(scope, { name: "fd", type: "fd" }, file.value);
  const offset = fold(scope, at.value);
  if (fd === undefined || offset === undefined) return undefined;
  if (fd.kind !== "handle" || scope.kindOf(fd) !== "fd") return scope.report("MEMFD2005", file, "`fd` is the name of a file");
  if (offset.handle !== undefined) return scope.report("MEMFD2005", at, "the offset is a constant");
  return { kind: "frame", handle: fd.handle, offset: offset.value };
}

const MAX_RUNS = 1 << 16;

/** A string, a byte, or either times a count; "other" where the node is none of these forms. */
function dataOperand(scope: Scope, param: Param, node: Node): Operand | undefined | "other" {
  const product = node.kind === "binary" && node.operator === "*" ? node : undefined;
  const bodies = product === undefined ? [node] : [product.left, product.right];
  const text = bodies.find((body) => body.kind === "string");
  if (text === undefined && param.type === "string") {
    const folded = fold(scope, node);
    return folded === undefined ? undefined : fitted(scope, param, node, folded);
  }
  let bytes: readonly number[];
  if (text?.kind === "string") {
    const literal = parseString(text.text);
    if ("error" in literal) return scope.report(literal.code, text, literal.error);
    bytes = literal.value;
  } else {
    const folded = fold(scope, product?.left ?? node);
    if (folded === undefined) return undefined;
    if (folded.handle !== undefined) return fitted(scope, param, node, folded);
    if (folded.value < 0n || folded.value > 255n)
      return scope.report("MEMFD2005", product?.left ?? node, `data is a string or a byte, 0 to 255, not ${folded.value}`);
    bytes = [Number(folded.value)];
  }
  if (product === undefined) return repeated(scope, node, bytes, 1n);
  const count = fold(scope, text === product.right ? product.left : product.right);
  if (count === undefined) return undefined;
  if (count.handle !== undefined || count.value < 0n) return scope.report("MEMFD2005", product.right, "the count is a constant that is not negative");
  return repeated(scope, node, bytes, count.value);
}

function repeated(scope: Scope, node: Node, bytes: readonly number[], times: bigint): Operand | undefined {
  const length = asS64(BigInt(bytes.length) * times);
  const runs: { byte: number; count: bigint }[] = [];
  const add = (byte: number, count: bigint): void => {
    const last = runs[runs.length - 1];
    if (last?.byte === byte) last.count += count;
    else runs.push({ byte, count });
  };
  if (bytes.length === 0 || times === 0n) return { kind: "data", runs: [], length: 0n };
  if (bytes.every((byte) => byte === bytes[0])) add(bytes[0], BigInt(bytes.length) * times);
  else {
    if (BigInt(bytes.length) * times > BigInt(MAX_RUNS))
      return scope.report("MEMFD6003", node, `a repeated string may have at most ${MAX_RUNS} bytes; repeat one byte for more`);
    for (let i = 0n; i < times; i++) for (const byte of bytes) add(byte, 1n);
  }
  return { kind: "data", runs, length };
}
