// What may stand at the cursor, the fittest first.

import { ERRNO } from "../base/errno.ts";
import { isTdxOperand, isTdxStatus, TDX_STATUS, type TdxOperandName, type TdxStatusName, tdxStatusWord } from "../base/tdx-status.ts";
import {
  type CallSpec,
  calls,
  callsNamed,
  constants,
  feature,
  features,
  invariants,
  operations,
  operationsOf,
  type Param,
  paramName,
  paramNamed,
  profile,
  profiles,
  queries,
  type SettingRow,
  type StepRow,
  settings,
  steps,
} from "../scenario/catalogue/index.ts";
import { TDX_STATUS_HELP } from "../scenario/catalogue/tdx-status-help.ts";
import { basesAt, scenarioAt } from "./hover.ts";
import type { Analysis } from "./index.ts";
import { newest, resolveKernel } from "./kernels.ts";
import { type Place, placeAt } from "./place.ts";
import { snippets } from "./snippets.ts";
import { KEYWORDS } from "./tokens.ts";

export interface Completion {
  readonly label: string;
  readonly kind:
    | "call"
    | "constant"
    | "handle"
    | "actor"
    | "label"
    | "invariant"
    | "kernel"
    | "operation"
    | "feature"
    | "step"
    | "query"
    | "setup"
    | "keyword"
    | "parameter"
    | "result";
  readonly detail?: string;
  readonly documentation?: string;
  /** Of a call or query: the names of its parameters, `(fd, mode, offset, len)`. */
  readonly parameters?: string;
  /** What is written in place of the label, with `$1`, `${1:text}` and `$0` as LSP has them; for an editor that knows snippets. */
  readonly snippet?: string;
}

const parametersOf = (params: readonly Param[]): string =>
  `(${params
    .filter((param) => param.type !== "kvm")
    .map((param) => param.name)
    .join(", ")})`;

class Completer {
  readonly analysis: Analysis;
  readonly offset: number;
  readonly bases: readonly string[];
  readonly found = new Map<string, Completion>();

  constructor(analysis: Analysis, offset: number) {
    this.analysis = analysis;
    this.offset = offset;
    this.bases = basesAt(analysis, offset);
  }

  add(completion: Completion): void {
    if (!this.found.has(completion.label)) this.found.set(completion.label, completion);
  }

  inKernel(list: readonly string[] | undefined): boolean {
    return list === undefined || this.bases.some((base) => list.includes(base));
  }

  names(kind: "handle" | "actor" | "label", details?: readonly string[]): void {
    const own = scenarioAt(this.analysis, this.offset);
    for (const entry of own === undefined ? this.analysis.outline : [own]) {
      for (const name of entry.names)
        if (name.kind === kind && (details === undefined || details.includes(name.detail))) this.add({ label: name.name, kind, detail: name.detail });
    }
  }

  calls(): void {
    const sorted = [...calls].sort((a, b) => Number(this.inKernel(b.profiles)) - Number(this.inKernel(a.profiles)));
    for (const spec of sorted) {
      const detail = this.inKernel(spec.profiles) ? spec.prototype : `not in ${this.bases.join(", ")}`;
      this.add({ label: spec.name, kind: "call", detail, documentation: spec.help, parameters: parametersOf(spec.params) });
    }
  }

  constants(group?: string): void {
    for (const row of constants) {
      if (group !== undefined ? row.group !== group : false) continue;
      if (this.inKernel(row.profiles))
        this.add({ label: row.name, kind: "constant", detail: `0x${BigInt.asUintN(64, row.value).toString(16)}`, documentation: row.help });
    }
    if (group !== undefined) return;
    for (const [name, declared] of this.analysis.declarations.constants) this.add({ label: name, kind: "constant", detail: declared.text });
  }

  /** One's own first, then the newest. */
  kernels(): void {
    for (const variant of this.analysis.declarations.variants.values())
      this.add({ label: variant.name, kind: "kernel", detail: `extends ${variant.statement.base?.text ?? ""}` });
    for (const later of [false, true])
      for (const row of [...profiles].reverse()) {
        if (row.modelled === later) continue;
        this.add({ label: row.name, kind: "kernel", detail: later ? `${row.title} (not modelled yet)` : row.title, documentation: row.source });
        if (!later && row.name === newest()) this.add({ label: "mainline", kind: "kernel", detail: `the newest, now ${row.name}` });
      }
  }

  /** Steps that the model has first. */
  steps(): void {
    for (const later of [false, true])
      for (const row of steps as readonly StepRow[]) {
        if ((row.modelled === false) !== later) continue;
        this.add({ label: row.name, kind: "step", detail: later ? `${row.help} (not modelled yet)` : row.help, documentation: row.source });
      }
  }

