// Frames by physical address: somebody else's allocation, and a write through the kernel's direct map (mm/page_alloc.c).

import type { Call, CallId } from "../scenario/program.ts";
import type { Machine } from "./machine.ts";
import { allocateFrame, framesLeft } from "./memory/frames.ts";
import { driverScope } from "./memory/scopes.ts";
import { intOf, NotModelled, objectOfOperand } from "./objects.ts";
import { bound, plan, ZERO } from "./plan.ts";
import { type Context, NEXT, type Plan, type StepCode } from "./step.ts";
import { hostFills, judgeHostAccess } from "./tdx/hardware.ts";

export function planTakeFrame(machine: Machine, id: CallId, call: Call): Plan {
  return plan(id, call, {
    operations: ["alloc_frame"],
    success: { kind: "handle", handle: "frame" },
    data: machine.objects.driverOf.get(id),
    scope: () => driverScope(machine, call, machine.objects.driverOf.get(id)),
  });
}

const driver = (context: Context) => context.machine.drivers[context.plan.data as number];

const takeFrame: StepCode = {
  reads: [],
  writes: ["driver", "content", "free"],
  jumps: [],
  run(context) {
    if (framesLeft(context.machine, context.state) === 0) return context.fail("ENOMEM");
    const frame = allocateFrame(context);
    driver(context).set(context.state, frame);
    context.say(`somebody else takes frame ${frame}`);
    return NEXT;
  },
};

export function planWriteFrame(machine: Machine, id: CallId, call: Call): Plan {
  const index = objectOfOperand(machine.program, machine.objects.driverOf, call.operands[0]);
  if (index === undefined) throw new NotModelled(id, "store_frame on anything but a frame of alloc_frame() is not modelled");
  const value = Number(intOf(call, id, 1) & 0xffn);
  return plan(id, call, {
    operations: ["store_frame"],
    success: ZERO,
    data: { index, value },
    reads: ["handle"],
    scope: () => driverScope(machine, call, index),
    decode: (context) => (bound(machine, context.state, call.operands[0]) ? undefined : "EFAULT"),
  });
}

const writeFrame: StepCode = {
  reads: ["driver", "pamt"],
  writes: ["content"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, state } = context;
    const { index, value } = context.plan.data as { index: number; value: number };
    const frame = machine.drivers[index].get(state);
    judgeHostAccess(machine, state, frame);
    for (const range of machine.frames[frame].content) range.set(state, value);
    hostFills(machine, state, frame);
    context.say(`its new owner fills frame ${frame} with 0x${value.toString(16)}`);
    return NEXT;
  },
};

export const physicalSteps = { take_frame: takeFrame, write_frame: writeFrame };
