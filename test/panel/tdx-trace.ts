// A trace of a TD for the tests of the panel, made by the product itself: a removal that the module lets pass while a vCPU is inside.

import { check } from "../../src/check/index.ts";
import { analyse } from "../../src/language/index.ts";
import type { TraceView } from "../../src/view/rows.ts";
import { trace } from "../../src/view/trace.ts";
import { running } from "../model/tdx/support.ts";

export const REMOVAL = `kernel unchecked extends 6.18 { SEAMCALL without acquire }
scenario "removal without a kick" {
  kernel unchecked
  check tlb-tracked, sept-pamt-agree, cache-flushed, key-order
${running()}
  parallel {
    vmm { TDH.MEM.RANGE.BLOCK(td, 0x1000, 0); TDH.MEM.TRACK(td); TDH.MEM.PAGE.REMOVE(td, 0x1000, 0) }
    vcpu0 { store(0x1000, 1); load(0x1000) }
  }
}
`;

/** It ends with the split of a page of 2 MB, of which one page has a name. */
export const SPLIT = `scenario "split" {
  kernel 6.18
${running()}
  large = alloc_frame(2M)
  TDH.MEM.PAGE.AUG(td, 2M, 1, large)
  small = alloc_frame()
  TDH.MEM.RANGE.BLOCK(td, 2M, 1); TDH.MEM.TRACK(td)
  TDH.MEM.PAGE.DEMOTE(td, 2M, 1, small) = TDX_SUCCESS
}
`;

/** The trace that the product shows of a text with one scenario. */
export function traceOf(text: string, file = "tdx.memfd"): TraceView {
  const [program] = analyse(file, text, { imports: () => undefined }).programs;
  const lineOf = ({ from }: { from: number }) => ({ file, line: text.slice(0, from).split("\n").length });
  return trace(program, check(program, { now: () => 0 }), { lineOf });
}
