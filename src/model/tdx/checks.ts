// The checks that leaves share, in the words of the module (common/helpers/helpers.c): operands, life cycle, guest address, secure EPT, TLB tracking.

import type { TdxOperandName, TdxStatus, TdxStatusName } from "../../base/tdx-status.ts";
import { SHARED_BIT } from "../objects.ts";
import { blockAt, framesOf, pamtBehind, pamtOf } from "./blocks.ts";
import { busy, type Check, type Hpa, type LeafCall, type Locking, MALFORMED, NO_TDMR, NO_TDMR_2M, type Registers } from "./leaf.ts";
import type { LockMode } from "./locks.ts";
import { HIGHEST_GPA, SHARED_BIT_48 } from "./objects.ts";
import { placeAt, type SeptEntry, type TdState, tdAt, tdVcpuAt } from "./state.ts";
import {
  ALLOWED_ENTRY_STATES,
  ALLOWED_OP_STATES,
  isBlockedState,
  LEVEL,
  LIFECYCLE,
  needsTracking,
  opStateNeedsTracking,
  type PageType,
  PT,
  pageTypeName,
  SEPT,
  TDCS_PAGES,
  TDVPS_TDCX,
} from "./tables.ts";

type Name = TdxOperandName;
const answer = (status: TdxStatusName, operand?: Name): TdxStatus => (operand === undefined ? { status } : { status, operand });

/** One question with one answer. */
export function ask(what: string, refusal: TdxStatus, fails: (call: LeafCall) => boolean): Check {
  return { what, answers: [refusal], test: (call) => (fails(call) ? refusal : undefined) };
}

/**
 * pamt_walk: the entry of the page, and above it that of its 2 MB, shared; where that is a page itself the walk ends there. Those of 1 GB are shared by all.
 */
function pamtWalk(call: LeafCall, frame: Hpa, mode: LockMode): Locking[] {
  if (frame <= NO_TDMR) return [];
  const block = blockAt(call.tdx, frame);
  const leaf: Locking = { lock: pamtOf(call.tdx, call.state, frame).lock, mode };
  return !block || leaf.lock === block.pamt.lock ? [leaf] : [{ lock: block.pamt.lock, mode: "shared" }, leaf];
}

/** The format of a page's address, and that it is in a TDMR. */
function addressOf(hpa: (call: LeafCall) => Hpa, operand: Name): Check[] {
  return [
    ask(`the page in ${operand} is 4 KB aligned and carries no key id`, answer("TDX_OPERAND_INVALID", operand), (call) => hpa(call) === MALFORMED),
    ask(`the page in ${operand} is in a TDMR`, answer("TDX_OPERAND_ADDR_RANGE_ERROR", operand), (call) => hpa(call) <= NO_TDMR),
  ];
}

/** A page by its physical address, whatever it is and of whichever size: alignment, range, the lock of its PAMT entry. */
export function lockedPage(of: (registers: Registers) => Hpa | undefined, operand: Name, mode: LockMode): Check[] {
  const hpa = (call: LeafCall): Hpa => of(call.registers) ?? NO_TDMR;
  return [
    ...addressOf(hpa, operand),
    { what: `PAMT entry of the page in ${operand}, ${mode}`, answers: [busy(operand)], lock: (call) => pamtWalk(call, hpa(call), mode) },
  ];
}

/** check_and_lock_explicit_private_hpa: alignment, range, the lock of the PAMT entry, then its size and its type. */
export const pageOperand = (of: (registers: Registers) => Hpa | undefined, operand: Name, mode: LockMode, type: PageType): Check[] => [
  ...lockedPage(of, operand, mode),
  ask(`it is a page of 4 KB, of type ${pageTypeName(type)}`, answer("TDX_PAGE_METADATA_INCORRECT", operand), (call) => {
    const frame = of(call.registers) ?? NO_TDMR;
    const leaf = pamtOf(call.tdx, call.state, frame);
    return leaf !== call.tdx.pamt[frame] || leaf.type.get(call.state) !== type;
  }),
];

/** check_and_lock_free_range_hpa: a page of the size of the level, or memory for one, which nobody has given to the module. */
export function freeRange(operand: Name): Check[] {
  const hpa = ({ registers }: LeafCall): Hpa => registers.page ?? NO_TDMR;
  const large = ({ registers }: LeafCall): boolean => registers.level === LEVEL.PD;
  const blockOf = (call: LeafCall) => (hpa(call) > 0 ? blockAt(call.tdx, hpa(call)) : undefined);
  const aligned = (call: LeafCall): boolean => hpa(call) === NO_TDMR_2M || blockOf(call)?.first === hpa(call);
  const isFree = (call: LeafCall, frame: number): boolean => call.tdx.pamt[frame].type.get(call.state) === PT.NDA;
  return [
    ask(`the page in ${operand} is aligned to the level and carries no key id`, answer("TDX_OPERAND_INVALID", operand), (call) => {
      return hpa(call) === MALFORMED || (large(call) && !aligned(call));
    }),
    ask(`the page in ${operand} is in a TDMR`, answer("TDX_OPERAND_ADDR_RANGE_ERROR", operand), (call) => hpa(call) <= NO_TDMR),
    {
      what: `PAMT entry of the page in ${operand}, of the level's size, exclusive`,
      answers: [busy(operand)],
      lock(call) {
        const block = large(call) ? blockOf(call) : undefined;
        return block ? { lock: block.pamt.lock, mode: "exclusive" } : pamtWalk(call, hpa(call), "exclusive");
      },
    },
    ask(`it, and every page of 4 KB in it, is ${pageTypeName(PT.NDA)}`, answer("TDX_PAGE_METADATA_INCORRECT", operand), (call) => {
      const block = blockOf(call);
      if (block && block.pamt.type.get(call.state) !== PT.NDA) return true;
      return block && large(call) ? framesOf(block).some((frame) => !isFree(call, frame)) : !isFree(call, hpa(call));
    }),
  ];
}

