// exit_group() and kill(process, SIGKILL): how a process ends (kernel/exit.c do_group_exit, do_exit; mm/mmap.c exit_mmap; fs/file.c close_files;
// kernel/task_work.c). Its threads leave the calls that they are in; the last of them drops the address space, then the descriptors. Their last puts are task
// work, which do_exit runs behind both, the youngest first: descriptors from the highest down, then the files of mappings. Each is a part of the call, with a
// plan of its own.

import { endedBy, processOf } from "../scenario/processes.ts";
import type { Call, CallId } from "../scenario/program.ts";
import { actorsOf, isBorn, isDying, isRunning, killThreads, lifeOfProcess, mourned } from "./ends.ts";
import { BOUND, CLOSED } from "./handles.ts";
import { RELEASE } from "./kvm/lifecycle.ts";
import { zap, zapAll } from "./kvm/notifier.ts";
import { LIFE, SHARED, type VmState } from "./kvm/state.ts";
import { BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "./machine.ts";
import { dropPage, isReferenced } from "./memory/file.ts";
import { clearEntry } from "./memory/munmap.ts";
import type { FileState, MappingState } from "./memory/state.ts";
import { intOf, MAP_ANONYMOUS, MAP_PRIVATE, MAP_TYPE, NotModelled } from "./objects.ts";
import { type ExitPart, exitParts } from "./parts.ts";
import { plan, ZERO } from "./plan.ts";
import { LIVES } from "./process-state.ts";
import { descriptorIn } from "./processes.ts";
import { every, Reach } from "./scope.ts";

const SIGKILL = 9n;

/** The parts behind the first one; `make` plans the close of a descriptor. */
export function withParts(machine: Machine, id: CallId, made: Plan, make: (call: Call) => Plan): Plan {
  const process = endedBy(machine.program, made.call);
  if (process === undefined) return made;
  return { ...made, parts: exitParts(machine.program, machine.objects, process).map((part) => partPlan(machine, id, made.call, process, part, make)) };
}

/** The call as one of a thread of the process that ends: nobody else's descriptors and mappings are meant. */
function standIn(machine: Machine, call: Call, process: number, operands: Call["operands"]): Call {
  const { program } = machine;
  const own = actorsOf(program, process);
  const actor = own.find((one) => program.actors[one].kind !== "vcpu") ?? own[0];
  const { spec: _spec, binds: _binds, label: _label, expect: _expect, ...rest } = call;
  return { ...rest, spec: "close", actor, operands };
}

function partPlan(machine: Machine, id: CallId, call: Call, process: number, part: ExitPart, make: (call: Call) => Plan): Plan {
  switch (part.is) {
    case "notifier":
      return notifierPlan(machine, id, standIn(machine, call, process, []), machine.vms[part.vm]);
    case "mapping":
      return mappingPlan(machine, id, standIn(machine, call, process, []), machine.mappings[part.mapping]);
    case "descriptor": {
      const close = make(standIn(machine, call, process, [{ kind: "handle", handle: part.handle, offset: 0n }]));
      return { ...close, idle: (state) => descriptorIn(machine, process, part.handle)?.get(state) !== BOUND };
    }
    case "file":
      return filePlan(machine, id, standIn(machine, call, process, []), machine.files[part.file]);
    case "zombie":
      return zombiePlan(machine, id, standIn(machine, call, process, []), process);
  }
}

function notifierPlan(machine: Machine, id: CallId, call: Call, vm: VmState): Plan {
  const td = machine.kvmTds?.vms[vm.object.index];
  const { binds } = machine.program.calls[vm.object.call];
  return plan(id, call, {
    operations: ["exit_mm"],
    success: ZERO,
    data: vm.object.index,
    scope: () => new Reach(machine).fields([vm.life, vm.orphan, td?.mmuWriter, td?.mmuReaders]).secondLevel(vm.object.index).scope(),
    idle(state) {
      const made = binds === undefined || [BOUND, CLOSED].includes(machine.handles[binds].get(state));
      return !made || (vm.life?.get(state) ?? LIFE.ALIVE) > LIFE.BEGUN;
    },
  });
}

function mappingPlan(machine: Machine, id: CallId, call: Call, mapping: MappingState): Plan {
  const fields = [...mapping.mapped, ...mapping.ptes, ...mapping.copies];
  return plan(id, call, {
    operations: ["exit_mmap"],
    success: ZERO,
    data: mapping.object.index,
    cells: every(mapping.mapped),
    scope: () => new Reach(machine).mapping(mapping, every(mapping.mapped)).lifetime(mapping.object.file).scope(),
    idle: (state) => fields.every((field) => (field?.get(state) ?? 0) === 0),
  });
}

/** The put of a vm_file. That of a guest_memfd is followed by its release. */
function filePlan(machine: Machine, id: CallId, call: Call, file: FileState): Plan {
  const { gmem } = file;
  return plan(id, call, {
    operations: ["exit_task_work", ...(gmem ? [RELEASE] : [])],
    success: ZERO,
    file: file.object.index,
    cells: gmem ? [] : every(file.frames),
    scope: () => new Reach(machine).lifetime(file.object.index).scope(),
    idle: (state) =>
      isReferenced(machine, state, file) ||
      (gmem ? file.installed.get(state) === 0 || gmem.released.get(state) !== 0 : file.frames.every((field) => field.get(state) === 0)),
  });
}

function zombiePlan(machine: Machine, id: CallId, call: Call, process: number): Plan {
  return plan(id, call, {
    operations: ["exit_notify"],
    success: ZERO,
    data: process,
    scope: () => new Reach(machine).fields([lifeOfProcess(machine, process), ...machine.vms.map((vm) => vm.life)]).scope(),
  });
}

/** Of the call itself, as its data: the process that it ends. */
function firstPlan(machine: Machine, id: CallId, call: Call, process: number): Plan {
  const { program } = machine;
  const { actors, processes } = mourned(program, process);
  const forks = processes.map((one) => program.processes?.[one]?.call).flatMap((fork) => (fork === undefined ? [] : (program.calls[fork].binds ?? [])));
  return plan(id, call, {
    operations: ["exit_group"],
    success: ZERO,
    data: process,
    cutsOff: actors,
    reads: ["handle", "signal"],
    scope() {
      const reach = new Reach(machine).operands(call).progress(actors).handles(forks);
      for (const actor of actors) reach.signal(actor);
      return reach.fields(processes.map((one) => lifeOfProcess(machine, one))).scope();
    },
  });
}

export function planExit(machine: Machine, id: CallId, call: Call): Plan {
  return firstPlan(machine, id, call, processOf(machine.program, call.actor));
}

export function planKill(machine: Machine, id: CallId, call: Call): Plan {
  if (intOf(call, id, 1) !== SIGKILL)
    throw new NotModelled(id, "of the signals that end a process only SIGKILL is modelled; `signal(actor)` is one with a handler");
  const process = endedBy(machine.program, call) ?? 0;
  return {
    ...firstPlan(machine, id, call, process),
    decode({ state }) {
      if (isBorn(machine, state, process)) return lifeOfProcess(machine, process)?.get(state) === LIVES.GONE ? ZERO : undefined;
      return "ESRCH";
    },
  };
}

const processOfPlan = (context: Context): number => context.plan.data as number;
const nameOf = ({ program }: Machine, process: number): string => program.processes?.[process]?.name ?? "vmm";

const zapThreads: StepCode = {
  reads: ["signal", "control", "handle"],
  writes: ["signal", "control"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, thread } = context;
    const process = processOfPlan(context);
    const life = lifeOfProcess(machine, process);
    // Another call ends it: this one waits until it is gone, and has then nothing left to do.
    if (life?.get(state) !== LIVES.ALIVE) return BLOCKED;
    life.set(state, LIVES.DYING);
    killThreads(machine, state, process, thread.index);
    if (context.telling) {
      const left = threadsLeft(context).map((actor) => machine.program.actors[actor].name);
      context.say(left.length === 0 ? `SIGKILL for ${nameOf(machine, process)}: no other thread is in a call` : `SIGKILL is pending for ${left.join(", ")}`);
    }
    return NEXT;
  },
};

