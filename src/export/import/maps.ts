// System calls on the address space → statements on mappings, and the faults that a signal tells of.

import { printInt } from "../../scenario/print.ts";
import { intOf, succeeded, type TracedCall } from "./call.ts";
import type { Entered, Handler } from "./files.ts";
import { Draft, errnoNote, hex, resultText, type Scene } from "./scene.ts";
import type { StraceEvent } from "./strace.ts";
import type { Mapping, Task } from "./world.ts";

const PROT_READ = 1n;
const PROT_WRITE = 2n;
const MAP_TYPE = 0xfn;
const MAP_SHARED = 1n;
const MAP_SHARED_VALIDATE = 3n;
const MAP_FIXED = 0x10n;
const MAP_ANONYMOUS = 0x20n;
const MAP_FIXED_NOREPLACE = 0x100000n;
const MADV_REMOVE = 9n;
const PAGE = 4096n;

/** Addresses as the trace has them are unsigned. */
const address = (value: bigint): bigint => BigInt.asUintN(64, value);
const pages = (length: bigint): bigint => ((length + PAGE - 1n) / PAGE) * PAGE;

function mmap(scene: Scene, { call, task }: Entered): boolean {
  const [at, length, prot, flags, fd, offset] = call.args.map(intOf);
  if (at === undefined || length === undefined || prot === undefined || flags === undefined || fd === undefined || offset === undefined)
    return lost(scene, call, task);
  const anonymous = (flags & MAP_ANONYMOUS) !== 0n;
  const thing = anonymous ? undefined : scene.thing(task, call.args[4], call.result);
  const draft = new Draft();
  if (!anonymous && (thing === undefined || thing === "none" || thing.kind === "kvm" || thing.kind === "vm" || thing.kind === "vcpu")) {
    if (succeeded(call)) task.space.remove(address(call.result.value), address(call.result.value) + pages(length));
    return thing === "none" ? refused(scene, call, draft, [at, length, prot, flags, offset]) : lost(scene, call, task);
  }
  const descriptor = thing === undefined || thing === "none" ? "-1" : draft.name(thing);
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0n;
  const under = fixed ? task.space.at(address(at)) : undefined;
  const fits = under !== undefined && (anonymous ? under.used : under.bound);
  const hint = at !== 0n && !fits;
  // Without the mapping that it replaces, a fixed address says nothing: any other will do.
  const kept = hint ? flags & ~(MAP_FIXED | MAP_FIXED_NOREPLACE) : flags;
  const where = fits ? draft.address(under as Mapping, address(at)) : "NULL";
  const text = `mmap(${where}, ${printInt(length)}, ${scene.flags("PROT_", prot)}, ${scene.flags("MAP_", kept)}, ${descriptor}, ${hex(offset)})`;
  const note = hint ? { note: `at ${hex(address(at))}` } : {};
  if (!succeeded(call)) {
    if (call.result.kind === "unknown" || anonymous) return anonymous ? false : lost(scene, call, task);
    scene.put(call, draft, text, { result: resultText(call.result), ...errnoNote(call.result), ...note });
    return true;
  }
  const file = thing === undefined || thing === "none" ? undefined : thing.file;
  const shared = (flags & MAP_TYPE) === MAP_SHARED || (flags & MAP_TYPE) === MAP_SHARED_VALIDATE;
  // Stores through a mapping leave no line in a trace; a read-only one may become writable.
  if (file !== undefined && shared && thing !== undefined && thing !== "none") file.opaque ||= (prot & PROT_WRITE) !== 0n;
  const start = address(call.result.value);
  const name = scene.names.fresh(file === undefined || thing === undefined || thing === "none" ? "anon" : `${thing.name}_map`);
  const mapping: Mapping = {
    name,
    start,
    file: shared ? file : undefined,
    prot,
    home: task.space,
    items: [],
    used: file !== undefined,
    bound: draft.missing === undefined,
  };
  task.space.add(start, start + pages(length), mapping);
  scene.put(call, draft, text, { binds: name, result: "ok", latent: mapping, ...note });
  return true;
}

/** A mapping of something that is not followed; what it covers is no mapping of ours any more. */
function lost(scene: Scene, call: TracedCall, task: Task): boolean {
  const length = intOf(call.args[1]);
  if (succeeded(call) && length !== undefined && length > 0n) {
    const start = address(call.result.value);
    const covered = task.space.within(start, start + pages(length)).some(({ mapping }) => mapping.used);
    task.space.remove(start, start + pages(length));
    if (covered) scene.comment(call, "maps over what the scenario has");
    return covered;
  }
  return false;
}

function refused(scene: Scene, call: TracedCall, draft: Draft, [, length, prot, flags, offset]: readonly bigint[]): boolean {
  if (call.result.kind !== "errno") return false;
  const text = `mmap(NULL, ${printInt(length)}, ${scene.flags("PROT_", prot)}, ${scene.flags("MAP_", flags)}, -1, ${hex(offset)})`;
  scene.put(call, draft, text, { result: resultText(call.result), ...errnoNote(call.result) });
  return true;
}

