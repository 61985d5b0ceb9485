// fcntl F_ADD_SEALS and F_GET_SEALS (mm/memfd.c memfd_add_seals, memfd_get_seals; v4 01/12 keeps F_SEAL_INACCESSIBLE out
// of F_ALL_SEALS).

import { asU64 } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf } from "../objects.ts";
import { canWrite, fileOperand, openDescriptor, openOperand, plan, ZERO } from "../plan.ts";
import { planFlags } from "./descriptors.ts";
import { referencesOf } from "./frames.ts";
import { failUnlocked } from "./resize.ts";
import { fileScope } from "./scopes.ts";
import { type FileState, type MappingState, SEAL } from "./state.ts";

const F_ADD_SEALS = 1033n;
const F_GET_SEALS = 1034n;
const BASE_SEALS = BigInt(SEAL.SEAL | SEAL.SHRINK | SEAL.GROW | SEAL.WRITE | SEAL.FUTURE_WRITE);
/** What F_SEAL_EXEC implies on a file with an x bit. */
const IMPLIED = SEAL.SHRINK | SEAL.GROW | SEAL.WRITE | SEAL.FUTURE_WRITE;
export const X_BITS = 0o111;

const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];
/** What the call sets: with what expand_exec has added, once it has. */
const requested = (context: Context): number => context.thread.seals.get(context.state) || (context.plan.data as number);

export function planFcntl(machine: Machine, id: CallId, call: Call): Plan {
  const command = intOf(call, id, 1);
  const argument = asU64(intOf(call, id, 2));
  const file = fileOperand(machine, id, call.operands[0]);
  const opened = (context: Context) => openDescriptor(machine, context, call.operands[0]);
  const scope = () => fileScope(machine, call, file);
  if (command === F_GET_SEALS)
    return plan(id, call, { operations: ["fcntl.get_seals"], success: ZERO, file: file ?? -1, reads: ["handle"], scope, decode: opened });
  const open = openOperand(machine, call.operands[0]);
  const { memfd_flags: flags, seal_argument: width } = machine.features;
  const known = flags === "exec" ? BASE_SEALS | BigInt(SEAL.EXEC) : BASE_SEALS;
  const seals = BigInt.asUintN(32, argument);
  if (command !== F_ADD_SEALS) return planFlags(machine, id, call);
  return plan(id, call, {
    operations: ["fcntl.add_seals"],
    success: ZERO,
    file: file ?? -1,
    reads: ["handle", "file"],
    scope,
    data: Number(seals & known),
    decode(context) {
      const closed = opened(context);
      if (closed) return closed;
      // memfd_fcntl refuses the upper half before it looks at the file.
      if (width === "64_bits" && argument > 0xffffffffn) return "EINVAL";
      if (!canWrite(open)) return "EPERM";
      if (seals & ~known) return "EINVAL";
      return machine.files[file as number].shim.get(context.state) === 1 ? "EINVAL" : undefined;
    },
  });
}

const checkSealSeal: StepCode = {
  reads: ["file"],
  writes: ["lock"],
  jumps: [],
  run(context) {
    if (fileOf(context).seals.get(context.state) & SEAL.SEAL) return failUnlocked(context, "EPERM");
    context.say("F_SEAL_SEAL is not set");
    return NEXT;
  },
};

/** Under the inode lock, so that the mode stays as it is until the seals are set. */
const expandExec: StepCode = {
  reads: ["file"],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    const { state, thread } = context;
    const expands = (requested(context) & SEAL.EXEC) !== 0 && (fileOf(context).mode.get(state) & X_BITS) !== 0;
    if (expands) thread.seals.set(state, requested(context) | IMPLIED);
    if (context.telling)
      context.say(expands ? "the file has an x bit, so F_SEAL_EXEC brings the four seals of size and content along" : "no further seal is implied");
    return NEXT;
  },
};

const addsWrite = (context: Context): boolean => (requested(context) & SEAL.WRITE) !== 0 && (fileOf(context).seals.get(context.state) & SEAL.WRITE) === 0;

/** mapping_deny_writable: fails while a shared mapping counts as one that is or may become writable (measured on 6.18.44). */
const denyWritable: StepCode = {
  reads: ["file", "pte"],
  writes: ["file", "lock"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    if (!addsWrite(context)) {
      context.say("F_SEAL_WRITE is not added");
      return NEXT;
    }
    const mapped = machine.mappings.some((mapping) => mapping.object.file === context.plan.file && countsAsWritable(machine, state, mapping));
    if (mapped) return failUnlocked(context, "EBUSY");
    fileOf(context).denied.set(state, 1);
    context.say("new shared mappings are refused");
    return NEXT;
  },
};

/** memfd_wait_for_pins: this step may come later, when the pins are gone, or now, and then it gives up. */
const waitPins: StepCode = {
  reads: ["file", "page", "reference"],
  writes: ["file", "lock"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const file = fileOf(context);
    if (!addsWrite(context)) return NEXT;
    const pinned = file.frames.some((field, cell) => file.cells.single(cell) && field.get(state) > 0 && referencesOf(machine, state, field.get(state)) > 1);
    if (pinned) {
      file.denied.set(state, 0);
      return failUnlocked(context, "EBUSY");
    }
    context.say("no page has extra references");
    return NEXT;
  },
};

const setSeals: StepCode = {
  reads: [],
  writes: ["file"],
  jumps: [],
  returns: false,
  run(context) {
    const { seals } = fileOf(context);
    seals.set(context.state, seals.get(context.state) | requested(context));
    context.say(`seals become 0x${seals.get(context.state).toString(16)}`);
    return NEXT;
  },
};

const getSeals: StepCode = {
  reads: ["file"],
  writes: [],
  jumps: [],
  run(context) {
    const file = fileOf(context);
    if (file.shim.get(context.state) === 1) return context.fail("EINVAL");
    context.say("reads the seal word");
    return context.done({ kind: "value", value: BigInt(file.seals.get(context.state)) });
  },
};

/** i_mmap_writable counts it: VM_SHARED, since 6.7 together with VM_MAYWRITE. Neither is set where the descriptor could not be written. */
function countsAsWritable(machine: Machine, state: Int32Array, mapping: MappingState): boolean {
  if (!mapping.object.shared || mapping.object.readOnly || !mapping.mapped.some((field) => field.get(state) === 1)) return false;
  return machine.features.shared_readonly === "counts" || mapping.mayWrite.get(state) === 1;
}

export const sealSteps = {
  expand_exec: expandExec,
  check_seal_seal: checkSealSeal,
  deny_writable: denyWritable,
  wait_pins: waitPins,
  set_seals: setSeals,
  get_seals: getSeals,
};
