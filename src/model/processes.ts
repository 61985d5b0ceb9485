// The names and descriptors of a process, as the state knows them: where it stands whether one is open, and whose they are. What there is to know of a process
// at all: process-state.ts.

import { processOf } from "../scenario/processes.ts";
import type { ActorId, HandleId } from "../scenario/program.ts";
import { BOUND } from "./handles.ts";
import type { Field } from "./layout.ts";
import type { Machine } from "./machine.ts";

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
