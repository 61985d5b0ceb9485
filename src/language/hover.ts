// What a word means where it stands: call, constant, kernel, step, invariant, query, setup, bound name.

import type { SyntaxNode } from "@lezer/common";
import type { Span } from "../base/finding.ts";
import { isTdxOperand, isTdxStatus, TDX_OPERAND, type TdxOperandName, type TdxStatusName, tdxStatusWord } from "../base/tdx-status.ts";
import { formatSize } from "../base/units.ts";
import {
  type CallSpec,
  type Constant,
  calls,
  callsNamed,
  constant,
  constantsNamed,
  feature,
  invariants,
  operation,
  profile,
  profiles,
  queries,
  type StepRow,
  setting,
  steps,
} from "../scenario/catalogue/index.ts";
import { TDX_STATUS_HELP } from "../scenario/catalogue/tdx-status-help.ts";
import type { Analysis, OutlineEntry } from "./index.ts";
import { MAINLINE, newest } from "./kernels.ts";
import { parseInteger } from "./numbers.ts";

export interface Description {
  readonly span: Span;
  readonly markdown: string;
}

/** The scenario around an offset, or the first one that a setup there serves. */
export function scenarioAt(analysis: Analysis, offset: number): OutlineEntry | undefined {
  return analysis.outline.find((entry) => entry.span.from <= offset && offset <= entry.span.to);
}

/** The base profiles that hold at an offset: those of the scenario, else of the whole file. */
export function basesAt(analysis: Analysis, offset: number): string[] {
  const own = scenarioAt(analysis, offset);
  const names = new Set(own !== undefined ? own.kernels : analysis.outline.flatMap((entry) => entry.kernels));
  const bases = new Set<string>();
  for (const name of names) {
    let at = name;
    for (let i = 0; i < 100 && profile(at) === undefined; i++) at = analysis.declarations.variants.get(at)?.statement.base?.text ?? newest();
    bases.add(at);
  }
  return bases.size > 0 ? [...bases] : [newest()];
}

const list = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");

/** Of a status of the TDX module: what RAX holds. */
function statusNumber(text: string): string {
  const [status, operand] = text.split("/");
  if (!isTdxStatus(status) || (operand !== undefined && !isTdxOperand(operand))) return "";
  return ` 0x${tdxStatusWord(operand === undefined ? { status } : { status, operand })
    .toString(16)
    .padStart(16, "0")}`;
}

function describeCall(spec: CallSpec, bases: readonly string[]): string {
  const parts = ["```c", spec.prototype, "```", spec.help];
  const unknown = bases.filter((base) => !spec.profiles.includes(base));
  if (unknown.length > 0) parts.push("", `**Not in ${list(unknown)}**: ${list(spec.profiles)} have it.`);
  const errors = spec.errors.filter((row) => row.profiles === undefined || bases.some((base) => row.profiles?.includes(base)));
  if (errors.length > 0) {
    parts.push("", spec.returns === "status" ? "Statuses besides TDX_SUCCESS, in the order of checking:" : "Errors, in the order of checking:", "");
    for (const row of errors) {
      const only =
        row.profiles !== undefined && !bases.every((base) => row.profiles?.includes(base))
          ? ` (${list(bases.filter((base) => row.profiles?.includes(base)))})`
          : "";
      parts.push(`- \`${row.errno}\`${statusNumber(row.errno)}: ${row.when}${only}${row.derived === true ? " *[derived]*" : ""}`);
    }
  }
  parts.push("", `*Source: ${spec.source}*`);
  return parts.join("\n");
}

function describeConstant(rows: readonly Constant[], bases: readonly string[]): string {
  const lines: string[] = [];
  for (const row of rows) {
    const having = profiles.filter((p) => row.profiles === undefined || row.profiles.includes(p.name)).map((p) => p.name);
    const here = bases.some((base) => having.includes(base));
    const where = row.profiles === undefined ? "" : here ? ` · in ${list(having)}` : ` · **not in ${list(bases)}**, but in ${list(having)}`;
    lines.push(`\`${row.name}\` = \`0x${BigInt.asUintN(64, row.value).toString(16)}\` (${row.value})${where}`, "", row.help, "");
  }
  return lines.join("\n").trimEnd();
}

