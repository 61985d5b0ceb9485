// Kernel variants that save a scenario: another step list of one operation first; where no order of steps does, other values of the features that take part.

import { PROFILES, resolveProfile } from "../../model/profile/index.ts";
import type { Profile } from "../../model/profile/types.ts";
import { feature as featureRow, profiles } from "../../scenario/catalogue/index.ts";
import type { ProfileEdit, Program } from "../../scenario/program.ts";
import type { Report, Schedule } from "../report.ts";
import { goalText, schedulesOf } from "./goals.ts";
import { beside, blocksOf, type SeenStep, seenSteps } from "./replay.ts";
import { mayMend } from "./rules.ts";
import { type EditOptions, editsAt, isFlat, type ListEdit, MOST_COST } from "./steps.ts";
import { entryText, variantName, variantText } from "./text.ts";
import type { Refusal, Suggestion } from "./types.ts";
import type { Refused, Saved, Verifier } from "./verify.ts";

/** Steps of one operation and values of features, to be written into one variant. */
interface Change {
  readonly list?: ListEdit;
  readonly features: readonly { readonly name: string; readonly value: string }[];
}

const MOST_OPERATIONS = 4;
/** The second one mends what the first one lets come to light. */
const MOST_FEATURES = 2;
/** Refused changes told of each operation. */
const MOST_TOLD = 2;

interface Tried {
  readonly change: Change;
  readonly attempt: Refused;
}

export class KernelSearch {
  readonly #verifier: Verifier;
  readonly #program: Program;
  readonly #profile: Profile;
  readonly #operations: readonly string[];
  readonly #taken: ReadonlySet<string>;
  readonly #refusedAt: Tried[] = [];
  /** Features by how near to what breaks they were asked for, in the stories and in the runs of refused changes. */
  readonly #features: string[] = [];
  /** What was found: of two brackets that do, a scenario cannot say that the narrower one is enough. */
  readonly #found: { readonly removes: string; readonly cost: number; readonly operation: string | undefined; readonly width: number }[] = [];
  readonly suggestions: Suggestion[] = [];

