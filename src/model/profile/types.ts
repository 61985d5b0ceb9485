// A kernel as data: features, and per operation an ordered list of named atomic steps. No code asks which kernel it is.

import type { FeatureName, FeatureValue, StepName } from "../../scenario/catalogue/index.ts";

/** `lock_folio, invalidate, …` in a nested list run once per cell together; any other step that works by cells loops by itself. */
export type StepList = readonly (StepName | readonly StepName[])[];

/** What each feature means, and its values: `catalogue/features.ts`. */
export type Features = { readonly [Name in FeatureName]: FeatureValue<Name> };

export interface Profile {
  /** The name that a report shows: `v8`, or that of a variant. */
  readonly name: string;
  readonly base: string;
  readonly features: Features;
  readonly operations: Readonly<Record<string, StepList>>;
  /** Mail or release behind the row. */
  readonly source: string;
}
