// Schedules looked at closely: which operation each step belongs to, which features of the kernel it asks for, and which steps ran at the same time.

import { explore } from "../../explore/search.ts";
import type { Budget } from "../../explore/system.ts";
import { resolveProfile } from "../../model/profile/index.ts";
import type { Features } from "../../model/profile/types.ts";
import type { MachineSystem } from "../../model/system.ts";
import type { ActorId, CallId, Program, Site, Statement } from "../../scenario/program.ts";
import { withMachine } from "../index.ts";
import type { Refinement, Schedule } from "../report.ts";
import { completed } from "../story.ts";

export interface SeenStep {
  readonly actor: ActorId;
  readonly call: CallId;
  readonly step: string;
  readonly operation: string | undefined;
  /** With this step the call returned. */
  readonly returned: boolean;
  /** Features that the step asked the kernel's row for. */
  readonly features: readonly string[];
}

/** A completed story is cut off here: a retry may go on for ever. */
const MOST_STEPS = 2_000;

/** Runs a schedule once more, on to an end where `onwards`. */
export function seenSteps(program: Program, refinement: Refinement, schedule: Schedule, onwards: boolean): SeenStep[] {
  const { profile } = resolveProfile(program.profile);
  if (!profile) return [];
  const asked = new Set<string>();
  const features = new Proxy(profile.features, {
    get(target, name) {
      asked.add(String(name));
      return target[name as keyof Features];
    },
  });
  return withMachine(program, { ...profile, features }, refinement, (machine) => {
    const whole = onwards ? completed(machine, schedule, schedule.length + MOST_STEPS) : schedule;
    return walk(machine, whole, asked);
  });
}

function walk(machine: MachineSystem, schedule: Schedule, asked: Set<string>): SeenStep[] {
  const state = new Int32Array(machine.words);
  machine.initial(state);
  const seen: SeenStep[] = [];
  for (const { actor, choice } of schedule) {
    const before = machine.position(state, actor);
    asked.clear();
    if (machine.step(state, actor, choice) === 0) break;
    const features = [...asked];
    const after = machine.position(state, actor);
    const operation = before?.operation.name ?? (after?.call === machine.lastCall ? after.operation.name : undefined);
    const returned = machine.events.some((event) => event.kind === "returned");
    seen.push({ actor, call: machine.lastCall, step: machine.lastStep, operation, returned, features });
  }
  return seen;
}

/** Does the schedule still run to its last step? With an `order` more in the program: is it one of those that the order leaves? */
export function stillRuns(program: Program, refinement: Refinement, schedule: Schedule): boolean {
  const { profile } = resolveProfile(program.profile);
  if (!profile) return false;
  return withMachine(program, profile, refinement, (machine) => {
    const state = new Int32Array(machine.words);
    machine.initial(state);
    return schedule.every(({ actor, choice }) => machine.step(state, actor, choice) > 0);
  });
}

/** A schedule at whose end somebody waits for ever, and only for an `order`. */
export function heldBack(program: Program, refinement: Refinement, budget: Budget): Schedule | undefined {
  const { profile } = resolveProfile(program.profile);
  if (!profile) return undefined;
  return withMachine({ ...program, watch: { only: [] }, expected: [] }, profile, refinement, (machine) => {
    let found: Schedule | undefined;
    const stop = (): boolean => found !== undefined || budget.cancelled?.() === true;
    explore(
      machine,
      {
        end(state, finished, schedule) {
          if (!finished && !found && machine.isHeldBack(state)) found = schedule();
        },
      },
      { ...budget, cancelled: stop },
    );
    return found;
  });
}

/** The calls of each parallel block, by the actor that makes them. */
export interface Block {
  readonly site: Site;
  readonly calls: ReadonlyMap<CallId, ActorId>;
}

export function blocksOf(program: Program): Block[] {
  return program.body.flatMap((statement): Block[] => {
    if (statement.kind !== "parallel") return [];
    const calls = new Map<CallId, ActorId>();
    const visit = (body: readonly Statement[], actor: ActorId): void => {
      for (const one of body) {
        if (one.kind === "call") calls.set(one.call, actor);
        else if (one.kind === "atomic") visit(one.body, actor);
      }
    };
    for (const thread of statement.threads) visit(thread.body, thread.actor);
    return [{ site: statement.site, calls }];
  });
}

/** The steps that ran beside the last one: those of its parallel block, or of its own call. */
export function beside<Step extends { readonly call: CallId }>(program: Program, steps: readonly Step[]): Step[] {
  const last = steps.at(-1)?.call;
  if (last === undefined) return [];
  const block = blocksOf(program).find(({ calls }) => calls.has(last));
  return steps.filter(({ call }) => (block ? block.calls.has(call) : call === last));
}

const MOST_SHOWN = 24;

/** `vmm: check_alignment, invalidate; vcpu0: snapshot, get_page; vmm: truncate; vcpu0: map` */
export function interleaving(program: Program, steps: readonly { readonly actor: ActorId; readonly call: CallId; readonly step: string }[]): string {
  const all = beside(program, steps);
  const shown = all.slice(-MOST_SHOWN);
  let text = shown.length < all.length ? "… " : "";
  shown.forEach(({ actor, step }, at) => {
    const same = at > 0 && shown[at - 1].actor === actor;
    text += same ? `, ${step}` : `${at > 0 ? "; " : ""}${program.actors[actor].name}: ${step}`;
  });
  return text;
}
