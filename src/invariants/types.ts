// What an invariant is: a predicate over a state, or over what a step did, kept apart from the model. A violation is an edge: what held before the step and
// does not after.

import type { ModelEvent } from "../model/events.ts";
import type { Region } from "../model/layout.ts";
import type { Machine } from "../model/machine.ts";
import type { MachineOptions } from "../model/world.ts";

/** What a violation is about, as numbers of the model's objects; the story tells who brought them there. */
export interface About {
  readonly vm?: number;
  /** A TD of the TDX module. */
  readonly td?: number;
  readonly gfn?: number;
  readonly frame?: number;
  readonly file?: number;
  readonly actor?: number;
}

/** Calls `broken` with the number of each subject that is broken in a state. */
export type Check = (state: Int32Array, broken: (subject: number) => void) => void;

/** Both ways to ask a predicate over states, from the one that is compiled per machine. */
export function overStates(compile: (machine: Machine) => Check): Required<Pick<Invariant, "state" | "compile">> {
  const checks = new WeakMap<Machine, Check>();
  return {
    compile,
    state(machine, state, broken) {
      let check = checks.get(machine);
      if (!check) checks.set(machine, (check = compile(machine)));
      check(state, broken);
    },
  };
}

export interface Invariant {
  readonly name: string;
  /** Regions that it reads: a step that writes them is never hidden by a reduction. */
  readonly reads: readonly Region[];
  /** Ghost state that the layout holds only while this is watched. */
  readonly ghosts?: Pick<MachineOptions, "provenance" | "invalidationGhost" | "taint" | "conversionGhost" | "integrity">;
  /** Calls `broken` with the number of each subject for which the predicate does not hold. */
  readonly state?: (machine: Machine, state: Int32Array, broken: (subject: number) => void) => void;
  /** The same for one machine, with all that does not change worked out: searches ask this one, millions of times. */
  readonly compile?: (machine: Machine) => Check;
  /** Subject of a violation that an event of the last step is, or undefined. `state` is the one after the step. */
  readonly event?: (machine: Machine, event: ModelEvent, state: Int32Array) => number | undefined;
  /** `machine` and the state after the step that broke it, in words. */
  readonly describe: (machine: Machine, subject: number, state: Int32Array) => { readonly subject: string; readonly message: string; readonly about: About };
}
