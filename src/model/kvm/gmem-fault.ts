// The guest's access and the page fault behind it from 6.8 on (arch/x86/kvm/mmu/mmu.c kvm_tdp_page_fault, kvm_mmu_faultin_pfn; virt/kvm/guest_memfd.c
// kvm_gmem_get_pfn). One page table serves both kinds of access; the attribute of the gfn decides which kind an access is.

import type { Errno } from "../../base/errno.ts";
import type { Result } from "../../scenario/program.ts";
import { BLOCKED, type Context, NEXT, type StepCode } from "../machine.ts";
import { makeUptodate } from "../memory/file.ts";
import { release } from "../memory/frames.ts";
import { COPY_ON_WRITE } from "../memory/narrow.ts";
import { KVM_MEM_READONLY } from "../objects.ts";
import { ZERO } from "../plan.ts";
import { INTERRUPTIBLE, isSignalled, leavesForSignal, signalPending } from "../signals.ts";
import { accessOf, configOf, endFault, interrupt, slotAt, takeHostPage, touch, vmOf } from "./access.ts";
import { mismatchExit } from "./exits.ts";
import {
  attributeKind,
  boundPage,
  faultCell,
  gfnOf,
  gfnText,
  gmemPage,
  isFromFile,
  isOvertaken,
  isPrefault,
  kindOf,
  leaveBrokenPage,
  presentKind,
} from "./gmem-access.ts";
import { checkLockOrder } from "./gmem-invalidate.ts";
import { narrowAccess, narrowCheckKind, narrowEarlyRetry, narrowFindSlot, narrowGetPage, narrowGup, narrowMap, narrowPut } from "./gmem-narrow.ts";
import { KINDS, PRIVATE } from "./state.ts";

/** The fault starts over: an access from the guest, so that its SRCU read side has ended; a pre-fault inside its call, which holds SRCU until it returns. */
function again(context: Context): number {
  if (!isPrefault(context)) {
    endFault(context);
    return context.jump("access");
  }
  forget(context);
  return context.jump("snapshot");
}

function forget(context: Context): void {
  const { thread, state } = context;
  for (const local of [thread.kind, thread.page, thread.stale, thread.decided, thread.hit, thread.frame, thread.slot]) local.set(state, 0);
}

const access: StepCode = {
  reads: ["tlb", "ept", "slot", "content", "pte", "page"],
  writes: ["tlb", "content"],
  interruptible: INTERRUPTIBLE,
  jumps: [],
  events: true,
  narrow: (context) => (isSignalled(context) ? undefined : narrowAccess(context)),
  run: (context) => (leavesForSignal(context) ? interrupt(context) : touch(context, presentKind(context))),
};

/** Takes the access for what the attribute of the gfn says, then reads mmu_invalidate_seq. A pre-fault looks for a signal before each try. */
const snapshot: StepCode = {
  reads: ["kind"],
  writes: ["fault"],
  interruptible: { ...INTERRUPTIBLE, writes: ["srcu", "reference", "free"] },
  jumps: [],
  returns: false,
  run(context) {
    const { state, thread } = context;
    if (isPrefault(context) && signalPending(context)) {
      context.say("a signal is pending");
      endFault(context);
      return stopPrefault(context, "EINTR");
    }
    const kind = attributeKind(context, vmOf(context), faultCell(context));
    thread.inFault.set(state, 1);
    thread.kind.set(state, kind);
    if (isPrefault(context)) thread.page.set(state, context.cursor);
    for (const local of [thread.stale, thread.decided, thread.hit]) local.set(state, 0);
    if (context.telling) context.say(`a ${KINDS[kind]} access to ${gfnText(context)}; remembers mmu_invalidate_seq`);
    return NEXT;
  },
};

/** The attribute has changed since the access was taken for private or shared. */
const checkKind: StepCode = {
  reads: ["kind"],
  writes: ["fault", "srcu", "reference", "free"],
  jumps: [],
  narrow: narrowCheckKind,
  run(context) {
    if (context.machine.options.invalidationGhost) context.thread.decided.set(context.state, 1);
    const kind = kindOf(context);
    const now = attributeKind(context, vmOf(context), faultCell(context));
    if (now !== kind) return leave(context, `${gfnText(context)} has become ${KINDS[now]}`);
    if (context.telling) context.say(`${gfnText(context)} is ${KINDS[kind]}, as the access`);
    return NEXT;
  },
};

