// Rows of processes: what is open and what is mapped in each, which have ended, and which threads a signal waits for. None where there is one process and no
// signal.

import { lifeOfProcess } from "../model/ends.ts";
import { BOUND } from "../model/handles.ts";
import type { Machine } from "../model/machine.ts";
import { LIVES } from "../model/process-state.ts";
import { descriptorIn } from "../model/processes.ts";
import { isDescriptor } from "../scenario/processes.ts";
import type { FactRow } from "./rows.ts";

export function processFacts(machine: Machine, state: Int32Array): FactRow[] {
  const { program } = machine;
  // Of one process alone nothing is said but that it ends.
  if (program.processes === undefined) return [...lifeFacts(machine, state, 0, "vmm"), ...signalFacts(machine, state)];
  return [...program.processes.flatMap(({ name }, process) => factsOf(machine, state, process, name)), ...signalFacts(machine, state)];
}

function factsOf(machine: Machine, state: Int32Array, process: number, name: string): FactRow[] {
  if (!isThere(machine, state, process)) return [];
  if (lifeOfProcess(machine, process)?.get(state) === LIVES.GONE) return lifeFacts(machine, state, process, name);
  const { program } = machine;
  const open = program.handles.filter((row, handle) => isDescriptor(row) && descriptorIn(machine, process, handle)?.get(state) === BOUND);
  const mapped = machine.mappings.filter(({ object, mapped: cells }) => object.process === process && cells.some((field) => field.get(state) === 1));
  const names = (list: readonly string[]): string => (list.length === 0 ? "none" : list.join(", "));
  const roots = mapped.map(({ object }) => machine.mappings[object.root].object.name);
  return [
    ...lifeFacts(machine, state, process, name),
    { key: `process${process}/fds`, group: "process", name: `${name} descriptors`, value: names(open.map((handle) => handle.name)) },
    { key: `process${process}/maps`, group: "process", name: `${name} mappings`, value: names(roots) },
  ];
}

function lifeFacts(machine: Machine, state: Int32Array, process: number, name: string): FactRow[] {
  const life = lifeOfProcess(machine, process)?.get(state) ?? LIVES.ALIVE;
  return life === LIVES.ALIVE ? [] : [{ key: `process${process}/life`, group: "process", name, value: life === LIVES.GONE ? "ended" : "ends" }];
}

/** The process that a fork makes is there once the fork has returned. */
function isThere(machine: Machine, state: Int32Array, process: number): boolean {
  const call = machine.program.processes?.[process]?.call;
  const handle = call === undefined ? undefined : machine.program.calls[call].binds;
  return handle === undefined || machine.handles[handle].get(state) === BOUND;
}

const signalFacts = (machine: Machine, state: Int32Array): FactRow[] =>
  machine.processes.signals.flatMap((signal, actor): FactRow[] =>
    signal?.pending.get(state) === 1
      ? [{ key: `signal${actor}`, group: "process", name: `${machine.program.actors[actor].name} signal`, value: "pending" }]
      : [],
  );
