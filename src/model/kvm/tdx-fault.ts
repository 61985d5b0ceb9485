// KVM's fault handler for a TD, as far as the page: slot, kind, page of the guest_memfd or of userspace_addr, and what is tried again (arch/x86/kvm/mmu/mmu.c
// kvm_mmu_faultin_pfn, arch/x86/kvm/vmx/tdx.c tdx_handle_ept_violation). A shared gpa goes through the ordinary EPT, a private one through the mirror
// (tdx-mirror.ts). The same path serves KVM_PRE_FAULT_MEMORY.

import type { Errno } from "../../base/errno.ts";
import { formatAddress } from "../../base/units.ts";
import { BLOCKED, type Context, NEXT, type StepCode } from "../machine.ts";
import { makeUptodate } from "../memory/file.ts";
import { release } from "../memory/frames.ts";
import { COPY_ON_WRITE } from "../memory/narrow.ts";
import { KVM_MEM_READONLY } from "../objects.ts";
import { ZERO } from "../plan.ts";
import { INTERRUPTIBLE, signalPending } from "../signals.ts";
import { configOf, endFault, interrupt, leaveReference, slotAt, takeHostPage } from "./access.ts";
import { mismatchExit } from "./exits.ts";
import { boundPage, gmemPage, isOvertakenAt, leaveBrokenPage } from "./gmem-access.ts";
import { KINDS, PRIVATE, SHARED, type VmState } from "./state.ts";
import { accessOf } from "./tdx-access.ts";
import { tdOf, tdOfPlan } from "./tdx-leaf.ts";

const isPrefault = (context: Context): boolean => context.operation.name.startsWith("KVM_PRE_FAULT_MEMORY");
export const isRegion = (context: Context): boolean => context.operation.name === "KVM_TDX_INIT_MEM_REGION";
/** Calls on several pages have come to one of them. */
const byCells = (context: Context): boolean => isPrefault(context) || isRegion(context);
export const vmOf = (context: Context): VmState => context.machine.vms[accessOf(context).vm];
export const cellOf = (context: Context): number => (byCells(context) ? context.cell : accessOf(context).cell);
export const gfnOf = (context: Context): number => (byCells(context) ? vmOf(context).cells.start(context.cell) : accessOf(context).gfn);
export const gfnText = (context: Context): string => `gfn ${formatAddress(BigInt(gfnOf(context)))}`;
const kindOf = (context: Context): number => context.thread.kind.get(context.state);
const now = (context: Context): number => (vmOf(context).converted[cellOf(context)]?.get(context.state) === 1 ? PRIVATE : SHARED);

function forget(context: Context): void {
  const { thread, state } = context;
  for (const local of [thread.kind, thread.page, thread.stale, thread.decided, thread.hit, thread.frame, thread.slot]) local.set(state, 0);
}

/** Back into the guest, which has its SRCU read side dropped; a pre-fault goes on with its next page. */
function settled(context: Context): number {
  if (isPrefault(context)) {
    forget(context);
    return context.onward("advance");
  }
  endFault(context);
  return context.jump("run_vcpu");
}

/**
 * RET_PF_RETRY. A private violation is retried inside KVM, with SRCU held, until it is resolved, a signal comes, the VM is dead, or (6.18) the slot goes; a
 * shared one by entering the guest again; a pre-fault inside its ioctl.
 */
function retry(context: Context): number {
  const { machine, state } = context;
  const isPrivate = kindOf(context) === PRIVATE;
  if (isPrivate && !isPrefault(context) && signalPending(context)) {
    endFault(context);
    return interrupt(context);
  }
  if (tdOf(context).dead.get(state) === 1) return give(context, "EIO", "the VM is dead");
  if (!isPrefault(context)) {
    const slot = slotAt(machine, state, vmOf(context), gfnOf(context));
    const leaves = machine.features.td_slot_deleted === "leaves" && slot?.invalid === true;
    if (!isPrivate || leaves || machine.features.td_private_retry === "enters") {
      endFault(context);
      if (leaves) context.say("the slot is on its way out: leaves the local loop, and SRCU");
      return context.jump("run_vcpu");
    }
  }
  forget(context);
  return context.jump("snapshot");
}

