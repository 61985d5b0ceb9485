// The language service's core: a text with its imports → findings, Programs and an outline. Pure; an earlier answer makes the next one quick.

import type { Tree } from "@lezer/common";
import { fileName } from "../base/file-name.ts";
import type { Finding, Span } from "../base/finding.ts";
import type { Program } from "../scenario/program.ts";
import type { Complaint, Item, Word } from "./ast.ts";
import { Collector, type Declarations, isConstant, type Source } from "./declarations.ts";
import { resolveKernel } from "./kernels.ts";
import { type ParsedFile, type ParsedItem, parseFile, refuse } from "./parse.ts";
import { type KernelWord, type KnownName, type Lowered, lowerUnit, placeFinding, type Unit } from "./scenario.ts";
import { resolveSpan, severityOf } from "./scope.ts";

export interface OutlineEntry {
  readonly name: string;
  /** The whole scenario. */
  readonly span: Span;
  readonly header: Span;
  readonly kernels: readonly string[];
  /** It has errors: what is read is shown, and it is not run. */
  readonly broken: boolean;
  /** Bound names, actors and labels, for completion. */
  readonly names: readonly KnownName[];
}

export interface Analysis {
  readonly file: string;
  readonly text: string;
  readonly findings: readonly Finding[];
  /** One per scenario and kernel that can be run. */
  readonly programs: readonly Program[];
  readonly outline: readonly OutlineEntry[];
  readonly declarations: Declarations;
  readonly tree: Tree | undefined;
  readonly parsed: ParsedFile | undefined;
  /** For the next edit. */
  readonly cache: ReadonlyMap<Item, Cached>;
  readonly importCache: ReadonlyMap<string, ParsedFile>;
  /** Scenarios as they are lowered, by name, and the declarations that their spans count from: what under.ts reads under other kernels. */
  readonly units: ReadonlyMap<string, Unit>;
  readonly sources: ReadonlyMap<string, Source>;
}

export interface Options {
  imports(path: string, from: string): { file: string; text: string } | undefined;
  readonly previous?: Analysis;
  /** Told each Program as soon as it is there, before the rest of the file is read. */
  made?(program: Program): void;
}

interface Cached {
  readonly lowered: Lowered;
  /** The kernel chosen above it, and the constants, variants and names of setups of the file. */
  readonly kernel: string;
  readonly shared: string;
  /** Texts of the setups that it uses. */
  readonly setups: readonly (readonly [string, string])[];
  /** Offsets for which `programs` and `findings` were placed. */
  readonly offsets: string;
  readonly programs: readonly Program[];
  readonly findings: readonly Finding[];
}

export const MAX_FINDINGS = 200;

const NO_DECLARATIONS: Declarations = { setups: new Map(), constants: new Map(), variants: new Map() };

export function analyse(file: string, text: string, options: Options): Analysis {
  const refused = refuse(text);
  const empty = {
    file,
    text,
    programs: [],
    outline: [],
    declarations: NO_DECLARATIONS,
    tree: undefined,
    parsed: undefined,
    cache: new Map(),
    importCache: new Map(),
    units: new Map(),
    sources: new Map(),
  };
  if (refused !== undefined) return { ...empty, findings: [placed(file, refused, 0)] };
  return new Analyser(file, text, options).run();
}

const placed = (file: string, complaint: Complaint, offset: number): Finding => {
  const span = { file, from: complaint.from + offset, to: complaint.to + offset };
  const base: Finding = { code: complaint.code, severity: severityOf(complaint.code), span, message: complaint.message };
  if (complaint.replacement === undefined) return base;
  return { ...base, fixes: [{ title: complaint.replacement.title, edits: [{ span, text: complaint.replacement.text }] }] };
};

/** `a/b/window.memfd` → `window`. */
const bareName = (file: string): string => fileName(file).replace(/\.memfd$/, "") || "scenario";

class Analyser {
  readonly file: string;
  readonly text: string;
  readonly previous: Analysis | undefined;
  readonly made: Options["made"];
  readonly collector: Collector;
  readonly findings: Finding[] = [];
  readonly programs: Program[] = [];
  readonly outline: OutlineEntry[] = [];
  readonly cache = new Map<Item, Cached>();
  readonly importCache = new Map<string, ParsedFile>();
  readonly used = new Set<string>();
  readonly sources = new Map<string, Source>();
  readonly units = new Map<string, Unit>();
  parsed: ParsedFile;
  private shared = "";

