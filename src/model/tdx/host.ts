// What the host does to memory and processors below the module: flushes and resets of a page, a write that misses the cache, an interrupt for a vCPU.

import type { Call, CallId } from "../../scenario/program.ts";
import { BLOCKED, type Context, type Machine, type Plan, type StepCode } from "../machine.ts";
import { intOf, NotModelled } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { framesNamed, pagesText } from "./blocks.ts";
import { exitTd, isInside } from "./enter.ts";
import { AS_FOUND, flushShared, hostRead, judgeHostAccess, MACHINE_CHECK, partialWrite, refuseOwnPage, resetPage } from "./hardware.ts";
import { hpaOf } from "./operands.ts";

/** The plan data of an operation on a frame. */
interface OnFrame {
  readonly frame: (state: Int32Array) => number;
  /** The name of memory of 2 MB alone: all of it. */
  readonly whole: boolean;
  readonly byte: number;
  readonly value: number;
}

const FRAME_CALLS: ReadonlySet<string> = new Set(["load_frame", "clflush", "movdir64b", "movnti"]);

export function hostPlan(machine: Machine, id: CallId, call: Call): Plan | undefined {
  if (call.spec === "kick") return kickPlan(machine, id, call);
  if (!FRAME_CALLS.has(call.spec)) return undefined;
  if (!machine.tdx) throw new NotModelled(id, `${call.spec} is modelled for scenarios that use the TDX module`);
  const data: OnFrame = {
    frame: hpaOf(machine, id, call.operands[0]),
    whole: call.operands[0]?.kind === "handle" && call.operands[0].offset === 0n,
    byte: call.spec === "movnti" ? Number(intOf(call, id, 1) & 4095n) : 0,
    value: call.spec === "movnti" ? Number(intOf(call, id, 2) & 0xffn) : 0,
  };
  return plan(id, call, {
    operations: [call.spec],
    success: ZERO,
    reads: ["handle", "driver", "page"],
    data,
    decode: (context) => (data.frame(context.state) > 0 ? undefined : "EFAULT"),
  });
}

function kickPlan(machine: Machine, id: CallId, call: Call): Plan {
  const operand = call.operands[0];
  const made = operand?.kind === "handle" ? machine.tdx?.objects.vcpuOf.get(machine.program.handles[operand.handle].call) : undefined;
  if (made === undefined) throw new NotModelled(id, "kick takes a vCPU of a TD that the scenario builds itself; KVM kicks its own");
  return plan(id, call, { operations: ["kick"], success: ZERO, data: made });
}

const data = (context: Context): OnFrame => context.plan.data as OnFrame;

const onFrame = (run: (context: Context, frame: number) => number): StepCode => ({
  reads: ["driver", "handle", "page", "content", "pamt", "td"],
  writes: ["content"],
  jumps: [],
  events: true,
  run: (context) => run(context, data(context).frame(context.state)),
});

const loadFrame: StepCode = onFrame((context, frame) => {
  judgeHostAccess(context.machine, context.state, frame);
  const found = hostRead(context.machine, context.state, frame, 0);
  if (context.telling) context.say(`reads frame ${frame} with the shared key`);
  if (found === "#MC") return context.always(MACHINE_CHECK);
  return found < 0 ? context.always(AS_FOUND) : context.done({ kind: "value", value: BigInt(found) });
});

/** The frames that a call on whole pages means, and their name. */
function pagesOf(context: Context, frame: number): { readonly frames: readonly number[]; readonly text: string } {
  const { machine } = context;
  return data(context).whole
    ? { frames: framesNamed(machine, frame, undefined), text: pagesText(machine, frame, undefined) }
    : { frames: [frame], text: `frame ${frame}` };
}

const clflush: StepCode = onFrame((context, frame) => {
  const { machine, state } = context;
  const { frames, text } = pagesOf(context, frame);
  const dirty = frames.filter((one) => machine.tdx?.lines[one].sharedDirty.get(state) === 1);
  for (const one of dirty) {
    refuseOwnPage(machine, state, one, context.plan.id);
    flushShared(machine, state, one);
  }
  context.say(dirty.length > 0 ? `modified lines of ${text} reach memory` : `no line of ${text} was modified`);
  return context.always(ZERO);
});

const movdir64b: StepCode = onFrame((context, frame) => {
  const { frames, text } = pagesOf(context, frame);
  for (const one of frames) {
    judgeHostAccess(context.machine, context.state, one);
    refuseOwnPage(context.machine, context.state, one, context.plan.id);
    resetPage(context.machine, context.state, one);
  }
  context.say(`${text} is written line by line: zeros, nobody's`);
  return context.always(ZERO);
});

const movnti: StepCode = onFrame((context, frame) => {
  judgeHostAccess(context.machine, context.state, frame);
  refuseOwnPage(context.machine, context.state, frame, context.plan.id);
  const { byte, value } = data(context);
  const poisoned = partialWrite(context.machine, context.state, frame, byte, value);
  context.say(poisoned ? `part of a line of a TD is written: the line of frame ${frame} is poisoned` : `writes part of a line of frame ${frame}`);
  return context.always(ZERO);
});

/** An interprocessor interrupt, sent and acknowledged: a vCPU inside has left. It waits for a leaf of the guest, which no interrupt reaches. */
const kick: StepCode = {
  reads: ["td"],
  writes: ["td", "module"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const vcpu = machine.tdx?.vcpus[context.plan.data as number];
    if (vcpu?.leaf.get(state) !== 0) return BLOCKED;
    context.say(isInside(state, vcpu) ? `${vcpu.object.name} leaves the guest` : `${vcpu.object.name} is not in the guest`);
    exitTd(machine, state, vcpu);
    return context.always(ZERO);
  },
};

export const hostSteps = { load_frame: loadFrame, flush_lines: clflush, movdir64b, movnti, kick };
