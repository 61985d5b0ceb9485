// Names of actors → ids, with the near miss of a vCPU that would otherwise become a new host thread.

import type { ActorId } from "../scenario/program.ts";
import type { Primary } from "./ast.ts";
import { indexText } from "./fold.ts";
import { distance } from "./near.ts";
import type { Scope } from "./scope.ts";

/** The actor that a name in front of `:` or `{` means: a bound vCPU, `vmm`, or by an unbound name another host thread. */
export function actorOf(scope: Scope, node: Primary): ActorId | undefined {
  const name = node.name.text;
  if (node.args !== undefined || node.field !== undefined || name.includes("."))
    return scope.report("MEMFD1002", node, "in front of `:` or `{` stands the name of an actor");
  const suffix = indexText(scope, node.indexes);
  if (suffix === undefined) return undefined;
  if (name === "vmm" && suffix === "") return 0;
  const handle = suffix === "" ? scope.lookUp(name) : scope.handleIds.get(name + suffix);
  if (handle !== undefined) {
    const row = scope.handles[handle];
    if (row.kind === "vcpu") return scope.actor(row.name, "vcpu", handle);
    if (scope.lenient && row.kind === "value") return scope.actor(row.name, "vcpu", handle);
    return scope.report("MEMFD2006", node, `\`${row.name}\` is bound, and not to a vCPU: it cannot be an actor`);
  }
  const full = name + suffix;
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
    return scope.actor(full, "host");
  }
  // Without its user a setup does not tell a vCPU from a host thread.
  return scope.actor(full, /^v?cpu/i.test(full) ? "vcpu" : "host");
}
