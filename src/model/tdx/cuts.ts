// Where the bytes and the pages of a TD have to be told apart: lines that a TD or the host touches, and pages of 2 MB blocks that calls name.

import type { Operand, Program } from "../../scenario/program.ts";
import { BYTES, type Cuts } from "../cells.ts";
import { PAGES_OF_BLOCK } from "../objects.ts";
import { findTdx, tdVcpuOfActor } from "./objects.ts";
import { LINE_BYTES } from "./state.ts";

/** The page space of every block: all of them are cut alike. */
export const BLOCKS = "block";

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

/** A byte that is touched needs its line apart from the rest of the page: poison and ownership are of whole lines. */
export function cutLine(cuts: Cuts, byte: number): void {
  const first = byte - (byte % LINE_BYTES);
  cuts.cut(BYTES, first);
  cuts.cut(BYTES, first + LINE_BYTES);
}

/** Cuts blocks at the pages that guest addresses and operands name, in whichever block that is. */
export function addBlockCuts(cuts: Cuts, program: Program, gfns: Iterable<number>): void {
  cuts.cut(BLOCKS, 0);
  cuts.page(BLOCKS, 0);
  cuts.cut(BLOCKS, PAGES_OF_BLOCK);
  for (const gfn of gfns) cuts.page(BLOCKS, gfn % PAGES_OF_BLOCK);
  for (const { operands } of program.calls) {
    for (const operand of operands) {
      if (operand.kind !== "handle" || program.handles[operand.handle].kind !== "frame") continue;
      const page = Number(operand.offset >> 12n);
      if (page > 0 && page < PAGES_OF_BLOCK) cuts.page(BLOCKS, page);
    }
  }
}
