// What is known while a scenario is lowered under one kernel: names, actors, labels, sites, findings.

import type { Severity, Span } from "../base/finding.ts";
import type { Actor, ActorId, Call, CallId, Handle, HandleId, HandleKind, Operand, Process, ProfileChoice, Site } from "../scenario/program.ts";
import type { Range } from "./ast.ts";
import type { Declarations, Source } from "./declarations.ts";

/** A range in a declaration; `source` is the key of the declaration, which may move in its file. */
export interface RawSpan extends Range {
  readonly source: string;
}

export interface RawFinding {
  readonly code: string;
  readonly severity: Severity;
  readonly span: RawSpan;
  readonly message: string;
  readonly related?: readonly { readonly span: RawSpan; readonly message: string }[];
  readonly fix?: { readonly title: string; readonly text: string; readonly span: RawSpan };
}

const WARNINGS = new Set(["MEMFD5001", "MEMFD5003", "MEMFD5004", "MEMFD5005", "MEMFD5006"]);

export const severityOf = (code: string): Severity => (code === "MEMFD6004" ? "information" : WARNINGS.has(code) ? "warning" : "error");

/** Thrown when a scenario grows past its limit; the finding has been made. */
export class TooLarge extends Error {}

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface LabelEntry {
  readonly call: CallId;
  readonly site: Site;
}

export class Scope {
  readonly choice: ProfileChoice;
  readonly declarations: Declarations;
  /** A setup that no scenario uses is read for what is certain: names that a user of it would bind are not missed. */
  readonly lenient: boolean;
  readonly handles: Handle[] = [];
  readonly handleIds = new Map<string, HandleId>();
  readonly actors: Actor[] = [{ name: "vmm", kind: "vmm" }];
  readonly actorIds = new Map<string, ActorId>([["vmm", 0]]);
  /** The first is that of `vmm`. */
  readonly processes: Process[] = [{ name: "vmm" }];
  readonly processIds = new Map<string, number>([["vmm", 0]]);
  readonly calls: Mutable<Call>[] = [];
  readonly sites: RawSpan[] = [];
  readonly findings: RawFinding[] = [];
  readonly labels = new Map<string, LabelEntry>();
  /** `hole` → all of `hole[0]`, `hole[1]` … */
  readonly families = new Map<string, CallId[]>();
  readonly variables = new Map<string, bigint>();
  /** `[2]` inside the third round of a `repeat`, one part per level. */
  readonly rounds: string[] = [];
  /** Own constants that are folded already. */
  readonly constantValues = new Map<string, { readonly value: bigint | undefined }>();
  readonly usedSetups = new Set<string>();
  /** Settings of the `machine` blocks. */
  readonly machine: Record<string, bigint> = {};
  /** Points whose labels are looked up when all labels are known. */
  readonly pending: (() => void)[] = [];
  source: Source;
  /** While a damaged statement is read for the names that it binds. */
  muted = false;
  /** The `use` in the main file through which an imported setup is read. */
  anchor: RawSpan | undefined;
  readonly mainFile: string;

  constructor(source: Source, choice: ProfileChoice, declarations: Declarations, lenient: boolean) {
    this.source = source;
    this.mainFile = source.file;
    this.choice = choice;
    this.declarations = declarations;
    this.lenient = lenient;
  }

  span(range: Range): RawSpan {
    return { source: this.source.key, from: range.from, to: range.to };
  }

  site(range: Range): Site {
    this.sites.push(this.span(range));
    return this.sites.length - 1;
  }

  report(code: string, range: Range, message: string, related?: RawFinding["related"], fix?: { title: string; text: string }): undefined {
    if (this.muted) return undefined;
    const span = this.span(range);
    const severity = severityOf(code);
    if (this.anchor !== undefined && this.source.file !== this.mainFile) {
      this.findings.push({ code, severity, span: this.anchor, message: `${message} (in an imported setup)`, related: [{ span, message }] });
    } else this.findings.push({ code, severity, span, message, related, fix: fix === undefined ? undefined : { ...fix, span } });
    return undefined;
  }

  /** A name inside the present rounds, the innermost meaning first. */
  lookUp(name: string): HandleId | undefined {
    for (let depth = this.rounds.length; depth >= 0; depth--) {
      const id = this.handleIds.get(name + this.rounds.slice(0, depth).join(""));
      if (id !== undefined) return id;
    }
    return undefined;
  }

  get suffix(): string {
    return this.rounds.join("");
  }

  bind(name: string, kind: HandleKind, call: CallId, range: Range): HandleId {
    const id = this.handles.length;
    this.handles.push({ name, kind, call, site: this.site(range) });
    this.handleIds.set(name, id);
    return id;
  }

  actor(name: string, kind: Actor["kind"], handle?: HandleId, process = 0): ActorId {
    const known = this.actorIds.get(name);
    if (known !== undefined) return known;
    const id = this.actors.length;
    this.actors.push({ name, kind, ...(handle === undefined ? {} : { handle }), ...(process === 0 ? {} : { process }) });
    this.actorIds.set(name, id);
    return id;
  }

  process(name: string, call?: CallId): number {
    const id = this.processes.length;
    this.processes.push(call === undefined ? { name } : { name, call });
    this.processIds.set(name, id);
    return id;
  }

  kindOf(operand: Operand): HandleKind | undefined {
    return operand.kind === "handle" ? this.handles[operand.handle].kind : undefined;
  }
}

export const resolveSpan = (raw: RawSpan, sources: ReadonlyMap<string, Source>): Span => {
  const source = sources.get(raw.source);
  return { file: source?.file ?? "", from: raw.from + (source?.offset ?? 0), to: raw.to + (source?.offset ?? 0) };
};
