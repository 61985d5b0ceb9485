// One call statement: which row of the catalogue it means, its operands, what it binds, its result and its label.

import { isErrno } from "../base/errno.ts";
import { type CallSpec, calls, callsNamed, constant, profiles } from "../scenario/catalogue/index.ts";
import type { ActorId, CallId, Expectation, HandleId, HandleKind, ResultPattern, Statement } from "../scenario/program.ts";
import { lowerArguments } from "./arguments.ts";
import type { Alternative, Part, Primary, StmtOf } from "./ast.ts";
import { indexText, RESERVED } from "./fold.ts";
import { checkKernelNames } from "./kernels.ts";
import { nearest } from "./near.ts";
import { lowerFork } from "./processes.ts";
import { lowerPattern } from "./results.ts";
import type { Scope } from "./scope.ts";

const KIND: Record<CallSpec["returns"], HandleKind | undefined> = {
  fd: "fd",
  vm: "vm",
  vcpu: "vcpu",
  mapping: "mapping",
  frame: "frame",
  process: "process",
  zero: "value",
  count: "value",
  byte: "value",
  offset: "value",
  seals: "value",
  text: undefined,
  status: undefined,
  nothing: undefined,
};

interface Parts {
  readonly target?: Primary;
  readonly call: Primary;
  readonly results?: Part;
}

function partsOf(scope: Scope, statement: StmtOf<"simple">): Parts | undefined {
  const { head, parts } = statement;
  if (head.args !== undefined) {
    if (parts.length > 1) return scope.report("MEMFD1002", parts[1].any[0], "a call has one result; several are joined by `or`");
    return { call: head, results: parts[0] };
  }
  if (parts.length === 0) return undefined;
  const call = parts[0].any[0].value;
  if (call.kind !== "primary" || call.args === undefined || parts[0].any.length > 1) {
    return scope.report("MEMFD2032", head, `\`${head.name.text} = …\` binds what a call returns; a constant of your own stands at file level`);
  }
  if (parts.length > 2) return scope.report("MEMFD1002", parts[2].any[0], "a call has one result; several are joined by `or`");
  return { target: head, call, results: parts[1] };
}

const listed = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");

/** The row that a word means for this actor under this kernel. */
function specFor(scope: Scope, call: Primary, actor: ActorId): { spec: CallSpec; known: boolean } | undefined {
  const name = call.name.text;
  const rows = callsNamed(name);
  if (rows.length === 0) {
    const near = nearest(name, new Set(calls.map((spec) => spec.name)));
    return scope.report(
      "MEMFD2001",
      call.name,
      `there is no call \`${name}\`${near === undefined ? "" : `; did you mean \`${near}\`?`}`,
      undefined,
      near === undefined ? undefined : { title: `Write ${near}`, text: near },
    );
  }
  const guest = scope.actors[actor].kind === "vcpu";
  const here = rows.filter((spec) => spec.context === "any" || (spec.context === "guest") === guest);
  if (here.length === 0) {
    if (scope.lenient) return undefined;
    const where = guest
      ? `\`${name}\` is a call of the host; \`${scope.actors[actor].name}\` is a vCPU and runs guest code`
      : `\`${name}\` runs in the guest: write \`vcpu: ${name}(…)\` with the name of a vCPU`;
    return scope.report("MEMFD2019", call.name, where);
  }
  const spec = here.find((row) => row.profiles.includes(scope.choice.base)) ?? here[0];
  return { spec, known: spec.profiles.includes(scope.choice.base) };
}

function targetName(scope: Scope, target: Primary): string | undefined {
  const name = target.name.text;
  if (target.field !== undefined || name.includes(".")) return scope.report("MEMFD2007", target, "a bound name has no dot");
  if (RESERVED.has(name)) return scope.report("MEMFD2007", target, `\`${name}\` has a meaning of its own and cannot be bound`);
  if (scope.variables.has(name)) return scope.report("MEMFD2006", target, `\`${name}\` is the variable of a \`repeat\` here`);
  if (scope.declarations.constants.has(name)) return scope.report("MEMFD2007", target, `\`${name}\` is a constant of this file`);
  if (constant(name, scope.choice.base) !== undefined || isErrno(name))
    return scope.report("MEMFD2007", target, `\`${name}\` is a constant of \`${scope.choice.name}\``);
  const suffix = target.indexes.length > 0 ? indexText(scope, target.indexes) : scope.suffix;
  if (suffix === undefined) return undefined;
  const full = name + suffix;
  const bound = scope.handleIds.get(full);
  if (bound !== undefined) {
    return scope.report("MEMFD2006", target, `\`${full}\` is bound already`, [{ span: scope.sites[scope.handles[bound].site], message: "bound here first" }]);
  }
  if (scope.actorIds.has(full) || scope.processIds.has(full))
    return scope.report(
      "MEMFD2006",
      target,
      `\`${full}\` is the name of a ${scope.processIds.has(full) ? "process" : "host thread"} above; actors and bound names share one namespace`,
    );
  return full;
}

