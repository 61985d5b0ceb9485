// Guest code of a TD: loads and stores through the vCPU's TLB and the secure EPT, and what the guest asks of the host. A vCPU that is outside is entered first;
// it stays inside until it exits, is kicked, or its actor's block ends (td_dispatcher/vm_exits/td_ept_violation.c).

import { formatAddress } from "../../base/units.ts";
import type { Result } from "../../scenario/program.ts";
import type { Region } from "../layout.ts";
import { BLOCKED, type Context, NEXT, type StepCode } from "../machine.ts";
import { PAGES_OF_BLOCK } from "../objects.ts";
import { ZERO } from "../plan.ts";
import { frameBehind } from "./blocks.ts";
import { walkTo } from "./checks.ts";
import { dieInside, exitTd, isInside, vpEnter } from "./enter.ts";
import { AS_FOUND, byteIn, MACHINE_CHECK, tdMayTouch } from "./hardware.ts";
import { actionOf, beforeLeaf, EEQ, goOn, leaveDead, targetOf, tdOfContext, vcpuOf, violation, violationResult } from "./inside.ts";
import { expectByte, judgeLoad } from "./integrity.ts";
import { leafSteps, statusResult } from "./leaf.ts";
import { attributeSteps } from "./page-attributes.ts";
import type { SeptEntry, TdState, TdVcpuState, TdxState } from "./state.ts";
import { forgetViolations } from "./stepping.ts";
import { LEVEL, SEPT, SEPT_NAMES, VCPU } from "./tables.ts";
import { tdcallSteps } from "./tdcall.ts";

export type { GuestExits, TdAction } from "./inside.ts";

/** TDH.VP.ENTER in front of an action of a vCPU that is outside. */
const enter = leafSteps({
  // Only one that an interrupt has put out of a leaf still rests inside.
  of: (context) => ({ leaf: vpEnter, registers: { tdvpr: actionOf(context).page(context.state), stays: vcpuOf(context).rests.get(context.state) === 1 } }),
  answered(context, status, _output, gpa) {
    if (gpa !== undefined) return context.done(violationResult(gpa, EEQ.NONE));
    return status.status === "TDX_SUCCESS" ? NEXT : context.always(statusResult(status));
  },
});

const gpaText = (context: Context): string => `gpa ${formatAddress(targetOf(context).gpa)}`;
const VE: Result = { kind: "exception", exception: "#VE" };
const PAGE_FAULT: Result = { kind: "exception", exception: "#PF" };

/** The translation goes into the TLB: of a large page for every page in it. */
function fill({ machine, state }: Context, vcpu: TdVcpuState, entry: SeptEntry, gfn: number): void {
  const tdx = machine.tdx as TdxState;
  if (entry.level === LEVEL.PT) return void vcpu.tlb.get(gfn)?.set(state, entry.frame.get(state));
  for (const [at, field] of vcpu.tlb) if (at >= entry.gfn && at < entry.gfn + PAGES_OF_BLOCK) field.set(state, frameBehind(tdx, state, entry, at));
}

/** The frame behind a private page: the TLB's, else the secure EPT's; undefined where the access ends otherwise, in `context`'s answer. */
function translate(context: Context, vcpu: TdVcpuState, td: TdState): number | { readonly answer: number } {
  const { state } = context;
  const { gfn } = targetOf(context);
  const cached = vcpu.tlb.get(gfn);
  const hit = cached?.get(state) ?? 0;
  if (hit > 0) return hit;
  const entry = walkTo(td, state, gfn, LEVEL.PT);
  const entryState = entry?.state.get(state) ?? SEPT.FREE;
  if (entry && entryState === SEPT.MAPPED) {
    fill(context, vcpu, entry, gfn);
    return frameBehind(context.machine.tdx as TdxState, state, entry, gfn);
  }
  if (context.telling) context.say(`${gpaText(context)}: secure EPT level ${entry?.level} is ${SEPT_NAMES[entryState]}`);
  if (entryState !== SEPT.PENDING) return { answer: violation(context, EEQ.NONE) };
  if (td.veDisable.get(state) === 1) return { answer: violation(context, EEQ.PENDING_EPT_VIOLATION) };
  const dead = leaveDead(context);
  if (dead !== undefined) return { answer: dead };
  context.say("a pending page: #VE in the guest");
  return { answer: goOn(context, VE) };
}

const ACCESS_WRITES: readonly Region[] = ["td", "module", "tlb", "content"];

