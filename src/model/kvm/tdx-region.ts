// KVM_TDX_INIT_MEM_REGION, page by page: a fresh page of the guest_memfd is mapped, and TDH.MEM.PAGE.ADD copies the source page into it (virt/kvm/guest_memfd.c
// kvm_gmem_populate, arch/x86/kvm/vmx/tdx.c tdx_gmem_post_populate). Up to 6.18 the mirror maps the page first, and what comes in between leaves it
// premapped; from 6.19 on the page is added while the entry of the mirror is FROZEN.

import type { Errno } from "../../base/errno.ts";
import { formatAddress } from "../../base/units.ts";
import type { Field } from "../layout.ts";
import { AGAIN, BLOCKED, type Context, NEXT, type StepCode } from "../machine.ts";
import { isReferenced, makeUptodate } from "../memory/file.ts";
import { release } from "../memory/frames.ts";
import { getUserPage } from "../memory/gup.ts";
import { COPY_ON_WRITE } from "../memory/narrow.ts";
import { INTERRUPTIBLE, signalPending } from "../signals.ts";
import { flushShared } from "../tdx/hardware.ts";
import { slotAt } from "./access.ts";
import { gmemPage } from "./gmem-access.ts";
import { checkLockOrder } from "./gmem-invalidate.ts";
import type { GmemState } from "./gmem-state.ts";
import { isPrivateSlot } from "./kinds.ts";
import { PRIVATE, type VmState } from "./state.ts";
import { gate } from "./tdx-build.ts";
import { bug, isBusy, isSuccess, kvmLeaf, localsOf, tdOf, tdOfPlan, tdsOf } from "./tdx-leaf.ts";
import { lockSteps, shareMmu, unshareMmu } from "./tdx-locks.ts";
import { publishLeaf, tableSteps } from "./tdx-mirror.ts";
import { stop, type TdCommand } from "./tdx-plans.ts";

const command = (context: Context): TdCommand => context.plan.data as TdCommand;
const vmOf = (context: Context): VmState => context.machine.vms[command(context).vm];
const gfnOf = (context: Context): number => vmOf(context).cells.start(context.cell);
const gfnText = (context: Context): string => `gfn ${formatAddress(BigInt(gfnOf(context)))}`;
const gpaOf = (context: Context): bigint => BigInt(gfnOf(context)) << 12n;
const tdr = (context: Context): number => tdOf(context).tdr.get(context.state);
const hasFailed = (context: Context): boolean => context.thread.answer.get(context.state) > 0;

/** The page is given up: what it holds is dropped on the way out, and the call answers. */
const fail = (context: Context, errno: Errno): number => stop(context, errno, "put_source");

const checkRegion: StepCode = {
  reads: ["td"],
  writes: [],
  jumps: ["unlock_slots"],
  run(context) {
    const { refused, vcpu } = command(context);
    const initialized = tdsOf(context.machine).vcpus[vcpu]?.initialized.get(context.state) === 1;
    if (gate(context) || !initialized || refused) return stop(context, "EINVAL", "unlock_slots");
    context.say("the vCPU is initialised, the TD is not finalised, the region is in order");
    return NEXT;
  },
};

/** The guest_memfd that the slot of the gfn leads to. */
function fileOf(context: Context): { readonly index: number; readonly page: number } | Errno {
  const { machine, state } = context;
  const slot = slotAt(machine, state, vmOf(context), gfnOf(context));
  if (!slot || !isPrivateSlot(slot.config) || slot.config.file === undefined) return "EINVAL";
  const bound =
    vmOf(context)
      .slots.find((one) => one.id === slot.config.id)
      ?.gmem?.file.get(state) === 1;
  if (!bound || !isReferenced(machine, state, machine.files[slot.config.file])) return "EFAULT";
  return { index: slot.config.file, page: slot.config.filePage + gfnOf(context) - slot.config.gfn };
}

