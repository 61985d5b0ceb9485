// Watches which regions of the state a step really reads and writes, field by field, to hold them against the footprint that it declares.

import { Field, type Region } from "../../src/model/layout.ts";
import type { Machine, ThreadState } from "../../src/model/machine.ts";
import type { CompiledStep } from "../../src/model/step.ts";

export interface Touched {
  readonly where: string;
  readonly reads: ReadonlySet<Region>;
  readonly writes: ReadonlySet<Region>;
  readonly declaredReads: readonly Region[];
  readonly declaredWrites: readonly Region[];
  /** The step reported an event that an invariant may judge. */
  readonly spoke: boolean;
  readonly declaredEvents: boolean;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Runs `use` while every step and every decode of `machine` is watched. */
export function watching<T>(machine: Machine, seen: (touched: Touched) => void, use: () => T): T {
  const { get, set } = Field.prototype;
  let reads: Set<Region> | undefined;
  let writes: Set<Region> | undefined;
  let own: ReadonlySet<Field> = new Set();
  const regionOf = (field: Field): Region => {
    const region = machine.layout.regions[field.word];
    return region === "fault" && !own.has(field) ? "faults" : region;
  };
  const track = <R>(thread: ThreadState, where: string, declared: Pick<CompiledStep, "reads" | "writes" | "events">, run: () => R): R => {
    const touched = { reads: new Set<Region>(), writes: new Set<Region>() };
    own = new Set([thread.inFault, thread.stale, thread.decided, thread.hit]);
    reads = touched.reads;
    writes = touched.writes;
    const spoken = machine.events.length;
    try {
      return run();
    } finally {
      reads = undefined;
      writes = undefined;
      seen({
        where,
        ...touched,
        declaredReads: declared.reads,
        declaredWrites: declared.writes,
        spoke: machine.events.length > spoken,
        declaredEvents: declared.events === true,
      });
    }
  };
  const undo: (() => void)[] = [];
  for (const operation of machine.operations) {
    for (const step of operation.steps as Mutable<CompiledStep>[]) {
      const { run } = step;
      step.run = (context) => track(context.thread, `${operation.name}.${step.name}`, step, () => run(context));
      undo.push(() => void (step.run = run));
    }
  }
  for (const plan of machine.plans) {
    if (!plan) continue;
    const { decode, select } = plan;
    plan.decode = (context) => track(context.thread, `${plan.call.spec}: decode`, { reads: plan.reads, writes: [] }, () => decode(context));
    plan.select = (context) => track(context.thread, `${plan.call.spec}: select`, { reads: plan.reads, writes: [] }, () => select(context));
  }
  Field.prototype.get = function (state) {
    reads?.add(regionOf(this));
    return get.call(this, state);
  };
  Field.prototype.set = function (state, value) {
    writes?.add(regionOf(this));
    set.call(this, state, value);
  };
  try {
    return use();
  } finally {
    Object.assign(Field.prototype, { get, set });
    for (const back of undo) back();
  }
}
