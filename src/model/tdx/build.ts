// Leaves that make a TD: its root page and key id, its control pages, its parameters (vmm_dispatcher/api_calls/tdh_mng_*.c, tdh_mr_finalize.c).

import type { TdxStatus } from "../../base/tdx-status.ts";
import { ask, keysConfigured, liveTd, newPage, notFatal, tdrOperand } from "./checks.ts";
import { directLines } from "./hardware.ts";
import { busy, type Check, type Leaf, type LeafCall } from "./leaf.ts";
import { assignPage } from "./pages.ts";
import type { KeyState } from "./state.ts";
import { ALLOWED_OP_STATES, KOT, LIFECYCLE, OP_STATE, PT, TDCS_PAGES } from "./tables.ts";
import { ATTRIBUTES, rootLevel, tdParams, tdParamsChecks, wantsWideGpa } from "./td-params.ts";

const keyOf = (call: LeafCall): KeyState | undefined => call.tdx.keys.find((key) => key.hkid === call.registers.hkid);
export const keyState = (call: Pick<LeafCall, "tdx" | "state">, key: KeyState): number => (key === call.tdx.keys[0] ? KOT.RESERVED : key.state.get(call.state));

export const kotLock = (mode: "shared" | "exclusive"): Check => ({
  what: `key ownership table, ${mode}`,
  answers: [busy("KOT")],
  lock: (call) => ({ lock: call.tdx.kotLock, mode }),
});

export const packageOf = (call: LeafCall): number => call.registers.package ?? 0;
export const packageBit = (call: LeafCall): number => 1 << packageOf(call);
/** Every package of the machine, as bits. */
export const allPackages = (call: LeafCall): number => (1 << call.tdx.packages) - 1;

export const { SEPT_VE_DISABLE } = ATTRIBUTES;

/** The random number generator has nothing, ten times over: a free choice on a machine that is said to run out of entropy. */
const isOutOfEntropy = (call: LeafCall): boolean => call.machine.setting("entropy") === 0n && call.context.pick(2) === 1;

const NO_ENTROPY: TdxStatus = { status: "TDX_RND_NO_ENTROPY" };

export const mngCreate: Leaf = {
  name: "TDH.MNG.CREATE",
  number: 9,
  checks: [
    ask("the key id is a private one", { status: "TDX_OPERAND_INVALID", operand: "RDX" }, (call) => keyOf(call) === undefined),
    ...newPage("RCX"),
    kotLock("exclusive"),
    ask("the key id is free", { status: "TDX_HKID_NOT_FREE" }, (call) => keyState(call, keyOf(call) as KeyState) !== KOT.FREE),
  ],
  interruptions: [NO_ENTROPY],
  writes: ["td", "pamt", "content"],
  commit(call) {
    const { state, tdx } = call;
    const page = call.registers.page as number;
    if (isOutOfEntropy(call)) {
      // The page is cleared first, past the cache, and the TD's UUID drawn then: the host has its page back with lines that are not its own.
      directLines(call.machine, state, page);
      return NO_ENTROPY;
    }
    const td = tdx.tds[call.registers.makes as number];
    const key = keyOf(call) as KeyState;
    key.state.set(state, KOT.ASSIGNED);
    td.tdr.set(state, page);
    td.lifecycle.set(state, LIFECYCLE.HKID_ASSIGNED);
    td.key.set(state, tdx.keys.indexOf(key));
    assignPage(call, page, PT.TDR, undefined);
    call.say(`frame ${page} is the root of ${td.object.name}, key id ${key.hkid} assigned`);
    return undefined;
  },
};

const KEY_GENERATION_FAILED: TdxStatus = { status: "TDX_KEY_GENERATION_FAILED" };

export const keyConfig: Leaf = {
  name: "TDH.MNG.KEY.CONFIG",
  number: 8,
  checks: [
    ...tdrOperand("RCX", "exclusive"),
    notFatal,
    ask("the key id is assigned and not yet configured", { status: "TDX_LIFECYCLE_STATE_INCORRECT" }, (call) => {
      return call.theTd.lifecycle.get(call.state) !== LIFECYCLE.HKID_ASSIGNED;
    }),
    ask("this package has not done it yet", { status: "TDX_KEY_CONFIGURED" }, (call) => (call.theTd.configured.get(call.state) & packageBit(call)) !== 0),
    {
      what: "key encryption table of the package (PCONFIG), exclusive",
      answers: [busy("KET")],
      lock: (call) => ({ lock: call.tdx.keyTables[packageOf(call)], mode: "exclusive" }),
    },
  ],
  interruptions: [KEY_GENERATION_FAILED],
  writes: ["td"],
  commit(call) {
    if (isOutOfEntropy(call)) return KEY_GENERATION_FAILED;
    const { state, theTd: td } = call;
    td.configured.set(state, td.configured.get(state) | packageBit(call));
    if (td.configured.get(state) === allPackages(call)) td.lifecycle.set(state, LIFECYCLE.KEYS_CONFIGURED);
    call.say(`the key of ${td.object.name} is configured on package ${packageOf(call)}`);
    return undefined;
  },
};

