// Invariants of the TDX module's own ledgers: secure EPT against PAMT, TLBs against both, vCPUs inside against REFCOUNT, key ids against TDs. Without TDX
// there is nothing to ask.

import { formatAddress } from "../base/units.ts";
import type { Machine } from "../model/machine.ts";
import { PAGES_OF_BLOCK } from "../model/objects.ts";
import { blockAt, frameBehind, isLarge, leafEntry, pagesOf, pamtOf, unnamedFrames } from "../model/tdx/blocks.ts";
import type { PamtEntry, SeptEntry, TdState, TdVcpuState, TdxState } from "../model/tdx/state.ts";
import { isHeldAtTheDoor } from "../model/tdx/stepping.ts";
import {
  FREED_UNFLUSHED,
  isLeafState,
  KEYS_AWAY,
  KOT,
  KOT_NAMES,
  LEVEL,
  LIFECYCLE,
  type PageType,
  PT,
  pageTypeName,
  SEPT,
  SEPT_NAMES,
  VCPU,
} from "../model/tdx/tables.ts";
import { type Check, type Invariant, overStates } from "./types.ts";

export const NOTHING: Check = () => {};
/** Subjects: a TD and one of its frames, 0 for its count of pages; a vCPU and a place in its TLB. */
const PER_TD = 0x10000;

export const tdxOf = (machine: Machine): TdxState => machine.tdx as TdxState;
export const gpaText = (gfn: number): string => `gpa ${formatAddress(BigInt(gfn) << 12n)}`;

const pageTypeOf = (type: number): string => pageTypeName(type as PageType);

/** The secure EPT of such a TD is within reach; behind TDH.MNG.VPFLUSHDONE its pages come back in any order. */
export const isLive = (td: TdState, state: Int32Array): boolean => td.tdr.get(state) > 0 && td.lifecycle.get(state) === LIFECYCLE.KEYS_CONFIGURED;

const entriesOf = (td: TdState): SeptEntry[] => td.entries.flatMap((level) => [...level.values()]);

/** What the PAMT has of one page: a frame stands for `pages` of 4 KB, or for 512 where it begins a page of 2 MB. */
interface Ledger {
  readonly frame: number;
  readonly entry: PamtEntry;
  readonly pages: number;
}

/** By frame from 1 on, behind them the blocks. */
function ledgers(tdx: TdxState): Ledger[] {
  const small = tdx.pamt.map((entry, frame): Ledger => {
    const block = blockAt(tdx, frame);
    return { frame, entry, pages: block ? pagesOf(block, frame) : 1 };
  });
  return [...small.slice(1), ...tdx.blocks.map(({ first, pamt }): Ledger => ({ frame: first, entry: pamt, pages: PAGES_OF_BLOCK }))];
}

function checkAgreement(tdx: TdxState): Check {
  const perTd = tdx.tds.map((td) => ({ td, entries: entriesOf(td) }));
  const pages = ledgers(tdx);
  /** By ledger: 4 KB pages by their frame, behind them those of 2 MB. */
  const named = new Int32Array(tdx.pamt.length + tdx.blocks.length);
  return (state, broken) => {
    for (const { td, entries } of perTd) {
      if (!isLive(td, state)) continue;
      const subject = td.object.index * PER_TD;
      const owner = td.object.index + 1;
      const isOf = ({ type, owner: of }: PamtEntry, wanted: number): boolean => type.get(state) === wanted && of.get(state) === owner;
      named.fill(0);
      for (const entry of entries) {
        const is = entry.state.get(state);
        if (is === SEPT.FREE) continue;
        const frame = entry.frame.get(state);
        const block = isLarge(entry, state) ? blockAt(tdx, frame) : undefined;
        if (!isOf(block?.pamt ?? tdx.pamt[frame], isLeafState(is) ? PT.REG : PT.EPT)) broken(subject + frame);
        named[block ? tdx.pamt.length + block.index : frame] += 1;
      }
      for (const frame of unnamedFrames(tdx, state, td)) {
        if (!isOf(tdx.pamt[frame], PT.REG)) broken(subject + frame);
        named[frame] += 1;
      }
      let owned = 0;
      for (let at = 0; at < pages.length; at++) {
        const { frame, entry, pages: count } = pages[at];
        if (entry.owner.get(state) !== owner) continue;
        owned += count;
        const is = entry.type.get(state);
        if ((is === PT.REG || is === PT.EPT) && named[at + 1] !== 1) broken(subject + frame);
      }
      if (owned !== td.chldcnt.get(state)) broken(subject);
    }
  };
}

