// A private page leaves a TD: the entry of the mirror is cleared, then the page is blocked, tracked and removed in the TDX module, one page after the other
// under mmu_lock (arch/x86/kvm/vmx/tdx.c tdx_sept_remove_private_spte). A leaf that is busy runs once more behind a kick, with no vCPU let in.

import { formatAddress } from "../../base/units.ts";
import { BLOCKED, type Context, NEXT, type StepCode } from "../machine.ts";
import { release } from "../memory/frames.ts";
import { NotModelled } from "../objects.ts";
import { entryAt } from "../tdx/checks.ts";
import { exitTd, isInside } from "../tdx/enter.ts";
import type { Registers } from "../tdx/leaf.ts";
import { isLeafState, SEPT } from "../tdx/tables.ts";
import { PRIVATE, type VmState } from "./state.ts";
import { bug, isBusy, isSuccess, kvmLeaf, localsOf, tdOf, vcpusOf, vmIndexOf } from "./tdx-leaf.ts";
import { type KvmTd, type KvmTdVcpu, TD_STATE } from "./tdx-state.ts";
import { resetIfAsked } from "./tdx-teardown.ts";
import { privateZap } from "./tdx-zap.ts";

const vmOf = (context: Context): VmState => context.machine.vms[vmIndexOf(context.machine, context.plan)];
const cellOf = (context: Context): number => localsOf(context).cell.get(context.state) - 1;
const gfnOf = (context: Context): number => vmOf(context).cells.start(cellOf(context));
const gfnText = (context: Context): string => `gfn ${formatAddress(BigInt(gfnOf(context)))}`;
const isRunnable = (context: Context, td: KvmTd): boolean => td.state.get(context.state) === TD_STATE.RUNNABLE;

/** The next leaf of the mirror in the ranges that the call zaps: under mmu_lock nobody adds one. */
const clearMirror: StepCode = {
  reads: ["ept", "slot", "td", "kind"],
  writes: ["ept", "td"],
  jumps: ["unlock_mmu", "clear_mirror", "reclaim_page"],
  returns: false,
  events: true,
  run(context) {
    const { state } = context;
    const vm = vmOf(context);
    const leaves = vm.ept[PRIVATE];
    const cell = privateZap(context).find((one) => (leaves[one]?.get(state) ?? 0) > 0);
    if (cell === undefined) {
      context.say("the mirror maps nothing there any more");
      return context.onward("unlock_mmu");
    }
    const { cell: inWork, frame } = localsOf(context);
    inWork.set(state, cell + 1);
    frame.set(state, leaves[cell]?.get(state) ?? 0);
    leaves[cell]?.set(state, 0);
    if (context.telling) context.say(`the mirror no longer maps ${gfnText(context)} to frame ${frame.get(state)}`);
    const { hkid, terminated } = tdOf(context);
    if (hkid.get(state) !== 0) return NEXT;
    if (terminated?.get(state) === 1) return context.onward("reclaim_page");
    bug(context, "a page is zapped behind the release of the key id");
    return leak(context);
  },
};

/** The page keeps the reference of the secure EPT, where it has one, and with that it never comes back. */
function leak(context: Context): number {
  if (context.telling) context.say(`frame ${localsOf(context).frame.get(context.state)} stays with the TD`);
  return nextPage(context);
}

function nextPage(context: Context): number {
  const { cell, frame, again } = localsOf(context);
  for (const local of [cell, frame, again]) local.set(context.state, 0);
  return context.onward("clear_mirror");
}

/** tdx_unpin. */
function unpin(context: Context): void {
  const pin = tdOf(context).pins.get(cellOf(context));
  const frame = pin?.get(context.state) ?? 0;
  pin?.set(context.state, 0);
  release(context, frame);
}

function registers(context: Context): Registers {
  if (cellOf(context) < 0)
    throw new NotModelled(context.plan.id, `what ${context.step?.name ?? "a removal"} does where clear_mirror has found no page to remove is not modelled`);
  return { tdr: tdOf(context).tdr.get(context.state), gpa: BigInt(gfnOf(context)) << 12n, level: 0 };
}

const STAGES = ["block", "track", "remove"] as const;
type Stage = (typeof STAGES)[number];

