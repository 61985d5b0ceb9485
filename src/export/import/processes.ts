// Processes of a trace → processes of the scenario: which of them it needs, the `fork()` that makes each, and what a process gives back where it ends or
// begins another program.

import { printInt } from "../../scenario/print.ts";
import { commentText, type Item } from "./items.ts";
import { Draft, hex, type Scene } from "./scene.ts";
import type { Process, Task } from "./world.ts";

const closings = new WeakMap<Item, Process>();

/** The call that made a process. It is a line about something else as long as nothing in that process matters. */
export function noteFork(scene: Scene, task: Task, child: Task, call: { start: number; end: number; line: string; name: string }): void {
  const item: Item = {
    kind: "aside",
    runner: { task: task.id },
    start: call.start,
    end: call.end,
    text: "fork()",
    uses: [],
    what: call.name,
    line: commentText(call.line),
  };
  child.process.fork = item;
  scene.add(item);
}

/** What an `execve`, or the end of its last thread, closes and unmaps in a process. Said only where the process is in the scenario. */
export function noteEnd(scene: Scene, task: Task, at: number, line: string, isClosed: (cloexec: boolean) => boolean): void {
  const { process } = task;
  if (process.parent === undefined) return;
  const give = (text: string, draft: Draft): void => {
    if (draft.missing !== undefined) return;
    const note = commentText(line);
    const item: Item = { kind: "aside", runner: { task: task.id }, start: at, end: at, text, uses: draft.uses, result: "0", note, what: "exit", line: note };
    closings.set(item, process);
    scene.add(item);
  };
  for (const { mapping, from, to } of task.space.within(0n, 1n << 64n)) {
    if (!mapping.used) continue;
    const draft = new Draft();
    const offset = from - mapping.start;
    draft.uses.push(mapping.name);
    if (mapping.bound) give(`munmap(${mapping.name}${offset === 0n ? "" : ` + ${hex(offset)}`}, ${printInt(to - from)})`, draft);
  }
  for (const [number, thing] of [...task.files]) {
    if (thing.kind === "kvm" || !isClosed(thing.cloexec)) continue;
    const draft = new Draft();
    const name = draft.name(thing);
    if (scene.closed(task, number)) give(`close(${name})`, draft);
  }
}

const pathOf = (process: Process): Process[] => (process.parent === undefined ? [process] : [...pathOf(process.parent), process]);

/** The process around all that matter: what it runs is the scenario's main process, whoever made it. */
function commonOf(used: readonly Process[]): Process | undefined {
  const paths = used.map(pathOf);
  let common: Process | undefined;
  for (let depth = 0; paths.length > 0 && paths.every((path) => path[depth] !== undefined && path[depth] === paths[0][depth]); depth++)
    common = paths[0][depth];
  return common;
}

/** Names the processes that matter, in the order of what they do, and makes statements of their forks and ends. */
export function settleProcesses(scene: Scene): void {
  const taskOf = (item: Item): Task | undefined => ("task" in item.runner ? scene.tasks.find(item.runner.task) : undefined);
  const statements = scene.items.flatMap((item) => {
    const task = item.kind === "statement" ? taskOf(item) : undefined;
    return task === undefined ? [] : [{ item, process: task.process }];
  });
  const used = [...new Set(statements.map(({ process }) => process))];
  const root = commonOf(used);
  let count = 0;
  for (const process of used) {
    const path = pathOf(process);
    for (const one of path.slice(path.indexOf(root as Process) + 1)) {
      if (one.name !== undefined) continue;
      one.name = `child${++count}`;
      nameFork(scene, one, statements.find(({ process: own }) => own === process)?.item);
    }
  }
  for (const item of scene.items) {
    const closing = closings.get(item);
    if (closing?.name !== undefined && item.kind === "aside") item.kind = "statement";
    const name = item.kind === "statement" ? taskOf(item)?.process.name : undefined;
    if (name !== undefined) item.uses = [...item.uses, name];
  }
}

/** A call that has no end in the trace stands right before what its child does first. */
function nameFork(scene: Scene, process: Process, first: Item | undefined): void {
  const start = (first?.start ?? 0) - 1 / 2;
  const item = process.fork ?? { kind: "aside", runner: { task: process.maker }, start, end: start, text: "fork()", uses: [], what: "fork" };
  if (process.fork === undefined) scene.add(item);
  process.fork = item;
  Object.assign(item, { kind: "statement", binds: process.name, result: "ok" });
}
