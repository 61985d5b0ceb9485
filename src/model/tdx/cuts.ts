// Lines that a TD or the host touches need their bytes apart from the rest of the page.

import type { Operand, Program } from "../../scenario/program.ts";
import { BYTES, type Cuts } from "../cells.ts";
import { cutLine } from "./hardware.ts";
import { findTdx, tdVcpuOfActor } from "./objects.ts";

const byteOf = (operand: Operand | undefined): number => (operand?.kind === "int" ? Number(BigInt.asUintN(12, operand.value)) : 0);

export function addTdxCuts(cuts: Cuts, program: Program): void {
  const found = findTdx(program);
  if (!found) return;
  for (const call of program.calls) {
    const access = call.spec === "guest.load" || call.spec === "guest.store";
    if (access && tdVcpuOfActor(program, found, call.actor)) cutByte(cuts, byteOf(call.operands[0]));
    if (call.spec === "movnti") cutByte(cuts, byteOf(call.operands[1]));
  }
}

function cutByte(cuts: Cuts, byte: number): void {
  cuts.cut(BYTES, byte);
  cuts.cut(BYTES, byte + 1);
  cutLine(cuts, byte);
}