function expectation(scope: Scope, spec: CallSpec, results: Part): Expectation | undefined {
  const any: ResultPattern[] = [];
  const elsewhere: string[] = [];
  for (const alternative of results.any) {
    const pattern = lowerPattern(scope, alternative.value);
    if (pattern === undefined) continue;
    if (pattern.kind === "text" && spec.returns !== "text") {
      scope.report("MEMFD2030", alternative.value, `\`${spec.name}\` returns no text${spec.returns === "count" ? "; in front of data stands its count" : ""}`);
      continue;
    }
    const { kernels } = alternative;
    if (kernels !== undefined) checkKernelNames(scope, kernels);
    const others = kernels?.filter((word) => word.text !== scope.choice.name) ?? [];
    if (kernels === undefined || kernels.some((word) => word.text === scope.choice.name || word.text === "all")) any.push(pattern);
    if (others.length > 0) elsewhere.push(`${textOf(scope, alternative)} on ${others.map((word) => word.text).join(", ")}`);
  }
  if (any.length === 0) return undefined;
  const site = scope.site({ from: results.from, to: endOf(results) });
  return elsewhere.length === 0 ? { any, site } : { any, site, elsewhere };
}

/** The result of an alternative as it stands in the text. */
const textOf = (scope: Scope, { value }: Alternative): string => scope.source.text.slice(value.from, value.to);

/** A decoration that strace printed belongs to the result; blanks and comments behind it do not. */
const endOf = (results: Part): number => results.any[results.any.length - 1].to;

function defineLabel(scope: Scope, statement: StmtOf<"simple">, call: CallId): string | undefined {
  const { label } = statement;
  if (label === undefined || label.name.text === "") return undefined;
  if (label.name.text.includes(".")) return scope.report("MEMFD2007", label, "a label has no dot: behind the dot stands a step");
  const suffix = label.indexes.length > 0 ? indexText(scope, label.indexes) : scope.suffix;
  if (suffix === undefined) return undefined;
  const full = label.name.text + suffix;
  const first = scope.labels.get(full);
  if (first !== undefined)
    return scope.report("MEMFD2011", label, `the label @${full} is taken`, [{ span: scope.sites[first.site], message: "labelled here first" }]);
  scope.labels.set(full, { call, site: scope.site(label) });
  if (suffix !== "") scope.families.set(label.name.text, [...(scope.families.get(label.name.text) ?? []), call]);
  return full;
}

/** Keeps the name known after a call with a finding, so that one wrong call is one finding. */
function bindAnyway(scope: Scope, parts: Parts, spec: CallSpec | undefined): void {
  if (parts.target === undefined) return;
  const name = targetName(scope, parts.target);
  if (name !== undefined) scope.bind(name, (spec && KIND[spec.returns]) ?? "value", -1, parts.target);
}

export function lowerSimple(scope: Scope, statement: StmtOf<"simple">, actor: ActorId): Statement | undefined {
  const parts = partsOf(scope, statement);
  if (parts === undefined) return undefined;
  const found = specFor(scope, parts.call, actor);
  if (found === undefined) {
    bindAnyway(scope, parts, callsNamed(parts.call.name.text)[0]);
    if (parts.results !== undefined) for (const alternative of parts.results.any) lowerPattern(scope, alternative.value);
    return undefined;
  }
  const { spec, known } = found;
  if (!known) {
    const having = profiles.filter((row) => spec.profiles.includes(row.name)).map((row) => row.name);
    scope.report(
      "MEMFD5001",
      parts.call.name,
      `\`${spec.name}\` does not exist in \`${scope.choice.name}\`; ${listed(having)} ${having.length === 1 ? "has" : "have"} it`,
    );
  }
  const operands = lowerArguments(scope, spec, parts.call);
  const expect = parts.results === undefined ? undefined : expectation(scope, spec, parts.results);
  if (operands === undefined) {
    bindAnyway(scope, parts, spec);
    return undefined;
  }
  const id = scope.calls.length;
  const site = scope.site(parts.call);
  scope.calls.push({ spec: spec.id, known, actor, operands, site, statement: scope.site(statement.header) });
  const row = scope.calls[id];
  const binds = parts.target === undefined ? undefined : bindTarget(scope, parts.target, spec, id);
  if (binds !== undefined) row.binds = binds;
  if (spec.id === "fork") lowerFork(scope, id, binds === undefined ? undefined : scope.handles[binds].name);
  const label = defineLabel(scope, statement, id);
  if (label !== undefined) row.label = label;
  if (expect !== undefined) row.expect = expect;
  return { kind: "call", call: id };
}

/** dup makes one more descriptor of what it is given. */
function kindOf(scope: Scope, spec: CallSpec, id: CallId): HandleKind | undefined {
  const given = spec.id === "dup" ? scope.kindOf(scope.calls[id].operands[0]) : undefined;
  return given === "vm" || given === "vcpu" ? given : KIND[spec.returns];
}

function bindTarget(scope: Scope, target: Primary, spec: CallSpec, id: CallId): HandleId | undefined {
  const kind = kindOf(scope, spec, id);
  if (kind === undefined)
    return scope.report("MEMFD2032", target, `\`${spec.name}\` returns ${spec.returns === "text" ? "a text" : "nothing"} that could be bound`);
  const name = targetName(scope, target);
  return name === undefined ? undefined : scope.bind(name, kind, id, target);
}
