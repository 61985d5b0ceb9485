// migrate and reclaim: the kernel tries to move a page to another frame, or to swap it out (mm/migrate.c, mm/vmscan.c). The series only takes __GFP_MOVABLE
// out of the mapping's mask and marks it unevictable, so a page that is there still migrates, and KVM's private mappings are not told; v6 and
// v7 refuse it from the first binding on.

import { asU64 } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { invalidateHva } from "../kvm/notifier.ts";
import { BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { isMadeInaccessible } from "./file.ts";
import { allocateFrame, referencesOf, release } from "./frames.ts";
import { fileScope } from "./scopes.ts";
import { type FileState, MARK } from "./state.ts";
import { fileUnmaps } from "./unmaps.ts";

interface Move {
  readonly page: number;
}

/** migrate(frame(fd, off)), reclaim(frame(fd, off)). */
export function planMove(machine: Machine, id: CallId, call: Call): Plan {
  const target = call.operands[0];
  const file = target?.kind === "frame" ? machine.objects.fileOf.get(machine.program.handles[target.handle].call) : undefined;
  if (target?.kind !== "frame" || file === undefined)
    throw new NotModelled(id, `${call.spec} takes the frame of a file page, as in ${call.spec}(frame(fd, 0x1000))`);
  const inaccessible = isMadeInaccessible(machine, machine.objects.files[file]);
  if (call.spec === "reclaim" && !inaccessible) throw new NotModelled(id, "swapping out a page of an ordinary memfd is not modelled");
  const page = Number(asU64(target.offset) >> 12n);
  const cell = machine.files[file].cells.at(page);
  return plan(id, call, {
    operations: [call.spec],
    success: ZERO,
    file,
    ...(call.spec === "migrate" && cell >= 0 ? fileUnmaps(machine, machine.files[file], [cell]) : {}),
    reads: ["page"],
    scope: () => fileScope(machine, call, file),
    data: { page } satisfies Move,
    decode({ state }) {
      const { frames, cells } = machine.files[file];
      // Behind the largest file there is no page at all.
      return cells.at(page) < 0 || frames[cells.one(page)].get(state) === 0 ? "ENOENT" : undefined;
    },
  });
}

function pageOf(context: Context): { file: FileState; cell: number; frame: number } {
  const file = context.machine.files[context.plan.file];
  const cell = file.cells.one((context.plan.data as Move).page);
  return { file, cell, frame: file.frames[cell].get(context.state) };
}

/** try_to_migrate takes the page out of the host's page tables, between the two halves of the MMU notifier: a private copy is another page. */
const unmapFolio: StepCode = {
  reads: ["pte", "page"],
  writes: ["pte", "free"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, unmapping } = context;
    const mapping = machine.mappings[unmapping?.mapping ?? -1];
    for (const cell of mapping ? (unmapping?.cells ?? []) : []) {
      if (mapping.copies[cell]?.get(state) === mapping.ptes[cell]?.get(state)) continue;
      mapping.ptes[cell]?.set(state, 0);
      if (context.telling) context.say(`a migration entry takes the place of the PTE in ${mapping.object.name}`);
    }
    return NEXT;
  },
};

/** A fault that comes in between would wait for the folio lock; here it has the old page, and loses it with the step that moves it. */
const migrate: StepCode = {
  reads: ["page", "lock", "reference", "pte", "slot", "ept", "faults", "file"],
  writes: ["page", "content", "pte", "ept", "tlb", "faults", "free"],
  jumps: [],
  events: true,
  run(context) {
    const { machine, state } = context;
    const { file, cell, frame } = pageOf(context);
    if (frame === 0) return context.fail("ENOENT");
    if (file.folios[cell].get(state) !== 0) return BLOCKED;
    // shmem_migrate_page of v6 2/8 and v7 asks for UNMOVABLE before anything else.
    if (file.marked.get(state) & MARK.PINNED) return context.fail("EOPNOTSUPP");
    if (referencesOf(machine, state, frame) > 1) return context.fail("EBUSY");
    const moved = allocateFrame(context);
    const tainted = machine.frames[frame].tainted.get(state);
    machine.frames[moved].content.forEach((field, range) => field.set(state, machine.frames[frame].content[range].get(state)));
    machine.frames[moved].tainted.set(state, tainted);
    unmapHost(context, file, cell);
    file.frames[cell].set(state, moved);
    const isPrivate = tainted === 1 || isMadeInaccessible(machine, file.object);
    machine.emit("migrated", frame, isPrivate ? 1 : 0);
    context.say(`the page moves from frame ${frame} to frame ${moved}`);
    release(context, frame);
    return NEXT;
  },
};

/** try_to_migrate finds the host's mappings by rmap and tells MMU notifiers; KVM's private mappings have no rmap. */
function unmapHost(context: Context, file: FileState, fileCell: number): void {
  for (const mapping of context.machine.mappings) {
    if (mapping.object.file !== file.object.index) continue;
    const cell = mapping.cells.at(file.cells.start(fileCell) - mapping.object.filePage);
    if (cell < 0 || mapping.mapped[cell].get(context.state) === 0 || mapping.ptes[cell]?.get(context.state) === 0) continue;
    if (mapping.copies[cell]?.get(context.state) === mapping.ptes[cell]?.get(context.state)) continue;
    invalidateHva(context, mapping, cell);
    mapping.ptes[cell]?.set(context.state, 0);
  }
}

/** mapping_set_unevictable: reclaim leaves these pages alone. v6 2/8 redirties them only once a binding has set UNRECLAIMABLE. */
const reclaim: StepCode = {
  reads: ["page", "file"],
  writes: [],
  jumps: [],
  run(context) {
    const { file, frame } = pageOf(context);
    if (frame === 0) return context.fail("ENOENT");
    if (context.machine.features.marker === "node_flag" && !(file.marked.get(context.state) & MARK.PINNED))
      throw new NotModelled(context.plan.id, "swapping out a page before a binding has made it UNRECLAIMABLE is not modelled");
    context.say("the mapping is unevictable: the page stays");
    return context.fail("EBUSY");
  },
};

export const movingSteps = { unmap_folio: unmapFolio, migrate, reclaim };
