// fork() and send_fd(): how a second process comes by descriptors and mappings (kernel/fork.c copy_process, dup_mmap; mm/memory.c copy_page_range;
// fs/file.c dup_fd; net/core/scm.c).

import { parentOf } from "../scenario/processes.ts";
import type { Call, CallId } from "../scenario/program.ts";
import { lifeOfProcess, mourned, neverBorn } from "./ends.ts";
import { BOUND } from "./handles.ts";
import { invalidateHva } from "./kvm/notifier.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "./machine.ts";
import type { MappingState } from "./memory/state.ts";
import { NotModelled } from "./objects.ts";
import { descriptor, plan, ZERO } from "./plan.ts";
import { targetOf } from "./process-state.ts";
import { descriptorIn, isOpen } from "./processes.ts";
import { every, Reach } from "./scope.ts";
import { isKilled } from "./signals.ts";

/** What a fork copies. */
interface Fork {
  readonly parent: number;
  readonly child: number;
  readonly copies: readonly { readonly from: MappingState; readonly to: MappingState }[];
}

export function planFork(machine: Machine, id: CallId, call: Call): Plan {
  const { program, objects, mappings } = machine;
  const child = program.processes?.findIndex((one) => one.call === id) ?? -1;
  const parent = parentOf(program, child) ?? 0;
  const inherited = [...(objects.inherited.get(child) ?? [])];
  const copies = inherited.map(([root, to]) => ({ from: mappings[objects.inherited.get(parent)?.get(root) ?? root], to: mappings[to] }));
  const mortal = child >= 0 && lifeOfProcess(machine, child) !== undefined;
  const { actors, processes } = mortal ? mourned(program, child) : { actors: [], processes: [] };
  const handles = program.handles.flatMap((_, handle) => (machine.processes.tables[child]?.[handle] ? [handle] : []));
  return plan(id, call, {
    operations: ["fork"],
    success: { kind: "handle", handle: "process" },
    data: { parent, child, copies } satisfies Fork,
    cutsOff: actors,
    scope() {
      const reach = new Reach(machine).operands(call).handles([...handles, ...(call.binds === undefined ? [] : [call.binds])]);
      reach.progress(actors).fields(processes.map((process) => lifeOfProcess(machine, process)));
      for (const actor of actors) reach.signal(actor);
      for (const { from, to } of copies) reach.mapping(from, every(from.mapped)).mapping(to, every(to.mapped)).notified(from);
      return reach.scope();
    },
  });
}

/** dup_fd: what is open in the parent's table now. */
const copyFiles: StepCode = {
  reads: ["handle"],
  writes: ["handle"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state } = context;
    const { parent, child } = context.plan.data as Fork;
    const names: string[] = [];
    machine.program.handles.forEach(({ name }, handle) => {
      const [from, to] = [descriptorIn(machine, parent, handle), descriptorIn(machine, child, handle)];
      if (!from || !to || from.get(state) !== BOUND) return;
      to.set(state, BOUND);
      names.push(name);
    });
    if (context.telling) context.say(names.length === 0 ? "no descriptor is open" : `the child's table has ${names.join(", ")}`);
    return NEXT;
  },
};

/** dup_mmap, under the parent's mmap_lock. */
const copyMm: StepCode = {
  reads: ["pte", "page", "slot", "ept", "faults"],
  writes: ["pte", "page", "ept", "tlb", "faults", "free"],
  interruptible: { reads: ["signal", "handle", "control"], writes: ["signal", "handle", "control"], returns: true },
  jumps: [],
  returns: false,
  run(context) {
    if (isKilled(context)) return undo(context);
    const { copies } = context.plan.data as Fork;
    const names: string[] = [];
    for (const { from, to } of copies) if (copyMapping(context, from, to)) names.push(from.object.name);
    if (context.telling) context.say(names.length === 0 ? "nothing is mapped" : `the child maps ${names.join(", ")}`);
    return NEXT;
  },
};

/** copy_process looks for a fatal signal when the child is ready: what it has is dropped, and it never comes to be. */
function undo(context: Context): number {
  const { machine, state } = context;
  const { child } = context.plan.data as Fork;
  machine.program.handles.forEach(({ name }, handle) => {
    const field = descriptorIn(machine, child, handle);
    if (field?.get(state) !== BOUND) return;
    field.set(state, 0);
    if (!isOpen(machine, state, handle))
      throw new NotModelled(context.plan.id, `a fork that fails with the last descriptor of ${name}, which another thread has closed, is not modelled`);
  });
  neverBorn(machine, state, child);
  context.say("a fatal signal is pending: the child is given up");
  return context.fail("EINTR");
}

/**
 * The VMA; and its page table where it has pages of its own (vma_needs_copy): these belong to both from here on, write-protected on both sides, of which
 * secondary MMUs are told.
 */
function copyMapping(context: Context, from: MappingState, to: MappingState): boolean {
  const { state } = context;
  const mapped = from.mapped.map((field, cell) => field.get(state) === 1 && from.uncopied?.[cell].get(state) !== 1);
  if (!mapped.includes(true)) return false;
  const own = from.copies.some((field) => (field?.get(state) ?? 0) !== 0);
  to.mayWrite.set(state, from.mayWrite.get(state));
  mapped.forEach((there, cell) => {
    if (!there) return;
    to.mapped[cell].set(state, 1);
    if (from.prots) to.prots?.[cell].set(state, from.prots[cell].get(state));
    if (!own) return;
    invalidateHva(context, from, cell);
    to.ptes[cell]?.set(state, from.ptes[cell]?.get(state) ?? 0);
    to.copies[cell]?.set(state, from.copies[cell]?.get(state) ?? 0);
  });
  return true;
}

export function planSendFd(machine: Machine, id: CallId, call: Call): Plan {
  const [fd, to] = call.operands;
  const handle = machine.handleOf(fd);
  const life = lifeOfProcess(machine, targetOf(machine.program, to));
  return plan(id, call, {
    operations: ["send_fd"],
    success: ZERO,
    reads: life ? ["handle", "signal"] : ["handle"],
    data: handle === undefined ? undefined : descriptorIn(machine, targetOf(machine.program, to), handle),
    scope: () => new Reach(machine).operands(call).fields([life]).scope(),
    // Its socket goes with the process that would receive (net/unix/af_unix.c unix_stream_sendmsg).
    decode: (context) => descriptor(machine, context, fd) ?? (life?.get(context.state) ? "EPIPE" : undefined),
  });
}

/** sendmsg and recvmsg together: nobody looks at a file while it is in the socket. */
const passFd: StepCode = {
  reads: [],
  writes: ["handle"],
  jumps: [],
  returns: false,
  run(context) {
    const { program } = context.machine;
    (context.plan.data as ReturnType<typeof descriptorIn>)?.set(context.state, BOUND);
    const target = program.processes?.[targetOf(program, context.plan.call.operands[1])]?.name ?? "vmm";
    context.say(`the open file is in the descriptor table of ${target}, too`);
    return NEXT;
  },
};

export const forkSteps = { copy_files: copyFiles, copy_mm: copyMm, pass_fd: passFd };
