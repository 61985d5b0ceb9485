// What each step of a machine may touch, by atoms, and where its actor may stand behind it: all that partial-order reduction is derived from
// (explore/system.ts). Locations are (parallel segment, actor, instruction, operation, step); what runs one after the other needs none.

import { processOf } from "../scenario/processes.ts";
import type { ActorId, CallId, Expression } from "../scenario/program.ts";
import { LOOPING, passedOver } from "./codes.ts";
import { lifeOfProcess } from "./ends.ts";
import { bits } from "./footprint.ts";
import { BEGIN_DESTROY, DESTROY } from "./kvm/life.ts";
import { RELEASE as RELEASE_OPERATION } from "./kvm/lifecycle.ts";
import type { Field, Region, Scope } from "./layout.ts";
import { type CompiledOperation, type CompiledStep, Context, type Machine, type Plan, type Shape } from "./machine.ts";

import type { Instruction } from "./schedule.ts";

/** Atoms of the layout as bits: `atom & 31` of word `atom >>> 5`. */
type AtomSet = Int32Array;

/** What a step may touch; `visible` where it may change what a watched predicate over states says. */
export interface Footprint {
  readonly reads: AtomSet;
  readonly writes: AtomSet;
  readonly visible: boolean;
}

/** What the step at a control position may touch in any state, the locks that must be free for it, and where its actor may stand behind it. */
interface Location {
  readonly footprint: Footprint;
  readonly acquires: number;
  readonly next: readonly number[];
}

/** A control position of one actor in one parallel segment. */
interface Position {
  readonly segment: number;
  readonly actor: ActorId;
  readonly at: number;
  readonly instruction: Instruction;
  /** Undefined where the instruction begins. */
  readonly operation?: CompiledOperation;
  readonly step: number;
}

/** Where an instruction's locations begin, and by operation number those of its steps. */
interface Place {
  readonly start: number;
  readonly operations: ReadonlyMap<number, number>;
}

const LOCKS_MAX = 32;
/** The location of whoever's turn it is between parallel blocks: nobody else can step. */
const SEQUENCE = 0;
const NOBODY = -1;
const GUEST_ACCESS = "fault";
const NONE: Shape = { reads: [], writes: [], returns: false };
/** Decode has refused the call: it returns at once. */
const REFUSED: Shape = { reads: [], writes: [], returns: true };
const WINDOWS = bits(["thread"]);
/** Where the last put of a closed file may free its pages: what it looks at, and what it changes. */
/** For a guest_memfd it decides whether the release follows. */
const BEGIN_RELEASE: Shape = { reads: ["handle", "pte", "slot", "control", "file"], writes: ["file"] };
const RELEASE: Shape = { reads: ["handle", "pte", "slot", "control", "reference", "page"], writes: ["page", "uptodate", "free", "content"] };

export class MachineIndependence {
  readonly locations: readonly Location[];
  readonly positions: readonly (Position | undefined)[];
  readonly #machine: Machine;
  readonly #context: Context;
  readonly #watched: number;
  /** By segment, actor and instruction. */
  readonly #places: readonly (readonly (readonly Place[])[])[];
  readonly #locks: readonly Field[];
  readonly #nothing: Footprint;
  /** By twice the location of a step, plus 1 where the call begins with it: footprints of the shapes that it has shown so far. */
  readonly #shapes: (Map<Shape, Footprint> | undefined)[] = [];
  readonly #scopes = new Map<Plan, Scope | undefined>();

