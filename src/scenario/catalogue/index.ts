// The catalogue: every call, constant, kernel, atomic step, state query and invariant as data, for the language, the model, the views and the
// reference page.

import { assert } from "../../base/assert.ts";
import { kvmCalls } from "./kvm.ts";
import { mappingCalls } from "./mappings.ts";
import { fileCalls } from "./memory.ts";
import { operation, operations } from "./operations.ts";
import { physicalCalls } from "./physical.ts";
import { tdxCalls } from "./tdx.ts";
import type { CallSpec } from "./types.ts";

export { constant, constants, constantsNamed, flagNames } from "./constants.ts";
export { type FeatureName, type FeatureValue, feature, features } from "./features.ts";
export { type InvariantRow, invariants } from "./invariants.ts";
export { profile, profiles } from "./profiles.ts";
export { queries } from "./queries.ts";
export { type SettingName, type SettingRow, setting, settingDefault, settings } from "./settings.ts";
export { isLaterStep, isStepName, type StepName, steps } from "./steps.ts";
export type * from "./types.ts";
export { operation, operations };

export const calls: readonly CallSpec[] = [...fileCalls, ...mappingCalls, ...kvmCalls, ...tdxCalls, ...physicalCalls];

/** Operations that a base profile has: those of the calls that it knows. */
export function operationsOf(base: string): readonly string[] {
  const run = new Set(calls.filter((spec) => spec.profiles.includes(base)).flatMap((spec) => spec.operations));
  return [...run].filter((name) => operation(name)?.profiles?.includes(base) ?? true);
}

const BY_NAME = new Map<string, CallSpec[]>();
for (const spec of calls) BY_NAME.set(spec.name, [...(BY_NAME.get(spec.name) ?? []), spec]);
const BY_ID = new Map(calls.map((spec) => [spec.id, spec]));

/** Every meaning of a word: `load` has one for the guest and one for the host. */
export function callsNamed(name: string): readonly CallSpec[] {
  return BY_NAME.get(name) ?? [];
}

export function callSpec(id: string): CallSpec {
  const spec = BY_ID.get(id);
  assert(spec, `the catalogue has no call ${id}`);
  return spec;
}