/** The fault ends with an error of KVM_RUN, or of the pre-fault, where nothing was mapped before. */
export function give(context: Context, errno: Errno, why: string): number {
  if (context.telling) context.say(`${why}: ${errno}`);
  const mapped = isPrefault(context) && context.cursor > 0;
  endFault(context);
  return mapped ? context.always(ZERO) : context.fail(errno);
}

/** kvm_mmu_prepare_memory_fault_exit. */
function leave(context: Context, why: string): number {
  const kind = kindOf(context);
  if (isPrefault(context)) return give(context, "EFAULT", why);
  if (context.telling) context.say(`${why}: leaves KVM_RUN with EFAULT and the memory-fault exit`);
  endFault(context);
  return context.done(mismatchExit(context.machine, gfnOf(context), kind));
}

function brokenPage(context: Context, frame: number): number {
  const exit = mismatchExit(context.machine, gfnOf(context), kindOf(context), "EHWPOISON");
  const mapped = context.cursor > 0;
  leaveBrokenPage(context, frame);
  if (!isPrefault(context)) return context.done(exit);
  return mapped ? context.always(ZERO) : context.fail("EHWPOISON");
}

const OUT = ["run_vcpu", "snapshot", "advance"];
export const FAULT = ["fault", "srcu", "reference", "free"] as const;

/** The shared bit of the address says what the access is; a pre-fault takes the attribute of the gfn, and looks for a signal before each try. */
const snapshot: StepCode = {
  reads: ["kind"],
  writes: ["fault"],
  interruptible: { ...INTERRUPTIBLE, writes: FAULT },
  jumps: [],
  returns: false,
  run(context) {
    const { state, thread } = context;
    if (isPrefault(context) && signalPending(context)) return give(context, "EINTR", "a signal is pending");
    const kind = isPrefault(context) ? now(context) : accessOf(context).kind;
    thread.inFault.set(state, 1);
    thread.kind.set(state, kind);
    if (isPrefault(context)) thread.page.set(state, context.cursor);
    for (const local of [thread.stale, thread.decided, thread.hit]) local.set(state, 0);
    if (context.telling) context.say(`a ${KINDS[kind]} access to ${gfnText(context)}; remembers mmu_invalidate_seq`);
    return NEXT;
  },
};

const checkKind: StepCode = {
  reads: ["kind"],
  writes: FAULT,
  jumps: [],
  run(context) {
    if (context.machine.options.invalidationGhost) context.thread.decided.set(context.state, 1);
    const kind = kindOf(context);
    if (now(context) !== kind) return leave(context, `${gfnText(context)} is ${KINDS[1 - kind]}`);
    if (context.telling) context.say(`${gfnText(context)} is ${KINDS[kind]}, as the access`);
    return NEXT;
  },
};

const findSlot: StepCode = {
  reads: ["slot", "td"],
  writes: FAULT,
  interruptible: INTERRUPTIBLE,
  jumps: OUT,
  run(context) {
    const { machine, state, thread } = context;
    const slot = slotAt(machine, state, vmOf(context), gfnOf(context));
    if (!slot) {
      if (isPrefault(context)) return give(context, "ENOENT", "no slot has the gfn");
      if (kindOf(context) === PRIVATE) return leave(context, "no slot has the gfn");
      // kvm_mmu_set_mmio_spte_value(kvm, 0): the entry does not suppress #VE, and the guest turns the access into a TDVMCALL.
      endFault(context);
      context.say("no slot has the gfn: an MMIO entry, and #VE in the guest");
      return context.done({ kind: "exception", exception: "#VE" });
    }
    if (slot.invalid) {
      if (isPrefault(context) && machine.features.prefault_invalid === "EAGAIN") return give(context, "EAGAIN", "the slot is being deleted");
      context.say("the slot is being deleted: try again");
      return retry(context);
    }
    thread.slot.set(state, slot.config.index + 1);
    if (context.telling) context.say(`slot ${slot.config.id} has ${gfnText(context)}`);
    return NEXT;
  },
};

export const isOvertaken = (context: Context): boolean => isOvertakenAt(context, vmOf(context), cellOf(context));

const earlyRetry: StepCode = {
  reads: ["fault", "notifier", "slot", "td"],
  writes: FAULT,
  interruptible: INTERRUPTIBLE,
  jumps: OUT,
  run(context) {
    if (!isOvertaken(context)) {
      context.say("no invalidation of the gfn is in progress");
      return NEXT;
    }
    context.say("an invalidation came in between: try again");
    return retry(context);
  },
};

