// Leaves that take a TD apart: its vCPUs off their processors, its key id back, its pages to the host (tdh_vp_flush.c, tdh_mng_vpflushdone.c,
// tdh_mng_key_freeid.c, tdh_mng_key_reclaimid.c, tdh_phymem_page_reclaim.c). A fatal TD can be taken apart as any other: none of them looks at that.

import { Field } from "../layout.ts";
import { blockAt } from "./blocks.ts";
import { allPackages, kotLock } from "./build.ts";
import { ask, keysConfigured, tdrOperand, tdvprOperand, tdvpsComplete } from "./checks.ts";
import { ownLines } from "./hardware.ts";
import { busy, type Check, type Leaf, type LeafCall } from "./leaf.ts";
import { freePage, GLOBAL_KEY } from "./pages.ts";
import { isLargePage, pageTypeOf, physicalEntry, physicalPage, physicalPageOf, sizeText } from "./physical.ts";
import { type KeyState, type TdState, type TdVcpuState, tdAt, tdVcpuAt } from "./state.ts";
import { FREED_UNFLUSHED, KOT, LIFECYCLE, OP_STATE, PT, pageTypeName, TDCS_PAGES } from "./tables.ts";
import { flushProcessor, processorOf } from "./vp.ts";

const vpFlush: Leaf = {
  name: "TDH.VP.FLUSH",
  number: 18,
  checks: [
    ...tdvprOperand("RCX", "exclusive"),
    keysConfigured,
    tdvpsComplete,
    ask("the vCPU is associated with this processor", { status: "TDX_VCPU_NOT_ASSOCIATED" }, (call) => {
      return call.theVcpu.lp.get(call.state) !== processorOf(call, call.theVcpu) + 1;
    }),
  ],
  writes: ["td", "tlb"],
  commit(call) {
    const { state, theTd: td, theVcpu: vcpu } = call;
    const lp = vcpu.lp.get(state) - 1;
    flushProcessor(call, lp);
    vcpu.lp.set(state, 0);
    // Asked again only of a vCPU that is associated, and whoever associates it sets it.
    vcpu.epoch.set(state, 0);
    td.numAssociated.set(state, td.numAssociated.get(state) - 1);
    call.say(`${vcpu.object.name} leaves processor ${lp}, whose TLB for the TD is flushed`);
    return undefined;
  },
};

const keyOfTd = (call: LeafCall): KeyState => call.tdx.keys[call.theTd.key.get(call.state)];

const vpFlushDone: Leaf = {
  name: "TDH.MNG.VPFLUSHDONE",
  number: 19,
  checks: [
    ...tdrOperand("RCX", "exclusive"),
    kotLock("exclusive"),
    ask("its key id is assigned", { status: "TDX_LIFECYCLE_STATE_INCORRECT" }, (call) => {
      const lifecycle = call.theTd.lifecycle.get(call.state);
      return lifecycle !== LIFECYCLE.HKID_ASSIGNED && lifecycle !== LIFECYCLE.KEYS_CONFIGURED;
    }),
    ask("no vCPU is associated with a processor", { status: "TDX_FLUSHVP_NOT_DONE" }, ({ state, theTd: td }) => {
      const hasTdcs = td.numTdcx.get(state) >= TDCS_PAGES.min && td.opState.get(state) !== OP_STATE.UNINITIALIZED;
      return hasTdcs && td.numAssociated.get(state) !== 0;
    }),
  ],
  writes: ["td"],
  commit(call) {
    const { state, theTd: td } = call;
    const key = keyOfTd(call);
    key.wbinvd.set(state, allPackages(call));
    key.state.set(state, KOT.FLUSHED);
    td.lifecycle.set(state, LIFECYCLE.BLOCKED);
    call.say(`${td.object.name} is blocked: no leaf reaches its pages any more; key id ${key.hkid} waits for the caches of ${call.tdx.packages} package(s)`);
    return undefined;
  },
};

const keyFreeId: Leaf = {
  name: "TDH.MNG.KEY.FREEID",
  number: 20,
  checks: [
    ...tdrOperand("RCX", "exclusive"),
    ask("the TD is blocked", { status: "TDX_LIFECYCLE_STATE_INCORRECT" }, (call) => call.theTd.lifecycle.get(call.state) !== LIFECYCLE.BLOCKED),
    kotLock("exclusive"),
    ask("every package has written its caches back", { status: "TDX_WBCACHE_NOT_COMPLETE" }, (call) => keyOfTd(call).wbinvd.get(call.state) !== 0),
  ],
  writes: ["td", "content"],
  commit(call) {
    const key = keyOfTd(call);
    // The TDR is written behind the write-back of the caches, so that it needs one of its own (tdx_reclaim_td_control_pages).
    ownLines(call.machine, call.state, call.theTd.tdr.get(call.state), GLOBAL_KEY);
    if (key.state.get(call.state) !== KOT.FLUSHED) call.machine.emit("key-order", call.tdx.keys.indexOf(key), FREED_UNFLUSHED);
    key.state.set(call.state, KOT.FREE);
    call.theTd.lifecycle.set(call.state, LIFECYCLE.TEARDOWN);
    call.say(`key id ${key.hkid} is free, the pages of ${call.theTd.object.name} can be reclaimed`);
    return undefined;
  },
};

