// The server's own requests and notifications, beside those of LSP: names and plain data, without any editor's types, so that every client can speak it.

import type { Verdict } from "../check/report.ts";
import type { KernelsView } from "../view/kernels.ts";
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
  /** Of a run that is still `running`: why it will not finish, once that is plain. */
  readonly forecast?: string;
}

export interface RunResult {
  readonly verdicts: readonly ScenarioVerdict[];
}

export interface TraceParams extends ScenarioSelector {
  /** A schedule of `TraceView.schedule`'s form; without it the story of the first violation, else of the run. */
  readonly schedule?: string;
  /** `kernel` may be one that the scenario does not name itself: any that is modelled, any variant of the file. */
  readonly anyKernel?: boolean;
}

/** A refusal is an answer: it says why there is nothing to show. */
export interface TraceResult {
  readonly trace?: TraceView;
  readonly refusal?: string;
}

/** What `memfd trace` prints for the scenario; `memfd/story` takes `TraceParams`. */
export interface StoryResult {
  readonly text?: string;
  readonly scenario?: string;
  readonly kernel?: string;
  readonly refusal?: string;
}

export interface KernelsParams extends ScenarioSelector {
  /** Runs that were stopped or hit a limit are begun anew. */
  readonly again?: boolean;
}

export interface KernelsResult {
  readonly kernels?: KernelsView;
  readonly refusal?: string;
}

/** While `memfd/kernels` waits: so many of the runs are done. */
export interface KernelsProgressParams {
  readonly uri: string;
  readonly scenario: string;
  readonly done: number;
  readonly of: number;
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

/** How a run stands that takes a while; sent about ten times a second until the status says that it does not run any more. */
export interface ProgressParams {
  readonly uri: string;
  readonly scenario: string;
  readonly kernel: string;
  /** States found, and those of them that are still to be expanded. */
  readonly states: number;
  readonly frontier: number;
  /** Distance of the states that are expanded now from the initial one. */
  readonly depth: number;
  /** States found per second, of late. */
  readonly rate: number;
  readonly milliseconds: number;
}

/** A change that makes go away what breaks in a scenario, verified by a full run. */
export interface SuggestedChange {
  readonly kind: "order" | "steps" | "feature" | "steps+feature";
  readonly title: string;
  /** Text to paste: `order` lines, or the declaration of a kernel. */
  readonly text: string;
  readonly meaning: string;
  /** What no longer breaks, and what still does. */
  readonly removes: readonly string[];
  readonly remains: readonly string[];
  readonly states: number;
  /** By document; absent where the text cannot be changed so by itself. */
  readonly edits?: Readonly<Record<string, readonly { readonly range: { readonly start: Place; readonly end: Place }; readonly newText: string }[]>>;
}

/** A refusal is an answer: it says why nothing was looked for. */
export type SuggestResult =
  | { readonly refusal: string }
  | {
      readonly scenario: string;
      readonly kernel: string;
      /** The document version that the edits fit. */
      readonly version: number;
      readonly changes: readonly SuggestedChange[];
      readonly notes: readonly string[];
      /** All of it in 80 columns, with what was refused and why. */
      readonly text: string;
    };

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

export interface EmitCParams extends ScenarioSelector {
  /** A schedule of `TraceView.schedule`'s form, for the threads of a `parallel`; without it the report's. */
  readonly schedule?: string;
}

export interface EmitCResult {
  readonly text?: string;
  readonly refusal?: string;
}

export interface ImportParams {
  /** What strace, trace-cmd or the kernel's trace file printed. */
  readonly text: string;
  /** There was more than was sent. */
  readonly cut?: boolean;
  /** Of the scenario; without it `mainline`, and the program's name. */
  readonly kernel?: string;
  readonly scenario?: string;
}

export interface ImportResult {
  /** The scenario, as a file. */
  readonly text?: string;
  readonly statements?: number;
  readonly refusal?: string;
}

/** A line on which this machine's kernel and the model do not agree; lines and characters from 0. */
export interface MachineDifference {
  readonly uri: string;
  readonly start: Place;
  readonly end: Place;
  /** A known deviation is information, another difference a warning. */
  readonly known: boolean;
  readonly message: string;
}

export interface CompareMachineResult {
  readonly refusal?: string;
  /** What the comparison can mean, and how it came out: sentences. */
  readonly heading?: string;
  readonly summary?: string;
  /** The document version that it speaks of. */
  readonly version?: number;
  readonly differences?: readonly MachineDifference[];
}

/** Method name → [parameters, result]; client → server but for `memfd/readFile`. */
export interface Requests {
  readonly "memfd/run": [ScenarioSelector, RunResult];
  readonly "memfd/trace": [TraceParams, TraceResult];
  readonly "memfd/story": [TraceParams, StoryResult];
  readonly "memfd/kernels": [KernelsParams, KernelsResult];
  readonly "memfd/suggest": [ScenarioSelector, SuggestResult];
  readonly "memfd/emitC": [EmitCParams, EmitCResult];
  readonly "memfd/import": [ImportParams, ImportResult];
  readonly "memfd/compareMachine": [ScenarioSelector, CompareMachineResult];
  readonly "memfd/stop": [StopParams, null];
  readonly "memfd/explain": [ExplainParams, ExplainResult];
  readonly "memfd/readFile": [ReadFileParams, ReadFileResult];
}

export const RUN = "memfd/run";
export const TRACE = "memfd/trace";
export const STORY = "memfd/story";
export const KERNELS = "memfd/kernels";
export const SUGGEST = "memfd/suggest";
export const EMIT_C = "memfd/emitC";
export const IMPORT = "memfd/import";
/** Builds and runs a program: only at a user's word, and only where the server is a process of this machine. */
export const COMPARE_MACHINE = "memfd/compareMachine";
export const STOP = "memfd/stop";
export const EXPLAIN = "memfd/explain";
export const READ_FILE = "memfd/readFile";
/** Notification, server → client. */
export const STATUS = "memfd/status";
/** Notification, server → client. */
export const PROGRESS = "memfd/progress";

/** Notification, server → client. */
export const KERNELS_PROGRESS = "memfd/kernelsProgress";

/** Commands of the client that code lenses and code actions name. */
export const RUN_COMMAND = "memfd.runScenario";
export const SHOW_COMMAND = "memfd.showPageTables";
export const COPY_STORY_COMMAND = "memfd.copyStory";
export const SUGGEST_COMMAND = "memfd.suggestOrder";
export const EXPORT_C_COMMAND = "memfd.exportC";
export const IMPORT_COMMAND = "memfd.importTrace";
export const COMPARE_MACHINE_COMMAND = "memfd.compareMachine";
export const COMPARE_KERNELS_COMMAND = "memfd.compareKernels";
/** What the server carries out itself (`workspace/executeCommand`) for clients without commands of their own. */
export const SERVER_RUN_COMMAND = "memfd.server.run";
