// The end of processes, as the state knows it: which are dying or gone, which of their threads still run, and who never comes to be. A scenario in which no
// process ends has no word of this (kernel/exit.c do_group_exit, kernel/signal.c zap_other_threads, complete_signal).

import { childrenOf, endedBy, processOf } from "../scenario/processes.ts";
import type { ActorId, CallId, Program, Result } from "../scenario/program.ts";
import { BOUND } from "./handles.ts";
import type { Field } from "./layout.ts";
import type { Machine } from "./machine.ts";
import { LIVES } from "./process-state.ts";
import type { Instruction, Segment } from "./schedule.ts";

export const lifeOfProcess = (machine: Machine, process: number): Field | undefined => machine.processes.lives[process];

const lifeOf = (machine: Machine, state: Int32Array, actor: ActorId): number =>
  lifeOfProcess(machine, processOf(machine.program, actor))?.get(state) ?? LIVES.ALIVE;

/** fatal_signal_pending(), for a thread that is in a call. */
export const isDying = (machine: Machine, state: Int32Array, actor: ActorId): boolean => lifeOf(machine, state, actor) !== LIVES.ALIVE;

/** The thread has something to do before it is gone: a call that it is in, or a guest that it leaves with the interrupt that SIGKILL sends along. */
export function isRunning(machine: Machine, state: Int32Array, actor: ActorId): boolean {
  const thread = machine.threads[actor];
  if (thread.operation.get(state) > 0) return true;
  const next = machine.instruction(state, actor);
  if (next === undefined) return false;
  if ((next.part ?? 0) > 0) return true;
  return machine.segments[machine.segment.get(state)].parallel && thread.at.get(state) > 0 && isInGuest(machine, state, actor);
}

/** Takes from a thread what it has not begun, in the block that runs. */
function cutOff(machine: Machine, state: Int32Array, actor: ActorId): void {
  const segment = machine.segments[machine.segment.get(state)];
  if (machine.atomicOwner.get(state) === actor + 1) machine.atomicOwner.set(state, 0);
  if (segment?.parallel) machine.threads[actor].at.set(state, segment.threads[actor].length);
  const signal = machine.processes.signals[actor];
  signal?.pending.set(state, 0);
  signal?.inGuest.set(state, 0);
}

/** The dying process's threads but the one that ends it: those in a call, or in a guest, have SIGKILL pending, the others are gone at once. */
export function killThreads(machine: Machine, state: Int32Array, process: number, ender: ActorId): void {
  for (const actor of actorsOf(machine.program, process)) {
    if (actor === ender) continue;
    if (isRunning(machine, state, actor)) machine.processes.signals[actor]?.pending.set(state, 1);
    else cutOff(machine, state, actor);
  }
  for (const child of childrenOf(machine.program, process)) if (!isForking(machine, state, child)) neverBorn(machine, state, child);
}

export const actorsOf = (program: Program, process: number): ActorId[] => [...program.actors.keys()].filter((actor) => processOf(program, actor) === process);

/** copy_process is under way for this child. */
function isForking(machine: Machine, state: Int32Array, child: number): boolean {
  const call = machine.program.processes?.[child]?.call;
  if (call === undefined) return false;
  const { actor } = machine.program.calls[call];
  return machine.threads[actor].operation.get(state) > 0 && machine.instruction(state, actor)?.call === call;
}

/** Whether the fork of this process has returned; true for one that is there from the start. */
export function isBorn(machine: Machine, state: Int32Array, process: number): boolean {
  const call = machine.program.processes?.[process]?.call;
  const handle = call === undefined ? undefined : machine.program.calls[call].binds;
  return call === undefined || (handle !== undefined && machine.handles[handle].get(state) === BOUND);
}

/** Who would have forked it is gone. */
export function neverBorn(machine: Machine, state: Int32Array, process: number): void {
  if (isBorn(machine, state, process)) return;
  lifeOfProcess(machine, process)?.set(state, LIVES.GONE);
  for (const actor of actorsOf(machine.program, process)) cutOff(machine, state, actor);
  for (const child of childrenOf(machine.program, process)) neverBorn(machine, state, child);
}

/** What user space hears of a call in which its thread is killed. */
export const KILLED: Result = { kind: "signal", signal: "SIGKILL" };

/** The call's thread is killed in it: its process is dying, and it is not the call that ends it. An access that ends in the guest has come to its end. */
export const isKilled = (machine: Machine, state: Int32Array, actor: ActorId, call: CallId): boolean =>
  isDying(machine, state, actor) &&
  !isInGuest(machine, state, actor) &&
  endedBy(machine.program, machine.program.calls[call]) !== processOf(machine.program, actor);

const isInGuest = (machine: Machine, state: Int32Array, actor: ActorId): boolean => machine.processes.signals[actor]?.inGuest.get(state) === 1;

/** Behind an instruction: over parts of a call that have nothing to do, and over what nobody is there for any more. */
export function goOn(machine: Machine, state: Int32Array, { actor, rest }: Instruction, segment: Segment): void {
  const list = segment.parallel ? segment.threads[actor] : segment.sequence;
  const place = segment.parallel ? machine.threads[actor].at : machine.turn;
  let at = place.get(state);
  while ((list[at]?.part ?? 0) > 0 && machine.planOf(list[at])?.idle?.(state) === true) at++;
  place.set(state, at);
  const goesOn = (rest ?? 0) > 0 && (list[at]?.part ?? 0) > 0;
  if (!goesOn && isDying(machine, state, actor) && !isRunning(machine, state, actor)) cutOff(machine, state, actor);
  if (!segment.parallel) skipMoot(machine, state, segment);
}

/** Over instructions that nobody is there for any more. What the scenario asserts between blocks it says itself. */
export function skipMoot(machine: Machine, state: Int32Array, { sequence }: Segment): void {
  let at = machine.turn.get(state);
  for (let next = sequence[at]; next?.call !== undefined && (next.part ?? 0) === 0 && isDying(machine, state, next.actor); next = sequence[at])
    at += 1 + (next.rest ?? 0);
  machine.turn.set(state, at);
}

/** At the begin of a block: the dead do not come to it. */
export function cutDead(machine: Machine, state: Int32Array): void {
  for (const actor of machine.program.actors.keys()) if (isDying(machine, state, actor)) cutOff(machine, state, actor);
}

/** Who is given what a fork and the end of a process take away: those who die or never come to be with a process. */
export function mourned(program: Program, process: number): { readonly processes: readonly number[]; readonly actors: readonly ActorId[] } {
  const processes = [process];
  for (const one of processes) processes.push(...childrenOf(program, one));
  return { processes, actors: processes.flatMap((one) => actorsOf(program, one)) };
}
