// The open documents: their text's analysis, kept from keystroke to keystroke, and which of their Programs shall run.

import type { TextDocument } from "vscode-languageserver-textdocument";
import { type Analysis, analyse } from "../language/index.ts";
import type { Program } from "../scenario/program.ts";
import { DEFAULT_SETTINGS, type Settings } from "./protocol.ts";
import { type Limits, type Runner, type Wanted, wanted } from "./runner.ts";
import { canonicalUri, type Texts } from "./texts.ts";

export interface ProgramRun {
  readonly program: Program;
  readonly job: Wanted;
}

/** A document at one version, analysed. */
export interface Snapshot {
  readonly uri: string;
  readonly version: number;
  readonly document: TextDocument;
  readonly analysis: Analysis;
  readonly runs: readonly ProgramRun[];
}

interface Open {
  readonly document: TextDocument;
  settings: Settings;
  /** Its own settings are known; nothing runs before. */
  configured: boolean;
  snapshot?: Snapshot;
  /** An import changed: the text is the same, its meaning may not be. */
  stale: boolean;
  /** Every file that the last analysis asked for. */
  imports: Set<string>;
  /** Keys that run although the settings do not run everything: asked for by a command or by saving. */
  asked: Set<string>;
}

export class Documents {
  readonly #open = new Map<string, Open>();
  readonly #texts: Texts;
  readonly #runner: Runner;

  constructor(texts: Texts, runner: Runner) {
    this.#texts = texts;
    this.#runner = runner;
  }

  get uris(): readonly string[] {
    return [...this.#open.values()].map((open) => open.document.uri);
  }

  has(uri: string): boolean {
    return this.#open.has(canonicalUri(uri));
  }

  /** A document that was opened; later versions are read from the same object. */
  open(document: TextDocument): void {
    this.#open.set(canonicalUri(document.uri), { document, settings: DEFAULT_SETTINGS, configured: false, stale: false, imports: new Set(), asked: new Set() });
  }

  document(uri: string): TextDocument | undefined {
    return this.#open.get(canonicalUri(uri))?.document;
  }

  close(uri: string): void {
    this.#open.delete(canonicalUri(uri));
    this.#runner.want(uri, []);
  }

  /** True when that changes anything. */
  configure(uri: string, settings: Settings): boolean {
    const open = this.#open.get(canonicalUri(uri));
    if (open === undefined) return false;
    open.configured = true;
    if (sameSettings(open.settings, settings)) return false;
    open.settings = settings;
    if (open.snapshot !== undefined) open.snapshot = { ...open.snapshot, runs: runsOf(open.snapshot.analysis, settings) };
    return true;
  }

  /** What one run of this document may take. */
  limits(uri: string): Limits {
    return limitsOf(this.#open.get(canonicalUri(uri))?.settings ?? DEFAULT_SETTINGS);
  }

  /** Open documents whose meaning depends on the text of `uri`. */
  importersOf(uri: string): readonly string[] {
    const key = canonicalUri(uri);
    return [...this.#open.values()].filter((open) => open.imports.has(key)).map((open) => open.document.uri);
  }

  invalidate(uri: string): void {
    const open = this.#open.get(canonicalUri(uri));
    if (open !== undefined) open.stale = true;
  }

  /** The analysis of the text as it stands; made first where the last one is older. */
  snapshot(uri: string): Snapshot | undefined {
    const open = this.#open.get(canonicalUri(uri));
    if (open === undefined) return undefined;
    const { document, snapshot } = open;
    if (snapshot !== undefined && snapshot.version === document.version && !open.stale) return snapshot;
    const imported = new Set<string>();
    const imports = this.#texts.importer((asked) => imported.add(canonicalUri(asked)));
    const analysis = analyse(document.uri, document.getText(), { imports, previous: snapshot?.analysis, made: this.#ahead(open) });
    open.stale = false;
    open.imports = imported;
    open.snapshot = { uri: document.uri, version: document.version, document, analysis, runs: runsOf(analysis, open.settings) };
    return open.snapshot;
  }

  /** The first scenario of a document that was just opened runs while the rest of it is read. */
  #ahead({ document, settings, configured, snapshot }: Open): ((program: Program) => void) | undefined {
    if (!configured || settings.run !== "onType" || snapshot !== undefined) return undefined;
    let first = true;
    return (program) => {
      if (first) this.#runner.want(document.uri, [wanted(program, limitsOf(settings))]);
      first = false;
    };
  }

  /** The last analysis, whatever became of the text since. */
  peek(uri: string): Snapshot | undefined {
    return this.#open.get(canonicalUri(uri))?.snapshot;
  }

  /** Adds to what runs whatever the settings say. */
  ask(uri: string, keys: Iterable<string>): void {
    const open = this.#open.get(canonicalUri(uri));
    if (open !== undefined) for (const key of keys) open.asked.add(key);
  }

  /** Tells the runner what this document wants now; cancels what it wanted before and no longer does. */
  schedule(uri: string, saved = false): void {
    const open = this.#open.get(canonicalUri(uri));
    const snapshot = this.snapshot(uri);
    if (open === undefined || snapshot === undefined) return;
    if (saved && open.settings.run === "onSave") for (const run of snapshot.runs) open.asked.add(run.job.key);
    const present = new Set(snapshot.runs.map((run) => run.job.key));
    for (const key of open.asked) if (!present.has(key)) open.asked.delete(key);
    const all = open.settings.run === "onType";
    const jobs = snapshot.runs.map((run) => run.job);
    this.#runner.want(open.document.uri, all ? jobs : jobs.filter((job) => open.asked.has(job.key)));
  }
}

function runsOf(analysis: Analysis, settings: Settings): readonly ProgramRun[] {
  const limits = limitsOf(settings);
  return analysis.programs.map((program) => ({ program, job: wanted(program, limits) }));
}

const limitsOf = (settings: Settings): Limits => ({ maxStates: settings.maxStates, maxMilliseconds: settings.timeout * 1000 });

function sameSettings(one: Settings, other: Settings): boolean {
  return one.run === other.run && one.maxStates === other.maxStates && one.timeout === other.timeout;
}

/** Settings as a client sent them: unknown or impossible values fall back to the default of that setting alone. */
export function readSettings(value: unknown): Settings {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const number = (name: "maxStates" | "timeout", least: number, most: number): number => {
    const candidate = given[name];
    return typeof candidate === "number" && Number.isFinite(candidate) ? Math.min(Math.max(candidate, least), most) : DEFAULT_SETTINGS[name];
  };
  const run = given.run === "onType" || given.run === "onSave" || given.run === "manual" ? given.run : DEFAULT_SETTINGS.run;
  return { run, maxStates: Math.floor(number("maxStates", 1000, 200_000_000)), timeout: number("timeout", 0.1, 3600) };
}