/** Kept for callers of version 1.0: it looks at nothing and does nothing. */
const keyReclaimId: Leaf = { name: "TDH.MNG.KEY.RECLAIMID", number: 27, checks: [], writes: [], commit: () => undefined };

const isTdr = (call: LeafCall): boolean => pageTypeOf(call) === PT.TDR;

/** The TD that a page belongs to; of a TDR, which has no owner, the TD that it is the root of. */
const ownerOf: Check = {
  what: "the TD that the page belongs to",
  answers: [],
  resolve(call) {
    if (physicalPageOf(call) <= 0) return;
    call.td = isTdr(call) ? tdAt(call.tdx, call.state, physicalPageOf(call)) : call.tdx.tds[physicalEntry(call).owner.get(call.state) - 1];
  },
};

const pageReclaim: Leaf = {
  name: "TDH.PHYMEM.PAGE.RECLAIM",
  number: 28,
  checks: [
    ...physicalPage("exclusive"),
    ask(
      "the page is the module's",
      { status: "TDX_PAGE_METADATA_INCORRECT", operand: "RCX" },
      (call) => pageTypeOf(call) === PT.NDA || pageTypeOf(call) === PT.RSVD,
    ),
    ask("a page of 2 MB is named by its first one", { status: "TDX_OPERAND_INVALID", operand: "RCX" }, (call) => {
      return isLargePage(call) && blockAt(call.tdx, physicalPageOf(call))?.first !== physicalPageOf(call);
    }),
    ownerOf,
    {
      what: "PAMT entry of the TDR that owns it, shared",
      answers: [busy("TDR")],
      lock: (call) => (call.td && !isTdr(call) ? { lock: call.tdx.pamt[call.td.tdr.get(call.state)].lock, mode: "shared" } : undefined),
    },
    ask("the TD is being torn down", { status: "TDX_LIFECYCLE_STATE_INCORRECT" }, (call) => call.theTd.lifecycle.get(call.state) !== LIFECYCLE.TEARDOWN),
    ask("of a TDR: no other page of the TD is left", { status: "TDX_TD_ASSOCIATED_PAGES_EXIST" }, (call) => {
      return isTdr(call) && call.theTd.chldcnt.get(call.state) !== 0;
    }),
  ],
  writes: ["td", "sept", "pamt", "tlb", "module"],
  commit(call) {
    const { state, theTd: td } = call;
    const frame = physicalPageOf(call);
    const type = pageTypeOf(call);
    call.output = frame;
    const owner = type === PT.TDR ? "no owner" : `the TDR, frame ${td.tdr.get(state)}`;
    call.say(`RCX ${pageTypeName(type)}, RDX ${owner}, R8 ${sizeText(call)}: frame ${frame} is the host's again`);
    const vcpu = type === PT.TDVPR ? tdVcpuAt(call.tdx, state, frame) : undefined;
    if (vcpu) forget(state, vcpu);
    if (type === PT.TDR) forget(state, td);
    freePage(call, frame, type === PT.TDR ? undefined : td);
    return undefined;
  },
};

const FIELDS = new WeakMap<TdState | TdVcpuState, readonly Field[]>();

/** Every field of a TD or of a vCPU that is no more, so that situations which are alike are one state. */
function forget(state: Int32Array, gone: TdState | TdVcpuState): void {
  let fields = FIELDS.get(gone);
  if (!fields) {
    const { object: _object, ...words } = gone;
    FIELDS.set(gone, (fields = fieldsIn(words)));
  }
  for (const field of fields) field.set(state, 0);
}

function fieldsIn(value: unknown): Field[] {
  if (value instanceof Field) return [value];
  if (value instanceof Map || Array.isArray(value)) return [...value.values()].flatMap(fieldsIn);
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(fieldsIn) : [];
}

export const teardownLeaves: readonly Leaf[] = [vpFlush, vpFlushDone, keyFreeId, keyReclaimId, pageReclaim];
