// Operators of expressions: how tightly each binds, and what it makes of two signed 64-bit values. Unlike in C, bit operators bind tighter than comparisons.

import { asS64 } from "../base/units.ts";
import type { BinaryOperator } from "./program.ts";

const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["==", "!="],
  ["<", "<=", ">", ">="],
  ["|"],
  ["^"],
  ["&"],
  ["<<", ">>"],
  ["+", "-"],
  ["*", "/", "%"],
];
const LEVEL = new Map(LEVELS.flatMap((row, level) => row.map((operator) => [operator, level] as const)));

export const precedence = (operator: string): number => LEVEL.get(operator) ?? -1;

/** C's arithmetic on signed 64-bit values; undefined for a division by zero. */
export function compute(operator: BinaryOperator, a: bigint, b: bigint): bigint | undefined {
  const truth = (value: boolean): bigint => (value ? 1n : 0n);
  switch (operator) {
    case "*":
      return asS64(a * b);
    case "/":
      return b === 0n ? undefined : asS64(a / b);
    case "%":
      return b === 0n ? undefined : asS64(a % b);
    case "+":
      return asS64(a + b);
    case "-":
      return asS64(a - b);
    case "<<":
      return b < 0n || b > 63n ? undefined : asS64(a << b);
    case ">>":
      return b < 0n || b > 63n ? undefined : a >> b;
    case "&":
      return a & b;
    case "^":
      return a ^ b;
    case "|":
      return a | b;
    case "<":
      return truth(a < b);
    case "<=":
      return truth(a <= b);
    case ">":
      return truth(a > b);
    case ">=":
      return truth(a >= b);
    case "==":
      return truth(a === b);
    case "!=":
      return truth(a !== b);
    case "&&":
      return truth(a !== 0n && b !== 0n);
    case "||":
      return truth(a !== 0n || b !== 0n);
  }
}

export const cannotCompute = (operator: string): string => (operator === "/" || operator === "%" ? "division by zero" : "a shift goes by 0 to 63 bits");
