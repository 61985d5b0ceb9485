// What a vCPU of an ordinary VM does beside its accesses: `hlt()` and `run()` (arch/x86/kvm/x86.c kvm_emulate_halt, vcpu_run). No scenario makes an interrupt
// controller in the kernel, so HLT leaves KVM_RUN; and a kick by KVM itself puts the vCPU back into the guest, so that only a signal ends a rest.

import type { Call, CallId, Result } from "../../scenario/program.ts";
import { BOUND } from "../handles.ts";
import { BLOCKED, type Machine, type Plan, type StepCode } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { Reach } from "../scope.ts";
import { INTERRUPTIBLE, leavesForSignal, signalPending } from "../signals.ts";
import { interrupt } from "./access.ts";

const HALTED: Result = { kind: "exit", exit: "KVM_EXIT_HLT", fields: [] };

export function planRest(machine: Machine, id: CallId, call: Call): Plan {
  const { handle } = machine.program.actors[call.actor];
  if (handle === undefined || !machine.objects.vcpus.some((vcpu) => vcpu.handle === handle))
    throw new NotModelled(id, `${call.spec}() needs a vCPU that KVM_CREATE_VCPU on a known VM makes`);
  return plan(id, call, {
    operations: [call.spec === "hlt" ? "guest.hlt" : "guest.run"],
    success: ZERO,
    reads: ["handle"],
    scope: () => new Reach(machine).operands(call).scope(),
    decode: (context) => (machine.handles[handle].get(context.state) === BOUND ? undefined : "EBADF"),
  });
}

const halt: StepCode = {
  reads: [],
  writes: [],
  interruptible: INTERRUPTIBLE,
  jumps: [],
  run(context) {
    if (leavesForSignal(context)) return interrupt(context);
    context.say("the guest executes HLT: leaves KVM_RUN");
    return context.always(HALTED);
  },
};

const restInGuest: StepCode = {
  reads: [],
  writes: [],
  interruptible: INTERRUPTIBLE,
  jumps: [],
  run: (context) => (signalPending(context) ? interrupt(context) : BLOCKED),
};

export const restSteps = { halt, rest_in_guest: restInGuest };