const gmemOf = (context: Context): GmemState | undefined => {
  const file = fileOf(context);
  return typeof file === "string" ? undefined : context.machine.files[file.index].gmem;
};

/** kvm_gmem_populate takes the invalidate lock of the file for one page. */
const lockInvalidate: StepCode = {
  reads: ["lock", "slot", "handle", "pte", "control", "file"],
  writes: ["lock", "reference", "free"],
  jumps: ["put_source"],
  interruptible: INTERRUPTIBLE,
  returns: false,
  run(context) {
    const { state, thread } = context;
    if (signalPending(context)) return fail(context, "EINTR");
    const file = fileOf(context);
    if (typeof file === "string") return fail(context, file);
    const gmem = gmemOf(context) as GmemState;
    if (gmem.invalidateLock.get(state) !== 0 || gmem.invalidateReaders.get(state) > 0) return BLOCKED;
    gmem.invalidateLock.set(state, thread.index + 1);
    context.say("the invalidate lock is taken");
    return NEXT;
  },
};

/** A page that somebody has used is EEXIST up to 6.19; the gfn must be private. */
const freshPage: StepCode = {
  reads: ["page", "lock", "uptodate", "kind", "slot", "handle", "pte", "control", "file"],
  writes: ["page", "uptodate", "content", "free", "reference"],
  jumps: ["put_source"],
  returns: false,
  run(context) {
    const { machine, state, thread } = context;
    const place = fileOf(context);
    if (typeof place === "string") return fail(context, place);
    const file = machine.files[place.index];
    const cell = file.cells.one(place.page);
    const page = gmemPage(context, file, cell);
    if (page.is === "locked") return BLOCKED;
    if (page.is === "no memory") return fail(context, "ENOMEM");
    if (page.is === "broken") return fail(context, "EHWPOISON");
    const { frame } = page;
    if (machine.features.td_used_page === "EEXIST" && file.uptodate[cell].get(state) === 1) {
      context.say("the page has been used already");
      return fail(context, "EEXIST");
    }
    if (vmOf(context).converted[context.cell]?.get(state) !== 1) {
      if (context.telling) context.say(`${gfnText(context)} is not private`);
      return fail(context, "EINVAL");
    }
    thread.frame.set(state, frame);
    if (context.telling) context.say(`gets frame ${frame} from the guest_memfd, fresh`);
    return NEXT;
  },
};

/** get_user_pages_fast: only where the page is not in the host page table it takes mmap_lock. */
const getSource: StepCode = {
  reads: ["pte", "page", "lock", "size", "hole", "control", "uptodate", "slot", "handle", "file"],
  writes: ["pte", "page", "uptodate", "content", "free", "reference"],
  copying: COPY_ON_WRITE,
  interruptible: INTERRUPTIBLE,
  jumps: ["put_source"],
  returns: false,
  events: true,
  run(context) {
    const { machine, state } = context;
    const { source } = command(context);
    if (signalPending(context)) return fail(context, "EINTR");
    // Where the source comes before the invalidate lock, the slot has been looked at before it.
    const file = fileOf(context);
    if (typeof file === "string") return fail(context, file);
    const mapping = source && machine.mappings[source.mapping];
    if (!source || !mapping) return fail(context, "EFAULT");
    const page = source.page + context.cursor;
    if ((mapping.ptes[mapping.cells.at(page)]?.get(state) ?? 0) === 0) checkLockOrder(context, MMAP_LOCK);
    const frame = getUserPage(context, mapping, page, false);
    if (frame === "blocked") return BLOCKED;
    if (frame === "again") return AGAIN;
    if (frame === undefined) {
      context.say("nothing is mapped at source_addr");
      return fail(context, "EFAULT");
    }
    localsOf(context).source.set(state, frame);
    if (context.telling) context.say(`pins the source, frame ${frame}`);
    return NEXT;
  },
};
const MMAP_LOCK = 2;

