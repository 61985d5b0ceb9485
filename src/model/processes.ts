// What a process has of its own beside its mappings: which descriptors are open in it. And which actors somebody sends a signal. A scenario of one process
// without signals has no word of this.

import { isDescriptor, parentOf, processOf } from "../scenario/processes.ts";
import type { ActorId, HandleId, Operand, Program } from "../scenario/program.ts";
import { killable, livesOf } from "./ends.ts";
import type { Field, Layout } from "./layout.ts";
import type { Machine } from "./machine.ts";
import type { VcpuObject } from "./objects.ts";
import { BOUND } from "./runner.ts";

export interface ProcessState {
  /** By process and handle: BOUND while it is open there; undefined where it never can be. A handle's own process has the handle's field. */
  readonly tables: readonly (readonly (Field | undefined)[])[];
  /** By actor, of those that some `signal` names, or that somebody may kill. */
  readonly signals: readonly (SignalState | undefined)[];
  /** By process: whether it has come to its end; empty where none does (ends.ts). */
  readonly lives: readonly (Field | undefined)[];
}

export interface SignalState {
  /** TIF_SIGPENDING. */
  readonly pending: Field;
  /** Of a vCPU: the access before this one has not left the guest. */
  readonly inGuest: Field;
}

const CLOSED_MAX = 2;

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
            return makerOf(program, handle) === process ? field : layout.field("handle", CLOSED_MAX, `${handle} in process ${process}`);
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

/** Where it stands whether a name is open in the table of a process; undefined: it never is. */
export function descriptorIn(machine: Machine, process: number, handle: HandleId): Field | undefined {
  const { tables } = machine.processes;
  return tables.length === 0 ? machine.handles[handle] : tables[process][handle];
}

/** The same for the process of an actor. */
export const descriptorOf = (machine: Machine, actor: ActorId, handle: HandleId): Field | undefined =>
  descriptorIn(machine, processOf(machine.program, actor), handle);

/** Some process has it open. */
export function isOpen(machine: Machine, state: Int32Array, handle: HandleId): boolean {
  if (machine.handles[handle].get(state) === BOUND) return true;
  for (const table of machine.processes.tables) if (table[handle]?.get(state) === BOUND) return true;
  return false;
}

/** The fields of a name in all processes. */
export const fieldsOf = (machine: Machine, handle: HandleId): readonly Field[] => [
  machine.handles[handle],
  ...machine.processes.tables.flatMap((table) => table[handle] ?? []).filter((field) => field !== machine.handles[handle]),
];

/** The mm that a VM belongs to: that of the process whose KVM_CREATE_VM made it. */
export const ownerOfVm = (machine: Machine, vm: number): number => processOf(machine.program, machine.program.calls[machine.objects.vms[vm].call].actor);

/** The actor that a vCPU is: its KVM_RUN in the process that made it. -1 where the vCPU does nothing. */
export function runnerOf(program: Program, { handle, call }: VcpuObject): ActorId {
  const owner = processOf(program, program.calls[call].actor);
  return program.actors.findIndex((actor, index) => actor.handle === handle && processOf(program, index) === owner);
}
