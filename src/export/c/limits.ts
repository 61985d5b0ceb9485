// Why a call of a scenario is not run on a real machine: it belongs to a patch series, nobody in user space can make it, or it would take more than a test
// should. Reasons are for people; the file that is emitted repeats them.

import { callSpec, constants, profile } from "../../scenario/catalogue/index.ts";
import { settingDefault, settings } from "../../scenario/catalogue/settings.ts";
import type { Param } from "../../scenario/catalogue/types.ts";
import { endedBy, processOf } from "../../scenario/processes.ts";
import type { CallId, HandleId, Operand, Program, Statement } from "../../scenario/program.ts";

/** Bytes that one call of an emitted file may allocate or copy, and all of them together. */
const MOST_BYTES = 64n << 20n;
const MOST_TOGETHER = 512n << 20n;
/** KVM keeps about eight bytes per page of a slot. */
const MOST_SLOT_BYTES = 16n << 30n;
/** Slots above this are refused (KVM_MEM_MAX_NR_PAGES), so they cost nothing. */
const REFUSED_SLOT_BYTES = 1n << 43n;
const MAP_LOCKED_OR_POPULATE = 0xa000n;
const SHARED_BIT = 1n << 51n;
/** KVM_X86_TDX_VM. */
const TDX_VM = 5n;
const NO_TDX = "the model's machine has Intel TDX, which the one that runs the test need not have";
const REAL_MODE_END = 1n << 32n;
const PUNCH_HOLE = 2n;
const KEEP_SIZE = 1n;
const S64_END = 1n << 63n;

/** A release, not a patch series: its name is a number. */
const isRelease = (name: string): boolean => /^\d/.test(name) || name === "mainline";
const upstream = (profiles: readonly string[] | undefined): boolean => profiles === undefined || profiles.some(isRelease);

const intAt = (program: Program, id: CallId, name: string): bigint | undefined => {
  const call = program.calls[id];
  const operand = call.operands[callSpec(call.spec).params.findIndex((param) => param.name === name)];
  return operand?.kind === "int" ? operand.value : undefined;
};

/** A bit or value that means something else, or nothing, outside of the series. */
function seriesConstant(program: Program, param: Param, operand: Operand): string | undefined {
  if (param.group === undefined || operand.kind !== "int" || operand.value === 0n) return undefined;
  const { base } = program.profile;
  return constants.find(
    (row) => row.group === param.group && row.profiles?.includes(base) === true && !upstream(row.profiles) && (operand.value & row.value) === row.value,
  )?.name;
}

/** Bytes that the call may allocate or copy, as far as its arguments say; 0 where it is refused before it does. */
function bytesOf(program: Program, id: CallId): bigint {
  const int = (name: string): bigint => intAt(program, id, name) ?? 0n;
  const { spec, operands } = program.calls[id];
  const lengthOf = (at: number): bigint => {
    const data = operands[at];
    return data.kind === "data" ? data.length : 0n;
  };
  switch (spec) {
    case "fallocate": {
      const refused = int("len") <= 0n || int("offset") < 0n || int("offset") + int("len") >= S64_END || (int("mode") & ~(PUNCH_HOLE | KEEP_SIZE)) !== 0n;
      return refused || (int("mode") & PUNCH_HOLE) !== 0n ? 0n : int("len");
    }
    case "read":
    case "pread":
    case "sendfile":
      return int("count");
    case "copy_file_range":
      return int("len") < 0n ? 0n : int("len");
    case "write":
    case "pwrite":
      return lengthOf(1);
    case "memfd_create":
      return lengthOf(0);
    case "mmap":
      return (int("flags") & MAP_LOCKED_OR_POPULATE) === 0n ? 0n : BigInt.asUintN(64, int("length"));
    case "madvise":
      return BigInt.asUintN(64, int("length"));
    default:
      return 0n;
  }
}

/** Adds up what the calls of one file may take. */
export class Budget {
  #spent = 0n;