  constructor(verifier: Verifier, report: Report, profile: Profile, taken: Iterable<string>) {
    this.#verifier = verifier;
    this.#program = verifier.program;
    this.#profile = profile;
    this.#taken = new Set([...profiles.map((row) => row.name), ...taken]);
    const stories = verifier.goals.flatMap((goal) => schedulesOf(goal, this.#program, report));
    this.#operations = this.#nearest(stories, report);
    for (const schedule of stories) this.#asked(this.#program, report, schedule);
  }

  get saved(): boolean {
    return this.suggestions.some((suggestion) => suggestion.remains.length === 0);
  }

  steps(): void {
    for (let cost = 1; cost <= MOST_COST && !this.saved; cost++) for (const list of this.#lists(cost)) this.#try({ list, features: [] });
  }

  /** One feature alone or with a list, then a second one where the first saves the goal and something else breaks instead. */
  features(): void {
    for (const { attempt } of [...this.#refusedAt]) this.#learn(attempt);
    let starts: Change[] = [{ features: [] }];
    for (let count = 1; count <= MOST_FEATURES && !this.saved; count++) {
      const before = this.#refusedAt.length;
      for (const start of starts) for (const value of this.#values(start)) this.#try({ ...start, features: [...start.features, value] });
      for (let cost = 1; cost < MOST_COST && !this.saved && count === 1; cost++) {
        for (const list of this.#lists(cost)) for (const value of this.#values({ features: [] })) this.#try({ list, features: [value] });
      }
      starts = [];
      for (const { change, attempt } of this.#refusedAt.slice(before)) {
        if (!attempt.instead) continue;
        this.#learn(attempt);
        starts.push(change);
      }
    }
  }

  /** The refused ones worth telling: those that remove the goal at another price, then the nearest of each operation. */
  get refused(): readonly Refusal[] {
    const operation = ({ change }: Tried): number => (change.list ? this.#operations.indexOf(change.list.operation) : this.#operations.length);
    const weight = (tried: Tried): number => (tried.attempt.gone ? 0 : 100 + 10 * operation(tried)) + costOf(tried.change);
    const told = new Map<number, number>();
    return [...this.#refusedAt]
      .sort((a, b) => weight(a) - weight(b))
      .filter((tried) => {
        const count = told.get(operation(tried)) ?? 0;
        told.set(operation(tried), count + 1);
        return count < MOST_TOLD;
      })
      .map(({ change, attempt }) => ({
        title: titleOf(change),
        reason: attempt.reason,
        steps: attempt.steps,
        schedule: attempt.schedule,
        gone: attempt.gone === true,
      }));
  }

  #try(change: Change): void {
    const title = titleOf(change);
    const attempt = this.#verifier.attempt(title, title, this.#changed(change, "tried"));
    if (attempt.ok) {
      const removes = attempt.removes.map(goalText).join();
      const cost = costOf(change);
      const dominated = this.#found.some(
        (other) => other.removes === removes && (other.cost < cost || (other.operation === change.list?.operation && other.width > (change.list?.width ?? 0))),
      );
      if (dominated) return;
      this.#found.push({ removes, cost, operation: change.list?.operation, width: change.list?.width ?? 0 });
      this.suggestions.push(this.#suggestion(change, attempt));
    } else this.#refusedAt.push({ change, attempt });
  }

  #lists(cost: number): ListEdit[] {
    return this.#operations.flatMap((operation) => {
      const list = this.#profile.operations[operation];
      const flat = list.flat();
      const base = PROFILES.find((row) => row.name === this.#profile.base)?.operations[operation] ?? [];
      const goals = this.#verifier.goals;
      const options: EditOptions = {
        dropped: base.flat().filter((step) => !flat.includes(step)),
        locks: goals.some((goal) => goal.kind === "invariant" && goal.invariant === "no-deadlock"),
      };
      return editsAt(operation, flat, cost, options);
    });
  }

  /** Other values of the features that took part, which the change does not set yet. */
  #values(change: Change): { name: string; value: string }[] {
    return this.#features.flatMap((name) => {
      if (change.features.some((set) => set.name === name)) return [];
      const now = this.#profile.features[name as keyof Profile["features"]];
      const values = featureRow(name)?.values.map((value) => value.name) ?? [];
      return values.filter((value) => value !== now).map((value) => ({ name, value }));
    });
  }

  #learn(attempt: Refused): void {
    const { shown } = attempt;
    if (!shown) return;
    for (const schedule of shown.schedules.slice(0, 1)) this.#asked(shown.program, shown.report, schedule);
  }

  #asked(program: Program, report: Report, schedule: Schedule): void {
    const seen = beside(program, seenSteps(program, report.refinement, schedule, true));
    const story = seenSteps(program, report.refinement, schedule, false);
    for (const { features } of [...story.reverse(), ...seen])
      for (const name of features) if (mayMend(name) && !this.#features.includes(name)) this.#features.push(name);
  }

  /** Operations whose list may be written anew: of the call that breaks the goal, then of the calls beside it, then of those just before. */
  #nearest(stories: readonly Schedule[], report: Report): string[] {
    const near: SeenStep[] = stories.flatMap((schedule) => {
      const seen = seenSteps(this.#program, report.refinement, schedule, false);
      const around = beside(this.#program, seen).reverse();
      // In a race the calls of the block are at fault; one after the other, any call before may be.
      const racing = new Set(around.map(({ actor }) => actor)).size > 1 || blocksOf(this.#program).some(({ calls }) => calls.has(seen.at(-1)?.call ?? -1));
      return racing ? around : [...around, ...seen.reverse()];
    });
    const names = near.flatMap(({ operation }) => (operation === undefined ? [] : [operation]));
    return [...new Set(names)].filter((name) => isFlat(this.#profile.operations[name])).slice(0, MOST_OPERATIONS);
  }

  #edits({ list, features }: Change): ProfileEdit[] {
    const { site } = this.#program;
    const values = features.map(({ name, value }): ProfileEdit => ({ kind: "feature", feature: name, value, site }));
    return list ? [...values, { kind: "steps", operation: list.operation, steps: list.steps, site }] : values;
  }

  #changed(change: Change, name: string): Program {
    const { profile } = this.#program;
    return { ...this.#program, profile: { name, base: profile.base, edits: [...profile.edits, ...this.#edits(change)] } };
  }

  #suggestion(change: Change, saved: Saved): Suggestion {
    const { profile } = this.#program;
    const { list, features } = change;
    const word = list?.word ?? "mended";
    const name = variantName(profile.name, word, this.#taken);
    const changed = this.#changed(change, name);
    const gone = new Set(saved.removes.flatMap((goal) => (goal.kind === "invariant" ? [goal.invariant] : [])));
    const said = [...features.map(({ name: one, value }) => meaningOf(one, value)), ...(list ? [list.said] : [])];
    return {
      kind: list ? (features.length > 0 ? "steps+feature" : "steps") : "feature",
      title: titleOf(change),
      text: variantText(name, profile.name, this.#edits(change)),
      meaning: [...said, ...saved.lost].join("; "),
      cost: costOf(change),
      removes: saved.removes.map(goalText),
      remains: saved.remains.map(goalText),
      notJudged: saved.notJudged,
      states: saved.states,
      labels: [],
      orders: [],
      kernel: name,
      program: { ...changed, expected: changed.expected.filter(({ invariant }) => !gone.has(invariant)) },
    };
  }
}

function meaningOf(name: string, value: string): string {
  const row = featureRow(name)?.values.find((candidate) => candidate.name === value);
  return `${name} becomes ${value}${row?.help === undefined ? "" : ` (${row.help})`}`;
}

const costOf = ({ list, features }: Change): number => (list?.cost ?? 0) + features.length;

function titleOf({ list, features }: Change): string {
  const values = features.map(({ name, value }) => entryText({ kind: "feature", feature: name, value, site: 0 }));
  return [...values, ...(list ? [entryText({ kind: "steps", operation: list.operation, steps: list.steps, site: 0 })] : [])].join("; ");
}

/** The row that a scenario runs under, where it is one that the model has. */
export function profileOf(program: Program): Profile | undefined {
  const { profile, problems } = resolveProfile(program.profile);
  return problems.length > 0 ? undefined : profile;
}
