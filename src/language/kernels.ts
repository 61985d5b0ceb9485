// A name behind `kernel` → the row of the catalogue it rests on and the edits of the variants in between.

import { feature, features, isLaterStep, isStepName, operation, operations, operationsOf, profile, profiles, steps } from "../scenario/catalogue/index.ts";
import type { ProfileChoice, ProfileEdit } from "../scenario/program.ts";
import type { VariantEntry, Word } from "./ast.ts";
import type { Declarations, VariantDeclaration } from "./declarations.ts";
import { didYouMean, nearest } from "./near.ts";
import type { Scope } from "./scope.ts";

/** Newest row that is a release; what `mainline` and a file without `kernel` mean. */
export const MAINLINE = "mainline";

export const newest = (): string => {
  const releases = profiles.filter((row) => /^\d+\.\d+$/.test(row.name));
  return releases[releases.length - 1]?.name ?? profiles[profiles.length - 1].name;
};

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
  const seen = new Set<VariantDeclaration>();
  let at = name;
  for (;;) {
    const variant = declarations.variants.get(at);
    if (variant === undefined || profile(at) !== undefined) break;
    if (seen.has(variant))
      return { code: "MEMFD2014", error: `the variant \`${name}\` extends itself: ${[...chain.map((v) => v.name).reverse(), at].reverse().join(" → ")}` };
    chain.push(variant);
    seen.add(variant);
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

/** Reports the names behind `on` that no kernel has. */
export function checkKernelNames(scope: Scope, names: readonly Word[]): void {
  const { variants } = scope.declarations;
  for (const word of names) {
    const known = word.text === "" || word.text === "all" || word.text === MAINLINE || profile(word.text) !== undefined || variants.has(word.text);
    const candidates = known ? [] : [...variants.keys(), ...profiles.map((row) => row.name), MAINLINE];
    if (!known) scope.report("MEMFD2013", word, `there is no kernel \`${word.text}\`${didYouMean(word.text, candidates)}`);
  }
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

/** Reports a word that is none of the candidates, with the nearest of them as a fix. */
function unknownWord(scope: Scope, code: string, word: Word, message: string, candidates: readonly string[], otherwise = ""): undefined {
  const near = nearest(word.text, candidates);
  const fix = near === undefined ? undefined : { title: `Write ${near}`, text: near };
  return scope.report(code, word, `${message}${near === undefined ? otherwise : `; did you mean \`${near}\`?`}`, undefined, fix);
}

function knownStep(scope: Scope, word: Word): boolean {
  if (!isStep(word.text)) {
    unknownWord(
      scope,
      "MEMFD2016",
      word,
      `there is no step \`${word.text}\``,
      steps.map((row) => row.name),
    );
    return false;
  }
  if (!isLaterStep(word.text) && isStepName(word.text)) return true;
  scope.report("MEMFD5006", word, `the step \`${word.text}\` is in the catalogue and not modelled yet`);
  return false;
}

/** A name that is no feature is meant as an operation where it, or what stands behind `=`, looks like one. */
function lowerEntry(scope: Scope, entry: VariantEntry): ProfileEdit | undefined {
  const { name, values } = entry;
  if (values.some((word) => word.text === "") || values.length === 0) return undefined;
  if (entry.without) {
    if (!knownOperation(scope, name)) return undefined;
    return knownStep(scope, values[0]) ? { kind: "without", operation: name.text, step: values[0].text, site: scope.site(entry) } : undefined;
  }
  if (feature(name.text) !== undefined) return lowerFeature(scope, entry);
  const isOperation = operation(name.text) !== undefined || name.text.includes(".") || values.length > 1 || isStep(values[0].text);
  if (!isOperation) {
    const names = features.map((row) => row.name as string);
    const candidates = [...names, ...operations.map((row) => row.name)];
    return unknownWord(scope, "MEMFD2015", name, `there is no feature \`${name.text}\``, candidates, `; there are ${names.join(", ")}`);
  }
  if (!knownOperation(scope, name)) return undefined;
  const good = values.filter((word) => knownStep(scope, word));
  return good.length < values.length ? undefined : { kind: "steps", operation: name.text, steps: values.map((word) => word.text), site: scope.site(entry) };
}

function lowerFeature(scope: Scope, entry: VariantEntry): ProfileEdit | undefined {
  const { name, values } = entry;
  const row = feature(name.text);
  const known = row?.values.map((value) => value.name) ?? [];
  if (values.length > 1) return scope.report("MEMFD2015", values[1], `a feature has one value; \`${name.text}\` is one of ${known.join(", ")}`);
  const value = values[0].text;
  if (known.includes(value)) return { kind: "feature", feature: name.text, value, site: scope.site(entry) };
  return unknownWord(scope, "MEMFD2015", values[0], `\`${name.text}\` is one of ${known.join(", ")}, not \`${value}\``, known);
}

function knownOperation(scope: Scope, word: Word): boolean {
  const { base } = scope.choice;
  const name = word.text;
  // Which operations a kernel has is known with its steps.
  const here = profile(base)?.modelled === true ? operationsOf(base) : operations.map((row) => row.name);
  if (here.includes(name)) return true;
  if (feature(name) !== undefined) scope.report("MEMFD2016", word, `\`${name}\` is a feature: it is set with \`${name} = …\``);
  else if (operation(name) !== undefined) scope.report("MEMFD2016", word, `\`${base}\` has no operation \`${name}\``);
  else unknownWord(scope, "MEMFD2016", word, `there is no operation \`${name}\``, here);
  return false;
}