/** The TD whose TDR is in a register. */
export const tdrOperand = (operand: Name, mode: LockMode): Check[] => [
  ...pageOperand((registers) => registers.tdr, operand, mode, PT.TDR),
  { what: "the TD", answers: [], resolve: (call) => void (call.td = tdAt(call.tdx, call.state, call.registers.tdr ?? 0)) },
];

/** A page that becomes the module's: PT_NDA until now. */
export const newPage = (operand: Name): Check[] => pageOperand((registers) => registers.page, operand, "exclusive", PT.NDA);

/** The vCPU whose TDVPR is in a register, and its TD, whose TDR is named by the PAMT entry: an implicit operand, its lock is answered with TDR. */
export const tdvprOperand = (operand: Name, mode: LockMode, tdr: (call: LeafCall) => LockMode = () => "shared"): Check[] => [
  ...pageOperand((registers) => registers.tdvpr, operand, mode, PT.TDVPR),
  {
    what: "the vCPU and its TD",
    answers: [],
    resolve(call) {
      call.vcpu = tdVcpuAt(call.tdx, call.state, call.registers.tdvpr ?? 0);
      call.td = call.vcpu && call.tdx.tds[call.vcpu.td.get(call.state) - 1];
    },
  },
  {
    what: "PAMT entry of the TDR, shared",
    answers: [busy("TDR")],
    lock: (call) => (call.td ? { lock: call.tdx.pamt[call.td.tdr.get(call.state)].lock, mode: tdr(call) } : undefined),
  },
];

export const notFatal = ask("the TD is not fatal", answer("TDX_TD_FATAL"), (call) => call.theTd.fatal.get(call.state) === 1);

export const keysConfigured = ask("its keys are configured", answer("TDX_TD_KEYS_NOT_CONFIGURED"), (call) => {
  return call.theTd.lifecycle.get(call.state) !== LIFECYCLE.KEYS_CONFIGURED;
});

export const tdvpsComplete = ask("the TDVPS has its pages", answer("TDX_TDCX_NUM_INCORRECT"), (call) => {
  return call.theVcpu.numTdcx.get(call.state) < TDVPS_TDCX.min;
});

/**
 * check_any_td_state_map_tdcs_and_lock: what every leaf asks of a live TD. The lock of OP_STATE is not in the state: leaves take it shared, and only those of a
 * migration exclusive.
 */
export const liveTd = (leaf: string): Check[] => [
  notFatal,
  keysConfigured,
  ask("its TDCS is allocated", answer("TDX_TDCS_NOT_ALLOCATED"), (call) => call.theTd.numTdcx.get(call.state) < TDCS_PAGES.min),
  ask("OP_STATE allows the leaf", answer("TDX_OP_STATE_INCORRECT"), (call) => !ALLOWED_OP_STATES[leaf].includes(call.theTd.opState.get(call.state))),
];

const gpaOf = (call: LeafCall): bigint => call.registers.gpa ?? 0n;
export const gfnOfCall = (call: LeafCall): number => Number((gpaOf(call) & HIGHEST_GPA) >> 12n);
const levelOf = (call: LeafCall): number => call.registers.level ?? LEVEL.PT;

/** verify_page_info_input: reserved bits, level, alignment to the size of the level. `max` undefined: the level of the root's entries. */
export const pageInfo = (min: number, max: number | undefined): Check =>
  ask(
    `level ${min === max ? min : `${min} to ${max ?? "that of the root"}`}, and the guest address aligned to it`,
    answer("TDX_OPERAND_INVALID", "RCX"),
    (call) => {
      const level = levelOf(call);
      if (level < min || level > (max ?? call.theTd.pwl.get(call.state))) return true;
      return gpaOf(call) > HIGHEST_GPA || (gpaOf(call) & ((1n << BigInt(12 + 9 * level)) - 1n)) !== 0n;
    },
  );

/** The bit of a guest physical address that makes it a shared one. */
export const sharedBitOf = (td: TdState, state: Int32Array): bigint => (td.wide.get(state) === 1 ? SHARED_BIT : SHARED_BIT_48);

/** check_gpa_validity for a private address. */
function isPrivateGpa(td: TdState, state: Int32Array, gpa: bigint): boolean {
  return gpa < sharedBitOf(td, state);
}

