// The flags of descriptors and of open files: fcntl with F_GETFD, F_SETFD, F_GETFL and F_SETFL (fs/fcntl.c do_fcntl, setfl).

import type { Call, CallId } from "../../scenario/program.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { handleOf, intOf, NotModelled, O_PATH } from "../objects.ts";
import { descriptor, fileOperand, openDescriptor, openOperand, plan, ZERO } from "../plan.ts";
import { fileScope } from "./scopes.ts";
import { FCNTL, type OpenState } from "./state.ts";

/** F_DUPFD, locks, owners and leases, open file description locks, F_SETLEASE and what follows it. */
const OTHER_COMMANDS = new Set([0n, ...range(5, 16), ...range(36, 38), ...range(1024, 1042)]);
const FD_CLOEXEC = 1n;
const O_CREAT_EXCL_NOCTTY_TRUNC = 0x3c0n;
export const O_APPEND = 0x400n;
const O_NONBLOCK = 0x800n;
const O_DIRECT = 0x4000n;
const O_LARGEFILE = 0x8000n;
const O_CLOEXEC = 0x80000n;
const MFD_CLOEXEC = 1n;
/** FASYNC and O_NOATIME: signals and access times are not modelled. */
const OTHER_FLAGS = 0x42000n;
const SETTABLE = O_APPEND | O_NONBLOCK;

function range(from: number, to: number): bigint[] {
  return Array.from({ length: to - from + 1 }, (_, at) => BigInt(from + at));
}

export const isFlagCommand = (command: bigint): boolean => command >= FCNTL.GETFD && command <= FCNTL.SETFL;

/** fcntl(fd, cmd, arg) where cmd is neither F_ADD_SEALS nor F_GET_SEALS. */
export function planFlags(machine: Machine, id: CallId, call: Call): Plan {
  const command = BigInt.asUintN(32, intOf(call, id, 1));
  if (OTHER_COMMANDS.has(command)) throw new NotModelled(id, "of fcntl only the flags of descriptors and open files, and the seals, are modelled");
  const operand = call.operands[0];
  const file = fileOperand(machine, id, operand);
  const open = openOperand(machine, operand);
  const base = { reads: ["handle", "position"] as const, file: file ?? -1, success: ZERO, scope: () => fileScope(machine, call, file, []) };
  // do_fcntl knows no other command; a descriptor of O_PATH has those of the flags but F_SETFL.
  if (!isFlagCommand(command))
    return plan(id, call, { ...base, operations: ["fcntl.get_flags"], decode: (context) => openDescriptor(machine, context, operand) ?? "EINVAL" });
  const ofDescriptor = command === FCNTL.GETFD || command === FCNTL.SETFD;
  if (ofDescriptor && machine.program.processes !== undefined)
    throw new NotModelled(id, "FD_CLOEXEC, which each descriptor of each process has of its own, is not modelled for several processes");
  if (command <= FCNTL.SETFD && machine.program.processes !== undefined)
    throw new NotModelled(id, "the flags of descriptors are not modelled where several processes have one of the same name");
  const sets = command === FCNTL.SETFD || command === FCNTL.SETFL;
  const argument = command === FCNTL.SETFL ? checkStatus(machine, id, open, intOf(call, id, 2)) : intOf(call, id, 2);
  return plan(id, call, {
    ...base,
    operations: [sets ? "fcntl.set_flags" : "fcntl.get_flags"],
    data: { command, argument, first: firstFlags(machine, id, call, command, open), open } satisfies Flags,
    decode(context) {
      const closed = command === FCNTL.SETFL ? openDescriptor(machine, context, operand) : descriptor(machine, context, operand);
      return closed ?? (command === FCNTL.SETFL && argument & O_DIRECT && !canBypass(machine, open) ? "EINVAL" : undefined);
    },
  });
}

interface Flags {
  readonly command: bigint;
  readonly argument: bigint;
  /** What the opening gave. */
  readonly first: bigint;
  readonly open: OpenState | undefined;
}

/** FMODE_CAN_ODIRECT comes from shmem's open method, which a path leads to and memfd_create does not (mm/shmem.c shmem_file_open, Linux 6.6). */
const canBypass = (machine: Machine, open: OpenState | undefined): boolean =>
  open !== undefined && machine.program.calls[open.object.call].spec === "open_fd" && machine.features.memfd_flags === "exec";

function checkStatus(machine: Machine, id: CallId, open: OpenState | undefined, argument: bigint): bigint {
  if (argument & OTHER_FLAGS) throw new NotModelled(id, "of the flags that F_SETFL sets only O_APPEND and O_NONBLOCK are modelled");
  if (argument & O_DIRECT && canBypass(machine, open)) throw new NotModelled(id, "O_DIRECT on a file of shmem is not modelled");
  return argument;
}

