// Program → text. `printProgram` is the inverse of the language: what it prints is read back as an equal Program, sites apart.

import { errnoName } from "../base/errno.ts";
import { formatSize } from "../base/units.ts";
import { precedence } from "./arithmetic.ts";
import { callSpec, constants, groupOf, isBitGroup, type Param, paramName, queries, type Returns, returnsOf } from "./catalogue/index.ts";
import type { Call, CallId, Expression, Operand, Point, Program, Result, ResultPattern, Statement } from "./program.ts";

const inProfile = (profiles: readonly string[] | undefined, base: string): boolean => profiles === undefined || profiles.includes(base);

/** Small numbers decimal, sizes with a suffix, the rest hexadecimal. */
export function printInt(value: bigint): string {
  // A word whose highest bits mean something: a status of the TDX module, an error of TDG.VP.VMCALL.
  if (value < -(1n << 61n)) return `0x${BigInt.asUintN(64, value).toString(16)}`;
  return formatSize(value);
}

/** Flags as names joined by `|`, what no name covers as a number. */
function printFlags(group: string, value: bigint, base: string): string {
  const rows = constants.filter((row) => row.group === group && inProfile(row.profiles, base));
  const whole = rows.find((row) => row.value === value);
  if (whole !== undefined) return whole.name;
  if (value <= 0n || !isBitGroup(group)) return printInt(value);
  let rest = value;
  const names: string[] = [];
  for (const row of rows) {
    if (row.value <= 0n || (rest & row.value) !== row.value) continue;
    names.push(row.name);
    rest &= ~row.value;
  }
  if (names.length === 0) return printInt(value);
  return [...names, ...(rest === 0n ? [] : [`0x${rest.toString(16)}`])].join("|");
}

function quoteByte(byte: number): string {
  if (byte === 34 || byte === 92) return `\\${String.fromCharCode(byte)}`;
  if (byte === 10) return "\\n";
  return byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
}

const quote = (bytes: readonly number[]): string => `"${bytes.map(quoteByte).join("")}"`;

/** Bytes of a run list; runs of one byte stay `0x41 * 4096`. */
function printData(param: Param, operand: Operand & { kind: "data" }): string {
  const { runs, length } = operand;
  if (runs.length === 1 && (runs[0].count > 32n || (param.type === "data" && runs[0].count > 8n))) {
    const byte = runs[0].byte;
    const text = param.type === "string" ? quote([byte]) : `0x${byte.toString(16).padStart(2, "0")}`;
    return `${text} * ${length}`;
  }
  return quote(runs.flatMap((run) => new Array<number>(Number(run.count)).fill(run.byte)));
}

function printOperand(program: Program, operand: Operand, param: Param): string {
  switch (operand.kind) {
    case "kvm":
      return "kvm";
    case "absent":
      return "0";
    case "data":
      return printData(param, operand);
    case "handle": {
      const { name } = program.handles[operand.handle];
      if (operand.offset === 0n) return name;
      return operand.offset < 0n ? `${name} - ${printInt(-operand.offset)}` : `${name} + ${printInt(operand.offset)}`;
    }
    case "frame":
      return `frame(${program.handles[operand.handle].name}, ${operand.offset > 0n ? `0x${operand.offset.toString(16)}` : printInt(operand.offset)})`;
    case "int":
      return printIntFor(program, operand.value, param);
  }
}

const FLAG_COMMANDS = new Set(["cmd", "whence", "cap"]);

function printIntFor(program: Program, value: bigint, param: Param): string {
  const { base } = program.profile;
  if (param.type === "actor") return program.actors[Number(value)]?.name ?? "vmm";
  if (param.type === "address" && value === 0n && param.name !== "userspace_addr") return "NULL";
  if (param.type === "string") return value === 0n ? "NULL" : printInt(value);
  if (param.type === "flags" || FLAG_COMMANDS.has(param.name) || (param.type === "int" && param.group !== undefined)) {
    return param.group === undefined ? printInt(value) : printFlags(param.group, value, base);
  }
  if (param.type === "gpa") return printGpa(value, base);
  if (param.type === "byte") return value < 10n ? value.toString() : `0x${value.toString(16).padStart(2, "0")}`;
  if (/addr|offset|^off$|gpa|gfn/.test(param.name) && value >= 0n) return value === 0n ? "0" : `0x${value.toString(16)}`;
  return printInt(value);
}

