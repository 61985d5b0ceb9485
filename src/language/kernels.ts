// A name behind `kernel` → the row of the catalogue it rests on and the edits of the variants in between.

import { calls, isStepName, profile, profiles, steps } from "../scenario/catalogue/index.ts";
import type { ProfileChoice, ProfileEdit } from "../scenario/program.ts";
import type { Range, VariantEntry, Word } from "./ast.ts";
import type { Declarations, VariantDeclaration } from "./declarations.ts";
import { didYouMean } from "./near.ts";
import type { Scope } from "./scope.ts";

/** Newest row that is a release; what `mainline` and a file without `kernel` mean. */
export const MAINLINE = "mainline";

export const newest = (): string => {
  const releases = profiles.filter((row) => /^\d+\.\d+$/.test(row.name));
  return releases[releases.length - 1]?.name ?? profiles[profiles.length - 1].name;
};

const OPERATIONS = new Set(calls.flatMap((spec) => spec.operations));

export interface Resolution {
  readonly name: string;
  readonly base: string;
  readonly modelled: boolean;
  /** Outermost base first. */
  readonly chain: readonly VariantDeclaration[];
}

export type Resolved = Resolution | { readonly error: string; readonly code: string };

export function resolveKernel(name: string, declarations: Declarations): Resolved {
  const chain: VariantDeclaration[] = [];
  let at = name;
  for (;;) {
    const variant = declarations.variants.get(at);
    if (variant === undefined || profile(at) !== undefined) break;
    if (chain.includes(variant))
      return { code: "MEMFD2014", error: `the variant \`${name}\` extends itself: ${[...chain.map((v) => v.name).reverse(), at].reverse().join(" → ")}` };
    chain.push(variant);
    at = variant.statement.base?.text ?? "";
  }
  const row = profile(at === MAINLINE ? newest() : at) ?? (at === MAINLINE ? profile(MAINLINE) : undefined);
  if (row === undefined) {
    const known = [...profiles.map((p) => p.name), ...declarations.variants.keys(), MAINLINE, "all"];
    const list = profiles.map((p) => p.name).join(", ");
    return { code: "MEMFD2013", error: `there is no kernel \`${at}\`${didYouMean(at, known)}${didYouMean(at, known) === "" ? `; known are ${list}` : ""}` };
  }
  return { name, base: row.name, modelled: row.modelled, chain: chain.reverse() };
}

/** The choice as the Program holds it; the sites of its edits are made in `scope`. */
export function editsOf(scope: Scope, resolution: Resolution): ProfileChoice {
  const edits: ProfileEdit[] = [];
  const source = scope.source;
  for (const variant of resolution.chain) {
    scope.source = variant;
    for (const entry of variant.statement.entries) {
      const edit = lowerEntry(scope, entry);
      if (edit !== undefined) edits.push(edit);
    }
  }
  scope.source = source;
  return { name: resolution.name, base: resolution.base, edits };
}

const LEAF = /^(TD[HG]\.)?[A-Z0-9.]+\.(acquire|commit|zero|enter|exit)$/;
export const isStep = (name: string): boolean => isStepName(name) || LEAF.test(name);

const stepNames = (): string[] => steps.map((row) => row.name);

function knownStep(scope: Scope, word: Word): boolean {
  if (isStep(word.text)) return true;
  scope.report("MEMFD2016", word, `there is no step \`${word.text}\`${didYouMean(word.text, stepNames())}`);
  return false;
}

function lowerEntry(scope: Scope, entry: VariantEntry): ProfileEdit | undefined {
  const { name, values } = entry;
  if (values.some((word) => word.text === "") || values.length === 0) return undefined;
  if (entry.without) {
    if (!knownOperation(scope, name.text, name)) return undefined;
    return knownStep(scope, values[0]) ? { kind: "without", operation: name.text, step: values[0].text, site: scope.site(entry) } : undefined;
  }
  const looksLikeSteps = values.length > 1 || isStep(values[0].text);
  if (OPERATIONS.has(name.text) || name.text.includes(".") || looksLikeSteps) {
    if (!knownOperation(scope, name.text, name)) return undefined;
    const good = values.filter((word) => knownStep(scope, word));
    return good.length < values.length ? undefined : { kind: "steps", operation: name.text, steps: values.map((word) => word.text), site: scope.site(entry) };
  }
  return { kind: "feature", feature: name.text, value: values[0].text, site: scope.site(entry) };
}

function knownOperation(scope: Scope, name: string, at: Range): boolean {
  if (OPERATIONS.has(name)) return true;
  scope.report("MEMFD2016", at, `there is no operation \`${name}\`${didYouMean(name, OPERATIONS)}`);
  return false;
}

export const operations = (): readonly string[] => [...OPERATIONS];
