// The words that a story has for steps, calls and actors, shared by its parts.

import type { TraceStep, TraceView } from "./rows.ts";

export const actorName = (view: TraceView, actor: number): string => view.actors[actor]?.name ?? "";

/** `fallocate(ram, …)` → `fallocate`. */
export const callName = (step: TraceStep): string =>
  step.call
    .replace(/^[\w.[\]-]+\s*=\s*/, "")
    .split("(")[0]
    .trim();

/** Where a call stands: `line 38`, and in which file where that is not the scenario's own. */
export function placeOf(view: TraceView, step: TraceStep): string {
  const file = step.file === (view.steps[0]?.file ?? 0) ? "" : ` of ${(view.files[step.file] ?? "").split("/").at(-1)}`;
  return `line ${step.line}${file}`;
}

/** `vmm's fallocate: truncate (step 37, line 38)`. */
export function stepRef(view: TraceView, index: number): string {
  const step = view.steps[index];
  const name = callName(step);
  const deed = name === step.step ? name : `${name}: ${step.step}`;
  return `${actorName(view, step.actor)}'s ${deed} (step ${index}, ${placeOf(view, step)})`;
}

/** `vmm's truncate (step 37)`, and the line too where the step is not one that the race shows. */
export function causeRef(view: TraceView, index: number, start: number): string {
  const step = view.steps[index];
  return `${actorName(view, step.actor)}'s ${step.step} (step ${index}${index < start ? `, ${placeOf(view, step)}` : ""})`;
}

export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
export const indent = (lines: readonly string[], by: string): string[] => lines.map((line) => by + line);
export const range = (first: number, last: number): string => (first === last ? `${first}` : `${first}-${last}`);

/** Runs of steps of one call that follow each other, as indexes. */
export function runsOfCalls(view: TraceView, from: number, to: number): number[][] {
  const calls: number[][] = [];
  for (let index = from; index < to; index++) {
    const before = calls.at(-1);
    const [last, step] = [before && view.steps[before[0]], view.steps[index]];
    if (before && last && last.callId === step.callId && last.actor === step.actor) before.push(index);
    else calls.push([index]);
  }
  return calls;
}
