// An uncorrectable memory error in a page of a guest_memfd: guests lose it, it is marked and stays in its file, and whoever wants it next is told
// (mm/memory-failure.c; virt/kvm/guest_memfd.c kvm_gmem_error_folio, kvm_gmem_get_pfn).

import { asU64 } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { fileScope } from "./scopes.ts";
import { fileOfFrame } from "./state.ts";

/**
 * poison(frame(fd, off)). The kernel marks the page first and takes it away from guests then; what a guest meets that comes in between is a machine check,
 * which no step stands for. Who faults meanwhile tries again until the page is marked.
 */
export function planPoison(machine: Machine, id: CallId, call: Call): Plan {
  const file = fileOfFrame(machine.program, machine.objects, call);
  const target = call.operands[0];
  if (target?.kind !== "frame" || file === undefined || machine.objects.files[file].kind !== "guest_memfd")
    throw new NotModelled(id, "of memory errors only one in a page of a guest_memfd is modelled, as in poison(frame(fd, 0x1000))");
  const page = Number(asU64(target.offset) >> 12n);
  return plan(id, call, {
    operations: ["poison"],
    success: ZERO,
    file,
    reads: ["page"],
    scope: () => fileScope(machine, call, file),
    data: { range: { from: page, to: page + 1 } } satisfies Broken,
    decode({ state }) {
      const { frames, cells } = machine.files[file];
      // Behind the largest file there is no page at all.
      return cells.at(page) < 0 || frames[cells.one(page)].get(state) === 0 ? "ENOENT" : undefined;
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
    const cell = file.cells.one((plan.data as Broken).range.from);
    const frame = file.frames[cell].get(state);
    if (machine.frameFields.mapped.some((field) => field.get(state) === frame))
      throw new NotModelled(plan.id, "what a memory error does to the host's mappings of the page, and to a TD that has it, is not modelled");
    machine.poisoned.get(plan.file)?.[cell].set(state, 1);
    if (context.telling) context.say(`frame ${frame} is marked as broken; it stays in the file`);
    return NEXT;
  },
};

export const poisonSteps = { poison_page: poisonPage };
