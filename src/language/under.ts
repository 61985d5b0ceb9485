// One scenario of a text that was analysed, read under another kernel than it names: each kernel by itself, so that a constant that one of them
// does not have says nothing about the others.

import type { Finding } from "../base/finding.ts";
import { profiles } from "../scenario/catalogue/index.ts";
import type { Program } from "../scenario/program.ts";
import type { Analysis } from "./index.ts";
import { MAINLINE, resolveKernel } from "./kernels.ts";
import { lowerUnit, placeFinding, splitKernel } from "./scenario.ts";
import { resolveSpan } from "./scope.ts";

export interface UnderKernel {
  readonly kernel: string;
  /** Absent where the scenario means nothing under this kernel, or the kernel is not modelled; `findings` say why. */
  readonly program?: Program;
  readonly findings: readonly Finding[];
}

export interface KnownKernels {
  /** Oldest first, then the variants that the text and its imports declare, in their order. */
  readonly modelled: readonly string[];
  readonly unmodelled: readonly string[];
}

/** What `all` means for a text. A name that stands for another row (`mainline`) is no kernel of its own; a variant is as modelled as its base. */
export function kernelsOf({ declarations }: Pick<Analysis, "declarations">): KnownKernels {
  const modelled: string[] = [];
  const unmodelled: string[] = [];
  for (const name of [...profiles.map((row) => row.name), ...declarations.variants.keys()]) {
    const resolved = name === MAINLINE ? undefined : resolveKernel(name, declarations);
    if (resolved === undefined || "error" in resolved) continue;
    (resolved.modelled ? modelled : unmodelled).push(name);
  }
  return { modelled, unmodelled };
}

export function underKernel(analysis: Analysis, scenario: string, kernel: string): UnderKernel {
  const unit = analysis.units.get(scenario);
  if (unit === undefined) return { kernel, findings: [] };
  const word = { text: kernel, from: unit.header.from, to: unit.header.to, source: unit.source };
  const lowered = lowerUnit({ ...unit, statements: splitKernel(unit).rest }, [word], analysis.declarations);
  const sources = new Map(analysis.sources).set("self", unit.source);
  const findings = lowered.findings.map((finding) => placeFinding(finding, sources));
  const [draft] = lowered.drafts;
  if (draft === undefined) return { kernel, findings };
  return { kernel, findings, program: { ...draft.program, sites: draft.sites.map((site) => resolveSpan(site, sources)) } };
}
