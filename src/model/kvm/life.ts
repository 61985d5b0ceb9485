// The life of a VM (virt/kvm/kvm_main.c kvm_get_kvm, kvm_put_kvm, kvm_destroy_vm): its own descriptor, each vCPU and each guest_memfd hold it,
// and calls under way hold the descriptor that they were given. Whoever drops the last of them destroys it before returning to user space. That a VMM maps
// kvm_run, which holds the vCPU's file until it is unmapped, no scenario says.

import type { Call, CallId, HandleId } from "../../scenario/program.ts";
import type { Scope } from "../layout.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { dropPage, isReferenced } from "../memory/file.ts";
import { holdersOfVm } from "../names.ts";
import { descriptor, plan, ZERO } from "../plan.ts";
import { fieldsOf, isOpen } from "../processes.ts";
import { every, Reach } from "../scope.ts";
import { hasFreed } from "./gmem-state.ts";
import { zapAll } from "./notifier.ts";
import { vmOfHandle } from "./objects.ts";
import { LIFE, type VmState } from "./state.ts";

/** The operation that follows a call when it has dropped the last reference. */
export const DESTROY = "destroy_vm";

const lifeOf = (vm: VmState, state: Int32Array): number => vm.life?.get(state) ?? LIFE.ALIVE;

/** Host mappings that go are told to it. */
export function hears(vm: VmState, state: Int32Array): boolean {
  if (vm.orphan?.get(state) === 1) return false;
  const life = lifeOf(vm, state);
  return life <= LIFE.BEGUN || life === LIFE.LISTENING;
}

export const isAlive = (vm: VmState, state: Int32Array): boolean => lifeOf(vm, state) <= LIFE.KEPT;
export const isFreed = (vm: VmState, state: Int32Array): boolean => lifeOf(vm, state) >= LIFE.FREED;

/** Who works with a VM that has been freed. */
export function useVm(context: Context, vm: VmState): void {
  if (!isFreed(vm, context.state)) return;
  context.machine.emit("freed-vm", vm.object.index, context.thread.index);
  if (context.telling) context.say(`${vm.object.name} has been freed: use after free`);
}

/** A descriptor that nobody has a name for is never closed. */
export function keepVm(machine: Machine, state: Int32Array, index: number): void {
  const { life } = machine.vms[index];
  if (life?.get(state) === LIFE.ALIVE) life.set(state, LIFE.KEPT);
}

const holdsVm = (machine: Machine, state: Int32Array, file: number): boolean =>
  machine.features.gmem_vm === "held" && machine.files[file].installed.get(state) === 1 && !hasFreed(machine.files[file].gmem, state);

/** Who holds the VM, by name: its users_count is as many. */
function* holdersNow(machine: Machine, state: Int32Array, vm: number): Generator<string> {
  const { handles, files } = holdersOfVm(machine, vm);
  for (const handle of handles) if (isOpen(machine, state, handle)) yield machine.program.handles[handle].name;
  for (const file of files) if (holdsVm(machine, state, file)) yield machine.files[file].object.name;
  for (const { index } of machine.threads) if (isUnderWay(machine, state, index, vm)) yield `a call of ${machine.program.actors[index].name}`;
}

const isHeld = (machine: Machine, state: Int32Array, vm: number): boolean => holdersNow(machine, state, vm).next().done !== true;

/** Who holds the VM, by name; undefined where it can never come to an end. */
export function usersOf(machine: Machine, state: Int32Array, vm: number): string[] | undefined {
  const life = machine.vms[vm].life?.get(state);
  return life === undefined || life === LIFE.KEPT ? undefined : [...holdersNow(machine, state, vm)];
}

/** fdget: a call under way holds the file behind the descriptor that it was given. Who destroys the VM has put it. */
function isUnderWay(machine: Machine, state: Int32Array, actor: number, vm: number): boolean {
  const operation = machine.threads[actor].operation.get(state);
  if (operation === 0 || machine.operations[operation - 1].name === DESTROY) return false;
  return machine.planAt(state, actor)?.vm === vm;
}

/** Whether nobody holds the VM any more; from then on nobody else destroys it. */
export function beginDestroy(machine: Machine, state: Int32Array, index: number): boolean {
  const { life } = machine.vms[index];
  if (life?.get(state) !== LIFE.ALIVE || isHeld(machine, state, index)) return false;
  life.set(state, LIFE.BEGUN);
  return true;
}

/** What the return of a call on a VM that may be the last looks at, and changes. */
export const BEGIN_DESTROY = { reads: ["handle", "file", "control", "slot"], writes: ["slot"] } as const;

/** A call that is given a VM or a vCPU holds its descriptor, and may be the one that destroys the VM. */
export function withLife(machine: Machine, call: Call, made: Plan): Plan {
  const { program, objects } = machine;
  const actor = program.actors[call.actor];
  const given = call.operands.flatMap((operand) => (operand.kind === "handle" ? [operand.handle] : []));
  const all = [...given, ...(actor.kind === "vcpu" ? [actor.handle] : [])];
  const vm = all.map((handle) => vmOfHandle(program, objects, handle)).find((index) => index !== undefined);
  if (vm === undefined || machine.vms[vm]?.life === undefined) return made;
  const { scope } = made;
  return { ...made, vm, operations: [...made.operations, DESTROY], ...(scope ? { scope: () => both(scope(), destructionScope(machine, vm)) } : {}) };
}

