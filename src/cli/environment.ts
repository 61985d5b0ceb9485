// What a command needs from the outside: files, two streams, a clock and the engine. main.ts gives the real ones, tests their own.

import type { Finding, Span } from "../base/finding.ts";
import type { Forecast } from "../check/forecast.ts";
import type { Report } from "../check/report.ts";
import type { Suggestions } from "../check/suggest/index.ts";
import type { Progress } from "../explore/system.ts";
import type { Machine } from "../export/c/machine.ts";
import type { SyntaxTree } from "../language/kernel-choices.ts";
import type { Program } from "../scenario/program.ts";
import type { Place } from "../view/results.ts";
import type { TraceView } from "../view/rows.ts";

/** Exit statuses of `check`; the other commands use 0 and 2 of them. `interrupted`: as shells say it, 128 and the number of SIGINT. */
export const EXIT = { pass: 0, fail: 1, input: 2, incomplete: 3, interrupted: 130 } as const;
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

export type ReadResult = { readonly ok: true; readonly text: string; readonly validUtf8: boolean } | { readonly ok: false; readonly reason: string };

export interface Files {
  /** `directory`, `file`, or why it is neither. */
  kind(path: string): "directory" | "file" | { readonly reason: string };
  read(path: string): ReadResult;
  /** A text of any size, piece by piece; absent where there are only files that `read` takes. */
  pieces?(path: string): { readonly ok: true; readonly pieces: Iterable<string> } | { readonly ok: false; readonly reason: string };
  /** Names of the entries, sorted. */
  list(path: string): readonly { readonly name: string; readonly directory: boolean }[];
  /** Replaces the text as a whole or not at all. Returns why it failed. */
  replace(path: string, text: string): string | undefined;
  /** The path that names the same file however it was reached. */
  real(path: string): string;
}

/** A scenario that the text asks for, with the kernels that it names. */
export interface Outline {
  readonly name: string;
  readonly header: Span;
  readonly kernels: readonly string[];
}

export interface Analysed {
  readonly findings: readonly Finding[];
  readonly programs: readonly Program[];
  readonly outline: readonly Outline[];
  /** The syntax tree, for `--kernel`. */
  readonly tree?: SyntaxTree;
  /** What `--kernel all` means for this text. */
  readonly kernels: { readonly modelled: readonly string[]; readonly unmodelled: readonly string[] };
  /** One scenario under one of these. */
  under(scenario: string, kernel: string): { readonly kernel: string; readonly program?: Program; readonly findings: readonly Finding[] };
}

export type Imports = (path: string, from: string) => { file: string; text: string } | undefined;

/** How a run stands that is not done yet. */
export interface Live {
  readonly progress: Progress;
  /** States found per second, of late. */
  readonly rate: number;
  readonly forecast?: Forecast;
}

export interface Limits {
  readonly maxStates?: number;
  readonly maxMilliseconds?: number;
  readonly now: () => number;
  /** Told about ten times a second how far a run has come that takes a while. */
  readonly progress?: (live: Live) => void;
  /** Aborted: the run ends, and answers what it has found. */
  readonly signal?: AbortSignal;
}

export interface Engine {
  analyse(file: string, text: string, options: { imports: Imports }): Analysed;
  /** Several may run at once; they are answered in any order. Rejects where the model breaks. */
  check(program: Program, limits: Limits): Report | Promise<Report>;
  locate(program: Program, report: Report): readonly Finding[];
  trace(program: Program, report: Report, options: { schedule?: string; lineOf(span: Span): Place }): TraceView;
  format(text: string): string;
  /** Changes that make go away what breaks; one search after the other. Absent where nobody asks for them. */
  suggest?(program: Program, report: Report, limits: Limits): Promise<Suggestions>;
}

export interface Environment {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  readonly now: () => number;
  readonly files: Files;
  readonly engine: Engine;
  /** The kernel that `compare` runs scenarios on; absent where none is to be touched. */
  readonly machine?: Machine;
  /** Rewrites one line on the terminal behind standard error, an empty text takes it away; absent where that is no terminal. */
  readonly status?: (line: string) => void;
  /** Aborted by Ctrl+C: what runs is stopped, and what is known is printed. */
  readonly interrupt?: AbortSignal;
}
