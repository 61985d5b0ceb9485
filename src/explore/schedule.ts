// A schedule as a short text that can be pasted, such as `a7 b c2 a1!2`, and its replay. Actors are letters in the order of `System.actors` (a … z, aa …);
// a number counts equal steps, `!n` is the alternative taken by each of them where the step has a free choice.

import type { System } from "./system.ts";

export type Schedule = readonly { readonly actor: number; readonly choice: number }[];

export type Decoded =
  | { readonly ok: true; readonly schedule: Schedule }
  /** `from` … `to`: the UTF-16 range of the text that is not understood. */
  | { readonly ok: false; readonly from: number; readonly to: number; readonly message: string };

/** Longer schedules are refused: `a999999999` is ten bytes of text and gigabytes of steps. */
export const MAX_SCHEDULE_STEPS = 1_000_000;
const MAX_NUMBER = 0x7fff_ffff;
const LETTERS = 26;
const FIRST_LETTER = 0x61;

/** 0 → `a`, 25 → `z`, 26 → `aa`. */
function actorLetters(actor: number): string {
  let text = "";
  for (let rest = actor + 1; rest > 0; rest = Math.floor((rest - 1) / LETTERS)) text = String.fromCharCode(FIRST_LETTER + ((rest - 1) % LETTERS)) + text;
  return text;
}

function actorNumber(letters: string): number {
  let number = 0;
  for (const letter of letters) number = number * LETTERS + (letter.charCodeAt(0) - FIRST_LETTER + 1);
  return number - 1;
}

export function encodeSchedule(schedule: Schedule): string {
  const runs: string[] = [];
  for (let from = 0; from < schedule.length; ) {
    const { actor, choice } = schedule[from];
    let to = from + 1;
    while (to < schedule.length && schedule[to].actor === actor && schedule[to].choice === choice) to += 1;
    const count = to - from === 1 && choice === 0 ? "" : String(to - from);
    runs.push(`${actorLetters(actor)}${count}${choice === 0 ? "" : `!${choice}`}`);
    from = to;
  }
  return runs.join(" ");
}

/** The inverse of `encodeSchedule`. Any white space divides runs, so a text that a mail has wrapped still reads. */
export function decodeSchedule(text: string): Decoded {
  const schedule: { actor: number; choice: number }[] = [];
  for (const match of text.matchAll(/\S+/g)) {
    const word = match[0];
    const from = match.index;
    const refuse = (message: string): Decoded => ({ ok: false, from, to: from + word.length, message });
    const shown = word.length > 24 ? `${word.slice(0, 24)}…` : word;
    const run = /^([a-z]{1,6})(?:([1-9][0-9]{0,9}))?(?:!(0|[1-9][0-9]{0,9}))?$/.exec(word);
    if (run === null) return refuse(`"${shown}" is not a run of steps: write an actor's letter, a count, and !n for a choice, as in a7 or a1!2`);
    const count = run[2] === undefined ? 1 : Number(run[2]);
    const choice = run[3] === undefined ? 0 : Number(run[3]);
    if (choice > MAX_NUMBER) return refuse(`"${shown}" chooses an alternative that no step has`);
    if (schedule.length + count > MAX_SCHEDULE_STEPS) return refuse(`the schedule is longer than ${MAX_SCHEDULE_STEPS} steps`);
    const actor = actorNumber(run[1]);
    for (let step = 0; step < count; step++) schedule.push({ actor, choice });
  }
  return { ok: true, schedule };
}

/** `steps` have run. Where the schedule does not fit the machine, `steps` is the index of the entry that could not run and `reason` says why. */
export type Replay =
  | { readonly fits: true; readonly steps: number }
  /** `alternatives`: how many the step has; 0 = the actor cannot step there. */
  | { readonly fits: false; readonly steps: number; readonly reason: "no such actor" | "cannot step" | "no such choice"; readonly alternatives: number };

/**
 * Runs a schedule from the initial state. `visit` sees each state on the way with the number of steps done: first the initial state with 0, then each
 * result. The array is valid during the call only; copy what must last.
 */
export function replay(system: System, schedule: Schedule, visit: (state: Int32Array, steps: number) => void): Replay {
  let state = new Int32Array(system.words);
  let next = new Int32Array(system.words);
  system.initial(state);
  visit(state, 0);
  for (let steps = 0; steps < schedule.length; steps++) {
    const { actor, choice } = schedule[steps];
    if (!Number.isInteger(actor) || actor < 0 || actor >= system.actors) return { fits: false, steps, reason: "no such actor", alternatives: 0 };
    next.set(state);
    const alternatives = system.step(next, actor, 0);
    if (alternatives === 0) return { fits: false, steps, reason: "cannot step", alternatives };
    if (!Number.isInteger(choice) || choice < 0 || choice >= alternatives) return { fits: false, steps, reason: "no such choice", alternatives };
    if (choice > 0) {
      next.set(state);
      system.step(next, actor, choice);
    }
    [state, next] = [next, state];
    visit(state, steps + 1);
  }
  return { fits: true, steps: schedule.length };
}
