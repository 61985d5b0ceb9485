// The machine of one scenario under one kernel: static objects, the layout of the state, every call's plan, and the one function that runs an atomic step.
// It plays the `System` of explore/system.ts.

import { assert } from "../base/assert.ts";
import type { StepName } from "../scenario/catalogue/index.ts";
import type { ActorId, CallId, Expression, HandleId, Operand, Program } from "../scenario/program.ts";
import { BYTES, type Cells, Cuts, fileSpace, mapSpace, vmSpace } from "./cells.ts";
import { addCuts } from "./cuts.ts";
import { EVERYTHING, Footprints } from "./footprint.ts";
import { RESULTS_MAX, Results, VALUES_MAX, Values } from "./intern.ts";
import { type VcpuState, type VmState, vcpuState, vmState } from "./kvm/state.ts";
import { type Field, Layout } from "./layout.ts";
import { type FileState, FOUND, type FrameState, fileState, frameState, type MappingState, mappingState } from "./memory/state.ts";
import { findObjects, type Objects } from "./objects.ts";
import { plansOf } from "./plans.ts";
import type { Features, Profile } from "./profile/types.ts";
import { evaluate } from "./queries.ts";
import { Runner } from "./runner.ts";
import { type Instruction, type Orders, ordersOf, type Segment, segmentsOf } from "./schedule.ts";
import { type CompiledOperation, type CompiledStep, Context, type Plan, type StepCode } from "./step.ts";
import { STEPS } from "./steps.ts";

/** Control position and locals of one actor. A thread is plain data. */
export interface ThreadState {
  readonly index: ActorId;
  /** Next instruction of this actor in a parallel segment. */
  readonly at: Field;
  /** 0 between calls, else 1 + number of the running operation. */
  readonly operation: Field;
  readonly step: Field;
  /** 0 or 1 + file offset (interned) that a read or write took when it began. */
  readonly offset: Field;
  /** Loop over the plan's cells. */
  readonly cursor: Field;
  /** A frame that this thread holds a reference on (fault in flight, GUP). */
  readonly frame: Field;
  /** Slot that find_slot saw: 0 or 1 + number of the SlotConfig. */
  readonly slot: Field;
  /** 0 or 1 + result that the call returns when its operation ends. */
  readonly answer: Field;
  /** Invalidations that this call began and did not end. */
  readonly begun: Field;
  /** Set between `snapshot` and the end of the fault: the SRCU read side. */
  readonly inFault: Field;
  /** mmu_invalidate_seq moved since the snapshot. */
  readonly stale: Field;
  /** The fault has looked up what it will install. */
  readonly decided: Field;
  /** An invalidation that covers the gfn began since `decided`. */
  readonly hit: Field;
}

/** What a step reports beside its effect; invariants/ judges it. `a` and `b` are numbers of the model's objects. */
export interface ModelEvent {
  readonly kind:
    | "host-access"
    | "host-pte"
    | "leftover-read"
    | "install-after-invalidate"
    | "end-without-begin"
    | "begin-without-end"
    | "migrated"
    | "reclaimed"
    | "assert-failed"
    | "returned";
  readonly a: number;
  readonly b: number;
}

/** Bounds of packed fields; compiling or running past one is refused aloud. */
const OPERATIONS_MAX = 63;
const STEPS_MAX = 31;

export interface MachineOptions {
  readonly cuts?: readonly { readonly space: string; readonly at: number }[];
  /** Frames beyond those that the first compile provides. */
  readonly extraFrames?: number;
  /** Keep the provenance of bytes in the state (zeroed-on-allocation is watched). */
  readonly provenance?: boolean;
  /** Keep `decided` and `hit` (no-lost-invalidation is watched). */
  readonly invalidationGhost?: boolean;
  /** Keep the taint of frames (private-inaccessible or private-unmovable is watched). */
  readonly taint?: boolean;
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
  readonly mappings: readonly MappingState[];
  readonly vms: readonly VmState[];
  readonly vcpus: readonly VcpuState[];
  /** `frames[0]` is no frame. */
  readonly frames: readonly FrameState[];
  /** Frames that alloc_frame() calls hold. */
  readonly drivers: readonly Field[];
  readonly threads: readonly ThreadState[];
  /** In-page byte offsets at which content is cut. */
  readonly bytes: Cells;
  /** 0 unbound, 1 bound, 2 closed, 3 + errno. */
  readonly handles: readonly Field[];
  /** By call: 1 + result, for calls that an expression reads. */
  readonly answers: ReadonlyMap<CallId, Field>;
  /** Files that some call closes: a call on one of them may turn out to hold its last reference. */
  readonly closed: ReadonlySet<number>;
  readonly segment: Field;
  readonly turn: Field;
  readonly atomicOwner: Field;
  readonly marks: readonly Field[];
  readonly operations: readonly CompiledOperation[];
  readonly plans: readonly (Plan | undefined)[];
  /** Events of the last step, and whose step it was (call -1: an assertion). */
  readonly events: ModelEvent[] = [];
  lastCall: CallId = -1;
  lastStep = "";
  /** Regions that the last step may have changed, as bits (footprint.ts). */
  lastWrites = EVERYTHING;
  /** Why this run cannot be called complete (a wide cell that would take a special frame). */
  limit: string | undefined;
  readonly #runner: Runner;
  readonly #footprints: Footprints;

