// Lines of the kernel's trace file, of `trace-cmd report` and of `perf script`: a task, a time, an event and its text. System calls among them become
// calls as strace would show them, as far as numbers go: what a pointer points to is not in such a trace.

import { errnoName } from "../../base/errno.ts";
import { failed, type TracedCall } from "./call.ts";
import type { Value } from "./value.ts";

export type FtraceEvent =
  | { readonly kind: "event"; readonly task: number; readonly name: string; readonly text: string; readonly line: string }
  | { readonly kind: "begin"; readonly task: number; readonly name: string; readonly args: readonly Value[]; readonly line: string }
  | { readonly kind: "call"; readonly call: TracedCall };

/** `qemu-1234 (1230) [001] d..1. 77.123456: kvm_entry: vcpu 0, rip …`; a command's name may hold blanks and dashes. */
const LINE = /^\s*(\S.{0,40}?)[-\s]\s*(\d{1,10})(?:\/\d{1,10})?\s+(?:\(\s*(?:-+|\d{1,10})\)\s+)?\[(\d{2,5})\]\s+(?:[.#\w]{4,8}\s+)?\d{1,12}\.\d{3,9}:\s+(.*)$/;
const EVENT = /^(?:[a-z0-9_]{1,40}:)?([A-Za-z_]\w{0,60}):(?:\s+(.*))?$/;
const SYSCALL_ENTER = /^sys_(\w{1,40})\((.*)\)\s*$/;
const SYSCALL_EXIT = /^sys_(\w{1,40}) -> (0x[0-9a-f]{1,16}|-?\d{1,20})/;
const MAX_EVENT = 2000;

/** Numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl) of the calls that have statements or change what descriptors mean. */
const NUMBERS = new Map<number, string>(
  (
    "0 read,1 write,2 open,3 close,8 lseek,9 mmap,10 mprotect,11 munmap,16 ioctl,17 pread64,18 pwrite64,25 mremap,28 madvise,32 dup,33 dup2,41 socket,43 accept," +
    "56 clone,57 fork,58 vfork,59 execve,72 fcntl,77 ftruncate,85 creat,91 fchmod,257 openat,285 fallocate,288 accept4,290 eventfd2,292 dup3,319 memfd_create," +
    "435 clone3,436 close_range,437 openat2"
  )
    .split(",")
    .map((row): [number, string] => [Number(row.split(" ")[0]), row.split(" ")[1]]),
);
/** The kernel names the functions of some calls otherwise than libc (fs/open.c, kernel/fork.c, mm/mmap.c). */
const CALLED = new Map([
  ["newfstat", "fstat"],
  ["mmap_pgoff", "mmap"],
]);

export const looksLikeFtrace = (line: string): boolean => /^# tracer: \w+|^cpus=\d+\s*$/.test(line) || LINE.test(line.slice(0, MAX_EVENT));

interface Open {
  readonly name: string;
  readonly args: readonly Value[];
  readonly start: number;
  readonly line: string;
}

const MAX_OPEN = 4096;

export class FtraceReader {
  readonly #open = new Map<number, Open>();

  /** What a line says; undefined for heads and lines of another form. */
  line(raw: string, number: number): FtraceEvent | undefined {
    const text = raw.slice(0, MAX_EVENT);
    const found = LINE.exec(text);
    if (found === null) return undefined;
    const task = Number(found[2]);
    const line = found[4].trimEnd();
    const enter = SYSCALL_ENTER.exec(line);
    if (enter !== null) return this.#enter(task, enter[1], fields(enter[2]), line, number);
    const exit = SYSCALL_EXIT.exec(line);
    if (exit !== null) return this.#exit(task, exit[1], exit[2], line, number);
    const event = EVENT.exec(line);
    if (event === null) return { kind: "event", task, name: "other", text: line, line };
    const [, name, rest = ""] = event;
    const raws = /^NR (\d{1,4}) \(([^)]*)\)/.exec(rest);
    if (name === "sys_enter" && raws !== null) return this.#enter(task, NUMBERS.get(Number(raws[1])) ?? `NR_${raws[1]}`, hexes(raws[2]), line, number);
    const ended = /^NR (\d{1,4}) = (-?\d{1,20})/.exec(rest);
    if (name === "sys_exit" && ended !== null) return this.#exit(task, NUMBERS.get(Number(ended[1])) ?? `NR_${ended[1]}`, ended[2], line, number);
    if (name.startsWith("sys_enter_")) return this.#enter(task, name.slice("sys_enter_".length), fields(rest), line, number);
    const value = /^(0x[0-9a-f]{1,16}|-?\d{1,20})/.exec(rest)?.[1];
    if (name.startsWith("sys_exit_") && value !== undefined) return this.#exit(task, name.slice("sys_exit_".length), value, line, number);
    return { kind: "event", task, name, text: rest, line };
  }

  #enter(task: number, called: string, args: readonly Value[], line: string, start: number): FtraceEvent {
    const name = CALLED.get(called) ?? called;
    this.#open.delete(task);
    this.#open.set(task, { name, args, start, line });
    if (this.#open.size > MAX_OPEN) this.#open.delete(this.#open.keys().next().value as number);
    return { kind: "begin", task, name, args, line };
  }

  #exit(task: number, called: string, value: string, line: string, end: number): FtraceEvent {
    const name = CALLED.get(called) ?? called;
    const open = this.#open.get(task);
    if (open === undefined || open.name !== name) return { kind: "event", task, name: `sys_exit_${name}`, text: value, line };
    this.#open.delete(task);
    const result = BigInt.asIntN(64, BigInt(value));
    const error = result < 0n && result >= -4095n ? Number(-result) : undefined;
    const outcome = error === undefined ? ({ kind: "value", value: result } as const) : failed(errnoName(error) ?? `E${error}`);
    return { kind: "call", call: { task, name, args: open.args, result: outcome, start: open.start, end, line: `${open.line} -> ${value}` } };
  }
}

/** -1 in 32 bits is how such a trace shows the descriptor of no file. */
const signed = (value: bigint): Value => ({ kind: "int", value: value === 0xffffffffn ? -1n : BigInt.asIntN(64, value) });

/** `fd: 0x00000003, length: 4000`: hexadecimal with or without its prefix. */
function fields(text: string): Value[] {
  return [...text.matchAll(/[a-z_]\w{0,40}: (?:0x)?([0-9a-f]{1,16})\b/g)].slice(0, 8).map(([, digits]) => signed(BigInt(`0x${digits}`)));
}

function hexes(text: string): Value[] {
  return text
    .split(",")
    .slice(0, 8)
    .map((part) => /^\s*([0-9a-f]{1,16})\s*$/.exec(part)?.[1])
    .map((digits): Value => (digits === undefined ? { kind: "other", text: "" } : signed(BigInt(`0x${digits}`))));
}
