// Which atoms of the state a call can reach, worked out from its arguments: its file and cells, the slots that can ever be bound there, the second-level
// tables behind them. Over-approximated: what a call might touch in some state is in. A plan without a scope reaches everything.

import { processOf } from "../scenario/processes.ts";
import type { ActorId, Call, HandleId } from "../scenario/program.ts";
import { lifeOfProcess } from "./ends.ts";
import { KINDS } from "./kvm/state.ts";
import type { Field, Region, Scope } from "./layout.ts";
import type { Machine } from "./machine.ts";
import type { MappingState } from "./memory/state.ts";
import { descriptorsOf, handlesOfVm } from "./names.ts";
import type { SlotConfig } from "./objects.ts";
import { fieldsOf } from "./processes.ts";

/** Regions of which every call reaches all: any frame, any reference on it. */
const WHOLE: ReadonlySet<Region> = new Set(["content", "free", "reference", "pamt"]);

/** Collects what one call can reach. */
export class Reach {
  readonly #machine: Machine;
  readonly #atoms = new Set<number>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  scope(): Scope {
    const byRegion = new Map<Region, number[]>();
    for (const atom of [...this.#atoms].sort((a, b) => a - b)) {
      const { region } = this.#machine.layout.atoms[atom];
      byRegion.set(region, [...(byRegion.get(region) ?? []), atom]);
    }
    return (region) => (WHOLE.has(region) ? undefined : (byRegion.get(region) ?? []));
  }

  fields(fields: Iterable<Field | undefined>): this {
    for (const field of fields) if (field) this.#atoms.add(field.atom);
    return this;
  }

