// Actors that do the same: vCPUs of one VM, or host threads, with equal lists of calls that nothing else in the program tells apart. States that differ only
// by an exchange of such actors have equal futures, so one representative stands for all of them (scalarsets; Ip and Dill, 1996).

import { assert } from "../base/assert.ts";
import { endingProcesses, processOf } from "../scenario/processes.ts";
import type { ActorId, CallId, Expression, HandleId, Operand, Program } from "../scenario/program.ts";
import { BOUND } from "./handles.ts";
import type { Field, Layout } from "./layout.ts";
import type { Objects } from "./objects.ts";
import { runnerOf } from "./process-state.ts";
import type { Instruction, Segment } from "./schedule.ts";

/** Sets of two or more actors that can be exchanged all through the program. `named`: calls whose effect the state keeps by their number. */
export function equalActors(program: Program, objects: Objects, segments: readonly Segment[], named: ReadonlySet<string>): ActorId[][] {
  const told = toldApart(program, objects);
  const signalled = new Set(program.calls.flatMap(({ spec, operands: [to] }) => (spec === "signal" && to?.kind === "int" ? [Number(to.value)] : [])));
  const ending = endingProcesses(program);
  for (const actor of program.actors.keys()) if (ending.has(processOf(program, actor))) signalled.add(actor);
  for (const { spec, actor } of program.calls) if (spec === "kill" || named.has(spec)) signalled.add(actor);
  const groups = new Map<string, ActorId[]>();
  program.actors.forEach((actor, index) => {
    const lists = segments.map((segment) => segment.threads[index] ?? []);
    if (lists.every((list) => list.length === 0) || segments.some((segment) => segment.sequence.some((instruction) => instruction.actor === index))) return;
    if (lists.flat().some((instruction) => instruction.call === undefined || told.calls.has(instruction.call))) return;
    const place = placeOf(program, objects, segments, index);
    if (place === undefined || signalled.has(index) || (actor.handle !== undefined && told.handles.has(actor.handle))) return;
    const key = `${place}\n${lists.map((list) => list.map((instruction) => instructionKey(program, instruction)).join(";")).join("\n")}`;
    groups.set(key, [...(groups.get(key) ?? []), index]);
  });
  return [...groups.values()].filter((group) => group.length > 1);
}

/** Where an actor runs: host, or a VM. A vCPU must be there before the first block in which it does anything; undefined where it may come later. */
function placeOf(program: Program, objects: Objects, segments: readonly Segment[], index: ActorId): string | undefined {
  const { kind, handle } = program.actors[index];
  if (kind !== "vcpu") return `${kind} of process ${processOf(program, index)}`;
  const vcpu = objects.vcpus.find((candidate) => candidate.handle === handle);
  // KVM_RUN from another process is refused: who tries it is not the vCPU.
  if (!vcpu || runnerOf(program, vcpu) !== index) return undefined;
  const first = segments.findIndex((segment) => (segment.threads[index]?.length ?? 0) > 0);
  const made = segments.slice(0, first).some((segment) => segment.sequence.some((instruction) => instruction.call === vcpu.call));
  return made ? `vm ${vcpu.vm}, process ${processOf(program, index)}` : undefined;
}

/** Calls and vCPUs that something else in the program means: what binds a name, makes an object, or stands behind a label that is used. */
function toldApart(program: Program, objects: Objects): { calls: Set<CallId>; handles: Set<HandleId> } {
  const calls = new Set<CallId>();
  const handles = new Set<HandleId>();
  const operand = (of: Operand): void => {
    if (of.kind === "handle" || of.kind === "frame") handles.add(of.handle);
  };
  const visit = (expression: Expression): void => {
    if (expression.kind === "unary") visit(expression.of);
    else if (expression.kind === "binary") {
      visit(expression.left);
      visit(expression.right);
    } else if (expression.kind === "query") expression.operands.forEach(operand);
    else if (expression.kind === "name") handles.add(expression.handle);
    else if (expression.kind === "result" || expression.kind === "matches") for (const call of expression.calls) calls.add(call);
  };
  const statements = program.body.flatMap((statement) => (statement.kind === "parallel" ? statement.threads.flatMap((thread) => thread.body) : [statement]));
  const asserted = (list: Program["body"]): void => {
    for (const statement of list) {
      if (statement.kind === "assert") visit(statement.condition);
      else if (statement.kind === "atomic") asserted(statement.body);
    }
  };
  asserted(statements);
  for (const question of program.questions) visit(question.condition);
  for (const expected of program.expected) for (const call of expected.at?.calls ?? []) calls.add(call);
  for (const statement of program.body) {
    if (statement.kind !== "parallel") continue;
    for (const order of statement.orders) for (const call of [...order.before.calls, ...order.after.calls]) calls.add(call);
  }
  program.calls.forEach((call, id) => {
    if (call.binds !== undefined) calls.add(id);
    call.operands.forEach(operand);
  });
  for (const { call } of program.processes ?? []) if (call !== undefined) calls.add(call);
  const { fileOf, mappingOf, vmOf, vcpuOf, slotOf, driverOf } = objects;
  for (const made of [fileOf, mappingOf, vmOf, vcpuOf, slotOf, driverOf]) for (const call of made.keys()) calls.add(call);
  return { calls, handles };
}

