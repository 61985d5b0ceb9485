// What an emitted program printed, read back: one answer per row of its table, in the words of the scenario language.

import { isErrno } from "../../base/errno.ts";
import type { Program, Result } from "../../scenario/program.ts";
import type { Entry } from "./emit.ts";

export type Answer =
  | { readonly kind: "result"; readonly result: Result; readonly text: string }
  /** Of a condition. */
  | { readonly kind: "held"; readonly holds: boolean }
  | { readonly kind: "skipped"; readonly reason: string }
  /** The program ended before, or printed what nobody can read. */
  | { readonly kind: "none"; readonly text: string };

/** The order of the lines is that of the entries, so equal titles are no problem. */
export function readAnswers(output: string, program: Program, entries: readonly Entry[], ended: string): readonly Answer[] {
  const lines = output.split("\n").map((line) => /^(?:(?:not )?ok \d+ - |# )(.*)$/.exec(line)?.[1]);
  let at = 0;
  return entries.map((entry): Answer => {
    const { title } = entry;
    const found = lines.findIndex((line, index) => index >= at && line?.startsWith(title) === true && /^ (=|:|# SKIP) /.test(line.slice(title.length)));
    if (found < 0) return { kind: "none", text: ended };
    at = found + 1;
    return readAnswer(lines[found]!.slice(title.length), program, entry);
  });
}

function readAnswer(text: string, program: Program, { subject }: Entry): Answer {
  if (text.startsWith(" # SKIP ")) return { kind: "skipped", reason: text.slice(" # SKIP ".length) };
  if (text.startsWith(" : ")) return { kind: "held", holds: text === " : holds" };
  const answer = text.slice(" = ".length);
  const result = subject.kind === "call" ? readResult(answer, program, subject.call) : undefined;
  return result === undefined ? { kind: "none", text: answer } : { kind: "result", result, text: answer };
}

function readResult(text: string, program: Program, id: number): Result | undefined {
  const call = program.calls[id];
  if (text === "blocks") return { kind: "blocks" };
  if (text === "SIGBUS" || text === "SIGSEGV" || text === "SIGKILL") return { kind: "signal", signal: text };
  const exit = /^exit (\S+) \{(.*)\}$/.exec(text);
  if (exit !== null) {
    const fields = [...exit[2].matchAll(/(\w+)=(0x[0-9a-f]+)/g)].map(([, name, value]) => ({ name, value: BigInt.asIntN(64, BigInt(value)) }));
    return { kind: "exit", exit: exit[1], fields };
  }
  if (text.startsWith('"')) return { kind: "text", text: String.fromCharCode(...unquote(text)) };
  const errno = /^-([A-Z]\w*)$/.exec(text)?.[1];
  if (errno !== undefined) return isErrno(errno) ? { kind: "errno", errno } : undefined;
  const value = /^(-?\d+)(?: (".*"))?$/.exec(text);
  if (value === null) return undefined;
  const made = call.spec === "fork" ? "process" : call.binds === undefined ? undefined : program.handles[call.binds].kind;
  if (MAKERS.has(call.spec)) return { kind: "handle", handle: made ?? "fd" };
  return { kind: "value", value: BigInt(value[1]), ...(value[2] === undefined ? {} : { data: unquote(value[2]) }) };
}

/** Calls that answer with a new object, whose number is not compared. */
const MAKERS: ReadonlySet<string> = new Set([
  "memfd_create",
  "memfd_secret",
  "dup",
  "open_fd",
  "open",
  "pipe2",
  "mmap",
  "fork",
  "KVM_CREATE_VM",
  "KVM_CREATE_VCPU",
  "KVM_CREATE_GUEST_MEMFD",
]);

function unquote(text: string): number[] {
  return [...text.slice(1, -1).matchAll(/\\([0-7]{3})|\\(.)|([^\\])/g)].map(([, octal, escaped, plain]) =>
    octal === undefined ? (escaped ?? plain).charCodeAt(0) : Number.parseInt(octal, 8),
  );
}

/** As the tables of deviations say it: `ok`, `-EINVAL`, `5 68656c6c6f`, `exit KVM_EXIT_MMIO phys_addr=0 len=1 is_write=0`. */
export function answerText(result: Result): string {
  switch (result.kind) {
    case "value":
      return result.data === undefined || result.data.length === 0
        ? `${result.value}`
        : `${result.value} ${result.data.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    case "handle":
      return "ok";
    case "found":
      return "bytes as found";
    case "text":
      return JSON.stringify(result.text);
    case "errno":
      return `-${result.errno}`;
    case "signal":
      return result.signal;
    case "exit":
      return ["exit", result.exit, ...result.fields.map(({ name, value }) => `${name}=${value}`)].join(" ");
    case "status":
      return result.status;
    case "exception":
      return result.exception;
    case "blocks":
      return "blocks";
  }
}

/** Whether the machine's answer is one of the model's. Data that one side does not have is not compared. */
export function sameAnswer(machine: Result, model: Result): boolean {
  if (model.kind === "found") return machine.kind === "value" && machine.value >= 0n && machine.value < 256n;
  if (machine.kind === "value" && model.kind === "value") {
    const comparable = machine.data !== undefined && model.data !== undefined && model.data.length > 0;
    return machine.value === model.value && (!comparable || answerText(machine) === answerText(model));
  }
  if (machine.kind === "exit" && model.kind === "exit") {
    const field = (name: string): bigint | undefined => machine.fields.find((own) => own.name === name)?.value;
    return machine.exit === model.exit && model.fields.every(({ name, value }) => field(name) === value);
  }
  return answerText(machine) === answerText(model);
}
