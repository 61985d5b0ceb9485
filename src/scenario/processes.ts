// Which process an actor runs in, which process forks which and which call ends one, and what stands in the descriptor table of one.

import type { ActorId, Call, Handle, Program } from "./program.ts";

/** Whether a name stands for a number in the descriptor table of its process. */
export const isDescriptor = ({ kind }: Handle): boolean => kind === "fd" || kind === "vm" || kind === "vcpu";

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

/** The process that a call ends: exit_group its own, kill that of the actor that it names. */
export function endedBy(program: Program, { spec, known, actor, operands: [target] }: Call): number | undefined {
  if (!known) return undefined;
  if (spec === "exit_group") return processOf(program, actor);
  return spec === "kill" && target?.kind === "int" ? processOf(program, Number(target.value)) : undefined;
}

/** Processes that some call of the scenario ends. */
export const endingProcesses = (program: Program): ReadonlySet<number> => new Set(program.calls.flatMap((call) => endedBy(program, call) ?? []));