/** One load or store; translating and touching are one. */
const access: StepCode = {
  reads: ["td", "sept", "tlb", "content"],
  writes: ACCESS_WRITES,
  jumps: ["vp_acquire", "td_leave"],
  events: true,
  run(context) {
    const { machine, state } = context;
    const { byte, range, value } = actionOf(context);
    const vcpu = vcpuOf(context);
    if (!isInside(state, vcpu)) return context.jump("vp_acquire");
    const td = tdOfContext(context);
    const { shared, beyond, gfn } = targetOf(context);
    if (beyond) {
      const dead = leaveDead(context);
      if (dead !== undefined) return dead;
      context.say("a bit above the shared one is reserved in the guest's page tables");
      return goOn(context, PAGE_FAULT);
    }
    if (shared) {
      const { exits } = actionOf(context);
      if (exits) return exits.shared(context);
      context.say("a shared address, and the shared EPT maps nothing");
      return violation(context, EEQ.NONE);
    }
    const frame = translate(context, vcpu, td);
    if (typeof frame !== "number") return frame.answer;
    if (!tdMayTouch(machine, state, frame, byte)) {
      context.say(`frame ${frame} has a line that is not the TD's any more: poison, and a machine check`);
      machine.emit("poison-read", frame);
      dieInside(machine, state, vcpu);
      return actionOf(context).exits?.machineCheck(context) ?? context.always(MACHINE_CHECK);
    }
    const content = machine.frames[frame].content[range];
    if (value === undefined) {
      const found = content.get(state);
      judgeLoad(machine, state, td, gfn, range, frame, found);
      if (context.telling) context.say(`loads from frame ${frame}`);
      const read = byteIn(found);
      return goOn(context, read < 0 ? AS_FOUND : { kind: "value", value: BigInt(read) });
    }
    content.set(state, value);
    expectByte(state, td, gfn, range, value);
    machine.tdx?.lines[frame].privateDirty.set(state, td.key.get(state) + 1);
    if (machine.options.taint) machine.frames[frame].tainted.set(state, 1);
    if (context.telling) context.say(`stores 0x${value.toString(16)} into frame ${frame}`);
    return goOn(context, ZERO);
  },
};

/** The end of the block: an exit that changes nothing else. */
const leave: StepCode = {
  reads: ["td"],
  writes: ["td", "module"],
  jumps: [],
  run(context) {
    exitTd(context.machine, context.state, vcpuOf(context));
    context.say("leaves the guest");
    return NEXT;
  },
};

/** TDG.VP.VMCALL: the guest asks the host, and leaves. */
const vmcall: StepCode = {
  reads: ["td"],
  writes: ["td", "module"],
  jumps: ["vp_acquire"],
  run(context) {
    const elsewhere = beforeLeaf(context);
    if (elsewhere !== undefined) return elsewhere;
    forgetViolations(vcpuOf(context), context.state);
    exitTd(context.machine, context.state, vcpuOf(context));
    return context.always(actionOf(context).exit as Result);
  },
};

/** HLT is a #VE for the module, whose handler may ask the host to wait: TDG.VP.VMCALL.HLT (tdx_td_dispatcher.c td_generic_ve_exit). */
const halt: StepCode = {
  reads: ["td"],
  writes: ["td", "module"],
  jumps: ["vp_acquire", "td_leave"],
  run(context) {
    const elsewhere = beforeLeaf(context);
    if (elsewhere !== undefined) return elsewhere;
    context.say("HLT: #VE in the guest");
    return goOn(context, VE);
  },
};

/** The call begins, so that a kick from here on ends it. */
const run: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    context.say("runs on");
    return NEXT;
  },
};

const KICKED: Result = { kind: "exit", exit: "EXIT_REASON_EXTERNAL_INTERRUPT", fields: [] };

const NOT_ACCESSIBLE = statusResult({ status: "TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE" });

/** The vCPU rests in the guest; a kick has put it out. Out of a TD that has died by then it leaves without a look at its structures, where it stays ACTIVE. */
const rest: StepCode = {
  reads: ["td"],
  writes: [],
  jumps: [],
  run(context) {
    const vcpu = vcpuOf(context);
    if (isInside(context.state, vcpu)) return BLOCKED;
    return context.always(vcpu.state.get(context.state) === VCPU.ACTIVE ? NOT_ACCESSIBLE : KICKED);
  },
};

export const guestSteps = {
  vp_acquire: enter.acquire,
  vp_enter: enter.commit,
  td_access: access,
  td_leave: leave,
  ...tdcallSteps,
  ...attributeSteps,
  td_hlt: halt,
  td_vmcall: vmcall,
  td_run: run,
  td_rest: rest,
};
