// The machine of one scenario under one kernel: static objects, the layout of the state, every call's plan, and the one function that runs an atomic step.
// It plays the `System` of explore/system.ts.

import { assert } from "../base/assert.ts";
import { type SettingName, settingDefault } from "../scenario/catalogue/index.ts";
import { endingProcesses, processOf } from "../scenario/processes.ts";
import type { ActorId, CallId, Expression, HandleId, Operand, Program } from "../scenario/program.ts";
import { answersRead, touchedPages } from "./asked.ts";
import { BYTES, type Cells, Cuts, fileSpace, mapSpace, vmSpace } from "./cells.ts";
import { type Compiling, compileOperations } from "./compile.ts";
import { addCuts } from "./cuts.ts";
import { EventLists, type ModelEvent } from "./events.ts";
import { partsOf } from "./exit.ts";
import { bits, EVERYTHING } from "./footprint.ts";
import { MachineIndependence } from "./independence.ts";
import { RESULTS_MAX, Results, Values } from "./intern.ts";
import { entriesOf, namedCalls } from "./kvm/entries.ts";
import { mortalVms } from "./kvm/life.ts";
import { type VcpuState, type VmState, vcpuState, vmState } from "./kvm/state.ts";
import { kvmTdExtras } from "./kvm/tdx-hypercall.ts";
import { addKvmTds, addTdCuts, controlFrames, isTdVm } from "./kvm/tdx-objects.ts";
import { type KvmTds, kvmTds } from "./kvm/tdx-state.ts";
import { type Field, Layout } from "./layout.ts";
import { type DescriptorFlags, descriptorFlags } from "./memory/descriptors.ts";
import { type FrameFields, frameFields } from "./memory/frames.ts";
import { type PipeState, pipeStates } from "./memory/pipe.ts";
import { poisonedPages } from "./memory/poison.ts";
import {
  type FileState,
  FOUND,
  type FrameState,
  fileState,
  frameState,
  linkKin,
  type MappingState,
  mappingState,
  type OpenState,
  openState,
  SEAL,
} from "./memory/state.ts";
import { findObjects, type Objects } from "./objects.ts";
import { plansOf } from "./plans.ts";
import { type ProcessState, processState, runnerOf } from "./processes.ts";
import type { Features, Profile } from "./profile/types.ts";
import { evaluate } from "./queries.ts";
import { Runner } from "./runner.ts";
import { type Instruction, type Orders, ordersOf, type Segment, segmentsOf } from "./schedule.ts";
import { type CompiledOperation, type CompiledStep, Context, type Plan } from "./step.ts";
import { ActorSymmetry, equalActors, exchange, twinsOf } from "./symmetry.ts";
import { addBlockCuts, BLOCKS } from "./tdx/blocks.ts";
import { findTdx, type TdxObjects } from "./tdx/objects.ts";
import { type TdxSizes, type TdxState, tdxState } from "./tdx/state.ts";
import { repeatedAccesses } from "./tdx/stepping.ts";
import { type ThreadState, threadStates } from "./threads.ts";

export type { ModelEvent } from "./events.ts";
export type { ThreadState } from "./threads.ts";

export interface MachineOptions {
  readonly cuts?: readonly { readonly space: string; readonly at: number }[];
  /** Frames beyond those that the first compile provides. */
  readonly extraFrames?: number;
  /** Keep the provenance of bytes in the state (zeroed-on-allocation is watched). */
  readonly provenance?: boolean;
  /** Keep `decided` and `hit` (no-lost-invalidation is watched). */
  readonly invalidationGhost?: boolean;
  /** Keep what a conversion has stored (conversion-atomic is watched). */
  readonly conversionGhost?: boolean;
  /** Keep the taint of frames (private-inaccessible or private-unmovable is watched). */
  readonly taint?: boolean;
  /** Keep what TDs may expect in their pages (private-integrity is watched). */
  readonly integrity?: boolean;
}