function both(one: Scope, other: Scope): Scope {
  return (region) => {
    const [a, b] = [one(region), other(region)];
    return a === undefined || b === undefined ? undefined : [...new Set([...a, ...b])].sort((x, y) => x - y);
  };
}

/** All that the destruction of a VM reaches: who holds it, its slots, what they hold. */
function destructionScope(machine: Machine, index: number): Scope {
  const { handles, files } = holdersOfVm(machine, index);
  const reach = new Reach(machine).fields([machine.vms[index].life, machine.vms[index].slotsLock]).progress(every(machine.threads)).secondLevel(index);
  reach.fields(handles.flatMap((handle) => fieldsOf(machine, handle)));
  for (const file of files) reach.fields([machine.files[file].installed, machine.files[file].gmem?.released]);
  for (const config of machine.objects.slots) {
    if (config.vm !== index) continue;
    reach.slot(config);
    if (config.file !== undefined) reach.lifetime(config.file);
  }
  return reach.scope();
}

/** close of a VM or a vCPU: the descriptor goes, and with the last reference the VM. */
export function planCloseVm(machine: Machine, id: CallId, call: Call, handle: HandleId): Plan {
  return plan(id, call, {
    operations: ["close"],
    success: ZERO,
    decode: (context) => descriptor(machine, context, call.operands[0]),
    reads: ["handle"],
    scope: () => new Reach(machine).operands(call).scope(),
    data: handle,
  });
}

/** The VM that an operation destroys: of the call, or of the file that it releases. */
function dyingVm(context: Context): VmState | undefined {
  const { machine, plan: own } = context;
  return machine.vms[context.operation.name === DESTROY ? (own.vm ?? -1) : (machine.files[own.file]?.object.vm ?? -1)];
}

/** Steps of the destruction have nothing to do for a VM that somebody still holds. */
const destruction = (shape: Pick<StepCode, "reads" | "writes" | "events">, act: (context: Context, vm: VmState) => void): StepCode => ({
  ...shape,
  reads: [...shape.reads, "slot"],
  jumps: [],
  returns: false,
  run(context) {
    const vm = dyingVm(context);
    if (vm?.life && !isAlive(vm, context.state)) act(context, vm);
    return NEXT;
  },
});

/** kvm_gmem_release ends with kvm_put_kvm. */
const dropVm: StepCode = {
  reads: ["handle", "file", "control", "slot"],
  writes: ["slot"],
  jumps: ["free_pages"],
  returns: false,
  run(context) {
    const vm = dyingVm(context);
    const last = vm !== undefined && context.machine.features.gmem_vm === "held" && beginDestroy(context.machine, context.state, vm.object.index);
    context.say(last ? "the last reference on the VM is dropped: it is destroyed" : "the reference on the VM is dropped");
    return last ? NEXT : context.jump("free_pages");
  },
};

/** mmu_notifier_unregister, and with it kvm_flush_shadow_all. Between the halves of an invalidation the second one does not come any more. */
const unregisterNotifier = destruction(
  { reads: ["ept", "faults", "notifier"], writes: ["ept", "tlb", "faults", "notifier", "slot", "free"], events: true },
  (context, vm) => {
    const { machine, state } = context;
    zapAll(context, vm);
    if (vm.activeNotifiers.get(state) === 0 && vm.inProgress.get(state) > 0) machine.emit("destroyed-in-progress", vm.object.index);
    vm.activeNotifiers.set(state, 0);
    for (const field of [vm.inProgress, vm.rangeStart, vm.rangeEnd]) field.set(state, 0);
    vm.life?.set(state, LIFE.UNREGISTERED);
    context.say("the MMU notifier is unregistered, every mapping of the VM is gone");
  },
);

const destroyVcpus = destruction({ reads: [], writes: ["srcu"] }, (context, vm) => {
  for (const vcpu of context.machine.vcpus) if (vcpu.object.vm === vm.object.index) vcpu.reader.set(context.state, 0);
  context.say("the vCPUs are freed");
});

/** kvm_free_memslots: the slots of the series drop their private file; those with a guest_memfd have been left by it, for it held the VM. */
const freeSlots = destruction(
  { reads: ["handle", "pte", "control", "reference", "page", "file"], writes: ["slot", "page", "uptodate", "free", "content"] },
  (context, vm) => {
    const { machine, state } = context;
    for (const slot of vm.slots) {
      const old = machine.objects.slots[slot.bound.get(state) - 1];
      for (const field of [slot.config, slot.invalid, slot.bound]) field.set(state, 0);
      slot.gmem?.file.set(state, 0);
      const file = old?.file === undefined || old.guestMemfd ? undefined : machine.files[old.file];
      if (file && !isReferenced(machine, state, file)) file.frames.forEach((field, cell) => void (field.get(state) > 0 && dropPage(context, file, cell)));
    }
    context.say("the slots are freed, and what they held");
  },
);

const freeVm = destruction({ reads: [], writes: ["slot"] }, (context, vm) => {
  vm.life?.set(context.state, vm.life.get(context.state) === LIFE.UNREGISTERED ? LIFE.FREED : LIFE.LISTENING);
  context.say("the VM is freed");
});

export const lifeSteps = {
  drop_vm: dropVm,
  unregister_notifier: unregisterNotifier,
  destroy_vcpus: destroyVcpus,
  free_slots: freeSlots,
  free_vm: freeVm,
};
