// KVM_CREATE_VM, KVM_CREATE_VCPU, and the conversion ioctls of the series: KVM_MEMORY_ENCRYPT_REG_REGION and _UNREG_REGION (v7 11/14, v8 5/8, v9 5/8), and
// v10's KVM_SET_MEMORY_ATTRIBUTES (6/9).

import { asU64, formatAddress, isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { BOUND, CLOSED } from "../handles.ts";
import { AGAIN, BLOCKED, type Context, type Machine, NEXT, type Plan, type Shape, type StepCode } from "../machine.ts";
import { intOf, NotModelled, objectOfOperand, type VcpuObject } from "../objects.ts";
import { bound, plan, ZERO } from "../plan.ts";
import { CutNeeded } from "../refine.ts";
import { judgeConversion } from "./attributes.ts";
import { forgetWritten, needsNode, nodeOf, rollBack, storeKind } from "./entries.ts";
import { announce, BOTH, type Conversion, end, markHits, zap } from "./notifier.ts";
import { conversionScope, creationScope } from "./scopes.ts";
import type { VmState } from "./state.ts";
import { KVM_X86_TDX_VM } from "./tdx-objects.ts";

/** KVM_MAX_VCPU_IDS of x86 with 1024 vCPUs, four ids each. */
const KVM_MAX_VCPU_IDS = 4096n;

export function planCreateVm(machine: Machine, id: CallId, call: Call): Plan {
  const type = asU64(intOf(call, id, call.operands.length - 1));
  const lastType = machine.features.vm_types === "default" ? 0n : 1n;
  const isTd = machine.features.vm_types === "confidential" && type === KVM_X86_TDX_VM;
  if (machine.features.vm_types === "confidential" && type > lastType && type < KVM_X86_TDX_VM)
    throw new NotModelled(id, "VMs of SEV, SEV-ES and SNP are not modelled yet");
  return plan(id, call, {
    operations: ["KVM_CREATE_VM"],
    success: { kind: "handle", handle: "vm" },
    data: machine.objects.vmOf.get(id),
    scope: () => creationScope(machine, call, []),
    decode: () => (type <= lastType || isTd ? undefined : "EINVAL"),
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
    data: { vm, rivals } satisfies VcpuCreation,
    scope: () => creationScope(machine, call, rivals),
    decode(context) {
      if (vm === undefined || !bound(machine, context.state, call.operands[0])) return "EBADF";
      if (vcpuId >= KVM_MAX_VCPU_IDS) return "EINVAL";
      return rivals.some((other) => isMade(machine, context.state, other)) ? "EEXIST" : undefined;
    },
  });
}

interface VcpuCreation {
  readonly vm: number | undefined;
  /** Calls that make a vCPU of the same id. */
  readonly rivals: readonly VcpuObject[];
}

/** A vCPU whose descriptor is closed stays in its VM. */
function isMade(machine: Machine, state: Int32Array, vcpu: VcpuObject): boolean {
  const handle = machine.handles[vcpu.handle].get(state);
  return handle === BOUND || handle === CLOSED;
}

/** kvm_vm_ioctl_create_vcpu looks for the id again under kvm->lock, where it adds the vCPU. */
export const addVcpu: StepCode = {
  reads: ["handle", "control", "thread"],
  writes: [],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const { rivals } = (context.plan.data ?? {}) as Partial<VcpuCreation>;
    const isThere = (rival: VcpuObject): boolean => {
      if (isMade(machine, state, rival)) return true;
      const position = machine.position(state, machine.program.calls[rival.call].actor);
      return position?.call === rival.call && position.step.name === "install_fd";
    };
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

/** Whether entries are stored for which memory may have to be found, and nothing has found it before (`reserve`). */
const mayRunOut = (context: Context): boolean =>
  context.machine.features.entry_memory === "may_run_out" &&
  !context.operation.labels.has("reserve") &&
  (context.machine.features.default_kind === "private") !== conversion(context).private;

/** Without a roll-back the error of the store is what the call answers, unless it reports how far it has come. */
function stopStoring(context: Context): number {
  const { machine, state, thread, plan } = context;
  if (machine.features.conversion_store === "multi_index")
    throw new NotModelled(plan.id, "which part of a range xa_store_range has stored when it runs out of memory is not modelled");
  if (context.telling) context.say(`no memory for the entry of gfn ${formatAddress(BigInt(vmOf(context).cells.start(context.cell)))}`);
  if (machine.features.conversion_rollback === "none") {
    thread.cursor.set(state, context.cursor + 1);
    if (context.operation.labels.has("report_progress")) return context.jump("unlock_kvm");
    return context.remember({ kind: "errno", errno: "ENOMEM" });
  }
  if (context.cursor === 0) return context.fail("ENOMEM");
  tellFirstApart(context);
  context.remember({ kind: "errno", errno: "ENOMEM" });
  return AGAIN;
}

/** The roll-back ends at the second gfn of the range. */
function tellFirstApart(context: Context): void {
  const { cells } = vmOf(context);
  const [first] = context.plan.cells;
  if (context.machine.features.conversion_rollback === "erases_but_first" && !cells.single(first)) throw new CutNeeded(cells.space, cells.start(first) + 1);
}

const isRollingBack = (context: Context): boolean => context.thread.answer.get(context.state) > 0;

/** Number of the last entry of the range that a roll-back erases, among the cells. */
const lastErased = (context: Context): number => (context.machine.features.conversion_rollback === "erases" ? 0 : 1);

/** From the entry that failed downwards. */
function eraseOne(context: Context): number {
  const { state, thread } = context;
  const vm = vmOf(context);
  rollBack(context, vm, context.cell);
  if (context.telling) context.say(`the entry of gfn ${formatAddress(BigInt(vm.cells.start(context.cell)))} is erased: ${kindName(context)} again`);
  if (context.cursor === lastErased(context)) {
    if (context.telling && context.cursor > 0)
      context.say(`the loop ends here: gfn ${formatAddress(BigInt(vm.cells.start(context.plan.cells[0])))}, the first of the range, stays as it is`);
    return context.fail("ENOMEM");
  }
  thread.cursor.set(state, context.cursor - 1);
  return AGAIN;
}

const kindName = (context: Context): string => context.machine.features.default_kind;

const STORED: Shape = { reads: ["kind"], writes: ["kind"], returns: false };

/** An entry in the xarray for each gfn that was converted away from the default; one store per gfn, without mmu_lock. */
const store: StepCode = {
  reads: ["kind"],
  writes: ["kind"],
  jumps: ["unlock_kvm"],
  narrow: (context) => (context.machine.features.entry_memory === "enough" ? STORED : undefined),
  run(context) {
    const vm = vmOf(context);
    if (isRollingBack(context)) return eraseOne(context);
    if (context.cursor === 0) forgetWritten(context, vm);
    if (mayRunOut(context) && needsNode(context, vm, context.cell) && context.pick(2) === 1) return stopStoring(context);
    storeCell(context, context.cell);
    return context.each() === AGAIN ? AGAIN : NEXT;
  },
};

/** v9 5/8: begin, the stores, unmap, flush and end fall under one hold of mmu_lock; a store that fails is rolled back, and nothing is unmapped. */
const convert: StepCode = {
  reads: ["kind", "ept", "faults", "notifier"],
  writes: ["kind", "ept", "tlb", "faults", "notifier", "free"],
  jumps: [],
  run(context) {
    const vm = vmOf(context);
    const { cells } = context.plan;
    forgetWritten(context, vm);
    const fails = failsAt(context, vm);
    markHits(context, vm, conversion(context));
    announce(context, vm, conversion(context));
    for (const cell of fails === undefined ? cells : cells.slice(0, fails)) storeCell(context, cell);
    if (fails === undefined) {
      zap(context, vm, conversion(context), BOTH);
      end(context, vm);
      return NEXT;
    }
    if (context.telling) context.say(`no memory for the entry of gfn ${formatAddress(BigInt(vm.cells.start(cells[fails])))}`);
    if (context.machine.features.conversion_rollback !== "none") {
      if (fails > 0) tellFirstApart(context);
      for (let at = fails; at >= lastErased(context) && fails > 0; at--) rollBack(context, vm, cells[at]);
      if (context.telling && fails > 0) context.say(`the entries down to the ${lastErased(context) === 0 ? "first" : "second"} of the range are erased`);
    }
    end(context, vm);
    return context.fail("ENOMEM");
  },
};

/** At which of its cells the conversion runs out of memory; undefined: at none. */
function failsAt(context: Context, vm: VmState): number | undefined {
  if (!mayRunOut(context)) return undefined;
  const made = new Set<number>();
  const needy = context.plan.cells.flatMap((cell, at) => {
    const needs = needsNode(context, vm, cell, made);
    made.add(nodeOf(vm, cell));
    return needs ? [at] : [];
  });
  if (needy.length === 0) return undefined;
  const choice = context.pick(needy.length + 1);
  return choice === 0 ? undefined : needy[choice - 1];
}

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
    const { state, thread, plan } = context;
    const vm = vmOf(context);
    const { from, to } = conversion(context);
    // Behind a store that failed stands how far it has come.
    const failed = thread.cursor.get(state) - 1;
    zap(context, vm, { from, to: failed < 0 ? to : vm.cells.start(plan.cells[failed]) }, BOTH);
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
    const failed = context.cursor - 1;
    if (context.telling) {
      const left =
        failed < 0 ? "nothing is left of the range" : `the rest of the range, from gfn ${formatAddress(BigInt(restOf(context, failed)))}, is written back`;
      context.say(`${left}; 0 is returned whether or not a store failed`);
    }
    return NEXT;
  },
};

const restOf = (context: Context, failed: number): number => vmOf(context).cells.start(context.plan.cells[failed]);

export const conversionSteps = {
  create: addVcpu,
  store,
  convert,
  begin: beginOnly,
  unmap_end: unmapEnd,
  lock_kvm: lockKvm,
  unlock_kvm: unlockKvm,
  report_progress: reportProgress,
};
