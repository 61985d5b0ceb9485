// Random scenarios as Programs without parsing each of them: setups and single calls are parsed once, and put together. Ten thousand take seconds.

import type { Call, CallId, Expression, Program, Statement } from "../../src/scenario/program.ts";
import { ACTORS, type RandomThread, type Scenario, textOf } from "./random.ts";
import { program } from "./support.ts";

/** Every actor has to be there, and in this order. */
const LOAD = { kind: "load(map, 0)", guest: "load(0x1000)" } as const;
const NOTHING: Pick<Scenario, "order" | "asked" | "looked"> = { order: undefined, asked: undefined, looked: undefined };

interface Base {
  readonly program: Program;
  /** Number of calls before the parallel block. */
  readonly calls: number;
}

const bases = new Map<string, Base>();
const calls = new Map<string, Call>();
const conditions = new Map<string, Expression>();

const key = (of: Scenario): string => `${of.kernel} ${of.rich}`;
const isGuest = (actor: string): boolean => actor.startsWith("vcpu");
const everybody = (): RandomThread[] => ACTORS.map((actor) => ({ actor, calls: [isGuest(actor) ? LOAD.guest : LOAD.kind] }));

function baseOf(of: Scenario): Base {
  let base = bases.get(key(of));
  if (!base) {
    const whole = program(textOf({ ...of, ...NOTHING, before: [], threads: everybody() }));
    base = { program: whole, calls: whole.calls.length - ACTORS.length };
    bases.set(key(of), base);
  }
  return base;
}

/** One call as one actor makes it; which actor makes it says nothing about its operands. */
function callOf(of: Scenario, text: string, actor: string): Call {
  const known = `${key(of)} ${isGuest(actor)} ${text}`;
  let call = calls.get(known);
  if (!call) {
    const whole = program(textOf({ ...of, ...NOTHING, before: [], threads: [{ actor, calls: [text] }] }));
    calls.set(known, (call = whole.calls[whole.calls.length - 1]));
  }
  return call;
}

function conditionOf(of: Scenario, text: string): Expression {
  const known = `${key(of)} ${text}`;
  let condition = conditions.get(known);
  if (!condition) {
    const whole = program(textOf({ ...of, ...NOTHING, asked: text, before: [], threads: everybody() }));
    conditions.set(known, (condition = whole.questions[0].condition));
  }
  return condition;
}

export function programOf(of: Scenario): Program {
  const { program: base, calls: setup } = baseOf(of);
  const made: Call[] = base.calls.slice(0, setup);
  const body: Statement[] = base.body.slice(0, -1);
  const actorNumber = (name: string): number => base.actors.findIndex((actor) => actor.name === name);
  const add = (text: string, actor: string): CallId => {
    made.push({ ...callOf(of, text, actor), actor: actorNumber(actor) });
    return made.length - 1;
  };
  for (const line of of.before) {
    const [, actor = "vmm", text] = /^(?:(vcpu\d): )?(.*)$/.exec(line) ?? [];
    body.push({ kind: "call", call: add(text, actor) });
  }
  const firsts: CallId[] = [];
  const threads = of.threads.map((thread, index) => {
    const list = thread.calls.map((text): Statement => ({ kind: "call", call: add(text, thread.actor) }));
    if (list[0].kind === "call") firsts.push(list[0].call);
    const inside = thread.atomic === undefined ? [] : list.splice(thread.atomic);
    if (inside.length > 0) list.push({ kind: "atomic", site: 0, body: inside });
    if (index === 0 && of.looked !== undefined) list.push({ kind: "assert", site: 0, actor: actorNumber(thread.actor), condition: conditionOf(of, of.looked) });
    return { actor: actorNumber(thread.actor), body: list };
  });
  const [before, after] = of.order ?? [0, 0];
  const ordered = before !== after && Math.max(before, after) < threads.length;
  const point = (index: number) => ({ label: `first${index}`, calls: [firsts[index]] });
  body.push({ kind: "parallel", site: 0, threads, orders: ordered ? [{ before: point(before), after: point(after), site: 0 }] : [] });
  const condition = of.asked === undefined ? undefined : conditionOf(of, of.asked);
  const questions = condition === undefined ? [] : (["exists", "forall"] as const).map((kind) => ({ kind, condition, site: 0 }));
  return { ...base, calls: made, body, questions };
}
