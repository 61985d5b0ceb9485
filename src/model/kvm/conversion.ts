// KVM_CREATE_VM, KVM_CREATE_VCPU, and the conversion ioctls of the series: KVM_MEMORY_ENCRYPT_REG_REGION and _UNREG_REGION (v7 11/14, v8 5/8, v9 5/8), and
// v10's KVM_SET_MEMORY_ATTRIBUTES (6/9).

import { asU64, formatAddress, isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import type { Machine } from "../machine.ts";
import { intOf, NotModelled, objectOfOperand, type VcpuObject } from "../objects.ts";
import { bound, plan, ZERO } from "../plan.ts";
import { CutNeeded } from "../refine.ts";
import { BOUND } from "../runner.ts";
import { AGAIN, BLOCKED, type Context, NEXT, type Plan, type StepCode } from "../step.ts";
import { judgeConversion } from "./attributes.ts";
import { storeKind } from "./entries.ts";
import { announce, BOTH, begin, type Conversion, end, markHits, zap } from "./notifier.ts";
import { conversionScope, creationScope } from "./scopes.ts";
import type { VmState } from "./state.ts";

const KVM_X86_TDX_VM = 5n;
/** KVM_MAX_VCPU_IDS of x86 with 1024 vCPUs, four ids each. */
const KVM_MAX_VCPU_IDS = 4096n;

export function planCreateVm(machine: Machine, id: CallId, call: Call): Plan {
  const type = asU64(intOf(call, id, call.operands.length - 1));
  const lastType = machine.features.vm_types === "default" ? 0n : 1n;
  if (machine.features.vm_types === "confidential" && type > lastType && type <= KVM_X86_TDX_VM)
    throw new NotModelled(id, "VMs of SEV, SEV-ES, SNP and TDX are not modelled yet");
  return plan(id, call, {
    operations: ["KVM_CREATE_VM"],
    success: { kind: "handle", handle: "vm" },
    data: machine.objects.vmOf.get(id),
    scope: () => creationScope(machine, call, []),
    decode: () => (type <= lastType ? undefined : "EINVAL"),
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
    scope: () => creationScope(machine, call, rivals),
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
  reads: ["handle", "control", "thread"],
  writes: [],
  jumps: [],
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
    finish: (context, result) => judgeConversion(context, result.kind === "errno"),
    scope: () => conversionScope(machine, call, data),
    cells: wrong || vm === undefined ? [] : machine.vms[vm].cells.range(from, to),
    decode(context) {
      if (vm === undefined || !bound(machine, context.state, call.operands[0])) return "EBADF";
      return wrong ? "EINVAL" : undefined;
    },
  });
}

const KVM_MEMORY_ATTRIBUTE_PRIVATE = 8n;
/** READ, WRITE and EXECUTE have numbers in v10, but no source tells whether the VM supports them. */
const ATTRIBUTES_NUMBERED = 7n;

/** KVM_SET_MEMORY_ATTRIBUTES as v10 6/9 has it. */
export function planAttributes(machine: Machine, id: CallId, call: Call): Plan {
  const [attributes, flags] = [asU64(intOf(call, id, 3)), asU64(intOf(call, id, 4))];
  if (attributes & ATTRIBUTES_NUMBERED) throw new NotModelled(id, "KVM_MEMORY_ATTRIBUTE_READ, WRITE and EXECUTE are not modelled");
  const converts = planConversion(machine, id, call);
  const refused = flags !== 0n || (attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE) !== 0n;
  return {
    ...converts,
    data: { ...(converts.data as Conversion), private: attributes !== 0n } satisfies Conversion,
    decode(context) {
      const wrong = converts.decode(context);
      return wrong !== "EBADF" && refused ? "EINVAL" : wrong;
    },
  };
}

const conversion = (context: Context): Conversion => context.plan.data as Conversion;
const vmOf = (context: Context): VmState => context.machine.vms[conversion(context).vm];

function storeCell(context: Context, cell: number): void {
  const { private: toPrivate } = conversion(context);
  const vm = vmOf(context);
  const away = (context.machine.features.default_kind === "private") !== toPrivate;
  storeKind(context, vm, cell, away);
  if (context.machine.options.conversionGhost) context.thread.stored.set(context.state, context.thread.stored.get(context.state) + 1);
  if (context.telling) context.say(`gfn ${formatAddress(BigInt(vm.cells.start(cell)))} is ${toPrivate ? "private" : "shared"} from here on`);
}

/** Above this the pages of a range are not told apart, as elsewhere. */
const PAGES_APART = 64;

/** Each page of the range may be the one at which memory runs out. */
function runsOut(context: Context): boolean {
  const { machine, cell } = context;
  const { from, to } = conversion(context);
  const { cells } = vmOf(context);
  if (to - from > PAGES_APART) machine.limit ??= `memory runs out at any of ${to - from} pages; of more than ${PAGES_APART} not each one is tried`;
  else if (!cells.single(cell)) throw new CutNeeded(cells.space, cells.start(cell) + 1);
  return context.pick(2) === 1;
}

/** An entry in the xarray for each gfn that was converted away from the default; one store per gfn, without mmu_lock. */
const store: StepCode = {
  reads: ["kind"],
  writes: ["kind"],
  jumps: ["unlock_kvm"],
  returns: false,
  run(context) {
    if (context.machine.features.entry_memory === "may_run_out" && runsOut(context)) {
      if (!context.operation.labels.has("report_progress"))
        throw new NotModelled(context.plan.id, "which entries the roll-back of a store that failed erases is not modelled");
      context.thread.cursor.set(context.state, 0);
      if (context.telling) context.say("no memory for the entry: the rest of the range is left as it is");
      return context.jump("unlock_kvm");
    }
    storeCell(context, context.cell);
    return context.each() === AGAIN ? AGAIN : NEXT;
  },
};

/** v9 5/8: begin, the stores, unmap, flush and end fall under one hold of mmu_lock. */
const convert: StepCode = {
  reads: ["kind", "ept", "faults", "notifier"],
  writes: ["kind", "ept", "tlb", "faults", "notifier", "free"],
  jumps: [],
  returns: false,
  run(context) {
    const vm = vmOf(context);
    markHits(context, vm, conversion(context));
    for (const cell of context.plan.cells) storeCell(context, cell);
    begin(context, vm, conversion(context));
    end(context, vm);
    return NEXT;
  },
};

/** v10 6/9: in progress from here on, so that no fault maps the range; its mappings stay until `unmap_end`. */
const beginOnly: StepCode = {
  reads: ["faults", "notifier"],
  writes: ["faults", "notifier"],
  jumps: [],
  returns: false,
  run(context) {
    const vm = vmOf(context);
    markHits(context, vm, conversion(context));
    announce(context, vm, conversion(context));
    return NEXT;
  },
};

const unmapEnd: StepCode = {
  reads: ["ept", "faults", "notifier"],
  writes: ["ept", "tlb", "faults", "notifier", "free"],
  jumps: [],
  returns: false,
  run(context) {
    const vm = vmOf(context);
    zap(context, vm, conversion(context), BOTH);
    end(context, vm);
    return NEXT;
  },
};

/** kvm->lock keeps the stores of two conversions apart. */
const lockKvm: StepCode = {
  reads: ["lock"],
  writes: ["lock"],
  jumps: [],
  returns: false,
  acquires: (machine, plan) => [machine.vms[(plan.data as Conversion).vm].kvmLock],
  run(context) {
    const { kvmLock } = vmOf(context);
    if (kvmLock.get(context.state) !== 0) return BLOCKED;
    kvmLock.set(context.state, context.thread.index + 1);
    if (context.telling) context.say("kvm->lock taken");
    return NEXT;
  },
};

const unlockKvm: StepCode = {
  reads: [],
  writes: ["lock"],
  jumps: [],
  returns: false,
  run(context) {
    vmOf(context).kvmLock.set(context.state, 0);
    if (context.telling) context.say("kvm->lock released");
    return NEXT;
  },
};

/** v10 6/9 writes address and size of what is left into the caller's structure, and drops the error of the store. */
const reportProgress: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    if (context.telling) context.say("the rest of the range is written back, and 0 returned whether or not a store failed");
    return NEXT;
  },
};

export const conversionSteps = {
  create,
  store,
  convert,
  begin: beginOnly,
  unmap_end: unmapEnd,
  lock_kvm: lockKvm,
  unlock_kvm: unlockKvm,
  report_progress: reportProgress,
};