  /** The names that a call is given, and its actor's own vCPU. */
  operands(call: Call): this {
    const given = call.operands.map((operand) => (operand.kind === "handle" || operand.kind === "frame" ? operand.handle : undefined));
    return this.handles([...given, this.#machine.program.actors[call.actor].handle]).signal(call.actor);
  }

  /** Which call each of these actors is in, and at which step. */
  progress(actors: readonly ActorId[]): this {
    for (const actor of actors) this.fields([this.#machine.threads[actor].at, this.#machine.threads[actor].step]);
    return this;
  }

  handles(handles: Iterable<HandleId | undefined>): this {
    for (const handle of handles) if (handle !== undefined) this.fields(fieldsOf(this.#machine, handle));
    return this;
  }

  /** What an actor has pending. */
  signal(actor: ActorId): this {
    const signal = this.#machine.processes.signals[actor];
    return this.fields([signal?.pending, signal?.inGuest, lifeOfProcess(this.#machine, processOf(this.#machine.program, actor))]);
  }

  /** The inode and these cells of its page cache. */
  file(index: number, cells: readonly number[]): this {
    const file = this.#machine.files[index];
    if (!file) return this;
    const { installed, size, seals, mode, shim, marked, lock, shimLock, hole, denied } = file;
    this.fields([
      installed,
      size,
      seals,
      mode,
      shim,
      marked,
      lock,
      shimLock,
      hole,
      denied,
      file.gmem?.invalidateLock,
      file.gmem?.invalidateReaders,
      file.gmem?.released,
    ]);
    this.fields(this.#machine.opens.filter((open) => open.object.file === index).map((open) => open.position));
    for (const cell of cells) this.fields([file.frames[cell], file.uptodate[cell], file.folios[cell]]);
    // Who waits for a hole looks at the call that announced it, which stands still unless a kernel leaves the hole announced behind it.
    if (!holesEnd(this.#machine)) this.progress(every(this.#machine.threads));
    return this.handles(descriptorsOf(this.#machine, index));
  }

  /** The VMA, PTEs and private copies of some cells of a mapping. */
  mapping(mapping: MappingState, cells: readonly number[]): this {
    this.fields([mapping.mayWrite]);
    for (const cell of cells) this.fields([mapping.mapped[cell], mapping.prots?.[cell], mapping.uncopied?.[cell], mapping.ptes[cell], mapping.copies[cell]]);
    for (const other of mapping.kin) for (const cell of cells) this.fields([other.copies[cell]]);
    return this;
  }

  /** Every mapping of a file, and the VMs that reach the file through one or are bound to it. */
  users(index: number): this {
    const { mappings, objects } = this.#machine;
    for (const mapping of mappings) {
      if (mapping.object.file !== index) continue;
      this.mapping(mapping, every(mapping.mapped));
    }
    for (const config of objects.slots) {
      const through = config.mapping === undefined ? undefined : mappings[config.mapping];
      if (config.file === index || through?.object.file === index) this.slot(config).secondLevel(config.vm);
    }
    return mappings.some((mapping) => mapping.object.file === index) ? this.active() : this;
  }

  /** Notifiers that are under way, which every VM of a process counts. */
  active(): this {
    return this.#machine.notified ? this.fields(this.#machine.vms.flatMap((vm) => [vm.activeNotifiers, vm.life, vm.orphan])) : this;
  }

  /** VMs whose slots may have a mapping for their shared memory. */
  notified(mapping: MappingState): this {
    for (const config of this.#machine.objects.slots) if (config.mapping === mapping.object.index) this.slot(config).secondLevel(config.vm);
    return this.active();
  }

  /** What decides whether a file still has users: descriptors, mappings, bindings; and its pages, which go when it has none. */
  lifetime(index: number): this {
    const { files, mappings, objects } = this.#machine;
    this.file(index, every(files[index].frames));
    for (const mapping of mappings) if (mapping.object.file === index) this.mapping(mapping, every(mapping.mapped));
    for (const config of objects.slots) {
      if (config.file !== index) continue;
      this.slot(config);
      // Its release invalidates what is bound to it, under slots_lock of the VM.
      if (config.guestMemfd) this.secondLevel(config.vm);
    }
    const { vm, kind } = files[index].object;
    if (kind === "guest_memfd") this.releases(vm ?? -1);
    // fdget: a call under way on a file that is closed meanwhile keeps it.
    return this.#machine.closed.has(index) ? this.progress(every(this.#machine.threads)) : this;
  }

  /** The release of a guest_memfd takes slots_lock of its VM and drops a reference on it. */
  releases(vm: number): this {
    const state = this.#machine.vms[vm];
    if (state?.life === undefined) return this.fields([state?.slotsLock]);
    const { objects, files } = this.#machine;
    for (const { index } of objects.files.filter((file) => file.vm === vm)) this.fields([files[index].installed, files[index].gmem?.released]);
    for (const config of objects.slots) if (config.vm === vm) this.slot(config);
    return this.fields([state.slotsLock, state.life]).handles(handlesOfVm(this.#machine, vm)).progress(every(this.#machine.threads)).secondLevel(vm);
  }

  /** Who refers to a guest_memfd: descriptors, mappings, calls under way. */
  holders(index: number): this {
    const { mappings, closed, threads } = this.#machine;
    for (const mapping of mappings) if (mapping.object.file === index) this.fields(mapping.mapped);
    return (closed.has(index) ? this.progress(every(threads)) : this).handles(descriptorsOf(this.#machine, index));
  }

  slot(config: SlotConfig): this {
    const slot = this.#machine.vms[config.vm].slots.find((candidate) => candidate.id === config.id);
    return this.fields([slot?.config, slot?.invalid, slot?.bound, slot?.gmem?.file, ...(slot?.gmem?.dangling.values() ?? [])]);
  }

  /** All that an invalidation of a VM may touch: leaves, TLBs (a flush takes them whole), faults in flight, in_progress and its range. */
  secondLevel(index: number): this {
    const vm = this.#machine.vms[index];
    for (const kind of KINDS.keys()) this.fields(vm.ept[kind]);
    return this.fields([vm.inProgress, vm.rangeStart, vm.rangeEnd, vm.activeNotifiers]).vcpus(index);
  }

  /** TLBs, SRCU readers and faults of a VM's vCPUs. */
  vcpus(index: number): this {
    const { vcpus, threads, program } = this.#machine;
    for (const vcpu of vcpus) {
      if (vcpu.object.vm !== index) continue;
      for (const kind of KINDS.keys()) this.fields(vcpu.tlb[kind]);
      this.fields([vcpu.reader]);
      for (const thread of threads) if (program.actors[thread.index].handle === vcpu.object.handle || thread.vm === index) this.fields([thread.inFault]);
    }
    return this;
  }
}

/** Every operation that announces a hole retracts it before it can return. */
function holesEnd(machine: Machine): boolean {
  return machine.operations.every(({ steps }) => {
    const announced = steps.findIndex((step) => step.name === "announce_hole");
    const retracted = steps.findLastIndex((step) => step.name === "retract_hole");
    return announced < 0 || (retracted > announced && steps.slice(announced, retracted).every((step) => step.returns === false));
  });
}

export const every = (list: readonly unknown[]): number[] => list.map((_, index) => index);
