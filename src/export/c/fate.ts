// What a call that does not run takes with it: the objects that it would have changed, and all that share memory with them, are not as the scenario has them.

import type { Call, CallId, HandleId, Program } from "../../scenario/program.ts";
import { handlesOf } from "./statement.ts";

/** F_GETFD, F_GETFL, F_GET_SEALS. */
const READING: ReadonlySet<bigint> = new Set([1n, 3n, 1034n]);

/** Whether the call leaves everything as it is. */
function onlyReads({ spec, operands }: Call): boolean {
  if (spec === "fcntl") return operands[1]?.kind === "int" && READING.has(operands[1].value);
  return ["pread", "readlink_fd", "fstat", "fstatfs", "mincore", "setrlimit", "KVM_CHECK_EXTENSION"].includes(spec);
}

/** Calls that make their objects one: a mapping and its file, a vCPU and its VM, a slot and what backs it. */
const LINKS: ReadonlySet<string> = new Set(["dup", "open_fd", "mmap", "KVM_CREATE_VCPU", "KVM_SET_USER_MEMORY_REGION", "KVM_SET_USER_MEMORY_REGION2"]);

/** Asked and told call by call, in the order of the text. */
export class Fate {
  readonly #program: Program;
  /** Of each handle, another one of its group; itself at the group's root. */
  readonly #parent: HandleId[];
  readonly #bound = new Set<HandleId>();
  readonly #unsure = new Set<HandleId>();

  constructor(program: Program) {
    this.#program = program;
    this.#parent = program.handles.map((_, id) => id);
  }

  /** Some of these may hold nothing when the file runs. */
  unsure(handles: readonly HandleId[]): boolean {
    return handles.some((handle) => this.#unsure.has(handle));
  }

  /** The names that are lost when this call does not run. Also takes note of what the call links. */
  lostBy(id: CallId): readonly HandleId[] {
    const call = this.#program.calls[id];
    const own = handlesOf(this.#program, call);
    const linked = call.binds === undefined ? own : [...own, call.binds];
    if (LINKS.has(call.spec)) for (const handle of linked) this.#parent[this.#root(handle)] = this.#root(linked[0]);
    const roots = new Set(own.map((handle) => this.#root(handle)));
    const lost = onlyReads(call) ? [] : [...this.#bound].filter((handle) => roots.has(this.#root(handle)));
    if (call.binds !== undefined) this.#bound.add(call.binds);
    return lost;
  }

  /** The call does not run, or may not. */
  notRun(id: CallId): void {
    const call = this.#program.calls[id];
    if (call.binds !== undefined) this.#unsure.add(call.binds);
    if (onlyReads(call)) return;
    const roots = new Set(handlesOf(this.#program, call).map((handle) => this.#root(handle)));
    for (const handle of this.#bound) if (roots.has(this.#root(handle))) this.#unsure.add(handle);
  }

  #root(handle: HandleId): HandleId {
    let at = handle;
    while (this.#parent[at] !== at) at = this.#parent[at];
    return at;
  }
}
