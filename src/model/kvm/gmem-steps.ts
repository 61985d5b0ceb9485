// The code of a step where a kernel with guest_memfd runs it in one of these operations; every other step has the code of model/steps.ts.

import type { StepCode } from "../machine.ts";
import type { Features } from "../profile/types.ts";
import { attributeSteps } from "./attributes.ts";
import { gmemFaultSteps } from "./gmem-fault.ts";
import { gmemCreateSteps, gmemFallocateSteps, gmemRefuse } from "./gmem-file.ts";
import { conversionInvalidateSteps, fileInvalidateSteps, invalidateLockSteps } from "./gmem-invalidate.ts";
import { gmemSlotSteps } from "./gmem-slots.ts";
import { releaseSteps } from "./lifecycle.ts";
import { prefaultSteps } from "./prefault.ts";

const FILE: Readonly<Record<string, StepCode>> = { ...invalidateLockSteps, ...fileInvalidateSteps, ...gmemFallocateSteps };
const SLOT: Readonly<Record<string, StepCode>> = gmemSlotSteps;

const BY_OPERATION: Readonly<Record<string, Readonly<Record<string, StepCode>>>> = {
  KVM_CREATE_GUEST_MEMFD: gmemCreateSteps,
  ftruncate: { refuse: gmemRefuse },
  "fallocate.punch_hole": FILE,
  "fallocate.allocate": FILE,
  poison: FILE,
  release: { ...FILE, ...releaseSteps },
  KVM_SET_MEMORY_ATTRIBUTES: { ...conversionInvalidateSteps, ...attributeSteps },
  "KVM_SET_USER_MEMORY_REGION.create": SLOT,
  "KVM_SET_USER_MEMORY_REGION.delete": SLOT,
  "KVM_SET_USER_MEMORY_REGION.move": SLOT,
  "KVM_SET_USER_MEMORY_REGION.flags": SLOT,
  fault: gmemFaultSteps,
  KVM_PRE_FAULT_MEMORY: { ...gmemFaultSteps, ...prefaultSteps },
};

/** The step's own code in this operation, where a guest_memfd makes a difference. */
export function gmemStep(features: Features, operation: string, name: string): StepCode | undefined {
  if (features.guest_memfd === "absent" || !Object.hasOwn(BY_OPERATION, operation)) return undefined;
  const steps = BY_OPERATION[operation];
  return Object.hasOwn(steps, name) ? steps[name] : undefined;
}

/** Steps that only a kernel with guest_memfd runs. */
export const gmemOnlySteps = {
  check_size: gmemCreateSteps.check_size,
  refuse: gmemRefuse,
  same: attributeSteps.same,
  reserve: attributeSteps.reserve,
  lock_invalidate: invalidateLockSteps.lock_invalidate,
  unlock_invalidate: invalidateLockSteps.unlock_invalidate,
  early_retry: gmemFaultSteps.early_retry,
  wait_notifiers: gmemSlotSteps.wait_notifiers,
  clear_slots: releaseSteps.clear_slots,
  unlink: releaseSteps.unlink,
  free_file: releaseSteps.free_file,
  advance: prefaultSteps.advance,
};