  constructor(program: Program, profile: Profile, options: MachineOptions = {}) {
    this.program = program;
    this.profile = profile;
    this.options = options;
    this.objects = findObjects(program);
    this.segments = segmentsOf(program);
    this.orders = ordersOf(program);
    const cuts = new Cuts();
    addCuts(cuts, program, this.objects, options.cuts ?? []);
    this.bytes = cuts.cells(BYTES);
    const actors = program.actors.length;
    const fileCells = this.objects.files.map((file) => cuts.cells(fileSpace(file.index)));
    const mapCells = this.objects.mappings.map((mapping) => cuts.cells(mapSpace(mapping.index)));
    const vmCells = this.objects.vms.map((vm) => cuts.cells(vmSpace(vm.index)));
    const frames = this.#frameCount(fileCells, mapCells) + (options.extraFrames ?? 0);
    this.threads = this.#threads(actors, frames, Math.max(64, ...[...fileCells, ...mapCells, ...vmCells].map((cells) => cells.count)));
    this.segment = this.layout.field("schedule", this.segments.length);
    this.turn = this.layout.field("schedule", Math.max(1, ...this.segments.map((segment) => segment.sequence.length)));
    this.atomicOwner = this.layout.field("schedule", actors);
    this.marks = this.orders.marks.map(() => this.layout.field("schedule", 1));
    this.handles = program.handles.map(() => this.layout.field("handle", 255));
    this.answers = new Map([...answersRead(program)].map((call) => [call, this.layout.field("result", RESULTS_MAX)]));
    this.files = this.objects.files.map((file, index) => fileState(this.layout, file, fileCells[index], frames, actors));
    this.mappings = this.objects.mappings.map((mapping, index) => mappingState(this.layout, mapping, mapCells[index], frames));
    this.vms = this.objects.vms.map((vm, index) => vmState(this.layout, vm, vmCells[index], this.objects.slots, frames, actors, this.objects.vcpus.length));
    const touched = touchedPages(program, this.objects);
    this.vcpus = this.objects.vcpus.map((vcpu) => vcpuState(this.layout, vcpu, vmCells[vcpu.vm], touched[vcpu.index], frames));
    this.frames = Array.from({ length: frames + 1 }, (_, frame) =>
      frame === 0 ? { content: [], tainted: this.segment } : frameState(this.layout, this.bytes.count),
    );
    this.drivers = this.objects.drivers.map(() => this.layout.field("driver", frames));
    this.operations = compileOperations(
      profile,
      this.objects.mappings.some((mapping) => !mapping.shared),
    );
    this.plans = plansOf(this);
    this.closed = new Set(this.plans.flatMap((plan) => (plan?.call.spec === "close" && plan.file >= 0 ? [plan.file] : [])));
    this.#runner = new Runner(this, new Context(this));
    this.#footprints = new Footprints(this);
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
    this.events.length = 0;
    return this.#runner.step(state, actor, choice, said);
  }

  finished(state: Int32Array): boolean {
    return this.segment.get(state) >= this.segments.length;
  }

  /** Nobody can step, and only because an `order` or an `atomic` block holds somebody back: a schedule that the scenario rules out, no deadlock. */
  isHeldBack(state: Int32Array): boolean {
    const free = Int32Array.from(state);
    for (const mark of this.marks) mark.set(free, 1);
    this.atomicOwner.set(free, 0);
    return this.program.actors.some((_, actor) => this.step(Int32Array.from(free), actor, 0) > 0);
  }

  alone(state: Int32Array, actor: number): boolean {
    return this.#footprints.alone(state, actor);
  }

  /** Regions that invariants and questions read; steps that write them are visible to reductions. */
  watch(regions: Iterable<string>): void {
    this.#footprints.watch(regions);
  }

  /** The next instruction of an actor, or undefined when it has none in the present segment. */
  instruction(state: Int32Array, actor: ActorId): Instruction | undefined {
    const segment = this.segments[this.segment.get(state)];
    if (!segment) return undefined;
    if (segment.parallel) return segment.threads[actor][this.threads[actor].at.get(state)];
    const instruction = segment.sequence[this.turn.get(state)];
    return instruction?.actor === actor ? instruction : undefined;
  }

  /** The step that an actor stands at, for views: name of the operation's step, or undefined between calls. */
  position(state: Int32Array, actor: ActorId): { call: CallId; operation: CompiledOperation; step: CompiledStep } | undefined {
    const instruction = this.instruction(state, actor);
    const operation = this.operations[this.threads[actor].operation.get(state) - 1];
    if (instruction?.call === undefined || !operation) return undefined;
    return { call: instruction.call, operation, step: operation.steps[this.threads[actor].step.get(state)] };
  }

