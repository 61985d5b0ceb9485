// A page by its physical address, whoever owns it: the operand of the leaves that ask the PAMT what it is (tdh_phymem_page_reclaim.c, tdh_phymem_page_rdmd.c).

import { pamtOf } from "./blocks.ts";
import { lockedPage } from "./checks.ts";
import { type Check, type Hpa, type LeafCall, NO_TDMR } from "./leaf.ts";
import type { LockMode } from "./locks.ts";
import type { PamtEntry } from "./state.ts";
import type { PageType } from "./tables.ts";

export const physicalPageOf = (call: LeafCall): Hpa => call.registers.page ?? NO_TDMR;

/** The PAMT entry of the page, behind the check that it is one. */
export const physicalEntry = (call: LeafCall): PamtEntry => pamtOf(call.tdx, call.state, physicalPageOf(call));
export const pageTypeOf = (call: LeafCall): PageType => physicalEntry(call).type.get(call.state) as PageType;
/** The entry is one of 2 MB. */
export const isLargePage = (call: LeafCall): boolean => physicalEntry(call) !== call.tdx.pamt[physicalPageOf(call)];
/** What R8 says. */
export const sizeText = (call: LeafCall): string => (isLargePage(call) ? "2 MB" : "4 KB");

/** Format, TDMR and PAMT lock of the page in RCX. */
export const physicalPage = (mode: LockMode): Check[] => lockedPage((registers) => registers.page, "RCX", mode);
