// `label`, `label[2]`, `label.step` → the calls that are meant.

import { steps } from "../scenario/catalogue/index.ts";
import type { Point } from "../scenario/program.ts";
import type { Point as PointNode } from "./ast.ts";
import { callsLabelled } from "./conditions.ts";
import { indexText } from "./fold.ts";
import { isStep } from "./kernels.ts";
import { didYouMean } from "./near.ts";
import type { Mutable, Scope } from "./scope.ts";

/** `label` or `label.step`; its calls are filled in when all labels are known. */
export function lowerPoint(scope: Scope, node: PointNode): Point | undefined {
  if (node.label === "") return undefined;
  const suffix = indexText(scope, node.indexes);
  if (suffix === undefined) return undefined;
  if (node.step !== undefined && !isStep(node.step)) {
    return scope.report(
      "MEMFD2016",
      node,
      `there is no step \`${node.step}\`${didYouMean(
        node.step,
        steps.map((row) => row.name),
      )}`,
    );
  }
  const label = node.label + suffix;
  const point: Mutable<Point> = node.step === undefined ? { label, calls: [] } : { label, calls: [], step: node.step };
  const { source, anchor } = scope;
  const rounds = [...scope.rounds];
  scope.pending.push(() => {
    const now = { source: scope.source, anchor: scope.anchor };
    scope.source = source;
    scope.anchor = anchor;
    point.calls = callsLabelled(scope, node.label, suffix, rounds, node);
    // In a round of a `repeat` a plain label means the call of that round: the Program says so.
    if (point.calls.length === 1) point.label = scope.calls[point.calls[0]].label ?? label;
    scope.source = now.source;
    scope.anchor = now.anchor;
  });
  return point;
}
