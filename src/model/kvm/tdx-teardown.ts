// The end of a TD: the key id is released, then every page that the TDX module has is taken back (arch/x86/kvm/vmx/tdx.c tdx_mmu_release_hkid,
// tdx_vcpu_free, tdx_sept_free_private_spt, tdx_reclaim_td_control_pages). What fails is leaked: the module keeps the page, or the key id.

import type { Field } from "../layout.ts";
import { BLOCKED, type Context, NEXT, type StepCode } from "../machine.ts";
import { resetPage } from "../tdx/hardware.ts";
import { GLOBAL_HKID } from "../tdx/tables.ts";
import { bug, freePageOf, isSuccess, kvmLeaf, localsOf, tdOf, tdsOf, vcpusOf } from "./tdx-leaf.ts";
import { lockModule, unlockModule } from "./tdx-locks.ts";
import { type KvmTd, TD_STATE } from "./tdx-state.ts";

const hkidReleased = (context: Context): boolean => tdOf(context).hkid.get(context.state) === 0;

/** Goes on with the next one of a list that the step works through, or past the step. */
function nextOf(context: Context, step: string, count: number): number {
  const { index } = localsOf(context);
  const next = index.get(context.state) + 1;
  index.set(context.state, next < count ? next : 0);
  return next < count ? context.onward(step) : NEXT;
}

const flushVp = kvmLeaf({
  leaf: "TDH.VP.FLUSH",
  registers: (context) => ({ tdvpr: vcpuAt(context)?.tdvpr.get(context.state) }),
  jumps: ["flush_vp"],
  before(context) {
    const vcpu = vcpuAt(context);
    if (!vcpu || hkidReleased(context)) return NEXT;
    if (vcpu.initialized.get(context.state) === 1) return undefined;
    return nextOf(context, "flush_vp", vcpusOf(context.machine, tdOf(context)).length);
  },
  answered(context, status) {
    if (!isSuccess(status) && status.status !== "TDX_VCPU_NOT_ASSOCIATED") bug(context, "TDH.VP.FLUSH failed");
    return nextOf(context, "flush_vp", vcpusOf(context.machine, tdOf(context)).length);
  },
});

const vcpuAt = (context: Context) => vcpusOf(context.machine, tdOf(context))[localsOf(context).index.get(context.state)];

/** A TD that is not yet built has neither vCPUs nor tables; one that is terminated keeps its pages until they are zapped. */
const RECLAIMS = ["reclaim_tdvps", "reclaim_tdcs", "unlock_mmu", "unlock_kvm"];

const toReclaim = (context: Context): number => context.onward(RECLAIMS.find((name) => context.operation.labels.has(name)) ?? "");

const tdr = (context: Context): { readonly tdr: number } => ({ tdr: tdOf(context).tdr.get(context.state) });

/** Gives up where some vCPU is still associated: the key id and all pages are leaked. */
const vpflushdone = kvmLeaf({
  leaf: "TDH.MNG.VPFLUSHDONE",
  registers: tdr,
  jumps: RECLAIMS,
  reads: ["lock"],
  writes: ["lock"],
  before(context) {
    if (hkidReleased(context)) return toReclaim(context);
    return lockModule(context) ? undefined : BLOCKED;
  },
  answered(context, status) {
    if (isSuccess(status)) return NEXT;
    unlockModule(context);
    if (status.status !== "TDX_FLUSHVP_NOT_DONE") bug(context, "TDH.MNG.VPFLUSHDONE failed, and the key id is leaked");
    return toReclaim(context);
  },
});

const cacheWb = kvmLeaf({
  leaf: "TDH.PHYMEM.CACHE.WB",
  registers: (context) => ({
    package: localsOf(context).index.get(context.state),
    values: { resume: BigInt(localsOf(context).again.get(context.state)) },
  }),
  jumps: ["cache_wb"],
  answered(context, status) {
    const { again } = localsOf(context);
    if (status.status === "TDX_INTERRUPTED_RESUMABLE") {
      again.set(context.state, 1);
      return context.jump("cache_wb");
    }
    again.set(context.state, 0);
    return nextOf(context, "cache_wb", context.machine.tdx?.packages ?? 1);
  },
});

const keyFreeid = kvmLeaf({
  leaf: "TDH.MNG.KEY.FREEID",
  registers: tdr,
  jumps: RECLAIMS,
  writes: ["lock"],
  answered(context, status) {
    unlockModule(context);
    if (isSuccess(status)) return NEXT;
    bug(context, "TDH.MNG.KEY.FREEID failed, and the key id is leaked");
    return toReclaim(context);
  },
});

