// Files that are no memory: pipes, /dev/null, a directory, memfd_secret; and what they answer to the calls on memfds (measured on 6.18.44).

import type { Errno } from "../../base/errno.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { fileOfOperand, intOf, NotModelled, O_ACCMODE, O_PATH, type SpecialFile } from "../objects.ts";
import { canRead, canWrite, descriptor, openDescriptor, openOperand, plan, ZERO } from "../plan.ts";
import { isFlagCommand, planFlags } from "./descriptors.ts";
import { noDescriptor } from "./limits.ts";
import { vfsRefuses } from "./modes.ts";
import { planDrain, planSplice, planVmsplice } from "./pipe.ts";
import { fileScope } from "./scopes.ts";

const O_CLOEXEC = 0x80000n;
const O_NONBLOCK = 0x800n;
const O_DIRECT = 0x4000n;
const O_NOTIFICATION_PIPE = 0x80n;
const F_ADD_SEALS = 1033n;
const F_GET_SEALS = 1034n;
const OPEN_FLAGS = O_ACCMODE | O_CLOEXEC | 0x8000n;

function made(machine: Machine, id: CallId, call: Call, operation: string, decode: Plan["decode"]): Plan {
  const file = machine.objects.fileOf.get(id);
  return plan(id, call, {
    operations: [operation],
    success: { kind: "handle", handle: "fd" },
    file: file ?? -1,
    scope: () => fileScope(machine, call, file),
    decode: (context) => decode(context) ?? (noDescriptor(machine, id) ? "EMFILE" : undefined),
  });
}

/** pipe2(flags): the name is the read end. */
export function planPipe(machine: Machine, id: CallId, call: Call): Plan {
  const flags = BigInt.asUintN(32, intOf(call, id, 0));
  const known = O_CLOEXEC | O_NONBLOCK | O_DIRECT | O_NOTIFICATION_PIPE;
  if (machine.program.processes !== undefined) throw new NotModelled(id, "which process holds the other end of a pipe is not modelled");
  if (flags & (O_DIRECT | O_NOTIFICATION_PIPE) && !(flags & ~known)) throw new NotModelled(id, "packets and notifications in a pipe are not modelled");
  return made(machine, id, call, "pipe2", () => (flags & ~known ? "EINVAL" : undefined));
}

/** open(path, flags) of /dev/null and of /. */
export function planOpenPath(machine: Machine, id: CallId, call: Call): Plan {
  const flags = BigInt.asUintN(32, intOf(call, id, 1));
  const special = machine.objects.files[machine.objects.fileOf.get(id) ?? -1]?.special;
  if (special === undefined) throw new NotModelled(id, "of the files of a system only /dev/null and the directory / are modelled");
  if (flags & ~OPEN_FLAGS || (flags & O_ACCMODE) === O_ACCMODE)
    throw new NotModelled(id, "of the flags of open only the access mode and O_CLOEXEC are modelled here");
  return made(machine, id, call, "open", () => (special === "directory" && (flags & O_ACCMODE) !== 0n ? "EISDIR" : undefined));
}

/** memfd_secret(flags): O_CLOEXEC is the only flag. */
export function planSecret(machine: Machine, id: CallId, call: Call): Plan {
  const flags = BigInt.asUintN(32, intOf(call, id, 0));
  return made(machine, id, call, "memfd_secret", () => (flags & ~O_CLOEXEC ? "EINVAL" : undefined));
}

const openSpecial: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    context.say("a new open file");
    return NEXT;
  },
};

/** What vfs_fallocate says of the kind of file, behind its other checks. */
const NO_FALLOCATE: Readonly<Record<SpecialFile, Errno>> = { pipe: "ESPIPE", directory: "EISDIR", null: "ENODEV", secret: "EOPNOTSUPP" };

function fallocateRefuses(machine: Machine, id: CallId, call: Call, special: SpecialFile): Errno {
  const [mode, offset, length] = [BigInt.asUintN(32, intOf(call, id, 1)), intOf(call, id, 2), intOf(call, id, 3)];
  const writable = canWrite(openOperand(machine, call.operands[0]));
  const short = vfsRefuses(mode, offset < 0n ? offset : 0n, length > 0n ? 1n : length, writable, machine.features.fallocate_modes);
  return short ?? NO_FALLOCATE[special];
}