  constructor(machine: Machine, watched: number) {
    this.#machine = machine;
    this.#watched = watched;
    this.#context = new Context(machine);
    this.#nothing = { reads: new Int32Array(0), writes: new Int32Array(0), visible: false };
    const positions: (Position | undefined)[] = [undefined];
    this.#places = machine.segments.map((segment, index) => segment.threads.map((thread, actor) => this.#number(positions, index, actor, thread)));
    this.positions = positions;
    this.#locks = this.#lockFields();
    this.locations = positions.map((position) => (position ? this.#location(position) : { footprint: this.#nothing, acquires: 0, next: [] }));
  }

  at(state: Int32Array, actor: number): number {
    const machine = this.#machine;
    const owner = machine.atomicOwner.get(state);
    if (owner !== 0 && owner !== actor + 1) return NOBODY;
    const index = machine.segment.get(state);
    const segment = machine.segments[index];
    if (!segment) return NOBODY;
    if (!segment.parallel) return segment.sequence[machine.turn.get(state)].actor === actor ? SEQUENCE : NOBODY;
    const thread = machine.threads[actor];
    const place = this.#places[index][actor][thread.at.get(state)];
    if (!place) return NOBODY;
    const operation = thread.operation.get(state);
    return operation === 0 ? place.start : (place.operations.get(operation - 1) ?? NOBODY) + thread.step.get(state);
  }

  held(state: Int32Array, actor: number): number {
    let held = 0;
    for (let lock = 0; lock < this.#locks.length; lock++) if (this.#locks[lock].get(state) === actor + 1) held |= 1 << lock;
    return held;
  }

  footprint(state: Int32Array, actor: number): Footprint | undefined {
    const machine = this.#machine;
    const location = this.at(state, actor);
    // While an actor owns an atomic block the others have no steps before it leaves, as between parallel blocks.
    if (location <= SEQUENCE || machine.atomicOwner.get(state) === actor + 1) return location < 0 ? undefined : this.#nothing;
    const position = this.positions[location] as Position;
    const { atomicEnter } = position.instruction;
    const plan = machine.planOf(position.instruction);
    if (!plan || (atomicEnter && !position.operation)) return this.locations[location].footprint;
    const context = this.#context;
    context.state = state;
    context.thread = machine.threads[actor];
    context.plan = plan;
    context.step = undefined;
    let { operation } = position;
    if (!operation) {
      if (plan.decode(context) !== undefined) return this.#shaped(location, position, plan, undefined, 0, REFUSED);
      operation = machine.operation(plan.select(context));
    }
    const at = passedOver(operation, plan, position.step);
    const step = operation.steps[at];
    context.operation = operation;
    context.step = step;
    // What the call takes over when it begins is not yet among its locals.
    const shape = step ? ((position.operation || !plan.begin ? step.narrow?.(context) : undefined) ?? step) : NONE;
    return this.#shaped(location, position, plan, operation, at, shape);
  }

  /** The footprint of a location's step in one of its shapes, compiled when it is first met. Shapes are constants, steps belong to their operation. */
  #shaped(location: number, position: Position, plan: Plan, operation: CompiledOperation | undefined, at: number, shape: Shape): Footprint {
    // A start location meets the first steps of several operations: each has shapes of its own, beside those of the same step when the call is under way.
    const first = position.operation || !operation ? undefined : this.#places[position.segment][position.actor][position.at].operations.get(operation.index);
    const key = first === undefined ? 2 * location : 2 * (first + Math.min(at, operation ? operation.steps.length - 1 : 0)) + 1;
    let shapes = this.#shapes[key];
    if (!shapes) this.#shapes[key] = shapes = new Map();
    let footprint = shapes.get(shape);
    if (!footprint) {
      footprint = this.#footprint([this.#atoms(position, plan, operation, at, shape)]);
      shapes.set(shape, footprint);
    }
    return footprint;
  }

  #number(positions: (Position | undefined)[], segment: number, actor: ActorId, thread: readonly Instruction[]): Place[] {
    return thread.map((instruction, at) => {
      const start = positions.length;
      positions.push({ segment, actor, at, instruction, step: 0 });
      const operations = new Map<number, number>();
      for (const name of this.#machine.planOf(instruction)?.operations ?? []) {
        const operation = this.#machine.operation(name);
        operations.set(operation.index, positions.length);
        for (const step of operation.steps.keys()) positions.push({ segment, actor, at, instruction, operation, step });
      }
      return { start, operations };
    });
  }

  /** At most 32 locks have a bit each; a lock without one only makes less independent. */
  #lockFields(): Field[] {
    const locks = new Set<Field>();
    for (const position of this.positions) for (const field of position ? this.#acquired(position) : []) locks.add(field);
    return [...locks].slice(0, LOCKS_MAX);
  }

  #acquired(position: Position): readonly Field[] {
    const plan = this.#machine.planOf(position.instruction);
    // Decode may refuse the call before its first step takes a lock.
    if (!plan || !position.operation) return [];
    return position.operation.steps[position.step].acquires?.(this.#machine, plan, position.operation) ?? [];
  }

  #location(position: Position): Location {
    const acquires = this.#acquired(position).reduce((mask, field) => {
      const lock = this.#locks.indexOf(field);
      return lock < 0 ? mask : mask | (1 << lock);
    }, 0);
    return { footprint: this.#everything(position), acquires, next: [...new Set(this.#next(position))] };
  }

  /** What the step may touch in any state. */
  #everything(position: Position): Footprint {
    const { instruction, operation, step } = position;
    if (!operation && instruction.atomicEnter) return { reads: this.#set().fill(~0), writes: this.#set().fill(~0), visible: true };
    if (instruction.assertion) return this.#footprint([this.#assertion(position.actor, instruction.assertion.condition)]);
    const plan = this.#machine.planOf(instruction);
    if (!plan) return { reads: this.#set().fill(~0), writes: this.#set().fill(~0), visible: true };
    if (operation) return this.#footprint([this.#atoms(position, plan, operation, step, operation.steps[step])]);
    const firsts = plan.operations.map((name) => {
      const first = this.#machine.operation(name);
      const at = passedOver(first, plan, 0);
      return this.#atoms(position, plan, first, at, first.steps[at] ?? NONE);
    });
    return this.#footprint([this.#atoms(position, plan, undefined, 0, REFUSED), ...firsts]);
  }

  /** The locations behind a step; an operation that is due instead goes on behind the same step. */
  *#next(position: Position): Generator<number> {
    const { segment, actor, at, instruction, operation } = position;
    const places = this.#places[segment][actor];
    const plan = this.#machine.planOf(instruction);
    let ends = !plan;
    const behind = (of: CompiledOperation, step: number): number[] => {
      const targets = [...this.#targets(of, plan as Plan, step)];
      ends ||= targets.includes(NOBODY);
      return targets.filter((target) => target !== NOBODY).map((target) => (places[at].operations.get(of.index) as number) + target);
    };
    if (plan && !operation) {
      ends = true;
      for (const name of plan.operations) {
        const first = this.#machine.operation(name);
        const step = passedOver(first, plan, 0);
        yield* behind(first, step);
        if (first.steps[step]?.switches) for (const other of plan.operations) yield* behind(this.#machine.operation(other), step);
      }
    } else if (plan && operation) {
      yield* behind(operation, position.step);
      if (operation.steps[position.step].switches) for (const other of plan.operations) yield* behind(this.#machine.operation(other), position.step);
    }
    const release = plan?.operations.includes(RELEASE_OPERATION) && operation?.name !== RELEASE_OPERATION;
    if (ends && release) yield places[at].operations.get(this.#machine.operation(RELEASE_OPERATION).index) as number;
    if (ends && plan?.vm !== undefined && operation?.name !== DESTROY) yield places[at].operations.get(this.#machine.operation(DESTROY).index) as number;
    // Parts of a call that have nothing to do are passed over, and all of them where it is refused.
    const over = 1 + (instruction.rest ?? 0);
    if (ends) for (let next = at + 1; next <= at + over; next++) if (places[next]) yield places[next].start;
  }

  /** Steps of the operation that may come behind one, `NOBODY` for the return of the call. */
  *#targets(operation: CompiledOperation, plan: Plan, at: number): Generator<number> {
    const step = operation.steps[at];
    const all = [at, at + 1];
    if (step?.loop && at === step.loop.last) all.push(step.loop.first);
    if (step && !step.jumps) all.push(...operation.steps.keys());
    for (const name of step?.jumps ?? []) all.push(operation.labels.get(name) ?? at + 1);
    for (const target of all) {
      const next = passedOver(operation, plan, target);
      if (next < operation.steps.length) yield next;
      else if (LOOPING.has(operation.name)) yield 0;
      else yield NOBODY;
    }
    if (step?.returns !== false) yield NOBODY;
  }

  /** The atoms of one step in one shape, with what its call does where it begins and where it may return. */
  #atoms(position: Position, plan: Plan, operation: CompiledOperation | undefined, at: number, shape: Shape): Touched {
    const { actor, instruction } = position;
    const { layout, orders, marks } = this.#machine;
    const call = instruction.call as CallId;
    const step = operation?.steps[at];
    const touched = new Touched();
    const begins = !position.operation;
    const returns = shape.returns !== false || (operation !== undefined && this.#fallsThrough(operation, plan, at));
    this.#add(touched, actor, plan, shape);
    if (begins) this.#add(touched, actor, plan, { reads: plan.reads, writes: [] });
    touched.writes.add(layout.atom("thread", `actor ${actor}`));
    if (begins || returns) touched.writes.add(layout.atom("control", `actor ${actor}`));
    for (const wait of orders.waits) {
      const waits = wait.call === call && (wait.step === undefined ? begins : wait.step === step?.name);
      if (waits) for (const mark of wait.marks) touched.reads.add(marks[mark].atom);
    }
    for (const mark of orders.marks) if (mark.call === call && (returns || mark.step === step?.name)) touched.writes.add(marks[mark.mark].atom);
    if (returns) this.#return(touched, actor, plan, operation);
    // Whether a part has something to do may depend on all there is.
    if (returns && instruction.part !== undefined) for (const { atom } of layout.fields) touched.reads.add(atom);
    if ((begins || returns) && this.#watched & WINDOWS && this.#opensWindow(plan)) touched.visible = true;
    return touched;
  }

  #fallsThrough(operation: CompiledOperation, plan: Plan, at: number): boolean {
    for (const target of this.#targets(operation, plan, at)) if (target === NOBODY && operation.steps[at]?.returns === false) return true;
    return operation.steps[at] === undefined;
  }

  #return(touched: Touched, actor: ActorId, plan: Plan, operation: CompiledOperation | undefined): void {
    const machine = this.#machine;
    if (plan.call.binds !== undefined) touched.writes.add(machine.handles[plan.call.binds].atom);
    const life = lifeOfProcess(machine, processOf(machine.program, actor));
    if (life) touched.reads.add(life.atom);
    const signal = machine.processes.signals[actor];
    if (signal) for (const field of [signal.pending, signal.inGuest]) touched.writes.add(field.atom);
    const answer = machine.answers.get(plan.id);
    if (answer) touched.writes.add(answer.atom);
    if (machine.closed.has(plan.file)) this.#add(touched, actor, plan, machine.files[plan.file].gmem ? BEGIN_RELEASE : RELEASE);
    if (plan.vm !== undefined) this.#add(touched, actor, plan, BEGIN_DESTROY);
    // A fault that no put has ended leaves with the access, and so does its reference.
    const last = operation?.name === GUEST_ACCESS ? operation.steps[operation.steps.length - 1]?.name : "put_page";
    if (last !== "put_page" && last !== "unlock_folio_put") this.#add(touched, actor, plan, { reads: [], writes: ["fault", "srcu", "reference", "free"] });
  }

  #add(touched: Touched, actor: ActorId, plan: Plan, { reads, writes }: Pick<Shape, "reads" | "writes">): void {
    const own = (region: Region): readonly number[] => [this.#machine.layout.atom(region, `actor ${actor}`)];
    for (const region of reads) for (const atom of region === "fault" ? own(region) : this.#reached(plan, region)) touched.reads.add(atom);
    for (const region of writes) {
      const atoms = region === "fault" || region === "reference" || region === "control" ? own(region) : this.#reached(plan, region);
      for (const atom of atoms) touched.writes.add(atom);
      if (region === "control") for (const other of plan.cutsOff ?? []) touched.writes.add(this.#machine.layout.atom("control", `actor ${other}`));
      // A pipe holds references that are no actor's.
      if (region === "reference") for (const pipe of this.#machine.pipes.values()) touched.writes.add(pipe.used.atom);
    }
  }

  #reached(plan: Plan, region: Region): readonly number[] {
    let scope = this.#scopes.get(plan);
    if (!this.#scopes.has(plan)) {
      scope = plan.scope?.();
      this.#scopes.set(plan, scope);
    }
    const real = region === "faults" ? "fault" : region;
    if (real === "free") return [this.#machine.layout.atom("free")];
    return scope?.(real) ?? this.#machine.layout.atomsOf(real);
  }

  /** Only calls that change what is watched have a window that could excuse something; a guest's accesses have none. */
  #opensWindow(plan: Plan): boolean {
    if (plan.operations[0] === GUEST_ACCESS) return false;
    return plan.operations.some((name) => this.#machine.operation(name).steps.some((step: CompiledStep) => (bits(step.writes) & this.#watched) !== 0));
  }

  #assertion(actor: ActorId, condition: Expression): Touched {
    const { layout, answers, drivers, handles, objects, program } = this.#machine;
    const touched = new Touched();
    const call = (id: CallId): void => {
      const life = lifeOfProcess(this.#machine, processOf(program, program.calls[id].actor));
      for (const field of [answers.get(id), drivers[objects.driverOf.get(id) ?? -1], life]) if (field) touched.reads.add(field.atom);
    };
    const visit = (expression: Expression): void => {
      if (expression.kind === "unary") visit(expression.of);
      else if (expression.kind === "binary") {
        visit(expression.left);
        visit(expression.right);
      } else if (expression.kind === "result" || expression.kind === "matches") expression.calls.forEach(call);
      else if (expression.kind === "name") {
        touched.reads.add(handles[expression.handle].atom);
        call(program.handles[expression.handle].call);
      } else if (expression.kind === "query") {
        layout.atoms.forEach(({ region }, atom) => void (region !== "thread" && region !== "control" && touched.reads.add(atom)));
      }
    };
    visit(condition);
    for (const region of ["thread", "control"] as const) touched.writes.add(layout.atom(region, `actor ${actor}`));
    return touched;
  }

  #footprint(parts: readonly Touched[]): Footprint {
    const reads = this.#set();
    const writes = this.#set();
    let visible = false;
    for (const part of parts) {
      visible ||= part.visible;
      for (const atom of part.reads) reads[atom >>> 5] |= 1 << (atom & 31);
      for (const atom of part.writes) {
        writes[atom >>> 5] |= 1 << (atom & 31);
        const { region } = this.#machine.layout.atoms[atom];
        if (region !== "thread" && region !== "control" && bits([region]) & this.#watched) visible = true;
      }
    }
    return { reads, writes, visible };
  }

  #set(): AtomSet {
    this.#machine.layout.atom("free");
    return new Int32Array((this.#machine.layout.atoms.length + 31) >>> 5);
  }
}

class Touched {
  readonly reads = new Set<number>();
  readonly writes = new Set<number>();
  visible = false;
}