  operation(name: string): CompiledOperation {
    const operation = this.operations.find((candidate) => candidate.name === name);
    assert(operation, `profile ${this.profile.name} has no operation ${name}`);
    return operation;
  }

  evaluate(state: Int32Array, expression: Expression): bigint {
    return evaluate(this, state, expression);
  }

  emit(kind: ModelEvent["kind"], a: number, b = 0): void {
    this.events.push({ kind, a, b });
  }

  handleOf(operand: Operand | undefined): HandleId | undefined {
    return operand?.kind === "handle" ? operand.handle : undefined;
  }

  /** Enough frames that a clean one is always free at the start; compiled again with more when a run needs them. */
  #frameCount(fileCells: readonly Cells[], mapCells: readonly Cells[]): number {
    let count = this.objects.drivers.length + this.objects.vcpus.length + 2;
    for (const cells of fileCells) for (let cell = 0; cell < cells.count; cell++) if (cells.single(cell)) count += 1;
    mapCells.forEach((cells, index) => {
      if (!this.objects.mappings[index].shared) for (let cell = 0; cell < cells.count; cell++) if (cells.single(cell)) count += 1;
    });
    return count;
  }

  #threads(actors: number, frames: number, cells: number): ThreadState[] {
    const streams = this.program.calls.some((call) => call.spec === "read" || call.spec === "write");
    return Array.from({ length: actors }, (_, index) => {
      const own = (max: number): Field => this.layout.field("thread", max);
      const fault = (max: number): Field => this.layout.field("fault", max);
      const longest = Math.max(1, ...this.segments.map((segment) => segment.threads[index]?.length ?? 0));
      return {
        index,
        at: own(longest),
        operation: own(OPERATIONS_MAX),
        step: own(STEPS_MAX),
        offset: own(streams ? VALUES_MAX + 1 : 0),
        cursor: own(cells),
        frame: own(frames),
        slot: own(this.objects.slots.length),
        answer: own(RESULTS_MAX),
        begun: own(Math.max(1, this.objects.slots.length)),
        inFault: fault(1),
        stale: fault(1),
        decided: fault(1),
        hit: fault(1),
      };
    });
  }
}

/** `copies`: some mapping copies on write, so that GUP may have to tell the MMU notifier; without one its footprint is smaller. */
function compileOperations(profile: Profile, copies: boolean): CompiledOperation[] {
  const code = (name: StepName): StepCode =>
    name === "gup" && !copies ? { ...STEPS[name], writes: STEPS[name].writes.filter((region) => region !== "faults") } : STEPS[name];
  return Object.entries(profile.operations).map(([name, list], index) => {
    const steps: CompiledStep[] = [];
    // A guest or host access is its fault path behind the access itself, and comes back to it.
    const flat = name === "fault" ? ["access" as const, ...list] : list;
    for (const entry of flat) {
      if (typeof entry === "string") steps.push({ name: entry, ...code(entry) });
      else {
        const loop = { first: steps.length, last: steps.length + entry.length - 1 };
        for (const inner of entry) steps.push({ name: inner, loop, ...code(inner) });
      }
    }
    const labels = new Map<string, number>();
    steps.forEach((step, at) => {
      if (!labels.has(step.name)) labels.set(step.name, at);
    });
    return { name, index, steps, labels };
  });
}

/** Calls whose result some expression reads: these results are part of the state. */
function answersRead(program: Program): Set<CallId> {
  const calls = new Set<CallId>();
  const visit = (expression: Expression): void => {
    if (expression.kind === "unary") visit(expression.of);
    else if (expression.kind === "binary") {
      visit(expression.left);
      visit(expression.right);
    } else if (expression.kind === "result" || expression.kind === "matches") for (const call of expression.calls) calls.add(call);
    else if (expression.kind === "name") calls.add(program.handles[expression.handle].call);
  };
  for (const question of program.questions) visit(question.condition);
  for (const segment of segmentsOf(program)) {
    for (const instruction of [...segment.sequence, ...segment.threads.flat()]) if (instruction.assertion) visit(instruction.assertion.condition);
  }
  return calls;
}

/** By vCPU: the gfns that its loads and stores touch. */
function touchedPages(program: Program, objects: Objects): Set<number>[] {
  const touched = objects.vcpus.map(() => new Set<number>());
  program.calls.forEach((call) => {
    if (call.spec !== "guest.load" && call.spec !== "guest.store") return;
    const handle = program.actors[call.actor].handle;
    const vcpu = objects.vcpus.find((candidate) => candidate.handle === handle);
    const gpa = call.operands[0];
    if (vcpu && gpa?.kind === "int") touched[vcpu.index].add(Number((BigInt.asUintN(64, gpa.value) & ~(1n << 51n)) >> 12n));
  });
  return touched;
}
