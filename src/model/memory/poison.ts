// An uncorrectable memory error in a page of a guest_memfd: guests lose it, it is marked and stays in its file, and whoever wants it next is told
// (mm/memory-failure.c; virt/kvm/guest_memfd.c kvm_gmem_error_folio, kvm_gmem_get_pfn).

import type { Call, CallId, Program } from "../../scenario/program.ts";
import type { Cells } from "../cells.ts";
import type { Field, Layout } from "../layout.ts";
import type { Machine } from "../machine.ts";
import { NotModelled, type Objects } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { type Context, NEXT, type Plan, type StepCode } from "../step.ts";
import { singleCell } from "./io.ts";
import { fileScope } from "./scopes.ts";

const fileOfFrame = (program: Program, objects: Objects, call: Call): number | undefined => {
  const [target] = call.operands;
  return target?.kind === "frame" ? objects.fileOf.get(program.handles[target.handle].call) : undefined;
};

/** By file with such an error, and by cell: whether its page has one. */
export function poisonedPages(layout: Layout, program: Program, objects: Objects, cells: readonly Cells[]): ReadonlyMap<number, readonly Field[]> {
  const pages = new Map<number, readonly Field[]>();
  for (const call of program.calls) {
    const file = call.spec === "poison" ? fileOfFrame(program, objects, call) : undefined;
    if (file === undefined || pages.has(file)) continue;
    pages.set(
      file,
      Array.from({ length: cells[file].count }, (_, cell) => layout.field("page", 1, `file ${file} cell ${cell}`)),
    );
  }
  return pages;
}

export const isPoisoned = (machine: Machine, state: Int32Array, file: number, cell: number): boolean => machine.poisoned.get(file)?.[cell]?.get(state) === 1;

/**
 * poison(frame(fd, off)). The kernel marks the page first and takes it away from guests then; what a guest meets that comes in between is a machine check, which
 * no step stands for. Who faults meanwhile tries again until the page is marked.
 */
export function planPoison(machine: Machine, id: CallId, call: Call): Plan {
  const file = fileOfFrame(machine.program, machine.objects, call);
  const target = call.operands[0];
  if (target?.kind !== "frame" || file === undefined || machine.objects.files[file].kind !== "guest_memfd")
    throw new NotModelled(id, "of memory errors only one in a page of a guest_memfd is modelled, as in poison(frame(fd, 0x1000))");
  const page = Number(target.offset >> 12n);
  return plan(id, call, {
    operations: ["poison"],
    success: ZERO,
    file,
    reads: ["page"],
    scope: () => fileScope(machine, call, file),
    data: { range: { from: page, to: page + 1 } } satisfies Broken,
    decode({ state }) {
      const { frames, cells } = machine.files[file];
      return frames[singleCell(cells, page)].get(state) === 0 ? "ENOENT" : undefined;
    },
  });
}

/** Pages of the file, as invalidations of other calls have theirs. */
interface Broken {
  readonly range: { readonly from: number; readonly to: number };
}

const poisonPage: StepCode = {
  reads: ["page", "pte", "ept", "free", "reference"],
  writes: ["page"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, plan } = context;
    const file = machine.files[plan.file];
    const cell = singleCell(file.cells, (plan.data as Broken).range.from);
    const frame = file.frames[cell].get(state);
    if (machine.frameFields.mapped.some((field) => field.get(state) === frame))
      throw new NotModelled(plan.id, "what a memory error does to the host's mappings of the page, and to a TD that has it, is not modelled");
    machine.poisoned.get(plan.file)?.[cell].set(state, 1);
    if (context.telling) context.say(`frame ${frame} is marked as broken; it stays in the file`);
    return NEXT;
  },
};

/** Before a page leaves its file: what becomes of a broken one no source tells. */
export function checkNotPoisoned(context: Context, file: number, cell: number): void {
  if (isPoisoned(context.machine, context.state, file, cell))
    throw new NotModelled(context.plan.id, "what becomes of a page with a memory error that leaves its file is not modelled");
}

export const poisonSteps = { poison_page: poisonPage };
