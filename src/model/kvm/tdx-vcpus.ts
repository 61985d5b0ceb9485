// The vCPUs of a TD as their VM knows them: how one is made (virt/kvm/kvm_main.c kvm_vm_ioctl_create_vcpu, arch/x86/kvm/vmx/tdx.c tdx_vcpu_create), and
// vcpu->mutex, which KVM_RUN and each ioctl on a vCPU hold from end to end. Nothing of it is in the state: a call that is under way holds what it has taken.

import type { ActorId } from "../../scenario/program.ts";
import { BOUND, CLOSED } from "../handles.ts";
import type { Field, Region, Scope } from "../layout.ts";
import { AGAIN, BLOCKED, type Context, type Machine, NEXT, type StepCode } from "../machine.ts";
import { objectOfOperand } from "../objects.ts";
import { isInside } from "../tdx/enter.ts";
import { addVcpu } from "./conversion.ts";
import { isOnTd, tdOf, tdsOf, vcpusOf } from "./tdx-leaf.ts";
import { stop, type TdCommand } from "./tdx-plans.ts";
import { IRQCHIP, type KvmTd, type KvmTdVcpu, TD_STATE } from "./tdx-state.ts";

/** A vCPU that user space could name once; one whose descriptor is closed stays in its VM. */
function isMade(machine: Machine, state: Int32Array, { vcpu }: KvmTdVcpu): boolean {
  const handle = machine.handles[machine.objects.vcpus[vcpu].handle].get(state);
  return handle === BOUND || handle === CLOSED;
}

/** The actor that runs each vCPU, by vCPU. */
const runnerOf = (machine: Machine, vcpu: number): ActorId =>
  machine.program.actors.findIndex(({ handle }) => handle !== undefined && handle === machine.objects.vcpus[vcpu].handle);

const isUnderWay = (machine: Machine, state: Int32Array, actor: ActorId): boolean => machine.threads[actor]?.operation.get(state) > 0;

/** KVM_RUN of the vCPU: what its guest does is under way, or it is in the guest. */
const runs = (machine: Machine, state: Int32Array, vcpu: KvmTdVcpu): boolean =>
  isInside(state, vcpu.tdVcpu) || isUnderWay(machine, state, runnerOf(machine, vcpu.vcpu));

const LOCKS_ONE = "lock_vcpu";

/** An ioctl on the vCPU by some other actor, past the lock: most operations begin with it. */
function isLockedBy(machine: Machine, state: Int32Array, vcpu: number, actor: ActorId): boolean {
  if (!isUnderWay(machine, state, actor)) return false;
  const plan = machine.plans[machine.instruction(state, actor)?.call ?? -1];
  const thread = machine.threads[actor];
  const at = machine.operations[thread.operation.get(state) - 1].labels.get(LOCKS_ONE);
  if (at === undefined || (plan?.data as Partial<TdCommand> | undefined)?.vcpu !== vcpu) return false;
  return at === 0 || thread.step.get(state) > at;
}

/** A variant may look at the VM before it takes the mutex: then it counts how far an ioctl is. */
const looksFirst = (machine: Machine): boolean => machine.operations.some(({ labels }) => (labels.get(LOCKS_ONE) ?? 0) > 0);

const RIVALS = new WeakMap<Machine, readonly (readonly ActorId[])[]>();

/** Actors that call an ioctl on a vCPU, by vCPU. */
function rivalsOf(machine: Machine, vcpu: number): readonly ActorId[] {
  const { program, objects } = machine;
  let rivals = RIVALS.get(machine);
  if (!rivals) {
    const named = program.calls.map((call) => objectOfOperand(program, objects.vcpuOf, call.operands[0]));
    rivals = objects.vcpus.map(({ index }) => [...new Set(program.calls.flatMap(({ actor }, id) => (named[id] === index ? [actor] : [])))]);
    RIVALS.set(machine, rivals);
  }
  return rivals[vcpu];
}

/** Whether somebody else than `actor` has the mutex of the vCPU. */
function isLocked(machine: Machine, state: Int32Array, vcpu: KvmTdVcpu, actor: ActorId): boolean {
  if (rivalsOf(machine, vcpu.vcpu).some((rival) => rival !== actor && isLockedBy(machine, state, vcpu.vcpu, rival))) return true;
  const td = tdsOf(machine).vms[machine.objects.vcpus[vcpu.vcpu].vm] as KvmTd;
  return (td.locked?.get(state) ?? 0) > vcpusOf(machine, td).indexOf(vcpu);
}

/** Fields that tell who has the mutex of a vCPU. */
function mutexFields(machine: Machine, vcpu: number): Field[] {
  const td = machine.kvmTds?.vms[machine.objects.vcpus[vcpu].vm];
  const actors = new Set([runnerOf(machine, vcpu), ...rivalsOf(machine, vcpu)]);
  const rivals = machine.threads.filter(({ index }) => actors.has(index));
  const steps = looksFirst(machine) ? rivals.map(({ step }) => step) : [];
  return [...rivals.flatMap(({ at, operation }) => [at, operation]), ...steps, ...(td?.locked ? [td.locked] : [])];
}

