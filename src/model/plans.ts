// From a call to its plan: one maker per catalogue row. A call that the kernel does not know answers ENOSYS or ENOTTY, as that kernel would.

import { callSpec } from "../scenario/catalogue/index.ts";
import type { Call, CallId, Result } from "../scenario/program.ts";
import { planAttributes, planConversion, planCreateVcpu, planCreateVm } from "./kvm/conversion.ts";
import { planGuestAccess } from "./kvm/fault.ts";
import { gmemPlan } from "./kvm/gmem-plans.ts";
import { planSlot } from "./kvm/slots.ts";
import type { Machine } from "./machine.ts";
import { planClose, planCreate, planDup, planReadlink, planRestricted } from "./memory/create.ts";
import { planTransfer } from "./memory/io.ts";
import { planHostAccess, planMmap, planMunmap } from "./memory/mapping.ts";
import { planMove } from "./memory/moving.ts";
import { planChmod, planOpen, planSeek } from "./memory/opens.ts";
import { planMadvise, planMprotect } from "./memory/protect.ts";
import { planFallocate, planTruncate } from "./memory/resize.ts";
import { planFcntl } from "./memory/seals.ts";
import { NotModelled } from "./objects.ts";
import { planTakeFrame, planWriteFrame } from "./physical.ts";
import { plan } from "./plan.ts";
import type { Plan } from "./step.ts";

type Maker = (machine: Machine, id: CallId, call: Call) => Plan;

const MAKERS: Readonly<Record<string, Maker>> = {
  memfd_create: planCreate,
  memfd_restricted: planRestricted,
  dup: planDup,
  close: planClose,
  readlink_fd: planReadlink,
  ftruncate: planTruncate,
  fallocate: planFallocate,
  read: planTransfer,
  pread: planTransfer,
  write: planTransfer,
  pwrite: planTransfer,
  fcntl: planFcntl,
  fchmod: planChmod,
  lseek: planSeek,
  open_fd: planOpen,
  mprotect: planMprotect,
  madvise: planMadvise,
  mmap: planMmap,
  munmap: planMunmap,
  "host.load": planHostAccess,
  "host.store": planHostAccess,
  KVM_CREATE_VM: planCreateVm,
  KVM_CREATE_VCPU: planCreateVcpu,
  KVM_SET_USER_MEMORY_REGION: planSlot,
  KVM_MEMORY_ENCRYPT_REG_REGION: planConversion,
  KVM_MEMORY_ENCRYPT_UNREG_REGION: planConversion,
  KVM_SET_MEMORY_ATTRIBUTES: planAttributes,
  "guest.load": planGuestAccess,
  "guest.store": planGuestAccess,
  alloc_frame: planTakeFrame,
  store_frame: planWriteFrame,
  migrate: planMove,
  reclaim: planMove,
};

export function plansOf(machine: Machine): Plan[] {
  return machine.program.calls.map((call, id) => planOf(machine, id, call));
}

function planOf(machine: Machine, id: CallId, call: Call): Plan {
  if (!call.known) return unknownCall(id, call);
  const own = gmemPlan(machine, id, call);
  if (own) return own;
  const maker = MAKERS[call.spec];
  if (!maker) throw new NotModelled(id, `${callSpec(call.spec).name} is not modelled under ${machine.profile.name}`);
  return maker(machine, id, call);
}

/** A system call that does not exist answers ENOSYS, an ioctl of a VM or vCPU ENOTTY, one of /dev/kvm EINVAL (real-kernel.md 5.4, 7.22). */
function unknownCall(id: CallId, call: Call): Plan {
  const spec = callSpec(call.spec);
  if (spec.context === "guest" || spec.subsystem === "tdx" || spec.subsystem === "physical")
    throw new NotModelled(id, `${spec.name} does not exist under this kernel`);
  const errno = !spec.name.startsWith("KVM_") ? "ENOSYS" : spec.params[0]?.type === "kvm" ? "EINVAL" : "ENOTTY";
  const refusal: Result = { kind: "errno", errno };
  return plan(id, call, { operations: ["unknown"], success: refusal, decode: () => errno });
}