const threadsLeft = ({ machine, state, thread, plan: { data } }: Context): number[] =>
  actorsOf(machine.program, data as number).filter((actor) => actor !== thread.index && isRunning(machine, state, actor));

const waitThreads: StepCode = {
  reads: ["signal", "control"],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, thread, plan: own } = context;
    if (threadsLeft(context).length === 0) {
      context.say("the last thread of the process goes on in do_exit");
      return NEXT;
    }
    if (processOf(machine.program, thread.index) !== own.data && isDying(machine, state, thread.index))
      throw new NotModelled(own.id, "who waits for the end of a process that it has killed is killed itself: not modelled");
    return BLOCKED;
  },
};

/** kvm_mmu_notifier_release: kvm_flush_shadow_all under mmu_lock. The mirror's roots of a TD stay, for they go with guest_memfd and VM. */
const ALL = { from: 0, to: Number.MAX_SAFE_INTEGER };

const releaseNotifier: StepCode = {
  reads: ["ept", "faults", "slot", "lock"],
  writes: ["ept", "tlb", "faults", "slot", "free"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, plan: own } = context;
    const vm = machine.vms[own.data as number];
    const td = machine.kvmTds?.vms[vm.object.index];
    if (td && (td.mmuWriter.get(state) !== 0 || td.mmuReaders.get(state) > 0)) return BLOCKED;
    if (td) zap(context, vm, ALL, [SHARED]);
    else zapAll(context, vm);
    vm.orphan?.set(state, 1);
    if (context.telling) context.say(`the MMU notifier of ${vm.object.name} is released: nobody tells the VM of host memory any more`);
    return NEXT;
  },
};