type Refusal = (machine: Machine, id: CallId, call: Call, special: SpecialFile) => Errno | undefined;

const isWritable = (machine: Machine, call: Call): boolean => canWrite(openOperand(machine, call.operands[0]));

/** The checks behind EBADF; undefined where what comes next is not modelled. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  fallocate: fallocateRefuses,
  ftruncate: (_machine, _id, _call, special) => (special === "secret" ? undefined : "EINVAL"),
  lseek: (_machine, _id, _call, special) => (special === "pipe" ? "ESPIPE" : undefined),
  pread: (_machine, id, call, special) => (special !== "pipe" ? undefined : intOf(call, id, 2) < 0n ? "EINVAL" : "ESPIPE"),
  pwrite: (_machine, id, call, special) => (special !== "pipe" ? undefined : intOf(call, id, 2) < 0n ? "EINVAL" : "ESPIPE"),
  read: (machine, _id, call) => (canRead(openOperand(machine, call.operands[0])) ? undefined : "EBADF"),
  write: (machine, _id, call) => (isWritable(machine, call) ? undefined : "EBADF"),
  fcntl: (machine, id, call) => {
    const command = BigInt.asUintN(32, intOf(call, id, 1));
    if (command === F_ADD_SEALS) return isWritable(machine, call) ? "EINVAL" : "EPERM";
    return command === F_GET_SEALS ? "EINVAL" : undefined;
  },
};

/** The plan of a call on such a file; undefined where the call is about none. */
export function specialPlan(machine: Machine, id: CallId, call: Call): Plan | undefined {
  if (call.spec === "splice") return planSplice(machine, id, call);
  if (call.spec === "vmsplice") return planVmsplice(machine, id, call);
  const operand = call.spec === "mmap" ? call.operands[4] : call.operands[0];
  const file = fileOfOperand(machine.program, machine.objects, operand);
  const special = machine.objects.files[file ?? -1]?.special;
  if (special === undefined || PASSED.has(call.spec)) return undefined;
  if (call.spec === "dup" || (call.spec === "close" && special !== "pipe")) return undefined;
  if (call.spec === "open_fd" && special === "pipe") return reopened(machine, id, call);
  if (call.spec === "read" && special === "pipe" && canRead(openOperand(machine, operand))) return planDrain(machine, id, call);
  if (call.spec === "fcntl" && isFlagCommand(BigInt.asUintN(32, intOf(call, id, 1)))) return planFlags(machine, id, call);
  const refusal = REFUSALS[call.spec]?.(machine, id, call, special);
  if (refusal === undefined) throw new NotModelled(id, `${call.spec} of ${WORDS[special]} is not modelled`);
  // A negative offset or length is refused before the descriptor is looked at.
  const first = (call.spec === "ftruncate" && intOf(call, id, 1) < 0n) || (call.spec.startsWith("p") && intOf(call, id, 2) < 0n);
  return plan(id, call, {
    operations: ["unknown"],
    success: ZERO,
    reads: ["handle"],
    scope: () => fileScope(machine, call, undefined),
    decode: (context) => (first ? "EINVAL" : (openDescriptor(machine, context, operand) ?? refusal)),
  });
}

/** Calls that know these files themselves. */
const PASSED: ReadonlySet<string> = new Set(["pipe2", "open", "memfd_secret", "copy_file_range", "sendfile"]);
const WORDS: Readonly<Record<SpecialFile, string>> = { pipe: "a pipe", directory: "a directory", null: "/dev/null", secret: "a memfd_secret" };

/** The one or the other end of a pipe, through /proc/self/fd. */
function reopened(machine: Machine, id: CallId, call: Call): Plan {
  const flags = BigInt.asUintN(32, intOf(call, id, 1));
  if (flags & O_PATH || flags & ~(OPEN_FLAGS | O_NONBLOCK) || (flags & O_ACCMODE) === O_ACCMODE)
    throw new NotModelled(id, "of the flags of open only the access mode, O_NONBLOCK and O_CLOEXEC are modelled for a pipe");
  const missing = (context: Context): Errno | undefined => (descriptor(machine, context, call.operands[0]) ? "ENOENT" : undefined);
  return { ...made(machine, id, call, "open_fd", missing), reads: ["handle"] };
}

export const specialSteps = { open_special: openSpecial };
