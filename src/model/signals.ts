// signal(actor): a signal with a handler becomes pending. Where the kernel looks at signal_pending() a call answers EINTR; none of these asks to be restarted,
// so that user space sees it whatever SA_RESTART says. On its way back to user space the thread takes the signal.

import type { ActorId, Call, CallId, Result } from "../scenario/program.ts";
import { isDying } from "./ends.ts";
import { type Context, type Machine, NEXT, type Plan, type Shape, type StepCode } from "./machine.ts";
import { plan, ZERO } from "./plan.ts";
import { Reach } from "./scope.ts";

/** What a step that looks at signal_pending() touches besides. */
export const INTERRUPTIBLE: Shape = { reads: ["signal"], writes: [], returns: true };

export const INTERRUPTED: Result = { kind: "errno", errno: "EINTR" };

export function planSignal(machine: Machine, id: CallId, call: Call): Plan {
  const [target] = call.operands;
  const actor: ActorId = target?.kind === "int" ? Number(target.value) : 0;
  return plan(id, call, {
    operations: ["signal"],
    success: ZERO,
    data: actor,
    scope: () => new Reach(machine).operands(call).signal(actor).scope(),
  });
}

const sendSignal: StepCode = {
  reads: [],
  writes: ["signal"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, plan: own } = context;
    const actor = own.data as ActorId;
    machine.processes.signals[actor]?.pending.set(state, 1);
    context.say(`a signal is pending for ${machine.program.actors[actor].name}`);
    return NEXT;
  },
};

export const signalSteps = { send_signal: sendSignal };

/** Somebody sends signals to this actor. */
export const isSignalled = ({ machine, thread }: Context): boolean => machine.processes.signals[thread.index] !== undefined;

/** signal_pending(current). */
export const signalPending = ({ machine, state, thread }: Context): boolean => machine.processes.signals[thread.index]?.pending.get(state) === 1;

/** fatal_signal_pending(current): somebody ends the process that the thread is in. */
export const isKilled = (context: Context): boolean => isKillable(context) && isDying(context.machine, context.state, context.thread.index);

/** Somebody may end the process of this actor. */
export const isKillable = ({ machine, thread }: Context): boolean =>
  machine.processes.lives.length > 0 && machine.processes.signals[thread.index] !== undefined;

/**
 * Whether KVM_RUN returns with EINTR and KVM_EXIT_INTR in place of this access: vcpu_run looks before each entry to the guest. A vCPU that is in the guest
 * leaves it with the interrupt that the signal sends along, and until that arrives its accesses go on: a free choice.
 */
export function leavesForSignal(context: Context): boolean {
  const { machine, state, thread } = context;
  const signal = machine.processes.signals[thread.index];
  if (signal?.pending.get(state) !== 1) return false;
  const stays = thread.operation.get(state) === 0 && thread.at.get(state) > 0 && signal.inGuest.get(state) === 1;
  return !stays || context.pick(2) === 0;
}

/** Kinds of answers that guest code gets: from an access, from a leaf of the TDX module, from its own #VE handler. */
const GUEST_SEES: ReadonlySet<Result["kind"]> = new Set(["value", "found", "status", "exception"]);

/** When a call returns its thread takes the signal; a guest's access that ends in the guest returns to nobody. */
export function deliver(machine: Machine, state: Int32Array, actor: ActorId, result: Result): void {
  const signal = machine.processes.signals[actor];
  if (!signal) return;
  const inGuest = machine.program.actors[actor].kind === "vcpu" && GUEST_SEES.has(result.kind);
  signal.inGuest.set(state, inGuest ? 1 : 0);
  if (!inGuest) signal.pending.set(state, 0);
}