  constructor(file: string, text: string, options: Options) {
    this.file = file;
    this.text = text;
    this.previous = options.previous;
    this.made = options.made;
    this.parsed = parseFile(file, text, options.previous?.parsed);
    this.collector = new Collector({ imports: (path, from) => options.imports(path, from), parse: (name, source) => this.parseImport(name, source) });
  }

  private parseImport(file: string, text: string): ParsedFile | undefined {
    if (refuse(text) !== undefined) return undefined;
    const parsed = parseFile(file, text, this.previous?.importCache.get(file));
    this.importCache.set(file, parsed);
    return parsed;
  }

  run(): Analysis {
    this.collector.collect(this.parsed);
    const { declarations } = this.collector;
    for (const complaint of this.collector.complaints) {
      const base = placed(this.file, complaint, 0);
      const { related } = complaint;
      this.findings.push(related === undefined ? base : { ...base, related: [{ span: related, message: related.message }] });
    }
    for (const { item, offset } of this.parsed.items) for (const complaint of item.complaints) this.findings.push(placed(this.file, complaint, offset));
    for (const map of [declarations.setups, declarations.constants, declarations.variants])
      for (const source of map.values()) this.sources.set(source.key, source);
    this.shared = [...declarations.constants.values(), ...declarations.variants.values()].map((d) => `${d.key}\n${d.text}`).join("\n");
    this.shared += `\n${[...declarations.setups.keys()].join(" ")}`;
    // The same text as before becomes the same object, so that comparing it costs nothing.
    for (const cached of this.previous?.cache.values() ?? []) {
      if (cached.shared === this.shared) this.shared = cached.shared;
      break;
    }
    const bare = this.walk();
    this.bare(bare);
    this.unusedSetups();
    this.unusedDeclarations();
    const { file, text, programs, outline, cache, importCache, parsed, units, sources } = this;
    const findings = limited(this.findings, file);
    return { file, text, findings, programs, outline, declarations, tree: parsed.tree, parsed, cache, importCache, units, sources };
  }

  private kernel: readonly KernelWord[] = [];
  /** `machine` blocks before the first scenario: each scenario begins with them. */
  private readonly machine: Unit["statements"][number][] = [];

  /** Scenarios in order, each under the kernel chosen above it. Returns the bare statements. */
  private walk(): ParsedItem[] {
    const names = new Map<string, ParsedItem>();
    const bare: ParsedItem[] = [];
    const hasScenario = this.parsed.items.some(({ item }) => item.kind === "scenario");
    for (const parsed of this.parsed.items) {
      const { item, offset } = parsed;
      if (item.kind === "scenario") this.scenario(parsed, item, names);
      else if (item.kind === "statement" && item.statement.kind === "kernel" && item.statement.base === undefined && item.statement.prefixes.length === 0) {
        if (bare.length > 0 && !hasScenario) this.complain("MEMFD2017", item.statement.header, offset, "`kernel` stands before the first statement");
        else this.choose(parsed, item.statement.names);
      } else if (item.kind === "statement" && !isConstant(item) && !this.isVariant(item)) {
        if (item.statement.kind === "broken") {
          if (!hasScenario) bare.push(parsed);
        } else if (item.statement.kind === "machine" && hasScenario && names.size === 0 && item.statement.prefixes.length === 0) {
          this.machine.push({ statement: item.statement, source: this.itemSource(parsed) });
        } else if (item.statement.kind === "machine" && hasScenario) {
          this.complain("MEMFD2018", item.statement.header, offset, "`machine` stands first in a file or in a scenario");
        } else if (hasScenario)
          this.complain("MEMFD2025", item.statement.header, offset, "a file has scenarios or bare statements, not both: put this into a scenario");
        else bare.push(parsed);
      }
    }
    return bare;
  }

  private choose(parsed: ParsedItem, names: readonly Word[]): void {
    const source = this.itemSource(parsed);
    this.kernel = names.map((word) => ({ ...word, source }));
    for (const word of names) {
      const resolution = word.text === "" || word.text === "all" ? undefined : resolveKernel(word.text, this.collector.declarations);
      if (resolution !== undefined && "error" in resolution) this.complain(resolution.code, word, parsed.offset, resolution.error);
    }
  }

  private isVariant(item: Item): boolean {
    return item.kind === "statement" && item.statement.kind === "kernel" && item.statement.base !== undefined && item.statement.prefixes.length === 0;
  }