/**
 * Up to 6.18 kvm_tdp_map_page tries again while an invalidation of the gfn is in progress; kvm_tdp_mmu_map_private_pfn does not look. Neither with a signal.
 */
const share: StepCode = {
  reads: ["notifier", "lock"],
  writes: ["lock"],
  interruptible: { ...INTERRUPTIBLE, writes: ["reference", "free"] },
  jumps: ["put_source"],
  returns: false,
  acquires: (machine, plan) => [tdOfPlan(machine, plan).mmuWriter],
  run(context) {
    const { state } = context;
    const vm = vmOf(context);
    const { cell } = context;
    if (signalPending(context)) return fail(context, "EINTR");
    const retries = !isHook(context) && vm.inProgress.get(state) > 0;
    if (retries && cell >= vm.rangeStart.get(state) && cell < vm.rangeEnd.get(state)) return BLOCKED;
    if (!shareMmu(context)) return BLOCKED;
    context.say("mmu_lock is taken for read");
    return NEXT;
  },
};

function prepare(context: Context): void {
  const { machine } = context;
  const place = fileOf(context);
  if (typeof place === "string") return;
  const file = machine.files[place.index];
  makeUptodate(context, file, file.cells.one(place.page));
}

/** The ordinary fault clears the page, for kvm_gmem_get_pfn does not know that it is about to be written; the set hook only counts it. */
const premap: StepCode = {
  reads: ["ept", "td", "page", "uptodate", "slot", "handle", "pte", "control", "file", "reference"],
  writes: ["ept", "td", "page", "lock", "content", "uptodate"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, thread } = context;
    const frame = thread.frame.get(state);
    const vm = vmOf(context);
    if (vm.ept[PRIVATE][context.cell]?.get(state) === frame) context.say("the mirror maps the page already");
    else {
      publishLeaf(context, vm, context.cell, frame);
      const { premapped } = tdOf(context);
      premapped.set(state, premapped.get(state) + 1);
      if (context.telling) context.say(`TDH.MEM.PAGE.ADD is still to come: nr_premapped is ${premapped.get(state)}`);
    }
    prepare(context);
    machine.tdx?.lines[frame].sharedDirty.set(state, 1);
    unshareMmu(context);
    return NEXT;
  },
};

/** kvm_tdp_mmu_map_private_pfn wants the page to be new to the mirror: RET_PF_SPURIOUS is -EIO. */
const freeze: StepCode = {
  reads: ["ept", "td", "reference"],
  writes: ["ept", "lock"],
  jumps: ["put_source"],
  returns: false,
  run(context) {
    const leaf = vmOf(context).ept[PRIVATE][context.cell]?.get(context.state) ?? 0;
    if (leaf !== 0) {
      unshareMmu(context);
      context.say("the mirror maps the page already");
      return fail(context, "EIO");
    }
    tdOf(context).frozen.get(context.cell)?.set(context.state, 1);
    context.say("the entry of the mirror is FROZEN");
    return NEXT;
  },
};

/** While the entry of the mirror is FROZEN, the page is not mapped until it is added. */
const isHook = (context: Context): boolean => context.operation.labels.has("publish_spte");

/** tdx_mem_page_add from the set hook, Linux 6.19: kvm_tdp_mmu_map_private_pfn maps again what was busy, any other status is a bug of KVM. */
function hookFailed(context: Context, busy: boolean): number {
  tdOf(context).frozen.get(context.cell)?.set(context.state, 0);
  unshareMmu(context);
  if (busy) return context.jump("share_mmu");
  bug(context, "TDH.MEM.PAGE.ADD failed");
  return fail(context, "EIO");
}

