// Leaves on physical pages and the caches of a package: lines of a key id must have reached memory before the key id or the page goes to somebody else
// (tdh_phymem_cache_wb.c, tdh_phymem_page_wbinvd.c, tdh_phymem_page_rdmd.c).

import type { TdxStatus } from "../../base/tdx-status.ts";
import { kotLock, packageBit, packageOf } from "./build.ts";
import { ask, pageOperand } from "./checks.ts";
import { flushShared, writeBack } from "./hardware.ts";
import { busy, type Hpa, type Leaf, type LeafCall, MALFORMED, type Registers } from "./leaf.ts";
import { pageTypeOf, physicalEntry, physicalPage, sizeText } from "./physical.ts";
import type { KeyState, WriteBackState } from "./state.ts";
import { GLOBAL_HKID, KOT, PRIVATE_HKIDS, PT, pageTypeName } from "./tables.ts";

const isFlushed = (call: LeafCall, key: KeyState): boolean => key.hkid !== GLOBAL_HKID && key.state.get(call.state) === KOT.FLUSHED;

const commandOf = (call: LeafCall): bigint => call.registers.values?.resume ?? 0n;
const resumes = (call: LeafCall): boolean => commandOf(call) === 1n;
/** Undefined on a machine on which nothing interrupts. */
const sessionOf = (call: LeafCall): WriteBackState | undefined => call.tdx.writeBacks[packageOf(call)];

const INTERRUPTED: TdxStatus = { status: "TDX_INTERRUPTED_RESUMABLE" };

export const cacheWb: Leaf = {
  name: "TDH.PHYMEM.CACHE.WB",
  number: 40,
  checks: [
    ask("the command is start or resume", { status: "TDX_OPERAND_INVALID", operand: "RCX" }, (call) => commandOf(call) > 1n),
    {
      what: "caches of the package, exclusive",
      answers: [busy("WBCACHE")],
      lock: (call) => ({ lock: call.tdx.cacheLocks[packageOf(call)], mode: "exclusive" }),
    },
    kotLock("shared"),
    {
      what: "a start forgets where another one was interrupted on the package",
      answers: [],
      effect(call) {
        const session = sessionOf(call);
        if (session && !resumes(call)) endSession(call.state, session);
      },
    },
    ask("to start: some key id is flushed", { status: "TDX_NO_HKID_READY_TO_WBCACHE" }, (call) => {
      return !resumes(call) && !call.tdx.keys.some((key) => isFlushed(call, key));
    }),
    ask("to resume: it was interrupted on this package", { status: "TDX_WBCACHE_RESUME_ERROR" }, (call) => {
      return resumes(call) && sessionOf(call)?.interrupted.get(call.state) !== 1;
    }),
  ],
  interruptions: [INTERRUPTED],
  acquires: ["td"],
  writes: ["td", "content"],
  commit(call) {
    const { state, tdx } = call;
    const session = sessionOf(call);
    // A key id that was flushed after the start has to wait for the next one: caches that were written before may hold lines of it.
    const keys = tdx.keys.filter((key, index) => (resumes(call) ? session?.keys[index].get(state) === 1 : isFlushed(call, key)));
    if (session && call.context.pick(2) === 1) {
      session.interrupted.set(state, 1);
      tdx.keys.forEach((key, index) => void session.keys[index].set(state, keys.includes(key) ? 1 : 0));
      return INTERRUPTED;
    }
    if (session) endSession(state, session);
    for (const key of keys) key.wbinvd.set(state, key.wbinvd.get(state) & ~packageBit(call));
    call.say(`package ${packageOf(call)} has written its caches back for key id ${keys.map((key) => key.hkid).join(", ")}`);
    reachMemory(call, keys);
    return undefined;
  },
};

/** A session that was given up by a new start, or is through, leaves nothing behind. */
function endSession(state: Int32Array, session: WriteBackState): void {
  session.interrupted.set(state, 0);
  for (const key of session.keys) key.set(state, 0);
}

/**
 * Modified lines reach memory. Which package holds a line is not in the state: those of a flushed key, to which nobody writes any more, are all out when every
 * package is through; other lines where there is one package and nothing came in between. Of a page modified under two keys the last writer is unknown, so what
 * is no flushed key's stays in the cache.
 */
function reachMemory(call: LeafCall, keys: readonly KeyState[]): void {
  const { machine, state, tdx } = call;
  const everything = tdx.packages === 1 && !resumes(call);
  tdx.lines.forEach((line, frame) => {
    if (frame === 0) return;
    const key = line.privateDirty.get(state) - 1;
    const isShared = line.sharedDirty.get(state) === 1;
    if (key >= 0 && (keys.includes(tdx.keys[key]) ? tdx.keys[key].wbinvd.get(state) === 0 : everything && !isShared)) writeBack(machine, state, frame, key);
    if (everything && isShared && key < 0) flushShared(machine, state, frame);
  });
}

const SHARED_KEY = 0;

/** The key id stands in the upper bits of the address; one that they cannot hold makes the address wider than it may be. */
const pageUnderKey = ({ page, hkid = SHARED_KEY }: Registers): Hpa | undefined => (hkid < PRIVATE_HKIDS.first + PRIVATE_HKIDS.count ? page : MALFORMED);

export const pageWbinvd: Leaf = {
  name: "TDH.PHYMEM.PAGE.WBINVD",
  number: 41,
  checks: pageOperand(pageUnderKey, "RCX", "shared", PT.NDA),
  writes: ["content"],
  commit(call) {
    const { machine, state, tdx } = call;
    const { page = 0, hkid = SHARED_KEY } = call.registers;
    const key = tdx.keys.findIndex((one) => one.hkid === hkid);
    const wrote = key >= 0 ? writeBack(machine, state, page, key) : hkid === SHARED_KEY && flushShared(machine, state, page);
    call.say(`the lines of frame ${page} under key id ${hkid}: ${wrote ? "modified ones reach memory" : "none was modified"}`);
    return undefined;
  },
};

export const pageRdmd: Leaf = {
  name: "TDH.PHYMEM.PAGE.RDMD",
  number: 24,
  checks: physicalPage("shared"),
  writes: [],
  commit(call) {
    const { state, tdx } = call;
    const entry = physicalEntry(call);
    const type = pageTypeOf(call);
    const owner = tdx.tds[entry.owner.get(state) - 1];
    // Of a page that is nobody's RDX has what its last owner left there.
    const rdx = type === PT.NDA ? "" : `, RDX ${owner ? `the TDR, frame ${owner.tdr.get(state)}` : "no owner"}`;
    const epoch = type === PT.REG || type === PT.EPT ? `, R9 BEPOCH ${entry.bepoch.get(state)}` : "";
    call.say(`RCX ${pageTypeName(type)}${rdx}, R8 ${sizeText(call)}${epoch}`);
    return undefined;
  },
};

export const cacheLeaves: readonly Leaf[] = [cacheWb, pageWbinvd, pageRdmd];