  private complain(code: string, at: { from: number; to: number }, offset: number, message: string): void {
    this.findings.push(placed(this.file, { code, from: at.from, to: at.to, message }, offset));
  }

  private items = 0;

  private itemSource(parsed: ParsedItem): Source {
    const source: Source = { key: `item ${this.items++}`, file: this.file, offset: parsed.offset, text: parsed.text };
    this.sources.set(source.key, source);
    return source;
  }

  private scenario(parsed: ParsedItem, item: Item & { kind: "scenario" }, names: Map<string, ParsedItem>): void {
    const name = item.name.text.slice(1, -1);
    const first = names.get(name);
    if (first !== undefined) {
      const related = [{ span: { file: this.file, from: first.offset, to: first.offset + 8 }, message: "the first one" }];
      const span = { file: this.file, from: item.name.from + parsed.offset, to: item.name.to + parsed.offset };
      this.findings.push({ code: "MEMFD2020", severity: "error", span, message: `the scenario "${name}" exists already in this file`, related });
    } else names.set(name, parsed);
    const source: Source = { key: "self", file: this.file, offset: parsed.offset, text: parsed.text };
    const statements = [...this.machine, ...(item.body?.statements ?? []).map((statement) => ({ statement, source }))];
    const complaints = first === undefined && item.body !== undefined ? item.complaints : [{ code: "", message: "", from: 0, to: 0 }];
    this.unit({ name, source, header: item.header, statements, complaints, lenient: false }, item, parsed, first === undefined ? item : undefined);
  }

  private bare(items: readonly ParsedItem[]): void {
    if (items.length === 0) return;
    const [first] = items;
    const statements = items.map((parsed) => ({ statement: (parsed.item as Item & { kind: "statement" }).statement, source: this.itemSource(parsed) }));
    const source: Source = { ...statements[0].source, key: "self" };
    const last = items[items.length - 1];
    const complaints = items.flatMap(({ item }) => item.complaints);
    const end = last.offset + last.text.length - first.offset;
    this.unit(
      { name: bareName(this.file), source, header: statements[0].statement.header, statements, complaints, lenient: false },
      { from: 0, to: end },
      first,
      undefined,
    );
  }

  private unit(unit: Unit, range: { from: number; to: number }, parsed: ParsedItem, key: Item | undefined): void {
    this.sources.set("self", unit.source);
    if (!this.units.has(unit.name)) this.units.set(unit.name, unit);
    const cached = this.lower(unit, key);
    for (const name of cached.lowered.usedSetups) this.used.add(name);
    for (const program of cached.programs) {
      this.programs.push(program);
      this.made?.(program);
    }
    for (const finding of cached.findings) this.findings.push(finding);
    const at = (r: { from: number; to: number }): Span => ({ file: this.file, from: r.from + parsed.offset, to: r.to + parsed.offset });
    const { kernels, broken, names } = cached.lowered;
    this.outline.push({ name: unit.name, span: at(range), header: at(unit.header), kernels, broken, names });
  }

  /** `key` is the built text of the unit, the same object as long as the text is the same; without one nothing is remembered. */
  private lower(unit: Unit, key: Item | undefined): Cached {
    const kernel = [...this.kernel, ...this.machine.map(({ source }) => ({ text: source.text, source }))]
      .map((word) => `${word.text}@${word.source.key}`)
      .join(",");
    const { shared } = this;
    const { setups: declared } = this.collector.declarations;
    const known = key === undefined ? undefined : this.previous?.cache.get(key);
    const same =
      known !== undefined && known.kernel === kernel && known.shared === shared && known.setups.every(([name, text]) => declared.get(name)?.text === text);
    const fresh = same ? known : undefined;
    const lowered = fresh?.lowered ?? lowerUnit(unit, this.kernel, this.collector.declarations);
    const setups = fresh?.setups ?? [...lowered.usedSetups].map((name) => [name, declared.get(name)?.text ?? ""] as const);
    const offsets = `${this.sharedOffsets()} ${unit.source.file} ${unit.source.offset}`;
    if (fresh !== undefined && fresh.offsets === offsets) {
      if (key !== undefined) this.cache.set(key, fresh);
      return fresh;
    }
    const programs = lowered.drafts.map(({ program, sites }) => ({ ...program, sites: sites.map((site) => resolveSpan(site, this.sources)) }));
    const findings = lowered.findings.map((finding) => placeFinding(finding, this.sources));
    const cached: Cached = { lowered, kernel, shared, setups, offsets, programs, findings };
    if (key !== undefined) this.cache.set(key, cached);
    return cached;
  }