/** The scope of guest code, or of an ioctl on a vCPU, with those who may have its mutex. */
export function withMutex(machine: Machine, vcpu: number, scope: Scope | undefined): Scope {
  const atoms = mutexFields(machine, vcpu).map(({ atom }) => atom);
  const inRegion = (region: Region): number[] => atoms.filter((atom) => machine.layout.atoms[atom].region === region);
  return (region) => {
    const narrow = scope?.(region);
    return narrow && [...new Set([...narrow, ...inRegion(region)])].sort((a, b) => a - b);
  };
}

/** What KVM_RUN and an ioctl look at while they wait. */
export const MUTEX = ["control", "thread", "td"] as const;

/** False where KVM_RUN has to wait for an ioctl on its vCPU. A vCPU that is under way has the mutex already. */
export function mayRun(context: Context, vcpu: KvmTdVcpu): boolean {
  const { machine, state, thread } = context;
  return thread.operation.get(state) > 0 || !isLocked(machine, state, vcpu, thread.index);
}

/** kvm_vcpu_ioctl: one ioctl on a vCPU at a time, and none while it runs. */
const lockVcpu: StepCode = {
  reads: MUTEX,
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, thread } = context;
    const vcpu = tdsOf(machine).vcpus[(context.plan.data as TdCommand).vcpu];
    if (vcpu && (runs(machine, state, vcpu) || isLocked(machine, state, vcpu, thread.index))) return BLOCKED;
    context.say("vcpu->mutex taken");
    return NEXT;
  },
};

/** Calls of KVM_CREATE_VCPU under way that have counted their vCPU and not added it: created_vcpus exceeds online_vcpus by as many. */
function beingMade(machine: Machine, state: Int32Array, td: KvmTd): number {
  return machine.threads.filter(({ index }) => {
    if (!isUnderWay(machine, state, index)) return false;
    const position = machine.position(state, index);
    const plan = machine.plans[position?.call ?? -1];
    if (plan?.call.spec !== "KVM_CREATE_VCPU" || (plan.data as { readonly vm?: number }).vm !== td.vm) return false;
    return position?.step.name !== "install_fd";
  }).length;
}

const made = (machine: Machine, state: Int32Array, td: KvmTd): KvmTdVcpu[] => vcpusOf(machine, td).filter((vcpu) => isMade(machine, state, vcpu));

/** kvm->created_vcpus. */
export const createdVcpus = (machine: Machine, state: Int32Array, td: KvmTd): number => made(machine, state, td).length + beingMade(machine, state, td);

/** What tells how many vCPUs there are, and how many are on their way. */
export const CREATED = ["handle", "control", "thread"] as const;

/** tdx_acquire_vm_state_locks, under kvm->lock: a vCPU that is only half made is EBUSY; then the mutex of each vCPU, one after the other. */
const lockVcpus: StepCode = {
  reads: [...MUTEX, ...CREATED],
  writes: ["td"],
  jumps: ["unlock_kvm", "lock_vcpus"],
  returns: false,
  run(context) {
    const { machine, state, thread } = context;
    const td = tdOf(context);
    const locker = td.locker?.get(state) ?? 0;
    if (locker !== 0 && locker !== thread.index + 1) return BLOCKED;
    const locked = td.locked?.get(state) ?? 0;
    if (locked === 0 && beingMade(machine, state, td) > 0) {
      context.say("a vCPU is being made: created_vcpus is above online_vcpus");
      return stop(context, "EBUSY", "unlock_kvm");
    }
    const all = vcpusOf(machine, td);
    const rest = all.filter((vcpu, index) => index >= locked && isMade(machine, state, vcpu));
    const [next] = rest;
    if (next) {
      if (runs(machine, state, next) || isLocked(machine, state, next, thread.index)) return BLOCKED;
      td.locked?.set(state, all.indexOf(next) + 1);
      td.locker?.set(state, thread.index + 1);
      if (context.telling) context.say(`the mutex of ${machine.objects.vcpus[next.vcpu].name} taken`);
      if (rest.length > 1) return context.onward("lock_vcpus");
    } else context.say("there is no vCPU to lock");
    return NEXT;
  },
};

const unlockVcpus: StepCode = {
  reads: [],
  writes: ["td"],
  jumps: [],
  returns: false,
  run(context) {
    const { locked, locker } = tdOf(context);
    if (locker?.get(context.state) === context.thread.index + 1) for (const field of [locked, locker]) field?.set(context.state, 0);
    context.say("the mutexes of the vCPUs released");
    return NEXT;
  },
};

