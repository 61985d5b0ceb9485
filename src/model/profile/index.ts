// The kernels that the model has, and what a scenario's `kernel NAME extends PROFILE { … }` makes of them: just one more row.

import { feature, features, isLaterStep, isStepName, type StepName, steps } from "../../scenario/catalogue/index.ts";
import type { ProfileChoice, ProfileEdit, Site } from "../../scenario/program.ts";
import { V6_8_0 } from "./6.8.0.ts";
import { V6_8 } from "./6.8.ts";
import { V6_16 } from "./6.16.ts";
import { V6_18_0 } from "./6.18.0.ts";
import { V6_18 } from "./6.18.ts";
import { V7_2 } from "./7.2.ts";
import { AROUND } from "./around.ts";
import type { Profile, StepList } from "./types.ts";
import { V4 } from "./v4.ts";
import { V5 } from "./v5.ts";
import { V6 } from "./v6.ts";
import { V7 } from "./v7.ts";
import { V8 } from "./v8.ts";
import { V9 } from "./v9.ts";
import { V10 } from "./v10.ts";

export const PROFILES: readonly Profile[] = [V4, V5, V6, V7, V8, V9, V10, V6_8_0, V6_8, V6_16, V6_18_0, V6_18, V7_2];

/** The step number of a thread is a packed field. */
const MAX_STEPS = 30;

export interface ProfileProblem {
  readonly site: Site;
  readonly message: string;
}

/** The row behind a choice, with its edits applied in order; edits that do not fit are problems at their place and left out. */
export function resolveProfile(choice: ProfileChoice): { profile: Profile | undefined; problems: ProfileProblem[] } {
  const base = PROFILES.find((row) => row.name === choice.base);
  const problems: ProfileProblem[] = [];
  if (!base) return { profile: undefined, problems };
  let profile: Profile = { ...base, name: choice.name };
  for (const edit of choice.edits) {
    const edited = applyEdit(profile, edit);
    if (typeof edited === "string") problems.push({ site: edit.site, message: edited });
    else profile = edited;
  }
  return { profile, problems };
}

function applyEdit(profile: Profile, edit: ProfileEdit): Profile | string {
  if (edit.kind === "feature") {
    const values = feature(edit.feature)?.values.map((value) => value.name);
    if (!values) return `no feature ${edit.feature}; there are ${features.map((row) => row.name).join(", ")}`;
    if (!values.includes(edit.value)) return `${edit.feature} is one of ${values.join(", ")}`;
    return { ...profile, features: { ...profile.features, [edit.feature]: edit.value } };
  }
  const list: StepList | undefined = Object.hasOwn(profile.operations, edit.operation) ? profile.operations[edit.operation] : undefined;
  if (!list) return `${profile.base} has no operation ${edit.operation}; it has ${Object.keys(profile.operations).join(", ")}`;
  if (edit.kind === "without") {
    const without = list.map((step) => (typeof step === "string" ? step : step.filter((name) => name !== edit.step))).filter((step) => step !== edit.step);
    if (without.flat().length === list.flat().length) return `${edit.operation} has no step ${edit.step}; it has ${list.flat().join(", ")}`;
    return { ...profile, operations: { ...profile.operations, [edit.operation]: without } };
  }
  if (edit.steps.length > MAX_STEPS) return `an operation has at most ${MAX_STEPS} steps`;
  const unknown = edit.steps.find((step) => !isStepName(step));
  if (unknown !== undefined) return `no step ${unknown}; ${profile.base}'s ${edit.operation} has ${list.flat().join(", ")}${nearStep(unknown)}`;
  const later = edit.steps.find(isLaterStep);
  if (later !== undefined) return `the step ${later} is in the catalogue but not modelled yet`;
  return { ...profile, operations: { ...profile.operations, [edit.operation]: grouped(edit.steps as readonly StepName[]) } };
}

function nearStep(name: string): string {
  const near = steps.find((row) => row.name.includes(name) || name.includes(row.name));
  return near ? `; did you mean ${near.name}` : "";
}

/**
 * A run from `lock_folio` to `unlock_folio` in a flat list is one loop over the folios, a run of steps around a change of page tables one over the mappings;
 * other steps that work by cells loop by themselves.
 */
function grouped(names: readonly StepName[]): StepList {
  const first = names.findIndex((name) => name === "lock_folio" || AROUND.has(name));
  if (first < 0) return names;
  const length = names.slice(first).findIndex((name) => !AROUND.has(name));
  const last = names[first] === "lock_folio" ? names.indexOf("unlock_folio", first) : length < 0 ? names.length - 1 : first + length - 1;
  if (last < 0) return [...names.slice(0, first + 1), ...grouped(names.slice(first + 1))];
  return [...names.slice(0, first), names.slice(first, last + 1), ...grouped(names.slice(last + 1))];
}