function describeKernel(analysis: Analysis, name: string): string | undefined {
  if (name === MAINLINE) return describeKernel(analysis, newest())?.replace(/^/, `\`mainline\`, the newest: `);
  const row = profile(name);
  if (row !== undefined) return `**kernel ${row.name}**: ${row.title}${row.modelled ? "" : " · *not modelled yet*"}\n\n*Source: ${row.source}*`;
  const variant = analysis.declarations.variants.get(name);
  if (variant === undefined) return undefined;
  const changes = variant.statement.entries.map(
    (entry) => `- \`${entry.name.text}${entry.without ? " without " : " = "}${entry.values.map((word) => word.text).join(", ")}\``,
  );
  return [`**kernel ${name}**, \`${variant.statement.base?.text}\` with`, "", ...changes].join("\n");
}

function describeStep(name: string): string | undefined {
  const row: StepRow | undefined = steps.find((one) => one.name === name);
  return row && `**${row.name}**, an atomic step: ${row.help}${row.modelled === false ? " · *not modelled yet*" : ""}\n\n*Source: ${row.source}*`;
}

function describeSetting(name: string): string | undefined {
  const row = setting(name);
  const standard = row?.value === undefined ? "without it there is no limit" : `default ${row.value}`;
  return (
    row &&
    `**${row.name}**, a setting of the machine (${standard}): ${row.help}${row.modelled === false ? " · *not modelled yet*" : ""}\n\n*Source: ${row.source}*`
  );
}

const CLASSES: readonly (readonly [bit: number, name: string])[] = [
  [63, "error"],
  [62, "non-recoverable"],
  [61, "fatal"],
];

/** A completion status of the TDX module: number, class, meaning, and that an operand id stands below it. */
function describeStatus(name: TdxStatusName): string {
  const word = tdxStatusWord({ status: name });
  const classes = CLASSES.filter(([bit]) => (word >> BigInt(bit)) & 1n).map(([, text]) => text);
  return [
    `**${name}** = \`0x${word.toString(16).padStart(16, "0")}\` · ${classes.length > 0 ? classes.join(", ") : name === "TDX_SUCCESS" ? "success" : "information, no error"}`,
    "",
    TDX_STATUS_HELP[name],
    "",
    "Bits 31:0 of RAX hold the operand at fault: `STATUS/RCX`.",
    "",
    "*Source: intel/tdx-module TDX_1.5.01, tdx_error_codes_defs.h*",
  ].join("\n");
}

/** The id of an operand behind a status. */
function describeOperand(name: TdxOperandName): string {
  const id = TDX_OPERAND[name];
  return `**${name}**, an operand of the TDX module: id ${id} (0x${id.toString(16)}) in bits 31:0 of its status\n\n*Source: intel/tdx-module TDX_1.5.01, tdx_error_codes_defs.h*`;
}

