// One call → one C statement, and which constants and helpers it takes.

import { callSpec, constants, flagNames, groupOf } from "../../scenario/catalogue/index.ts";
import type { Param } from "../../scenario/catalogue/types.ts";
import { processOf } from "../../scenario/processes.ts";
import type { Call, CallId, HandleId, Operand, Program } from "../../scenario/program.ts";
import { moving } from "./moves.ts";
import { integer, narrow } from "./names.ts";
import { type Arguments, bytesText, intOrZero, type Uses } from "./operand.ts";

/** C types of 32 bits in the prototypes; anything else is 64 bits wide. */
const INT_PARAMS: Readonly<Record<string, string>> = { fd: "int", whence: "int", advice: "int", prot: "int", cmd: "int" };
const CALL_INTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  memfd_create: { flags: "unsigned int" },
  fallocate: { mode: "int" },
  fchmod: { mode: "mode_t" },
  open_fd: { flags: "int" },
  mmap: { flags: "int" },
};
/** Of the structures of memory regions; those of the other requests have 64-bit fields only. */
const REGION_INTS: Readonly<Record<string, string>> = { slot: "__u32", flags: "__u32", guest_memfd: "__u32" };

function flags(program: Program, uses: Uses, group: string, value: bigint): string {
  const text = flagNames(group, value, program.profile.base);
  if (/^-?\d+$/.test(text)) return integer(value, true);
  for (const name of text.split("|")) if (!name.startsWith("0x")) uses.constants.add(name);
  return text.replaceAll("|", " | ");
}

const ADDRESS = /addr|^offset$|^off$|gpa|_offset$/;

function number(program: Program, uses: Uses, param: Param, value: bigint): string {
  if (param.group !== undefined) return flags(program, uses, param.group, value);
  return integer(value, ADDRESS.test(param.name));
}

/** The value of an operand as an integer expression. */
function value(program: Program, uses: Uses, param: Param, operand: Operand): string {
  switch (operand.kind) {
    case "int":
      return number(program, uses, param, operand.value);
    case "handle": {
      const name = uses.names[operand.handle];
      if (operand.offset === 0n) return name;
      return operand.offset < 0n ? `${name} - ${integer(-operand.offset, true)}` : `${name} + ${integer(operand.offset, true)}`;
    }
    case "kvm":
      uses.kvm = true;
      return "kvm";
    case "absent":
      return "0";
    case "data":
    case "frame":
      throw new Error(`${param.name} is no number`);
  }
}

const dataLength = (operand: Operand): string => (operand.kind === "data" ? integer(operand.length) : "0");

function argumentsOf(program: Program, uses: Uses, call: Call): Arguments {
  const { params } = callSpec(call.spec);
  return (name) => {
    const at = params.findIndex((param) => param.name === name);
    const operand = call.operands[at];
    const before = call.operands[at - 1];
    const text = value(program, uses, { ...params[at], group: groupOf(params[at], before?.kind === "int" ? before.value : undefined) }, operand);
    const type = call.spec.startsWith("KVM_SET_USER_MEMORY_REGION") ? REGION_INTS[name] : (CALL_INTS[call.spec]?.[name] ?? INT_PARAMS[name]);
    return type === undefined || operand.kind !== "int" ? text : narrow(text, operand.value, type);
  };
}

/** `.slot = 0, .flags = 0, …`: the parameters from the second on that were given, up to the end of the structure. */
function fields(program: Program, uses: Uses, call: Call, end?: number): string {
  const arg = argumentsOf(program, uses, call);
  return callSpec(call.spec)
    .params.slice(1, end)
    .filter((_, at) => call.operands[at + 1].kind !== "absent")
    .map(({ name }) => `.${name} = ${arg(name)}`)
    .join(", ");
}

/** What stands before the fields that only the patch series have. */
const REGION_PARAMS = 6;

