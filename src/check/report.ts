// What one run of a Program answers: verdict, the result set of every call, broken expectations and violated invariants with their stories.
// Plain data without text positions (sites only), so it can be cached by the value of the Program, posted between workers and printed.

import type { Severity } from "../base/finding.ts";
import type { ActorId, CallId, Result, Site } from "../scenario/program.ts";

export type Verdict = "pass" | "fail" | "incomplete";

export interface Report {
  readonly scenario: string;
  readonly kernel: string;
  readonly verdict: Verdict;
  /** Index = CallId: what the call returned, over all interleavings, without doubles. Empty where it was never reached. */
  readonly calls: readonly CallReport[];
  readonly violations: readonly Violation[];
  /** Broken expectations, unanswered questions, warnings about the kernel, limits. Violations have their own list. */
  readonly remarks: readonly Remark[];
  /** Where an `exists` holds: the schedule that shows it; where a `never`, `forall` or assert fails: the schedule that breaks it. */
  readonly witnesses: readonly { readonly site: Site; readonly schedule: Schedule }[];
  readonly exploration: Exploration;
  /** Watched invariants about which nothing can be said, each with the reason; the small print of the verdict. */
  readonly notJudged: readonly { readonly invariant: string; readonly reason: string }[];
  /** How finely the run had to cut memory: a schedule is only meaningful on the same cells and frames. */
  readonly refinement: Refinement;
}

export interface Refinement {
  readonly cuts: readonly { readonly space: string; readonly at: number }[];
  readonly extraFrames: number;
}

export interface CallReport {
  readonly results: readonly Outcome[];
}

export interface Outcome {
  readonly result: Result;
  /** A schedule in which the call answers this. Of thousands of calls in a row only the first ones keep theirs; the others have an empty one. */
  readonly schedule: Schedule;
}

/** One entry per atomic step: `actor`, and for a step with a free choice (which frame) its number. `encodeSchedule` makes the short text of it. */
export type Schedule = readonly { readonly actor: ActorId; readonly choice: number }[];

export interface Violation {
  readonly invariant: string;
  /** "vm gfn 0x1 → frame 3": what the predicate is about. */
  readonly subject: string;
  readonly call: CallId;
  readonly step: string;
  readonly expected: boolean;
  readonly message: string;
  readonly story: Story;
}

export interface Story {
  readonly schedule: Schedule;
  readonly steps: readonly StoryStep[];
  /** No schedule that shows it has fewer steps. False where the search for a shorter one hit its limit. */
  readonly shortest: boolean;
  /** Of no-livelock: so many of the last steps are one round that can repeat for ever. */
  readonly round?: number;
}

export interface StoryStep {
  readonly actor: ActorId;
  /** Below 0 where an assert is looked at. */
  readonly call: CallId;
  /** Of an assert: where it stands. */
  readonly site?: Site;
  /** The atomic step's name. */
  readonly step: string;
  /** What it did, in kernel words. */
  readonly effect: string;
  /** Set on the step with which the call returns. */
  readonly result?: Result;
}

export interface Remark {
  readonly code: string;
  readonly severity: Severity;
  readonly site: Site;
  readonly message: string;
  readonly related?: readonly { readonly site: Site; readonly message: string }[];
  /** A result text that a quick fix may write in place of the expectation at `site`. */
  readonly actual?: string;
  /** What there is where a condition is not met, in the state that was found first: `pages(ram) is 0`. */
  readonly values?: string;
}

interface Exploration {
  /** States that were stored; with reductions, representatives of all. */
  readonly states: number;
  readonly transitions: number;
  readonly complete: boolean;
  readonly milliseconds: number;
  /** Whether partial order and symmetry were used. */
  readonly reduced: boolean;
  /** Distance from the initial state that was reached, and states that were known and not expanded when it ended. */
  readonly depth: number;
  readonly frontier: number;
  /** Why it is not complete, and how far it came. */
  readonly limit?: string;
  /** Which limit of the run ended it, where one did. */
  readonly cut?: "states" | "time" | "memory" | "cancelled";
}