export class Machine {
  readonly program: Program;
  readonly profile: Profile;
  readonly options: MachineOptions;
  readonly objects: Objects;
  readonly values = new Values();
  readonly results = new Results();
  readonly layout = new Layout();
  readonly segments: readonly Segment[];
  readonly orders: Orders;
  readonly files: readonly FileState[];
  readonly opens: readonly OpenState[];
  readonly mappings: readonly MappingState[];
  readonly vms: readonly VmState[];
  readonly vcpus: readonly VcpuState[];
  /** `frames[0]` is no frame; behind those that any allocation may take stand those of alloc_frame(2M). */
  readonly frames: readonly FrameState[];
  /** Frames that alloc_frame() calls hold. */
  readonly drivers: readonly Field[];
  /** The TDX module; undefined where the scenario does not use it. */
  readonly tdx: TdxState | undefined;
  /** KVM's half of TDs; undefined where no VM is one. */
  readonly kvmTds: KvmTds | undefined;
  /** Who holds and who maps frames. */
  readonly frameFields: FrameFields;
  readonly threads: readonly ThreadState[];
  /** In-page byte offsets at which content is cut. */
  readonly bytes: Cells;
  /** 0 unbound, 1 bound, 2 closed, 3 + errno. */
  readonly handles: readonly Field[];
  /** By file. */
  readonly pipes: ReadonlyMap<number, PipeState>;
  /** By file and cell: pages with a memory error. */
  readonly poisoned: ReadonlyMap<number, readonly Field[]>;
  /** What fcntl changes of descriptors and open files. */
  readonly flags: DescriptorFlags;
  readonly processes: ProcessState;
  /** By call: 1 + result, for calls that an expression reads. */
  readonly answers: ReadonlyMap<CallId, Field>;
  /** Files that some call closes, or unmaps step by step: a call on one of them may turn out to hold its last reference. */
  readonly closed: ReadonlySet<number>;
  readonly segment: Field;
  readonly turn: Field;
  readonly atomicOwner: Field;
  readonly marks: readonly Field[];
  readonly operations: readonly CompiledOperation[];
  /** Some slot may have host memory behind it: MMU notifiers have something to do. */
  readonly notified: boolean;
  readonly plans: readonly (Plan | undefined)[];
  /** Events of the last step, valid until the next one, and whose step it was (call -1: an assertion). */
  events: readonly ModelEvent[] = [];
  lastCall: CallId = -1;
  lastStep = "";
  /** Regions that the last step may have changed, as bits (footprint.ts). */
  lastWrites = EVERYTHING;
  /** The last step went back, see explore/system.ts: a jump backwards, an access that is retried, a step that comes again and has not moved on. */
  wentBack = false;
  /** Sets of actors that do the same; undefined where there are none, as for every machine without a parallel block. */
  readonly symmetry: ActorSymmetry | undefined;
  /** By call: itself and the calls of equal actors at the same place. */
  readonly twins: readonly (readonly CallId[])[];
  /** Why this run cannot be called complete (a wide cell that would take a special frame). */
  limit: string | undefined;
  readonly #eventLists = new EventLists();
  readonly #operationOf: ReadonlyMap<string, CompiledOperation>;
  readonly #runner: Runner;
  #independence: MachineIndependence | undefined;
  #watched = 0;

