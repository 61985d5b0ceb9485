// Watches which atoms of the state a step really reads and writes, where its actor then stands and which frames are free, to hold them against what the
// machine tells the reductions.

import assert from "node:assert/strict";
import * as fc from "fast-check";
import { explore } from "../../src/explore/search.ts";
import type { Footprint, MachineIndependence } from "../../src/model/independence.ts";
import { Field, type Region } from "../../src/model/layout.ts";
import { type CompiledStep, type Context, DONE } from "../../src/model/machine.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import { onMachine, still } from "./support.ts";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Moved by the runner itself, for all steps alike. */
const SCHEDULE: readonly Region[] = ["schedule"];

/** A field whose reads nobody hears: those of an allocation and of a release go through all holders and page tables, which `free` and `reference` stand for. */
class Unheard extends Field {
  constructor({ word, shift, mask, atom }: Field) {
    super(word, shift, mask, atom);
  }

  override get(state: Int32Array): number {
    return (state[this.word] >>> this.shift) & this.mask;
  }
}

/** What an allocation can tell of the free frames beside their bytes (the atom of which it writes): which there are, and which of them are still mapped. */
export function freeFrames(machine: MachineSystem, state: Int32Array): string {
  const value = (field: Field | undefined): number => (field === undefined ? 0 : (state[field.word] >>> field.shift) & field.mask);
  const { holders, mapped } = machine.frameFields;
  const held = new Set(holders.map(value));
  const named = new Set(mapped.map(value));
  const free: string[] = [];
  for (let frame = 1; frame < machine.frames.length; frame++) {
    if (!held.has(frame)) free.push(`${frame}${named.has(frame) ? " mapped" : ""}`);
  }
  return free.join();
}

/** Runs `use` while every step of `machine` is watched; `complain` hears what a declaration leaves out. */
export function watching<T>(machine: MachineSystem, complain: (text: string) => void, use: () => T): T {
  const watcher = new Watcher(machine, complain);
  const { get, set } = Field.prototype;
  const { step } = machine;
  const undo = watcher.wrapSteps();
  machine.step = (state, actor, choice, said) => watcher.step(state, actor, () => step.call(machine, state, actor, choice, said));
  Field.prototype.get = function (state) {
    watcher.reads?.add(this.atom);
    return get.call(this, state);
  };
  Field.prototype.set = function (state, value) {
    if (watcher.running) watcher.writes?.add(this.atom);
    set.call(this, state, value);
  };
  try {
    return use();
  } finally {
    Object.assign(Field.prototype, { get, set });
    undo();
    Reflect.deleteProperty(machine, "step");
  }
}

/** What some step of a text does and does not declare, in at most so many states. */
export function undeclared(text: string, maxStates: number): string[] {
  const missing = new Set<string>();
  onMachine(text, (machine) =>
    watching(
      machine,
      (sentence) => missing.add(sentence),
      () => explore(machine, {}, { maxStates, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still }),
    ),
  );
  return [...missing];
}

/** Fails with everything that the steps of random texts leave undeclared. */
export function assertDeclared(texts: fc.Arbitrary<string>, { maxStates, numRuns }: { readonly maxStates: number; readonly numRuns: number }): void {
  const missing = new Set<string>();
  fc.assert(
    fc.property(texts, (text) => undeclared(text, maxStates).forEach((sentence) => void missing.add(sentence))),
    { numRuns },
  );
  assert.deepEqual([...missing].sort(), []);
}

const has = (set: Int32Array, atom: number): boolean => (set[atom >>> 5] & (1 << (atom & 31))) !== 0;

/** Who is dead at the begin of the next block: nobody else can step when it begins. */
const isLife = ({ region, name }: MachineSystem["layout"]["atoms"][number]): boolean => region === "signal" && name.startsWith("process ");

class Watcher {
  reads: Set<number> | undefined;
  writes: Set<number> | undefined;
  running = false;
  readonly #machine: MachineSystem;
  readonly #independence: MachineIndependence;
  readonly #complain: (text: string) => void;
  #where = "";

  constructor(machine: MachineSystem, complain: (text: string) => void) {
    this.#machine = machine;
    this.#independence = machine.independence;
    this.#complain = complain;
  }

  /** A step's own code is what sets fields on purpose; what it answers must be declared. */
  wrapSteps(): () => void {
    const undo: (() => void)[] = [];
    const { frameFields } = this.#machine;
    const unheard = (fields: readonly Field[]): Field[] => fields.map((field) => new Unheard(field));
    const machine = this.#machine as Mutable<MachineSystem>;
    const wide = frameFields.wide.map(({ field, pages }) => ({ field: new Unheard(field), pages }));
    machine.frameFields = { ...frameFields, wide, holders: unheard(frameFields.holders), mapped: unheard(frameFields.mapped) };
    undo.push(() => void (machine.frameFields = frameFields));
    for (const operation of this.#machine.operations) {
      for (const step of operation.steps as Mutable<CompiledStep>[]) {
        const { run } = step;
        step.run = (context) => this.#run(step, operation.labels, context, run);
        undo.push(() => void (step.run = run));
      }
    }
    return () => undo.forEach((back) => back());
  }

