// munmap (mm/mmap.c do_vmi_munmap; mm/memory.c unmap_vmas): the VMA goes, then the page table entries, of which MMU notifiers are told, then the reference on
// the file.

import { asU64, formatAddress, isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf, mappingOfOperand, NotModelled } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { dropPage, isReferenced } from "./file.ts";
import { release } from "./frames.ts";
import { failedAddress, isMapping, MMAP_MIN_ADDR, mappedCells, TASK_SIZE } from "./mapping.ts";
import { mappingScope } from "./scopes.ts";
import type { MappingState } from "./state.ts";
import { unmapsOf } from "./unmaps.ts";

const mappingOf = (context: Context): MappingState => context.machine.mappings[context.plan.data as number];

export function planMunmap(machine: Machine, id: CallId, call: Call): Plan {
  const target = call.operands[0];
  const length = asU64(intOf(call, id, 1));
  const index = mappingOfOperand(machine.program, machine.objects, target, call.actor);
  if (target?.kind === "handle" && index === undefined && !isMapping(machine, target.handle))
    throw new NotModelled(id, "munmap of a name that no mmap binds is not modelled");
  const from = target?.kind === "handle" ? target.offset : asU64(intOf(call, id, 0));
  // do_vmi_munmap: the range ends at or below TASK_SIZE. Where a mapping lies is not known here, so its own offset is no part of that.
  const most = target?.kind === "int" ? TASK_SIZE - from : TASK_SIZE;
  if (target?.kind === "int" && length > 0n && length <= most && from + length > MMAP_MIN_ADDR && isPageAligned(from))
    throw new NotModelled(id, "munmap of an address that no mmap of this scenario answers is not modelled");
  const cells = index === undefined || !isPageAligned(from) || length === 0n || length > TASK_SIZE ? [] : mappedCells(machine.mappings[index], from, length);
  return plan(id, call, {
    operations: ["munmap"],
    success: ZERO,
    cells,
    file: machine.notified && index !== undefined ? machine.mappings[index].object.file : -1,
    ...unmapsOf(machine, index, cells),
    data: index,
    reads: ["handle"],
    scope: () => mappingScope(machine, call, undefined, index),
    decode(context) {
      const address = failedAddress(machine, context.state, target) ?? from;
      if (!isPageAligned(address) || length === 0n || length > most || address > TASK_SIZE) return "EINVAL";
      if (address !== from) return ZERO;
      // Nothing is mapped below vm.mmap_min_addr, and unmapping nothing succeeds.
      return index === undefined ? ZERO : undefined;
    },
  });
}

/**
 * Under mmap_lock, which is downgraded before the PTEs go: page faults find no VMA from here on, while the hardware and GUP without the lock still use the
 * entries. Where nobody is told of them they go along, for which host thread came before is all that could be seen.
 */
const unmapVma: StepCode = {
  reads: ["pte", "handle", "page", "control", "reference", "slot"],
  writes: ["pte", "page", "uptodate", "content", "free"],
  jumps: [],
  run(context) {
    const { machine, state, operation } = context;
    const mapping = mappingOf(context);
    const there = context.plan.cells.filter((cell) => mapping.mapped[cell].get(state) === 1);
    for (const cell of there) mapping.mapped[cell].set(state, 0);
    if (operation.labels.has("clear_pte")) {
      if (there.length === 0) return context.done(ZERO);
      if (context.telling) context.say("the VMA is gone: page faults find nothing there");
      return NEXT;
    }
    for (const cell of there) clearEntry(context, mapping, cell);
    if (context.telling) context.say("the VMA and its PTEs are gone");
    const file = machine.files[mapping.object.file];
    if (!isReferenced(machine, state, file)) file.frames.forEach((_, cell) => void dropPage(context, file, cell));
    return NEXT;
  },
};

/** The file behind the mapping loses its reference at the return of the call (runner.ts). */
const clearPte: StepCode = {
  reads: ["pte", "page", "reference"],
  writes: ["pte", "page", "free", "content"],
  jumps: [],
  returns: false,
  run(context) {
    const mapping = mappingOf(context);
    clearEntry(context, mapping, context.cell);
    if (context.telling) context.say(`the PTE at ${pageText(mapping, context.cell)} is cleared`);
    return context.each();
  },
};

/** The PTE, and the page that the mapping alone may have. */
export function clearEntry(context: Context, mapping: MappingState, cell: number): void {
  mapping.ptes[cell]?.set(context.state, 0);
  const copy = mapping.copies[cell]?.get(context.state) ?? 0;
  mapping.copies[cell]?.set(context.state, 0);
  release(context, copy);
}

const pageText = (mapping: MappingState, cell: number): string => `${mapping.object.name} + ${formatAddress(BigInt(mapping.cells.start(cell)) << 12n)}`;

export const munmapSteps = { unmap_vma: unmapVma, clear_pte: clearPte };