/** One statement for each mapping that the range touches; a range with other memory in between cannot be one call of a scenario. */
function ranged(print: (scene: Scene, third: bigint | undefined) => string | undefined): Handler {
  return (scene, { call, task }) => {
    const from = intOf(call.args[0]);
    const length = intOf(call.args[1]);
    if (from === undefined || length === undefined) return false;
    const start = address(from);
    const one = task.space.at(start);
    const parts = length > 0n ? task.space.within(start, start + pages(length)) : one === undefined ? [] : [{ mapping: one, from: start, to: start }];
    if (parts.length === 0) return false;
    const rest = print(scene, intOf(call.args[2]));
    if (rest === undefined || call.result.kind === "unknown") {
      if (!parts.some(({ mapping }) => mapping.used)) return false;
      scene.comment(call);
      return true;
    }
    // What a child does to its copy of the address space leaves the parent's alone; a hole in the file is a hole for both.
    const copied = parts.filter(({ mapping }) => mapping.home !== task.space && mapping.used && task.process.parent === undefined);
    if (copied.length > 0 && !(call.name === "madvise" && intOf(call.args[2]) === MADV_REMOVE)) {
      if (call.name === "munmap" && succeeded(call)) task.space.remove(start, start + pages(length));
      scene.comment(call, `a child's own copy of ${copied[0].mapping.name}`);
      return true;
    }
    const whole = parts.length === 1 && (length <= 0n || (parts[0].from === start && parts[0].to >= start + pages(length)));
    for (const part of parts) {
      const draft = new Draft();
      const { mapping } = part;
      const used = mapping.used;
      const text = addressIn(draft, mapping, part.from, used);
      const size = whole ? length : part.to - part.from;
      const note = whole ? errnoNote(call.result) : { note: call.line };
      if (call.name === "mprotect") protect(mapping, intOf(call.args[2]) ?? 0n);
      scene.put(call, draft, `${call.name}(${text}, ${printInt(size)}${rest})`, { result: resultText(call.result), latent: mapping, ...note });
    }
    if (call.name === "munmap" && succeeded(call)) task.space.remove(start, start + pages(length));
    return true;
  };
}

/** A call on a mapping that nothing uses does not make it part of the scenario. */
function addressIn(draft: Draft, mapping: Mapping, at: bigint, used: boolean): string {
  return draft.address(used ? mapping : { ...mapping, items: [] }, at);
}

function protect(mapping: Mapping, prot: bigint): void {
  mapping.prot = prot;
  if (mapping.file !== undefined && (prot & PROT_WRITE) !== 0n) mapping.file.opaque = true;
}

function mremap(scene: Scene, { call, task }: Entered): boolean {
  const from = intOf(call.args[0]);
  const length = intOf(call.args[1]);
  if (from === undefined || length === undefined) return false;
  const parts = task.space.within(address(from), address(from) + pages(length));
  if (succeeded(call)) task.space.remove(address(from), address(from) + pages(length));
  if (!parts.some(({ mapping }) => mapping.used)) return false;
  scene.comment(call, "not modelled; its mapping is not followed from here on");
  return true;
}

export const mapHandlers: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ["mmap", mmap],
  ["mmap2", mmap],
  ["munmap", ranged(() => "")],
  ["mprotect", ranged((scene, prot) => (prot === undefined ? undefined : `, ${scene.flags("PROT_", prot)}`))],
  ["madvise", ranged((scene, advice) => (advice === undefined ? undefined : `, ${scene.flags("MADV_", advice)}`))],
  ["mremap", mremap],
]);

/** SIGBUS and SIGSEGV at an address of a mapping: the load or store that raised it. True where it is one. */
export function fault(scene: Scene, event: StraceEvent & { kind: "signal" }, task: Task, number: number): boolean {
  const { signal, address: at, line } = event;
  if ((signal !== "SIGBUS" && signal !== "SIGSEGV") || at === undefined) return false;
  const mapping = task.space.at(address(at));
  if (mapping === undefined || !mapping.used) return false;
  const draft = new Draft();
  const name = draft.address(mapping, mapping.start);
  const offset = hex(address(at) - mapping.start);
  // What a mapping may not do anyway is no reason for SIGBUS; a refused access of one that may be read is a store.
  const stores = signal === "SIGSEGV" ? (mapping.prot & PROT_READ) !== 0n : (mapping.prot & PROT_READ) === 0n;
  const text = stores ? `store(${name}, ${offset}, 0)` : `load(${name}, ${offset})`;
  const note = signal === "SIGBUS" && (mapping.prot & PROT_WRITE) !== 0n ? "or a store: the signal does not tell" : undefined;
  const call = { task: event.task, name: signal, start: number, end: number, line };
  scene.put(call, draft, text, { result: signal, what: stores ? "store" : "load", ...(note === undefined ? {} : { note }) });
  return true;
}