  /** Undefined when there is enough for the call. */
  refuses(program: Program, id: CallId): string | undefined {
    const bytes = bytesOf(program, id);
    const size = intAt(program, id, "memory_size") ?? 0n;
    if (size > MOST_SLOT_BYTES && size < REFUSED_SLOT_BYTES) return `KVM's own tables for a slot of ${size >> 30n} GiB are too large for a test`;
    if (bytes > MOST_BYTES) return `one call of this file may take ${MOST_BYTES >> 20n} MiB, and this one may take more`;
    if (bytes > 0n && this.#spent + bytes > MOST_TOGETHER) return `all calls of this file together may take ${MOST_TOGETHER >> 20n} MiB`;
    if (bytes > 0n) this.#spent += bytes;
    return undefined;
  }
}

/** Made by a leaf of the TDX module, or a vCPU of a VM that is a TD. */
function isOfTd(program: Program, handle: HandleId | undefined): boolean {
  return program.calls.some((call) => {
    if (call.binds !== handle || handle === undefined) return false;
    const [first] = call.operands;
    if (call.spec === "KVM_CREATE_VCPU") return first?.kind === "handle" && isOfTd(program, first.handle);
    return call.spec.startsWith("TDH.") || (call.spec === "KVM_CREATE_VM" && call.operands.some((operand) => intOf(operand) === TDX_VM));
  });
}

function guestReason(program: Program, id: CallId): string | undefined {
  if (isOfTd(program, program.actors[program.calls[id].actor].handle)) return NO_TDX;
  const gpa = BigInt.asUintN(64, intAt(program, id, "gpa") ?? 0n);
  if ((gpa & SHARED_BIT) !== 0n) return "which kind of access the guest makes is the model's word; hardware without TDX has no shared bit";
  if (gpa >= REAL_MODE_END) return "the guest runs in real mode and reaches 4 GiB";
  return undefined;
}

/** Calls of the catalogue for which there is C. */
const CALLABLE: ReadonlySet<string> = new Set([
  "memfd_create",
  "ftruncate",
  "fallocate",
  "read",
  "pread",
  "write",
  "pwrite",
  "lseek",
  "fcntl",
  "fchmod",
  "dup",
  "open_fd",
  "close",
  "readlink_fd",
  "fstat",
  "fstatfs",
  "setrlimit",
  "open",
  "pipe2",
  "memfd_secret",
  "splice",
  "vmsplice",
  "sendfile",
  "copy_file_range",
  "mincore",
  "mmap",
  "munmap",
  "mprotect",
  "madvise",
  "host.load",
  "host.store",
  "KVM_CREATE_VM",
  "KVM_CREATE_VCPU",
  "KVM_CHECK_EXTENSION",
  "KVM_SET_USER_MEMORY_REGION",
  "KVM_SET_USER_MEMORY_REGION2",
  "KVM_CREATE_GUEST_MEMFD",
  "KVM_SET_MEMORY_ATTRIBUTES",
  "KVM_PRE_FAULT_MEMORY",
  "guest.load",
  "guest.store",
  "hlt",
  "fork",
  "send_fd",
  "exit_group",
  "kill",
]);

/** Calls that a signal may end early. */
const INTERRUPTED: ReadonlySet<string> = new Set(["fallocate", "KVM_PRE_FAULT_MEMORY", "guest.load", "guest.store"]);

/** A call that the scenario sends a signal to: when that comes inside of it, the order of calls does not say. */
function signalled(program: Program, id: CallId): string | undefined {
  const { spec, actor } = program.calls[id];
  const sent = INTERRUPTED.has(spec) && program.calls.some((call) => call.spec === "signal" && intOf(call.operands[0]) === BigInt(actor));
  return sent ? `the signal to ${program.actors[actor].name} has to come inside of a call, and a schedule of calls cannot say where` : undefined;
}

/** The end of a process that the emitted file needs, or of one whose threads hold its gates just then. */
function ends(program: Program, id: CallId): string | undefined {
  const call = program.calls[id];
  const process = endedBy(program, call);
  if (process === undefined) return undefined;
  if (process === 0) return "the process that reports the results cannot end before it has";
  const block = program.body.find((statement) => statement.kind === "parallel" && statement.threads.some(({ body }) => callsOf(body).includes(id)));
  const others = block?.kind === "parallel" ? block.threads.filter(({ actor, body }) => body.length > 0 && actor !== call.actor) : [];
  const busy = others.find(({ actor }) => processOf(program, actor) === process);
  return busy && `${program.actors[busy.actor].name} is killed in a call or between two, and a schedule of calls cannot say where`;
}

const callsOf = (body: readonly Statement[]): CallId[] =>
  body.flatMap((statement) => (statement.kind === "call" ? [statement.call] : statement.kind === "atomic" ? callsOf(statement.body) : []));

const intOf = (operand: Operand | undefined): bigint | undefined => (operand?.kind === "int" ? operand.value : undefined);

/** A setting of the `machine` block that no program can give itself. */
const settingReason = ({ machine = {} }: Program): string | undefined => {
  const row = settings.find(({ name }) => name !== "memfd_noexec" && machine[name] !== undefined && machine[name] !== settingDefault(name));
  return row && `a program cannot set ${row.name} of the machine that it runs on`;
};

/** The field of struct stat or struct statfs that the call names. */
export function fieldName(program: Program, id: CallId): string | undefined {
  const group = program.calls[id].spec === "fstat" ? "st_" : "f_";
  return constants.find((row) => row.group === group && row.value === intAt(program, id, "field"))?.name;
}

/** /dev/null and the directory /, which nothing is done to. */
function harmless(program: Program, id: CallId): boolean {
  const path = program.calls[id].operands[0];
  const text = path.kind === "data" ? path.runs.map(({ byte, count }) => String.fromCharCode(byte).repeat(Number(count > 64n ? 64n : count))).join("") : "";
  return (text === "/dev/null" || text === "/") && (intAt(program, id, "flags") ?? 0n) < 3n;
}

/** Undefined when the call can be made; what the machine lacks is found out when it runs. */
export function cannotRun(program: Program, id: CallId, budget: Budget): string | undefined {
  const call = program.calls[id];
  const spec = callSpec(call.spec);
  const unset = settingReason(program);
  if (unset !== undefined) return unset;
  if (!upstream(spec.profiles)) return `${spec.name} is a call of a patch series that no release has`;
  if (!call.known) return `${program.profile.name} has no ${spec.name}, and this machine may have it`;
  if (call.spec.startsWith("fstat") && fieldName(program, id) === undefined) return `no field of the structure of ${spec.name} stands there`;
  if (call.spec === "open" && !harmless(program, id)) return "a test opens no files of the machine";
  if (call.spec === "signal")
    return "a signal that comes between two calls is delivered at once, and where it comes inside of one a schedule of calls cannot say";
  const ending = ends(program, id);
  if (ending !== undefined) return ending;
  const interrupted = signalled(program, id);
  if (interrupted !== undefined) return interrupted;
  if (call.spec.startsWith("KVM_TDX_") || (call.spec === "KVM_CREATE_VM" && intAt(program, id, "type") === TDX_VM)) return NO_TDX;
  if (!CALLABLE.has(call.spec)) return `user space cannot make ${spec.name}() happen`;
  for (const [at, param] of spec.params.entries()) {
    const operand = call.operands[at];
    if (operand.kind === "frame") return "user space cannot name a frame";
    const name = seriesConstant(program, param, operand);
    if (name !== undefined) return `${name} belongs to ${profile(program.profile.base)?.name ?? "a series"} and to no release`;
  }
  return spec.context === "guest" ? guestReason(program, id) : budget.refuses(program, id);
}
