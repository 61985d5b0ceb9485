// Which process an actor runs in, and which process forks which.

import type { ActorId, Program } from "./program.ts";

/** Index into `Program.processes`; 0 is the process of `vmm`. */
export const processOf = (program: Program, actor: ActorId): number => program.actors[actor].process ?? 0;

/** The process that forks another; undefined for one that is there from the start. */
export function parentOf(program: Program, process: number): number | undefined {
  const call = program.processes?.[process]?.call;
  return call === undefined ? undefined : processOf(program, program.calls[call].actor);
}

/** Children of a process, in the order of the text. */
export const childrenOf = (program: Program, process: number): number[] =>
  [...(program.processes ?? []).keys()].filter((child) => child > 0 && parentOf(program, child) === process);