/** Of memory without a file the pages go with their entries. */
const hasNoFile = ({ program }: Machine, { object }: FileState): boolean => {
  const flags = object.kind === "anon" ? program.calls[object.call].operands[3] : undefined;
  return flags?.kind === "int" && (flags.value & MAP_ANONYMOUS) !== 0n && (flags.value & MAP_TYPE) === MAP_PRIVATE;
};

const unmapVmas: StepCode = {
  reads: ["pte", "page", "reference", "handle", "slot", "control"],
  writes: ["pte", "page", "uptodate", "content", "free"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, plan: own } = context;
    const mapping = machine.mappings[own.data as number];
    const file = machine.files[mapping.object.file];
    for (const cell of own.cells) {
      mapping.mapped[cell].set(state, 0);
      clearEntry(context, mapping, cell);
    }
    if (context.telling) context.say(`${mapping.object.name} is gone`);
    if (hasNoFile(machine, file) && !isReferenced(machine, state, file)) file.frames.forEach((_, cell) => void dropPage(context, file, cell));
    return NEXT;
  },
};

const becomeZombie: StepCode = {
  reads: ["slot"],
  writes: ["signal"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, state, plan: own } = context;
    const process = processOfPlan(context);
    const kept = machine.vms.find(
      (vm) => vm.life?.get(state) === LIFE.KEPT && processOf(machine.program, machine.program.calls[vm.object.call].actor) === process,
    );
    if (kept) throw new NotModelled(own.id, `a descriptor without a name holds ${kept.object.name}: a process that ends closes it, so give it a name`);
    lifeOfProcess(machine, process)?.set(state, LIVES.GONE);
    context.say(`${nameOf(machine, process)} is a zombie, and holds nothing any more`);
    return NEXT;
  },
};

export const exitSteps = {
  zap_threads: zapThreads,
  wait_threads: waitThreads,
  release_notifier: releaseNotifier,
  unmap_vmas: unmapVmas,
  become_zombie: becomeZombie,
};