  private offsetsFor = -1;
  private offsetsText = "";

  /** Where the declarations stand that scenarios share; a new one makes it new. */
  private sharedOffsets(): string {
    if (this.offsetsFor !== this.sources.size) {
      this.offsetsText = [...this.sources.values()]
        .filter((source) => source.key !== "self")
        .map((source) => `${source.file} ${source.offset}`)
        .join("\n");
      this.offsetsFor = this.sources.size;
    }
    return this.offsetsText;
  }

  /** A setup that no scenario uses is read for what is wrong with it in any case. */
  private unusedSetups(): void {
    for (const setup of this.collector.declarations.setups.values()) {
      if (setup.file !== this.file || this.used.has(setup.name)) continue;
      const source: Source = { ...setup, key: setup.key };
      const statements = setup.body.statements.map((statement) => ({
        statement: statement.kind === "kernel" ? { ...statement, prefixes: [] } : statement,
        source,
      }));
      const wrapped: Unit = { name: setup.name, source, header: setup.header, statements: [], complaints: [], lenient: true };
      const lowered = lowerUnit(
        { ...wrapped, statements: statements.filter(({ statement }) => statement.kind !== "kernel") },
        this.kernel,
        this.collector.declarations,
      );
      for (const { statement } of statements) {
        if (statement.kind === "kernel")
          this.complain("MEMFD2017", statement.header, setup.offset, "`kernel` does not stand in a setup: a setup runs under the kernel of its scenario");
      }
      for (const finding of lowered.findings) {
        const missing = finding.code === "MEMFD5003" || finding.code.startsWith("MEMFD500");
        if (!missing && finding.code !== "MEMFD5002") this.findings.push(placeFinding(finding, this.sources));
      }
    }
  }

  /** Variants and constants are checked although nothing refers to them. */
  private unusedDeclarations(): void {
    const { declarations } = this.collector;
    const words = [...declarations.variants.values()]
      .filter((variant) => variant.file === this.file)
      .map((variant): KernelWord => ({ ...variant.statement.names[0], source: variant }));
    for (const word of words) {
      const header = { from: word.from, to: word.to };
      const lowered = lowerUnit({ name: word.text, source: word.source, header, statements: [], complaints: [], lenient: true }, [word], declarations);
      for (const finding of lowered.findings) if (finding.code !== "MEMFD5003") this.findings.push(placeFinding(finding, this.sources));
    }
    for (const constant of declarations.constants.values()) {
      if (constant.file !== this.file) continue;
      const statement = {
        kind: "assert",
        from: 0,
        to: 0,
        prefixes: [],
        header: constant.value,
        condition: {
          kind: "primary",
          name: { text: constant.name, from: constant.value.from, to: constant.value.to },
          indexes: [],
          from: constant.value.from,
          to: constant.value.to,
        },
      } as const;
      const lowered = lowerUnit(
        { name: constant.name, source: constant, header: constant.value, statements: [{ statement, source: constant }], complaints: [], lenient: true },
        this.kernel,
        declarations,
      );
      for (const finding of lowered.findings) if (!finding.code.startsWith("MEMFD5")) this.findings.push(placeFinding(finding, this.sources));
    }
  }
}

/** Without doubles, in the order of the text, at most `MAX_FINDINGS`. */
function limited(findings: readonly Finding[], file: string): Finding[] {
  const seen = new Set<string>();
  const unique = findings.filter((finding) => {
    const key = `${finding.code} ${finding.span.from} ${finding.span.to} ${finding.message}`;
    const fresh = !seen.has(key);
    seen.add(key);
    return fresh;
  });
  unique.sort((a, b) => a.span.from - b.span.from || a.span.to - b.span.to || (a.code < b.code ? -1 : a.code > b.code ? 1 : 0));
  if (unique.length <= MAX_FINDINGS) return unique;
  const kept = unique.slice(0, MAX_FINDINGS);
  const next = unique[MAX_FINDINGS];
  kept.push({
    code: "MEMFD6004",
    severity: "information",
    span: { ...next.span, file },
    message: `and ${unique.length - MAX_FINDINGS} more findings from here on`,
  });
  return kept;
}