/** The name that the descriptor was made with, of which this one is a dup. */
function firstName(program: Program, operand: Operand): Operand {
  const made = operand.kind === "handle" ? program.calls[program.handles[operand.handle].call] : undefined;
  return made?.spec === "dup" ? firstName(program, made.operands[0]) : operand;
}

/** close; of a VM whose guest runs somewhere in the scenario, its code takes a slot before. */
function closing(program: Program, uses: Uses, operand: Operand, fd: string): string {
  const isVm = operand.kind === "handle" && program.handles[operand.handle].kind === "vm";
  if (!isVm || !program.calls.some(({ spec }) => spec === "guest.load" || spec === "guest.store")) return `ret(close(${fd}))`;
  uses.blocks.add("closing");
  return `close_vm(${fd})`;
}

/** The VM and the number of the actor behind a guest's access. */
function guestOf(program: Program, uses: Uses, call: Call): string {
  const { handle } = program.actors[call.actor];
  if (handle === undefined) throw new Error(`${program.actors[call.actor].name} is no vCPU`);
  uses.blocks.add("guest");
  uses.kvm = true;
  const vm = firstName(program, program.calls[program.handles[handle].call].operands[0]);
  return `${vm.kind === "handle" ? uses.names[vm.handle] : "-1"}, ${uses.names[handle]}, ${call.actor}`;
}

function ioctl(program: Program, uses: Uses, call: Call): string {
  const arg = argumentsOf(program, uses, call);
  const { params } = callSpec(call.spec);
  const target = arg(params[0].name);
  uses.kvm = true;
  uses.requests.add(call.spec);
  switch (call.spec) {
    case "KVM_CREATE_VM":
      uses.blocks.add("descriptors");
      return `ret_fd(ioctl(${target}, KVM_CREATE_VM, ${arg("type")}))`;
    case "KVM_CREATE_VCPU":
      uses.blocks.add("descriptors");
      return `ret_fd(ioctl(${target}, KVM_CREATE_VCPU, ${arg("id")}))`;
    case "KVM_CHECK_EXTENSION":
      return `ret(ioctl(${target}, KVM_CHECK_EXTENSION, ${arg("cap")}))`;
    case "KVM_SET_USER_MEMORY_REGION":
      return `ret(ioctl(${target}, ${call.spec}, &(struct kvm_userspace_memory_region){ ${fields(program, uses, call, REGION_PARAMS)} }))`;
    case "KVM_CREATE_GUEST_MEMFD":
      uses.blocks.add("descriptors");
      return `ret_fd(ioctl(${target}, KVM_CREATE_GUEST_MEMFD, &(struct kvm_create_guest_memfd){ ${fields(program, uses, call)} }))`;
    default: {
      const type = STRUCTS[call.spec];
      return `ret(ioctl(${target}, ${call.spec}, &(struct ${type}){ ${fields(program, uses, call)} }))`;
    }
  }
}

const STRUCTS: Readonly<Record<string, string>> = {
  KVM_SET_USER_MEMORY_REGION2: "kvm_userspace_memory_region2",
  KVM_SET_MEMORY_ATTRIBUTES: "kvm_memory_attributes",
  KVM_PRE_FAULT_MEMORY: "kvm_pre_fault_memory",
};

/** A process in C: `PROCESS_1_child`. */
export const processName = ({ processes }: Program, process: number): string =>
  `PROCESS_${process}_${(processes?.[process]?.name ?? "vmm").replaceAll(/[^A-Za-z0-9_]/g, "_").slice(0, 40)}`;

/** KVM_RUN by a thread of another process than the one that made the VM: it is refused before a guest could be set up. */
function foreignRun(program: Program, uses: Uses, call: Call): string | undefined {
  const { handle } = program.actors[call.actor];
  if (handle === undefined) return undefined;
  const maker = program.calls[program.handles[handle].call]?.actor ?? 0;
  if (processOf(program, maker) === processOf(program, call.actor)) return undefined;
  uses.kvm = true;
  return `ret(ioctl(${uses.names[handle]}, KVM_RUN, 0))`;
}