/** A word of an entry of `kernel NAME extends BASE { … }`, where features, operations and steps are meant and may have the names of calls. */
function describeEntry(text: string, leaf: SyntaxNode): string | undefined {
  const part = leaf.parent;
  const entry = part?.parent;
  const word = text.slice(leaf.from, leaf.to);
  if (entry?.name === "MachineEntry" && part?.name === "EntryName") return describeSetting(word);
  if (part === null || entry?.name !== "Entry") return undefined;
  const name = entry.getChild("EntryName");
  const row = name === null ? undefined : feature(text.slice(name.from, name.to));
  if (part.name !== "EntryName") {
    const value = row?.values.find((one) => one.name === word);
    return row === undefined ? describeStep(word) : value && `\`${row.name} = ${value.name}\`: ${value.help}\n\n${row.help}\n\n*Source: ${row.source}*`;
  }
  if (row !== undefined) {
    const values = row.values.map((value) => `- \`${value.name}\`: ${value.help}`);
    return [`**${row.name}**, a feature: ${row.help}`, "", ...values, "", `*Source: ${row.source}*`].join("\n");
  }
  const list = operation(word);
  if (list === undefined) return undefined;
  const runs = calls.filter((spec) => spec.operations.includes(word)).map((spec) => spec.name);
  return `**${list.name}**, an operation: ${list.help}\n\nRun by ${[...new Set(runs)].map((one) => `\`${one}\``).join(", ")}.`;
}

function describeWord(analysis: Analysis, word: string, offset: number, behind: string): string | undefined {
  const bases = basesAt(analysis, offset);
  const scenario = scenarioAt(analysis, offset);
  if (behind === "(") {
    const row = queries.find((query) => query.name === word);
    const guest = callsNamed(word);
    const parts = [...guest.map((spec) => describeCall(spec, bases))];
    if (row !== undefined)
      parts.push(`\`${row.name}(${row.params.map((param) => param.name).join(", ")})\`: ${row.help}${row.modelled ? "" : " · *not modelled yet*"}`);
    if (parts.length > 0) return parts.join("\n\n---\n\n");
  }
  const known = scenario?.names.filter((name) => name.name === word || name.name.startsWith(`${word}[`)) ?? [];
  if (known.length > 0)
    return known
      .slice(0, 8)
      .map(
        (name) =>
          `\`${name.name}\`: ${name.kind === "handle" ? `bound to a ${name.detail}` : name.kind === "actor" ? `actor (${name.detail})` : "label of a call"}`,
      )
      .join("  \n");
  const own = analysis.declarations.constants.get(word);
  if (own !== undefined) return `\`${own.text.trim()}\`, a constant of this file`;
  const rows = constantsNamed(word);
  if (rows.length > 0)
    return describeConstant(
      rows
        .filter((row) => bases.some((base) => constant(word, base) === row))
        .concat(rows)
        .filter((row, i, all) => all.indexOf(row) === i),
      bases,
    );
  if (isTdxStatus(word)) return describeStatus(word);
  const invariant = invariants.find((row) => row.name === word);
  if (invariant !== undefined)
    return `**${invariant.name}**: ${invariant.statement}\n\nJudged ${invariant.when}${invariant.modelled ? "" : " · *not modelled yet*"}.\n\n*Source: ${invariant.source}*`;
  const step = describeStep(word);
  if (step !== undefined) return step;
  const setup = analysis.declarations.setups.get(word);
  if (setup !== undefined) return `\`\`\`memfd\n${setup.text.slice(0, 1200)}\n\`\`\``;
  const number = /^[0-9]/.test(word) ? parseInteger(word) : undefined;
  const kernel = describeKernel(analysis, word);
  if (kernel !== undefined) return kernel;
  if (number !== undefined && "value" in number) return `${number.value} = \`0x${number.value.toString(16)}\` = ${formatSize(number.value)}`;
  return undefined;
}

/** The word under an offset and what is known of it. */
export function describeAt(analysis: Analysis, offset: number): Description | undefined {
  if (analysis.parsed === undefined) return undefined;
  const node = analysis.parsed.tree.resolveInner(Math.min(offset, analysis.text.length), 1);
  const left = analysis.parsed.tree.resolveInner(Math.min(offset, analysis.text.length), -1);
  const leaf = [node, left].find(
    (one) => one.firstChild === null && one.to - one.from > 0 && one.to - one.from < 200 && !/Comment|String|Bad|LineEnd/.test(one.name),
  );
  if (leaf === undefined) return undefined;
  let { from, to } = leaf;
  let word = analysis.text.slice(from, to);
  const entry = describeEntry(analysis.text, leaf);
  if (entry !== undefined) return { span: { file: analysis.file, from, to }, markdown: entry };
  if (leaf.name === "Field") [word, from] = [word.slice(1), from + 1];
  const dot = word.indexOf(".");
  if (leaf.name === "Name" && dot > 0 && callsNamed(word).length === 0 && describeWord(analysis, word, offset, "") === undefined) {
    if (offset > from + dot) [from, word] = [from + dot + 1, word.slice(dot + 1)];
    else [to, word] = [from + dot, word.slice(0, dot)];
  }
  const behindStatus = isTdxOperand(word) && /\bTDX_[A-Z0-9_]+\s*\/\s*$/.test(analysis.text.slice(Math.max(0, from - 80), from));
  if (behindStatus) return { span: { file: analysis.file, from, to }, markdown: describeOperand(word as TdxOperandName) };
  const markdown = describeWord(analysis, word, offset, analysis.text[to] ?? "");
  return markdown === undefined ? undefined : { span: { file: analysis.file, from, to }, markdown };
}