/** kvm_vm_dead, where no vCPU is busy; up to 7.2 no kernel has the sub-command. */
const terminate: StepCode = {
  reads: [...MUTEX, ...CREATED],
  writes: ["td"],
  jumps: ["unlock_kvm"],
  run(context) {
    const { machine, state, thread } = context;
    const td = tdOf(context);
    if (machine.features.td_terminate === "absent") return stop(context, "EINVAL", "unlock_kvm");
    if (made(machine, state, td).some((vcpu) => runs(machine, state, vcpu) || isLocked(machine, state, vcpu, thread.index))) {
      context.say("kvm_trylock_all_vcpus: a vCPU is busy");
      return stop(context, "EBUSY", "unlock_kvm");
    }
    td.dead.set(state, 1);
    td.terminated?.set(state, 1);
    context.say("the VM is dead, and terminated");
    return NEXT;
  },
};

/** kvm->lock for a moment: no more vCPUs than the machine has processors (tdx_vm_init), and one more is on its way. */
const countVcpu: StepCode = {
  reads: ["lock", "td", ...CREATED],
  writes: [],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    if (machine.vms[tdOf(context).vm].kvmLock.get(state) !== 0) return BLOCKED;
    const most = machine.program.machine?.cpus;
    if (most !== undefined && BigInt(createdVcpus(machine, state, tdOf(context))) >= most) return context.fail("EINVAL");
    context.say("created_vcpus counts one more");
    return NEXT;
  },
};

/** tdx_vcpu_create, and the vcpu_load behind it, which puts the vCPU on the list of its processor: that of the caller, who stays there. */
const createTdVcpu: StepCode = {
  reads: ["td"],
  writes: [],
  jumps: [],
  events: true,
  run(context) {
    const { machine, state, thread } = context;
    const td = tdOf(context);
    if (td.state.get(state) !== TD_STATE.INITIALIZED) return context.fail("EIO");
    if (td.irqchip && td.irqchip.get(state) !== IRQCHIP.SPLIT) {
      context.say("the interrupt controller is not split: the module keeps the EOIs to itself");
      return context.fail("EINVAL");
    }
    if (tdsOf(machine).listed[thread.index]?.get(state) === 1) {
      if (thread.cursor.get(state) > 0) return BLOCKED;
      thread.cursor.set(state, 1);
      machine.emit("list-corrupted", thread.index);
      context.say("list_add meets a vCPU that has been freed: the thread dies inside the call");
      return AGAIN;
    }
    context.say("the vCPU is on the list of its processor");
    return NEXT;
  },
};

/** Under kvm->lock again: the id may be taken. Then the vCPU is freed at once, up to 6.18 without a look at the list that it is on. */
const add: StepCode = {
  ...addVcpu,
  reads: [...addVcpu.reads, "lock", "td"],
  writes: ["td"],
  run(context) {
    if (!isOnTd(context)) return addVcpu.run(context);
    const { machine, state, thread } = context;
    if (machine.vms[tdOf(context).vm].kvmLock.get(state) !== 0) return BLOCKED;
    const code = addVcpu.run(context);
    if (code !== NEXT && machine.features.td_failed_vcpu === "stays_listed") {
      tdsOf(machine).listed[thread.index]?.set(state, 1);
      context.say("the vCPU is freed, and stays on the list of its processor");
    }
    return code;
  },
};

/** Under kvm->lock; a split controller counts as one in the kernel, too. */
function irqchip(run: (context: Context, field: Field) => number): StepCode {
  return {
    reads: ["lock", "td", ...CREATED],
    writes: ["td"],
    jumps: [],
    run(context) {
      const td = tdOf(context);
      if (context.machine.vms[td.vm].kvmLock.get(context.state) !== 0) return BLOCKED;
      return run(context, td.irqchip as Field);
    },
  };
}

const hasVcpu = ({ machine, state }: Context, td: KvmTd): boolean => createdVcpus(machine, state, td) > 0;

const createIrqchip = irqchip((context, field) => {
  if (field.get(context.state) !== IRQCHIP.NONE) return context.fail("EEXIST");
  if (context.machine.features.td_irqchip === "ENOTTY") return context.fail("ENOTTY");
  if (hasVcpu(context, tdOf(context))) return context.fail("EINVAL");
  field.set(context.state, IRQCHIP.KERNEL);
  context.say("the I/O APIC is in the kernel, too");
  return NEXT;
});

const splitIrqchip = irqchip((context, field) => {
  const { refused } = context.plan.data as TdCommand;
  if (refused) return context.fail(refused);
  if (field.get(context.state) !== IRQCHIP.NONE || hasVcpu(context, tdOf(context))) return context.fail("EEXIST");
  field.set(context.state, IRQCHIP.SPLIT);
  context.say("only the local APICs are in the kernel");
  return NEXT;
});

export const irqchipSteps = { create_irqchip: createIrqchip, enable_cap: splitIrqchip };
export const vcpuLockSteps = { lock_vcpu: lockVcpu, lock_vcpus: lockVcpus, unlock_vcpus: unlockVcpus };
export const createVcpuSteps = { count_vcpu: countVcpu, create_td_vcpu: createTdVcpu };
export const addVcpuStep = add;
export const terminateSteps = { terminate };