const OP_STATE_INCORRECT: TdxStatus = { status: "TDX_OP_STATE_INCORRECT" };

/** OP_STATE is in the TDCS, which is asked once there is enough of it. The new page has been written by then (MOVDIR64B), and stays the host's. */
function addcxRefused(call: LeafCall, count: number): TdxStatus | undefined {
  if (count < TDCS_PAGES.min) return undefined;
  if (count === TDCS_PAGES.min) return isOutOfEntropy(call) ? NO_ENTROPY : undefined;
  return ALLOWED_OP_STATES["TDH.MNG.ADDCX"].includes(call.theTd.opState.get(call.state)) ? undefined : OP_STATE_INCORRECT;
}

export const mngAddcx: Leaf = {
  name: "TDH.MNG.ADDCX",
  number: 1,
  checks: [
    ...tdrOperand("RDX", "exclusive"),
    notFatal,
    keysConfigured,
    ask("the TDCS has room", { status: "TDX_TDCX_NUM_INCORRECT" }, (call) => call.theTd.numTdcx.get(call.state) >= TDCS_PAGES.max),
    ...newPage("RCX"),
  ],
  interruptions: [NO_ENTROPY, OP_STATE_INCORRECT],
  writes: ["td", "pamt", "content"],
  commit(call) {
    const { state, theTd: td } = call;
    const page = call.registers.page as number;
    const count = td.numTdcx.get(state) + 1;
    const refused = addcxRefused(call, count);
    if (refused) {
      directLines(call.machine, state, page);
      return refused;
    }
    td.numTdcx.set(state, count);
    assignPage(call, page, PT.TDCX, td);
    call.say(`frame ${page} is control page ${count - 1} of ${td.object.name}`);
    return undefined;
  },
};

/** Counters are set before the parameters are looked at: a TD that is refused for them has its first epoch all the same. */
const firstEpoch: Check = { what: "TD_EPOCH becomes 1", answers: [], effect: (call) => call.theTd.epoch.set(call.state, 1) };

export const mngInit: Leaf = {
  name: "TDH.MNG.INIT",
  number: 21,
  checks: [...tdrOperand("RCX", "exclusive"), ...liveTd("TDH.MNG.INIT"), firstEpoch, ...tdParamsChecks],
  acquires: ["td"],
  writes: ["td"],
  commit(call) {
    const { state, theTd: td } = call;
    const params = tdParams(call);
    td.opState.set(state, OP_STATE.INITIALIZED);
    td.epoch.set(state, 1);
    td.veDisable.set(state, (params.attributes & SEPT_VE_DISABLE) !== 0n ? 1 : 0);
    td.wide.set(state, wantsWideGpa(params) ? 1 : 0);
    td.pwl.set(state, rootLevel(params));
    td.maxVcpus.set(state, Number(params.maxVcpus));
    call.say(`${td.object.name} is initialised: TD_EPOCH 1, a secure EPT of ${td.pwl.get(state) + 1} levels`);
    return undefined;
  },
};

export const mrFinalize: Leaf = {
  name: "TDH.MR.FINALIZE",
  number: 17,
  checks: [
    ...tdrOperand("RCX", "exclusive"),
    ...liveTd("TDH.MR.FINALIZE"),
    ask("it has a vCPU", { status: "TDX_NO_VCPUS" }, (call) => call.theTd.numVcpus.get(call.state) === 0),
  ],
  writes: ["td"],
  commit(call) {
    call.theTd.opState.set(call.state, OP_STATE.RUNNABLE);
    call.say(`the measurement of ${call.theTd.object.name} is closed, its vCPUs may enter`);
    return undefined;
  },
};

export const buildLeaves: readonly Leaf[] = [mngCreate, keyConfig, mngAddcx, mngInit, mrFinalize];