  constructor(program: Program, profile: Profile, options: MachineOptions = {}) {
    this.program = program;
    this.profile = profile;
    this.options = options;
    this.objects = findObjects(program);
    this.notified = this.objects.slots.some((config) => config.mapping !== undefined);
    this.segments = segmentsOf(program, partsOf(program, this.objects));
    this.orders = ordersOf(program);
    const cuts = new Cuts();
    addCuts(cuts, program, this.objects, options.cuts ?? []);
    addTdCuts(cuts, program, this.objects);
    const tdx = addKvmTds(program, this.objects, findTdx(program));
    const blocks = this.objects.drivers.filter(({ pages }) => pages > 1).length;
    if (tdx && blocks > 0) addBlockCuts(cuts, program, tdx.gfns);
    this.bytes = cuts.cells(BYTES);
    const actors = program.actors.length;
    const fileCells = this.objects.files.map((file) => cuts.cells(fileSpace(file.index)));
    const mapCells = this.objects.mappings.map((mapping) => cuts.cells(mapSpace(mapping.index)));
    const vmCells = this.objects.vms.map((vm) => cuts.cells(vmSpace(vm.index)));
    const frames = this.#frameCount(fileCells, mapCells) + (options.extraFrames ?? 0);
    const groups = equalActors(program, this.objects, this.segments, namedCalls(this.features));
    const grouped = new Set(groups.flat());
    this.threads = threadStates(this, grouped, frames, Math.max(64, ...[...fileCells, ...mapCells, ...vmCells].map((cells) => cells.count)));
    this.segment = this.layout.field("schedule", this.segments.length);
    this.turn = this.layout.field("schedule", Math.max(1, ...this.segments.map((segment) => segment.sequence.length)));
    this.atomicOwner = this.layout.actorField("schedule", actors, "atomic");
    this.marks = this.orders.marks.map((_, mark) => this.layout.field("mark", 1, `${mark}`));
    this.handles = program.handles.map((_, handle) => this.layout.field("handle", 255, `${handle}`));
    this.processes = processState(this.layout, program, this.handles);
    this.answers = new Map([...answersRead(program)].map((call) => [call, this.layout.field("result", RESULTS_MAX, `call ${call}`)]));
    this.files = this.objects.files.map((file, index) =>
      fileState(this.layout, file, fileCells[index], frames, actors, profile.features.marker === "seal" ? SEAL.INACCESSIBLE : 0),
    );
    this.opens = this.objects.opens.map((open) => openState(this.layout, open));
    this.pipes = pipeStates(this.layout, program, this.objects, frames);
    this.poisoned = poisonedPages(this.layout, program, this.objects, fileCells);
    this.flags = descriptorFlags(this.layout, this.objects, program.calls, program.handles);
    this.mappings = linkKin(this.objects.mappings.map((mapping, index) => mappingState(this.layout, mapping, mapCells[index], frames)));
    this.vms = this.#vmStates(vmCells, frames);
    const touched = touchedPages(program, this.objects);
    this.vcpus = this.objects.vcpus.map((vcpu) => {
      const actor = runnerOf(program, vcpu);
      const owner = grouped.has(actor) ? actor : undefined;
      return this.layout.record(owner, () => vcpuState(this.layout, vcpu, vmCells[vcpu.vm], touched[vcpu.index], frames));
    });
    const blockCells = cuts.cells(BLOCKS);
    const every = frames + blocks * blockCells.count;
    this.frames = this.#frameStates(every);
    this.drivers = this.objects.drivers.map((_, driver) => this.layout.field("driver", every, `${driver}`));
    this.tdx = tdx && tdxState(this.layout, tdx, { frames: every, blocks, blockCells, ...this.#tdxSizes(tdx) });
    this.operations = compileOperations(profile, this.#needs());
    this.kvmTds = kvmTds(this.layout, this.vms, this.tdx, this.threads, { frames, actors, ...kvmTdExtras(this) });
    this.#operationOf = new Map(this.operations.map((operation) => [operation.name, operation]));
    this.frameFields = frameFields(this);
    this.plans = plansOf(this);
    this.closed = closedFiles(this.plans, this.notified);
    this.#runner = new Runner(this, new Context(this));
    this.symmetry = groups.length > 0 ? new ActorSymmetry(program, this.layout, this.handles, groups) : undefined;
    this.twins = twinsOf(program, this.segments, groups);
  }

  /** Which steps of an operation this machine can do without. */
  #needs(): Compiling {
    return {
      copies: this.objects.mappings.some((mapping) => !mapping.shared),
      notified: this.notified,
      signals: this.processes.signals.some((signal) => signal !== undefined) || this.processes.lives.length > 0,
      tds: this.tds,
      tdx: this.tdx !== undefined,
    };
  }

  #tdxSizes(tdx: TdxObjects): Omit<TdxSizes, "frames" | "blocks" | "blockCells"> {
    return {
      actors: this.actors,
      packages: Number(this.setting("packages")),
      ranges: this.bytes.count,
      interrupts: this.setting("interrupts") === 1n,
      integrity: this.options.integrity === true,
      repeated: repeatedAccesses(this.program, tdx, this.features),
    };
  }

  #frameStates(frames: number): FrameState[] {
    const none: FrameState = { content: [], tainted: this.segment };
    return [none, ...Array.from({ length: frames }, () => frameState(this.layout, this.bytes.count))];
  }