function printGpa(value: bigint, base: string): string {
  const shared = constants.find((row) => row.name === "SHARED" && inProfile(row.profiles, base));
  const hex = (n: bigint): string => (n < 0n ? printInt(n) : n === 0n ? "0" : `0x${n.toString(16)}`);
  return shared !== undefined && value >= 0n && (value & shared.value) === shared.value ? `SHARED|${hex(value & ~shared.value)}` : hex(value);
}

const intOf = (operand: Operand | undefined): bigint | undefined => (operand?.kind === "int" ? operand.value : undefined);

/** How the number that a call answers is to be read. */
export const returnsOfCall = (call: Call): Returns => returnsOf(callSpec(call.spec), intOf(call.operands[1]));

/** Accesses return nothing as well, but may end otherwise: that they came through is worth a word. */
const ACCESSES: ReadonlySet<string> = new Set(["host.store", "guest.store"]);

/** A call that returns nothing, and did. */
export const returnedNothing = (call: Call, result: Result): boolean =>
  result.kind === "value" && result.value === 0n && !ACCESSES.has(call.spec) && returnsOfCall(call) === "nothing";

/** From how many arguments on a call is read more easily with the names of its fields. */
const NAMED_FROM = 4;

/** One call on one line, without its result: `fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 16K)`. */
export function printCall(program: Program, id: CallId): string {
  const call = program.calls[id];
  const spec = callSpec(call.spec);
  const args: string[] = [];
  let named = false;
  const ioctl = spec.name.startsWith("KVM_") && spec.params.filter((param) => param.type !== "kvm").length > NAMED_FROM;
  for (const [i, param] of spec.params.entries()) {
    const operand = call.operands[i];
    if (param.type === "kvm" && operand.kind === "kvm") continue;
    if (operand.kind === "absent") {
      if (param.nullable) args.push(named ? `${param.name}=NULL` : "NULL");
      named ||= !param.nullable;
      continue;
    }
    if (ioctl && i > 0) named = true;
    const text = printOperand(program, operand, { ...param, group: groupOf(param, intOf(call.operands[i - 1])) });
    args.push(named ? `${paramName(param, program.profile.base)}=${text}` : text);
  }
  return `${spec.name}(${args.join(", ")})`;
}

function printFields(fields: readonly { readonly name: string; readonly value: bigint }[], names: boolean): string {
  const shown = fields.map((field) => {
    const { name, value } = field;
    const small = name === "size" ? printInt(value) : value < 10n && value >= 0n ? value.toString() : value < 0n ? printInt(value) : `0x${value.toString(16)}`;
    const code = name === "errno" ? errnoName(Number(value)) : undefined;
    const flags = code ?? (names && name === "flags" ? printFlags("KVM_MEMORY_EXIT_FLAG_", value, "v8") : small);
    return `${name}=${flags}`;
  });
  return shown.length === 0 ? "" : ` {${shown.join(", ")}}`;
}

const sealNames = (value: bigint): string => {
  const rows = constants.filter((row) => row.group === "F_SEAL_");
  const names: string[] = [];
  for (const bit of new Set(rows.map((row) => row.value))) {
    const same = rows.filter((row) => row.value === bit).map((row) => row.name);
    if (bit > 0n && (value & bit) === bit) names.push(same.join(" or "));
  }
  return names.join("|");
};

