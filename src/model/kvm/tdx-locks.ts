// Locks that KVM's TDX code holds across steps: kvm->lock and slots_lock of the sub-commands, and mmu_lock, which the removal of a page holds for write while
// it calls the TDX module (arch/x86/kvm/vmx/tdx.c, arch/x86/kvm/mmu/tdp_mmu.c).

import type { Field } from "../layout.ts";
import { BLOCKED, type Context, type Machine, NEXT, type StepCode } from "../machine.ts";
import { slotsLockSteps } from "./gmem-invalidate.ts";
import type { VmState } from "./state.ts";
import { tdOf, tdOfPlan, tdsOf, vmIndexOf } from "./tdx-leaf.ts";

const vmOf = (machine: Machine, plan: Context["plan"]): VmState => machine.vms[vmIndexOf(machine, plan)];

/** A mutex by its name in the state. */
function mutex(name: string, of: (machine: Machine, plan: Context["plan"]) => Field): { readonly lock: StepCode; readonly unlock: StepCode } {
  const lock: StepCode = {
    reads: ["lock"],
    writes: ["lock"],
    jumps: [],
    returns: false,
    acquires: (machine, plan) => [of(machine, plan)],
    run(context) {
      const field = of(context.machine, context.plan);
      if (field.get(context.state) !== 0) return BLOCKED;
      field.set(context.state, context.thread.index + 1);
      context.say(`${name} taken`);
      return NEXT;
    },
  };
  const unlock: StepCode = {
    reads: [],
    writes: ["lock"],
    jumps: [],
    returns: false,
    run(context) {
      of(context.machine, context.plan).set(context.state, 0);
      context.say(`${name} released`);
      return NEXT;
    },
  };
  return { lock, unlock };
}

const kvm = mutex("kvm->lock", (machine, plan) => vmOf(machine, plan).kvmLock);
const slots = slotsLockSteps(vmOf);

export const lockSteps = { lock_kvm: kvm.lock, unlock_kvm: kvm.unlock, lock_slots: slots.lock, unlock_slots: slots.unlock };

/** mmu_lock for write: nobody is in a fault's critical section, which holds it for read. */
const lockMmu: StepCode = {
  reads: ["lock"],
  writes: ["lock"],
  jumps: [],
  returns: false,
  acquires: (machine, plan) => [tdOfPlan(machine, plan).mmuWriter],
  run(context) {
    const { mmuWriter, mmuReaders } = tdOf(context);
    if (mmuWriter.get(context.state) !== 0 || mmuReaders.get(context.state) > 0) return BLOCKED;
    mmuWriter.set(context.state, context.thread.index + 1);
    context.say("mmu_lock is taken for write");
    return NEXT;
  },
};

const unlockMmu: StepCode = {
  reads: [],
  writes: ["lock"],
  jumps: [],
  returns: false,
  run(context) {
    const { mmuWriter } = tdOf(context);
    // KVM_TDX_TERMINATE_VM comes here without it where TDH.MNG.VPFLUSHDONE fails.
    if (mmuWriter.get(context.state) === context.thread.index + 1) mmuWriter.set(context.state, 0);
    context.say("mmu_lock is released");
    return NEXT;
  },
};

export const mmuSteps = { lock_mmu: lockMmu, unlock_mmu: unlockMmu };

/** False where somebody holds mmu_lock for write. */
export function shareMmu(context: Context): boolean {
  const { mmuWriter, mmuReaders } = tdOf(context);
  if (mmuWriter.get(context.state) !== 0) return false;
  mmuReaders.set(context.state, mmuReaders.get(context.state) + 1);
  return true;
}

export function unshareMmu(context: Context): void {
  const { mmuReaders } = tdOf(context);
  mmuReaders.set(context.state, Math.max(0, mmuReaders.get(context.state) - 1));
}

/** tdx_lock: leaves that take the key ownership table meet no other thread of KVM. False where another thread has it. */
export function lockModule(context: Context): boolean {
  const { tdxLock } = tdsOf(context.machine);
  if (tdxLock.get(context.state) !== 0) return false;
  tdxLock.set(context.state, context.thread.index + 1);
  return true;
}

export function unlockModule(context: Context): void {
  tdsOf(context.machine).tdxLock.set(context.state, 0);
}
