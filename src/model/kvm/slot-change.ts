// What a KVM_SET_USER_MEMORY_REGION comes down to, given the slot that is there, and slots_lock (virt/kvm/kvm_main.c __kvm_set_memory_region).

import type { Errno } from "../../base/errno.ts";
import { asU64 } from "../../base/units.ts";
import type { Call, CallId, HandleId } from "../../scenario/program.ts";
import type { Field } from "../layout.ts";
import { BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { TASK_SIZE } from "../memory/mapping.ts";
import { intOf, KVM_MEM_READONLY, objectOfOperand, type SlotConfig } from "../objects.ts";
import { bound, plan, ZERO } from "../plan.ts";
import { isPrivateSlot } from "./kinds.ts";
import { slotScope } from "./scopes.ts";
import type { SlotState, VmState } from "./state.ts";

/** KVM_USER_MEM_SLOTS of x86; above 16 bits stands the address space, of which there is one without SMM (measured on 6.18.44). */
export const KVM_USER_MEM_SLOTS = 32764n;
export const KVM_MEM_MAX_NR_PAGES = 0x7fffffffn;

/** access_ok of a slot's host memory: its end lies at or below TASK_SIZE_MAX, or (Linux 6.4 to 6.11) anywhere in the lower half of 64 bits. */
export const isUserRange = (machine: Machine, address: bigint, size: bigint): boolean =>
  address + size <= (machine.features.user_address === "signed" ? (1n << 63n) - 1n : TASK_SIZE);

export interface SlotCall {
  readonly vm: number;
  readonly id: number;
  /** Undefined for a delete. */
  readonly config: SlotConfig | undefined;
  readonly fileHandle: number | undefined;
}

export const slotCallOf = (context: Context): SlotCall => context.plan.data as SlotCall;
export const vmOf = (context: Context): VmState => context.machine.vms[slotCallOf(context).vm];
export const slotOf = (context: Context): SlotState | undefined => vmOf(context).slots.find((slot) => slot.id === slotCallOf(context).id);

const NAME = "KVM_SET_USER_MEMORY_REGION";
const OPERATIONS = { create: `${NAME}.create`, delete: `${NAME}.delete`, move: `${NAME}.move`, flags: `${NAME}.flags` } as const;

type Due = { readonly kind: keyof typeof OPERATIONS | "nothing" } | { readonly kind: "refused"; readonly errno: Errno };

/**
 * Only the flags that the call gives are looked at (v4 12/12, v6 7/8, v9 8/8): without KVM_MEM_PRIVATE a slot that has it may be changed. 6.18 fixed that for
 * KVM_MEM_GUEST_MEMFD.
 */
function dueOf(context: Context): Due {
  const { machine, state } = context;
  const { config } = slotCallOf(context);
  const old = machine.objects.slots[(slotOf(context)?.config.get(state) ?? 0) - 1];
  if (!config) return old ? { kind: "delete" } : { kind: "refused", errno: "EINVAL" };
  if (!old) return { kind: "create" };
  if (isPrivateSlot(config) || (isPrivateSlot(old) && machine.features.clear_guest_memfd === "EINVAL")) return { kind: "refused", errno: "EINVAL" };
  const sameAddress = old.mapping === config.mapping && old.mappingPage === config.mappingPage && old.userspaceAddress === config.userspaceAddress;
  if (!sameAddress || old.pages !== config.pages || (old.flags ^ config.flags) & KVM_MEM_READONLY) return { kind: "refused", errno: "EINVAL" };
  if (old.gfn !== config.gfn) return { kind: "move" };
  return { kind: old.flags === config.flags ? "nothing" : "flags" };
}

function selectSlotOperation(context: Context): string {
  const due = dueOf(context);
  return OPERATIONS[due.kind === "refused" || due.kind === "nothing" ? "flags" : due.kind];
}

/** slots_lock of the VM that a call is about. */
const slotsLockOf = (machine: Machine, plan: Plan): readonly Field[] => [machine.vms[(plan.data as SlotCall).vm].slotsLock];

/** slots_lock; what the call comes down to is looked at again, for another thread may have changed the slots. */
export const lockSlots: StepCode = {
  reads: ["lock", "slot"],
  writes: ["lock"],
  jumps: [],
  switches: true,
  acquires: slotsLockOf,
  run(context) {
    const { machine, state, thread } = context;
    const { slotsLock } = vmOf(context);
    if (slotsLock.get(state) !== 0) return BLOCKED;
    const due = dueOf(context);
    if (due.kind === "refused") return context.fail(due.errno);
    if (due.kind === "nothing") return context.done(ZERO);
    context.operation = machine.operation(OPERATIONS[due.kind]);
    slotsLock.set(state, thread.index + 1);
    context.say("slots_lock taken");
    return NEXT;
  },
};

export function failUnlocked(context: Context, errno: Errno): number {
  vmOf(context).slotsLock.set(context.state, 0);
  return context.fail(errno);
}

/** The VM that a slot call is about, and the number of the slot in its low 32 bits. */
export const slotTarget = (machine: Machine, id: CallId, call: Call): { readonly vm: number | undefined; readonly slot: number } => ({
  vm: objectOfOperand(machine.program, machine.objects.vmOf, call.operands[0]),
  slot: Number(asU64(intOf(call, id, 1)) & 0xffffffffn),
});

/** The plan of a slot call; `refused`: what its arguments say, whatever the state. */
export function slotPlan(machine: Machine, id: CallId, call: Call, refused: Errno | undefined, fileHandle: HandleId | undefined): Plan {
  const { vm, slot } = slotTarget(machine, id, call);
  const config = machine.objects.slots[machine.objects.slotOf.get(id) ?? -1];
  return plan(id, call, {
    operations: Object.values(OPERATIONS),
    success: ZERO,
    reads: ["handle", "slot"],
    scope: () => slotScope(machine, call, vm, slot),
    data: { vm: vm ?? 0, id: slot, config, fileHandle } satisfies SlotCall,
    decode(context) {
      if (vm === undefined || !bound(machine, context.state, call.operands[0])) return "EBADF";
      if (refused) return refused;
      const address = call.operands[5];
      // A name of a failed mmap is a negative number, which no user address is.
      return address?.kind === "handle" && !bound(machine, context.state, address) ? "EINVAL" : undefined;
    },
    select: selectSlotOperation,
  });
}
