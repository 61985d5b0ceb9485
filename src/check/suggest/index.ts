// Which order saves it? Program and Report → the least changes that make what breaks go away, each verified by a full run: `order` lines of the scenario,
// step lists of one operation, features of the kernel.

import type { Program } from "../../scenario/program.ts";
import type { Report } from "../report.ts";
import { goalsOf, goalText, listed } from "./goals.ts";
import { KernelSearch, profileOf } from "./kernels.ts";
import { OrderSearch } from "./orders.ts";
import { blocksOf } from "./replay.ts";
import type { Goal, Refusal, Suggestion, Suggestions } from "./types.ts";
import { Stopped, type SuggestOptions, Verifier } from "./verify.ts";

export { isSaveable, listed } from "./goals.ts";
export type { Goal, Refusal, Suggestion, SuggestionKind, Suggestions } from "./types.ts";
export { SUGGEST_LIMITS, type SuggestOptions } from "./verify.ts";

/** Shown of each kind, and refused ones. */
const MOST_SHOWN = 3;
const MOST_REFUSED = 4;

/** What a suggestion for this report would be about; empty: nothing breaks. */
export const saveable = (program: Program, report: Report): boolean => goalsOf(program, report).length > 0;

/**
 * `taken`: names of kernels that a new variant must not have. Never throws for a limit: what was found until then is the answer, and `complete` is false.
 */
export function suggest(program: Program, report: Report, options: SuggestOptions & { readonly taken?: Iterable<string> }): Suggestions {
  const goals = goalsOf(program, report);
  const verifier = new Verifier(program, goals, options);
  const empty = { scenario: program.name, kernel: program.profile.name, goals: goals.map(goalText), suggestions: [], refused: [], tried: 0, ruledOut: 0 };
  const profile = profileOf(program);
  if (goals.length === 0) return { ...empty, complete: true, notes: ["nothing breaks here, so there is nothing to save"] };
  if (!profile) return { ...empty, complete: true, notes: ["the kernel is not one that the model has"] };
  let orders: OrderSearch | undefined;
  let kernels: KernelSearch | undefined;
  let limit: Stopped["limit"] | undefined;
  try {
    if (!verifier.baseline.exploration.complete) {
      const note = `the scenario cannot be explored to its end (${verifier.baseline.exploration.limit ?? "a limit"}), so no change of it could be verified`;
      return { ...empty, complete: false, notes: [note] };
    }
    orders = new OrderSearch(verifier, report);
    kernels = new KernelSearch(verifier, report, profile, options.taken ?? []);
    orders.run();
    kernels.steps();
    if (!kernels.saved) kernels.features();
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    limit = error.limit;
  }
  const suggestions = ranked([...(orders?.suggestions ?? []), ...(kernels?.suggestions ?? [])]);
  const refused = [...shownFirst(orders?.refused ?? []).slice(0, MOST_REFUSED), ...(kernels?.refused ?? []).slice(0, MOST_REFUSED)];
  return {
    ...empty,
    suggestions,
    refused,
    tried: verifier.tried,
    ruledOut: orders?.ruledOut ?? 0,
    complete: limit === undefined,
    ...(limit === undefined ? {} : { limit }),
    notes: notesOf(program, goals, suggestions, refused, limit),
  };
}

/** A refusal that a schedule shows says more than one that says that nothing runs any more. */
const shownFirst = (refused: readonly Refusal[]): Refusal[] => [...refused.filter(({ steps }) => steps !== ""), ...refused.filter(({ steps }) => steps === "")];

/** Those that remove all goals push out those that do not; then by cost, and by kind in the order of `KINDS`; of orders, the one that names most steps. */
const KINDS: readonly Suggestion["kind"][] = ["order", "steps", "feature", "steps+feature"];

/** Points of `order` lines that are a whole call, which forbids more than a step of it. */
const wholeCalls = ({ orders }: Suggestion): number => orders.flatMap(({ line }) => line.split(" before ")).filter((point) => !point.includes(".")).length;

function ranked(all: readonly Suggestion[]): Suggestion[] {
  const whole = all.filter((suggestion) => suggestion.remains.length === 0);
  const least = (whole.length > 0 ? whole : all).map((suggestion, at) => ({ suggestion, at }));
  least.sort(
    (a, b) =>
      b.suggestion.removes.length - a.suggestion.removes.length ||
      a.suggestion.cost - b.suggestion.cost ||
      KINDS.indexOf(a.suggestion.kind) - KINDS.indexOf(b.suggestion.kind) ||
      (a.suggestion.kind === "order" ? wholeCalls(a.suggestion) - wholeCalls(b.suggestion) : 0) ||
      a.at - b.at,
  );
  return KINDS.flatMap((kind) => least.filter(({ suggestion }) => suggestion.kind === kind).slice(0, MOST_SHOWN))
    .sort((a, b) => least.indexOf(a) - least.indexOf(b))
    .map(({ suggestion }) => suggestion);
}

function notesOf(
  program: Program,
  goals: readonly Goal[],
  suggestions: readonly Suggestion[],
  refused: readonly Refusal[],
  limit: Stopped["limit"] | undefined,
): string[] {
  const what = listed(goals.map(goalText));
  const whole = suggestions.filter((suggestion) => suggestion.remains.length === 0);
  const notes: string[] = [];
  if (limit !== undefined) {
    const why = { time: "its time was over", candidates: "the number of runs is limited", cancelled: "it was stopped" } as const;
    notes.push(`not everything was tried: ${why[limit]}`);
  }
  if (suggestions.length === 0) {
    const price = refused.some(({ gone }) => gone) ? " without making the scenario worse in something else" : "";
    notes.push(`no order, no step list and no feature that was tried removes ${what}${price}`);
    if (price !== "" && program.expected.length > 0) notes.push("what the scenario asks for beside the violation may hold only because of it");
  }
  if (suggestions.length > 0 && whole.length === 0) notes.push("no single change removes all that breaks; these remove a part each");
  if (limit !== undefined || suggestions.length === 0) return notes;
  if (blocksOf(program).length > 0 && !suggestions.some(({ kind }) => kind === "order")) notes.push("no order between the calls of the scenario does it");
  if (whole.length > 0 && whole.every(({ kind }) => kind !== "steps" && kind !== "order")) {
    const features = [
      ...new Set(whole.flatMap(({ program: { profile } }) => profile.edits.flatMap((edit) => (edit.kind === "feature" ? [edit.feature] : [])))),
    ];
    const old = new Set(program.profile.edits.flatMap((edit) => (edit.kind === "feature" ? [edit.feature] : [])));
    notes.push(`no order of steps alone does it: ${features.filter((name) => !old.has(name)).join(" and ")} must change too`);
  }
  return notes;
}
