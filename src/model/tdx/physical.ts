// A page by its physical address, whoever owns it: the operand of the leaves that ask the PAMT what it is (tdh_phymem_page_reclaim.c, tdh_phymem_page_rdmd.c).

import { lockedPage } from "./checks.ts";
import { type Check, type Hpa, type LeafCall, NO_TDMR } from "./leaf.ts";
import type { LockMode } from "./locks.ts";
import type { PageType } from "./tables.ts";

export const physicalPageOf = (call: LeafCall): Hpa => call.registers.page ?? NO_TDMR;

/** PT of the page, behind the check that it is one. */
export const pageTypeOf = (call: LeafCall): PageType => call.tdx.pamt[physicalPageOf(call)].type.get(call.state) as PageType;

/** Format, TDMR and PAMT lock of the page in RCX. */
export const physicalPage = (mode: LockMode): Check[] => lockedPage((registers) => registers.page, "RCX", mode);
