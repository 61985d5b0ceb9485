// Guest loads and stores: the access itself, and the page-fault path behind it (arch/x86/kvm/mmu/mmu.c; v4 09/12; v8 4/8 and 7/8). An access is retried until
// it hits; a fault holds the SRCU read side of the slots.

import { asU64 } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { BOUND } from "../handles.ts";
import { AGAIN, BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { addPage, makeUptodate, sizeOf } from "../memory/file.ts";
import { release } from "../memory/frames.ts";
import { COPY_ON_WRITE } from "../memory/narrow.ts";
import { intOf, KVM_MEM_READONLY, NotModelled, SHARED_BIT } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { INTERRUPTIBLE, isSignalled, leavesForSignal } from "../signals.ts";
import { accessOf, cellOf, configOf, effectiveKind, endFault, filePlace, gfnText, interrupt, slotAt, takeHostPage, touch, vmOf } from "./access.ts";
import { mismatchExit, mmioExit } from "./exits.ts";
import { convertedKind, isOrdinary, isPrivateSlot } from "./kinds.ts";
import { folioOf, narrowAccess, narrowCheckKind, narrowFindSlot, narrowGetPage, narrowGup, narrowMap, narrowPut, narrowUnlockPut } from "./narrow.ts";
import type { GuestAccess } from "./notifier.ts";
import { guestScope } from "./scopes.ts";
import { KINDS, PRIVATE, SHARED } from "./state.ts";

export function planGuestAccess(machine: Machine, id: CallId, call: Call): Plan {
  const handle = machine.program.actors[call.actor].handle;
  const vcpu = machine.objects.vcpus.find((candidate) => candidate.handle === handle);
  if (!vcpu || handle === undefined) throw new NotModelled(id, "a guest access needs a vCPU that KVM_CREATE_VCPU on a known VM makes");
  const gpa = asU64(intOf(call, id, 0));
  const gfn = Number((gpa & ~SHARED_BIT) >> 12n);
  const byte = Number(gpa & 4095n);
  const kind = gpa & SHARED_BIT ? SHARED : PRIVATE;
  const value = call.spec === "guest.store" ? Number(intOf(call, id, 1) & 0xffn) : undefined;
  const data: GuestAccess = {
    vm: vcpu.vm,
    vcpu: vcpu.index,
    gfn,
    cell: machine.vms[vcpu.vm].cells.at(gfn),
    byte,
    range: machine.bytes.one(byte),
    kind,
    value,
    mmio: mmioExit(gfn, byte, value),
    mismatch: mismatchExit(machine, gfn, kind),
  };
  return plan(id, call, {
    operations: ["fault"],
    success: ZERO,
    data,
    reads: ["handle"],
    scope: () => guestScope(machine, data, handle),
    decode: (context) => (machine.handles[handle].get(context.state) === BOUND ? undefined : "EBADF"),
  });
}

const access: StepCode = {
  reads: ["tlb", "ept", "slot", "content", "pte", "page"],
  writes: ["tlb", "content"],
  interruptible: INTERRUPTIBLE,
  jumps: [],
  narrow: (context) => (isSignalled(context) ? undefined : narrowAccess(context)),
  events: true,
  run: (context) => (leavesForSignal(context) ? interrupt(context) : touch(context, effectiveKind(context))),
};

/** smp_rmb after reading mmu_invalidate_seq: what moves it from here on makes the fault try again. */
const snapshot: StepCode = {
  reads: [],
  writes: ["fault"],
  jumps: [],
  returns: false,
  run(context) {
    const { state, thread } = context;
    thread.inFault.set(state, 1);
    thread.stale.set(state, 0);
    thread.decided.set(state, 0);
    thread.hit.set(state, 0);
    if (context.telling) context.say("remembers mmu_invalidate_seq");
    return NEXT;
  },
};

const findSlot: StepCode = {
  reads: ["slot", "kind"],
  writes: ["fault", "srcu", "reference", "free"],
  jumps: ["access"],
  narrow: narrowFindSlot,
  events: true,
  run(context) {
    const { machine, state, thread } = context;
    const { gfn } = accessOf(context);
    const slot = slotAt(machine, state, vmOf(context), gfn);
    if (!slot) return withoutSlot(context);
    if (slot.invalid) {
      endFault(context);
      if (context.telling) context.say("the slot is being deleted: try again");
      return context.jump("access");
    }
    thread.slot.set(state, slot.config.index + 1);
    if (context.telling) context.say(`slot ${slot.config.id} has ${gfnText(context)}`);
    return NEXT;
  },
};

/** v9 7/8 asks the slot for its private file though there is none, v10 8/9 compares the kinds first; elsewhere it is MMIO. */
function withoutSlot(context: Context): number {
  const { machine, state } = context;
  const { ordinary_slot: asked } = machine.features;
  const { kind } = accessOf(context);
  const why = context.telling ? `no slot has ${gfnText(context)}` : "";
  if (asked === "null_file" && kind === PRIVATE) return oops(context, why);
  const isPrivate = asked === "exits" && convertedKind(machine, state, vmOf(context), cellOf(context)) === PRIVATE;
  return asked === "exits" && (kind === PRIVATE || isPrivate) ? leaveWithExit(context, `${why}: leaves KVM_RUN`) : leaveWithMmio(context, why);
}

/** The oops kills the thread inside KVM_RUN, which nobody returns from; the SRCU read side that it is in never ends. */
function oops(context: Context, why: string): number {
  const { machine, state, thread } = context;
  if (thread.cursor.get(state) > 0) return BLOCKED;
  thread.cursor.set(state, 1);
  machine.emit("null-dereference", thread.index);
  context.say(`${why}: a NULL pointer is dereferenced, and the thread dies inside KVM_RUN`);
  return AGAIN;
}

/** The access is emulated, finds no memory it may touch, and leaves the guest for user space to answer. */
function leaveWithMmio(context: Context, why: string): number {
  endFault(context);
  context.say(why);
  return context.always(accessOf(context).mmio);
}

function decide(context: Context): void {
  if (context.machine.options.invalidationGhost) context.thread.decided.set(context.state, 1);
}

function memoryExit(context: Context): number {
  const { kind } = accessOf(context);
  return leaveWithExit(context, `a ${KINDS[kind]} access to a ${KINDS[1 - kind]} gfn: leaves KVM_RUN`);
}

function leaveWithExit(context: Context, why: string): number {
  endFault(context);
  context.say(why);
  return context.always(accessOf(context).mismatch);
}

/** The access must be of the kind that the xarray says. v8 7/8 and v9 7/8 ask only slots that can be private, v10 every slot. */
const checkKind: StepCode = {
  reads: ["kind"],
  writes: ["fault", "srcu", "reference", "free"],
  jumps: ["gup"],
  narrow: narrowCheckKind,
  run(context) {
    const { machine, state } = context;
    const { kind } = accessOf(context);
    if (!isPrivateSlot(configOf(context)) && machine.features.ordinary_slot !== "exits") {
      if (context.telling) context.say("an ordinary slot");
      return isOrdinary(machine, configOf(context), kind) ? context.jump("gup") : NEXT;
    }
    decide(context);
    if (convertedKind(machine, state, vmOf(context), cellOf(context)) !== kind) return memoryExit(context);
    if (context.telling) context.say(`${gfnText(context)} is ${kind === PRIVATE ? "private" : "shared"}, as the access`);
    return kind === PRIVATE ? NEXT : context.jump("gup");
  },
};

/** v8 1/8 inaccessible_get_pfn: the page of the file with a reference, unlocked; allocated when it is not there, and not cleared (SGP_WRITE). */
const getPage: StepCode = {
  reads: ["page", "lock", "uptodate"],
  writes: ["page", "uptodate", "content", "free", "reference", "fault", "srcu"],
  jumps: ["gup", "map"],
  acquires: folioOf,
  narrow: narrowGetPage,
  events: true,
  run(context) {
    const { machine, state, thread } = context;
    const config = configOf(context);
    if (isOrdinary(machine, config, accessOf(context).kind)) return context.jump("gup");
    if (!isPrivateSlot(config)) return withoutFile(context);
    const { file: index, cell } = filePlace(context);
    const file = machine.files[index];
    if (file.folios[cell].get(state) !== 0) return BLOCKED;
    decide(context);
    const frame = file.frames[cell].get(state) || addPage(context, file, cell);
    if (machine.features.fresh_page === "zeroed") makeUptodate(context, file, cell);
    thread.frame.set(state, frame);
    if (context.telling) context.say(`gets frame ${frame} from the private file, with a reference`);
    return context.jump("map");
  },
};

/** A private fault in a slot without a private file: v9 7/8 asks the file all the same, v10 8/9 leaves with an exit. */
function withoutFile(context: Context): number {
  if (context.machine.features.ordinary_slot === "exits") return leaveWithExit(context, "the slot has no private file: leaves KVM_RUN");
  return oops(context, "the slot has no private file to ask for the page");
}

/** v4 09/12: a look-up that allocates nothing tells private from shared, and leaves the folio locked for the private path. */
const lookupPage: StepCode = {
  reads: ["page", "lock", "size", "uptodate"],
  writes: ["lock", "uptodate", "content", "reference", "fault", "srcu", "free"],
  jumps: ["gup", "map"],
  acquires: folioOf,
  run(context) {
    const { machine, state, thread } = context;
    if (!isPrivateSlot(configOf(context))) return context.jump("gup");
    const { file: index, cell, page } = filePlace(context);
    const file = machine.files[index];
    if (file.folios[cell].get(state) !== 0) return BLOCKED;
    const frame = BigInt(page) << 12n < sizeOf(machine, state, file) ? file.frames[cell].get(state) : 0;
    decide(context);
    const { kind } = accessOf(context);
    if ((frame !== 0) !== (kind === PRIVATE)) return memoryExit(context);
    if (kind === SHARED) {
      if (context.telling) context.say("the private file holds no page here: shared");
      return context.jump("gup");
    }
    makeUptodate(context, file, cell);
    file.folios[cell].set(state, thread.index + 1);
    thread.frame.set(state, frame);
    if (context.telling) context.say(`frame ${frame} of the private file, with its folio locked`);
    return context.jump("map");
  },
};

/** hva_to_pfn: the frame behind the slot's host address. */
const gup: StepCode = {
  reads: ["pte", "size", "page", "lock", "hole", "control", "uptodate"],
  writes: ["pte", "page", "uptodate", "content", "free", "reference", "fault", "srcu"],
  copying: COPY_ON_WRITE,
  jumps: ["map"],
  narrow: narrowGup,
  events: true,
  run(context) {
    const config = configOf(context);
    const write = accessOf(context).value !== undefined;
    // KVM_PFN_ERR_RO_FAULT: the store is emulated, and the emulator may not write there either.
    if (write && config.flags & KVM_MEM_READONLY) return leaveWithMmio(context, "the slot is KVM_MEM_READONLY");
    const taken = takeHostPage(context, config, accessOf(context).gfn, write);
    if (taken === BLOCKED || taken === AGAIN) return taken;
    if (taken === undefined) {
      endFault(context);
      if (context.telling) context.say("the slot's userspace_addr gives no page");
      return context.fail("EFAULT");
    }
    decide(context);
    return context.jump("map");
  },
};

/** Under mmu_lock: a fault that an invalidation overtook tries again, else the EPT leaf is installed. */
const map: StepCode = {
  reads: ["fault", "notifier"],
  writes: ["ept", "free"],
  jumps: ["put_page", "unlock_folio_put"],
  returns: false,
  narrow: narrowMap,
  events: true,
  run(context) {
    const { machine, state, thread } = context;
    const vm = vmOf(context);
    const cell = cellOf(context);
    const ordinary = !isPrivateSlot(configOf(context)) || accessOf(context).kind === SHARED;
    const checked = ordinary || machine.features.private_fault_check === "seq";
    const after = ordinary ? "put_page" : lastStep(context);
    if (checked && thread.stale.get(state) === 1) {
      if (context.telling) context.say("mmu_invalidate_seq has moved: try again");
      return context.jump(after);
    }
    if (checked && vm.inProgress.get(state) > 0 && cell >= vm.rangeStart.get(state) && cell < vm.rangeEnd.get(state)) {
      if (context.telling) context.say(`an invalidation of ${gfnText(context)} is in progress: try again`);
      return context.jump(after);
    }
    if (thread.hit.get(state) === 1) machine.emit("install-after-invalidate", thread.index, cell);
    const kind = ordinary ? SHARED : PRIVATE;
    vm.ept[kind][cell]?.set(state, thread.frame.get(state));
    if (context.telling) context.say(`the EPT maps ${gfnText(context)} to frame ${thread.frame.get(state)}`);
    return context.jump(after);
  },
};

const lastStep = (context: Context): string => (context.operation.labels.has("unlock_folio_put") ? "unlock_folio_put" : "put_page");

const putPage: StepCode = {
  reads: ["reference", "page"],
  writes: ["reference", "fault", "srcu", "free", "content"],
  jumps: ["access"],
  returns: false,
  narrow: narrowPut,
  run(context) {
    const { state, thread } = context;
    const frame = thread.frame.get(state);
    endFault(context);
    if (context.telling) context.say(`puts the reference on frame ${frame}`);
    release(context, frame);
    return context.jump("access");
  },
};

const unlockFolioPut: StepCode = {
  reads: ["reference", "page", "lock"],
  writes: ["reference", "fault", "srcu", "free", "content", "lock"],
  jumps: ["access"],
  returns: false,
  narrow: narrowUnlockPut,
  run(context) {
    const { machine, state, thread } = context;
    if (configOf(context).file !== undefined) {
      const { file, cell } = filePlace(context);
      const folio = machine.files[file].folios[cell];
      if (folio.get(state) === thread.index + 1) folio.set(state, 0);
    }
    if (context.telling) context.say("the folio is unlocked");
    return putPage.run(context);
  },
};

export const faultSteps = {
  access,
  snapshot,
  find_slot: findSlot,
  check_kind: checkKind,
  get_page: getPage,
  gup,
  map,
  put_page: putPage,
  unlock_folio_put: unlockFolioPut,
};
export const lookupGuestPage = lookupPage;
