// What a process has of its own beside its mappings: which descriptors are open in it, and whether it lives. And which actors somebody sends a signal. A
// scenario of one process without signals has no word of this.

import { childrenOf, endingProcesses, isDescriptor, parentOf, processOf } from "../scenario/processes.ts";
import type { ActorId, HandleId, Operand, Program } from "../scenario/program.ts";
import { CLOSED } from "./handles.ts";
import type { Field, Layout } from "./layout.ts";
import type { VcpuObject } from "./objects.ts";

/** Of a process: SIGNAL_GROUP_EXIT is set, so that SIGKILL is pending for each of its threads; then a zombie, which holds nothing any more. */
export const LIVES = { ALIVE: 0, DYING: 1, GONE: 2 } as const;

export interface ProcessState {
  /** By process and handle: BOUND while it is open there; undefined where it never can be. A handle's own process has the handle's field. */
  readonly tables: readonly (readonly (Field | undefined)[])[];
  /** By actor, of those that some `signal` names, or that somebody may kill. */
  readonly signals: readonly (SignalState | undefined)[];
  /** By process: one of `LIVES`, undefined where nothing ends it; empty where no process ends (ends.ts). */
  readonly lives: readonly (Field | undefined)[];
}

interface SignalState {
  /** TIF_SIGPENDING. */
  readonly pending: Field;
  /** Of a vCPU: the access before this one has not left the guest. */
  readonly inGuest: Field;
}

/** The process whose call binds a name. */
const makerOf = (program: Program, handle: HandleId): number => {
  const { call } = program.handles[handle];
  return call < 0 ? 0 : processOf(program, program.calls[call].actor);
};

/** By process: the descriptors that can ever be in its table. */
export function reachable(program: Program): Set<HandleId>[] {
  const descriptors = program.handles.flatMap((row, handle) => (isDescriptor(row) ? [handle] : []));
  const held = (program.processes ?? [undefined]).map((_, process) => new Set(descriptors.filter((handle) => makerOf(program, handle) === process)));
  const sent = program.calls.flatMap(({ spec, operands: [fd, to] }) => (spec === "send_fd" && fd.kind === "handle" ? [{ handle: fd.handle, to }] : []));
  for (let before = -1, now = 0; before !== now; ) {
    before = now;
    for (const { handle, to } of sent) held[targetOf(program, to)].add(handle);
    held.forEach((own, process) => void held[parentOf(program, process) ?? process].forEach((handle) => own.add(handle)));
    now = held.reduce((sum, own) => sum + own.size, 0);
  }
  return held;
}

/** The process of the actor that an operand names. */
export const targetOf = (program: Program, operand: Operand): number => (operand.kind === "int" ? processOf(program, Number(operand.value)) : 0);

export function processState(layout: Layout, program: Program, handles: readonly Field[]): ProcessState {
  const tables =
    program.processes === undefined
      ? []
      : reachable(program).map((held, process) =>
          handles.map((field, handle) => {
            if (!held.has(handle)) return undefined;
            return makerOf(program, handle) === process ? field : layout.field("handle", CLOSED, `${handle} in process ${process}`);
          }),
        );
  const named = new Set<ActorId>(program.calls.flatMap(({ spec, operands: [to] }) => (spec === "signal" && to?.kind === "int" ? [Number(to.value)] : [])));
  const mortal = killable(program);
  const signals = program.actors.map(({ kind }, actor) => {
    if (!named.has(actor) && !mortal.has(actor)) return undefined;
    const field = (): Field => layout.field("signal", 1, `actor ${actor}`);
    return { pending: field(), inGuest: kind === "vcpu" ? field() : layout.field("signal", 0, `actor ${actor}`) };
  });
  return { tables, signals, lives: livesOf(layout, program) };
}

/** The actor that a vCPU is: its KVM_RUN in the process that made it. -1 where the vCPU does nothing. */
export function runnerOf(program: Program, { handle, call }: VcpuObject): ActorId {
  const owner = processOf(program, program.calls[call].actor);
  return program.actors.findIndex((actor, index) => actor.handle === handle && processOf(program, index) === owner);
}

/** By process: one of `LIVES`; undefined where nothing ends it. One that is not forked when its parent ends never comes to be, and is gone. */
function livesOf(layout: Layout, program: Program): readonly (Field | undefined)[] {
  const ending = endingProcesses(program);
  if (ending.size === 0) return [];
  const mortal = new Set<number>();
  const add = (process: number): void => {
    if (mortal.has(process)) return;
    mortal.add(process);
    childrenOf(program, process).forEach(add);
  };
  ending.forEach(add);
  const count = program.processes?.length ?? 1;
  return Array.from({ length: count }, (_, process) => (mortal.has(process) ? layout.field("signal", LIVES.GONE, `process ${process}`) : undefined));
}

/** Actors that somebody else may kill: SIGKILL becomes pending for them. */
function killable(program: Program): ReadonlySet<ActorId> {
  const ending = endingProcesses(program);
  if (ending.size === 0) return ending;
  const enders = program.calls.filter(({ spec, known }) => known && (spec === "exit_group" || spec === "kill")).map(({ actor }) => actor);
  return new Set([...program.actors.keys()].filter((actor) => ending.has(processOf(program, actor)) && enders.some((other) => other !== actor)));
}