/** kvm_gmem_get_pfn: a page that nobody has used yet is cleared, through the host's cache. */
const getPage: StepCode = {
  reads: ["page", "lock", "uptodate", "slot", "handle", "pte", "control", "file"],
  writes: ["page", "uptodate", "content", ...FAULT],
  jumps: ["gup", "share_mmu"],
  run(context) {
    const { machine, state, thread } = context;
    const config = configOf(context);
    if (kindOf(context) === SHARED) return context.jump("gup");
    const bound = boundPage(context, vmOf(context), config, gfnOf(context));
    if (typeof bound === "string") return leave(context, bound);
    const { file, cell } = bound;
    const page = gmemPage(context, file, cell);
    if (page.is === "locked") return BLOCKED;
    if (page.is === "no memory") return give(context, "ENOMEM", "no frame is free");
    const { is, frame } = page;
    if (is === "broken") return brokenPage(context, frame);
    if (file.uptodate[cell].get(state) === 0) machine.tdx?.lines[frame].sharedDirty.set(state, 1);
    makeUptodate(context, file, cell);
    thread.frame.set(state, frame);
    if (context.telling) context.say(`gets frame ${frame} from the guest_memfd, with a reference`);
    return context.jump("share_mmu");
  },
};

const gup: StepCode = {
  reads: ["pte", "page", "lock", "size", "hole", "control", "uptodate"],
  writes: ["pte", "page", "uptodate", "content", ...FAULT],
  copying: COPY_ON_WRITE,
  jumps: [],
  events: true,
  run(context) {
    const config = configOf(context);
    const write = !isPrefault(context) && accessOf(context).value !== undefined;
    if (write && config.flags & KVM_MEM_READONLY) return leave(context, "the slot is KVM_MEM_READONLY");
    return takeHostPage(context, config, gfnOf(context), write) ?? give(context, "EFAULT", "the slot's userspace_addr gives no page");
  },
};

/** A leaf of the shared EPT, under mmu_lock for read. */
const map: StepCode = {
  reads: ["fault", "notifier", "lock"],
  writes: ["ept", "free"],
  jumps: ["put_page"],
  returns: false,
  events: true,
  acquires: (machine, plan) => [tdOfPlan(machine, plan).mmuWriter],
  run(context) {
    const { machine, state, thread } = context;
    if (tdOf(context).mmuWriter.get(state) !== 0) return BLOCKED;
    if (isOvertaken(context)) {
      context.say("an invalidation of the gfn came in between: try again");
      thread.slot.set(state, 0);
      return context.jump("put_page");
    }
    if (thread.hit.get(state) === 1) machine.emit("install-after-invalidate", thread.index, cellOf(context));
    vmOf(context).ept[SHARED][cellOf(context)]?.set(state, thread.frame.get(state));
    if (context.telling) context.say(`the shared EPT maps ${gfnText(context)} to frame ${thread.frame.get(state)}`);
    return context.jump("put_page");
  },
};

const putPage: StepCode = {
  reads: ["reference", "page", "fault", "slot", "td"],
  writes: ["content", ...FAULT],
  interruptible: INTERRUPTIBLE,
  jumps: OUT,
  events: true,
  run(context) {
    const { state, thread } = context;
    const frame = thread.frame.get(state);
    const mapped = thread.slot.get(state) !== 0;
    const code = mapped ? settled(context) : retry(context);
    if (context.telling && frame > 0) context.say(`puts the reference on frame ${frame}`);
    release(context, frame);
    return code;
  },
};

/** gpa and size of a pre-fault move over the page. */
const advance: StepCode = {
  reads: [],
  writes: FAULT,
  jumps: ["snapshot"],
  returns: false,
  events: true,
  run(context) {
    leaveReference(context);
    const next = context.cursor + 1;
    if (next < context.plan.cells.length) {
      context.thread.cursor.set(context.state, next);
      context.say("gpa and size move over the page");
      return context.onward("snapshot");
    }
    endFault(context);
    context.say("the last page of the request");
    return NEXT;
  },
};

export const lookupSteps = {
  snapshot,
  check_kind: checkKind,
  find_slot: findSlot,
  early_retry: earlyRetry,
  get_page: getPage,
  gup,
  map,
  put_page: putPage,
  advance,
};