export const privateGpa: Check = ask("the guest address is private and inside the address width", answer("TDX_OPERAND_INVALID", "RCX"), (call) => {
  return !isPrivateGpa(call.theTd, call.state, gpaOf(call));
});

const treeLock = (mode: LockMode): Check => ({
  what: `secure EPT tree, ${mode}`,
  answers: [busy("SEPT_TREE")],
  lock: (call) => ({ lock: call.theTd.tree, mode }),
});

export const entryAt = (td: TdState, gfn: number, level: number): SeptEntry | undefined => td.entries[level].get(placeAt(gfn, level));

/** secure_ept_walk: from the root down to `level`, as far as tables are mapped. Undefined where the scenario names no page there. */
export function walkTo(td: TdState, state: Int32Array, gfn: number, level: number): SeptEntry | undefined {
  for (let at = td.pwl.get(state); ; at--) {
    const entry = entryAt(td, gfn, at);
    if (!entry || at === level || entry.state.get(state) !== SEPT.NL_MAPPED) return entry;
  }
}

export const walk: Check = {
  what: "the walk reaches the entry",
  answers: [answer("TDX_EPT_WALK_FAILED", "RCX")],
  resolve(call) {
    call.entry = call.td && walkTo(call.td, call.state, gfnOfCall(call), levelOf(call));
    call.mapped = call.entry?.frame.get(call.state) ?? NO_TDMR;
  },
  test: (call) => (call.theEntry.level === levelOf(call) ? undefined : answer("TDX_EPT_WALK_FAILED", "RCX")),
};

/** sept_lock_acquire_host: whoever finds it taken leaves the mark of host priority, and whoever gets it takes the mark away. */
const entryLock: Check = {
  what: "secure EPT entry, exclusive",
  answers: [busy("RCX")],
  lock: (call) => (call.entry ? { lock: call.entry.lock, mode: "exclusive" } : undefined),
  contended: (call) => call.theEntry.hostPriority.set(call.state, 1),
  test(call) {
    call.theEntry.hostPriority.set(call.state, 0);
    return undefined;
  },
};

export const entryStateOf = (call: LeafCall): number => call.theEntry.state.get(call.state);

export const entryState = (leaf: string): Check =>
  ask("the state of the entry allows the leaf", answer("TDX_EPT_ENTRY_STATE_INCORRECT", "RCX"), (call) => {
    return !ALLOWED_ENTRY_STATES[leaf].includes(entryStateOf(call));
  });

/** pamt_implicit_get_and_lock of what the entry names; the entries above it in the PAMT are not locked. */
export const mappedPage = (operand: Name = "RCX"): Check => ({
  what: "PAMT entry of the page that is mapped, exclusive",
  answers: [busy(operand)],
  lock: (call) => (call.mapped > 0 ? { lock: pamtBehind(call.tdx, call.state, call.theEntry).lock, mode: "exclusive" } : undefined),
});

/** The lock of PAMT entries that are joined or split; others have it shared while they walk to a page of 4 KB. */
export const joinedPages = (block: (call: LeafCall) => number): Check => ({
  what: "PAMT entry of the large page, exclusive",
  answers: [busy("RCX")],
  lock(call) {
    const large = blockAt(call.tdx, block(call));
    return large && { lock: large.pamt.lock, mode: "exclusive" };
  },
});

/** A TD that may be running has translations of the entry, unless nobody could have made one. */
const tracks = (call: LeafCall): boolean => opStateNeedsTracking(call.theTd.opState.get(call.state)) && needsTracking(entryStateOf(call));

export const blocked: Check = ask("where the TD may be running, the entry is blocked", answer("TDX_GPA_RANGE_NOT_BLOCKED", "RCX"), (call) => {
  return tracks(call) && !isBlockedState(entryStateOf(call));
});

/** is_tlb_tracked: nobody is inside who entered before the TRACK that followed the BLOCK. */
function isTracked(td: TdState, state: Int32Array, bepoch: number): boolean {
  const epoch = td.epoch.get(state);
  if (bepoch >= epoch) return false;
  return bepoch < epoch - 1 || td.refcount[bepoch & 1].get(state) === 0;
}

export const tracked = (operand: Name = "RCX"): Check =>
  ask("where the TD may be running, the block is tracked", answer("TDX_TLB_TRACKING_NOT_DONE", operand), (call) => {
    return tracks(call) && !isTracked(call.theTd, call.state, pamtBehind(call.tdx, call.state, call.theEntry).bepoch.get(call.state));
  });

/** The order of a MEM leaf as far as the entry's state. */
export const toEntry = (leaf: string, mode: LockMode, tree: LockMode, min: number, max: number | undefined): Check[] => [
  ...tdrOperand("RDX", mode),
  ...liveTd(leaf),
  pageInfo(min, max),
  privateGpa,
  treeLock(tree),
  walk,
  entryLock,
];

export const toLeafEntry = (leaf: string, mode: LockMode, tree: LockMode, min: number, max: number | undefined): Check[] => [
  ...toEntry(leaf, mode, tree, min, max),
  entryState(leaf),
];
