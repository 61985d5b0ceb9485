// Processes: `process NAME { … }`, `child = fork()`, and the arguments that name an actor.

import type { ActorId, CallId, Operand } from "../scenario/program.ts";
import { actorOf } from "./actors.ts";
import type { Node, Primary, Word } from "./ast.ts";
import type { Scope } from "./scope.ts";

/** The process that `process NAME` means: one that a fork has made, `vmm`'s, or one that is there from the start with nothing open. */
export function processNamed(scope: Scope, word: Word): number | undefined {
  const name = word.text;
  if (name === "") return undefined;
  const handle = scope.lookUp(name);
  if (handle !== undefined) {
    const { kind, name: full } = scope.handles[handle];
    if (kind === "process") return scope.processIds.get(full);
    return scope.report("MEMFD2006", word, `\`${full}\` is bound, and not by \`fork()\`: it cannot be a process`);
  }
  const known = scope.processIds.get(name);
  if (known !== undefined) return known;
  if (scope.variables.has(name) || scope.declarations.constants.has(name))
    return scope.report("MEMFD2006", word, `\`${name}\` is a constant: it cannot be a process`);
  if (scope.actorIds.has(name)) return scope.report("MEMFD2006", word, `\`${name}\` is a thread already; actors and processes share one namespace`);
  return scope.process(name);
}

/** The main thread of a process; it has the process's name. */
export const mainThread = (scope: Scope, process: number): ActorId =>
  process === 0 ? 0 : scope.actor(scope.processes[process].name, "host", undefined, process);

/** What `child = fork()` makes beside the name; a child without a name does nothing and holds what it has inherited. */
export function lowerFork(scope: Scope, call: CallId, bound: string | undefined): void {
  scope.process(bound ?? `fork#${call}`, call);
}

/** The actor behind a name that may stand in the text before what the actor does; a process stands for its main thread. */
export function actorOperand(scope: Scope, node: Node): Operand | undefined {
  if (node.kind !== "primary" || node.args !== undefined) return scope.report("MEMFD2005", node, "the argument is the name of an actor");
  const process = node.indexes.length === 0 && scope.lookUp(node.name.text) === undefined ? scope.processIds.get(node.name.text) : undefined;
  const actor = process === undefined ? actorOf(scope, node as Primary) : mainThread(scope, process);
  if (actor === undefined) return undefined;
  if (scope.lenient) return { kind: "int", value: BigInt(actor) };
  const { source, anchor } = scope;
  scope.pending.push(() => {
    const now = { source: scope.source, anchor: scope.anchor };
    Object.assign(scope, { source, anchor });
    const acts = actor === 0 || scope.actors[actor].handle !== undefined || (scope.actors[actor].process ?? 0) !== 0;
    if (!acts && !scope.calls.some((call) => call.actor === actor))
      scope.report("MEMFD2005", node, `nobody is called \`${scope.actors[actor].name}\`: an actor does something in the scenario`);
    Object.assign(scope, now);
  });
  return { kind: "int", value: BigInt(actor) };
}
