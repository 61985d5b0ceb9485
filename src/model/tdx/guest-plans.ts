// Plans of what a vCPU of a TD does: its accesses, its leaves, its rest in the guest.

import { asU64 } from "../../base/units.ts";
import type { Call, CallId, Result } from "../../scenario/program.ts";
import type { Context, Machine, Plan } from "../machine.ts";
import { NotModelled, SHARED_BIT } from "../objects.ts";
import { plan } from "../plan.ts";
import { isInside } from "./enter.ts";
import type { TdAction } from "./guest.ts";
import type { Target } from "./inside.ts";
import { SUCCESS, statusResult } from "./leaf.ts";
import { HIGHEST_GPA, SHARED_BIT_48, tdVcpuOfActor } from "./objects.ts";
import { hpaOf } from "./operands.ts";
import { attributesWritten } from "./page-attributes.ts";
import { accessIndex } from "./stepping.ts";
import { LEVEL } from "./tables.ts";

const LEVELLED: ReadonlySet<string> = new Set(["TDG.MEM.PAGE.ACCEPT", "TDG.MEM.PAGE.ATTR.WR"]);

/** By call: the operation of a vCPU that is outside, and of one that is inside. */
const OPERATIONS: Readonly<Record<string, readonly [outside: string, inside: string]>> = {
  "guest.load": ["TD.access.outside", "TD.access"],
  "guest.store": ["TD.access.outside", "TD.access"],
  "TDG.MEM.PAGE.ACCEPT": ["TDG.MEM.PAGE.ACCEPT.outside", "TDG.MEM.PAGE.ACCEPT"],
  "TDG.MEM.PAGE.ATTR.RD": ["TDG.MEM.PAGE.ATTR.RD.outside", "TDG.MEM.PAGE.ATTR.RD"],
  "TDG.MEM.PAGE.ATTR.WR": ["TDG.MEM.PAGE.ATTR.WR.outside", "TDG.MEM.PAGE.ATTR.WR"],
  "TDG.VP.VMCALL.MAPGPA": ["TDG.VP.VMCALL.outside", "TDG.VP.VMCALL"],
  "TDG.VP.VMCALL.HLT": ["TDG.VP.VMCALL.outside", "TDG.VP.VMCALL"],
  hlt: ["TD.hlt.outside", "TD.hlt"],
  run: ["TD.rest.outside", "TD.rest"],
};

/** Of a page of 2 MB, which an interrupt may stop half-way. */
const LARGE = "TDG.MEM.PAGE.ACCEPT.large";

const TDVMCALL_MAP_GPA = 0x10001n;
/** The exit reason that the guest would have had. */
const TDVMCALL_HLT = 12n;

/** The plan of a call by a vCPU of a TD; undefined for all other calls. */
export function guestPlan(machine: Machine, id: CallId, call: Call): Plan | undefined {
  const { tdx, program } = machine;
  const vcpu = tdx && tdVcpuOfActor(program, tdx.objects, call.actor);
  if (!tdx || !vcpu || vcpu.vcpu !== undefined || call.spec.startsWith("TDH.")) return undefined;
  const operations = Object.hasOwn(OPERATIONS, call.spec) ? OPERATIONS[call.spec] : undefined;
  if (!operations) throw new NotModelled(id, `what ${call.spec} does in a TD without KVM is not modelled`);
  const data = actionOfCall(machine, id, call, vcpu.index);
  const large = call.spec === "TDG.MEM.PAGE.ACCEPT" && data.level === LEVEL.PD && tdx.blocks.length > 0;
  const [outside, inside] = large ? [LARGE, LARGE] : operations;
  return plan(id, call, {
    operations: outside === inside ? [inside] : [outside, inside],
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
  const byte = Number(raw & 4095n);
  const touches = call.spec === "guest.load" || call.spec === "guest.store";
  const handle = tdx?.objects.vcpus[index].handle as number;
  return {
    vcpu: index,
    page: hpaOf(machine, id, { kind: "handle", handle, offset: 0n }),
    last: endsBlock(machine, id),
    // Bit 51 stands for the shared bit in every TD.
    narrow: target(raw, SHARED_BIT | SHARED_BIT_48, SHARED_BIT_48),
    wide: target(raw, SHARED_BIT, SHARED_BIT),
    ...(tdx && touches ? { access: accessIndex(tdx.vcpus[index], call) } : {}),
    byte,
    range: touches ? machine.bytes.one(byte) : 0,
    value: call.spec === "guest.store" ? Number(numbers[1] & 0xffn) : undefined,
    level: LEVELLED.has(call.spec) ? Number(numbers[1] ?? 0n) : 0,
    ...(call.spec === "TDG.MEM.PAGE.ATTR.WR" ? { attributes: attributesWritten(asU64(numbers[2] ?? 0n), asU64(numbers[3] ?? 0n)) } : {}),
    ...exitOf(call, raw, asU64(numbers[1] ?? 0n)),
  };
}

/** `shared`: bits of which one makes the address a shared one; `top` the highest of the address width. */
export function target(raw: bigint, shared: bigint, top: bigint): Target {
  const gpa = raw & ~shared;
  return { gpa, gfn: Number((gpa & HIGHEST_GPA) >> 12n), shared: (raw & shared) !== 0n, beyond: gpa >= top * 2n };
}

/** TDG.VP.VMCALL: TDCALL is the reason of the exit; the host finds the request in the guest's registers. */
function exitOf({ spec }: Call, first: bigint, second: bigint): { readonly exit?: Result } {
  const exit = (...registers: readonly bigint[]): { readonly exit: Result } => {
    const fields = registers.map((value, index) => ({ name: `r${11 + index}`, value }));
    return { exit: { kind: "exit", exit: "EXIT_REASON_TDCALL", fields } };
  };
  if (spec === "TDG.VP.VMCALL.MAPGPA") return exit(TDVMCALL_MAP_GPA, first, second);
  return spec === "TDG.VP.VMCALL.HLT" ? exit(TDVMCALL_HLT, first) : {};
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