/** The leaf is busy for the first time: no vCPU may enter, those inside are kicked, and it runs again. */
function holdVcpus(context: Context, stage: Stage): number {
  const { again, index } = localsOf(context);
  again.set(context.state, 1);
  index.set(context.state, STAGES.indexOf(stage));
  if (context.telling) context.say("busy: once more, with every vCPU kept out");
  return context.onward("hold_vcpus");
}

const isFirst = (context: Context): boolean => localsOf(context).again.get(context.state) === 0;

/** tdx_no_vcpus_enter_stop, behind the second time. */
function letVcpusIn(context: Context): void {
  const { again, index } = localsOf(context);
  if (again.get(context.state) === 0) return;
  again.set(context.state, 0);
  index.set(context.state, 0);
  tdOf(context).waits.set(context.state, 0);
  context.say("vCPUs may enter again");
}

/** tdx_is_sept_zap_err_due_to_premap: the page was mapped by KVM_TDX_INIT_MEM_REGION and never added. */
function isPremapped(context: Context): boolean {
  const td = tdOf(context);
  if (isRunnable(context, td)) return false;
  const entry = entryAt(td.td, gfnOf(context), 0);
  return !(entry && isLeafState(entry.state.get(context.state)) && entry.state.get(context.state) === SEPT.MAPPED);
}

const block = kvmLeaf({
  leaf: "TDH.MEM.RANGE.BLOCK",
  registers,
  jumps: ["hold_vcpus", "clear_mirror"],
  reads: ["page", "sept"],
  writes: ["page", "free", "content"],
  answered(context, status) {
    const { state } = context;
    if (isBusy(status) && isFirst(context)) return holdVcpus(context, "block");
    letVcpusIn(context);
    if (isSuccess(status)) return NEXT;
    const td = tdOf(context);
    if (status.status === "TDX_EPT_ENTRY_STATE_INCORRECT" && status.operand === "RCX" && isPremapped(context)) {
      const pages = td.premapped.get(state);
      if (pages > 0) {
        td.premapped.set(state, pages - 1);
        if (context.telling) context.say(`${gfnText(context)} was mapped and never added: nr_premapped is ${pages - 1}`);
        unpin(context);
        return nextPage(context);
      }
      bug(context, "a page was never added, and nr_premapped is 0");
    }
    bug(context, "TDH.MEM.RANGE.BLOCK failed");
    return leak(context);
  },
});

/** Only a TD that is runnable has vCPUs to track. An error is a bug, and the removal goes on all the same. */
const track = kvmLeaf({
  leaf: "TDH.MEM.TRACK",
  registers: (context) => ({ tdr: tdOf(context).tdr.get(context.state) }),
  jumps: ["hold_vcpus", "remove"],
  before: (context) => (isRunnable(context, tdOf(context)) ? undefined : context.onward("remove")),
  answered(context, status) {
    if (isBusy(status) && isFirst(context)) return holdVcpus(context, "track");
    letVcpusIn(context);
    if (!isSuccess(status)) bug(context, "TDH.MEM.TRACK failed");
    return NEXT;
  },
});

/** In the guest, or so far on the way there that it takes the IPI inside. */
const isTarget = ({ tdVcpu, entering }: KvmTdVcpu, state: Int32Array): boolean => isInside(state, tdVcpu) || entering.get(state) === 1;

/** kvm_make_all_cpus_request: an IPI to each processor that is in the guest. */
function kickAll(context: Context): void {
  const inside = vcpusOf(context.machine, tdOf(context)).filter((vcpu) => isTarget(vcpu, context.state));
  for (const vcpu of inside) vcpu.kicked.set(context.state, 1);
  if (context.telling)
    context.say(inside.length === 0 ? "no vCPU is in the guest" : `an IPI goes to ${inside.map(({ tdVcpu }) => tdVcpu.object.name).join(", ")}`);
}

/**
 * True when each vCPU that was kicked has left once. Those that rest in the guest leave now; one in a leaf of the module takes no interrupt and is waited for.
 */