/** What an instruction does, without who does it. */
function instructionKey(program: Program, { call, atomicEnter, atomicLeave }: Instruction): string {
  assert(call !== undefined, "an assertion tells actors apart");
  const { spec, known, operands } = program.calls[call];
  const text = JSON.stringify(operands, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
  return `${atomicEnter ? "{" : ""}${spec}${known ? "" : "?"}${text}${atomicLeave ? "}" : ""}`;
}

/** By call: itself and the calls of equal actors at the same place. */
export function twinsOf(program: Program, segments: readonly Segment[], groups: readonly (readonly ActorId[])[]): CallId[][] {
  const twins = program.calls.map((_, call) => [call]);
  for (const group of groups) {
    for (const segment of segments) {
      const lists = group.map((actor) => segment.threads[actor] ?? []);
      lists[0]?.forEach((_, place) => {
        const calls = lists.flatMap((list) => list[place].call ?? []);
        for (const call of calls) twins[call] = calls;
      });
    }
  }
  return twins;
}

export function exchange<T extends { readonly actor: ActorId }>(schedule: readonly T[], from: ActorId, to: ActorId): T[] {
  return schedule.map((step) => (step.actor === from ? { ...step, actor: to } : step.actor === to ? { ...step, actor: from } : step));
}

interface Group {
  readonly actors: readonly ActorId[];
  /** By place in `actors`: the words of its record. */
  readonly records: readonly (readonly number[])[];
  /** The handles of the vCPUs; empty for host threads. */
  readonly handles: readonly Field[];
}

/** The symmetry of a machine whose equal actors have records of their own in the layout. */
export class ActorSymmetry {
  readonly #groups: readonly Group[];
  readonly #actorFields: readonly Field[];
  /** By actor: its new place. */
  readonly #now: Uint8Array;

  constructor(program: Program, layout: Layout, handles: readonly Field[], groups: readonly (readonly ActorId[])[]) {
    this.#actorFields = layout.actorFields;
    this.#groups = groups.map((actors) => ({
      actors,
      records: actors.map((actor) => layout.records.get(actor) ?? []),
      handles: actors.flatMap((actor) => handles[program.actors[actor].handle ?? -1] ?? []),
    }));
    for (const { records } of this.#groups)
      for (const record of records) assert(record.length === records[0].length, "records of equal actors are equally long");
    this.#now = new Uint8Array(program.actors.length);
  }

  /** Rewrites `state` to its representative; `was[i]` becomes the actor whose place `i` took over. Answers whether anybody moved. */
  canonicalise(state: Int32Array, was: Uint8Array): boolean {
    for (let actor = 0; actor < was.length; actor++) was[actor] = actor;
    let moved = false;
    for (const group of this.#groups) if (isReady(group, state) && this.#sort(group, state, was)) moved = true;
    if (!moved) return false;
    for (let place = 0; place < was.length; place++) this.#now[was[place]] = place;
    for (const field of this.#actorFields) {
      const value = field.get(state);
      if (value !== 0) field.set(state, this.#now[value - 1] + 1);
    }
    return true;
  }

  /** Insertion sort of the records; actors with equal records are told apart by what they hold. */
  #sort({ actors, records }: Group, state: Int32Array, was: Uint8Array): boolean {
    let moved = false;
    for (let next = 1; next < actors.length; next++) {
      let at = next;
      while (at > 0 && this.#order(state, records[at - 1], records[at], was[actors[at - 1]], was[actors[at]]) > 0) {
        swapWords(state, records[at - 1], records[at]);
        const other = was[actors[at]];
        was[actors[at]] = was[actors[at - 1]];
        was[actors[at - 1]] = other;
        moved = true;
        at -= 1;
      }
    }
    return moved;
  }

  #order(state: Int32Array, a: readonly number[], b: readonly number[], actorA: ActorId, actorB: ActorId): number {
    for (let word = 0; word < a.length; word++) {
      const difference = state[a[word]] - state[b[word]];
      if (difference !== 0) return difference;
    }
    for (const field of this.#actorFields) {
      const holder = field.get(state) - 1;
      if (holder === actorA) return 1;
      if (holder === actorB) return -1;
    }
    return 0;
  }
}

/** vCPUs can be exchanged once all of them are there; from then on their handles stay as they are. */
function isReady({ handles }: Group, state: Int32Array): boolean {
  for (const handle of handles) if (handle.get(state) !== BOUND) return false;
  return true;
}

function swapWords(state: Int32Array, a: readonly number[], b: readonly number[]): void {
  for (let word = 0; word < a.length; word++) {
    const other = state[a[word]];
    state[a[word]] = state[b[word]];
    state[b[word]] = other;
  }
}
