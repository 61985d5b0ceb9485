// MapGPA: a TD asks for memory to be converted. KVM hands the range to user space, at most 2 MiB at a time, which answers when it calls KVM_RUN again
// (arch/x86/kvm/vmx/tdx.c tdx_map_gpa, __tdx_map_gpa, tdx_complete_vmcall_map_gpa).

import { asU64, isPageAligned } from "../../base/units.ts";
import type { Call, CallId, Result } from "../../scenario/program.ts";
import { BOUND } from "../handles.ts";
import { BLOCKED, type Context, type Machine, type Plan, type StepCode } from "../machine.ts";
import { intOf, NotModelled } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { forgetViolations } from "../tdx/stepping.ts";
import { accessOf, kvmVcpuOf, outside, type TdAccess } from "./tdx-access.ts";
import { guestBitsOf, initsOf, MAP_GPA, MAP_GPA_MAX_LENGTH, MAP_GPA_MAX_PARTS, sharedBitOf } from "./tdx-objects.ts";
import { isDead } from "./tdx-plans.ts";
import { MUTEX, mayRun } from "./tdx-vcpus.ts";

const KVM_HC_MAP_GPA_RANGE = 12n;
const TO_PRIVATE = 16n;
/** Answers in R10 of the TDCALL. */
const STATUS = { SUCCESS: 0n, INVALID_OPERAND: 1n << 63n, ALIGN_ERROR: (1n << 63n) | 2n } as const;

const answer = (status: bigint): Result => ({ kind: "value", value: BigInt.asIntN(64, status) });

/** One call of TDG.VP.VMCALL.MAPGPA. */
interface Request {
  /** What KVM answers without user space. */
  readonly refused: Result | undefined;
  /** Exits to user space, one after the other. */
  readonly parts: readonly Result[];
  /** 1 + its place among the MapGPA calls of the scenario. */
  readonly number: number;
}

function requestOf(machine: Machine, id: CallId, call: Call, vm: number): Request {
  const [start, size] = [asU64(intOf(call, id, 0)), asU64(intOf(call, id, 1))];
  const { program, objects } = machine;
  const bit = sharedBitOf(program, objects, vm);
  const width = initsOf(program, objects, vm).some((init) => guestBitsOf(program.calls[init]) === 48n) ? 48n : 52n;
  const end = asU64(start + size);
  const illegal = end <= start || start >> width !== 0n || (end - 1n) >> width !== 0n || (start & bit) !== ((end - 1n) & bit);
  const number = 1 + program.calls.filter((other, index) => index < id && other.known && other.spec === MAP_GPA).length;
  if (illegal) return { refused: answer(STATUS.INVALID_OPERAND), parts: [], number };
  if (!isPageAligned(start) || !isPageAligned(size)) return { refused: answer(STATUS.ALIGN_ERROR), parts: [], number };
  if (size > MAP_GPA_MAX_LENGTH * BigInt(MAP_GPA_MAX_PARTS)) throw new NotModelled(id, `MapGPA of more than ${MAP_GPA_MAX_PARTS} times 2 MiB is not modelled`);
  const parts: Result[] = [];
  for (let at = start; at < end; at += MAP_GPA_MAX_LENGTH) {
    const length = end - at < MAP_GPA_MAX_LENGTH ? end - at : MAP_GPA_MAX_LENGTH;
    const fields = [
      { name: "nr", value: KVM_HC_MAP_GPA_RANGE },
      { name: "args0", value: at & ~bit },
      { name: "args1", value: length >> 12n },
      { name: "args2", value: start & bit ? 0n : TO_PRIVATE },
    ];
    parts.push({ kind: "exit", exit: "KVM_EXIT_HYPERCALL", fields });
  }
  return { refused: undefined, parts, number };
}

interface Hypercall extends Pick<TdAccess, "vm" | "vcpu"> {
  readonly request?: Request;
  /** What user space leaves in kvm_run->hypercall.ret; undefined where it does not touch it. */
  readonly ret: bigint | undefined;
}