/** Flags of the descriptor or of the open file right after the call that made it. */
function firstFlags(machine: Machine, id: CallId, call: Call, command: bigint, open: OpenState | undefined): bigint {
  const handle = handleOf(call.operands[0]);
  const maker = handle === undefined ? undefined : machine.program.calls[machine.program.handles[handle].call];
  if (!maker) return 0n;
  const ofDescriptor = command === FCNTL.GETFD || command === FCNTL.SETFD;
  switch (maker.spec) {
    case "memfd_create":
      return ofDescriptor ? intOf(maker, id, 1) & MFD_CLOEXEC : statusOf(open);
    case "open_fd":
      return ofDescriptor ? (intOf(maker, id, 1) & O_CLOEXEC ? FD_CLOEXEC : 0n) : statusOf(open);
    case "pipe2":
      return ofDescriptor ? (intOf(maker, id, 0) & O_CLOEXEC ? FD_CLOEXEC : 0n) : statusOf(open) & ~O_LARGEFILE;
    case "open":
      return ofDescriptor ? (intOf(maker, id, 1) & O_CLOEXEC ? FD_CLOEXEC : 0n) : statusOf(open);
    case "memfd_secret":
      return ofDescriptor ? (intOf(maker, id, 0) & O_CLOEXEC ? FD_CLOEXEC : 0n) : statusOf(open);
    case "dup":
    case "KVM_CREATE_GUEST_MEMFD":
      return ofDescriptor ? 0n : statusOf(open);
    default:
      throw new NotModelled(id, `the flags that ${maker.spec} gives a descriptor are not modelled`);
  }
}

/** f_flags: do_dentry_open forgets what is only meant for the opening; an O_PATH keeps O_PATH alone. */
function statusOf(open: OpenState | undefined): bigint {
  const flags = BigInt.asUintN(32, open?.object.flags ?? 2n);
  return flags & O_PATH ? O_PATH : (flags & ~(O_CREAT_EXCL_NOCTTY_TRUNC | O_CLOEXEC)) | O_LARGEFILE;
}

/** O_APPEND and O_NONBLOCK of an open file as they are now. */
function statusNow(machine: Machine, state: Int32Array, open: OpenState | undefined, first: bigint): bigint {
  const changed = open ? (machine.flags.status.get(open.object.index)?.get(state) ?? 0) : 0;
  return first ^ (changed & 1 ? O_APPEND : 0n) ^ (changed & 2 ? O_NONBLOCK : 0n);
}

/** Whether a write through this open file goes to the end of the file. */
export const appends = (machine: Machine, state: Int32Array, open: OpenState | undefined): boolean =>
  open !== undefined && (statusNow(machine, state, open, open.object.flags) & O_APPEND) !== 0n;

/** O_NONBLOCK of an open file as it is now. */
export const doesNotWait = (machine: Machine, state: Int32Array, open: OpenState | undefined): boolean =>
  open !== undefined && (statusNow(machine, state, open, open.object.flags) & O_NONBLOCK) !== 0n;

/** Whether some call may make it append. */
export const mayAppend = (machine: Machine, open: OpenState | undefined): boolean =>
  open !== undefined && ((open.object.flags & O_APPEND) !== 0n || machine.flags.status.has(open.object.index));

const flagsOf = (context: Context): Flags => context.plan.data as Flags;

const getFlags: StepCode = {
  reads: ["handle", "position"],
  writes: [],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const { command, first, open } = flagsOf(context);
    if (command === FCNTL.GETFL) {
      context.say("reads f_flags of the open file");
      return context.done({ kind: "value", value: statusNow(machine, state, open, first) });
    }
    const toggled = machine.flags.closeOnExec.get(handleOf(context.plan.call.operands[0]) ?? -1)?.get(state) ?? 0;
    context.say("reads the descriptor table");
    return context.done({ kind: "value", value: first ^ BigInt(toggled) });
  },
};

const setFlags: StepCode = {
  reads: [],
  writes: ["handle", "position"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state } = context;
    const { command, argument, first, open } = flagsOf(context);
    if (command === FCNTL.SETFD) {
      const field = machine.flags.closeOnExec.get(handleOf(context.plan.call.operands[0]) ?? -1);
      field?.set(state, Number((argument & FD_CLOEXEC) ^ first));
      context.say(argument & FD_CLOEXEC ? "the descriptor is closed at execve" : "the descriptor stays open at execve");
      return NEXT;
    }
    const changed = (argument ^ first) & SETTABLE;
    machine.flags.status.get(open?.object.index ?? -1)?.set(state, (changed & O_APPEND ? 1 : 0) | (changed & O_NONBLOCK ? 2 : 0));
    context.say(argument & O_APPEND ? "writes go to the end of the file" : "writes go to the offset");
    return NEXT;
  },
};

export const descriptorSteps = { get_flags: getFlags, set_flags: setFlags };
