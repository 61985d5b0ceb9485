// KVM_SET_USER_MEMORY_REGION and _REGION2 from 6.8 on: argument checks, what may change of a slot that is there, and the binding of a guest_memfd
// (virt/kvm/kvm_main.c kvm_set_memory_region, virt/kvm/guest_memfd.c kvm_gmem_bind and _unbind; measured on 6.18.44).

import type { Errno } from "../../base/errno.ts";
import { asS64, asU64, isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { AGAIN, BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { isReferenced } from "../memory/file.ts";
import { intOf, KVM_MEM_PRIVATE, KVM_MEM_READONLY, type SlotConfig } from "../objects.ts";
import { descriptor } from "../plan.ts";
import { hasPrivateMemory } from "./gmem-file.ts";
import { checkLockOrder } from "./gmem-invalidate.ts";
import { isPrivateSlot, SLOT_FREED } from "./kinds.ts";
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
import { isHeldBack } from "./slots.ts";

const KVM_MEM_LOG_DIRTY_PAGES = 1n;
const READONLY = BigInt(KVM_MEM_READONLY);
const KVM_MEM_GUEST_MEMFD = BigInt(KVM_MEM_PRIVATE);

export function planGmemSlot(machine: Machine, id: CallId, call: Call): Plan {
  const { vm } = slotTarget(machine, id, call);
  return slotPlan(machine, id, call, vm === undefined ? undefined : argumentsRefused(machine, id, call, vm), machine.handleOf(call.operands[7]));
}

/** Order measured on 6.18.44: flags, alignment and address ranges, wrap of the offset, slot number, wrap of the gpa, size. */
function argumentsRefused(machine: Machine, id: CallId, call: Call, vm: number): Errno | undefined {
  const int = (index: number): bigint => (call.operands[index]?.kind === "handle" ? 0n : asU64(intOf(call, id, index)));
  const [slot, flags, gpa, size, address, offset] = [int(1) & 0xffffffffn, int(2) & 0xffffffffn, int(3), int(4), int(5), int(6)];
  if (flags & ~validFlags(machine, call, vm, flags)) return "EINVAL";
  if (!isPageAligned(size) || !isPageAligned(gpa)) return "EINVAL";
  const target = call.operands[5];
  if (target?.kind === "handle" ? !isPageAligned(target.offset) : !isPageAligned(address) || !isUserRange(machine, address, size)) return "EINVAL";
  if (flags & KVM_MEM_GUEST_MEMFD && (!isPageAligned(offset) || asU64(offset + size) < offset)) return "EINVAL";
  if (slot >= KVM_USER_MEM_SLOTS || asU64(gpa + size) < gpa) return "EINVAL";
  return size >> 12n > KVM_MEM_MAX_NR_PAGES ? "EINVAL" : undefined;
}

/** The first structure has no room for a guest_memfd; with one, a slot can neither log dirty pages nor be read-only. */
function validFlags(machine: Machine, call: Call, vm: number, flags: bigint): bigint {
  if (call.spec !== "KVM_SET_USER_MEMORY_REGION2") return KVM_MEM_LOG_DIRTY_PAGES | READONLY;
  const allowed = machine.features.guest_memfd === "mmap" || hasPrivateMemory(machine, vm);
  if (flags & KVM_MEM_GUEST_MEMFD && allowed) return KVM_MEM_GUEST_MEMFD;
  return KVM_MEM_LOG_DIRTY_PAGES | READONLY;
}

const lockSlots: StepCode = {
  ...takeSlotsLock,
  events: true,
  run(context) {
    if (vmOf(context).slotsLock.get(context.state) === 0) checkLockOrder(context, 0);
    return takeSlotsLock.run(context);
  },
};

/** kvm_gmem_bind, under the invalidate lock of the file: the descriptor, whose file it is, the range, and that no page of it is bound. */
const bind: StepCode = {
  reads: ["handle", "slot", "lock"],
  writes: ["slot", "lock"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const { config, fileHandle } = slotCallOf(context);
    if (!config || !isPrivateSlot(config)) {
      context.say("a slot without guest_memfd: nothing to bind");
      return NEXT;
    }
    if (fileHandle === undefined || descriptor(machine, context, { kind: "handle", handle: fileHandle, offset: 0n })) return failUnlocked(context, "EBADF");
    if (!config.guestMemfd || outOfBounds(machine, config)) return failUnlocked(context, "EINVAL");
    const gmem = machine.files[config.file as number].gmem;
    if ((gmem?.invalidateLock.get(state) ?? 0) !== 0 || (gmem?.invalidateReaders.get(state) ?? 0) > 0) return BLOCKED;
    if (isBound(context, config)) return failUnlocked(context, machine.features.double_binding === "EEXIST" ? "EEXIST" : "EINVAL");
    const slot = slotOf(context);
    slot?.bound.set(state, config.index + 1);
    slot?.gmem?.file.set(state, 1);
    context.say("the file's table names the slot for these pages, and the slot names the file; the reference on the file is dropped");
    return NEXT;
  },
};

/** i_size against offset + size, as signed numbers up to 7.1. The wrap of both has been refused with the arguments. */
function outOfBounds(machine: Machine, config: SlotConfig): boolean {
  const offset = BigInt(config.filePage) << 12n;
  const end = offset + (BigInt(config.pages) << 12n);
  const size = machine.files[config.file as number].object.size ?? 0n;
  return machine.features.bind_offset === "signed" ? asS64(offset) < 0n || asS64(end) > size : end > size;
}

function isBound(context: Context, config: SlotConfig): boolean {
  const { machine, state } = context;
  const meets = (other: SlotConfig | undefined): boolean =>
    other !== undefined && other.file === config.file && other.filePage < config.filePage + config.pages && config.filePage < other.filePage + other.pages;
  return vmOf(context).slots.some((slot) => {
    if (meets(machine.objects.slots[slot.bound.get(state) - 1])) return true;
    return [...(slot.gmem?.dangling ?? [])].some(([index, field]) => field.get(state) === 1 && meets(machine.objects.slots[index]));
  });
}

/** kvm_invalidate_memslot: a copy of the slot with KVM_MEMSLOT_INVALID goes into the inactive set, which `wait_notifiers` makes the active one. */
const markInvalid: StepCode = {
  reads: [],
  writes: ["slot"],
  jumps: [],
  returns: false,
  run(context) {
    if (context.operation.labels.has("wait_notifiers")) {
      context.say("a copy that is marked KVM_MEMSLOT_INVALID stands by");
      return NEXT;
    }
    slotOf(context)?.invalid.set(context.state, 1);
    context.say("the slot is marked KVM_MEMSLOT_INVALID: faults on it try again");
    return NEXT;
  },
};

/** kvm_swap_active_memslots waits for mn_active_invalidate_count to fall to 0, for the end of an MMU notifier must see the slots of its start. */
const waitNotifiers: StepCode = {
  reads: ["notifier"],
  writes: ["slot"],
  jumps: [],
  returns: false,
  run(context) {
    const { state } = context;
    if (isHeldBack(context, vmOf(context))) return BLOCKED;
    const marked = context.operation.labels.has("mark_invalid");
    if (marked) slotOf(context)?.invalid.set(state, 1);
    context.say(
      `no MMU notifier is active; ${marked ? "the slot is marked KVM_MEMSLOT_INVALID: faults on it try again" : "the copy of the slot is as the slot was"}`,
    );
    return NEXT;
  },
};

/** Notes which faults and pre-faults are under way, then is enabled when each of them has ended once. */
const synchronizeSrcu: StepCode = {
  reads: ["faults", "srcu"],
  writes: ["srcu"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, thread } = context;
    const vm = vmOf(context).object.index;
    if (context.cursor === 1) {
      if (machine.vcpus.some((vcpu) => vcpu.object.vm === vm && vcpu.reader.get(state) === 1)) return BLOCKED;
      thread.cursor.set(state, 0);
      context.say("every fault that may have seen the old slots has ended");
      return NEXT;
    }
    let waits = false;
    for (const reader of machine.threads) {
      if (reader.vm !== vm || reader.inFault.get(state) === 0) continue;
      const call = machine.instruction(state, reader.index)?.call;
      const fault = call === undefined ? undefined : (machine.plans[call]?.data as { vcpu: number } | undefined);
      if (fault) machine.vcpus[fault.vcpu].reader.set(state, 1);
      waits = true;
    }
    context.say(waits ? "waits for the faults under way" : "no fault is under way");
    if (waits) thread.cursor.set(state, 1);
    return waits ? AGAIN : NEXT;
  },
};

/** kvm_gmem_unbind: the slot leaves the file's table, under the invalidate lock of the file unless that is about to be released. */
const unbind: StepCode = {
  reads: ["slot", "handle", "pte", "control", "lock", "file"],
  writes: ["slot"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state } = context;
    const slot = slotOf(context);
    const old = machine.objects.slots[(slot?.bound.get(state) ?? 0) - 1];
    if (!slot || !old?.guestMemfd) {
      context.say("nothing to unbind");
      return NEXT;
    }
    const file = machine.files[old.file as number];
    if (slot.gmem?.file.get(state) === 0) {
      context.say("the file has been released: nothing to unbind");
      slot.bound.set(state, 0);
      return NEXT;
    }
    if (!isReferenced(machine, state, file)) {
      if (machine.features.dying_unbind === "skipped") {
        context.say("the last reference on the file is gone: the binding is left as it is");
        return NEXT;
      }
    } else if ((file.gmem?.invalidateLock.get(state) ?? 0) !== 0 || (file.gmem?.invalidateReaders.get(state) ?? 0) > 0) return BLOCKED;
    slot.bound.set(state, 0);
    slot.gmem?.file.set(state, 0);
    context.say("the slot is taken out of the file's table");
    return NEXT;
  },
};

/** The old structure goes. A binding that still leads to it dangles from here on. */
const freeSlot: StepCode = {
  reads: ["slot"],
  writes: ["slot"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, state } = context;
    const slot = slotOf(context);
    const old = slot?.bound.get(state) ?? 0;
    context.say("the slot structure is freed");
    if (!slot?.gmem || old === 0 || old === slot.config.get(state)) return NEXT;
    slot.bound.set(state, 0);
    slot.gmem.file.set(state, 0);
    slot.gmem.dangling.get(old - 1)?.set(state, 1);
    machine.emit("dangling-pointer", SLOT_FREED, old - 1);
    context.say("the file's table still leads to it");
    return NEXT;
  },
};

export const gmemSlotSteps = {
  lock_slots: lockSlots,
  bind,
  mark_invalid: markInvalid,
  wait_notifiers: waitNotifiers,
  synchronize_srcu: synchronizeSrcu,
  unbind,
  free_slot: freeSlot,
};
