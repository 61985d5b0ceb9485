// Program → C: one function per program, one statement per call. `runtime.h` has what the statements use.

import { callSpec } from "../../src/scenario/catalogue/index.ts";
import type { Call, CallId, Operand, Program } from "../../src/scenario/program.ts";

const integer = (value: bigint): string => (value === -(1n << 63n) ? "(-0x7fffffffffffffffLL - 1)" : `${value}LL`);

function argument(operand: Operand | undefined): string {
  switch (operand?.kind) {
    case undefined:
    case "absent":
      return "0LL";
    case "int":
      return integer(operand.value);
    case "handle":
      return operand.offset === 0n ? `name[${operand.handle}]` : `name[${operand.handle}] + ${integer(operand.offset)}`;
    case "kvm":
      return "kvm";
    case "data": {
      const runs = operand.runs.map((run) => `{${run.byte}, ${run.count}}`).join(", ");
      return operand.runs.length === 0 ? "bytes(NULL, 0)" : `bytes((struct run[]){${runs}}, ${operand.runs.length})`;
    }
    case "frame":
      throw new Error("a frame is nothing that user space can name");
  }
}

/** An offset that may be NULL. */
const pointer = (operand: Operand | undefined): string => (operand?.kind === "absent" ? "NULL" : `(long long[]){${argument(operand)}}`);

const lengthOf = (operand: Operand | undefined): string => (operand?.kind === "data" ? integer(operand.length) : argument(operand));

/** Calls of one system call each, by its number and the arguments in the prototype's order. */
const PLAIN: Readonly<Record<string, string>> = {
  ftruncate: "SYS_ftruncate",
  fallocate: "SYS_fallocate",
  fcntl: "SYS_fcntl",
  close: "SYS_close",
  munmap: "SYS_munmap",
  lseek: "SYS_lseek",
  fchmod: "SYS_fchmod",
  mprotect: "SYS_mprotect",
  madvise: "SYS_madvise",
};

/** The VM of a vCPU's actor: what its KVM_CREATE_VCPU names first. */
function vmOf(program: Program, call: Call): { vm: string; vcpu: string } {
  const handle = program.actors[call.actor].handle;
  if (handle === undefined) throw new Error(`${program.actors[call.actor].name} is no vCPU`);
  return { vm: argument(program.calls[program.handles[handle].call].operands[0]), vcpu: `name[${handle}]` };
}

/** What one allocation of a test may take of this machine's memory. */
const MOST_BYTES = 64n << 20n;

/** An allocation that would be carried out, page by page. */
function takesMemory({ spec, operands }: Call): boolean {
  const [mode, offset, length] = operands.slice(1).map((operand) => (operand.kind === "int" ? operand.value : 0n));
  return spec === "fallocate" && (mode & ~1n) === 0n && offset >= 0n && length > MOST_BYTES && offset + length < 1n << 63n;
}

