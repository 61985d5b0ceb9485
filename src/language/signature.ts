// The call around the cursor as a person fills it in: its parameters in the language's form, under the names that the kernel at hand has for them, and which of
// them is being written.

import { type CallSpec, callsNamed, constants, type Param, type ParamType, paramName, paramNamed, queries } from "../scenario/catalogue/index.ts";
import { basesAt, scenarioAt } from "./hover.ts";
import type { Analysis } from "./index.ts";
import { placeAt } from "./place.ts";

export interface Signature {
  readonly label: string;
  /** Offsets into the label, one pair per parameter. */
  readonly parameters: readonly { readonly from: number; readonly to: number; readonly documentation: string }[];
  readonly documentation: string;
  /** Index of the parameter that is being written; undefined behind the last. */
  readonly active: number | undefined;
}

/** All meanings of the word before the parenthesis, the fitting one first. Empty outside of calls, in strings and in comments. */
export function signaturesAt(analysis: Analysis, offset: number): Signature[] {
  const place = placeAt(analysis.text, offset);
  if (place?.call === undefined) return [];
  const { name } = place.call;
  const args = argumentsOf(place.call.args + wordBefore(analysis.text, offset));
  const specs = callsNamed(name);
  if (specs.length > 0) {
    const bases = basesAt(analysis, offset);
    const mapping = isMapping(analysis, offset, args[0].trim());
    const host = (spec: CallSpec): boolean => spec.params[0]?.type === "mapping";
    return [...specs].sort((one, other) => Number(host(other) === mapping) - Number(host(one) === mapping)).map((spec) => ofCall(spec, args, bases));
  }
  const query = queries.find((row) => row.name === name);
  return query === undefined ? [] : [signature(name, query.params, (param) => param.name, args, query.help)];
}

function wordBefore(text: string, offset: number): string {
  return /[\w.-]*$/.exec(text.slice(Math.max(0, offset - 200), offset))?.[0] ?? "";
}

function isMapping(analysis: Analysis, offset: number, word: string): boolean {
  return scenarioAt(analysis, offset)?.names.some((name) => name.name === word && name.detail === "mapping") ?? false;
}

/** The arguments so far: commas inside strings and parentheses part nothing. */
function argumentsOf(text: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\\n]|\\.)*"?|[^"]/gs)) {
    if (token === "(") depth += 1;
    else if (token === ")") depth -= 1;
    if (token === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += token;
  }
  return parts;
}

function ofCall(spec: CallSpec, args: readonly string[], bases: readonly string[]): Signature {
  // An ioctl on /dev/kvm may leave its target out.
  const params = spec.params[0]?.type === "kvm" && args[0].trim() !== "kvm" ? spec.params.slice(1) : spec.params;
  const nameOf = (param: Param): string => paramName(param, bases.find((base) => param.names?.[base] !== undefined) ?? "");
  return signature(spec.name, params, nameOf, args, `\`${spec.prototype}\``, { spec, bases });
}

interface Of {
  readonly spec: CallSpec;
  readonly bases: readonly string[];
}

function signature(
  name: string,
  params: readonly Param[],
  nameOf: (param: Param) => string,
  args: readonly string[],
  documentation: string,
  of?: Of,
): Signature {
  let label = `${name}(`;
  const parameters = params.map((param, index) => {
    if (index > 0) label += ", ";
    const from = label.length;
    label += param.optional === true ? `[${nameOf(param)}]` : nameOf(param);
    return { from, to: label.length, documentation: describe(param, of?.bases ?? []) };
  });
  label += ")";
  return { label, parameters, documentation, active: activeOf(params, args, of?.spec) };
}

/** The last argument, by the name that it has, or by its place as long as no name stands before it. */
function activeOf(params: readonly Param[], args: readonly string[], spec: CallSpec | undefined): number | undefined {
  const names = args.map((arg) => /^\s*(\w+)\s*=(?!=)/.exec(arg)?.[1]);
  const named = names.at(-1);
  const param = named === undefined || spec === undefined ? undefined : paramNamed(spec, named);
  if (param !== undefined) return params.indexOf(param);
  if (names.some((one) => one !== undefined)) return undefined;
  return args.length <= params.length ? args.length - 1 : undefined;
}

const KIND: Readonly<Record<ParamType, string>> = {
  fd: "a file descriptor",
  vm: "a VM",
  vcpu: "a vCPU",
  kvm: "`kvm`, an open /dev/kvm; may be left out",
  mapping: "a mapping",
  address: "a host address: `NULL`, a number, or a mapping and an offset in it",
  frame: "a frame",
  td: "a TD, or the page that is its TDR",
  tdvpr: "a vCPU of a TD, or the page that is its TDVPR",
  actor: "an actor",
  int: "an integer",
  flags: "flags",
  gpa: "a guest physical address",
  byte: "a byte",
  string: "a name in quotes",
  data: "bytes: a string, or a byte `*` a count; they stand for buffer and length",
  count: "how many bytes",
};
const MOST_CONSTANTS = 12;

function describe(param: Param, bases: readonly string[]): string {
  const known = constants.filter(
    (row) => row.group === param.group && (row.profiles === undefined || bases.length === 0 || bases.some((base) => row.profiles?.includes(base))),
  );
  const shown = known.slice(0, MOST_CONSTANTS).map((row) => `\`${row.name}\``);
  const names = param.group === undefined || shown.length === 0 ? "" : `: ${shown.join(", ")}${known.length > shown.length ? " …" : ""}`;
  return `${KIND[param.type]}${names}${param.nullable === true ? ", or `NULL`" : ""}${param.optional === true ? "; 0 where it is left out" : ""}`;
}
