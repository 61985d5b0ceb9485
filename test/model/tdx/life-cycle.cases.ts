// What each leaf of a TD's life answers, by hand from the module's sources, in the order of its checks: a prepared state, the call, the status.

import type { Case, Row } from "./rows.ts";
import { running } from "./support.ts";
import { type Stage, stages, upTo } from "./td.ts";

const PAGE = "page = alloc_frame()\nother = alloc_frame()";
/** The host writes a page of the TD, and a vCPU reads it. */
const FATAL = `${running(2)}\nstore_frame(a, 0x66)\nvcpu0: load(0x1000) = #MC`;

const lines = (...parts: readonly string[]): string => parts.join("\n");
const at = (stage: Stage): string => lines(upTo(stage), PAGE);
const TWO_TDS = lines(upTo("created"), upTo("created", { suffix: "2", hkid: 34 }), PAGE);
const TWO_CONFIGURED = lines(upTo("configured"), upTo("configured", { suffix: "2", hkid: 34 }), PAGE);

/** Format, TDMR, lock and page type of an operand. */
const operand = (register: string, call: (of: string) => string, prepare: string, wrong: string, against: string): Case[] => [
  { answer: `TDX_OPERAND_INVALID/${register}`, prepare, call: call("0x1001") },
  { answer: `TDX_OPERAND_INVALID/${register}`, prepare, call: call("33 << 46 | 0x1000") },
  { answer: `TDX_OPERAND_INVALID/${register}`, prepare, call: call("-1") },
  { answer: `TDX_OPERAND_ADDR_RANGE_ERROR/${register}`, prepare, call: call("0x1000") },
  { answer: `TDX_OPERAND_BUSY/${register}`, prepare, call: "", against },
  { answer: `TDX_PAGE_METADATA_INCORRECT/${register}`, prepare, call: call(wrong) },
];

/** The same, with the call itself in the case that meets another thread. */
const operandOf = (register: string, good: string, call: (of: string) => string, prepare: string, wrong: string, against: string): Case[] =>
  operand(register, call, prepare, wrong, against).map((each) => (each.call === "" ? { ...each, call: call(good) } : each));

const SUCCESS = "TDX_SUCCESS";
const NO_VCPU = "the TD of a vCPU has its TDCS";

/** A TD that is torn down with a page of 2 MB in it. */
const LARGE = lines(
  at("runnable"),
  "repeat 2 as i { table[i] = alloc_frame()\nTDH.MEM.SEPT.ADD(td, 0, 3 - i, table[i]) = TDX_SUCCESS }",
  "large = alloc_frame(2M)\nTDH.MEM.PAGE.AUG(td, 2M, 1, large) = TDX_SUCCESS",
  stages(["flushed", "blocked", "written-back", "torn-down"]),
);