  /** Of a leaf of the TDX module: its statuses, those that it answers first. */
  statuses(line: string): void {
    const leaf = /\b(TD[HG]\.[A-Z0-9.]+)\s*\([^)]*\)[^)]*$/.exec(line)?.[1];
    if (leaf === undefined) return;
    for (const label of ["TDX_SUCCESS", ...callsNamed(leaf).flatMap(({ errors }) => errors.map(({ errno }) => errno))]) {
      const [name, operand] = label.split("/");
      if (isTdxStatus(name)) this.status(label, name, operand !== undefined && isTdxOperand(operand) ? operand : undefined);
    }
    for (const name of Object.keys(TDX_STATUS)) if (isTdxStatus(name)) this.status(name, name, undefined);
    this.add({ label: "exit EXIT_REASON_EPT_VIOLATION", kind: "result" });
  }

  status(label: string, status: TdxStatusName, operand: TdxOperandName | undefined): void {
    const word = tdxStatusWord(operand === undefined ? { status } : { status, operand });
    this.add({ label, kind: "result", detail: `0x${word.toString(16).padStart(16, "0")}`, documentation: TDX_STATUS_HELP[status] });
  }

  results(): void {
    for (const word of ["0", "ok", "fails", "blocks", "?", "_"]) this.add({ label: word, kind: "result" });
    for (const name of Object.keys(ERRNO)) this.add({ label: `-${name}`, kind: "result" });
    for (const word of ["exit KVM_EXIT_MEMORY_FAULT", "exit KVM_EXIT_HLT", "SIGBUS", "SIGSEGV", "SIGKILL"]) this.add({ label: word, kind: "result" });
  }

  condition(): void {
    for (const row of queries)
      this.add({
        label: row.name,
        kind: "query",
        detail: row.params.map((param) => param.name).join(", "),
        documentation: row.help,
        parameters: parametersOf(row.params),
      });
    this.names("handle");
    this.constants();
  }

  /** Inside the parentheses of a call or a query. */
  argument(name: string, args: string): boolean {
    if (name === "result") {
      this.names("label");
      return true;
    }
    const row = queries.find((query) => query.name === name);
    const own = scenarioAt(this.analysis, this.offset);
    const specs = callsNamed(name);
    const params = specs.length === 0 ? row?.params : specs[0].params;
    if (params === undefined) return false;
    const parts = args.split(",");
    const named = /(\w+)\s*=[^,]*$/.exec(parts[parts.length - 1])?.[1];
    const positional = params[0]?.type === "kvm" && !/^\s*kvm\b/.test(args) ? params.slice(1) : params;
    const param: Param | undefined =
      named === undefined ? positional[parts.length - 1] : specs[0] === undefined ? params.find((one) => one.name === named) : paramNamed(specs[0], named);
    // Nothing but quotes fits there, and a list would lie over the help on the parameters.
    if (param?.type === "string") return true;
    if (param !== undefined) this.values(param);
    if (named === undefined && parts.length > 1) for (const spec of specs) this.parameters(spec, args);
    if (own !== undefined) this.names("handle");
    this.constants();
    return true;
  }

  parameters(spec: CallSpec, args: string): void {
    for (const param of spec.params) {
      const names = new Set([...this.bases.map((base) => paramName(param, base)), ...(this.bases.length === 0 ? [param.name] : [])]);
      if ([param.name, ...names].some((name) => new RegExp(`\\b${name}\\s*=`).test(args))) continue;
      for (const label of names) this.add({ label, kind: "parameter", detail: `${param.type}${param.optional ? ", optional" : ""}` });
    }
  }

  values(param: Param): void {
    if (param.group !== undefined) this.constants(param.group);
    const kinds: Partial<Record<Param["type"], readonly string[]>> = {
      fd: ["fd"],
      vm: ["vm"],
      vcpu: ["vcpu"],
      mapping: ["mapping"],
      address: ["mapping"],
      frame: ["frame"],
    };
    const wanted = kinds[param.type];
    if (wanted !== undefined) this.names("handle", wanted);
    if (param.type === "address") this.add({ label: "NULL", kind: "constant" });
    if (param.type === "kvm") this.add({ label: "kvm", kind: "handle", detail: "an open /dev/kvm" });
    if (param.type !== "actor") return;
    this.names("actor");
    this.names("handle", ["process", "vcpu"]);
  }

  /** `alone`: nothing but the word stands on its line yet, so a whole block may be written. */
  statement(alone: boolean): void {
    if (alone) for (const { label, detail, snippet } of snippets(this.bases)) this.add({ label, kind: "keyword", detail, snippet });
    for (const keyword of KEYWORDS) this.add({ label: keyword, kind: "keyword" });
    this.names("actor");
    this.names("handle", ["vcpu", "process"]);
    this.calls();
  }

  /** The line before the word decides. */
  run(place: Place): void {
    const { line, call, block } = place;
    if (call !== undefined && this.argument(call.name, call.args)) return;
    const variant = /^kernel\s+[\w.-]+\s+extends\s+([\w.-]+)/.exec(block);
    if (variant !== null) return this.variant(line, variant[1]);
    if (/^machine$/.test(block)) return this.settings(line);
    if (/^(kernel\s+([\w.-]+\s*,\s*)*|on\s+([\w.-]+\s*,\s*)*|kernel\s+[\w.-]+\s+extends\s+)$/.test(line)) return this.kernels();
    if (/=.*\son\s+([\w.-]+\s*,\s*)*$/.test(line)) return this.kernels();
    if (/^(check|ignore)\s+/.test(line) || /^expect\s+violation\s+$/.test(line)) {
      for (const row of invariants)
        this.add({ label: row.name, kind: "invariant", detail: row.modelled ? row.statement : "not modelled yet", documentation: row.when });
      return;
    }
    if (/^expect\s+$/.test(line)) return ["violation", "safe"].forEach((label) => this.add({ label, kind: "keyword" }));
    if (/^(order\s+|.*\bbefore\s+|.*\bat\s+)$/.test(line)) return this.points();
    if (/^process\s+$/.test(line)) {
      this.names("actor", ["process"]);
      return this.names("handle", ["process"]);
    }
    if (/^use\s+$/.test(line)) {
      for (const setup of this.analysis.declarations.setups.values()) this.add({ label: setup.name, kind: "setup", detail: setup.text.split("\n", 1)[0] });
      return;
    }
    if (/^(\w+:\s*)?(assert|exists|never|forall)\b/.test(line)) {
      this.condition();
      if (/result\([^)]*\)\s*[!=]=\s*$/.test(line)) this.results();
      return;
    }
    if (/\)[^=]*=\s*(.*\bor\s+)?-?$/.test(line)) {
      this.statuses(line);
      return this.results();
    }
    if (/=\s*$/.test(line)) return this.calls();
    if (/^([\w[\]-]+\s*:\s*)?$/.test(line))
      return this.statement(line === "" && /^[\w.-]*[ \t]*(\r?\n|$|\})/.test(this.analysis.text.slice(this.offset, this.offset + 200)));
  }

  /** An entry of `machine { … }`. */
  settings(line: string): void {
    if (line !== "") return;
    for (const row of settings as readonly SettingRow[])
      this.add({ label: row.name, kind: "feature", detail: row.modelled === false ? `${row.help} (not modelled yet)` : row.help, documentation: row.source });
  }

  points(): void {
    this.names("label");
    this.steps();
  }

  /** An entry of `kernel NAME extends BASE { … }`. */
  variant(line: string, base: string): void {
    const assigned = /^([\w.-]+)\s*=\s*(.*)$/.exec(line);
    const row = assigned === null ? undefined : feature(assigned[1]);
    if (row !== undefined && assigned?.[2] === "") {
      for (const value of row.values) this.add({ label: value.name, kind: "constant", detail: value.help, documentation: row.help });
      return;
    }
    if (row !== undefined) return;
    if (/[=,]\s*$/.test(line) || /\bwithout\s+$/.test(line)) return this.steps();
    if (line !== "") return this.add({ label: "without", kind: "keyword" });
    const resolution = resolveKernel(base, this.analysis.declarations);
    const known = "error" in resolution || profile(resolution.base)?.modelled !== true ? undefined : operationsOf(resolution.base);
    for (const one of operations) if (known === undefined || known.includes(one.name)) this.add({ label: one.name, kind: "operation", detail: one.help });
    for (const one of features)
      this.add({ label: one.name, kind: "feature", detail: one.values.map((value) => value.name).join(" | "), documentation: `${one.help} ${one.source}` });
  }
}

