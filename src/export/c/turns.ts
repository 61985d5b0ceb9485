// A schedule at call granularity: for each statement of a thread, whose calls have to have returned before it starts, and who starts together with it.

import { withMachine } from "../../check/index.ts";
import type { Report, Schedule } from "../../check/report.ts";
import { completed, replaySchedule } from "../../check/story.ts";
import { decodeSchedule, encodeSchedule } from "../../explore/schedule.ts";
import { resolveProfile } from "../../model/profile/index.ts";
import { segmentsOf } from "../../model/schedule.ts";
import type { ActorId, CallId, Program } from "../../scenario/program.ts";

/** `count` statements of this actor's thread, counted in this parallel block. */
export interface Gate {
  readonly actor: ActorId;
  readonly count: number;
}

export interface Turn {
  /** These have returned. */
  readonly after: readonly Gate[];
  /** These have come to their gate. */
  readonly meet: readonly Gate[];
}

/** Turns by parallel block, actor and statement. */
export type Turns = readonly (readonly (readonly Turn[])[])[];

export interface ChosenSchedule {
  readonly text: string;
  /** Why this one. */
  readonly reason: string;
  readonly turns: Turns;
}

const MAX_STEPS = 20_000;

/** Undefined where there is nothing to follow: nothing runs at the same time, the model does not have the kernel, or the text does not fit. */
export function scheduleFor(program: Program, report: Report | undefined, text?: string): ChosenSchedule | undefined {
  const { profile } = resolveProfile(program.profile);
  if (profile === undefined || report === undefined || !program.body.some((statement) => statement.kind === "parallel")) return undefined;
  const { schedule, reason } = chosen(report, text);
  try {
    return withMachine(program, profile, report.refinement, (machine) => {
      // A schedule of another text is followed as far as it fits.
      const fitting = schedule.slice(0, replaySchedule(machine, schedule.slice(0, MAX_STEPS)).length);
      const whole = completed(machine, fitting, MAX_STEPS);
      return { text: encodeSchedule(whole), reason, turns: turnsOf(program, replaySchedule(machine, whole)) };
    });
  } catch (error) {
    if (report.verdict === "incomplete") return undefined;
    throw error;
  }
}

function chosen(report: Report, text: string | undefined): { schedule: Schedule; reason: string } {
  if (text !== undefined) {
    const decoded = decodeSchedule(text);
    return { schedule: decoded.ok ? decoded.schedule : [], reason: decoded.ok ? "the schedule that was asked for" : "the model's first run" };
  }
  const violation = report.violations.find((candidate) => !candidate.expected) ?? report.violations[0];
  if (violation !== undefined) return { schedule: violation.story.schedule, reason: `the model's shortest way to break ${violation.invariant}` };
  const [witness] = report.witnesses;
  if (witness !== undefined) return { schedule: witness.schedule, reason: "the run that answers the scenario's first question" };
  return { schedule: [], reason: "the model's first run" };
}

/** Start and end of a statement, as places in the schedule; infinite where it never comes to them. */
interface Stretch {
  readonly call: CallId | undefined;
  from: number;
  to: number;
}

type Threads = readonly (readonly Stretch[])[];

function turnsOf(program: Program, steps: ReturnType<typeof replaySchedule>): Turns {
  const blocks: Threads[] = segmentsOf(program)
    .filter((segment) => segment.parallel)
    .map(({ threads }) => threads.map((thread) => thread.map(({ call }) => ({ call, from: Infinity, to: Infinity }))));
  const placeOf = new Map<CallId, { threads: Threads; index: number }>();
  for (const threads of blocks) {
    for (const thread of threads) thread.forEach(({ call }, index) => call !== undefined && placeOf.set(call, { threads, index }));
  }
  let running: Threads | undefined;
  /** Of each actor, its next statement in the block that runs. */
  let next = new Map<ActorId, number>();
  for (const [time, { actor, call, result }] of steps.entries()) {
    const place = placeOf.get(call);
    if (place !== undefined && place.threads !== running) {
      running = place.threads;
      next = new Map();
    }
    // An assert has no number: it is its actor's next statement. A call outside of a block ends the block.
    if (place === undefined && call >= 0) running = undefined;
    const index = place?.index ?? next.get(actor) ?? 0;
    const stretch = running?.[actor]?.[index];
    if (stretch === undefined || (call < 0 && stretch.call !== undefined)) continue;
    stretch.from = Math.min(stretch.from, time);
    const ended = call < 0 || result !== undefined;
    if (ended) stretch.to = time;
    next.set(actor, ended ? index + 1 : index);
  }
  return blocks.map((threads) => threads.map((thread, actor) => thread.map((own) => turnOf(threads, actor, own))));
}

function turnOf(threads: Threads, actor: ActorId, own: Stretch): Turn {
  const after: Gate[] = [];
  const meet: Gate[] = [];
  for (const [other, thread] of threads.entries()) {
    if (other === actor || own.from === Infinity) continue;
    const done = thread.filter((each) => each.to < own.from).length;
    if (done > 0) after.push({ actor: other, count: done });
    const next = thread[done];
    if (next !== undefined && next.from < own.to && own.from < next.to) meet.push({ actor: other, count: done + 1 });
  }
  return { after, meet };
}
