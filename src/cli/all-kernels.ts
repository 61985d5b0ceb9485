// `--kernel all`: every scenario of a file under every kernel that is modelled and every variant that the file declares, each read by itself, so that a
// constant which one kernel does not have leaves the others their answers.

import type { Finding } from "../base/finding.ts";
import type { Program } from "../scenario/program.ts";
import { type KernelRun, kernelsView } from "../view/kernels.ts";
import { kernelsText } from "../view/kernels-text.ts";
import type { Analysed } from "./environment.ts";
import type { Loaded, Run, Side } from "./loaded.ts";

export const ALL = "all";

interface AllKernels {
  readonly sides: readonly Side[];
  readonly programs: readonly Program[];
  /** What is wrong under kernels that the scenarios do not name themselves: told, but no error of the text. */
  readonly findings: readonly Finding[];
  readonly notRun: boolean;
}

export function underAll(analysed: Analysed): AllKernels {
  const { modelled, unmodelled } = analysed.kernels;
  const sides = analysed.outline.map(
    ({ name, kernels, header }): Side => ({ name, header, own: kernels, unmodelled, read: modelled.map((kernel) => analysed.under(name, kernel)) }),
  );
  const read = sides.flatMap((side) => side.read);
  const findings = read
    .flatMap((each) => each.findings)
    .map((finding): Finding => (finding.severity === "error" ? { ...finding, severity: "warning" } : finding));
  return { sides, programs: read.flatMap((each) => each.program ?? []), findings, notRun: read.some((each) => each.program === undefined) };
}

/** The scenarios of a file one after the other, each as a table of kernels in 80 columns. */
export function sideBySide(loaded: Loaded, sides: readonly Side[], runs: readonly Run[]): string {
  const reports = new Map(runs.map((run) => [run.program, run.report]));
  return sides.map((side) => `${kernelsText(viewOf(loaded, side, reports))}\n`).join("");
}

function viewOf(loaded: Loaded, side: Side, reports: ReadonlyMap<Program, Run["report"]>): ReturnType<typeof kernelsView> {
  const runs = side.read.map(({ kernel, program, findings }): KernelRun => {
    const notes = findings.map((finding) => ({ ...loaded.placeOf(finding.span), message: finding.message }));
    const report = program && reports.get(program);
    return program === undefined || report === undefined
      ? { kernel, notes, reason: "it cannot be read under this kernel" }
      : { kernel, notes, program, report };
  });
  return kernelsView(runs, {
    scenario: side.name,
    at: loaded.placeOf(side.header),
    unmodelled: side.unmodelled,
    own: side.own,
    placeOf: (run, site) => loaded.placeOf((runs[run].program as Program).sites[site]),
  });
}
