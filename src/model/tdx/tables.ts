// Numbers and tables of the TDX module, version 1.5: page types, states, and which leaf is allowed in which of them. Generated tables of the module:
// auto_gen/op_state_lookup.c, auto_gen/sept_state_lookup.c; memory_handlers/pamt_manager.h, data_structures/td_control_structures.h.

/** Page types of the PAMT (PT). A page of the TDCS and one of a TDVPS behind its root are both TDCX. */
export const PT = { NDA: 0, RSVD: 1, REG: 3, TDR: 4, TDCX: 5, TDVPR: 6, EPT: 8 } as const;

export type PageType = (typeof PT)[keyof typeof PT];

const PAGE_TYPES = new Map<PageType, string>(Object.entries(PT).map(([name, type]) => [type, `PT_${name}`]));
/** As the module writes it: `PT_REG`. */
export const pageTypeName = (type: PageType): string => PAGE_TYPES.get(type) as string;

/** Life cycle of a TD, in its TDR. */
export const LIFECYCLE = { HKID_ASSIGNED: 0, KEYS_CONFIGURED: 1, BLOCKED: 2, TEARDOWN: 3 } as const;
export const LIFECYCLE_NAMES = ["TD_HKID_ASSIGNED", "TD_KEYS_CONFIGURED", "TD_BLOCKED", "TD_TEARDOWN"] as const;

/** OP_STATE in the TDCS; the states of a migration are not modelled. */
export const OP_STATE = { UNINITIALIZED: 0, INITIALIZED: 1, RUNNABLE: 2 } as const;
export const OP_STATE_NAMES = ["UNINITIALIZED", "INITIALIZED", "RUNNABLE"] as const;

/** A key id in the key ownership table. */
export const KOT = { FREE: 0, ASSIGNED: 1, FLUSHED: 2, RESERVED: 3 } as const;
export const KOT_NAMES = ["HKID_FREE", "HKID_ASSIGNED", "HKID_FLUSHED", "HKID_RESERVED"] as const;

/**
 * What was wrong with the order of a key id's states (event `key-order`): freed without a flush, or a page of its TD was worked on while it was not configured.
 */
export const FREED_UNFLUSHED = 1;
export const KEYS_AWAY = 2;

/** VCPU_STATE in the TDVPS, as the state holds it; `VCPU_NAMES` and `PUBLIC_VCPU_STATE` are by this number. */
export const VCPU = { UNINITIALIZED: 0, READY: 1, ACTIVE: 2, DISABLED: 3 } as const;
export const VCPU_NAMES = ["VCPU_UNINITIALIZED", "VCPU_READY", "VCPU_ACTIVE", "VCPU_DISABLED"] as const;
/** What the field of the TDVPS holds in each of them. */
export const PUBLIC_VCPU_STATE = [0, 2, 4, 8] as const;

/** States of a secure EPT entry, as the state holds them; `SEPT_NAMES` and `PUBLIC_STATE` are by this number. */
export const SEPT = { FREE: 0, NL_MAPPED: 1, NL_BLOCKED: 2, MAPPED: 3, BLOCKED: 4, PENDING: 5, PENDING_BLOCKED: 6 } as const;
export type SeptState = (typeof SEPT)[keyof typeof SEPT];

export const SEPT_NAMES = ["FREE", "NL_MAPPED", "NL_BLOCKED", "MAPPED", "BLOCKED", "PENDING", "PENDING_BLOCKED"] as const;
/** What RDX[15:8] says of each state. */
export const PUBLIC_STATE = [0, 0x84, 0x81, 4, 1, 2, 3] as const;

/** A leaf entry: it names a page of the TD. */
export const isLeafState = (state: number): boolean => state >= SEPT.MAPPED;
export const isBlockedState = (state: number): boolean => state === SEPT.NL_BLOCKED || state === SEPT.BLOCKED || state === SEPT.PENDING_BLOCKED;
/** Translations may have come from it, so it goes only when they are tracked: all but FREE, PENDING too. */
export const needsTracking = (state: number): boolean => state !== SEPT.FREE;

/** Levels of entries: 0 names a 4 KB page, 3 is the root of a tree of 4 levels, 4 that of one with 5. */
export const LEVEL = { PT: 0, PD: 1, PDPT: 2, PML4: 3, PML5: 4 } as const;

const { UNINITIALIZED, INITIALIZED, RUNNABLE } = OP_STATE;
const BUILD = [INITIALIZED];
const LIVE = [INITIALIZED, RUNNABLE];

