// A page by its physical address, whoever owns it: the operand of the leaves that ask the PAMT what it is (tdh_phymem_page_reclaim.c, tdh_phymem_page_rdmd.c).

import { ask } from "./checks.ts";
import { busy, type Check, type Hpa, type LeafCall, MALFORMED, NO_TDMR } from "./leaf.ts";
import type { LockMode } from "./locks.ts";
import { type PageType, PT } from "./tables.ts";

export const physicalPageOf = (call: LeafCall): Hpa => call.registers.page ?? NO_TDMR;

const NAMES = new Map<PageType, string>(Object.entries(PT).map(([name, type]) => [type, `PT_${name}`]));
export const pageTypeName = (type: PageType): string => NAMES.get(type) as string;

/** PT of the page, behind the check that it is one. */
export const pageTypeOf = (call: LeafCall): PageType => call.tdx.pamt[physicalPageOf(call)].type.get(call.state) as PageType;

/** Format, TDMR and PAMT lock of the page in RCX. */
export const physicalPage = (mode: LockMode): Check[] => [
  ask("the page in RCX is 4 KB aligned and carries no key id", { status: "TDX_OPERAND_INVALID", operand: "RCX" }, (call) => physicalPageOf(call) === MALFORMED),
  ask("the page in RCX is in a TDMR", { status: "TDX_OPERAND_ADDR_RANGE_ERROR", operand: "RCX" }, (call) => physicalPageOf(call) === NO_TDMR),
  {
    what: `PAMT entry of the page in RCX, ${mode}`,
    answers: [busy("RCX")],
    lock: (call) => (physicalPageOf(call) > 0 ? { lock: call.tdx.pamt[physicalPageOf(call)].lock, mode } : undefined),
  },
];
