// What a vCPU of a TD behind a VM of KVM does: KVM_RUN enters it, its access or its leaf runs in the guest, and KVM handles the exits (arch/x86/kvm/vmx/tdx.c
// tdx_vcpu_pre_run, tdx_vcpu_run, tdx_handle_exit, tdx_handle_ept_violation).

import { TDX_STATUS, type TdxStatus, tdxStatusWord } from "../../base/tdx-status.ts";
import { asU64, formatAddress } from "../../base/units.ts";
import type { Call, CallId, Result } from "../../scenario/program.ts";
import { BOUND } from "../handles.ts";
import { BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { writeRange } from "../memory/frames.ts";
import { intOf, NotModelled, SHARED_BIT } from "../objects.ts";
import { byteResult, plan, ZERO } from "../plan.ts";
import { Reach } from "../scope.ts";
import { INTERRUPTIBLE, signalPending } from "../signals.ts";
import { exitTd, isInside } from "../tdx/enter.ts";
import { guestSteps, type TdAction } from "../tdx/guest.ts";
import { actionOfCall, target } from "../tdx/guest-plans.ts";
import { hostRead } from "../tdx/hardware.ts";
import { isRefused } from "../tdx/leaf.ts";
import { forgetViolations, logViolation } from "../tdx/stepping.ts";
import { VCPU } from "../tdx/tables.ts";
import { interrupt, letsPass } from "./access.ts";
import { mismatchExit, mmioExit } from "./exits.ts";
import type { GuestAccess } from "./notifier.ts";
import { guestScope } from "./scopes.ts";
import { PRIVATE, SHARED } from "./state.ts";
import { isBusy, isSuccess, kvmLeaf, tdOf, tdsOf, vcpusOf } from "./tdx-leaf.ts";
import { isTdVm, sharedBitOf } from "./tdx-objects.ts";
import { isDead } from "./tdx-plans.ts";
import { type KvmTdVcpu, TD_STATE } from "./tdx-state.ts";
import { MUTEX, mayRun, withMutex } from "./tdx-vcpus.ts";

/** A guest's access or leaf as KVM sees it, and as the guest does. */
export interface TdAccess extends GuestAccess {
  /** The plan with the `TdAction` of guest code in its data. */
  readonly action: Plan;
}

export const accessOf = (context: Context): TdAccess => context.plan.data as TdAccess;
export const kvmVcpuOf = (context: Context): KvmTdVcpu => tdsOf(context.machine).vcpus[accessOf(context).vcpu] as KvmTdVcpu;

const OPERATIONS: Readonly<Record<string, string>> = {
  "guest.load": "fault.td",
  "guest.store": "fault.td",
  "TDG.MEM.PAGE.ACCEPT": "accept.td",
  "TDG.MEM.PAGE.ATTR.RD": "attributes.td",
  "TDG.MEM.PAGE.ATTR.WR": "attributes.td",
  hlt: "hlt.td",
  run: "run.td",
};

const WITHOUT_ADDRESS: ReadonlySet<string> = new Set(["run", "hlt"]);
/** What the vCPU does once it is in the guest, by the first step. */
const BODIES = ["td_access", "accept_walk", "attributes_acquire", "td_hlt", "td_rest", "exit_hypercall"] as const;

/** The plan of guest code of a TD behind KVM; undefined for any other call. */
export function planTdAccess(machine: Machine, id: CallId, call: Call): Plan | undefined {
  const { handle } = machine.program.actors[call.actor];
  const vcpu = machine.objects.vcpus.find((candidate) => candidate.handle === handle);
  const own = vcpu && machine.kvmTds?.vcpus[vcpu.index];
  if (own && call.spec === "TDG.VP.VMCALL.HLT")
    throw new NotModelled(id, "behind TDG.VP.VMCALL.HLT a vCPU waits in KVM for an interrupt, and no scenario has interrupts: run() rests in the guest");
  if (!vcpu || !own || handle === undefined || !Object.hasOwn(OPERATIONS, call.spec)) return undefined;
  const bit = sharedBitOf(machine.program, machine.objects, vcpu.vm);
  const raw = WITHOUT_ADDRESS.has(call.spec) ? 0n : asU64(intOf(call, id, 0));
  const where = target(raw, bit | SHARED_BIT, bit);
  const { gfn } = where;
  const kind = where.shared ? SHARED : PRIVATE;
  const touches = call.spec.startsWith("guest.");
  const byte = touches ? Number(raw & 4095n) : 0;
  const value = call.spec === "guest.store" ? Number(intOf(call, id, 1) & 0xffn) : undefined;
  const action: TdAction = { ...actionOfCall(machine, id, call, own.tdVcpu.object.index), narrow: where, wide: where, exits: EXITS };
  const base = plan(id, call, { operations: [OPERATIONS[call.spec]], success: ZERO, data: action });
  const data: TdAccess = {
    vm: vcpu.vm,
    vcpu: vcpu.index,
    gfn,
    cell: machine.vms[vcpu.vm].cells.at(gfn),
    byte,
    range: touches ? machine.bytes.one(byte) : 0,
    kind,
    value,
    mmio: mmioExit(gfn, byte, value),
    mismatch: mismatchExit(machine, gfn, kind),
    action: base,
  };
  return {
    ...base,
    data,
    reads: ["handle", "td"],
    scope() {
      const guest = guestScope(machine, data, handle);
      const signal = new Reach(machine).signal(call.actor).scope();
      return withMutex(machine, vcpu.index, (region) => (region === "signal" ? signal(region) : guest(region)));
    },
    decode: (context) => (machine.handles[handle].get(context.state) === BOUND ? undefined : "EBADF"),
  };
}

/** TDCALL by a guest that is no TD: the processor leaves it for KVM. */
export function planForeignTdcall(machine: Machine, id: CallId, call: Call): Plan | undefined {
  const { handle } = machine.program.actors[call.actor];
  const vcpu = machine.objects.vcpus.find((candidate) => candidate.handle === handle);
  if (!vcpu || handle === undefined || !call.spec.startsWith("TDG.") || isTdVm(machine.objects, vcpu.vm)) return undefined;
  const answer: Result = machine.features.guest_tdcall === "UD" ? { kind: "exception", exception: "#UD" } : unexpected(EXIT_REASON.TDCALL);
  return plan(id, call, {
    operations: ["unknown"],
    success: answer,
    reads: ["handle"],
    scope: () => new Reach(machine).operands(call).scope(),
    decode: (context) => (machine.handles[handle].get(context.state) === BOUND ? answer : "EBADF"),
  });
}

/** Runs a step of guest code; what it finds in the plan is the guest's view of the call. */
function inGuest(context: Context, run: (context: Context) => number): number {
  const own = context.plan;
  context.plan = accessOf(context).action;
  try {
    return run(context);
  } finally {
    context.plan = own;
  }
}

/** Back in KVM, out of a step of guest code. */
function inKvm(context: Context, run: (context: Context) => number): number {
  const guest = context.plan;
  context.plan = context.machine.plans[guest.id] as Plan;
  try {
    return run(context);
  } finally {
    context.plan = guest;
  }
}

/** Left the guest: an IPI on its way has nobody to put out any more. */
export function outside(context: Context, vcpu: KvmTdVcpu): void {
  exitTd(context.machine, context.state, vcpu.tdVcpu);
  vcpu.kicked.set(context.state, 0);
}

const EIO: Result = { kind: "errno", errno: "EIO" };
const EINVAL: Result = { kind: "errno", errno: "EINVAL" };

/** KVM_EXIT_INTERNAL_ERROR, suberror KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, with the status of TDH.VP.ENTER. */
const unexpected = (status: bigint): Result => ({
  kind: "exit",
  exit: "KVM_EXIT_INTERNAL_ERROR",
  fields: [
    { name: "suberror", value: 4n },
    { name: "data0", value: BigInt.asIntN(64, status) },
  ],
});

/** What brought the vCPU to the module, in the status of an exit out of a TD that is fatal. */
const EXIT_REASON = { EXCEPTION_NMI: 0n, EXTERNAL_INTERRUPT: 1n, HLT: 12n, EPT_VIOLATION: 48n, TDCALL: 77n } as const;
const ofTheDead = (reason: bigint): Result => unexpected((BigInt(TDX_STATUS.TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE) << 32n) | reason);

/** The vCPU has left a TD that is fatal: KVM_RUN ends, also where an IPI has put it out. */
function endDead(context: Context, reason: bigint): number {
  kvmVcpuOf(context).kicked.set(context.state, 0);
  return context.always(ofTheDead(reason));
}

function reasonOf({ labels }: Context["operation"]): bigint {
  if (labels.has("td_access")) return EXIT_REASON.EPT_VIOLATION;
  return labels.has("td_hlt") ? EXIT_REASON.HLT : EXIT_REASON.TDCALL;
}

const TIMEOUT = unexpected(BigInt(TDX_STATUS.TDX_HOST_PRIORITY_BUSY_TIMEOUT) << 32n);

const EEQ_PENDING = 6n;

/** kvm_vm_dead: every vCPU is asked to leave, and no call on the VM does anything any more. */
function die(context: Context): void {
  const td = tdOf(context);
  td.dead.set(context.state, 1);
  for (const vcpu of vcpusOf(context.machine, td)) if (isInside(context.state, vcpu.tdVcpu)) vcpu.kicked.set(context.state, 1);
}

/** How exits of guest code are handled where KVM runs the vCPU. */
const EXITS: TdAction["exits"] = {
  violation: (guest, eeq) =>
    inKvm(guest, (context) => {
      outside(context, kvmVcpuOf(context));
      if (eeq !== EEQ_PENDING || context.machine.features.td_pending_access === "spurious") return context.jump("snapshot");
      if (context.telling) context.say(`guest access before accepting 0x${(accessOf(context).gfn * 4096).toString(16)}: the VM is dead`);
      die(context);
      return context.always(EIO);
    }),
  shared: (guest) => inKvm(guest, touchShared),
  timeout: (guest) =>
    inKvm(guest, (context) => {
      kvmVcpuOf(context).kicked.set(context.state, 0);
      return context.always(TIMEOUT);
    }),
  machineCheck: (guest) => inKvm(guest, (context) => endDead(context, EXIT_REASON.EXCEPTION_NMI)),
  dead: (guest) => inKvm(guest, (context) => endDead(context, reasonOf(context.operation))),
};

/** An access with the shared bit goes through the shared EPT, an ordinary one; undefined where it is done, in the guest's answer. */
function touchShared(context: Context): number {
  const { machine, state } = context;
  const { vm, vcpu, cell, range, value } = accessOf(context);
  const entry = machine.vcpus[vcpu].tlb[SHARED][cell];
  const leaf = machine.vms[vm].ept[SHARED][cell];
  const frame = entry?.get(state) || (leaf?.get(state) ?? 0);
  if (frame === 0 || !letsPass(context, SHARED)) {
    if (context.telling) context.say(`the shared EPT does not map gfn ${formatAddress(BigInt(accessOf(context).gfn))}: EPT violation`);
    logViolation(kvmVcpuOf(context).tdVcpu, state, undefined);
    outside(context, kvmVcpuOf(context));
    return context.jump("snapshot");
  }
  entry?.set(state, frame);
  if (value === undefined) {
    const found = hostRead(machine, state, frame, range);
    if (found === "#MC") throw new NotModelled(context.plan.id, "a machine check on shared memory of a TD is not modelled");
    return goOn(context, byteResult(found, context, context.telling ? `loads from frame ${frame} through the shared EPT` : ""));
  }
  writeRange(context, frame, range, value);
  if (machine.options.taint) machine.frames[frame].tainted.set(state, 0);
  if (context.telling) context.say(`stores 0x${value.toString(16)} into frame ${frame} through the shared EPT`);
  return goOn(context, ZERO);
}

/** The guest goes on: inside, or out where its block ends here. */
function goOn(context: Context, result: Result): number {
  const { last } = accessOf(context).action.data as TdAction;
  forgetViolations(kvmVcpuOf(context).tdVcpu, context.state);
  return last ? context.remember(result) : context.done(result);
}

/** KVM_RUN of a vCPU that is outside, alone with it: a dead VM, a TD that may not run yet, a vCPU that is not initialised, a signal in front of the entry. */
const runVcpu: StepCode = {
  reads: ["td", ...MUTEX],
  writes: [],
  interruptible: INTERRUPTIBLE,
  jumps: ["vp_acquire", ...BODIES],
  run(context) {
    const { machine, state } = context;
    const vcpu = kvmVcpuOf(context);
    const { labels } = context.operation;
    const body = BODIES.find((name) => labels.has(name)) ?? "";
    if (!mayRun(context, vcpu)) return BLOCKED;
    if (isInside(state, vcpu.tdVcpu)) return context.onward(body);
    if (isDead(machine, context, accessOf(context).vm)) return context.always(EIO);
    if (tdOf(context).state.get(state) !== TD_STATE.RUNNABLE || vcpu.initialized.get(state) === 0) return context.always(EINVAL);
    if (vcpu.hypercall.get(state) !== 0)
      throw new NotModelled(context.plan.id, "the vCPU waits for the answer to a KVM_EXIT_HYPERCALL: say what user space does with KVM_RUN");
    if (signalPending(context)) return interrupt(context);
    context.say("KVM_RUN");
    return context.onward("vp_acquire");
  },
};

/** The module has made the exit up: KVM handles it like any EPT violation, at the address of the access that the filter is about. */
function keptOut(context: Context, gpa: bigint): number {
  const { kind, gfn } = accessOf(context);
  kvmVcpuOf(context).kicked.set(context.state, 0);
  if (kind === PRIVATE && BigInt(gfn) === gpa >> 12n && context.operation.labels.has("snapshot")) return context.jump("snapshot");
  throw new NotModelled(
    context.plan.id,
    `the TDX module keeps the vCPU out of the guest as long as its access to ${formatAddress(gpa)} would leave it: that access is what comes next`,
  );
}

/** tdx_vcpu_run: not while a page is on its way out for the second time. What is busy is tried again. */
const vpAcquire = kvmLeaf({
  leaf: "TDH.VP.ENTER",
  registers: (context) => ({ tdvpr: kvmVcpuOf(context).tdvpr.get(context.state) }),
  jumps: ["run_vcpu", "snapshot"],
  returns: true,
  before(context) {
    const { state } = context;
    if (tdOf(context).waits.get(state) === 1) return BLOCKED;
    kvmVcpuOf(context).entering.set(state, 1);
    return undefined;
  },
  answered(context, status: TdxStatus, _output, violation) {
    const vcpu = kvmVcpuOf(context);
    vcpu.entering.set(context.state, 0);
    if (violation !== undefined) return keptOut(context, violation);
    if (isSuccess(status)) return NEXT;
    // An IPI that came while it was on its way has found it in the kernel.
    vcpu.kicked.set(context.state, 0);
    if (isBusy(status)) return context.jump("run_vcpu");
    return context.done(unexpected(tdxStatusWord(status)));
  },
});

/** Outside, and not ready to be entered again: it has left a TD that is fatal. */
const leftDead = ({ state }: Context, { tdVcpu }: KvmTdVcpu): boolean => tdVcpu.state.get(state) === VCPU.ACTIVE;

/** A step of guest code, in front of which an IPI may arrive: the vCPU leaves and, but for a signal, is entered again; or the IPI comes later. */
function guestStep(step: StepCode, interruptible: boolean): StepCode {
  const jumps = [...(step.jumps ?? []), "snapshot", "run_vcpu"];
  return {
    ...step,
    reads: [...step.reads, "ept", "slot", "pte", "page", "tlb"],
    writes: [...step.writes, "td", "tlb", "module"],
    jumps,
    returns: step.returns,
    ...(interruptible ? { interruptible: INTERRUPTIBLE } : {}),
    events: true,
    run(context) {
      const vcpu = kvmVcpuOf(context);
      // The module lets an interrupt wait until a leaf is through.
      if (!interruptible || isRefused(context)) return inGuest(context, step.run);
      // A kick that has put it out sends it back through KVM_RUN.
      if (!isInside(context.state, vcpu.tdVcpu)) return leftDead(context, vcpu) ? endDead(context, EXIT_REASON.EXTERNAL_INTERRUPT) : context.jump("run_vcpu");
      const signal = signalPending(context);
      if ((signal || vcpu.kicked.get(context.state) === 1) && context.pick(2) === 1) {
        outside(context, vcpu);
        context.say("an IPI: the vCPU leaves the guest");
        if (leftDead(context, vcpu)) return endDead(context, EXIT_REASON.EXTERNAL_INTERRUPT);
        return signal ? interrupt(context) : context.jump("run_vcpu");
      }
      return inGuest(context, step.run);
    },
  };
}

const tdLeave: StepCode = {
  ...guestSteps.td_leave,
  writes: [...guestSteps.td_leave.writes, "td"],
  run(context) {
    outside(context, kvmVcpuOf(context));
    context.say("leaves the guest");
    return NEXT;
  },
};

/** run(): in the guest until a kick or a signal has put it out. */
const tdRest: StepCode = {
  reads: ["td"],
  writes: [],
  interruptible: { ...INTERRUPTIBLE, writes: ["td", "module", "tlb"] },
  jumps: [],
  run(context) {
    const vcpu = kvmVcpuOf(context);
    if (isInside(context.state, vcpu.tdVcpu)) {
      if (!signalPending(context)) return BLOCKED;
      outside(context, vcpu);
      return leftDead(context, vcpu) ? endDead(context, EXIT_REASON.EXTERNAL_INTERRUPT) : interrupt(context);
    }
    context.say("a kick has put the vCPU out of the guest");
    return context.always(leftDead(context, vcpu) ? ofTheDead(EXIT_REASON.EXTERNAL_INTERRUPT) : ZERO);
  },
};

export const runSteps = {
  run_vcpu: runVcpu,
  vp_acquire: vpAcquire,
  td_access: guestStep(guestSteps.td_access, true),
  accept_walk: guestStep(guestSteps.accept_walk, true),
  accept_acquire: guestStep(guestSteps.accept_acquire, false),
  accept_zero: guestStep(guestSteps.accept_zero, false),
  accept_commit: guestStep(guestSteps.accept_commit, false),
  attributes_acquire: guestStep(guestSteps.attributes_acquire, true),
  attributes_commit: guestStep(guestSteps.attributes_commit, false),
  td_hlt: guestStep(guestSteps.td_hlt, true),
  td_leave: tdLeave,
  td_rest: tdRest,
};
