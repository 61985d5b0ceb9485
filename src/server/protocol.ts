// The server's own requests and notifications, beside those of LSP: names and plain data, without any editor's types, so that every client can speak it.

import type { Verdict } from "../check/report.ts";
import type { TraceView } from "../view/rows.ts";

/** `initializationOptions`. A client that sends nothing gets the defaults and commands that the server itself carries out. */
export interface InitializationOptions {
  /** The client has the commands `memfd.runScenario` and `memfd.showPageTables`; code lenses then name them. */
  readonly clientCommands?: boolean;
  /** The client shows documents of this scheme (`SCHEME:/MEMFD2001.md`), text from `memfd/explain`; diagnostics then link to it. */
  readonly helpScheme?: string;
  /** The client answers `memfd/readFile`; used where the server cannot read files itself (web worker, virtual workspaces). */
  readonly readFile?: boolean;
  /** Used until the client answers `workspace/configuration`, and for good where it cannot. */
  readonly settings?: Partial<Settings>;
}

/** The section `memfd` of the configuration. */
export interface Settings {
  /** When scenarios run by themselves. */
  readonly run: "onType" | "onSave" | "manual";
  /** States per scenario and kernel, then the run is incomplete. */
  readonly maxStates: number;
  /** Seconds per scenario and kernel, then the run is incomplete. */
  readonly timeout: number;
}

export const DEFAULT_SETTINGS: Settings = { run: "onType", maxStates: 5_000_000, timeout: 10 };

/** A place in a document, lines and UTF-16 characters from 0, as in LSP. */
export interface Place {
  readonly line: number;
  readonly character: number;
}

/** Which scenario: by name, else the one around `position`, else all of the file. `kernel` picks one of its kernels. */
export interface ScenarioSelector {
  readonly uri: string;
  readonly scenario?: string;
  readonly kernel?: string;
  readonly position?: Place;
}

/** `notRun`: its text has errors, or nobody asked for a run yet, or it waits. */
export type ScenarioState = Verdict | "running" | "notRun";

export interface ScenarioVerdict {
  readonly scenario: string;
  readonly kernel: string;
  readonly state: ScenarioState;
  /** Line of its header, from 0. */
  readonly line: number;
  /** States explored, where it ran. */
  readonly states?: number;
  /** Why it is `incomplete` or `notRun`. */
  readonly reason?: string;
}

export interface RunResult {
  readonly verdicts: readonly ScenarioVerdict[];
}

export interface TraceParams extends ScenarioSelector {
  /** A schedule of `TraceView.schedule`'s form; without it the story of the first violation, else of the run. */
  readonly schedule?: string;
}

/** A refusal is an answer: it says why there is nothing to show. */
export interface TraceResult {
  readonly trace?: TraceView;
  readonly refusal?: string;
}

/** Sent after each change of any of it; once with no scenarios when the document is closed. */
export interface StatusParams {
  readonly uri: string;
  /** The document version that it speaks of. */
  readonly version: number;
  readonly running: boolean;
  readonly pass: number;
  readonly fail: number;
  readonly incomplete: number;
  readonly notRun: number;
  readonly scenarios: readonly ScenarioVerdict[];
}

export interface StopParams {
  /** Without it every run of the server stops. */
  readonly uri?: string;
}

export interface ExplainParams {
  readonly code: string;
}

export interface ExplainResult {
  readonly markdown: string;
}

export interface ReadFileParams {
  readonly uri: string;
}

export interface ReadFileResult {
  /** Absent where the file cannot be read. */
  readonly text?: string;
}

/** Method name → [parameters, result]; client → server but for `memfd/readFile`. */
export interface Requests {
  readonly "memfd/run": [ScenarioSelector, RunResult];
  readonly "memfd/trace": [TraceParams, TraceResult];
  readonly "memfd/stop": [StopParams, null];
  readonly "memfd/explain": [ExplainParams, ExplainResult];
  readonly "memfd/readFile": [ReadFileParams, ReadFileResult];
}

export const RUN = "memfd/run";
export const TRACE = "memfd/trace";
export const STOP = "memfd/stop";
export const EXPLAIN = "memfd/explain";
export const READ_FILE = "memfd/readFile";
/** Notification, server → client. */
export const STATUS = "memfd/status";

/** Commands of the client that code lenses and code actions name. */
export const RUN_COMMAND = "memfd.runScenario";
export const SHOW_COMMAND = "memfd.showPageTables";
/** What the server carries out itself (`workspace/executeCommand`) for clients without commands of their own. */
export const SERVER_RUN_COMMAND = "memfd.server.run";
