// What a command needs from the outside: files, two streams, a clock and the engine. main.ts gives the real ones, tests their own.

import type { Finding, Span } from "../base/finding.ts";
import type { Report } from "../check/report.ts";
import type { Program } from "../scenario/program.ts";
import type { Place } from "../view/results.ts";
import type { TraceView } from "../view/rows.ts";

/** Exit statuses of `check`; the other commands use 0 and 2 of them. */
export const EXIT = { pass: 0, fail: 1, input: 2, incomplete: 3 } as const;
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

export type ReadResult = { readonly ok: true; readonly text: string; readonly validUtf8: boolean } | { readonly ok: false; readonly reason: string };

export interface Files {
  /** `directory`, `file`, or why it is neither. */
  kind(path: string): "directory" | "file" | { readonly reason: string };
  read(path: string): ReadResult;
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
  readonly kernels: readonly string[];
}

export interface Analysed {
  readonly findings: readonly Finding[];
  readonly programs: readonly Program[];
  readonly outline: readonly Outline[];
  /** The syntax tree, for `--kernel`. */
  readonly tree?: SyntaxTree;
}

/** The part of a Lezer tree that `--kernel` walks. */
export interface SyntaxTree {
  readonly topNode: SyntaxNode;
}

export interface SyntaxNode {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly firstChild: SyntaxNode | null;
  readonly nextSibling: SyntaxNode | null;
}

export type Imports = (path: string, from: string) => { file: string; text: string } | undefined;

export interface Limits {
  readonly maxStates?: number;
  readonly maxMilliseconds?: number;
  readonly now: () => number;
}

export interface Engine {
  analyse(file: string, text: string, options: { imports: Imports }): Analysed;
  check(program: Program, limits: Limits): Report;
  locate(program: Program, report: Report): readonly Finding[];
  trace(program: Program, report: Report, options: { schedule?: string; lineOf(span: Span): Place }): TraceView;
  format(text: string): string;
}

export interface Environment {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  readonly now: () => number;
  readonly files: Files;
  readonly engine: Engine;
}
