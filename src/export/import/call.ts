// A system call as a trace shows it, whatever tool printed it: who made it, with what, what came back, and between which lines it ran.

import { isErrno } from "../../base/errno.ts";
import type { Value } from "./value.ts";

export type Outcome =
  | { readonly kind: "value"; readonly value: bigint; readonly note?: string }
  /** By name; `known`: the language has it. */
  | { readonly kind: "errno"; readonly errno: string; readonly known: boolean }
  /** It never returned in the trace, or strace says `?`. */
  | { readonly kind: "unknown" };

export interface TracedCall {
  /** Thread id; 0 where the trace names none. */
  readonly task: number;
  readonly name: string;
  readonly args: readonly Value[];
  readonly result: Outcome;
  /** Numbers of the lines on which it began and ended, from 1. */
  readonly start: number;
  readonly end: number;
  /** Its line, the parts of a split one joined, without the prefix. */
  readonly line: string;
}

export const failed = (errno: string): Outcome => ({ kind: "errno", errno, known: isErrno(errno) });

export const intOf = (value: Value | undefined): bigint | undefined => (value?.kind === "int" ? value.value : undefined);

/** A descriptor's number; negative and huge ones are none. */
export function numberOf(value: Value | undefined): number | undefined {
  const int = intOf(value);
  return int === undefined || int < 0n || int > 0x7fffffffn ? undefined : Number(int);
}

export const succeeded = (call: TracedCall): call is TracedCall & { result: { kind: "value" } } => call.result.kind === "value";