const returnKeyid: StepCode = {
  reads: [],
  writes: ["td"],
  jumps: [],
  returns: false,
  run(context) {
    const { hkid } = tdOf(context);
    tdsOf(context.machine).keyids[hkid.get(context.state)].set(context.state, 0);
    hkid.set(context.state, 0);
    context.say("the key id is free for the next TD");
    return NEXT;
  },
};

/** TDH.PHYMEM.PAGE.RECLAIM of each page of a list; a page that the module does not give back is never used again. */
function reclaim(step: string, pagesOf: (context: Context, td: KvmTd) => readonly Field[]): StepCode {
  const pages = (context: Context): readonly Field[] => pagesOf(context, tdOf(context));
  const page = (context: Context): Field | undefined => pages(context)[localsOf(context).index.get(context.state)];
  return kvmLeaf({
    leaf: "TDH.PHYMEM.PAGE.RECLAIM",
    registers: (context) => ({ page: page(context)?.get(context.state) }),
    jumps: [step],
    reads: ["page"],
    writes: ["free", "content", "reference", "ept"],
    before(context) {
      const { state } = context;
      const { index } = localsOf(context);
      const rest = pages(context).slice(index.get(state));
      const skipped = rest.findIndex((field) => field.get(state) > 0);
      // A TD whose key id could not be released keeps all of its pages.
      if (!hkidReleased(context) || skipped < 0) {
        index.set(state, 0);
        return NEXT;
      }
      index.set(state, index.get(state) + skipped);
      return undefined;
    },
    answered(context, status) {
      const field = page(context);
      if (field && isSuccess(status)) {
        resetIfAsked(context, field.get(context.state));
        freePageOf(context, field);
      } else if (context.telling) context.say("the page is leaked");
      return nextOf(context, step, pages(context).length);
    },
  });
}

/** tdx_clear_page, tdx_quirk_reset_page. */
export function resetIfAsked(context: Context, frame: number): void {
  const { machine, state } = context;
  if (machine.features.td_page_reset === "erratum" && machine.setting("erratum") === 0n) {
    if (context.telling) context.say(`frame ${frame} is left as it is: the processor has no partial-write erratum`);
    return;
  }
  resetPage(machine, state, frame);
  if (context.telling) context.say(`MOVDIR64B overwrites frame ${frame}`);
}

const reclaimTdvps = reclaim("reclaim_tdvps", (context, td) => vcpusOf(context.machine, td).flatMap((vcpu) => [...vcpu.tdcx, vcpu.tdvpr]));
const reclaimTables = reclaim("reclaim_tables", (_context, td) => [...td.tables].sort((a, b) => a.entry.level - b.entry.level).map((table) => table.frame));
const reclaimTdcs = reclaim("reclaim_tdcs", (_context, td) => td.tdcs);

const reclaimTdr = kvmLeaf({
  leaf: "TDH.PHYMEM.PAGE.RECLAIM",
  registers: (context) => ({ page: tdr(context).tdr }),
  jumps: ["free_td"],
  before: (context) => (tdr(context).tdr === 0 || !hkidReleased(context) ? context.onward("free_td") : undefined),
  answered: (context, status) => (isSuccess(status) ? NEXT : context.onward("free_td")),
});

const tdrWbinvd = kvmLeaf({
  leaf: "TDH.PHYMEM.PAGE.WBINVD",
  registers: (context) => ({ page: tdr(context).tdr, hkid: GLOBAL_HKID }),
  jumps: ["free_td"],
  reads: ["page"],
  writes: ["free", "content", "reference"],
  answered(context, status) {
    if (!isSuccess(status)) {
      bug(context, "TDH.PHYMEM.PAGE.WBINVD of the TDR failed");
      return NEXT;
    }
    const td = tdOf(context);
    resetIfAsked(context, td.tdr.get(context.state));
    freePageOf(context, td.tdr);
    return NEXT;
  },
});

const freeTd: StepCode = {
  reads: ["td"],
  writes: ["td"],
  jumps: [],
  returns: false,
  run(context) {
    const td = tdOf(context);
    td.state.set(context.state, TD_STATE.UNINITIALIZED);
    for (const vcpu of vcpusOf(context.machine, td)) vcpu.initialized.set(context.state, 0);
    context.say(td.tdr.get(context.state) === 0 ? "nothing of the TD is left" : "what the module keeps of the TD is leaked");
    return NEXT;
  },
};

export const teardownSteps = {
  flush_vp: flushVp,
  vpflushdone,
  cache_wb: cacheWb,
  key_freeid: keyFreeid,
  return_keyid: returnKeyid,
  reclaim_tdvps: reclaimTdvps,
  reclaim_tables: reclaimTables,
  reclaim_tdcs: reclaimTdcs,
  reclaim_tdr: reclaimTdr,
  tdr_wbinvd: tdrWbinvd,
  free_td: freeTd,
};
