// Plans of what a vCPU of a TD does: its accesses, its leaves, its rest in the guest.

import { asU64 } from "../../base/units.ts";
import type { Call, CallId, Result } from "../../scenario/program.ts";
import { SHARED_BIT } from "../cuts.ts";
import type { Machine } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { plan } from "../plan.ts";
import type { Context, Plan } from "../step.ts";
import { isInside } from "./enter.ts";
import type { TdAction } from "./guest.ts";
import { SUCCESS, statusResult } from "./leaf.ts";
import { gfnOf, HIGHEST_GPA, SHARED_BIT_48, tdVcpuOfActor } from "./objects.ts";
import { hpaOf } from "./operands.ts";

/** By call: the operation of a vCPU that is outside, and of one that is inside. */
const OPERATIONS: Readonly<Record<string, readonly [outside: string, inside: string]>> = {
  "guest.load": ["TD.access.outside", "TD.access"],
  "guest.store": ["TD.access.outside", "TD.access"],
  "TDG.MEM.PAGE.ACCEPT": ["TDG.MEM.PAGE.ACCEPT.outside", "TDG.MEM.PAGE.ACCEPT"],
  "TDG.MEM.PAGE.ATTR.RD": ["TDG.MEM.PAGE.ATTR.RD.outside", "TDG.MEM.PAGE.ATTR.RD"],
  "TDG.VP.VMCALL.MAPGPA": ["TDG.VP.VMCALL.outside", "TDG.VP.VMCALL"],
  run: ["TD.rest.outside", "TD.rest"],
};

const TDVMCALL_MAP_GPA = 0x10001n;

/** The plan of a call by a vCPU of a TD; undefined for all other calls. */
export function guestPlan(machine: Machine, id: CallId, call: Call): Plan | undefined {
  const { tdx, program } = machine;
  const vcpu = tdx && tdVcpuOfActor(program, tdx.objects, call.actor);
  if (!tdx || !vcpu || vcpu.vcpu !== undefined || call.spec.startsWith("TDH.")) return undefined;
  const operations = Object.hasOwn(OPERATIONS, call.spec) ? OPERATIONS[call.spec] : undefined;
  if (!operations) throw new NotModelled(id, `what ${call.spec} does in a TD without KVM is not modelled`);
  const data = actionOfCall(machine, id, call, vcpu.index);
  const [outside, inside] = operations;
  return plan(id, call, {
    operations: [outside, inside],
    success: statusResult(SUCCESS),
    reads: ["td"],
    data,
    select: (context: Context) => (isInside(context.state, tdx.vcpus[data.vcpu]) ? inside : outside),
  });
}

export function actionOfCall(machine: Machine, id: CallId, call: Call, index: number): TdAction {
  const { tdx } = machine;
  const numbers = call.operands.map((operand) => (operand.kind === "int" ? operand.value : 0n));
  const raw = asU64(numbers[0] ?? 0n);
  const shared = (raw & (SHARED_BIT | SHARED_BIT_48)) !== 0n;
  const gpa = raw & ~SHARED_BIT & ~SHARED_BIT_48;
  if (gpa > HIGHEST_GPA) throw new NotModelled(id, "an address beyond the guest's address width is a page fault in the guest, which is not modelled");
  const byte = Number(gpa & 4095n);
  const touches = call.spec === "guest.load" || call.spec === "guest.store";
  const handle = tdx?.objects.vcpus[index].handle as number;
  return {
    vcpu: index,
    page: hpaOf(machine, id, { kind: "handle", handle, offset: 0n }),
    last: endsBlock(machine, id),
    gpa,
    gfn: gfnOf(raw),
    shared,
    high: (raw & SHARED_BIT_48) !== 0n && (raw & SHARED_BIT) === 0n,
    byte,
    range: touches ? machine.bytes.one(byte) : 0,
    value: call.spec === "guest.store" ? Number(numbers[1] & 0xffn) : undefined,
    level: call.spec === "TDG.MEM.PAGE.ACCEPT" ? Number(numbers[1] ?? 0n) : 0,
    ...(call.spec === "TDG.VP.VMCALL.MAPGPA" ? { exit: mapGpaExit(raw, asU64(numbers[1] ?? 0n)) } : {}),
  };
}

/** TDCALL is the reason of the exit; KVM finds the request in the guest's registers. */
function mapGpaExit(start: bigint, size: bigint): Result {
  const fields = [
    { name: "r11", value: TDVMCALL_MAP_GPA },
    { name: "r12", value: start },
    { name: "r13", value: size },
  ];
  return { kind: "exit", exit: "EXIT_REASON_TDCALL", fields };
}

/** Whether a call is the last of its actor's block: in a `parallel` of all that the actor does there, else of its run of statements. */
function endsBlock(machine: Machine, id: CallId): boolean {
  const { actor } = machine.program.calls[id];
  for (const segment of machine.segments) {
    const list = segment.parallel ? segment.threads[actor] : segment.sequence;
    const at = list.findIndex((instruction) => instruction.call === id);
    if (at < 0) continue;
    for (const next of list.slice(at + 1)) {
      if (next.actor !== actor) return true;
      if (next.call !== undefined) return false;
    }
    return true;
  }
  return true;
}
