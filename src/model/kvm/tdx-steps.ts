// Which code a step has in the operations of KVM's TDX code, and which plan a call has on a VM that is a TD.

import { asU64, isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import type { Machine, Plan, StepCode } from "../machine.ts";
import { intOf, objectOfOperand } from "../objects.ts";
import { planPreFault } from "./prefault.ts";
import { planForeignTdcall, planTdAccess, runSteps } from "./tdx-access.ts";
import { cpuidSteps, finalizeSteps, initVcpuSteps, initVmSteps } from "./tdx-build.ts";
import { hypercallSteps, planHypercall } from "./tdx-hypercall.ts";
import { forTds, isOnTd } from "./tdx-leaf.ts";
import { lockSteps, mmuSteps } from "./tdx-locks.ts";
import { tdFaultSteps } from "./tdx-mirror.ts";
import { isTdVm, sharedBitOf } from "./tdx-objects.ts";
import { isDead, tdCommands } from "./tdx-plans.ts";
import { regionSteps } from "./tdx-region.ts";
import { removeSteps } from "./tdx-remove.ts";
import { teardownSteps } from "./tdx-teardown.ts";
import { addVcpuStep, createVcpuSteps, irqchipSteps, terminateSteps, vcpuLockSteps, withMutex } from "./tdx-vcpus.ts";
import { zapSteps } from "./tdx-zap.ts";

type Steps = Readonly<Record<string, StepCode>>;

const ZAP: Steps = forTds({ ...mmuSteps, ...removeSteps });
const TEARDOWN: Steps = forTds(teardownSteps);

/** Steps of operations that other VMs run too: those of a TD replace what the list names, where the VM is one. */
const REPLACED = zapSteps;

const BY_OPERATION: Readonly<Record<string, Steps>> = {
  KVM_CREATE_VCPU: { ...forTds(createVcpuSteps), create: addVcpuStep },
  KVM_TDX_CAPABILITIES: lockSteps,
  KVM_CREATE_IRQCHIP: irqchipSteps,
  KVM_ENABLE_CAP: irqchipSteps,
  KVM_TDX_INIT_VM: { ...vcpuLockSteps, ...teardownSteps, ...initVmSteps },
  KVM_TDX_INIT_VCPU: { ...vcpuLockSteps, ...initVcpuSteps },
  KVM_TDX_INIT_MEM_REGION: { ...vcpuLockSteps, ...regionSteps },
  KVM_TDX_FINALIZE_VM: { ...vcpuLockSteps, ...finalizeSteps },
  KVM_TDX_GET_CPUID: { ...vcpuLockSteps, ...cpuidSteps },
  KVM_TDX_TERMINATE_VM: { ...lockSteps, ...mmuSteps, ...teardownSteps, ...terminateSteps },
  "fault.td": { ...tdFaultSteps, ...runSteps },
  "accept.td": { ...tdFaultSteps, ...runSteps },
  "attributes.td": { ...tdFaultSteps, ...runSteps },
  "hlt.td": runSteps,
  "run.td": runSteps,
  "hypercall.td": { ...runSteps, ...hypercallSteps },
  "resume.td": hypercallSteps,
  "KVM_PRE_FAULT_MEMORY.td": { ...vcpuLockSteps, ...tdFaultSteps },
  "fallocate.punch_hole": ZAP,
  KVM_SET_MEMORY_ATTRIBUTES: ZAP,
  "KVM_SET_USER_MEMORY_REGION.delete": ZAP,
  "KVM_SET_USER_MEMORY_REGION.move": ZAP,
  release: { ...ZAP, ...TEARDOWN },
  destroy_vm: TEARDOWN,
};

/** The step's own code in a scenario with TDs; `ordinary` is the one that it has for other VMs. */
export function tdStep(operation: string, name: string, ordinary: StepCode | undefined): StepCode | undefined {
  const own = Object.hasOwn(BY_OPERATION, operation) ? BY_OPERATION[operation] : undefined;
  if (own && Object.hasOwn(own, name)) return own[name];
  const zaps = own?.clear_mirror !== undefined && Object.hasOwn(REPLACED, name);
  return zaps && ordinary ? either(REPLACED[name as keyof typeof REPLACED], ordinary) : undefined;
}

/** One step for a TD and for any other VM. */
const either = (td: StepCode, other: StepCode): StepCode => ({
  ...other,
  reads: [...other.reads, ...td.reads],
  writes: [...other.writes, ...td.writes],
  events: true,
  narrow: undefined,
  run: (context) => (isOnTd(context) ? td.run(context) : other.run(context)),
});

/** KVM_PRE_FAULT_MEMORY on a TD: allowed from the end of the build on, and not for an alias. */
function planTdPreFault(machine: Machine, id: CallId, call: Call, vm: number, vcpu: number): Plan {
  const made = planPreFault(machine, id, call);
  const [gpa, size, flags] = [1, 2, 3].map((index) => asU64(intOf(call, id, index)));
  const wrong = flags !== 0n || !isPageAligned(gpa) || !isPageAligned(size) || asU64(gpa + size) <= gpa;
  const alias = (gpa & sharedBitOf(machine.program, machine.objects, vm)) !== 0n;
  return {
    ...made,
    operations: ["KVM_PRE_FAULT_MEMORY.td"],
    select: () => "KVM_PRE_FAULT_MEMORY.td",
    reads: [...made.reads, "td"],
    scope: () => withMutex(machine, vcpu, made.scope?.()),
    decode(context) {
      const refused = made.decode(context);
      if (refused === "EBADF") return refused;
      if (isDead(machine, context, vm)) return "EIO";
      if (wrong) return refused;
      if (machine.kvmTds?.vms[vm]?.prefault.get(context.state) !== 1) return "EOPNOTSUPP";
      return alias ? "EINVAL" : refused;
    },
  };
}

/** The plan of a call on a TD; undefined where it is that of any other VM. */
export function tdPlan(machine: Machine, id: CallId, call: Call): Plan | undefined {
  if (Object.hasOwn(tdCommands, call.spec)) return tdCommands[call.spec](machine, id, call);
  const guest = planForeignTdcall(machine, id, call) ?? planHypercall(machine, id, call) ?? planTdAccess(machine, id, call);
  if (guest) return guest;
  const { program, objects } = machine;
  const vcpu = call.spec === "KVM_PRE_FAULT_MEMORY" ? objects.vcpus[objectOfOperand(program, objects.vcpuOf, call.operands[0]) ?? -1] : undefined;
  return vcpu && isTdVm(objects, vcpu.vm) ? planTdPreFault(machine, id, call, vcpu.vm, vcpu.index) : undefined;
}

/** Code of step names that only KVM's TDX code has: wherever a kernel variant puts one, it passes over VMs that are no TD. */
export const tdOnlySteps = forTds({
  ...createVcpuSteps,
  ...irqchipSteps,
  ...vcpuLockSteps,
  ...terminateSteps,
  ...teardownSteps,
  ...mmuSteps,
  ...removeSteps,
  ...initVmSteps,
  ...initVcpuSteps,
  ...finalizeSteps,
  ...cpuidSteps,
  ...regionSteps,
  ...tdFaultSteps,
  ...runSteps,
  ...hypercallSteps,
});
