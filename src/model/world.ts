// The world of one scenario under one kernel: its objects, and where each word of the state is. What is done in it stands in machine.ts.

import { type SettingName, settingDefault } from "../scenario/catalogue/index.ts";
import { endingProcesses, processOf } from "../scenario/processes.ts";
import type { ActorId, CallId, HandleId, Operand, Program } from "../scenario/program.ts";
import { answersRead, touchedPages } from "./asked.ts";
import { BYTES, type Cells, Cuts, fileSpace, mapSpace, vmSpace } from "./cells.ts";
import { addCuts } from "./cuts.ts";
import { EventLists, type ModelEvent } from "./events.ts";
import { EVERYTHING } from "./footprint.ts";
import { RESULTS_MAX, Results, Values } from "./intern.ts";
import { entryCount, mortalVms, numberedCalls } from "./kvm/objects.ts";
import { type VcpuState, type VmState, vcpuState, vmState } from "./kvm/state.ts";
import { addKvmTds, addTdCuts, controlFrames, isTdVm, kvmTdExtras } from "./kvm/tdx-objects.ts";
import { type KvmTds, kvmTds } from "./kvm/tdx-state.ts";
import { type Field, Layout } from "./layout.ts";
import { type FrameFields, frameFields } from "./memory/holders.ts";
import { type PipeState, pipeStates } from "./memory/pipe-state.ts";
import {
  type DescriptorFlags,
  descriptorFlags,
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
  poisonedPages,
  SEAL,
} from "./memory/state.ts";
import { findObjects, type Objects } from "./objects.ts";
import { partCount } from "./parts.ts";
import { type ProcessState, processState, runnerOf } from "./process-state.ts";
import { listsOf } from "./profile/lists.ts";
import type { Features, Profile } from "./profile/types.ts";
import { type Instruction, type Orders, ordersOf, type Segment, segmentsOf } from "./schedule.ts";
import { equalActors } from "./symmetry.ts";
import { addBlockCuts, BLOCKS } from "./tdx/cuts.ts";
import { findTdx, type TdxObjects } from "./tdx/objects.ts";
import { repeatedAccesses } from "./tdx/repeated.ts";
import { type TdxSizes, type TdxState, tdxState } from "./tdx/state.ts";
import { type ThreadSizes, type ThreadState, threadStates } from "./threads.ts";

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

export class World {
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
  readonly segment: Field;
  readonly turn: Field;
  readonly atomicOwner: Field;
  readonly marks: readonly Field[];
  /** Some slot may have host memory behind it: MMU notifiers have something to do. */
  readonly notified: boolean;
  /** Sets of actors that do the same; none for a machine without a parallel block. */
  readonly equals: readonly (readonly ActorId[])[];
  /** Events of the last step, valid until the next one, and whose step it was (call -1: an assertion). */
  events: readonly ModelEvent[] = [];
  lastCall: CallId = -1;
  lastStep = "";
  /** Regions that the last step may have changed, as bits (footprint.ts). */
  lastWrites = EVERYTHING;
  /** The last step went back, see explore/system.ts: a jump backwards, an access that is retried, a step that comes again and has not moved on. */
  wentBack = false;
  /** Why this run cannot be called complete (a wide cell that would take a special frame). */
  limit: string | undefined;
  readonly #eventLists = new EventLists();

  constructor(program: Program, profile: Profile, options: MachineOptions = {}) {
    this.program = program;
    this.profile = profile;
    this.options = options;
    this.objects = findObjects(program);
    this.notified = this.objects.slots.some((config) => config.mapping !== undefined);
    this.segments = segmentsOf(program, partCount(program, this.objects));
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
    this.equals = equalActors(program, this.objects, this.segments, numberedCalls(this.features));
    const grouped = new Set(this.equals.flat());
    this.threads = threadStates(this.layout, grouped, this.#threadSizes(frames, [...fileCells, ...mapCells, ...vmCells]));
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
    this.vcpus = this.#vcpuStates(vmCells, frames, grouped);
    const blockCells = cuts.cells(BLOCKS);
    const allFrames = frames + blocks * blockCells.count;
    this.frames = this.#frameStates(allFrames);
    this.drivers = this.objects.drivers.map((_, driver) => this.layout.field("driver", allFrames, `${driver}`));
    this.tdx = tdx && tdxState(this.layout, tdx, { frames: allFrames, blocks, blockCells, ...this.#tdxSizes(tdx) });
    const locals = this.threads.flatMap(({ td }) => (td ? [td] : []));
    this.kvmTds = kvmTds(this.layout, this.vms, this.tdx, locals, { frames, actors, ...kvmTdExtras(program, this.objects, profile) });
    this.frameFields = frameFields(this);
  }

  #threadSizes(frames: number, spaces: readonly Cells[]): ThreadSizes {
    const { program, objects, segments, notified, tds } = this;
    return {
      program,
      objects,
      segments,
      notified,
      tds,
      operations: listsOf(this.profile, tds).length,
      conversions: this.options.conversionGhost === true,
      frames,
      cells: Math.max(64, ...spaces.map((cells) => cells.count)),
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
    const entries = this.features.conversion_store === "multi_index" ? entryCount(program) : 1;
    const writers = options.conversionGhost === true && this.features.entry_memory === "may_run_out";
    const mortal = mortalVms(program, objects);
    const ending = endingProcesses(program);
    return objects.vms.map((vm, index) => {
      const orphaned = ending.has(processOf(program, program.calls[vm.call].actor));
      return vmState(this.layout, vm, cells[index], objects.slots, frames, this.actors, entries, writers, mortal.has(index), orphaned);
    });
  }

  /** The vCPU of an actor that has equals stands in the words of that actor. */
  #vcpuStates(cells: readonly Cells[], frames: number, grouped: ReadonlySet<ActorId>): VcpuState[] {
    const touched = touchedPages(this.program, this.objects);
    return this.objects.vcpus.map((vcpu) => {
      const actor = runnerOf(this.program, vcpu);
      return this.layout.record(grouped.has(actor) ? actor : undefined, () => vcpuState(this.layout, vcpu, cells[vcpu.vm], touched[vcpu.index], frames));
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

  finished(state: Int32Array): boolean {
    return this.segment.get(state) >= this.segments.length;
  }

  /** The next instruction of an actor, or undefined when it has none in the present segment. */
  instruction(state: Int32Array, actor: ActorId): Instruction | undefined {
    const segment = this.segments[this.segment.get(state)];
    if (!segment) return undefined;
    if (segment.parallel) return segment.threads[actor][this.threads[actor].at.get(state)];
    const instruction = segment.sequence[this.turn.get(state)];
    return instruction?.actor === actor ? instruction : undefined;
  }

  /** A new step: what the last one has reported is over. */
  begin(): void {
    this.events = this.#eventLists.none;
    this.wentBack = false;
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