export const ROWS: Readonly<Record<string, Row>> = {
  "TDH.MNG.CREATE": {
    cases: [
      { answer: "TDX_OPERAND_INVALID/RDX", prepare: PAGE, call: "TDH.MNG.CREATE(page, 31)" },
      { answer: "TDX_OPERAND_INVALID/RDX", prepare: PAGE, call: "TDH.MNG.CREATE(page, 64)" },
      { answer: "TDX_OPERAND_INVALID/RDX", prepare: PAGE, call: "TDH.MNG.CREATE(page, 0x10021)" },
      ...operandOf("RCX", "page", (of) => `TDH.MNG.CREATE(${of}, 34)`, at("created"), "tdr", "TDH.MNG.CREATE(page, 35)"),
      { answer: "TDX_OPERAND_BUSY/KOT", prepare: PAGE, call: "TDH.MNG.CREATE(page, 34)", against: "TDH.MNG.CREATE(other, 35)" },
      { answer: "TDX_HKID_NOT_FREE", prepare: at("created"), call: "TDH.MNG.CREATE(page, 33)" },
      { answer: "TDX_HKID_NOT_FREE", prepare: at("blocked"), call: "TDH.MNG.CREATE(page, 33)" },
      { answer: "TDX_HKID_NOT_FREE", prepare: PAGE, call: "TDH.MNG.CREATE(page, 32)" },
      { answer: "TDX_RND_NO_ENTROPY", prepare: PAGE, call: "TDH.MNG.CREATE(page, 33)", machine: "entropy=0" },
      { answer: SUCCESS, prepare: PAGE, call: "TDH.MNG.CREATE(page, 33)" },
      { answer: SUCCESS, prepare: at("torn-down"), call: "TDH.MNG.CREATE(page, 33)" },
    ],
  },
  "TDH.MNG.KEY.CONFIG": {
    cases: [
      ...operandOf("RCX", "td", (of) => `TDH.MNG.KEY.CONFIG(${of})`, at("created"), "page", "TDH.MNG.KEY.CONFIG(td)"),
      { answer: "TDX_TD_FATAL", prepare: FATAL, call: "TDH.MNG.KEY.CONFIG(td)" },
      { answer: "TDX_LIFECYCLE_STATE_INCORRECT", prepare: at("configured"), call: "TDH.MNG.KEY.CONFIG(td)" },
      { answer: "TDX_LIFECYCLE_STATE_INCORRECT", prepare: at("blocked"), call: "TDH.MNG.KEY.CONFIG(td)" },
      { answer: "TDX_KEY_CONFIGURED", prepare: lines(upTo("created"), "TDH.MNG.KEY.CONFIG(td, 1)"), call: "TDH.MNG.KEY.CONFIG(td, 1)", machine: "packages=2" },
      { answer: "TDX_OPERAND_BUSY/KET", prepare: TWO_TDS, call: "TDH.MNG.KEY.CONFIG(td)", against: "TDH.MNG.KEY.CONFIG(td2)" },
      { answer: "TDX_KEY_GENERATION_FAILED", prepare: "tdr = alloc_frame()\nTDH.MNG.CREATE(tdr, 33)", call: "TDH.MNG.KEY.CONFIG(tdr)", machine: "entropy=0" },
      { answer: SUCCESS, prepare: at("created"), call: "TDH.MNG.KEY.CONFIG(td)" },
    ],
  },
  "TDH.MNG.ADDCX": {
    cases: [
      ...operandOf("RDX", "td", (of) => `TDH.MNG.ADDCX(${of}, page)`, at("configured"), "page", "TDH.MNG.ADDCX(td, other)"),
      { answer: "TDX_TD_FATAL", prepare: lines(FATAL, PAGE), call: "TDH.MNG.ADDCX(td, page)" },
      { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: at("created"), call: "TDH.MNG.ADDCX(td, page)" },
      { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: at("torn-down"), call: "TDH.MNG.ADDCX(td, page)" },
      {
        answer: "TDX_TDCX_NUM_INCORRECT",
        prepare: lines(at("allocated"), "repeat 3 as i {\n  more[i] = alloc_frame()\n  TDH.MNG.ADDCX(td, more[i]) = TDX_SUCCESS\n}"),
        call: "TDH.MNG.ADDCX(td, page)",
      },
      ...operandOf("RCX", "page", (of) => `TDH.MNG.ADDCX(td, ${of})`, TWO_CONFIGURED, "tdr2", "TDH.MNG.ADDCX(td2, page)"),
      {
        answer: "TDX_RND_NO_ENTROPY",
        prepare: lines(
          "tdr = alloc_frame()\nTDH.MNG.CREATE(tdr, 33)\nTDH.MNG.KEY.CONFIG(tdr)",
          "repeat 5 as i {\n  cx[i] = alloc_frame()\n  TDH.MNG.ADDCX(tdr, cx[i])\n}",
          PAGE,
        ),
        call: "TDH.MNG.ADDCX(tdr, page)",
        machine: "entropy=0",
      },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: at("initialised"), call: "TDH.MNG.ADDCX(td, page)" },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: at("runnable"), call: "TDH.MNG.ADDCX(td, page)" },
      { answer: SUCCESS, prepare: at("configured"), call: "TDH.MNG.ADDCX(td, page)" },
      { answer: SUCCESS, prepare: at("allocated"), call: "TDH.MNG.ADDCX(td, page)" },
    ],
  },
  "TDH.MNG.INIT": {
    cases: [
      ...operandOf("RCX", "td", (of) => `TDH.MNG.INIT(${of})`, at("allocated"), "cx[0]", "TDH.MNG.ADDCX(td, page)"),
      { answer: "TDX_TD_FATAL", prepare: FATAL, call: "TDH.MNG.INIT(td)" },
      { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: at("created"), call: "TDH.MNG.INIT(td)" },
      { answer: "TDX_TDCS_NOT_ALLOCATED", prepare: at("configured"), call: "TDH.MNG.INIT(td)" },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: at("initialised"), call: "TDH.MNG.INIT(td)" },
      { answer: "TDX_OPERAND_INVALID/ATTRIBUTES", prepare: at("allocated"), call: "TDH.MNG.INIT(td, attributes=2)" },
      { answer: "TDX_OPERAND_INVALID/ATTRIBUTES", prepare: at("allocated"), call: "TDH.MNG.INIT(td, attributes=(1 << 29) | 1)" },
      { answer: "TDX_OPERAND_INVALID/XFAM", prepare: at("allocated"), call: "TDH.MNG.INIT(td, xfam=1)" },
      { answer: "TDX_OPERAND_INVALID/XFAM", prepare: at("allocated"), call: "TDH.MNG.INIT(td, xfam=3 | (1 << 11))" },
      { answer: "TDX_OPERAND_INVALID/MAX_VCPUS", prepare: at("allocated"), call: "TDH.MNG.INIT(td, max_vcpus=0)" },
      { answer: "TDX_OPERAND_INVALID/EXEC_CONTROLS", prepare: at("allocated"), call: "TDH.MNG.INIT(td, gpaw=8)" },
      { answer: "TDX_OPERAND_INVALID/EPTP_CONTROLS", prepare: at("allocated"), call: "TDH.MNG.INIT(td, gpaw=1, eptp_controls=6 | (3 << 3))" },
      { answer: "TDX_OPERAND_INVALID/EPTP_CONTROLS", prepare: at("allocated"), call: "TDH.MNG.INIT(td, eptp_controls=3 << 3)" },
      { answer: "TDX_OPERAND_INVALID/EPTP_CONTROLS", prepare: at("allocated"), call: "TDH.MNG.INIT(td, eptp_controls=6 | (2 << 3))" },
      { answer: "TDX_OPERAND_INVALID/EPTP_CONTROLS", prepare: at("allocated"), call: "TDH.MNG.INIT(td, eptp_controls=6 | (3 << 3) | 0x40)" },
      { answer: "TDX_OPERAND_INVALID/TSC_FREQUENCY", prepare: at("allocated"), call: "TDH.MNG.INIT(td, tsc_frequency=3)" },
      { answer: "TDX_OPERAND_INVALID/TSC_FREQUENCY", prepare: at("allocated"), call: "TDH.MNG.INIT(td, tsc_frequency=401)" },
      { answer: SUCCESS, prepare: at("allocated"), call: "TDH.MNG.INIT(td)" },
      {
        answer: SUCCESS,
        prepare: at("allocated"),
        call: "TDH.MNG.INIT(td, attributes=0, gpaw=1, max_vcpus=1, xfam=0x6dbe7, eptp_controls=38, tsc_frequency=400)",
      },
      { answer: SUCCESS, prepare: at("allocated"), call: "TDH.MNG.INIT(td, eptp_controls=6 | (4 << 3))" },
    ],
  },
  "TDH.MR.FINALIZE": {
    cases: [
      ...operandOf("RCX", "td", (of) => `TDH.MR.FINALIZE(${of})`, at("vcpu-initialised"), "vp", "TDH.VP.CREATE(td, page)"),
      { answer: "TDX_TD_FATAL", prepare: FATAL, call: "TDH.MR.FINALIZE(td)" },
      { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: at("blocked"), call: "TDH.MR.FINALIZE(td)" },
      { answer: "TDX_TDCS_NOT_ALLOCATED", prepare: at("configured"), call: "TDH.MR.FINALIZE(td)" },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: at("allocated"), call: "TDH.MR.FINALIZE(td)" },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: at("runnable"), call: "TDH.MR.FINALIZE(td)" },
      { answer: "TDX_NO_VCPUS", prepare: at("initialised"), call: "TDH.MR.FINALIZE(td)" },
      { answer: "TDX_NO_VCPUS", prepare: at("vcpu-allocated"), call: "TDH.MR.FINALIZE(td)" },
      { answer: SUCCESS, prepare: at("vcpu-initialised"), call: "TDH.MR.FINALIZE(td)" },
    ],
  },
  "TDH.VP.CREATE": {
    cases: [
      ...operandOf("RDX", "td", (of) => `TDH.VP.CREATE(${of}, page)`, at("vcpu-initialised"), "vp", "TDH.MR.FINALIZE(td)"),
      { answer: "TDX_TD_FATAL", prepare: lines(FATAL, PAGE), call: "TDH.VP.CREATE(td, page)" },
      { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: at("created"), call: "TDH.VP.CREATE(td, page)" },
      { answer: "TDX_TDCS_NOT_ALLOCATED", prepare: at("configured"), call: "TDH.VP.CREATE(td, page)" },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: at("allocated"), call: "TDH.VP.CREATE(td, page)" },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: at("runnable"), call: "TDH.VP.CREATE(td, page)" },
      ...operandOf("RCX", "page", (of) => `TDH.VP.CREATE(td, ${of})`, at("initialised"), "cx[5]", "TDH.VP.CREATE(td, page)"),
      { answer: SUCCESS, prepare: at("initialised"), call: "TDH.VP.CREATE(td, page)" },
    ],
  },
  "TDH.VP.ADDCX": {
    impossible: { TDX_TDCS_NOT_ALLOCATED: NO_VCPU },
    cases: [
      ...operandOf("RDX", "vcpu", (of) => `TDH.VP.ADDCX(${of}, page)`, at("vcpu-created"), "tdr", "TDH.VP.ADDCX(vcpu, other)"),
      {
        answer: "TDX_OPERAND_BUSY/TDR",
        prepare: lines(at("vcpu-initialised"), "vcpu2 = TDH.VP.CREATE(td, other) = TDX_SUCCESS"),
        call: "TDH.VP.ADDCX(vcpu2, page)",
        against: "TDH.MR.FINALIZE(td)",
      },
      { answer: "TDX_TD_FATAL", prepare: lines(FATAL, PAGE), call: "TDH.VP.ADDCX(vcpu1, page)" },
      {
        answer: "TDX_TD_KEYS_NOT_CONFIGURED",
        prepare: lines(upTo("vcpu-created"), stages(["blocked"]), PAGE),
        call: "TDH.VP.ADDCX(vcpu, page)",
      },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: at("runnable"), call: "TDH.VP.ADDCX(vcpu, page)" },
      { answer: "TDX_VCPU_STATE_INCORRECT", prepare: at("vcpu-initialised"), call: "TDH.VP.ADDCX(vcpu, page)" },
      {
        answer: "TDX_TDCX_NUM_INCORRECT",
        prepare: lines(at("vcpu-allocated"), "repeat 9 as i {\n  more[i] = alloc_frame()\n  TDH.VP.ADDCX(vcpu, more[i]) = TDX_SUCCESS\n}"),
        call: "TDH.VP.ADDCX(vcpu, page)",
      },
      ...operandOf("RCX", "page", (of) => `TDH.VP.ADDCX(vcpu, ${of})`, at("vcpu-created"), "vp", "TDH.VP.CREATE(td, page)").map((each) =>
        // Its own TDVPR is locked by the leaf itself, which comes before the type of the page.
        each.call === "TDH.VP.ADDCX(vcpu, vp)" ? { ...each, call: "TDH.VP.ADDCX(vcpu, cx[0])" } : each,
      ),
      { answer: SUCCESS, prepare: at("vcpu-created"), call: "TDH.VP.ADDCX(vcpu, page)" },
      { answer: SUCCESS, prepare: at("vcpu-allocated"), call: "TDH.VP.ADDCX(vcpu, page)" },
    ],
  },
  "TDH.VP.INIT": {
    impossible: { TDX_TDCS_NOT_ALLOCATED: NO_VCPU },
    cases: [
      ...operandOf("RCX", "vcpu", (of) => `TDH.VP.INIT(${of})`, at("vcpu-allocated"), "vx[0]", "TDH.VP.ADDCX(vcpu, page)"),
      {
        answer: "TDX_OPERAND_BUSY/TDR",
        prepare: lines(at("vcpu-initialised"), "vcpu2 = TDH.VP.CREATE(td, other) = TDX_SUCCESS"),
        call: "TDH.VP.INIT(vcpu2)",
        against: "TDH.MR.FINALIZE(td)",
      },
      { answer: "TDX_TD_FATAL", prepare: FATAL, call: "TDH.VP.INIT(vcpu1)" },
      { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: lines(upTo("vcpu-allocated"), stages(["blocked"])), call: "TDH.VP.INIT(vcpu)" },
      { answer: "TDX_OP_STATE_INCORRECT", prepare: at("runnable"), call: "TDH.VP.INIT(vcpu)" },
      { answer: "TDX_TDCX_NUM_INCORRECT", prepare: at("vcpu-created"), call: "TDH.VP.INIT(vcpu)" },
      { answer: "TDX_VCPU_STATE_INCORRECT", prepare: at("vcpu-initialised"), call: "TDH.VP.INIT(vcpu)" },
      {
        answer: "TDX_MAX_VCPUS_EXCEEDED",
        prepare: lines(
          at("vcpu-initialised").replace("TDH.MNG.INIT(td)", "TDH.MNG.INIT(td, max_vcpus=1)"),
          "vcpu2 = TDH.VP.CREATE(td, page) = TDX_SUCCESS",
          "repeat 5 as i {\n  more[i] = alloc_frame()\n  TDH.VP.ADDCX(vcpu2, more[i]) = TDX_SUCCESS\n}",
        ),
        call: "TDH.VP.INIT(vcpu2)",
      },
      { answer: SUCCESS, prepare: at("vcpu-allocated"), call: "TDH.VP.INIT(vcpu)" },
    ],
  },
  "TDH.VP.FLUSH": {
    cases: [
      ...operandOf("RCX", "vcpu", (of) => `TDH.VP.FLUSH(${of})`, at("runnable"), "tdr", "TDH.VP.FLUSH(vcpu)"),
      { answer: "TDX_OPERAND_BUSY/TDR", prepare: at("vcpu-initialised"), call: "TDH.VP.FLUSH(vcpu)", against: "TDH.MR.FINALIZE(td)" },
      { answer: "TDX_TD_KEYS_NOT_CONFIGURED", prepare: at("blocked"), call: "TDH.VP.FLUSH(vcpu)" },
      { answer: "TDX_TDCX_NUM_INCORRECT", prepare: at("vcpu-created"), call: "TDH.VP.FLUSH(vcpu)" },
      { answer: "TDX_VCPU_NOT_ASSOCIATED", prepare: at("vcpu-allocated"), call: "TDH.VP.FLUSH(vcpu)" },
      { answer: "TDX_VCPU_NOT_ASSOCIATED", prepare: at("flushed"), call: "TDH.VP.FLUSH(vcpu)" },
      { answer: "TDX_VCPU_NOT_ASSOCIATED", prepare: at("runnable"), call: "TDH.VP.FLUSH(vcpu, lp=7)" },
      { answer: SUCCESS, prepare: at("vcpu-initialised"), call: "TDH.VP.FLUSH(vcpu)" },
      { answer: SUCCESS, prepare: at("runnable"), call: "TDH.VP.FLUSH(vcpu, lp=0)" },
      { answer: SUCCESS, prepare: FATAL, call: "TDH.VP.FLUSH(vcpu0)" },
    ],
  },
  "TDH.MNG.VPFLUSHDONE": {
    cases: [
      ...operandOf("RCX", "td", (of) => `TDH.MNG.VPFLUSHDONE(${of})`, at("configured"), "page", "TDH.MNG.ADDCX(td, page)"),
      { answer: "TDX_OPERAND_BUSY/KOT", prepare: at("flushed"), call: "TDH.MNG.VPFLUSHDONE(td)", against: "TDH.MNG.CREATE(page, 34)" },
      { answer: "TDX_LIFECYCLE_STATE_INCORRECT", prepare: at("blocked"), call: "TDH.MNG.VPFLUSHDONE(td)" },
      { answer: "TDX_LIFECYCLE_STATE_INCORRECT", prepare: at("torn-down"), call: "TDH.MNG.VPFLUSHDONE(td)" },
      { answer: "TDX_FLUSHVP_NOT_DONE", prepare: at("vcpu-initialised"), call: "TDH.MNG.VPFLUSHDONE(td)" },
      { answer: "TDX_FLUSHVP_NOT_DONE", prepare: FATAL, call: "TDH.MNG.VPFLUSHDONE(td)" },
      { answer: SUCCESS, prepare: at("created"), call: "TDH.MNG.VPFLUSHDONE(td)" },
      { answer: SUCCESS, prepare: at("vcpu-allocated"), call: "TDH.MNG.VPFLUSHDONE(td)" },
      { answer: SUCCESS, prepare: at("flushed"), call: "TDH.MNG.VPFLUSHDONE(td)" },
      { answer: SUCCESS, prepare: lines(FATAL, "TDH.VP.FLUSH(vcpu0)\nTDH.VP.FLUSH(vcpu1)"), call: "TDH.MNG.VPFLUSHDONE(td)" },
    ],
  },
  "TDH.MNG.KEY.FREEID": {
    cases: [
      ...operandOf("RCX", "td", (of) => `TDH.MNG.KEY.FREEID(${of})`, at("written-back"), "page", "TDH.MNG.KEY.FREEID(td)"),
      { answer: "TDX_LIFECYCLE_STATE_INCORRECT", prepare: at("flushed"), call: "TDH.MNG.KEY.FREEID(td)" },
      { answer: "TDX_LIFECYCLE_STATE_INCORRECT", prepare: at("torn-down"), call: "TDH.MNG.KEY.FREEID(td)" },
      { answer: "TDX_OPERAND_BUSY/KOT", prepare: at("written-back"), call: "TDH.MNG.KEY.FREEID(td)", against: "TDH.MNG.CREATE(page, 34)" },
      { answer: "TDX_WBCACHE_NOT_COMPLETE", prepare: at("blocked"), call: "TDH.MNG.KEY.FREEID(td)" },
      {
        answer: "TDX_WBCACHE_NOT_COMPLETE",
        prepare: lines(upTo("created"), "TDH.MNG.VPFLUSHDONE(td) = TDX_SUCCESS\nTDH.PHYMEM.CACHE.WB(0, 1) = TDX_SUCCESS"),
        call: "TDH.MNG.KEY.FREEID(td)",
        machine: "packages=2",
      },
      { answer: SUCCESS, prepare: at("written-back"), call: "TDH.MNG.KEY.FREEID(td)" },
    ],
  },
  "TDH.MNG.KEY.RECLAIMID": {
    cases: [
      { answer: SUCCESS, call: "TDH.MNG.KEY.RECLAIMID(0x1001)" },
      { answer: SUCCESS, prepare: at("blocked"), call: "TDH.MNG.KEY.RECLAIMID(td)" },
    ],
  },
  "TDH.PHYMEM.PAGE.RECLAIM": {
    cases: [
      ...operandOf("RCX", "cx[0]", (of) => `TDH.PHYMEM.PAGE.RECLAIM(${of})`, at("torn-down"), "page", "TDH.PHYMEM.PAGE.RECLAIM(cx[0])"),
      {
        answer: "TDX_PAGE_METADATA_INCORRECT/RCX",
        prepare: lines(at("torn-down"), "TDH.PHYMEM.PAGE.RECLAIM(vp) = TDX_SUCCESS"),
        call: "TDH.PHYMEM.PAGE.RECLAIM(vp)",
      },
      { answer: "TDX_OPERAND_INVALID/RCX", prepare: LARGE, call: "TDH.PHYMEM.PAGE.RECLAIM(large + 4K)" },
      { answer: "TDX_OPERAND_BUSY/TDR", prepare: at("written-back"), call: "TDH.PHYMEM.PAGE.RECLAIM(cx[0])", against: "TDH.MNG.KEY.FREEID(td)" },
      { answer: "TDX_LIFECYCLE_STATE_INCORRECT", prepare: at("written-back"), call: "TDH.PHYMEM.PAGE.RECLAIM(cx[0])" },
      { answer: "TDX_LIFECYCLE_STATE_INCORRECT", prepare: at("runnable"), call: "TDH.PHYMEM.PAGE.RECLAIM(tdr)" },
      { answer: "TDX_TD_ASSOCIATED_PAGES_EXIST", prepare: at("torn-down"), call: "TDH.PHYMEM.PAGE.RECLAIM(tdr)" },
      { answer: SUCCESS, prepare: at("torn-down"), call: "TDH.PHYMEM.PAGE.RECLAIM(vp)" },
      { answer: SUCCESS, prepare: LARGE, call: "TDH.PHYMEM.PAGE.RECLAIM(large)" },
      {
        answer: SUCCESS,
        prepare: stages(["created", "blocked", "written-back", "torn-down"]),
        call: "TDH.PHYMEM.PAGE.RECLAIM(tdr)",
      },
    ],
  },
  "TDH.PHYMEM.CACHE.WB": {
    cases: [
      { answer: "TDX_OPERAND_INVALID/RCX", prepare: at("blocked"), call: "TDH.PHYMEM.CACHE.WB(2)" },
      { answer: "TDX_OPERAND_BUSY/WBCACHE", prepare: at("blocked"), call: "TDH.PHYMEM.CACHE.WB(0)", against: "TDH.PHYMEM.CACHE.WB(0)" },
      { answer: "TDX_OPERAND_BUSY/KOT", prepare: at("blocked"), call: "TDH.PHYMEM.CACHE.WB(0)", against: "TDH.MNG.CREATE(page, 34)" },
      { answer: "TDX_NO_HKID_READY_TO_WBCACHE", call: "TDH.PHYMEM.CACHE.WB(0)" },
      { answer: "TDX_NO_HKID_READY_TO_WBCACHE", prepare: at("torn-down"), call: "TDH.PHYMEM.CACHE.WB()" },
      { answer: "TDX_WBCACHE_RESUME_ERROR", prepare: at("blocked"), call: "TDH.PHYMEM.CACHE.WB(1)" },
      { answer: "TDX_INTERRUPTED_RESUMABLE", prepare: at("blocked"), call: "TDH.PHYMEM.CACHE.WB(0)", machine: "interrupts=1" },
      { answer: SUCCESS, prepare: at("blocked"), call: "TDH.PHYMEM.CACHE.WB(0)" },
      { answer: SUCCESS, prepare: at("written-back"), call: "TDH.PHYMEM.CACHE.WB(0)" },
    ],
  },
  "TDH.PHYMEM.PAGE.WBINVD": {
    cases: [
      ...operandOf("RCX", "page", (of) => `TDH.PHYMEM.PAGE.WBINVD(${of}, 33)`, at("created"), "tdr", "TDH.MNG.CREATE(page, 34)").map((each) =>
        // A key id in the address is none too many here.
        each.call.includes("33 << 46") ? { ...each, call: each.call.replace("33 << 46", "1 << 52") } : each,
      ),
      { answer: "TDX_OPERAND_ADDR_RANGE_ERROR/RCX", prepare: PAGE, call: "TDH.PHYMEM.PAGE.WBINVD(33 << 46 | 0x1000, 33)" },
      { answer: "TDX_OPERAND_INVALID/RCX", prepare: PAGE, call: "TDH.PHYMEM.PAGE.WBINVD(page, 64)" },
      { answer: SUCCESS, prepare: at("created"), call: "TDH.PHYMEM.PAGE.WBINVD(page, 33)" },
      { answer: SUCCESS, prepare: at("created"), call: "TDH.PHYMEM.PAGE.WBINVD(page, 63)" },
    ],
  },
  "TDH.PHYMEM.PAGE.RDMD": {
    cases: [
      { answer: "TDX_OPERAND_INVALID/RCX", call: "TDH.PHYMEM.PAGE.RDMD(0x1001)" },
      { answer: "TDX_OPERAND_ADDR_RANGE_ERROR/RCX", call: "TDH.PHYMEM.PAGE.RDMD(0x1000)" },
      { answer: "TDX_OPERAND_BUSY/RCX", prepare: PAGE, call: "TDH.PHYMEM.PAGE.RDMD(page)", against: "TDH.MNG.CREATE(page, 34)" },
      { answer: SUCCESS, prepare: PAGE, call: "TDH.PHYMEM.PAGE.RDMD(page)" },
      { answer: SUCCESS, prepare: at("created"), call: "TDH.PHYMEM.PAGE.RDMD(tdr)" },
    ],
  },
};
