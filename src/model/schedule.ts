// From a Program's statements to segments: stretches of one-after-the-other statements, and `parallel` blocks whose threads interleave. Also the marks
// that `order A before B` needs.

import { processOf } from "../scenario/processes.ts";
import type { ActorId, CallId, Expression, Point, Program, Site, Statement, Thread } from "../scenario/program.ts";

export interface Instruction {
  readonly actor: ActorId;
  readonly call?: CallId;
  readonly assertion?: { readonly site: Site; readonly condition: Expression };
  /** Of a call that goes on in parts (exit.ts): which of them, counted from 0, and how many come behind it. */
  readonly part?: number;
  readonly rest?: number;
  /** First and last instruction of an `atomic` block. */
  atomicEnter: boolean;
  atomicLeave: boolean;
}

export interface Segment {
  readonly parallel: boolean;
  /** In the order of the text, when it is not parallel. */
  readonly sequence: readonly Instruction[];
  /** By actor, when it is. */
  readonly threads: readonly (readonly Instruction[])[];
}

/** `order`: bit `mark` is set once `call` has passed `step` (or has returned); the calls of `after` wait for all marks of the order. */
export interface Mark {
  readonly mark: number;
  readonly call: CallId;
  readonly step: string | undefined;
}

export interface Wait {
  readonly call: CallId;
  readonly step: string | undefined;
  readonly marks: readonly number[];
}

export interface Orders {
  readonly marks: readonly Mark[];
  readonly waits: readonly Wait[];
  /** So many of the marks stand for an `order` of the text; the others for what a process waits for. */
  readonly written: number;
}

/** Into how many parts a call falls; without an answer each call is one. */
export type Parts = (call: CallId) => number;

export function segmentsOf(program: Program, parts: Parts = () => 1): Segment[] {
  const segments: Segment[] = [];
  let sequence: Instruction[] = [];
  const flush = (): void => {
    if (sequence.length > 0) segments.push({ parallel: false, sequence, threads: [] });
    sequence = [];
  };
  for (const statement of program.body) {
    if (statement.kind !== "parallel") {
      sequence.push(...instructions(program, [statement], 0, parts));
      continue;
    }
    flush();
    const threads: Instruction[][] = program.actors.map(() => []);
    for (const thread of statement.threads) threads[thread.actor].push(...instructions(program, thread.body, thread.actor, parts));
    if (threads.some((thread) => thread.length > 0)) segments.push({ parallel: true, sequence: [], threads });
  }
  flush();
  return segments;
}

function instructions(program: Program, body: readonly Statement[], actor: ActorId, parts: Parts): Instruction[] {
  return body.flatMap((statement): Instruction[] => {
    switch (statement.kind) {
      case "call":
        return inParts({ actor: program.calls[statement.call].actor, call: statement.call, atomicEnter: false, atomicLeave: false }, parts(statement.call));
      case "assert":
        return [{ actor: statement.actor, assertion: { site: statement.site, condition: statement.condition }, atomicEnter: false, atomicLeave: false }];
      case "atomic": {
        const inside = instructions(program, statement.body, actor, parts);
        if (inside.length > 0) {
          inside[0].atomicEnter = true;
          inside[inside.length - 1].atomicLeave = true;
        }
        return inside;
      }
      case "parallel":
        return statement.threads.flatMap((thread) => instructions(program, thread.body, thread.actor, parts));
    }
  });
}

const inParts = (whole: Instruction, count: number): Instruction[] =>
  count === 1 ? [whole] : Array.from({ length: count }, (_, part) => ({ ...whole, part, rest: count - 1 - part }));

export function ordersOf(program: Program): Orders {
  const marks: Mark[] = [];
  const waits: Wait[] = [];
  for (const statement of program.body) {
    if (statement.kind !== "parallel") continue;
    for (const order of statement.orders) {
      const own = order.before.calls.map((call) => ({ mark: marks.length + order.before.calls.indexOf(call), call, step: order.before.step }));
      marks.push(...own);
      waits.push(...waitsFor(order.after, own));
    }
  }
  const written = marks.length;
  for (const statement of program.body) if (statement.kind === "parallel") forksFirst(program, statement.threads, marks, waits);
  return { marks, waits, written };
}

/** A process does nothing before the fork that makes it has returned. */
function forksFirst(program: Program, threads: readonly Thread[], marks: Mark[], waits: Wait[]): void {
  const calls = threads.map(({ actor, body }) => instructions(program, body, actor, () => 1).flatMap(({ call }) => call ?? []));
  for (const fork of calls.flat()) {
    const child = program.calls[fork].spec === "fork" ? program.processes?.findIndex(({ call }) => call === fork) : undefined;
    const own = threads.flatMap(({ actor }, index) => (child !== undefined && processOf(program, actor) === child ? calls[index].slice(0, 1) : []));
    if (own.length === 0) continue;
    const mark = marks.length;
    marks.push({ mark, call: fork, step: undefined });
    waits.push(...own.map((call) => ({ call, step: undefined, marks: [mark] })));
  }
}

function waitsFor(after: Point, marks: readonly Mark[]): Wait[] {
  return after.calls.map((call) => ({ call, step: after.step, marks: marks.map((mark) => mark.mark) }));
}
