// What "which order saves it?" answers, as plain data: changes that a full run verified, and the nearest ones that were refused, each with its reason.

import type { CallId, Program, Site } from "../../scenario/program.ts";
import type { Schedule } from "../report.ts";

/** What a suggestion shall make go away: a broken invariant, or a remark (assert, never, forall, a result) that fails. */
export type Goal =
  | { readonly kind: "invariant"; readonly invariant: string }
  | { readonly kind: "remark"; readonly code: string; readonly site: Site; readonly message: string };

/** `order`: a line in the scenario. `steps`: another step list of one operation. `feature`: other values of features that kernels differ in. */
export type SuggestionKind = "order" | "steps" | "feature" | "steps+feature";

export interface Suggestion {
  readonly kind: SuggestionKind;
  /** One line: `order hole.truncate before take`, `fallocate.punch_hole = …`. */
  readonly title: string;
  /** Valid `.memfd` text: `order` lines for the parallel block, or the declaration of a kernel variant. */
  readonly text: string;
  /** One sentence: what is different, and at which price. */
  readonly meaning: string;
  /** Lines added, steps moved, added or taken out, features set. */
  readonly cost: number;
  /** Goals that are gone, and goals that another change has to remove; in words. */
  readonly removes: readonly string[];
  readonly remains: readonly string[];
  /** Invariants that the run could not judge with the change, and could without it. */
  readonly notJudged: readonly string[];
  /** States of the full run that verified it, with every invariant watched. */
  readonly states: number;
  /** Labels that `order` lines need and the scenario does not have. */
  readonly labels: readonly { readonly call: CallId; readonly label: string }[];
  readonly orders: readonly { readonly parallel: Site; readonly line: string }[];
  /** The variant that `text` declares. */
  readonly kernel?: string;
  /** The scenario with the change in it, and without the `expect violation` of what no longer breaks. */
  readonly program: Program;
}

/** A change that was tried and does not do. */
export interface Refusal {
  readonly title: string;
  readonly reason: string;
  /** The concurrent steps that show it: `vmm: invalidate; vcpu0: snapshot, map; vmm: truncate`. Empty where no schedule does. */
  readonly steps: string;
  readonly schedule: Schedule;
  /** It removes the goal, and the scenario is worse in something else. */
  readonly gone: boolean;
}

export interface Suggestions {
  readonly scenario: string;
  readonly kernel: string;
  readonly goals: readonly string[];
  /** Best first: most goals, least cost, least restriction. */
  readonly suggestions: readonly Suggestion[];
  /** The nearest ones, at most a few of each kind. */
  readonly refused: readonly Refusal[];
  /** Candidates that were run, and those that a schedule known already ruled out. */
  readonly tried: number;
  readonly ruledOut: number;
  /** Everything that was meant to be tried was. */
  readonly complete: boolean;
  /** Why it is not complete. */
  readonly limit?: "time" | "candidates" | "cancelled";
  /** What there is to say in words: nothing to save, nothing found, no order of steps alone does. */
  readonly notes: readonly string[];
}
