// Operands of a call as C expressions, and what the program around them then needs.

import type { Operand } from "../../scenario/program.ts";
import { integer, stringLiteral } from "./names.ts";

/** What the statements of one file have asked for so far. */
export interface Uses {
  /** Names of the scenario's handles in C, by `HandleId`. */
  readonly names: readonly string[];
  readonly blocks: Set<string>;
  readonly constants: Set<string>;
  /** Requests of KVM whose structures older headers lack. */
  readonly requests: Set<string>;
  /** Something needs /dev/kvm. */
  kvm: boolean;
}

/** Data up to this length stands in the text as a literal. */
const LITERAL_BYTES = 64n;

/** `"hello"`, `fill(0x41, 4096)`, or several runs joined. */
export function bytesText(uses: Uses, operand: Operand): string {
  if (operand.kind === "int") return operand.value === 0n ? "NULL" : `(char *)${integer(operand.value, true)}`;
  if (operand.kind === "handle") return `(char *)(${uses.names[operand.handle]} + ${integer(operand.offset, true)})`;
  if (operand.kind !== "data") throw new Error("no data");
  if (operand.length <= LITERAL_BYTES) return stringLiteral(operand.runs.flatMap(({ byte, count }) => new Array<number>(Number(count)).fill(byte)));
  uses.blocks.add("data");
  const parts = operand.runs.map(({ byte, count }) => ({ text: `fill(0x${byte.toString(16).padStart(2, "0")}, ${integer(count)})`, size: count }));
  return parts.reduce((all, part) => ({ text: `join(${all.text}, ${integer(all.size)}, ${part.text}, ${integer(part.size)})`, size: all.size + part.size }))
    .text;
}

/** A call's arguments by the names of its parameters. */
export type Arguments = (name: string) => string;

/** The number that an operand is; 0 for one that is none. */
export const intOrZero = (operand: Operand | undefined): bigint => (operand?.kind === "int" ? operand.value : 0n);
