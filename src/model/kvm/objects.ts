// What of KVM a scenario can ever make or bring to an end, found from its calls before anything runs.

import { endingProcesses } from "../../scenario/processes.ts";
import type { CallId, HandleId, Program } from "../../scenario/program.ts";
import type { Objects } from "../objects.ts";
import { reachable } from "../process-state.ts";
import type { Features } from "../profile/types.ts";

/** The VM behind a call that makes it, a vCPU of it, or another descriptor of one of them. */
const vmBehind = (objects: Objects, call: CallId): number | undefined => objects.vmOf.get(call) ?? objects.vcpus[objects.vcpuOf.get(call) ?? -1]?.vm;

/** The VM whose descriptor, or whose vCPU's, a name is. */
export const vmOfHandle = (program: Program, objects: Objects, handle: HandleId | undefined): number | undefined =>
  handle === undefined ? undefined : vmBehind(objects, program.handles[handle].call);

/** VMs that can come to an end: somebody closes the descriptor, or a process that has one ends. */
export function mortalVms(program: Program, objects: Objects): ReadonlySet<number> {
  const mortal = new Set<number>();
  for (const {
    spec,
    operands: [first],
  } of program.calls) {
    const vm = spec === "close" && first?.kind === "handle" ? objects.vmOf.get(program.handles[first.handle].call) : undefined;
    if (vm !== undefined) mortal.add(vm);
  }
  const ending = endingProcesses(program);
  if (ending.size === 0) return mortal;
  const tables = reachable(program);
  for (const handle of [...ending].flatMap((process) => [...tables[process]])) {
    const vm = vmOfHandle(program, objects, handle);
    if (vm !== undefined) mortal.add(vm);
  }
  return mortal;
}

/** Multi-index entries (entries.ts) that the calls of a program can make, one by each call that makes gfns private. */
export const entryCount = (program: Program): number => Math.max(1, program.calls.filter((call) => call.spec === "KVM_MEMORY_ENCRYPT_REG_REGION").length);

/** Calls whose multi-index entry has their number: who makes one is told apart from who makes another. */
export const numberedCalls = ({ conversion_store }: Features): ReadonlySet<string> =>
  new Set(conversion_store === "multi_index" ? ["KVM_MEMORY_ENCRYPT_REG_REGION"] : []);
