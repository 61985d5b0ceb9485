// The machine as a system that can be searched: what its calls do, and the one function that runs an atomic step. It plays the `System` of explore/system.ts.

import type { ActorId, CallId, Expression, Program } from "../scenario/program.ts";
import { type Compiling, compileOperations } from "./compile.ts";
import { bits } from "./footprint.ts";
import { MachineIndependence } from "./independence.ts";
import { Context, Machine, type Plan } from "./machine.ts";
import { plansOf } from "./plans.ts";
import type { Profile } from "./profile/types.ts";
import { evaluate } from "./queries.ts";
import { Runner } from "./runner.ts";
import { ActorSymmetry, exchange, twinsOf } from "./symmetry.ts";
import type { MachineOptions } from "./world.ts";

export class MachineSystem extends Machine {
  /** Undefined where no actors do the same. */
  readonly symmetry: ActorSymmetry | undefined;
  /** By call: itself and the calls of equal actors at the same place. */
  readonly twins: readonly (readonly CallId[])[];
  readonly #runner: Runner;
  #independence: MachineIndependence | undefined;
  #watched = 0;

  constructor(program: Program, profile: Profile, options: MachineOptions = {}) {
    super(program, profile, options);
    this.operations = compileOperations(profile, needsOf(this));
    this.plans = plansOf(this);
    this.closed = closedFiles(this.plans, this.notified);
    this.#runner = new Runner(this, new Context(this));
    this.symmetry = this.equals.length > 0 ? new ActorSymmetry(program, this.layout, this.handles, this.equals) : undefined;
    this.twins = twinsOf(program, this.segments, this.equals);
  }

  /** One atomic step of `actor`; see explore/system.ts. With `said` the step tells what it does. */
  step(state: Int32Array, actor: number, choice: number, said?: string[]): number {
    this.begin();
    return this.#runner.step(state, actor, choice, said);
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

  evaluate(state: Int32Array, expression: Expression): bigint {
    return evaluate(this, state, expression);
  }
}

/** Which steps of an operation a machine can do without. */
function needsOf({ objects, notified, processes, tds, tdx }: Machine): Compiling {
  return {
    copies: objects.mappings.some((mapping) => !mapping.shared),
    notified,
    signals: processes.signals.some((signal) => signal !== undefined) || processes.lives.length > 0,
    tds,
    tdx: tdx !== undefined,
  };
}

const drops = (plan: Plan, notified: boolean): boolean => plan.file >= 0 && (plan.call.spec === "close" || (notified && plan.call.spec === "munmap"));

function closedFiles(plans: readonly (Plan | undefined)[], notified: boolean): ReadonlySet<number> {
  const all = plans.flatMap((plan) => (plan ? [plan, ...(plan.parts ?? [])] : []));
  return new Set(all.flatMap((plan) => (drops(plan, notified) ? [plan.file] : [])));
}