/** Both ledgers about a frame, in words. */
function disagreement(tdx: TdxState, state: Int32Array, td: TdState, frame: number): string {
  const entries = entriesOf(td).filter((entry) => entry.state.get(state) !== SEPT.FREE && entry.frame.get(state) === frame);
  const named = entries.map(
    (entry) => `${gpaText(entry.gfn)}${entry.level === LEVEL.PT ? "" : ` level ${entry.level}`} (${SEPT_NAMES[entry.state.get(state)]})`,
  );
  const { type, owner } = pamtOf(tdx, state, frame);
  const of = owner.get(state) === 0 ? "nobody's" : `of ${tdx.tds[owner.get(state) - 1].object.name}`;
  const by = named.length === 0 ? "no entry" : named.length === 1 ? `the entry of ${named[0]}` : `the entries of ${named.join(" and ")}`;
  return `${by} of the secure EPT of ${td.object.name} names frame ${frame}, and the PAMT has it as ${pageTypeOf(type.get(state))}, ${of}`;
}

const septPamtAgree: Invariant = {
  name: "sept-pamt-agree",
  reads: ["td", "sept", "pamt"],
  ...overStates((machine) => (machine.tdx ? checkAgreement(machine.tdx) : NOTHING)),
  describe(machine, subject, state) {
    const td = tdxOf(machine).tds[Math.floor(subject / PER_TD)];
    const { name } = td.object;
    const frame = subject % PER_TD;
    const index = td.object.index;
    if (frame > 0) return { subject: `${name} frame ${frame}`, message: disagreement(tdxOf(machine), state, td, frame), about: { td: index, frame } };
    const pages = ledgers(tdxOf(machine)).filter(({ entry }) => entry.owner.get(state) === index + 1);
    const owned = pages.reduce((sum, page) => sum + page.pages, 0);
    return { subject: name, message: `CHLDCNT of ${name} is ${td.chldcnt.get(state)}, and the PAMT has ${owned} pages of it`, about: { td: index } };
  },
};

/** Hits go on for a vCPU that is inside, and for one that would enter without flushing; a fatal TD is not entered any more. */
export function isUsable(td: TdState, vcpu: TdVcpuState, state: Int32Array): boolean {
  if (vcpu.state.get(state) === VCPU.ACTIVE) return true;
  if (td.fatal.get(state) === 1 || vcpu.state.get(state) !== VCPU.READY) return false;
  return vcpu.lp.get(state) !== 0 && vcpu.epoch.get(state) === td.epoch.get(state);
}

function checkTracking(tdx: TdxState): Check {
  const perVcpu = tdx.vcpus.map((vcpu) => ({ vcpu, entries: [...vcpu.tlb] }));
  return (state, broken) => {
    perVcpu.forEach(({ vcpu, entries }, index) => {
      const td = tdx.tds[vcpu.td.get(state) - 1];
      if (!td || !isLive(td, state) || !isUsable(td, vcpu, state)) return;
      entries.forEach(([gfn, field], place) => {
        const frame = field.get(state);
        if (frame === 0) return;
        const entry = leafEntry(td, state, gfn);
        const is = entry?.state.get(state) ?? SEPT.FREE;
        const mapped = (is === SEPT.MAPPED || is === SEPT.BLOCKED) && entry !== undefined && frameBehind(tdx, state, entry, gfn) === frame;
        const { type, owner } = pamtOf(tdx, state, frame);
        if (!mapped || type.get(state) !== PT.REG || owner.get(state) !== td.object.index + 1) broken(index * PER_TD + place);
      });
    });
  };
}

const tlbTracked: Invariant = {
  name: "tlb-tracked",
  reads: ["td", "sept", "pamt", "tlb"],
  ...overStates((machine) => (machine.tdx ? checkTracking(machine.tdx) : NOTHING)),
  describe(machine, subject, state) {
    const tdx = tdxOf(machine);
    const vcpu = tdx.vcpus[Math.floor(subject / PER_TD)];
    const [gfn, field] = [...vcpu.tlb][subject % PER_TD];
    const frame = field.get(state);
    const td = tdx.tds[vcpu.td.get(state) - 1];
    const entry = td && leafEntry(td, state, gfn);
    const is = SEPT_NAMES[entry?.state.get(state) ?? SEPT.FREE];
    const now = entry === undefined || is === "FREE" ? "FREE" : `${is} with frame ${frameBehind(tdx, state, entry, gfn)}`;
    const hits = vcpu.state.get(state) === VCPU.ACTIVE ? "is in the guest and" : "would enter without a flush and";
    return {
      subject: `${vcpu.object.name} ${gpaText(gfn)}`,
      message: `${vcpu.object.name} ${hits} hits ${gpaText(gfn)} -> frame ${frame} in its TLB, but the secure EPT has ${now} there and the PAMT ${pageTypeOf(pamtOf(tdx, state, frame).type.get(state))}`,
      about: { ...(td ? { td: td.object.index } : {}), gfn, frame },
    };
  },
};

