// Conditions of the scenario as C, as far as user space can see what they ask about, and the results that a line expects.

import { ERRNO } from "../../base/errno.ts";
import { constant, constantsNamed } from "../../scenario/catalogue/index.ts";
import type { CallId, Expression, Operand, Program, ResultPattern } from "../../scenario/program.ts";
import { integer, stringLiteral } from "./names.ts";
import type { Uses } from "./operand.ts";

/** Where a call stands in the table of an emitted file. */
type NumberOf = (call: CallId) => number;

/** Helper of the runtime behind each state query that a system call can answer. */
const VISIBLE: Readonly<Record<string, string>> = {
  pages: "pages_of",
  allocated: "page_at",
  size: "size_of",
  seals: "seals_of",
  mode: "mode_of",
  value: "byte_at",
};

const ARITHMETIC: Readonly<Record<string, string>> = { "+": "add", "-": "sub", "*": "mul", "<<": "shl", ">>": "shr" };

/** Undefined where the condition can be asked, else what user space cannot see. */
export function hidden(condition: Expression): string | undefined {
  switch (condition.kind) {
    case "unary":
      return hidden(condition.of);
    case "binary":
      return hidden(condition.left) ?? hidden(condition.right);
    case "query":
      return VISIBLE[condition.query] === undefined || condition.field !== undefined ? `no system call answers ${condition.query}()` : undefined;
    case "result":
    case "matches":
      return condition.calls.length === 1 ? undefined : "it asks about the calls of a loop";
    default:
      return undefined;
  }
}

const operandText = (uses: Uses, operand: Operand): string => {
  if (operand.kind === "handle") return operand.offset === 0n ? uses.names[operand.handle] : `${uses.names[operand.handle]} + ${integer(operand.offset, true)}`;
  if (operand.kind === "int") return integer(operand.value, true);
  return "0";
};

/** Only of a condition that is not `hidden`. */
export function conditionText(uses: Uses, condition: Expression, numberOf: NumberOf): string {
  uses.blocks.add("queries");
  const text = (inner: Expression): string => conditionText(uses, inner, numberOf);
  switch (condition.kind) {
    case "int":
      return integer(condition.value);
    case "name":
      return uses.names[condition.handle];
    case "unary":
      return condition.operator === "-" ? `sub(0, ${text(condition.of)})` : `${condition.operator}(${text(condition.of)})`;
    case "binary": {
      const { operator } = condition;
      const [left, right] = [text(condition.left), text(condition.right)];
      const named = ARITHMETIC[operator];
      if (named !== undefined) return `${named}(${left}, ${right})`;
      if (operator === "/" || operator === "%") return `divide(${left}, ${right}, ${operator === "%" ? 1 : 0})`;
      const inner = (part: Expression, written: string): string =>
        part.kind === "binary" && ARITHMETIC[part.operator] === undefined ? `(${written})` : written;
      return `${inner(condition.left, left)} ${operator} ${inner(condition.right, right)}`;
    }
    case "query":
      return `${VISIBLE[condition.query]}(${condition.operands.map((operand) => operandText(uses, operand)).join(", ")})`;
    case "result":
      return `answer(${numberOf(condition.calls[0])})`;
    case "matches":
      return `${condition.negated ? "!" : ""}answered(${numberOf(condition.calls[0])}, &(struct want)${wantText(condition.pattern) ?? "ANYTHING"})`;
  }
}

export const handlesOfCondition = (condition: Expression): number[] => {
  switch (condition.kind) {
    case "unary":
      return handlesOfCondition(condition.of);
    case "binary":
      return [...new Set([...handlesOfCondition(condition.left), ...handlesOfCondition(condition.right)])];
    case "name":
      return [condition.handle];
    case "query":
      return condition.operands.flatMap((operand) => (operand.kind === "handle" ? [operand.handle] : []));
    default:
      return [];
  }
};

/** A RESULT of the language as an entry of WANT; undefined where no real call answers it. */
function wantText(pattern: ResultPattern): string | undefined {
  switch (pattern.kind) {
    case "value":
      return pattern.data === undefined ? `VALUE(${integer(pattern.value)})` : `DATA(${integer(pattern.value)}, ${stringLiteral(pattern.data)})`;
    case "errno":
      return `ERR(${ERRNO[pattern.errno] === ERRNO.EHWPOISON ? ERRNO.EHWPOISON : pattern.errno})`;
    case "signal":
      return `SIGNAL(${pattern.signal})`;
    case "text":
      return `TEXT(${stringLiteral(Array.from(pattern.text, (character) => character.charCodeAt(0)))})`;
    case "exit": {
      const reason = exitNumber(pattern.exit);
      if (reason === undefined) return undefined;
      const fields = pattern.fields.map(({ name, value }) => `{ "${name}", ${integer(value, true)} }`).join(", ");
      return fields === "" ? `EXIT(${reason})` : `EXIT(${reason}, .field = { ${fields} })`;
    }
    case "ok":
      return "SUCCESS";
    case "fails":
      return "FAILURE";
    case "blocks":
      return "BLOCKS";
    case "any":
      return "ANYTHING";
    case "status":
    case "exception":
    case "unknown":
      return undefined;
  }
}

/** Numbers of the releases: those that the series used were given to others. */
function exitNumber(name: string): string | undefined {
  const row = constant(name, "mainline") ?? constantsNamed(name)[0];
  return row?.value.toString();
}

/** All of a line's alternatives, or nothing when one of them cannot be said in C. */
export function wantsText(program: Program, id: CallId): string {
  const { expect } = program.calls[id];
  if (expect === undefined || expect.any.some((pattern) => pattern.kind === "unknown")) return "";
  const wants = expect.any.map(wantText).filter((want) => want !== undefined);
  return wants.length === 0 ? "" : `, WANT(${wants.join(", ")})`;
}
