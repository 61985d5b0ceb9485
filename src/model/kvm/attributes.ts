// KVM_SET_MEMORY_ATTRIBUTES from 6.8 on (virt/kvm/kvm_main.c kvm_vm_ioctl_set_mem_attributes, kvm_vm_set_mem_attributes): the mappings go
// before the attributes change, and faults on the range try again until all of them are stored.

import { asU64, formatAddress, isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { AGAIN, type Context, type Machine, NEXT, type Plan, type Shape, type StepCode } from "../machine.ts";
import { intOf, objectOfOperand } from "../objects.ts";
import { bound, plan, ZERO } from "../plan.ts";
import { Reach } from "../scope.ts";
import { hasWritten, needsNode } from "./entries.ts";
import { hasPrivateMemory } from "./gmem-file.ts";
import { slotsLockSteps } from "./gmem-invalidate.ts";
import type { Conversion } from "./notifier.ts";
import type { VmState } from "./state.ts";

const KVM_MEMORY_ATTRIBUTE_PRIVATE = 8n;
const NAME = "KVM_SET_MEMORY_ATTRIBUTES";

export function planGmemAttributes(machine: Machine, id: CallId, call: Call): Plan {
  const vm = objectOfOperand(machine.program, machine.objects.vmOf, call.operands[0]);
  const [address, size, attributes, flags] = [1, 2, 3, 4].map((index) => asU64(intOf(call, id, index)));
  const supported = vm !== undefined && hasPrivateMemory(machine, vm) ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0n;
  const wraps = size === 0n || asU64(address + size) <= address;
  const wrong = flags !== 0n || (attributes & ~supported) !== 0n || wraps || !isPageAligned(address) || !isPageAligned(size);
  const [from, to] = [Number(address >> 12n), Number((address + size) >> 12n)];
  const data: Conversion = { vm: vm ?? 0, from, to, private: attributes !== 0n };
  const cells = wrong || vm === undefined || supported === 0n ? [] : machine.vms[vm].cells.range(from, to);
  return plan(id, call, {
    operations: [NAME],
    success: ZERO,
    data,
    reads: ["handle"],
    cells,
    finish: (context, result) => judgeConversion(context, result.kind === "errno"),
    scope: () => attributesScope(machine, call, vm, cells),
    decode(context) {
      if (vm === undefined || !bound(machine, context.state, call.operands[0])) return "EBADF";
      // A VM without private memory has no attribute that could be set.
      return wrong || supported === 0n ? "EINVAL" : undefined;
    },
  });
}

function attributesScope(machine: Machine, call: Call, index: number | undefined, cells: readonly number[]): ReturnType<Reach["scope"]> {
  const reach = new Reach(machine).operands(call);
  if (index === undefined) return reach.scope();
  const vm = machine.vms[index];
  for (const config of machine.objects.slots) if (config.vm === index) reach.slot(config);
  return reach
    .fields([vm.slotsLock, ...cells.map((cell) => vm.converted[cell])])
    .fields(machine.features.entry_memory === "may_run_out" ? [...vm.converted, ...vm.writers] : [])
    .secondLevel(index)
    .scope();
}

const conversion = (context: Context): Conversion => context.plan.data as Conversion;
const vmOf = (context: Context): VmState => context.machine.vms[conversion(context).vm];

const { lock: lockSlots, unlock: unlockSlots } = slotsLockSteps((machine, plan) => machine.vms[(plan.data as Conversion).vm]);

/** Nothing is zapped where every gfn has the attributes already. */
const same: StepCode = {
  reads: ["kind"],
  writes: [],
  jumps: ["unlock_slots"],
  returns: false,
  run(context) {
    const { machine, state, plan } = context;
    const wanted = conversion(context).private ? 1 : 0;
    if (plan.cells.some((cell) => vmOf(context).converted[cell].get(state) !== wanted)) {
      context.say("some gfn has other attributes");
      return NEXT;
    }
    context.say("every gfn has these attributes already: nothing to do");
    if (machine.options.conversionGhost) context.thread.stored.set(state, plan.cells.length);
    return context.jump("unlock_slots");
  },
};

/** xa_reserve, so that no store behind it can fail; where memory runs out, nothing has changed. */
const reserve: StepCode = {
  reads: ["kind"],
  writes: [],
  jumps: ["unlock_slots"],
  narrow: (context) => (context.machine.features.entry_memory === "enough" ? NOTHING : undefined),
  run(context) {
    const { machine, plan } = context;
    const vm = vmOf(context);
    const needy = machine.features.entry_memory === "may_run_out" && plan.cells.some((cell) => needsNode(context, vm, cell));
    if (needy && context.pick(2) === 1) {
      context.say("no memory for the entries");
      if (!context.operation.labels.has("unlock_slots")) return context.fail("ENOMEM");
      context.remember({ kind: "errno", errno: "ENOMEM" });
      return context.jump("unlock_slots");
    }
    context.say("an entry is reserved for each gfn");
    return NEXT;
  },
};

const NOTHING: Shape = { reads: [], writes: [], returns: false };

/** One gfn after the other, outside mmu_lock. */
const store: StepCode = {
  reads: [],
  writes: ["kind"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, thread } = context;
    const { private: toPrivate } = conversion(context);
    const vm = vmOf(context);
    vm.converted[context.cell].set(state, toPrivate ? 1 : 0);
    if (machine.options.conversionGhost) thread.stored.set(state, thread.stored.get(state) + 1);
    if (context.telling) context.say(`gfn ${formatAddress(BigInt(vm.cells.start(context.cell)))} is ${toPrivate ? "private" : "shared"} from here on`);
    return context.each() === AGAIN ? AGAIN : NEXT;
  },
};

/** A conversion that answers 0 has stored each gfn of its range, one that fails none: `conversion-atomic`. */
export function judgeConversion(context: Context, failed: boolean): void {
  if (!context.machine.options.conversionGhost) return;
  const { machine, plan } = context;
  const stored = context.thread.stored.get(context.state);
  const vm = machine.vms[(plan.data as Conversion).vm];
  const changed = (): boolean => stored > 0 && (vm.writers.length === 0 || hasWritten(context, vm, plan.cells));
  if (failed ? changed() : stored < plan.cells.length) machine.emit("conversion-torn", plan.id, failed ? 1 : 0);
}

export const attributeSteps = { lock_slots: lockSlots, unlock_slots: unlockSlots, same, reserve, store };
