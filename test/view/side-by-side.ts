// From a text to its comparison of kernels, without a server: what the tests of the view, the panel and the goldens of its text share.

import { type CheckOptions, check } from "../../src/check/index.ts";
import { analyse } from "../../src/language/index.ts";
import { kernelsOf, underKernel } from "../../src/language/under.ts";
import type { Program } from "../../src/scenario/program.ts";
import { type KernelRun, type KernelsView, kernelsView } from "../../src/view/kernels.ts";

/** `kernels`: only these; all that are modelled and the variants of the file where it is left out. */
export function sideBySide(file: string, text: string, scenario?: string, options: Partial<CheckOptions> = {}, kernels?: readonly string[]): KernelsView {
  const analysis = analyse(file, text, { imports: () => undefined });
  const entry = analysis.outline.find((one) => scenario === undefined || one.name === scenario);
  if (entry === undefined) throw new Error(`no scenario ${scenario} in ${file}`);
  const place = (span: { file: string; from: number }) => ({ file: span.file, line: text.slice(0, span.from).split("\n").length });
  const { modelled, unmodelled } = kernelsOf(analysis);
  const runs = modelled
    .filter((kernel) => kernels === undefined || kernels.includes(kernel))
    .map((kernel): KernelRun => {
      const { program, findings } = underKernel(analysis, entry.name, kernel);
      const notes = findings.map((finding) => ({ ...place(finding.span), message: finding.message }));
      if (program === undefined) return { kernel, notes, reason: "it cannot be read under this kernel" };
      return { kernel, notes, program, report: check(program, { now: () => 0, ...options }) };
    });
  return kernelsView(runs, {
    scenario: entry.name,
    at: place(entry.header),
    unmodelled,
    own: entry.kernels,
    placeOf: (run, site) => place((runs[run].program as Program).sites[site]),
  });
}
