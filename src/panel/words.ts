// The panel's sentences: what a step, a cell and a violation are called on screen and for the screen reader.

import { fileName } from "../base/file-name.ts";
import type { TraceStep, TraceView } from "../view/rows.ts";

export const actorName = (trace: TraceView, actor: number): string => trace.actors[actor]?.name ?? "";

/** `fallocate(ram, …)` → `fallocate`. */
export const callName = (call: string): string => /^[^(]*/.exec(call)?.[0].trim() ?? call;

/** `fallocate(ram, …)`, or `assert pages(ram) == 1`. */
export const callText = (step: TraceStep): string => (step.asserts === undefined ? step.call : `assert ${step.asserts}`);

export const place = (trace: TraceView, step: TraceStep): string => `${fileName(trace.files[step.file] ?? "")}:${step.line}`;

/** `vmm fallocate truncate`. */
export function stepTitle(trace: TraceView, index: number): string {
  const step = trace.steps[index];
  if (step === undefined || step.actor < 0) return "before the first step";
  return `${actorName(trace, step.actor)} ${step.asserts === undefined ? `${callName(step.call)} ${step.step}` : callText(step)}`;
}

/** What the live region says: `step 7 of 12: vmm fallocate truncate – …`. */
export function announcement(trace: TraceView, index: number): string {
  const step = trace.steps[index];
  if (step === undefined) return "";
  const effect = step.effect === "" ? "" : ` – ${step.effect}`;
  const result = step.result === undefined ? "" : `. Returns ${step.result}`.trimEnd();
  const broken = step.violations.map((violation) => `. Breaks ${trace.violations[violation]?.invariant ?? "an invariant"}`).join("");
  return `step ${index} of ${trace.steps.length - 1}: ${stepTitle(trace, index)}${effect}${result}${broken}`;
}

/** `changed` at this step, or the step to look at. */
export function blameSentence(trace: TraceView, what: string, blamed: number | undefined, cursor: number): string {
  if (blamed === undefined || blamed === 0) return `${what}: as it was before the first step`;
  const when = blamed === cursor ? "changed by this step" : `last changed by step ${blamed}`;
  return `${what}: ${when}, ${stepTitle(trace, blamed)}`;
}
