// Under symmetry one of several equal actors stands for all: what was found for its calls holds for theirs, in the schedule with the two actors exchanged.
// Every such schedule is run before it is believed.

import type { MachineSystem } from "../model/system.ts";
import type { ActorId, CallId } from "../scenario/program.ts";
import { type Breach, breachKey, type Deadlock } from "./breach.ts";
import type { Schedule } from "./report.ts";

interface Found {
  /** By call: result number → a schedule. */
  readonly results: readonly Map<number, Schedule>[];
  readonly breaches: Map<string, Breach>;
  readonly deadlocks: Map<string, Deadlock>;
}

/** Images of deadlocks under exchange, at most: twelve equal actors stuck at different places have 479 million. */
const MOST_IMAGES = 1000;

export function closeUnderExchange(machine: MachineSystem, found: Found): void {
  if (!machine.twins.some((twins) => twins.length > 1)) return;
  closeResults(machine, found);
  for (const breach of [...found.breaches.values()]) {
    const { invariant, call, step, schedule } = breach;
    for (const twin of twinsOf(machine, call)) {
      const key = breachKey(invariant, twin, step);
      if (found.breaches.has(key)) continue;
      const exchanged = exchange(machine, schedule, call, twin);
      if (runs(machine, exchanged) && machine.lastCall === twin && machine.lastStep === step)
        found.breaches.set(key, { ...breach, call: twin, schedule: exchanged });
    }
  }
  closeDeadlocks(machine, found.deadlocks);
}

function closeResults(machine: MachineSystem, found: Found): void {
  found.results.forEach((results, call) => {
    for (const twin of twinsOf(machine, call)) {
      for (const [result, schedule] of results) {
        if (found.results[twin].has(result)) continue;
        const exchanged = exchange(machine, schedule, call, twin);
        if (schedule.length === 0 || answers(machine, exchanged, twin, result)) found.results[twin].set(result, exchanged);
      }
    }
  });
}

const actorOf = (machine: MachineSystem, call: CallId): ActorId => machine.program.calls[call].actor;
const twinsOf = (machine: MachineSystem, call: CallId): readonly CallId[] => machine.twins[call].filter((twin) => twin !== call);
const exchange = (machine: MachineSystem, schedule: Schedule, call: CallId, twin: CallId): Schedule =>
  machine.exchange(schedule, actorOf(machine, call), actorOf(machine, twin));

/** Runs a schedule from the start; false where some step of it cannot be taken. */
function runs(machine: MachineSystem, schedule: Schedule, state = new Int32Array(machine.words)): boolean {
  machine.initial(state);
  return schedule.every(({ actor, choice }) => machine.step(state, actor, choice) > 0);
}

/** The last step returns this from the call, or the call waits for ever behind it. */
function answers(machine: MachineSystem, schedule: Schedule, call: CallId, result: number): boolean {
  if (machine.results.result(result).kind === "blocks") return isStuck(machine, schedule, [call]);
  return runs(machine, schedule) && machine.events.some((event) => event.kind === "returned" && event.a === call && event.b === result);
}

/** Who is stuck where: with two equal actors exchanged, each stands at the other's place. */
function closeDeadlocks(machine: MachineSystem, deadlocks: Found["deadlocks"]): void {
  const waiting = [...deadlocks.values()];
  for (const deadlock of waiting) {
    for (const call of deadlock.calls) {
      for (const twin of twinsOf(machine, call)) {
        if (deadlocks.size >= MOST_IMAGES) return;
        const calls = deadlock.calls.map((own) => swapped(machine, own, call, twin)).sort((a, b) => actorOf(machine, a) - actorOf(machine, b));
        const key = calls.join();
        const image = { calls, schedule: exchange(machine, deadlock.schedule, call, twin) };
        if (deadlocks.has(key) || !isStuck(machine, image.schedule, calls)) continue;
        deadlocks.set(key, image);
        waiting.push(image);
      }
    }
  }
}

/** The call at the place of `own` when the actors of two calls are exchanged. */
function swapped(machine: MachineSystem, own: CallId, call: CallId, twin: CallId): CallId {
  const [actor, one, other] = [own, call, twin].map((of) => actorOf(machine, of));
  const to = actor === one ? other : actor === other ? one : actor;
  return machine.twins[own].find((candidate) => actorOf(machine, candidate) === to) ?? own;
}

function isStuck(machine: MachineSystem, schedule: Schedule, calls: readonly CallId[]): boolean {
  const state = new Int32Array(machine.words);
  return runs(machine, schedule, state) && calls.every((call) => machine.instruction(state, actorOf(machine, call))?.call === call);
}