/** kvm_mmu_prepare_memory_fault_exit: KVM_RUN returns -1 with EFAULT and KVM_EXIT_MEMORY_FAULT; a pre-fault returns EFAULT. */
function leave(context: Context, why: string): number {
  const kind = kindOf(context);
  if (context.telling) context.say(`${why}: ${isPrefault(context) ? "EFAULT" : "leaves KVM_RUN with EFAULT and the memory-fault exit"}`);
  endFault(context);
  return isPrefault(context) ? stopPrefault(context, "EFAULT") : context.done(exitOf(context, kind));
}

/** `errno`: of KVM_RUN, where it is not what the kernel answers for a kind that does not fit. */
const exitOf = (context: Context, kind: number, errno?: Errno): Result => mismatchExit(context.machine, gfnOf(context), kind, errno);

/** A pre-fault that has mapped something succeeds; else its first error is the answer. */
function stopPrefault(context: Context, errno: "EFAULT" | "ENOENT" | "EAGAIN" | "EINTR" | "ENOMEM" | "EHWPOISON"): number {
  return context.cursor > 0 ? context.done(ZERO) : context.fail(errno);
}

const findSlot: StepCode = {
  reads: ["slot"],
  writes: ["fault", "srcu", "reference", "free"],
  jumps: ["access", "snapshot"],
  narrow: narrowFindSlot,
  run(context) {
    const { machine, state, thread } = context;
    const slot = slotAt(machine, state, vmOf(context), gfnOf(context));
    if (!slot) return withoutSlot(context);
    if (slot.invalid) {
      const stops = isPrefault(context) && machine.features.prefault_invalid === "EAGAIN";
      context.say(stops ? "the slot is being deleted" : "the slot is being deleted: try again");
      if (!stops) return again(context);
      endFault(context);
      return stopPrefault(context, "EAGAIN");
    }
    thread.slot.set(state, slot.config.index + 1);
    if (context.telling) context.say(`slot ${slot.config.id} has ${gfnText(context)}`);
    return NEXT;
  },
};

function withoutSlot(context: Context): number {
  // kvm_handle_noslot_fault; what comes out of it as MMIO is ENOENT for a pre-fault.
  if (kindOf(context) === PRIVATE) return leave(context, `no slot has ${gfnText(context)}`);
  context.say(`no slot has ${gfnText(context)}`);
  endFault(context);
  return isPrefault(context) ? stopPrefault(context, "ENOENT") : context.always(accessOf(context).mmio);
}

/** mmu_invalidate_retry_gfn_unsafe: no page is looked up for a fault that would have to try again anyway. */
const earlyRetry: StepCode = {
  reads: ["fault", "notifier"],
  writes: ["fault", "srcu", "reference", "free"],
  jumps: ["access", "snapshot"],
  returns: false,
  narrow: narrowEarlyRetry,
  run(context) {
    if (!isOvertaken(context)) {
      context.say("no invalidation of the gfn is in progress");
      return NEXT;
    }
    context.say("an invalidation came in between: try again");
    return again(context);
  },
};

/** kvm_gmem_get_pfn: the page of the file that is bound at the gfn, allocated when it is not there, with a reference and unlocked. */
const getPage: StepCode = {
  reads: ["page", "lock", "uptodate", "slot", "handle", "pte", "control", "file"],
  writes: ["page", "uptodate", "content", "free", "reference", "fault", "srcu"],
  jumps: ["gup", "map"],
  narrow: narrowGetPage,
  run(context) {
    const { state, thread } = context;
    const config = configOf(context);
    if (!isFromFile(config, kindOf(context))) return context.jump("gup");
    const bound = boundPage(context, vmOf(context), config, gfnOf(context));
    if (typeof bound === "string") return leave(context, bound);
    const { file, cell } = bound;
    const page = gmemPage(context, file, cell);
    if (page.is === "locked") return BLOCKED;
    if (page.is === "no memory") return withoutMemory(context);
    const { is, frame } = page;
    if (is === "broken") return brokenPage(context, frame);
    makeUptodate(context, file, cell);
    thread.frame.set(state, file.cells.single(cell) ? frame : 0);
    if (context.telling) context.say(`gets frame ${frame} from the guest_memfd, with a reference`);
    return context.jump("map");
  },
};

