// KVM_CREATE_VM, KVM_CREATE_VCPU, and the conversion ioctls of v7 to v9, KVM_MEMORY_ENCRYPT_REG_REGION and _UNREG_REGION (v8 5/8).

import { asU64, formatAddress, isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import type { Machine } from "../machine.ts";
import { intOf, objectOfOperand, type VcpuObject } from "../objects.ts";
import { bound, plan, ZERO } from "../plan.ts";
import { BOUND } from "../runner.ts";
import { AGAIN, NEXT, type Plan, type StepCode } from "../step.ts";
import type { Conversion } from "./notifier.ts";

/** KVM_MAX_VCPU_IDS of x86 with 1024 vCPUs, four ids each. */
const KVM_MAX_VCPU_IDS = 4096n;

export function planCreateVm(machine: Machine, id: CallId, call: Call): Plan {
  const type = asU64(intOf(call, id, call.operands.length - 1));
  return plan(id, call, {
    operations: ["KVM_CREATE_VM"],
    success: { kind: "handle", handle: "vm" },
    data: machine.objects.vmOf.get(id),
    decode: () => (type === 0n ? undefined : "EINVAL"),
  });
}

export function planCreateVcpu(machine: Machine, id: CallId, call: Call): Plan {
  const vm = objectOfOperand(machine.program, machine.objects.vmOf, call.operands[0]);
  const vcpuId = asU64(intOf(call, id, 1));
  const rivals = machine.objects.vcpus.filter(
    (other) => other.call !== id && other.vm === vm && asU64(intOf(machine.program.calls[other.call], other.call, 1)) === vcpuId,
  );
  return plan(id, call, {
    operations: ["KVM_CREATE_VCPU"],
    success: { kind: "handle", handle: "vcpu" },
    reads: ["handle"],
    data: { rivals } satisfies VcpuCreation,
    decode(context) {
      if (vm === undefined || !bound(machine, context.state, call.operands[0])) return "EBADF";
      if (vcpuId >= KVM_MAX_VCPU_IDS) return "EINVAL";
      return rivals.some((other) => machine.handles[other.handle].get(context.state) === BOUND) ? "EEXIST" : undefined;
    },
  });
}

interface VcpuCreation {
  /** Calls that make a vCPU of the same id. */
  readonly rivals: readonly VcpuObject[];
}

/** kvm_vm_ioctl_create_vcpu looks for the id again under kvm->lock, where it adds the vCPU. */
const create: StepCode = {
  reads: ["handle"],
  writes: ["handle"],
  run(context) {
    const { machine, state } = context;
    const { rivals } = (context.plan.data ?? {}) as Partial<VcpuCreation>;
    const isThere = (rival: VcpuObject): boolean =>
      machine.handles[rival.handle].get(state) === BOUND ||
      machine.threads.some((thread) => {
        const position = machine.position(state, thread.index);
        return position?.call === rival.call && position.step.name === "install_fd";
      });
    if (rivals?.some(isThere)) return context.fail("EEXIST");
    context.say("the object is made");
    return NEXT;
  },
};

export function planConversion(machine: Machine, id: CallId, call: Call): Plan {
  const vm = objectOfOperand(machine.program, machine.objects.vmOf, call.operands[0]);
  const [addr, size] = [asU64(intOf(call, id, 1)), asU64(intOf(call, id, 2))];
  const wrong = size === 0n || asU64(addr + size) < addr || !isPageAligned(addr) || !isPageAligned(size);
  const [from, to] = [Number(addr >> 12n), Number((addr + size) >> 12n)];
  const data: Conversion = { vm: vm ?? 0, from, to, private: call.spec === "KVM_MEMORY_ENCRYPT_REG_REGION" };
  return plan(id, call, {
    operations: [call.spec],
    success: ZERO,
    data,
    reads: ["handle"],
    cells: wrong || vm === undefined ? [] : machine.vms[vm].cells.range(from, to),
    decode(context) {
      if (vm === undefined || !bound(machine, context.state, call.operands[0])) return "EBADF";
      return wrong ? "EINVAL" : undefined;
    },
  });
}

/** v8 keeps an entry per gfn that was converted away from the default; one store per gfn, without mmu_lock. */
const store: StepCode = {
  reads: ["kind"],
  writes: ["kind", "thread"],
  run(context) {
    const { machine, state } = context;
    const { vm, private: toPrivate } = context.plan.data as Conversion;
    const away = (machine.features.default_kind === "private") !== toPrivate;
    machine.vms[vm].converted[context.cell].set(state, away ? 1 : 0);
    context.say(`gfn ${formatAddress(BigInt(machine.vms[vm].cells.start(context.cell)))} is ${toPrivate ? "private" : "shared"} from here on`);
    return context.each() === AGAIN ? AGAIN : NEXT;
  },
};

export const conversionSteps = { create, store };