function kickedOut(context: Context): boolean {
  const { machine, state } = context;
  const kicked = vcpusOf(machine, tdOf(context)).filter((vcpu) => vcpu.kicked.get(state) === 1);
  if (kicked.some(({ tdVcpu, entering }) => tdVcpu.leaf.get(state) !== 0 || entering.get(state) === 1)) return false;
  for (const vcpu of kicked) {
    vcpu.kicked.set(state, 0);
    exitTd(machine, state, vcpu.tdVcpu);
    if (context.telling) context.say(`${vcpu.tdVcpu.object.name} has left the guest`);
  }
  return true;
}

const kickSend: StepCode = {
  reads: ["td"],
  writes: ["td"],
  jumps: [],
  returns: false,
  run(context) {
    kickAll(context);
    return NEXT;
  },
};

const kickWait: StepCode = {
  reads: ["td", "module", "pamt"],
  writes: ["td", "module"],
  jumps: [],
  returns: false,
  run: (context) => (kickedOut(context) ? NEXT : BLOCKED),
};

const remove = kvmLeaf({
  leaf: "TDH.MEM.PAGE.REMOVE",
  registers,
  jumps: ["hold_vcpus", "clear_mirror"],
  answered(context, status) {
    if (isBusy(status) && isFirst(context)) return holdVcpus(context, "remove");
    letVcpusIn(context);
    if (isSuccess(status)) return NEXT;
    bug(context, "TDH.MEM.PAGE.REMOVE failed");
    return leak(context);
  },
});

const pageWbinvd = kvmLeaf({
  leaf: "TDH.PHYMEM.PAGE.WBINVD",
  registers: (context) => ({
    page: localsOf(context).frame.get(context.state),
    hkid: context.machine.tdx?.keys[tdOf(context).hkid.get(context.state)].hkid,
  }),
  jumps: ["clear_mirror"],
  answered(context, status) {
    if (isSuccess(status)) return NEXT;
    bug(context, "TDH.PHYMEM.PAGE.WBINVD failed");
    return leak(context);
  },
});

const resetPage: StepCode = {
  reads: [],
  writes: ["content"],
  jumps: [],
  returns: false,
  run(context) {
    resetIfAsked(context, localsOf(context).frame.get(context.state));
    return NEXT;
  },
};

const putPinned: StepCode = {
  reads: ["page", "reference"],
  writes: ["page", "free", "content"],
  jumps: ["clear_mirror"],
  returns: false,
  events: true,
  run(context) {
    const { state } = context;
    const { frame } = localsOf(context);
    if (context.telling && tdOf(context).pins.get(cellOf(context))?.get(state))
      context.say(`puts the reference of the secure EPT on frame ${frame.get(state)}`);
    unpin(context);
    return nextPage(context);
  },
};

/** tdx_reclaim_page of a TD that is terminated: whatever goes wrong, the page stays with it. */
const reclaimPage = kvmLeaf({
  leaf: "TDH.PHYMEM.PAGE.RECLAIM",
  registers: (context) => ({ page: localsOf(context).frame.get(context.state) }),
  jumps: ["clear_mirror"],
  reads: ["page", "reference"],
  writes: ["page", "free", "content", "ept"],
  answered(context, status) {
    if (!isSuccess(status)) return leak(context);
    resetIfAsked(context, localsOf(context).frame.get(context.state));
    unpin(context);
    return nextPage(context);
  },
});

/** tdx_no_vcpus_enter_start: wait_for_sept_zap, then the kick; it comes back when all have left, and the leaf runs again. */
const hold: StepCode = {
  reads: ["td", "module", "pamt"],
  writes: ["td", "module"],
  jumps: [...STAGES],
  returns: false,
  run(context) {
    const { state } = context;
    const { waits } = tdOf(context);
    if (waits.get(state) === 0) {
      waits.set(state, 1);
      kickAll(context);
      context.say("wait_for_sept_zap: no vCPU may enter");
      return context.onward("hold_vcpus");
    }
    if (!kickedOut(context)) return BLOCKED;
    return context.onward(STAGES[localsOf(context).index.get(state)]);
  },
};

export const removeSteps = {
  clear_mirror: clearMirror,
  block,
  track,
  kick_send: kickSend,
  kick_wait: kickWait,
  remove,
  page_wbinvd: pageWbinvd,
  reset_page: resetPage,
  put_pinned: putPinned,
  hold_vcpus: { ...hold, jumps: [...STAGES, "hold_vcpus"] },
  reclaim_page: reclaimPage,
};
