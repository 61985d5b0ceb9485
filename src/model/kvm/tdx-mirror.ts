// The mirror of a TD's secure EPT: under mmu_lock (for read) its missing tables and its leaf are linked, each FROZEN while the TDX module is called
// (arch/x86/kvm/mmu/tdp_mmu.c __tdp_mmu_set_spte_atomic, tdp_mmu_link_sp, arch/x86/kvm/vmx/tdx.c).

import { formatAddress } from "../../base/units.ts";
import { BLOCKED, type Context, NEXT, type StepCode } from "../machine.ts";
import { release } from "../memory/frames.ts";
import { NotModelled } from "../objects.ts";
import { flushShared } from "../tdx/hardware.ts";
import { PRIVATE, type VmState } from "./state.ts";
import { cellOf, FAULT, gfnOf, gfnText, give, isOvertaken, isRegion, lookupSteps, vmOf } from "./tdx-fault.ts";
import { bug, freePageOf, isBusy, isSuccess, kvmLeaf, localsOf, pageFor, tdOf, tdOfPlan } from "./tdx-leaf.ts";
import { shareMmu, unshareMmu } from "./tdx-locks.ts";
import { stop } from "./tdx-plans.ts";
import type { MirrorTable } from "./tdx-state.ts";

/** mmu_lock for read, held until the leaf is published or given up. */
const share: StepCode = {
  reads: ["fault", "notifier", "lock"],
  writes: ["lock"],
  jumps: ["put_page"],
  returns: false,
  acquires: (machine, plan) => [tdOfPlan(machine, plan).mmuWriter],
  run(context) {
    const { state, thread } = context;
    if (tdOf(context).mmuWriter.get(state) !== 0) return BLOCKED;
    if (isOvertaken(context)) {
      context.say("an invalidation of the gfn came in between: try again");
      thread.slot.set(state, 0);
      return context.jump("put_page");
    }
    shareMmu(context);
    context.say("mmu_lock is taken for read");
    return NEXT;
  },
};

/** Gives mmu_lock back, and the fault tries again behind the put of its page. */
function again(context: Context, why: string): number {
  unshareMmu(context);
  localsOf(context).index.set(context.state, 0);
  if (context.telling) context.say(`${why}: try again`);
  if (isRegion(context)) return context.jump("share_mmu");
  context.thread.slot.set(context.state, 0);
  return context.jump("put_page");
}

/** A leaf of the module failed where KVM has no answer: the fault ends with -EIO. */
function broken(context: Context, leaf: string): number {
  const { thread, state } = context;
  unshareMmu(context);
  localsOf(context).index.set(state, 0);
  bug(context, `${leaf} failed`);
  if (isRegion(context)) return stop(context, "EIO", "put_source");
  const frame = thread.frame.get(state);
  const code = give(context, "EIO", "the fault fails");
  release(context, frame);
  return code;
}

const onPath = (context: Context): MirrorTable[] =>
  tdOf(context).tables.filter(({ entry }) => Math.floor(gfnOf(context) / 512 ** entry.level) * 512 ** entry.level === entry.gfn);

/** The uppermost table that the mirror lacks for a gfn; undefined where all are there. */
function missing(context: Context): MirrorTable | undefined {
  const top = tdOf(context).td.pwl.get(context.state);
  const lacking = onPath(context).filter(({ entry, frame }) => entry.level <= top && frame.get(context.state) === 0);
  return lacking.sort((a, b) => b.entry.level - a.entry.level)[0];
}

const freezeTable: StepCode = {
  reads: ["ept", "td"],
  writes: ["ept", "free", "content", "reference", "lock"],
  jumps: ["freeze_spte", "premap", "put_page", "share_mmu"],
  returns: false,
  run(context) {
    const { state } = context;
    const table = missing(context);
    if (!table) {
      localsOf(context).index.set(state, 0);
      return context.onward(context.operation.labels.has("premap") ? "premap" : "freeze_spte");
    }
    if (table.frozen.get(state) === 1) return again(context, "the entry of the mirror is FROZEN");
    table.frozen.set(state, 1);
    localsOf(context).index.set(state, table.entry.level);
    const page = pageFor(context, localsOf(context).table, table.frame);
    if (context.telling) context.say(`the mirror has no table behind level ${table.entry.level}: frame ${page}, and the entry is FROZEN`);
    return NEXT;
  },
};

/** The table in work. */
function linking(context: Context): MirrorTable {
  const level = localsOf(context).index.get(context.state);
  const table = onPath(context).find(({ entry }) => entry.level === level);
  if (table) return table;
  throw new NotModelled(context.plan.id, "what sept_add does where freeze_table has found nothing to link is not modelled");
}