const pageAdd = kvmLeaf({
  leaf: "TDH.MEM.PAGE.ADD",
  registers: (context) => ({
    tdr: tdr(context),
    gpa: gpaOf(context),
    level: 0,
    page: context.thread.frame.get(context.state),
    source: localsOf(context).source.get(context.state),
  }),
  jumps: ["put_source", "share_mmu"],
  reads: ["page", "driver"],
  writes: ["content", "ept", "lock"],
  before(context) {
    flushShared(context.machine, context.state, context.thread.frame.get(context.state));
    return undefined;
  },
  answered(context, status) {
    const { state } = context;
    const { premapped } = tdOf(context);
    if (!isSuccess(status)) return isHook(context) ? hookFailed(context, isBusy(status)) : fail(context, isBusy(status) ? "EBUSY" : "EIO");
    if (isHook(context)) return NEXT;
    if (premapped.get(state) === 0) bug(context, "a page is added, and nr_premapped is 0");
    else premapped.set(state, premapped.get(state) - 1);
    return NEXT;
  },
});

const publish: StepCode = {
  reads: ["reference", "slot", "handle", "pte", "control", "file", "page", "uptodate"],
  writes: ["ept", "page", "lock", "uptodate", "content"],
  jumps: [],
  returns: false,
  run(context) {
    publishLeaf(context, vmOf(context), context.cell, context.thread.frame.get(context.state));
    unshareMmu(context);
    markPrepared(context);
    return NEXT;
  },
};

/** kvm_gmem_mark_prepared, behind the copy: nothing is cleared. */
function markPrepared(context: Context): void {
  const place = fileOf(context);
  if (typeof place === "string") return;
  const file = context.machine.files[place.index];
  file.uptodate[file.cells.one(place.page)].set(context.state, 1);
}

/** Sixteen calls, 256 bytes each; the first failure ends them. */
const mrExtend = kvmLeaf({
  leaf: "TDH.MR.EXTEND",
  registers: (context) => ({ tdr: tdr(context), gpa: gpaOf(context) }),
  jumps: ["put_source"],
  before: (context) => (command(context).measure ? undefined : NEXT),
  answered(context, status) {
    if (isSuccess(status)) return NEXT;
    if (context.machine.features.td_extend_failure === "bugged") bug(context, "TDH.MR.EXTEND failed");
    return fail(context, "EIO");
  },
});

const putSource: StepCode = {
  reads: ["reference", "page"],
  writes: ["reference", "free", "content"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { state, thread } = context;
    const { source } = localsOf(context);
    for (const field of [source, thread.frame] satisfies Field[]) {
      const frame = field.get(state);
      field.set(state, 0);
      if (context.telling && frame > 0) context.say(`puts the reference on frame ${frame}`);
      release(context, frame);
    }
    return NEXT;
  },
};

/** Behind a page that went well comes the next one; the structure tells user space how far it came. */
const unlockInvalidate: StepCode = {
  reads: ["lock"],
  writes: ["lock"],
  jumps: ["lock_invalidate", "get_source"],
  returns: false,
  run(context) {
    const { machine, state, thread } = context;
    for (const { gmem } of machine.files) if (gmem?.invalidateLock.get(state) === thread.index + 1) gmem.invalidateLock.set(state, 0);
    context.say("the invalidate lock is released");
    const next = context.cursor + 1;
    const more = !hasFailed(context) && next < context.plan.cells.length;
    thread.cursor.set(state, more ? next : 0);
    if (!more) return NEXT;
    const { labels } = context.operation;
    const [lock, source] = ["lock_invalidate", "get_source"].map((name) => labels.get(name) ?? Number.POSITIVE_INFINITY);
    return context.onward(source < lock ? "get_source" : "lock_invalidate");
  },
};

export const regionSteps = {
  ...lockSteps,
  ...tableSteps,
  check_td: checkRegion,
  lock_invalidate: lockInvalidate,
  fresh_page: freshPage,
  get_source: getSource,
  share_mmu: share,
  premap,
  freeze_spte: freeze,
  page_add: pageAdd,
  publish_spte: publish,
  mr_extend: mrExtend,
  put_source: putSource,
  unlock_invalidate: unlockInvalidate,
};
