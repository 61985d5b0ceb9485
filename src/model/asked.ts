// What a program will ask of the machine beside its calls: results that expressions read, pages that guests touch.

import { asU64 } from "../base/units.ts";
import type { CallId, Expression, Program } from "../scenario/program.ts";
import type { Objects } from "./objects.ts";
import { SHARED_BIT } from "./objects.ts";
import { segmentsOf } from "./schedule.ts";
import { SHARED_BIT_48 } from "./tdx/objects.ts";

/** Calls whose result some expression reads: these results are part of the state. */
export function answersRead(program: Program): Set<CallId> {
  const calls = new Set<CallId>();
  const visit = (expression: Expression): void => {
    if (expression.kind === "unary") visit(expression.of);
    else if (expression.kind === "binary") {
      visit(expression.left);
      visit(expression.right);
    } else if (expression.kind === "result" || expression.kind === "matches") for (const call of expression.calls) calls.add(call);
    else if (expression.kind === "name") calls.add(program.handles[expression.handle].call);
  };
  for (const question of program.questions) visit(question.condition);
  for (const segment of segmentsOf(program)) {
    for (const instruction of [...segment.sequence, ...segment.threads.flat()]) if (instruction.assertion) visit(instruction.assertion.condition);
  }
  return calls;
}

/** By vCPU: the gfns that its loads and stores touch. */
export function touchedPages(program: Program, objects: Objects): Set<number>[] {
  const touched = objects.vcpus.map(() => new Set<number>());
  program.calls.forEach((call) => {
    if (call.spec !== "guest.load" && call.spec !== "guest.store") return;
    const handle = program.actors[call.actor].handle;
    const vcpu = objects.vcpus.find((candidate) => candidate.handle === handle);
    const gpa = call.operands[0];
    if (!vcpu || gpa?.kind !== "int") return;
    const raw = asU64(gpa.value) & ~SHARED_BIT;
    // In a TD with an address width of 48 bits, bit 47 is the shared one.
    for (const address of [raw, raw & ~SHARED_BIT_48]) touched[vcpu.index].add(Number(address >> 12n));
  });
  return touched;
}