/** Subjects: a TD and a parity of epochs, then vCPUs. */
function checkEpochs(tdx: TdxState): Check {
  return (state, broken) => {
    for (const td of tdx.tds) {
      // A TD that has died inside keeps the count of the vCPU that it died on.
      if (!isLive(td, state) || td.fatal.get(state) === 1) continue;
      const epoch = td.epoch.get(state);
      const inside = [0, 0];
      tdx.vcpus.forEach((vcpu, index) => {
        if (vcpu.td.get(state) !== td.object.index + 1 || (vcpu.state.get(state) !== VCPU.ACTIVE && !isHeldAtTheDoor(vcpu, state))) return;
        const entered = vcpu.epoch.get(state);
        inside[entered & 1] += 1;
        if (entered !== epoch && entered !== epoch - 1) broken(2 * tdx.tds.length + index);
      });
      for (const parity of [0, 1]) if (td.refcount[parity].get(state) !== inside[parity]) broken(2 * td.object.index + parity);
    }
  };
}

const epochCounted: Invariant = {
  name: "epoch-counted",
  reads: ["td"],
  ...overStates((machine) => (machine.tdx ? checkEpochs(machine.tdx) : NOTHING)),
  describe(machine, subject, state) {
    const tdx = tdxOf(machine);
    const vcpu = tdx.vcpus[subject - 2 * tdx.tds.length];
    if (vcpu) {
      const td = tdx.tds[vcpu.td.get(state) - 1];
      const message = `${vcpu.object.name} is in the guest since epoch ${vcpu.epoch.get(state)}, and TD_EPOCH is ${td?.epoch.get(state)}`;
      return { subject: vcpu.object.name, message, about: td ? { td: td.object.index } : {} };
    }
    const td = tdx.tds[subject >> 1];
    const message = `REFCOUNT[${subject & 1}] of ${td.object.name} is ${td.refcount[subject & 1].get(state)}, and so many vCPUs that entered in such an epoch are not inside`;
    return { subject: td.object.name, message, about: { td: td.object.index } };
  },
};

const LIVING: readonly number[] = [LIFECYCLE.HKID_ASSIGNED, LIFECYCLE.KEYS_CONFIGURED];

/** Whether a key id stands where its TD says; a leaked one stays assigned for ever. */
function isInOrder(tdx: TdxState, state: Int32Array, key: number): boolean {
  const is = tdx.keys[key].state.get(state);
  let holders = 0;
  let flushed = 0;
  for (const td of tdx.tds) {
    const lifecycle = td.lifecycle.get(state);
    if (td.tdr.get(state) === 0 || td.key.get(state) !== key || lifecycle === LIFECYCLE.TEARDOWN) continue;
    holders += 1;
    if (lifecycle === LIFECYCLE.BLOCKED) flushed += 1;
    if (lifecycle === LIFECYCLE.KEYS_CONFIGURED && td.configured.get(state) !== (1 << tdx.packages) - 1) return false;
  }
  if (is === KOT.FREE) return holders === 0 && tdx.keys[key].wbinvd.get(state) === 0;
  return holders === 1 && flushed === (is === KOT.FLUSHED ? 1 : 0);
}

/** Subjects: key ids by their index, behind them the same for what a leaf did. */
const keyOrder: Invariant = {
  name: "key-order",
  reads: ["td"],
  ...overStates((machine) => {
    const { tdx } = machine;
    if (!tdx) return NOTHING;
    return (state, broken) => {
      for (let key = 1; key < tdx.keys.length; key++) if (!isInOrder(tdx, state, key)) broken(key);
    };
  }),
  event: (machine, event) => (event.kind === "key-order" ? event.b * tdxOf(machine).keys.length + event.a : undefined),
  describe(machine, subject, state) {
    const tdx = tdxOf(machine);
    const { hkid, state: kot, wbinvd } = tdx.keys[subject % tdx.keys.length];
    const key = `key id ${hkid}`;
    const what = Math.floor(subject / tdx.keys.length);
    const holders = tdx.tds.filter((td) => td.tdr.get(state) > 0 && tdx.keys[td.key.get(state)].hkid === hkid && LIVING.includes(td.lifecycle.get(state)));
    const about = holders.length > 0 ? { td: holders[0].object.index } : {};
    if (what === FREED_UNFLUSHED) return { subject: key, message: `${key} is free again without having been flushed by TDH.MNG.VPFLUSHDONE`, about };
    if (what === KEYS_AWAY) return { subject: key, message: `a page of the TD with ${key} is worked on while its key is not configured`, about };
    if (holders.length > 1) return { subject: key, message: `${key} belongs to ${holders.map(({ object }) => object.name).join(" and ")}`, about };
    if (kot.get(state) === KOT.FREE && wbinvd.get(state) !== 0)
      return { subject: key, message: `${key} is free, and not every package has written its caches back since it was flushed`, about };
    return { subject: key, message: `${key} is ${KOT_NAMES[kot.get(state)]}, which is not what the life cycle of its TD says`, about };
  },
};

export const tdxInvariants: readonly Invariant[] = [septPamtAgree, tlbTracked, epochCounted, keyOrder];
