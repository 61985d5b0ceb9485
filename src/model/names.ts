// Which names of a scenario mean an object: the descriptors of a file, the handles of a VM and its vCPUs.

import type { HandleId } from "../scenario/program.ts";
import { vmOfHandle } from "./kvm/objects.ts";
import type { Machine } from "./machine.ts";

const descriptors = new WeakMap<Machine, readonly HandleId[][]>();

/** Descriptors of a file, by handle. */
export function descriptorsOf(machine: Machine, file: number): readonly HandleId[] {
  let all = descriptors.get(machine);
  if (!all) {
    const byFile: HandleId[][] = machine.objects.files.map(() => []);
    machine.program.handles.forEach((handle, index) => {
      const of = handle.kind === "fd" ? machine.objects.fileOf.get(handle.call) : undefined;
      if (of !== undefined) byFile[of].push(index);
    });
    descriptors.set(machine, (all = byFile));
  }
  return all[file];
}

/** The handles of a VM and its vCPUs, and its guest_memfd files. */
function findHolders(machine: Machine, vm: number): { readonly handles: readonly HandleId[]; readonly files: readonly number[] } {
  const { program, objects } = machine;
  return {
    handles: program.handles.flatMap((_, handle) => (vmOfHandle(program, objects, handle) === vm ? [handle] : [])),
    files: objects.files.filter((file) => file.kind === "guest_memfd" && file.vm === vm).map((file) => file.index),
  };
}

const holders = new WeakMap<Machine, ReturnType<typeof findHolders>[]>();

export function holdersOfVm(machine: Machine, vm: number): ReturnType<typeof findHolders> {
  let all = holders.get(machine);
  if (!all) holders.set(machine, (all = machine.vms.map(({ object }) => findHolders(machine, object.index))));
  return all[vm];
}

export const handlesOfVm = (machine: Machine, vm: number): readonly HandleId[] => holdersOfVm(machine, vm).handles;