/** One character is one byte; UTF-8 is shown as such where all of it can be seen. */
function printText(text: string): string {
  const bytes = Array.from(text, (character) => character.charCodeAt(0));
  try {
    const decoded = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
    if (!/[^\P{C}]|[\u2028\u2029\ufffd"\\]/u.test(decoded)) return `"${decoded}"`;
  } catch {
    // Not UTF-8: as bytes.
  }
  return quote(bytes);
}

/** A RESULT of the language. */
export function printPattern(pattern: ResultPattern): string {
  switch (pattern.kind) {
    case "value":
      return pattern.data === undefined ? printInt(pattern.value) : `${pattern.value} ${quote(pattern.data)}`;
    case "errno":
      return `-${pattern.errno}`;
    case "status":
      return pattern.operand === undefined ? pattern.status : `${pattern.status}/${pattern.operand}`;
    case "exit":
      return `exit ${pattern.exit}${printFields(pattern.fields, false)}`;
    case "signal":
      return pattern.signal;
    case "exception":
      return pattern.exception;
    case "text":
      return printText(pattern.text);
    case "unknown":
      return "?";
    case "any":
      return "_";
    default:
      return pattern.kind;
  }
}

const HANDLE_TEXT: Record<string, string> = { fd: "fd", vm: "VM", vcpu: "vCPU", mapping: "mapping", frame: "frame", process: "process", value: "value" };

/** What a call answered, as it would stand behind `=`; `returns` says how a number is to be read. */
export function printResult(result: Result, returns?: Returns): string {
  switch (result.kind) {
    case "handle":
      return HANDLE_TEXT[result.handle];
    case "found":
      return "as found";
    case "value": {
      if (result.data !== undefined) return `${result.value} ${quote(result.data)}`;
      if (returns === "byte") return `0x${result.value.toString(16).padStart(2, "0")}`;
      if (returns === "seals") return result.value === 0n ? "0" : `0x${result.value.toString(16)} (${sealNames(result.value)})`;
      return result.value > 0n && returns === "count" ? result.value.toString() : printInt(result.value);
    }
    case "exit":
      return printPattern({ ...result, fields: result.fields.filter(({ name, value }) => name !== "errno" || value !== 0n) });
    default:
      return printPattern(result);
  }
}

/** What stands behind a call in a trace: nothing behind one that returns nothing. */
export const printAnswer = (call: Call, result: Result): string => (returnedNothing(call, result) ? "" : printResult(result, returnsOfCall(call)));

const UNARY_LEVEL = 100;

export function printExpression(program: Program, expression: Expression, level = -1): string {
  switch (expression.kind) {
    case "int":
      return printInt(expression.value);
    case "name":
      return program.handles[expression.handle].name;
    case "unary":
      return `${expression.operator}${printExpression(program, expression.of, UNARY_LEVEL)}`;
    case "binary": {
      const own = precedence(expression.operator);
      const left = stateName(program, expression.left, expression.right) ?? printExpression(program, expression.left, own);
      const right = stateName(program, expression.right, expression.left) ?? printExpression(program, expression.right, own + 1);
      const text = `${left} ${expression.operator} ${right}`;
      return own < level ? `(${text})` : text;
    }
    case "query":
      return `${expression.query}(${expression.operands.map((operand) => printPlain(program, operand)).join(", ")})${expression.field === undefined ? "" : `.${expression.field}`}`;
    case "result":
      return `result(${labelOf(program, expression.calls)})`;
    case "matches": {
      const text = `result(${labelOf(program, expression.calls)}) ${expression.negated ? "!=" : "=="} ${printPattern(expression.pattern)}`;
      return level > precedence("==") ? `(${text})` : text;
    }
  }
}

/** A number beside a state expression whose values have names. */
function stateName(program: Program, value: Expression, beside: Expression): string | undefined {
  if (value.kind !== "int" || beside.kind !== "query" || beside.field !== undefined) return undefined;
  const group = queries.find((row) => row.name === beside.query)?.group;
  return constants.find((row) => row.group === group && row.value === value.value && inProfile(row.profiles, program.profile.base))?.name;
}

/** A condition as it stands behind `assert` or `exists`. */
export const printCondition = (program: Program, condition: Expression): string => printExpression(program, condition);

function printPlain(program: Program, operand: Operand): string {
  return operand.kind === "int" && operand.value >= 4096n ? `0x${operand.value.toString(16)}` : printOperand(program, operand, { name: "value", type: "int" });
}

/** A label that means exactly these calls: one call's own, or the common name of a `repeat`. */
function labelOf(program: Program, ids: readonly CallId[]): string {
  const first = program.calls[ids[0]]?.label ?? "";
  return ids.length === 1 ? first : first.replace(/\[.*$/, "");
}

const printPoint = (point: Point): string => (point.step === undefined ? point.label : `${point.label}.${point.step}`);

/** What stands around a statement, or a list of them, of an actor: its name, and the process where that does not follow from it. */
function wrapOf(program: Program, actor: number): { readonly process?: string; readonly name?: string } {
  const { name, kind, process = 0 } = program.actors[actor];
  const of = program.processes?.[process]?.name;
  if (process === 0 || of === undefined) return { name };
  if (kind === "vcpu" && !name.startsWith(`${of}.`)) return { name };
  return name === of ? { process: of } : { process: of, name: kind === "vcpu" ? name.slice(of.length + 1) : name };
}

function printStatement(program: Program, statement: Statement, indent: string, actor: number, out: string[]): void {
  const inner = `${indent}  `;
  const line = (own: number, text: string): string => {
    if (own === actor) return `${indent}${text}`;
    const { process, name } = wrapOf(program, own);
    const named = name === undefined ? text : `${name}: ${text}`;
    return process === undefined ? `${indent}${named}` : `${indent}process ${process} { ${named} }`;
  };
  switch (statement.kind) {
    case "call": {
      const call = program.calls[statement.call];
      const binds = call.binds === undefined ? "" : `${program.handles[call.binds].name} = `;
      const result = call.expect === undefined ? "" : ` = ${call.expect.any.map(printPattern).join(" or ")}`;
      out.push(line(call.actor, `${binds}${printCall(program, statement.call)}${result}${call.label === undefined ? "" : ` @${call.label}`}`));
      return;
    }
    case "assert":
      out.push(line(statement.actor, `assert ${printExpression(program, statement.condition)}`));
      return;
    case "atomic":
      out.push(`${indent}atomic {`);
      for (const one of statement.body) printStatement(program, one, inner, actor, out);
      out.push(`${indent}}`);
      return;
    case "parallel":
      out.push(`${indent}parallel {`);
      for (const thread of statement.threads) {
        const { process, name } = wrapOf(program, thread.actor);
        const heads = [...(process === undefined ? [] : [`process ${process}`]), ...(name === undefined ? [] : [name])];
        out.push(`${inner}${heads.map((head) => `${head} {`).join(" ")}`);
        for (const one of thread.body) printStatement(program, one, `${inner}  `, thread.actor, out);
        out.push(`${inner}${heads.map(() => "}").join(" ")}`);
      }
      for (const order of statement.orders) out.push(`${inner}order ${printPoint(order.before)} before ${printPoint(order.after)}`);
      out.push(`${indent}}`);
  }
}

/** The variants that a choice names, then the scenario. */
export function printProgram(program: Program): string {
  const out: string[] = [];
  const { profile } = program;
  if (profile.name !== profile.base && profile.name !== "mainline") {
    out.push(`kernel ${profile.name} extends ${profile.base} {`);
    for (const edit of profile.edits) {
      if (edit.kind === "steps") out.push(`  ${edit.operation} = ${edit.steps.join(", ")}`);
      else if (edit.kind === "without") out.push(`  ${edit.operation} without ${edit.step}`);
      else out.push(`  ${edit.feature} = ${edit.value}`);
    }
    out.push("}");
  }
  out.push(`scenario "${program.name}" {`, `  kernel ${profile.name}`);
  const settings = Object.entries(program.machine ?? {});
  if (settings.length > 0) out.push(`  machine { ${settings.map(([name, value]) => `${name} = ${value}`).join("; ")} }`);
  if (program.watch.only !== undefined) out.push(`  check ${program.watch.only.join(", ")}`);
  if (program.watch.except !== undefined) out.push(`  ignore ${program.watch.except.join(", ")}`);
  for (const statement of program.body) printStatement(program, statement, "  ", 0, out);
  for (const question of program.questions) out.push(`  ${question.kind} ${printExpression(program, question.condition)}`);
  for (const expected of program.expected)
    out.push(`  expect violation ${expected.invariant}${expected.at === undefined ? "" : ` at ${printPoint(expected.at)}`}`);
  if (program.safe !== undefined) out.push("  expect safe");
  out.push("}");
  return `${out.join("\n")}\n`;
}
