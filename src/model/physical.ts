// Frames by physical address: somebody else's allocation, and a write through the kernel's direct map (mm/page_alloc.c).

import type { Call, CallId } from "../scenario/program.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "./machine.ts";
import { allocateFrame, framesLeft } from "./memory/frames.ts";
import { driverScope } from "./memory/scopes.ts";
import { intOf, NotModelled, objectOfOperand } from "./objects.ts";
import { bound, plan, ZERO } from "./plan.ts";
import { framesNamed, pageInBlock, pagesText } from "./tdx/blocks.ts";
import { hostFills, judgeHostAccess, refuseOwnPage } from "./tdx/hardware.ts";
import type { Block, TdxState } from "./tdx/state.ts";

export function planTakeFrame(machine: Machine, id: CallId, call: Call): Plan {
  const index = machine.objects.driverOf.get(id) as number;
  if (machine.objects.drivers[index].pages > 1 && !machine.tdx) throw new NotModelled(id, "alloc_frame(2M) is modelled for scenarios that use the TDX module");
  return plan(id, call, {
    operations: ["alloc_frame"],
    success: { kind: "handle", handle: "frame" },
    data: index,
    scope: () => driverScope(machine, call, index),
  });
}

const driver = (context: Context) => context.machine.drivers[context.plan.data as number];

/** Memory of 2 MB is the call's own, as it has been found: blocks are alike until somebody has them, and no other call takes one. */
function blockOf({ machine, plan }: Context): Block {
  const index = machine.objects.drivers.filter(({ pages }) => pages > 1).findIndex((one) => one.index === plan.data);
  return (machine.tdx as TdxState).blocks[index];
}

const takeFrame: StepCode = {
  reads: [],
  writes: ["driver", "content", "free"],
  jumps: [],
  run(context) {
    const { pages } = context.machine.objects.drivers[context.plan.data as number];
    if (framesLeft(context.machine, context.state) < pages) return context.fail("ENOMEM");
    const frame = pages > 1 ? blockOf(context).first : allocateFrame(context);
    driver(context).set(context.state, frame);
    context.say(`somebody else takes frame ${frame}`);
    return NEXT;
  },
};

export function planWriteFrame(machine: Machine, id: CallId, call: Call): Plan {
  const index = objectOfOperand(machine.program, machine.objects.driverOf, call.operands[0]);
  if (index === undefined) throw new NotModelled(id, "store_frame on anything but a frame of alloc_frame() is not modelled");
  const value = Number(intOf(call, id, 1) & 0xffn);
  const page = pageInBlock(machine, id, call.operands[0]);
  return plan(id, call, {
    operations: ["store_frame"],
    success: ZERO,
    data: { index, value, page },
    reads: ["handle"],
    scope: () => driverScope(machine, call, index),
    decode: (context) => (bound(machine, context.state, call.operands[0]) ? undefined : "EFAULT"),
  });
}

const writeFrame: StepCode = {
  reads: ["driver", "pamt", "td"],
  writes: ["content"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, state } = context;
    const { index, value, page } = context.plan.data as { index: number; value: number; page: number | undefined };
    const first = machine.drivers[index].get(state);
    for (const frame of framesNamed(machine, first, page)) {
      judgeHostAccess(machine, state, frame);
      refuseOwnPage(machine, state, frame, context.plan.id);
      for (const range of machine.frames[frame].content) range.set(state, value);
      hostFills(machine, state, frame);
    }
    if (context.telling) context.say(`its owner fills ${pagesText(machine, first, page)} with 0x${value.toString(16)}`);
    return NEXT;
  },
};

export const physicalSteps = { take_frame: takeFrame, write_frame: writeFrame };
