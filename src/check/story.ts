// From a schedule to a story: the same steps once more, each telling what it does.

import type { MachineSystem } from "../model/system.ts";
import type { Schedule, Story, StoryStep } from "./report.ts";

interface ReplayedStep extends StoryStep {
  readonly choice: number;
}

/** Runs a schedule from the initial state and calls `visit` after each step. Stops where the schedule does not fit; returns the steps that did. */
export function replaySchedule(machine: MachineSystem, schedule: Schedule, visit?: (state: Int32Array, step: ReplayedStep) => void): ReplayedStep[] {
  const state = new Int32Array(machine.words);
  machine.initial(state);
  const steps: ReplayedStep[] = [];
  for (const { actor, choice } of schedule) {
    const said: string[] = [];
    const site = machine.instruction(state, actor)?.assertion?.site;
    if (machine.step(state, actor, choice, said) === 0) break;
    const returned = machine.events.find((event) => event.kind === "returned");
    const result = returned && machine.results.result(returned.b);
    const effect = said.length > 0 ? said.join("; ") : result?.kind === "errno" ? `refused: ${result.errno}` : "";
    const step = {
      actor,
      choice,
      call: machine.lastCall,
      step: machine.lastStep,
      effect,
      ...(site === undefined ? {} : { site }),
      ...(result ? { result } : {}),
    };
    steps.push(step);
    visit?.(state, step);
  }
  return steps;
}

export function storyOf(machine: MachineSystem, schedule: Schedule, shortest: boolean): { story: Story; state: Int32Array } {
  const state = new Int32Array(machine.words);
  machine.initial(state);
  const steps = replaySchedule(machine, schedule, (after) => state.set(after)).map(({ choice: _, ...step }) => step);
  return { story: { schedule, steps, shortest }, state };
}

/**
 * Completes a schedule to an end, so that one sees how it comes out. The others go first: what is left open by the last step is seen by them, and then mended
 * or not by its own actor. An actor goes on until it cannot.
 */
export function completed(machine: MachineSystem, schedule: Schedule, limit: number): Schedule {
  const state = new Int32Array(machine.words);
  const next = new Int32Array(machine.words);
  machine.initial(state);
  const steps = [...schedule];
  for (const { actor, choice } of schedule) machine.step(state, actor, choice);
  const actors = Array.from({ length: machine.actors }, (_, index) => index);
  const last = schedule.at(-1)?.actor;
  let order = last === undefined ? actors : [...actors.filter((actor) => actor !== last), last];
  while (steps.length < limit) {
    const able = order.find((candidate) => {
      next.set(state);
      return machine.step(next, candidate, 0) > 0;
    });
    if (able === undefined) break;
    order = [able, ...order.filter((actor) => actor !== able)];
    state.set(next);
    steps.push({ actor: able, choice: 0 });
  }
  return steps;
}