/** The call as an expression that hands its result on, and returns what a bound name holds. */
export function expression(program: Program, uses: Uses, id: CallId): string {
  const call = program.calls[id];
  const { operands } = call;
  const arg = argumentsOf(program, uses, call);
  switch (call.spec) {
    case "memfd_create":
      uses.blocks.add("descriptors");
      return `ret_fd(memfd_create(${bytesText(uses, operands[0])}, ${arg("flags")}))`;
    case "dup":
      uses.blocks.add("descriptors");
      return `ret_fd(dup(${arg("fd")}))`;
    case "open_fd":
      uses.blocks.add("reopening");
      return `reopen(${arg("fd")}, ${arg("flags")})`;
    case "ftruncate":
      return `ret(ftruncate(${arg("fd")}, ${arg("length")}))`;
    case "fallocate":
      return `ret(fallocate(${arg("fd")}, ${arg("mode")}, ${arg("offset")}, ${arg("len")}))`;
    case "fchmod":
      return `ret(fchmod(${arg("fd")}, ${octal(operands[1], arg("mode"))}))`;
    case "fcntl":
      return `ret(fcntl(${arg("fd")}, ${arg("cmd")}${operands[2].kind === "absent" ? "" : `, ${arg("arg")}`}))`;
    case "close":
      return closing(program, uses, operands[0], arg("fd"));
    case "lseek":
      return `ret(lseek(${arg("fd")}, ${arg("offset")}, ${arg("whence")}))`;
    case "readlink_fd":
      uses.blocks.add("links");
      return `ret_link(${arg("fd")})`;
    case "read":
    case "pread": {
      uses.blocks.add("reads");
      const count = arg("count");
      return `ret_data(${call.spec}(${arg("fd")}, room(${count}), ${count}${call.spec === "pread" ? `, ${arg("offset")}` : ""}), ${count})`;
    }
    case "write":
    case "pwrite":
      return `ret(${call.spec}(${arg("fd")}, ${bytesText(uses, operands[1])}, ${dataLength(operands[1])}${call.spec === "pwrite" ? `, ${arg("offset")}` : ""}))`;
    case "mmap":
    case "munmap":
    case "mprotect":
    case "madvise":
      return mappingCall(uses, call, arg);
    case "host.load":
      uses.blocks.add("accesses");
      return `load(${address(arg)})`;
    case "host.store":
      uses.blocks.add("accesses");
      return `store(${address(arg)}, ${arg("value")} & 0xff)`;
    case "guest.load":
      return foreignRun(program, uses, call) ?? `guest(${guestOf(program, uses, call)}, ${arg("gpa")}, -1)`;
    case "guest.store":
      return foreignRun(program, uses, call) ?? `guest(${guestOf(program, uses, call)}, ${arg("gpa")}, ${arg("value")} & 0xff)`;
    case "hlt":
      return foreignRun(program, uses, call) ?? `guest(${guestOf(program, uses, call)}, 0, -2)`;
    default:
      return aboutProcess(program, id, arg) ?? moving(program, uses, id, arg) ?? ioctl(program, uses, call);
  }
}

/** Calls by which processes come, go and hand on what they have. */
function aboutProcess(program: Program, id: CallId, arg: Arguments): string | undefined {
  const { spec, operands } = program.calls[id];
  const processAt = (index: number): string => processName(program, processOf(program, Number(intOrZero(operands[index]))));
  switch (spec) {
    case "fork":
      return `fork_process(${processName(program, program.processes?.findIndex((process) => process.call === id) ?? 0)})`;
    case "exit_group":
      return `exit_process(${operands[0].kind === "absent" ? "0" : arg("status")})`;
    case "kill":
      return `kill_process(${processAt(0)})`;
    case "send_fd":
      return `send_fd(${arg("fd")}, ${processAt(1)})`;
    default:
      return undefined;
  }
}