  #vmStates(cells: readonly Cells[], frames: number): VmState[] {
    const { program, objects, options } = this;
    const entries = this.features.conversion_store === "multi_index" ? entriesOf(program) : 1;
    const writers = options.conversionGhost === true && this.features.entry_memory === "may_run_out";
    const mortal = mortalVms(program, objects);
    const ending = endingProcesses(program);
    return objects.vms.map((vm, index) => {
      const orphaned = ending.has(processOf(program, program.calls[vm.call].actor));
      return vmState(this.layout, vm, cells[index], objects.slots, frames, this.actors, entries, writers, mortal.has(index), orphaned);
    });
  }

  get features(): Features {
    return this.profile.features;
  }

  get words(): number {
    return this.layout.words;
  }

  get actors(): number {
    return this.program.actors.length;
  }

  initial(state: Int32Array): void {
    state.fill(0);
    for (const frame of this.frames.slice(1)) for (const content of frame.content) content.set(state, FOUND);
  }

  /** One atomic step of `actor`; see explore/system.ts. With `said` the step tells what it does. */
  step(state: Int32Array, actor: number, choice: number, said?: string[]): number {
    this.events = this.#eventLists.none;
    this.wentBack = false;
    return this.#runner.step(state, actor, choice, said);
  }

  finished(state: Int32Array): boolean {
    return this.segment.get(state) >= this.segments.length;
  }

  /** Nobody can step, and only because an `order` or an `atomic` block holds somebody back: a schedule that the scenario rules out, no deadlock. */
  isHeldBack(state: Int32Array): boolean {
    const free = Int32Array.from(state);
    for (const mark of this.marks.slice(0, this.orders.written)) mark.set(free, 1);
    this.atomicOwner.set(free, 0);
    return this.program.actors.some((_, actor) => this.step(Int32Array.from(free), actor, 0) > 0);
  }

  /** Regions that predicates over states read: steps that write them are visible to reductions. `thread` stands for the windows of calls. */
  watch(regions: Iterable<string>): void {
    this.#watched = bits(regions);
    this.#independence = undefined;
  }

  /** What the steps of this machine touch, worked out when a search first asks. */
  get independence(): MachineIndependence {
    this.#independence ??= new MachineIndependence(this, this.#watched);
    return this.#independence;
  }

  /** The schedule in which two equal actors have changed places. */
  exchange<T extends { readonly actor: ActorId }>(schedule: readonly T[], from: ActorId, to: ActorId): T[] {
    return exchange(schedule, from, to);
  }

  /** The next instruction of an actor, or undefined when it has none in the present segment. */
  instruction(state: Int32Array, actor: ActorId): Instruction | undefined {
    const segment = this.segments[this.segment.get(state)];
    if (!segment) return undefined;
    if (segment.parallel) return segment.threads[actor][this.threads[actor].at.get(state)];
    const instruction = segment.sequence[this.turn.get(state)];
    return instruction?.actor === actor ? instruction : undefined;
  }

  /** The plan behind an instruction: that of its call, or of the part of it. */
  planOf({ call, part }: Instruction): Plan | undefined {
    const whole = this.plans[call ?? -1];
    return part ? whole?.parts?.[part - 1] : whole;
  }

  /** The plan that an actor is at, or comes to next. */
  planAt(state: Int32Array, actor: ActorId): Plan | undefined {
    const instruction = this.instruction(state, actor);
    return instruction && this.planOf(instruction);
  }

  /** The step that an actor stands at, for views: name of the operation's step, or undefined between calls. */
  position(state: Int32Array, actor: ActorId): { call: CallId; operation: CompiledOperation; step: CompiledStep } | undefined {
    const instruction = this.instruction(state, actor);
    const operation = this.operations[this.threads[actor].operation.get(state) - 1];
    if (instruction?.call === undefined || !operation) return undefined;
    return { call: instruction.call, operation, step: operation.steps[this.threads[actor].step.get(state)] };
  }

  operation(name: string): CompiledOperation {
    const operation = this.#operationOf.get(name);
    assert(operation, `profile ${this.profile.name} has no operation ${name}`);
    return operation;
  }

  evaluate(state: Int32Array, expression: Expression): bigint {
    return evaluate(this, state, expression);
  }

  emit(kind: ModelEvent["kind"], a: number, b = 0): void {
    this.events = this.#eventLists.add(this.events.length, kind, a, b);
  }

  /** A setting of the `machine` block, or its default. */
  setting(name: SettingName): bigint {
    return this.program.machine?.[name] ?? settingDefault(name);
  }

  handleOf(operand: Operand | undefined): HandleId | undefined {
    return operand?.kind === "handle" ? operand.handle : undefined;
  }

  /** Some VM of KVM is a TD. */
  get tds(): boolean {
    return this.objects.vms.some((vm) => isTdVm(this.objects, vm.index));
  }

  /** Enough frames that a clean one is always free at the start; compiled again with more when a run needs them. */
  #frameCount(fileCells: readonly Cells[], mapCells: readonly Cells[]): number {
    let count = this.objects.drivers.length + this.objects.vcpus.length + 2 + controlFrames(addKvmTds(this.program, this.objects, undefined));
    for (const cells of fileCells) for (let cell = 0; cell < cells.count; cell++) if (cells.single(cell)) count += 1;
    mapCells.forEach((cells, index) => {
      if (!this.objects.mappings[index].shared) for (let cell = 0; cell < cells.count; cell++) if (cells.single(cell)) count += 1;
    });
    return count;
  }
}

const drops = (plan: Plan, notified: boolean): boolean => plan.file >= 0 && (plan.call.spec === "close" || (notified && plan.call.spec === "munmap"));

function closedFiles(plans: readonly (Plan | undefined)[], notified: boolean): ReadonlySet<number> {
  const all = plans.flatMap((plan) => (plan ? [plan, ...(plan.parts ?? [])] : []));
  return new Set(all.flatMap((plan) => (drops(plan, notified) ? [plan.file] : [])));
}
