// From a call to its plan: one maker per catalogue row. A call that the kernel does not know answers ENOSYS or ENOTTY, as that kernel would.

import { callSpec } from "../scenario/catalogue/index.ts";
import { processOf } from "../scenario/processes.ts";
import type { Call, CallId, Operand, Result } from "../scenario/program.ts";
import { planExit, planKill, withParts } from "./exit.ts";
import { planFork, planSendFd } from "./fork.ts";
import { planAttributes, planConversion, planCreateVcpu, planCreateVm } from "./kvm/conversion.ts";
import { planGuestAccess } from "./kvm/fault.ts";
import { gmemPlan } from "./kvm/gmem-plans.ts";
import { withLife } from "./kvm/life.ts";
import { planRest } from "./kvm/rest.ts";
import { planSlot } from "./kvm/slots.ts";
import { withTds } from "./kvm/tdx-scope.ts";
import { tdPlan } from "./kvm/tdx-steps.ts";
import type { Machine, Plan } from "./machine.ts";
import { planClose, planCreate, planDup, planReadlink, planRestricted } from "./memory/create.ts";
import { planTransfer } from "./memory/io.ts";
import { planLimit } from "./memory/limits.ts";
import { planIncore, planLook } from "./memory/looks.ts";
import { planHostAccess, planMmap } from "./memory/mapping.ts";
import { planMove } from "./memory/moving.ts";
import { planMunmap } from "./memory/munmap.ts";
import { planChmod, planOpen, planSeek } from "./memory/opens.ts";
import { planPoison } from "./memory/poison.ts";
import { planMadvise, planMprotect } from "./memory/protect.ts";
import { planFallocate, planTruncate } from "./memory/resize.ts";
import { planFcntl } from "./memory/seals.ts";
import { planCopyRange, planSendfile } from "./memory/send.ts";
import { planOpenPath, planPipe, planSecret, specialPlan } from "./memory/special.ts";
import { NotModelled } from "./objects.ts";
import { planTakeFrame, planWriteFrame } from "./physical.ts";
import { descriptor, plan } from "./plan.ts";
import { ownerOfVm } from "./processes.ts";
import { Reach } from "./scope.ts";
import { planSignal } from "./signals.ts";
import { tdxPlan } from "./tdx/plans.ts";

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
  fstat: planLook,
  fstatfs: planLook,
  mincore: planIncore,
  pipe2: planPipe,
  open: planOpenPath,
  memfd_secret: planSecret,
  copy_file_range: planCopyRange,
  sendfile: planSendfile,
  setrlimit: planLimit,
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
  hlt: planRest,
  run: planRest,
  alloc_frame: planTakeFrame,
  store_frame: planWriteFrame,
  migrate: planMove,
  reclaim: planMove,
  poison: planPoison,
  fork: planFork,
  send_fd: planSendFd,
  signal: planSignal,
  exit_group: planExit,
  kill: planKill,
};

export function plansOf(machine: Machine): Plan[] {
  return machine.program.calls.map((call, id) => {
    const whole = (one: Call): Plan => withTds(machine, withLife(machine, one, planOf(machine, id, one)));
    return withParts(machine, id, whole(call), whole);
  });
}

function planOf(machine: Machine, id: CallId, call: Call): Plan {
  if (!call.known) return unknownCall(id, call);
  const foreign = foreignIoctl(machine, id, call);
  if (foreign) return foreign;
  const td = tdPlan(machine, id, call);
  if (td) return td;
  const own = specialPlan(machine, id, call) ?? gmemPlan(machine, id, call);
  if (own) return own;
  const leaf = tdxPlan(machine, id, call);
  if (leaf) return leaf;
  const maker = MAKERS[call.spec];
  if (!maker) throw new NotModelled(id, `${callSpec(call.spec).name} is not modelled under ${machine.profile.name}`);
  return maker(machine, id, call);
}

/** A system call that does not exist answers ENOSYS, an ioctl of a VM or vCPU ENOTTY, one of /dev/kvm EINVAL (measured on 6.18.44). */
function unknownCall(id: CallId, call: Call): Plan {
  const spec = callSpec(call.spec);
  if (spec.context === "guest" || spec.subsystem === "tdx" || spec.subsystem === "physical")
    throw new NotModelled(id, `${spec.name} does not exist under this kernel`);
  const errno = !spec.name.startsWith("KVM_") ? "ENOSYS" : spec.params[0]?.type === "kvm" ? "EINVAL" : "ENOTTY";
  const refusal: Result = { kind: "errno", errno };
  return plan(id, call, { operations: ["unknown"], success: refusal, decode: () => errno });
}

/**
 * kvm_vm_ioctl and kvm_vcpu_ioctl look at the caller's mm before the arguments: another process than the one that made the VM gets EIO
 * (virt/kvm/kvm_main.c). What is done to a guest_memfd as a file has no such test.
 */
function foreignIoctl(machine: Machine, id: CallId, call: Call): Plan | undefined {
  const { program, objects } = machine;
  if (program.processes === undefined) return undefined;
  const { context, params } = callSpec(call.spec);
  const target = context === "guest" ? program.actors[call.actor].handle : machine.handleOf(call.operands[0]);
  const kinds: readonly string[] = ["vm", "vcpu"];
  if (target === undefined || (context !== "guest" && params[0]?.type === "fd") || !kinds.includes(program.handles[target].kind)) return undefined;
  const maker = program.handles[target].call;
  const vm = objects.vmOf.get(maker) ?? objects.vcpus[objects.vcpuOf.get(maker) ?? -1]?.vm;
  if (vm === undefined || ownerOfVm(machine, vm) === processOf(program, call.actor)) return undefined;
  const operand: Operand = { kind: "handle", handle: target, offset: 0n };
  return plan(id, call, {
    operations: ["unknown"],
    success: { kind: "errno", errno: "EIO" },
    reads: ["handle"],
    scope: () => new Reach(machine).operands(call).scope(),
    decode: (running) => descriptor(machine, running, operand) ?? "EIO",
  });
}