function statement(program: Program, id: CallId): string {
  const call = program.calls[id];
  if (takesMemory(call)) throw new Error(`${program.name}: an allocation that takes more memory than a test may`);
  const [a, b, c, d, e, f] = call.operands.map((operand) => argument(operand));
  const to = call.binds ?? -1;
  switch (call.spec) {
    case "memfd_create":
      return `made_fd(${id}, ${to}, syscall(SYS_memfd_create, ${a}, ${b}));`;
    case "dup":
      return `made_fd(${id}, ${to}, syscall(SYS_dup, ${a}));`;
    case "open_fd":
      return `made_fd(${id}, ${to}, reopen(${a}, ${b}));`;
    case "readlink_fd":
      return `link_text(${id}, ${a});`;
    case "fstat":
      return `stat_field(${id}, ${a}, ${b});`;
    case "fstatfs":
      return `statfs_field(${id}, ${a}, ${b});`;
    case "mincore":
      return `pages_there(${id}, ${a}, ${b});`;
    case "setrlimit":
      return `soft_limit(${id}, ${a}, ${b});`;
    case "pipe2":
      return `made_pipe(${id}, ${to}, ${a});`;
    case "open":
      return `made_fd(${id}, ${to}, syscall(SYS_openat, AT_FDCWD, ${a}, ${b}));`;
    case "memfd_secret":
      return `made_fd(${id}, ${to}, syscall(SYS_memfd_secret, ${a}));`;
    case "splice":
    case "copy_file_range":
      return `value(${id}, syscall(SYS_${call.spec}, ${a}, ${pointer(call.operands[1])}, ${c}, ${pointer(call.operands[3])}, ${e}, ${f}));`;
    case "sendfile":
      return `value(${id}, syscall(SYS_sendfile, ${a}, ${b}, ${pointer(call.operands[2])}, ${d}));`;
    case "vmsplice":
      return `value(${id}, syscall(SYS_vmsplice, ${a}, &(struct iovec){(void *)(${b}), ${c}}, 1, ${d}));`;
    case "read":
      return `read_data(${id}, ${a}, ${b}, NULL);`;
    case "pread":
      return `read_data(${id}, ${a}, ${b}, (long long[]){${c}});`;
    case "write":
      return `value(${id}, syscall(SYS_write, ${a}, ${b}, ${lengthOf(call.operands[1])}));`;
    case "pwrite":
      return `value(${id}, syscall(SYS_pwrite64, ${a}, ${b}, ${lengthOf(call.operands[1])}, ${c}));`;
    case "mmap":
      return `made_mapping(${id}, ${to}, syscall(SYS_mmap, ${a === "0LL" ? "next_place()" : a}, ${b}, ${c}, ${d}, ${e}, ${f}));`;
    case "host.load":
      return `host_access(${id}, ${a} + ${b}, -1);`;
    case "host.store":
      return `host_access(${id}, ${a} + ${b}, ${c} & 255);`;
    case "KVM_CREATE_VM":
      return `made_fd(${id}, ${to}, ioctl(kvm, KVM_CREATE_VM, ${b}));`;
    case "KVM_CREATE_VCPU":
      return `made_fd(${id}, ${to}, ioctl(${a}, KVM_CREATE_VCPU, ${b}));`;
    case "KVM_CREATE_GUEST_MEMFD":
      return `made_guest_memfd(${id}, ${to}, ${a}, ${b}, ${c});`;
    case "KVM_SET_USER_MEMORY_REGION2": {
      const [offset, fd] = [argument(call.operands[6]), argument(call.operands[7])];
      return `region2(${id}, ${a}, ${b}, ${c}, ${d}, ${e}, ${f}, ${offset}, ${fd});`;
    }
    case "KVM_SET_USER_MEMORY_REGION":
      return `region(${id}, ${a}, ${b}, ${c}, ${d}, ${e}, ${f});`;
    case "guest.load":
    case "guest.store": {
      const { vm, vcpu } = vmOf(program, call);
      return `guest_access(${id}, ${vm}, ${vcpu}, ${a}, ${call.spec === "guest.load" ? "-1" : `${b} & 255`});`;
    }
  }
  const number = PLAIN[call.spec];
  if (number === undefined) throw new Error(`${callSpec(call.spec).name} has no C`);
  return `value(${id}, syscall(${[number, a, b, c, d].filter((part) => part !== undefined).join(", ")}));`;
}

/** The calls run in the order of the text: only a program without `parallel` has one. An assert looks at the model's state, which C cannot see. */
export function emitProgram(program: Program, name: string): string {
  const lines = program.body.flatMap((each) => {
    if (each.kind === "assert") return [];
    if (each.kind !== "call") throw new Error(`${program.name}: a ${each.kind} statement has no place in a straight-line program`);
    return `  ${statement(program, each.call)}`;
  });
  return `/* ${program.name.replaceAll("*/", "")} */\nstatic void ${name}(void) {\n${lines.join("\n")}\n}\n`;
}

export function emitFile(programs: readonly Program[]): string {
  const functions = programs.map((program, index) => emitProgram(program, `program_${index}`));
  const table = programs.map((_, index) => `  {"${index}", program_${index}},`);
  return [
    '#include "runtime.h"\n',
    ...functions,
    `static const struct program programs[] = {\n${table.join("\n")}\n};\n`,
    `int main(void) { return run_all(programs, ${programs.length}); }\n`,
  ].join("\n");
}
