// Which pages of which host mappings a call takes away or changes: what MMU notifiers are told of, one mapping after the other.

import type { Machine, Plan, Unmapping } from "../machine.ts";
import type { FileState } from "./state.ts";

/** What a call says of the pages of one mapping that it changes. */
export function unmapsOf(
  machine: Machine,
  index: number | undefined,
  cells: readonly number[],
  spares?: Unmapping["spares"],
): Pick<Plan, "unmaps" | "unheard"> {
  if (index === undefined || cells.length === 0) return {};
  return { unmaps: [{ mapping: index, cells, ...(spares ? { spares } : {}) }], unheard: !isBehindSlot(machine, index) };
}

const isBehindSlot = (machine: Machine, mapping: number): boolean => machine.objects.slots.some((config) => config.mapping === mapping);

/** unmap_mapping_range: the part of every mapping of the file that these cells of it stand behind. */
export function fileUnmaps(machine: Machine, file: FileState | undefined, cells: readonly number[]): Pick<Plan, "unmaps" | "unheard"> {
  if (!file) return {};
  const unmaps = machine.mappings.flatMap((mapping): Unmapping[] => {
    if (mapping.object.file !== file.object.index) return [];
    const own = cells.map((cell) => mapping.cells.at(file.cells.start(cell) - mapping.object.filePage)).filter((cell) => cell >= 0);
    return own.length > 0 ? [{ mapping: mapping.object.index, cells: own }] : [];
  });
  return unmaps.length === 1 ? { unmaps, unheard: !isBehindSlot(machine, unmaps[0].mapping) } : { unmaps };
}
