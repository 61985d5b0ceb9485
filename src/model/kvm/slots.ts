// KVM_SET_USER_MEMORY_REGION (virt/kvm/kvm_main.c __kvm_set_memory_region, 5.16 to 6.0; v4 10/12; v8 8/8): arguments first, then under slots_lock the slot
// that is there, then overlap, then the file.

import type { Errno } from "../../base/errno.ts";
import { asU64, isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { AGAIN, BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { dropPage, isMadeInaccessible, isReferenced } from "../memory/file.ts";
import { type FileState, MARK } from "../memory/state.ts";
import { intOf, KVM_MEM_PRIVATE, KVM_MEM_READONLY, NotModelled, type SlotConfig } from "../objects.ts";
import { bound, descriptor } from "../plan.ts";
import { dangling, isPrivateSlot, SLOT_FREED } from "./kinds.ts";
import { moveSequence, zap } from "./notifier.ts";
import {
  failUnlocked,
  isUserRange,
  KVM_MEM_MAX_NR_PAGES,
  KVM_USER_MEM_SLOTS,
  slotCallOf,
  slotOf,
  slotPlan,
  slotTarget,
  lockSlots as takeSlotsLock,
  vmOf,
} from "./slot-change.ts";
import { KINDS, type SlotState, type VmState } from "./state.ts";

const KVM_MEM_LOG_DIRTY_PAGES = 1;
const MAX_GFN = 2 ** 40 - 1;

export function planSlot(machine: Machine, id: CallId, call: Call): Plan {
  const { vm } = slotTarget(machine, id, call);
  const config = machine.objects.slots[machine.objects.slotOf.get(id) ?? -1];
  if (config && config.file !== undefined) checkFile(machine, id, config);
  const refused = vm === undefined ? undefined : argumentsRefused(machine, id, call);
  return slotPlan(machine, id, call, refused, config && isPrivateSlot(config) ? machine.handleOf(call.operands[7]) : undefined);
}

/** Bindings that no source settles. */
function checkFile(machine: Machine, id: CallId, config: SlotConfig): void {
  const file = machine.objects.files[config.file as number];
  if (machine.features.bind_kind === "confused" && !isMadeInaccessible(machine, file))
    throw new NotModelled(id, "v8 reinterprets the private data of an ordinary file (type confusion): not modelled");
  if (machine.features.bind_kind === "any" && file.huge !== undefined) throw new NotModelled(id, "a slot over a hugetlbfs file is not modelled");
}

function argumentsRefused(machine: Machine, id: CallId, call: Call): Errno | undefined {
  const int = (index: number): bigint => (call.operands[index]?.kind === "handle" ? 0n : asU64(intOf(call, id, index)));
  const [slot, flags, gpa, size, address, offset] = [int(1), int(2), int(3), int(4), int(5), int(6)];
  const known = BigInt(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY | KVM_MEM_PRIVATE);
  const isPrivate = (flags & BigInt(KVM_MEM_PRIVATE)) !== 0n;
  const unsized = isPrivate && machine.features.slot_offset === "unchecked";
  if (flags & ~known) return "EINVAL";
  if (isPrivate && flags & ~BigInt(KVM_MEM_PRIVATE)) throw new NotModelled(id, "KVM_MEM_PRIVATE together with another flag is not modelled");
  if (!isPageAligned(size) || !isPageAligned(gpa)) return "EINVAL";
  const target = call.operands[5];
  // v4 skips access_ok for private slots, whose userspace_addr may be left out.
  const unchecked = isPrivate && machine.features.marker === "seal";
  if (target?.kind === "handle" ? !isPageAligned(target.offset) : !isPageAligned(address) || (!isUserRange(machine, address, size) && !unchecked))
    return "EINVAL";
  if (isPrivate && !isPageAligned(offset)) {
    if (unsized) throw new NotModelled(id, "what a kernel that does not check private_offset makes of an unaligned one is not modelled");
    return "EINVAL";
  }
  if (isPrivate && !unsized && asU64(offset + size) < offset) return "EINVAL";
  // x86 has two address spaces, the second one for SMM.
  if (slot >> 16n > 1n) return "EINVAL";
  if (slot >> 16n) throw new NotModelled(id, "a second address space (SMM) is not modelled");
  if (slot >= KVM_USER_MEM_SLOTS || asU64(gpa + size) < gpa) return "EINVAL";
  return size >> 12n > KVM_MEM_MAX_NR_PAGES ? "EINVAL" : undefined;
}

/** The slot that is there or is made; lock_slots refuses the delete of an id that nobody creates, unless a variant has put it elsewhere. */
function slot(context: Context): SlotState {
  const found = slotOf(context);
  if (!found) throw new NotModelled(context.plan.id, `what ${context.step?.name ?? "a slot call"} does to a slot that is not there is not modelled`);
  return found;
}

const lockSlots: StepCode = {
  ...takeSlotsLock,
  run(context) {
    const answer = takeSlotsLock.run(context);
    const there = slotOf(context);
    if (answer === NEXT && there && dangling(context.machine, context.state, there))
      throw new NotModelled(context.plan.id, "what becomes of a slot whose earlier structure was freed on a notifier list is not modelled further");
    return answer;
  },
};

const unlockSlots: StepCode = {
  reads: [],
  writes: ["lock"],
  jumps: [],
  returns: false,
  run(context) {
    vmOf(context).slotsLock.set(context.state, 0);
    context.say("slots_lock released");
    return NEXT;
  },
};

const checkOverlap: StepCode = {
  reads: ["slot"],
  writes: ["lock"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const { config, id } = slotCallOf(context);
    const overlaps = vmOf(context).slots.some((other) => {
      const there = machine.objects.slots[other.config.get(state) - 1];
      return other.id !== id && there && config && there.gfn < config.gfn + config.pages && config.gfn < there.gfn + there.pages;
    });
    if (overlaps) return failUnlocked(context, "EEXIST");
    const taken = config && isPrivateSlot(config) && isTaken(context, config);
    if (taken) return failUnlocked(context, machine.features.double_binding === "EINVAL" ? "EINVAL" : "EEXIST");
    // kvm_arch_prepare_memory_region
    if (config && machine.features.slot_gfn_limit === "checked" && config.gfn + config.pages > MAX_GFN + 1) return failUnlocked(context, "EINVAL");
    context.say("no other slot covers these gfns");
    return NEXT;
  },
};

/** Whether another slot of the VM has part of the file's range. v4 12/12 shifts npages right and takes the result for bytes. */
function isTaken(context: Context, config: SlotConfig): boolean {
  const { machine, state } = context;
  const test = machine.features.double_binding;
  if (test === "undefined") return false;
  return vmOf(context).slots.some((slot) => {
    const other = machine.objects.slots[slot.config.get(state) - 1];
    if (!other || !isPrivateSlot(other) || other.file === undefined || other.file !== config.file) return false;
    const length = test === "misshifted" ? shifted(other) : other.pages;
    return config.filePage + config.pages > other.filePage && config.filePage < other.filePage + length;
  });
}

/** npages >> PAGE_SHIFT, in bytes of the file, as a part of a page. */
const shifted = ({ pages }: SlotConfig): number => Math.floor(pages / 4096) / 4096;

/** Whether a slot takes the file for its private memory. In v6 and v7 the first registration sets the flags of the node, whatever they were (v6 1/8). */
function notTaken(context: Context, file: FileState): Errno | undefined {
  const { machine, state } = context;
  if (machine.features.bind_kind === "EINVAL") return isMadeInaccessible(machine, file.object) ? undefined : "EINVAL";
  if (machine.features.bind_kind !== "marks" || file.marked.get(state) & MARK.PINNED) return undefined;
  if (file.object.huge !== undefined) return "EOPNOTSUPP";
  if (context.telling && file.marked.get(state) === 0)
    context.say("the ordinary memfd is inaccessible from here on: the registration sets the flags of its node");
  file.marked.set(state, MARK.INACCESSIBLE | MARK.PINNED);
  return undefined;
}

const isOpen = (context: Context, handle: number | undefined): handle is number =>
  handle !== undefined && bound(context.machine, context.state, { kind: "handle", handle, offset: 0n });

/** fdget of private_fd. v6 7/8 does it after the slots have been looked at, just before it registers the notifier. */
const getFile: StepCode = {
  reads: ["handle"],
  writes: ["lock"],
  jumps: [],
  run(context) {
    const { config, fileHandle } = slotCallOf(context);
    if (!config || !isPrivateSlot(config)) return NEXT;
    if (!isOpen(context, fileHandle)) return failUnlocked(context, "EINVAL");
    context.say("the private file is looked up");
    return NEXT;
  },
};

/** Takes the private file into the slot and puts the slot on the file's notifier list. */
const bind: StepCode = {
  reads: ["handle", "file"],
  writes: ["slot", "lock", "file"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const { config, fileHandle } = slotCallOf(context);
    if (!config || !isPrivateSlot(config)) {
      context.say("an ordinary slot: nothing to bind");
      return NEXT;
    }
    if (slot(context).bound.get(state) !== 0)
      throw new NotModelled(context.plan.id, "a private slot where an older one of this id has left its freed structure on a notifier list is not modelled");
    const open =
      fileHandle !== undefined && config.file !== undefined && descriptor(machine, context, { kind: "handle", handle: fileHandle, offset: 0n }) === undefined;
    const refused = open ? notTaken(context, machine.files[config.file as number]) : "EINVAL";
    if (refused) return failUnlocked(context, refused);
    slot(context).bound.set(state, config.index + 1);
    const untested = machine.features.double_binding === "undefined" ? "; nobody looks whether another slot has these pages" : "";
    context.say(`the slot takes the private file and goes on its notifier list${untested}`);
    return NEXT;
  },
};

/** An MMU notifier is active: both its halves must find the same slots. */
export const isHeldBack = ({ machine, state }: Context, vm: VmState): boolean => machine.features.swap_slots === "waits" && vm.activeNotifiers.get(state) > 0;

/** kvm_swap_active_memslots: not between the two halves of an MMU notifier, which must find the same slots. */
const commitSlot: StepCode = {
  reads: ["notifier"],
  writes: ["slot"],
  jumps: [],
  returns: false,
  run(context) {
    const { state } = context;
    const { config, id } = slotCallOf(context);
    if (isHeldBack(context, vmOf(context))) return BLOCKED;
    slot(context).config.set(state, config ? config.index + 1 : 0);
    slot(context).invalid.set(state, 0);
    context.say(config ? `faults see slot ${id} from here on` : `faults no longer see slot ${id}`);
    return NEXT;
  },
};

const markInvalid: StepCode = {
  reads: [],
  writes: ["slot"],
  jumps: [],
  returns: false,
  run(context) {
    // The copy that is marked stands by until wait_notifiers makes its set the active one.
    const waits = context.operation.labels.has("wait_notifiers");
    if (!waits) slot(context).invalid.set(context.state, 1);
    context.say(waits ? "a copy that is marked KVM_MEMSLOT_INVALID stands by" : "the slot is marked KVM_MEMSLOT_INVALID: faults on it try again");
    return NEXT;
  },
};

/** Notes which faults are under way, then is enabled when each of them has ended once. */
const synchronizeSrcu: StepCode = {
  reads: ["faults", "srcu"],
  writes: ["srcu"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state } = context;
    const vm = vmOf(context);
    if (context.cursor === 1) {
      if (machine.vcpus.some((vcpu) => vcpu.object.vm === vm.object.index && vcpu.reader.get(state) === 1)) return BLOCKED;
      context.thread.cursor.set(state, 0);
      context.say("every fault that may have seen the old slots has ended");
      return NEXT;
    }
    let waits = false;
    for (const thread of machine.threads) {
      const handle = machine.program.actors[thread.index].handle;
      const vcpu = machine.objects.vcpus.find((candidate) => candidate.handle === handle);
      if (vcpu?.vm !== vm.object.index || thread.inFault.get(state) === 0) continue;
      machine.vcpus[vcpu.index].reader.set(state, 1);
      waits = true;
    }
    if (!waits) {
      context.say("no fault is under way");
      return NEXT;
    }
    context.thread.cursor.set(state, 1);
    context.say("waits for the faults under way");
    return AGAIN;
  },
};

const KVM_X86_DEFAULT_VM = 0n;
const ALL_GFNS = { from: 0, to: Number.MAX_SAFE_INTEGER };

/** Gfns of the slot as it was, where only those go. */
function ownGfns(context: Context): typeof ALL_GFNS | undefined {
  const { machine, state } = context;
  if (machine.features.slot_zap === "all" || vmOf(context).object.type === KVM_X86_DEFAULT_VM) return undefined;
  const config = machine.objects.slots[slot(context).config.get(state) - 1];
  return config ? { from: config.gfn, to: config.gfn + config.pages } : { from: 0, to: 0 };
}

/**
 * kvm_arch_flush_shadow_memslot: the mappings of the slot, for synchronize_srcu has seen to faults in flight (6.12); or every root of the VM becomes obsolete,
 * so that every mapping of it goes and faults in flight start over.
 */
const zapSlot: StepCode = {
  reads: ["slot", "ept", "faults"],
  writes: ["ept", "tlb", "faults", "free"],
  jumps: [],
  returns: false,
  run(context) {
    const vm = vmOf(context);
    const own = ownGfns(context);
    zap(
      context,
      vm,
      own ?? ALL_GFNS,
      KINDS.map((_, kind) => kind),
    );
    if (!own) moveSequence(context, vm);
    return NEXT;
  },
};

const unbind: StepCode = {
  reads: ["slot", "handle", "pte", "control", "reference", "page"],
  writes: ["slot", "page", "uptodate", "free", "content"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state } = context;
    const old = dangling(machine, state, slot(context)) ? undefined : machine.objects.slots[slot(context).bound.get(state) - 1];
    if (old) slot(context).bound.set(state, 0);
    if (old?.file === undefined) {
      context.say("an ordinary slot: nothing to unbind");
      return NEXT;
    }
    context.say("the slot leaves the notifier list and drops the private file");
    const file = machine.files[old.file];
    if (!isReferenced(machine, state, file)) file.frames.forEach((_, cell) => void dropPage(context, file, cell));
    return NEXT;
  },
};

/** The old structure goes; where the new one is not private nobody takes it off the notifier list of the file. */
const freeSlot: StepCode = {
  reads: ["slot"],
  writes: [],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, state } = context;
    context.say("the old slot structure is freed");
    const changed = slotOf(context);
    if (!changed || !slotCallOf(context).config || !dangling(machine, state, changed)) return NEXT;
    machine.emit("dangling-pointer", SLOT_FREED, changed.bound.get(state) - 1);
    context.say("the notifier list of the file still leads to it");
    return NEXT;
  },
};

export const slotSteps = {
  lock_slots: lockSlots,
  unlock_slots: unlockSlots,
  check_overlap: checkOverlap,
  get_file: getFile,
  bind,
  commit_slot: commitSlot,
  mark_invalid: markInvalid,
  synchronize_srcu: synchronizeSrcu,
  zap_slot: zapSlot,
  unbind,
  free_slot: freeSlot,
};
