// Footprints of steps and of what a thread may still do, as sets of regions; from them, whether a step may be taken alone (explore/system.ts, `alone`).

import { REGIONS } from "./layout.ts";
import type { Machine } from "./machine.ts";
import type { Instruction } from "./schedule.ts";
import type { StepCode } from "./step.ts";

export interface Footprint {
  /** A bit per region of `REGIONS`. */
  readonly reads: number;
  readonly writes: number;
  /** Reports events or returns to something that is watched. */
  readonly visible: boolean;
}

const BIT = new Map<string, number>(REGIONS.map((region, index) => [region, 1 << index]));
/** A call that begins or returns moves its thread, binds names and opens or closes windows: nothing is taken for unchanged. */
export const EVERYTHING = ~0;
const OWN = bits(["thread"]);
const FAULT = bits(["fault"]);
const FAULTS = bits(["faults"]);
const SRCU = bits(["srcu"]);
const GUEST_ACCESS = "fault";
const NOTHING: Footprint = { reads: 0, writes: 0, visible: false };

export function bits(regions: Iterable<string>): number {
  let set = 0;
  for (const region of regions) set |= BIT.get(region) ?? 0;
  return set;
}

/**
 * What of another actor's footprint these regions meet: own locals meet nobody's, an own fault only those who touch any fault, and these every fault.
 * Who ends a fault clears its own bit among the SRCU readers; who waits for all of them touches every fault too.
 */
function meets(own: number): number {
  let others = own & ~OWN & ~FAULT & ~SRCU;
  if (own & FAULT) others |= FAULTS;
  if (own & FAULTS) others |= FAULT;
  return others;
}

export class Footprints {
  readonly #machine: Machine;
  /** By segment, actor and instruction: what the actor may do from there to the end of the segment. */
  readonly #future: readonly (readonly (readonly Footprint[])[])[];
  /** A program with `order` or `atomic` couples its threads through the schedule: no reduction. */
  readonly #coupled: boolean;
  #watched = 0;
  #windows = false;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#future = machine.segments.map((segment) => segment.threads.map((thread) => this.#suffixes(thread)));
    const instructions = machine.segments.flatMap((segment) => segment.threads.flat());
    this.#coupled = machine.orders.marks.length > 0 || instructions.some((instruction) => instruction.atomicEnter);
  }

  /** Regions that predicates over states read. `thread` stands for the window of a call: then only guest accesses, which open none, are taken alone. */
  watch(regions: Iterable<string>): void {
    const watched = bits(regions);
    this.#windows = (watched & OWN) !== 0;
    this.#watched = watched & ~OWN;
  }

  /** The next step writes nothing that is watched, and touches nothing that another actor may still write, nor writes what another may still read. */
  alone(state: Int32Array, actor: number): boolean {
    const machine = this.#machine;
    const segment = machine.segment.get(state);
    if (this.#coupled || !machine.segments[segment]?.parallel) return false;
    const next = this.#next(state, actor);
    if (!next || next.visible || next.writes & this.#watched) return false;
    for (let other = 0; other < machine.actors; other++) {
      if (other === actor) continue;
      const future = this.#future[segment][other][machine.threads[other].at.get(state)];
      if (future && (future.writes & meets(next.reads | next.writes)) | (future.reads & meets(next.writes))) return false;
    }
    return true;
  }

  #next(state: Int32Array, actor: number): Footprint | undefined {
    const position = this.#machine.position(state, actor);
    // A step with which the call may return also binds its handle and its answer, which others may read.
    if (!position || (this.#windows && position.operation.name !== GUEST_ACCESS)) return undefined;
    if (position.step === position.operation.steps[position.operation.steps.length - 1]) return undefined;
    if (this.#machine.program.calls[position.call].binds !== undefined || this.#machine.answers.has(position.call)) return undefined;
    // A call on a file that is closed meanwhile may free its pages when it returns, at whatever step.
    if (this.#machine.closed.has(this.#machine.plans[position.call]?.file ?? -1)) return undefined;
    return footprintOf(position.step);
  }

  #suffixes(thread: readonly Instruction[]): Footprint[] {
    const suffixes: Footprint[] = [];
    let rest = NOTHING;
    for (let at = thread.length - 1; at >= 0; at--) {
      rest = union(rest, this.#instruction(thread[at]));
      suffixes[at] = rest;
    }
    return suffixes;
  }

  #instruction(instruction: Instruction): Footprint {
    if (instruction.call === undefined) return { reads: ~0, writes: 0, visible: true };
    const plan = this.#machine.plans[instruction.call];
    if (!plan) return NOTHING;
    const steps = plan.operations.flatMap((name) => this.#machine.operation(name).steps);
    const frees = this.#machine.closed.has(plan.file) ? ["page", "content"] : [];
    const binds = plan.call.binds === undefined ? [] : ["handle"];
    const answers = this.#machine.answers.has(instruction.call) ? ["result"] : [];
    const decode = { reads: bits([...plan.reads, ...frees]), writes: bits([...binds, ...answers, ...frees]), visible: true };
    return steps.map(footprintOf).reduce(union, decode);
  }
}

const FOOTPRINTS = new WeakMap<StepCode, Footprint>();

export function footprintOf(step: StepCode): Footprint {
  let footprint = FOOTPRINTS.get(step);
  if (!footprint) {
    footprint = { reads: bits(step.reads), writes: bits(step.writes), visible: step.events === true };
    FOOTPRINTS.set(step, footprint);
  }
  return footprint;
}

function union(a: Footprint, b: Footprint): Footprint {
  return { reads: a.reads | b.reads, writes: a.writes | b.writes, visible: a.visible || b.visible };
}