/** MapGPA by a vCPU of a TD behind KVM, and KVM_RUN, with which user space answers it. */
export function planHypercall(machine: Machine, id: CallId, call: Call): Plan | undefined {
  const asks = call.spec === MAP_GPA;
  if (!asks && call.spec !== "KVM_RUN") return undefined;
  const { handle } = machine.program.actors[call.actor];
  const vcpu = machine.objects.vcpus.find((candidate) => candidate.handle === handle);
  if (!vcpu || handle === undefined || !machine.kvmTds?.vcpus[vcpu.index]) {
    if (asks) return undefined;
    throw new NotModelled(id, "KVM_RUN is what user space does behind a KVM_EXIT_HYPERCALL of a TD: elsewhere the accesses of the guest say that it runs");
  }
  const data: Hypercall = asks
    ? { vm: vcpu.vm, vcpu: vcpu.index, request: requestOf(machine, id, call, vcpu.vm), ret: undefined }
    : { vm: vcpu.vm, vcpu: vcpu.index, ret: call.operands[0] === undefined || call.operands[0].kind === "absent" ? undefined : intOf(call, id, 0) };
  return plan(id, call, {
    operations: [asks ? "hypercall.td" : "resume.td"],
    success: ZERO,
    data,
    reads: ["handle", "td"],
    decode: (context) => (machine.handles[handle].get(context.state) === BOUND ? undefined : "EBADF"),
  });
}

const hypercallOf = (context: Context): Hypercall => context.plan.data as unknown as Hypercall;

/** The guest leaves with its request; what is wrong with it is answered at once, else the first part goes to user space. */
const exitHypercall: StepCode = {
  reads: ["td"],
  writes: ["td", "module"],
  jumps: [],
  run(context) {
    const { request } = hypercallOf(context);
    const vcpu = kvmVcpuOf(context);
    forgetViolations(vcpu.tdVcpu, context.state);
    outside(context, vcpu);
    if (!request || request.refused) {
      context.say("the request is refused, and the guest goes on");
      return context.always(request?.refused ?? answer(STATUS.INVALID_OPERAND));
    }
    vcpu.hypercall.set(context.state, request.number);
    vcpu.part.set(context.state, 0);
    context.say(vcpu.ret ? "the request goes to user space" : "the request goes to user space, with 0 in ret");
    return context.always(request.parts[0]);
  },
};

/** The request that a vCPU has under way. */
function pending(context: Context): Request | undefined {
  const { machine, state } = context;
  const number = kvmVcpuOf(context).hypercall.get(state);
  for (const other of machine.plans) {
    const { request } = (other?.call.spec === MAP_GPA ? other.data : {}) as Partial<Hypercall>;
    if (number > 0 && request?.number === number) return request;
  }
  return undefined;
}

/** Each value but 0 is TDVMCALL_STATUS_INVALID_OPERAND up to 7.0; else the next part goes to user space, or the guest has its answer. */
const answerHypercall: StepCode = {
  reads: ["td", ...MUTEX],
  writes: ["td"],
  jumps: [],
  run(context) {
    const { machine, state, plan: own } = context;
    const vcpu = kvmVcpuOf(context);
    if (!mayRun(context, vcpu)) return BLOCKED;
    if (isDead(machine, context, accessOf(context).vm)) return context.always({ kind: "errno", errno: "EIO" });
    const request = pending(context);
    if (!request) throw new NotModelled(own.id, "no exit of the vCPU waits for an answer: what the guest does then is not said");
    const next = vcpu.part.get(state) + 1;
    const { ret } = hypercallOf(context);
    // A kernel that does not preset the field reads what user space left there for the last exit.
    if (ret !== undefined) vcpu.ret?.set(state, ret === 0n ? 0 : 1);
    const refused = ret === undefined ? vcpu.ret?.get(state) === 1 : ret !== 0n;
    if (!refused && next < request.parts.length) {
      vcpu.part.set(state, next);
      context.say("the next part goes to user space");
      return context.always(request.parts[next]);
    }
    vcpu.hypercall.set(state, 0);
    vcpu.part.set(state, 0);
    context.say("the guest goes on behind its TDCALL");
    return context.always(answer(refused ? STATUS.INVALID_OPERAND : STATUS.SUCCESS));
  },
};

export const hypercallSteps = { exit_hypercall: exitHypercall, answer_hypercall: answerHypercall };
