// fcntl F_ADD_SEALS and F_GET_SEALS (mm/memfd.c memfd_add_seals, memfd_get_seals, 5.16 to 6.0; v4 01/12 keeps F_SEAL_INACCESSIBLE out of F_ALL_SEALS).

import { asU64 } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import type { Machine } from "../machine.ts";
import { intOf, NotModelled } from "../objects.ts";
import { descriptor, fileOperand, plan, ZERO } from "../plan.ts";
import { type Context, NEXT, type Plan, type StepCode } from "../step.ts";
import { referencesOf } from "./frames.ts";
import { failUnlocked } from "./resize.ts";
import { type FileState, SEAL } from "./state.ts";

const F_ADD_SEALS = 1033n;
const F_GET_SEALS = 1034n;
const F_ALL_SEALS = BigInt(SEAL.SEAL | SEAL.SHRINK | SEAL.GROW | SEAL.WRITE | SEAL.FUTURE_WRITE);

const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];
const requested = (context: Context): number => context.plan.data as number;

export function planFcntl(machine: Machine, id: CallId, call: Call): Plan {
  const command = intOf(call, id, 1);
  const argument = asU64(intOf(call, id, 2));
  const file = fileOperand(machine, id, call.operands[0]);
  const opened = (context: Context) => descriptor(machine, context, call.operands[0]);
  if (command === F_GET_SEALS) return plan(id, call, { operations: ["fcntl.get_seals"], success: ZERO, file: file ?? -1, reads: ["handle"], decode: opened });
  if (command !== F_ADD_SEALS) throw new NotModelled(id, "of fcntl only F_ADD_SEALS and F_GET_SEALS are modelled");
  return plan(id, call, {
    operations: ["fcntl.add_seals"],
    success: ZERO,
    file: file ?? -1,
    reads: ["handle", "file"],
    data: Number(argument & F_ALL_SEALS),
    decode(context) {
      const closed = opened(context);
      if (closed) return closed;
      // memfd_fcntl refuses the upper half before it looks at the file.
      if (argument > 0xffffffffn || argument & ~F_ALL_SEALS) return "EINVAL";
      return machine.files[file as number].shim.get(context.state) === 1 ? "EINVAL" : undefined;
    },
  });
}

const checkSealSeal: StepCode = {
  reads: ["file"],
  writes: ["file"],
  run(context) {
    if (fileOf(context).seals.get(context.state) & SEAL.SEAL) return failUnlocked(context, "EPERM");
    context.say("F_SEAL_SEAL is not set");
    return NEXT;
  },
};

const addsWrite = (context: Context): boolean => (requested(context) & SEAL.WRITE) !== 0 && (fileOf(context).seals.get(context.state) & SEAL.WRITE) === 0;

/** mapping_deny_writable: fails while any shared mapping exists, for each of them counts as one that may become writable (real-kernel.md 2.4). */
const denyWritable: StepCode = {
  reads: ["file", "pte"],
  writes: ["file"],
  run(context) {
    const { machine, state } = context;
    if (!addsWrite(context)) {
      context.say("F_SEAL_WRITE is not added");
      return NEXT;
    }
    const mapped = machine.mappings.some(
      (mapping) => mapping.object.file === context.plan.file && mapping.object.shared && mapping.mapped.some((field) => field.get(state) === 1),
    );
    if (mapped) return failUnlocked(context, "EBUSY");
    fileOf(context).denied.set(state, 1);
    context.say("new shared mappings are refused");
    return NEXT;
  },
};

/** memfd_wait_for_pins: this step may come later, when the pins are gone, or now, and then it gives up. */
const waitPins: StepCode = {
  reads: ["file", "page", "thread"],
  writes: ["file"],
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
  reads: ["file"],
  writes: ["file"],
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
  run(context) {
    const file = fileOf(context);
    if (file.shim.get(context.state) === 1) return context.fail("EINVAL");
    context.say("reads the seal word");
    return context.done({ kind: "value", value: BigInt(file.seals.get(context.state)) });
  },
};

export const sealSteps = { check_seal_seal: checkSealSeal, deny_writable: denyWritable, wait_pins: waitPins, set_seals: setSeals, get_seals: getSeals };