function mappingCall(uses: Uses, { spec, operands }: Call, arg: Arguments): string {
  const place = `(void *)(${arg("addr")})`;
  switch (spec) {
    case "mmap": {
      const free = operands[0].kind === "int" && operands[0].value === 0n;
      if (free) uses.blocks.add("mappings");
      return `ret((long)mmap(${free ? "apart()" : place}, ${["length", "prot", "flags", "fd", "offset"].map(arg).join(", ")}))`;
    }
    case "mprotect":
      return `ret(mprotect(${place}, ${arg("len")}, ${arg("prot")}))`;
    case "madvise":
      return `ret(madvise(${place}, ${arg("length")}, ${arg("advice")}))`;
    default:
      return `ret(munmap(${place}, ${arg("length")}))`;
  }
}

function address(arg: Arguments): string {
  const offset = arg("off");
  return offset === "0" ? arg("map") : offset.startsWith("-") ? `${arg("map")} - ${offset.slice(1)}` : `${arg("map")} + ${offset}`;
}

const octal = (operand: Operand, text: string): string =>
  operand.kind === "int" && operand.value > 0n && operand.value <= 0o7777n ? `0${operand.value.toString(8)}` : text;

/** Handles that have to hold something before the call can be made. */
export function handlesOf(program: Program, call: Call): readonly HandleId[] {
  const own = call.operands.flatMap((operand) => (operand.kind === "handle" ? [operand.handle] : []));
  const { handle } = program.actors[call.actor];
  return [...new Set(callSpec(call.spec).context === "guest" && handle !== undefined ? [...own, handle] : own)];
}

/** What the running KVM has to have, as conditions before the call: `capable(vm, KVM_CAP_…, 1, "…")`. */
export function conditions(program: Program, uses: Uses, call: Call): readonly string[] {
  const capability = (target: string, name: string, bits: string): string => {
    uses.blocks.add("capabilities");
    uses.constants.add(name);
    return `capable(${target}, ${name}, ${bits}, "${name}")`;
  };
  const arg = argumentsOf(program, uses, call);
  const int = (at: number): bigint => intOrZero(call.operands[at]);
  switch (call.spec) {
    case "KVM_CREATE_VM": {
      const named = constants.some((row) => row.group === "KVM_X86_" && row.value === int(1) && (row.profiles?.includes(program.profile.base) ?? true));
      return named && int(1) !== 0n ? [capability(arg("kvm"), "KVM_CAP_VM_TYPES", `1 << ${arg("type")}`)] : [];
    }
    case "KVM_CREATE_GUEST_MEMFD": {
      const known = constants.filter((row) => row.group === "GUEST_MEMFD_FLAG_" && (row.profiles?.includes(program.profile.base) ?? true));
      const wanted = known.filter((row) => (int(2) & row.value) !== 0n).map((row) => row.name);
      for (const name of wanted) uses.constants.add(name);
      const target = arg("vm");
      const flagged = wanted.length === 0 ? [] : [capability(target, "KVM_CAP_GUEST_MEMFD_FLAGS", wanted.join(" | "))];
      return [capability(target, "KVM_CAP_GUEST_MEMFD", "0"), ...flagged];
    }
    case "KVM_SET_USER_MEMORY_REGION2":
      return [capability(arg("vm"), "KVM_CAP_USER_MEMORY2", "0")];
    case "KVM_SET_MEMORY_ATTRIBUTES":
      return [capability(arg("vm"), "KVM_CAP_MEMORY_ATTRIBUTES", "0")];
    case "KVM_PRE_FAULT_MEMORY":
      uses.kvm = true;
      return ["have(kvm)", capability("kvm", "KVM_CAP_PRE_FAULT_MEMORY", "0")];
    default:
      return [];
  }
}
