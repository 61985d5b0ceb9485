// What the command line keeps of a file and of each run: findings with lines and columns, programs, reports.

import type { Finding, Severity, Span } from "../base/finding.ts";
import type { Report } from "../check/report.ts";
import type { Suggestions } from "../check/suggest/index.ts";
import type { Program, Site } from "../scenario/program.ts";
import type { Place } from "../view/results.ts";

/** A finding as people and tools read it: lines and columns from 1, the end behind the last character. */
export interface PlacedFinding {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
  readonly severity: Severity;
  readonly code: string;
  readonly message: string;
  readonly related: readonly { readonly file: string; readonly line: number; readonly column: number; readonly message: string }[];
}

export interface Loaded {
  readonly file: string;
  readonly programs: readonly Program[];
  readonly findings: readonly PlacedFinding[];
  /** Some scenario has no program for some kernel that it names: it is not modelled, or the text has an error. */
  readonly notRun: boolean;
  /** Under `--kernel all`: the scenarios with what became of each under every kernel, and what is said of the text as it stands. */
  readonly all?: { readonly sides: readonly Side[]; readonly findings: readonly PlacedFinding[] };
  readonly placeOf: (span: Span) => Place;
  readonly siteOf: (program: Program) => (site: Site) => Place;
  readonly placed: (finding: Finding) => PlacedFinding;
}

export interface Run {
  readonly program: Program;
  readonly report: Report;
  readonly findings: readonly PlacedFinding[];
  /** Under `--suggest`, where something breaks. */
  readonly suggestions?: Suggestions;
}

/** One scenario under one kernel; without a program it has no meaning there, and the findings say why. */
interface Read {
  readonly kernel: string;
  readonly program?: Program;
  readonly findings: readonly Finding[];
}

/** A scenario with what became of it under every kernel. */
export interface Side {
  readonly name: string;
  readonly header: Finding["span"];
  /** The kernels that it names itself. */
  readonly own: readonly string[];
  readonly unmodelled: readonly string[];
  readonly read: readonly Read[];
}
