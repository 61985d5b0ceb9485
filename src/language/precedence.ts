// Operators by how tightly they bind. Unlike in C, bit operators bind tighter than comparisons.

import { precedence } from "../scenario/arithmetic.ts";
import type { Node } from "./ast.ts";

/** A piece of a flat expression: an operator, or an operand. */
export interface Piece {
  readonly symbol?: string;
  readonly node?: Node;
  readonly from?: number;
  readonly to?: number;
}

/** Builds the tree without recursion, so that the length of an expression costs no call stack. */
export function joinTerms(pieces: readonly Piece[]): Node | undefined {
  const operands: Node[] = [];
  const operators: { symbol: string; level: number }[] = [];
  const apply = (): void => {
    const { symbol } = operators.pop() as { symbol: string };
    const right = operands.pop() as Node;
    const left = operands.pop() as Node;
    operands.push({ kind: "binary", operator: symbol, left, right, from: left.from, to: right.to });
  };
  let unary: Piece[] = [];
  let expectOperand = true;
  for (const piece of pieces) {
    if (piece.node !== undefined) {
      let node = piece.node;
      for (const sign of unary.reverse()) node = signed(sign, node);
      unary = [];
      operands.push(node);
      expectOperand = false;
    } else if (expectOperand) unary.push(piece);
    else {
      const level = precedence(piece.symbol as string);
      while (operators.length > 0 && operators[operators.length - 1].level >= level) apply();
      operators.push({ symbol: piece.symbol as string, level });
      expectOperand = true;
    }
  }
  while (operators.length > 0 && operands.length > operators.length) apply();
  return operands[0];
}

/** `-1 EINVAL` is one answer: the sign belongs inside. */
function signed(sign: Piece, of: Node): Node {
  const from = sign.from as number;
  if (of.kind === "errno" || of.kind === "answer") return { ...of, from, of: signed(sign, of.of) };
  return { kind: "unary", operator: sign.symbol as string, of, from, to: of.to };
}
