// The end of a guest_memfd: the thread that drops the last reference runs kvm_gmem_release before it returns to user space (virt/kvm/guest_memfd.c).
// The slots stay and fault with EFAULT; the VM lives on while any of its files does.

import { type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { dropPage, isReferenced } from "../memory/file.ts";
import type { FileState } from "../memory/state.ts";
import { slotsLockSteps, useFreed } from "./gmem-invalidate.ts";
import { RELEASED } from "./gmem-state.ts";
import { FILE_FREED } from "./kinds.ts";
import { useVm } from "./life.ts";
import type { SlotState, VmState } from "./state.ts";

/** The operation that follows a call when it has dropped the last reference. */
export const RELEASE = "release";

const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];
const vmOf = (context: Context): VmState => context.machine.vms[fileOf(context).object.vm as number];

/** Whether a call that is about to return has to run the release first; from then on nobody else does. */
export function beginRelease(machine: Machine, state: Int32Array, plan: Plan): boolean {
  const file = machine.files[plan.file];
  const released = file?.gmem?.released;
  if (released?.get(state) !== 0 || isReferenced(machine, state, file)) return false;
  released.set(state, RELEASED.BEGUN);
  return true;
}

const { lock, unlock: unlockSlots } = slotsLockSteps((machine, plan) => machine.vms[machine.files[plan.file].object.vm as number]);

const lockSlots: StepCode = {
  ...lock,
  reads: [...lock.reads, "slot"],
  run(context) {
    const answer = lock.run(context);
    if (answer === NEXT) useVm(context, vmOf(context));
    return answer;
  },
};

/** The slots in the file's table. */
function* boundSlots(context: Context): Generator<SlotState> {
  const { machine, state, plan } = context;
  for (const slot of vmOf(context).slots) {
    if (!slot.files.has(plan.file)) continue;
    const config = machine.objects.slots[slot.bound.get(state) - 1];
    if (config?.guestMemfd && config.file === plan.file) yield slot;
  }
}

/** Each slot in the file's table forgets the file; a structure that has been freed is written to all the same. */
const clearSlots: StepCode = {
  reads: ["slot"],
  writes: ["slot"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, state, plan } = context;
    for (const slot of boundSlots(context)) {
      slot.gmem?.file.set(state, 0);
      context.say(`slot ${slot.id} forgets the file`);
    }
    for (const slot of vmOf(context).slots) {
      for (const [index, field] of slot.gmem?.dangling ?? []) {
        if (machine.objects.slots[index].file === plan.file && field.get(state) === 1) useFreed(context, machine.objects.slots[index]);
      }
    }
    return NEXT;
  },
};

const tell = (sentence: string): StepCode => ({
  reads: [],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    context.say(sentence);
    return NEXT;
  },
});

const freePages: StepCode = {
  reads: ["page", "reference"],
  writes: ["page", "uptodate", "content", "free"],
  jumps: [],
  returns: false,
  run(context) {
    const file = fileOf(context);
    file.frames.forEach((field, cell) => void (field.get(context.state) > 0 && dropPage(context, file, cell)));
    return NEXT;
  },
};

/** The table of bindings goes with the file. */
const freeFile: StepCode = {
  reads: ["slot"],
  writes: ["slot", "file"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, state, plan } = context;
    const file = fileOf(context);
    for (const slot of vmOf(context).slots) {
      if (!slot.files.has(plan.file)) continue;
      if (!slot.files.has(plan.file)) continue;
      const config = machine.objects.slots[slot.bound.get(state) - 1];
      if (config?.guestMemfd && config.file === plan.file) {
        if (slot.gmem?.file.get(state) === 1) machine.emit("dangling-pointer", FILE_FREED, config.index);
        else slot.bound.set(state, 0);
      }
      for (const [index, field] of slot.gmem?.dangling ?? []) if (machine.objects.slots[index].file === plan.file) field.set(state, 0);
    }
    file.gmem?.released.set(state, RELEASED.FREED);
    context.say("the guest_memfd and its table of bindings are freed");
    return NEXT;
  },
};

export const releaseSteps = {
  lock_slots: lockSlots,
  unlock_slots: unlockSlots,
  clear_slots: clearSlots,
  unlink: tell("the file leaves the list of the inode"),
  free_pages: freePages,
  free_file: freeFile,
};
