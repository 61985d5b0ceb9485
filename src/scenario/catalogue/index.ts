// The catalogue: every call, constant, kernel, atomic step, state query and invariant as data, for the language, the model, the views and the
// reference page.

import { assert } from "../../base/assert.ts";
import { constantsNamed } from "./constants.ts";
import { descriptorCalls } from "./descriptors.ts";
import { kvmCalls } from "./kvm.ts";
import { kvmTdxCalls } from "./kvm-tdx.ts";
import { mappingCalls } from "./mappings.ts";
import { fileCalls } from "./memory.ts";
import { operation, operations } from "./operations.ts";
import { physicalCalls } from "./physical.ts";
import { tdxCalls } from "./tdx.ts";
import type { CallSpec, Param, Returns } from "./types.ts";

export { constant, constants, constantsNamed, flagNames, isBitGroup } from "./constants.ts";
export { type FeatureName, type FeatureValue, feature, features } from "./features.ts";
export { invariants } from "./invariants.ts";
export { profile, profiles } from "./profiles.ts";
export { queries } from "./queries.ts";
export { type SettingName, type SettingRow, setting, settingDefault, settings } from "./settings.ts";
export { isLaterStep, isStepName, type StepName, steps } from "./steps.ts";
export type * from "./types.ts";
export type { InvariantRow } from "./types.ts";
export { operation, operations };

export const calls: readonly CallSpec[] = [...fileCalls, ...descriptorCalls, ...mappingCalls, ...kvmCalls, ...kvmTdxCalls, ...tdxCalls, ...physicalCalls];

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

/** What a base profile calls a parameter. */
export const paramName = (param: Param, base: string): string => param.names?.[base] ?? param.name;

/** The parameter that some profile calls so. */
export const paramNamed = (spec: CallSpec, name: string): Param | undefined =>
  spec.params.find((param) => param.name === name) ?? spec.params.find((param) => Object.values(param.names ?? {}).includes(name));

const means = (name: string, value: bigint | undefined): boolean => constantsNamed(name).some((row) => row.value === value);

/** The group of a parameter's constants, which may hang on the value of the one in front of it: the argument of fcntl on its command. */
export function groupOf({ group, groups = {} }: Param, before: bigint | undefined): string | undefined {
  return Object.entries(groups).find(([name]) => means(name, before))?.[1] ?? group;
}

/** How the number that a call answers is to be read: only the seal commands of fcntl answer seals. */
export function returnsOf(spec: CallSpec, second: bigint | undefined): Returns {
  return spec.returns === "seals" && !means("F_ADD_SEALS", second) && !means("F_GET_SEALS", second) ? "offset" : spec.returns;
}

export function callSpec(id: string): CallSpec {
  const spec = BY_ID.get(id);
  assert(spec, `the catalogue has no call ${id}`);
  return spec;
}