/** Behind these words somebody who has typed the space wants to see what may follow; behind any other space he may go on in peace. */
const AWAITS = /(^|[\s{;])(kernel|extends|use|check|ignore|expect|violation|order|before|at|on|process|without)\s+$|[=,]\s+$|\)[^=]*=.*\bor\s+$/;

/**
 * Where what is completed begins, which editors take from words of their own: `6.1` is one for `6.18`, `TDH.MEM.` for a leaf; of `hole.tru` a step is only the
 * part behind the dot.
 */
export function completedFrom(text: string, offset: number, label: string): number {
  const word = /[\w.-]*$/.exec(text.slice(Math.max(0, offset - 200), offset))?.[0] ?? "";
  const begins = (part: string): boolean => label.toLowerCase().startsWith(part.toLowerCase());
  const parts = [word, ...[...word.matchAll(/[.-]/g)].map(({ index }) => word.slice(index + 1))];
  const part = parts.find(begins) ?? (/[.-]/.test(label) ? word : (parts.at(-1) ?? word));
  return offset - part.length;
}

/** Completions at an offset; an editor filters them by what is typed. Empty inside strings and comments. `spaced`: asked for because a space was typed. */
export function completeAt(analysis: Analysis, offset: number, spaced = false): Completion[] {
  const place = placeAt(analysis.text, offset);
  if (place === undefined) return [];
  const behind = analysis.text.slice(Math.max(0, offset - 200), offset);
  if (spaced && (!AWAITS.test(behind) || /\n\s*$/.test(behind))) return [];
  const completer = new Completer(analysis, offset);
  completer.run(place);
  return [...completer.found.values()];
}
