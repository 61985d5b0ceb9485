// Names of actors → ids, with the near miss of a vCPU that would otherwise become a new host thread.

import type { ActorId } from "../scenario/program.ts";
import type { Primary } from "./ast.ts";
import { indexText } from "./fold.ts";
import { distance } from "./near.ts";
import type { Scope } from "./scope.ts";

/**
 * The actor that a name in front of `:` or `{` means: a bound vCPU, `vmm`, the main thread of a process, or by an unbound name another host thread.
 * `process`: of the block that it stands in.
 */
export function actorOf(scope: Scope, node: Primary, process?: number): ActorId | undefined {
  const name = node.name.text;
  if (node.args !== undefined || node.field !== undefined || name.includes("."))
    return scope.report("MEMFD1002", node, "in front of `:` or `{` stands the name of an actor");
  const suffix = indexText(scope, node.indexes);
  if (suffix === undefined) return undefined;
  const here = process ?? 0;
  if (name === "vmm" && suffix === "") return here === 0 ? 0 : elsewhere(scope, node, 0);
  const handle = suffix === "" ? scope.lookUp(name) : scope.handleIds.get(name + suffix);
  if (handle !== undefined) {
    const row = scope.handles[handle];
    if (row.kind === "vcpu") return vcpuThread(scope, handle, process);
    const own = row.kind === "process" ? scope.processIds.get(row.name) : undefined;
    if (own !== undefined) return process === undefined || process === own ? scope.actor(row.name, "host", undefined, own) : elsewhere(scope, node, own);
    if (scope.lenient && row.kind === "value") return scope.actor(row.name, "vcpu", handle);
    return scope.report("MEMFD2006", node, `\`${row.name}\` is bound, and not to a vCPU: it cannot be an actor`);
  }
  const full = name + suffix;
  const known = scope.actors[scope.actorIds.get(full) ?? -1];
  if (known !== undefined && process !== undefined && (known.process ?? 0) !== process) return elsewhere(scope, node, known.process ?? 0);
  const started = scope.processIds.get(full);
  if (started !== undefined && process === undefined) return scope.actor(full, "host", undefined, started);
  if (scope.variables.has(name) || scope.declarations.constants.has(name))
    return scope.report("MEMFD2006", node, `\`${name}\` is a constant: it cannot be an actor`);
  if (!scope.lenient) {
    const vcpus = scope.handles.filter((row) => row.kind === "vcpu").map((row) => row.name);
    const near =
      vcpus.find((vcpu) => distance(vcpu, full, 1) <= 1) ??
      (vcpus.some((vcpu) => vcpu.startsWith(`${name}[`)) && suffix === "" ? vcpus.find((v) => v.startsWith(name)) : undefined);
    if (near !== undefined)
      return scope.report("MEMFD2026", node, `\`${full}\` is not bound to a vCPU; did you mean \`${near}\`?`, undefined, {
        title: `Write ${near}`,
        text: near,
      });
    return scope.actor(full, "host", undefined, here);
  }
  // Without its user a setup does not tell a vCPU from a host thread.
  return scope.actor(full, /^v?cpu/i.test(full) ? "vcpu" : "host");
}

const elsewhere = (scope: Scope, node: Primary, process: number): undefined =>
  scope.report("MEMFD2018", node, `\`${node.name.text}\` is a thread of the process \`${scope.processes[process].name}\``);

/** Who calls KVM_RUN: outside of a process block a thread of the process that made the vCPU. */
function vcpuThread(scope: Scope, handle: number, process: number | undefined): ActorId {
  const { name, call } = scope.handles[handle];
  const owner = scope.actors[scope.calls[call]?.actor ?? 0].process ?? 0;
  if (process === undefined || process === owner) return scope.actor(name, "vcpu", handle, owner);
  return scope.actor(`${scope.processes[process].name}.${name}`, "vcpu", handle, process);
}