function brokenPage(context: Context, frame: number): number {
  const exit = exitOf(context, kindOf(context), "EHWPOISON");
  leaveBrokenPage(context, frame);
  return isPrefault(context) ? stopPrefault(context, "EHWPOISON") : context.done(exit);
}

/** The errno of kvm_gmem_get_pfn is that of KVM_RUN. */
function withoutMemory(context: Context): number {
  context.say("no frame is free: ENOMEM");
  endFault(context);
  return stopPrefault(context, "ENOMEM");
}

/** kvm_handle_error_pfn: EFAULT, and the exit says nothing of it. */
function withoutHostPage(context: Context): number {
  context.say("the slot's userspace_addr gives no page: EFAULT");
  endFault(context);
  return stopPrefault(context, "EFAULT");
}

/** The page of the slot's userspace_addr, through the host page table. */
const gup: StepCode = {
  reads: ["pte", "page", "lock", "size", "hole", "control", "uptodate"],
  writes: ["pte", "page", "uptodate", "content", "free", "reference", "fault", "srcu"],
  copying: COPY_ON_WRITE,
  jumps: ["map"],
  events: true,
  narrow: narrowGup,
  run(context) {
    checkLockOrder(context, 2);
    const config = configOf(context);
    const write = !isPrefault(context) && accessOf(context).value !== undefined;
    if (write && config.flags & KVM_MEM_READONLY) {
      endFault(context);
      context.say("the slot is KVM_MEM_READONLY");
      return context.always(accessOf(context).mmio);
    }
    const taken = takeHostPage(context, config, gfnOf(context), write);
    if (taken === undefined) return withoutHostPage(context);
    return taken === NEXT ? context.jump("map") : taken;
  },
};

/** Under mmu_lock: a fault that an invalidation overtook tries again, else the page table entry is installed. */
const map: StepCode = {
  reads: ["fault", "notifier"],
  writes: ["ept", "free"],
  jumps: ["put_page"],
  returns: false,
  events: true,
  narrow: narrowMap,
  run(context) {
    const { machine, state, thread } = context;
    const vm = vmOf(context);
    const cell = faultCell(context);
    const kind = kindOf(context);
    if (isOvertaken(context)) {
      if (context.telling) context.say("an invalidation of the gfn came in between: try again");
      thread.slot.set(state, 0);
      return context.jump("put_page");
    }
    if (thread.hit.get(state) === 1) machine.emit("install-after-invalidate", thread.index, cell);
    const frame = thread.frame.get(state);
    vm.ept[1 - kind][cell]?.set(state, 0);
    vm.ept[kind][cell]?.set(state, frame);
    if (context.telling) context.say(frame === 0 ? "the EPT maps the range" : `the EPT maps ${gfnText(context)} to frame ${frame}`);
    return context.jump("put_page");
  },
};

/** The last access of the fault to its page; a pre-fault that had to try again begins anew, the other goes on behind this step. */
const putPage: StepCode = {
  reads: ["reference", "page", "fault"],
  writes: ["reference", "fault", "srcu", "free", "content"],
  jumps: ["access", "snapshot"],
  returns: false,
  events: true,
  narrow: narrowPut,
  run(context) {
    const { state, thread } = context;
    const frame = thread.frame.get(state);
    const mapped = thread.slot.get(state) !== 0;
    if (frame === 0 && !isPrefault(context)) context.machine.emit("unbalanced-put", thread.index);
    const next = isPrefault(context) && mapped ? NEXT : again(context);
    if (next === NEXT) forget(context);
    if (context.telling && frame > 0) context.say(`puts the reference on frame ${frame}`);
    release(context, frame);
    return next;
  },
};

export const gmemFaultSteps = {
  access,
  snapshot,
  check_kind: checkKind,
  find_slot: findSlot,
  early_retry: earlyRetry,
  get_page: getPage,
  gup,
  map,
  put_page: putPage,
};