  #run(step: CompiledStep, labels: ReadonlyMap<string, number>, context: Context, run: CompiledStep["run"]): number {
    const { operation } = context;
    this.running = true;
    const code = run(context);
    this.running = false;
    this.#where = `${operation.name}.${step.name}`;
    if (code === DONE && step.returns === false) this.#complain(`${this.#where} returns`);
    if (code >= 0 && step.jumps && !step.jumps.some((name) => labels.get(name) === code))
      this.#complain(`${this.#where} jumps to ${operation.steps[code].name}`);
    if (context.operation !== operation && !step.switches) this.#complain(`${this.#where} goes on in ${context.operation.name}`);
    return code;
  }

  step(state: Int32Array, actor: number, run: () => number): number {
    const { layout } = this.#machine;
    const independence = this.#independence;
    const before = state.slice();
    const at = independence.at(before, actor);
    // Between parallel blocks and in an atomic block nobody else can step, so nothing is asked of the footprint; that of the location still holds.
    const owned = this.#machine.atomicOwner.get(before) === actor + 1;
    const footprint = at > 0 && !owned ? independence.footprint(before, actor) : independence.locations[at]?.footprint;
    this.#where = "";
    this.reads = new Set();
    this.writes = new Set();
    let choices = 0;
    try {
      choices = run();
    } finally {
      this.running = false;
      const { reads, writes } = this;
      this.reads = this.writes = undefined;
      if (choices > 0 && at > 0 && footprint) {
        for (const field of layout.fields) if (field.get(before) !== field.get(state)) writes.add(field.atom);
        this.#where ||= `${this.#machine.program.calls[this.#machine.lastCall]?.spec ?? "assert"}: begin`;
        this.#judge({ before, state, actor, at, footprint, reads, writes });
      }
    }
    return choices;
  }

  #judge(step: {
    readonly before: Int32Array;
    readonly state: Int32Array;
    readonly actor: number;
    readonly at: number;
    readonly footprint: Footprint;
    readonly reads: ReadonlySet<number>;
    readonly writes: ReadonlySet<number>;
  }): void {
    const { before, state, actor, at, footprint, reads, writes } = step;
    const machine = this.#machine;
    const { layout } = machine;
    const location = this.#independence.locations[at];
    const moved = machine.segment.get(before) !== machine.segment.get(state);
    const name = (atom: number): string => `${layout.atoms[atom].region} ${layout.atoms[atom].name}`;
    for (const atom of reads) {
      if (
        has(footprint.reads, atom) ||
        has(footprint.writes, atom) ||
        this.#isOwn(atom, actor) ||
        this.#isSteady(atom, footprint, moved) ||
        (moved && isLife(layout.atoms[atom]))
      )
        continue;
      this.#complain(`${this.#where} reads ${name(atom)}`);
    }
    for (const atom of writes) {
      if (has(footprint.writes, atom) || SCHEDULE.includes(layout.atoms[atom].region) || (moved && layout.atoms[atom].region === "control")) continue;
      this.#complain(`${this.#where} writes ${name(atom)}`);
    }
    for (let atom = 0; atom < layout.atoms.length; atom++) {
      if (has(footprint.writes, atom) && !has(location.footprint.writes, atom))
        this.#complain(`${this.#where} has ${name(atom)} that its location does not write`);
      if (has(footprint.reads, atom) && !has(location.footprint.reads, atom) && !has(location.footprint.writes, atom))
        this.#complain(`${this.#where} has ${name(atom)} that its location does not read`);
    }
    if (!has(footprint.writes, layout.atom("free")) && freeFrames(machine, before) !== freeFrames(machine, state))
      this.#complain(`${this.#where} changes the free frames: ${freeFrames(machine, before)} become ${freeFrames(machine, state)}`);
    const behind = moved ? -1 : this.#independence.at(state, actor);
    if (behind >= 0 && !location.next.includes(behind)) this.#complain(`${this.#where} goes on at ${this.#place(behind)}`);
    for (let other = 0; other < machine.actors; other++) {
      if (other !== actor && (this.#independence.held(before, other) & location.acquires) !== 0) this.#complain(`${this.#where} runs while its lock is held`);
    }
  }

  #isOwn(atom: number, actor: number): boolean {
    const { region, name } = this.#machine.layout.atoms[atom];
    return name === `actor ${actor}` && (region === "thread" || region === "control" || region === "reference");
  }

  /** The phase of the scenario stands still while a parallel block runs, and so does the call of an actor whose fault, or whose hole, is looked at. */
  #isSteady(atom: number, footprint: Footprint, moved: boolean): boolean {
    const { layout } = this.#machine;
    const { region, name } = layout.atoms[atom];
    if (region !== "control") return SCHEDULE.includes(region);
    const returns = moved || layout.atomsOf("control").some((other) => has(footprint.writes, other));
    const looksAtFault = has(footprint.reads, layout.atom("fault", name)) || has(footprint.writes, layout.atom("fault", name));
    return returns || looksAtFault || layout.atomsOf("hole").some((hole) => has(footprint.reads, hole));
  }

  #place(location: number): string {
    const position = this.#independence.positions[location];
    return position ? `${position.at} ${position.operation?.name ?? "begin"} ${position.operation?.steps[position.step]?.name ?? ""}` : `${location}`;
  }
}
