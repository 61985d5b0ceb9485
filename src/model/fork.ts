// fork() and send_fd(): how a second process comes by descriptors and mappings (kernel/fork.c copy_process, dup_mmap; mm/memory.c copy_page_range;
// fs/file.c dup_fd; net/core/scm.c).

import { parentOf } from "../scenario/processes.ts";
import type { Call, CallId } from "../scenario/program.ts";
import { invalidateHva } from "./kvm/notifier.ts";
import type { Machine } from "./machine.ts";
import type { MappingState } from "./memory/state.ts";
import { descriptor, plan, ZERO } from "./plan.ts";
import { descriptorIn, targetOf } from "./processes.ts";
import { BOUND } from "./runner.ts";
import { every, Reach } from "./scope.ts";
import { type Context, NEXT, type Plan, type StepCode } from "./step.ts";

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
  const handles = program.handles.flatMap((_, handle) => (machine.processes.tables[child]?.[handle] ? [handle] : []));
  return plan(id, call, {
    operations: ["fork"],
    success: { kind: "handle", handle: "process" },
    data: { parent, child, copies } satisfies Fork,
    scope() {
      const reach = new Reach(machine).operands(call).handles(handles);
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
  jumps: [],
  returns: false,
  run(context) {
    const { copies } = context.plan.data as Fork;
    const names: string[] = [];
    for (const { from, to } of copies) if (copyMapping(context, from, to)) names.push(from.object.name);
    if (context.telling) context.say(names.length === 0 ? "nothing is mapped" : `the child maps ${names.join(", ")}`);
    return NEXT;
  },
};

/**
 * The VMA; and its page table where it has pages of its own (vma_needs_copy): these belong to both from here on, write-protected on both sides, of which
 * secondary MMUs are told.
 */
function copyMapping(context: Context, from: MappingState, to: MappingState): boolean {
  const { state } = context;
  const mapped = from.mapped.map((field) => field.get(state) === 1);
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
  return plan(id, call, {
    operations: ["send_fd"],
    success: ZERO,
    reads: ["handle"],
    data: handle === undefined ? undefined : descriptorIn(machine, targetOf(machine.program, to), handle),
    scope: () => new Reach(machine).operands(call).scope(),
    decode: (context) => descriptor(machine, context, fd),
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