const septAdd = kvmLeaf({
  leaf: "TDH.MEM.SEPT.ADD",
  registers(context) {
    const { entry } = linking(context);
    const page = localsOf(context).table.get(context.state);
    return { tdr: tdOf(context).tdr.get(context.state), gpa: BigInt(entry.gfn) << 12n, level: entry.level, page };
  },
  jumps: ["freeze_table", "put_page", "share_mmu", "put_source"],
  returns: true,
  reads: ["page"],
  writes: ["ept", "lock", "content", ...FAULT],
  before(context) {
    flushShared(context.machine, context.state, localsOf(context).table.get(context.state));
    return undefined;
  },
  answered(context, status) {
    const { state } = context;
    const { table } = localsOf(context);
    const link = linking(context);
    link.frozen.set(state, 0);
    if (isSuccess(status)) {
      link.frame.set(state, table.get(state));
      table.set(state, 0);
      if (context.telling) context.say(`the mirror has the table behind level ${link.entry.level}`);
      return context.onward("freeze_table");
    }
    freePageOf(context, table);
    if (isBusy(status)) return again(context, "busy");
    return broken(context, "TDH.MEM.SEPT.ADD");
  },
});

/** A leaf that is there already is a spurious fault. */
const freezeSpte: StepCode = {
  reads: ["ept", "td"],
  writes: ["ept", "lock", "td", ...FAULT],
  jumps: ["put_page"],
  events: true,
  run(context) {
    const { state, thread } = context;
    const cell = cellOf(context);
    const leaf = vmOf(context).ept[PRIVATE][cell]?.get(state) ?? 0;
    const frozen = tdOf(context).frozen.get(cell);
    if (frozen?.get(state) === 1) return again(context, "the entry of the mirror is FROZEN");
    if (leaf === thread.frame.get(state)) {
      unshareMmu(context);
      context.say("the mirror maps the page already: a spurious fault");
      return context.jump("put_page");
    }
    if (leaf !== 0) return broken(context, "a present entry of the mirror would change; it");
    frozen?.set(state, 1);
    if (context.telling) context.say(`the entry of the mirror for ${gfnText(context)} is FROZEN`);
    return NEXT;
  },
};

/** tdx_clflush_page, inside the call of the leaf. */
const clflush: StepCode = {
  reads: ["reference"],
  writes: ["content"],
  jumps: [],
  returns: false,
  run(context) {
    const frame = context.thread.frame.get(context.state);
    const wrote = flushShared(context.machine, context.state, frame);
    if (context.telling) context.say(wrote ? `modified lines of frame ${frame} reach memory` : `no line of frame ${frame} was modified`);
    return NEXT;
  },
};

const aug = kvmLeaf({
  leaf: "TDH.MEM.PAGE.AUG",
  registers: (context) => ({
    tdr: tdOf(context).tdr.get(context.state),
    gpa: BigInt(gfnOf(context)) << 12n,
    level: 0,
    page: context.thread.frame.get(context.state),
  }),
  jumps: ["put_page"],
  returns: true,
  reads: ["page"],
  writes: ["ept", "lock", "content", ...FAULT],
  answered(context, status) {
    if (isSuccess(status)) return NEXT;
    tdOf(context).frozen.get(cellOf(context))?.set(context.state, 0);
    if (isBusy(status)) return again(context, "the entry of the mirror is as it was");
    return broken(context, "TDH.MEM.PAGE.AUG");
  },
});

/** The mirror maps the page, the secure EPT holds a reference where the release pins, and mmu_lock goes. */
const publish: StepCode = {
  reads: ["fault"],
  writes: ["ept", "page", "lock"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, thread, state } = context;
    if (thread.hit.get(state) === 1) machine.emit("install-after-invalidate", thread.index, cellOf(context));
    publishLeaf(context, vmOf(context), cellOf(context), thread.frame.get(state));
    unshareMmu(context);
    return NEXT;
  },
};

export function publishLeaf(context: Context, vm: VmState, cell: number, frame: number): void {
  const { machine, state } = context;
  const td = tdOf(context);
  vm.ept[PRIVATE][cell]?.set(state, frame);
  td.frozen.get(cell)?.set(state, 0);
  if (machine.features.td_page_reference === "pinned") td.pins.get(cell)?.set(state, frame);
  if (context.telling) context.say(`the mirror maps gfn ${formatAddress(BigInt(vm.cells.start(cell)))} to frame ${frame}`);
}

export const tdFaultSteps = {
  ...lookupSteps,
  share_mmu: share,
  freeze_table: freezeTable,
  sept_add: septAdd,
  freeze_spte: freezeSpte,
  clflush,
  aug,
  publish_spte: publish,
};
export const tableSteps = { freeze_table: freezeTable, sept_add: septAdd };