/** OP_STATEs in which each host leaf is allowed; a leaf that is not listed is not asked. */
export const ALLOWED_OP_STATES: Readonly<Record<string, readonly number[]>> = {
  "TDH.VP.ENTER": [RUNNABLE],
  "TDH.MNG.ADDCX": [UNINITIALIZED],
  "TDH.MEM.PAGE.ADD": BUILD,
  "TDH.MEM.SEPT.ADD": LIVE,
  "TDH.VP.ADDCX": BUILD,
  "TDH.MEM.PAGE.RELOCATE": LIVE,
  "TDH.MEM.PAGE.AUG": LIVE,
  "TDH.MEM.RANGE.BLOCK": LIVE,
  "TDH.VP.CREATE": BUILD,
  "TDH.MNG.RD": LIVE,
  "TDH.MEM.RD": LIVE,
  "TDH.MNG.WR": LIVE,
  "TDH.MEM.WR": LIVE,
  "TDH.MEM.PAGE.DEMOTE": LIVE,
  "TDH.MEM.PAGE.PROMOTE": LIVE,
  "TDH.MR.EXTEND": BUILD,
  "TDH.MR.FINALIZE": BUILD,
  "TDH.VP.FLUSH": [UNINITIALIZED, INITIALIZED, RUNNABLE],
  "TDH.MNG.INIT": [UNINITIALIZED],
  "TDH.VP.INIT": BUILD,
  "TDH.MEM.SEPT.RD": LIVE,
  "TDH.VP.RD": LIVE,
  "TDH.MEM.PAGE.REMOVE": LIVE,
  "TDH.MEM.SEPT.REMOVE": LIVE,
  "TDH.MEM.TRACK": LIVE,
  "TDH.MEM.RANGE.UNBLOCK": LIVE,
  "TDH.VP.WR": LIVE,
};

/** Only a TD that may be running has translations to track. */
export const opStateNeedsTracking = (opState: number): boolean => opState === RUNNABLE;

const { FREE, NL_MAPPED, NL_BLOCKED, MAPPED, BLOCKED, PENDING, PENDING_BLOCKED } = SEPT;
const LEAVES = [MAPPED, BLOCKED, PENDING, PENDING_BLOCKED];

/** Entry states in which each leaf passes the state table. Blocked and tracked are asked after it. */
export const ALLOWED_ENTRY_STATES: Readonly<Record<string, readonly number[]>> = {
  "TDH.MEM.PAGE.ADD": [FREE],
  "TDH.MEM.SEPT.ADD": [FREE, NL_MAPPED],
  "TDH.MEM.PAGE.RELOCATE": LEAVES,
  "TDH.MEM.PAGE.AUG": [FREE],
  "TDH.MEM.RANGE.BLOCK": [NL_MAPPED, MAPPED, PENDING],
  "TDH.MEM.RD": [MAPPED],
  "TDH.MEM.WR": [MAPPED],
  "TDH.MEM.PAGE.DEMOTE": LEAVES,
  "TDH.MR.EXTEND": [MAPPED],
  "TDH.MEM.PAGE.PROMOTE": [NL_MAPPED, NL_BLOCKED],
  "TDH.MEM.SEPT.RD": [FREE, NL_MAPPED, NL_BLOCKED, ...LEAVES],
  "TDH.MEM.PAGE.REMOVE": LEAVES,
  "TDH.MEM.SEPT.REMOVE": [NL_MAPPED, NL_BLOCKED],
  "TDH.MEM.RANGE.UNBLOCK": [NL_BLOCKED, BLOCKED, PENDING_BLOCKED],
  "TDG.MEM.PAGE.ACCEPT": [PENDING],
  "TDG.MEM.PAGE.ATTR.RD": [MAPPED, PENDING],
  "TDG.MEM.PAGE.ATTR.WR": [MAPPED, PENDING],
};

/** Control pages: a TDCS has at least 6 and at most 9; a TDVPS without L2 VMs its root and at least 5 more, with three L2 VMs 14 (TDX_1.5.01). */
export const TDCS_PAGES = { min: 6, max: 9 } as const;
export const TDVPS_TDCX = { min: 5, max: 14 } as const;

/** Private key ids of the modelled machine, as many as it has shared ones; the first is the module's own. */
export const PRIVATE_HKIDS = { first: 32, count: 32 } as const;
export const GLOBAL_HKID = PRIVATE_HKIDS.first;

/** Width of the physical address of the modelled machine, in bits; key ids stand above it. */
export const PHYSICAL_BITS = 46;

/** The most statuses that one check of a leaf can answer, and the most checks of a leaf. */
export const ANSWERS_MAX = 2;
export const CHECKS_MAX = 60;
/** A refusal as a number above 0, for the thread that is about to answer it. */
export const REFUSAL_MAX = ANSWERS_MAX * CHECKS_MAX;
