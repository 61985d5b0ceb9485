// The parts of a call that ends a process, in do_exit's order: what is behind the call itself, worked out before anything runs.

import { endedBy, isDescriptor, processOf } from "../scenario/processes.ts";
import type { CallId, HandleId, Program } from "../scenario/program.ts";
import type { Objects } from "./objects.ts";
import { reachable } from "./process-state.ts";

/** What is left of the end of a process when its threads are gone. */
export type ExitPart =
  | { readonly is: "notifier"; readonly vm: number }
  | { readonly is: "mapping"; readonly mapping: number }
  | { readonly is: "descriptor"; readonly handle: HandleId }
  | { readonly is: "file"; readonly file: number }
  | { readonly is: "zombie" };

const MAPPED_FILES: readonly string[] = ["memfd", "anon", "guest_memfd"];

export function exitParts(program: Program, objects: Objects, process: number): ExitPart[] {
  const owned = objects.vms.filter((vm) => processOf(program, program.calls[vm.call].actor) === process);
  const mappings = objects.mappings.filter((mapping) => mapping.process === process);
  const files = [...new Set(mappings.map((mapping) => mapping.file))].filter((file) => MAPPED_FILES.includes(objects.files[file].kind));
  return [
    ...owned.map(({ index: vm }): ExitPart => ({ is: "notifier", vm })),
    ...mappings.map(({ index: mapping }): ExitPart => ({ is: "mapping", mapping })),
    ...closingOrder(program, objects, process).map((handle): ExitPart => ({ is: "descriptor", handle })),
    ...files.reverse().map((file): ExitPart => ({ is: "file", file })),
    { is: "zombie" },
  ];
}

/** The last put of an open file comes with its highest descriptor; a name's number is taken to grow from name to name. */
function closingOrder(program: Program, objects: Objects, process: number): HandleId[] {
  const handles = [...reachable(program)[process]].filter((handle) => isDescriptor(program.handles[handle]));
  const openOf = (handle: HandleId): string => {
    const { call } = program.handles[handle];
    return [objects.openOf.get(call), objects.vmOf.get(call), objects.vcpuOf.get(call)].join();
  };
  const highest = new Map<string, HandleId>();
  for (const handle of handles) highest.set(openOf(handle), Math.max(handle, highest.get(openOf(handle)) ?? 0));
  return handles.sort((a, b) => (highest.get(openOf(b)) as number) - (highest.get(openOf(a)) as number) || b - a);
}

/** Into how many parts a call falls. */
export function partCount(program: Program, objects: Objects): (call: CallId) => number {
  return (id) => {
    const process = endedBy(program, program.calls[id]);
    return process === undefined ? 1 : 1 + exitParts(program, objects, process).length;
  };
}
