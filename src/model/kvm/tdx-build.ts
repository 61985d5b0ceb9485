// KVM_TDX_INIT_VM, KVM_TDX_INIT_VCPU, KVM_TDX_FINALIZE_VM: a TD is built in the TDX module from pages of the kernel (arch/x86/kvm/vmx/tdx.c __tdx_td_init,
// tdx_td_vcpu_init, tdx_td_finalize). What fails half-way is torn down again (tdx-teardown.ts), or leaves a bugged VM.

import type { TdxStatus } from "../../base/tdx-status.ts";
import type { Field } from "../layout.ts";
import { BLOCKED, type Context, NEXT, type StepCode } from "../machine.ts";
import { bug, freePageOf, isBusy, isSuccess, kvmLeaf, localsOf, pageFor, tdOf, tdsOf } from "./tdx-leaf.ts";
import { lockModule, lockSteps, mmuSteps, unlockModule } from "./tdx-locks.ts";
import { initVmEarly, KVM_MAX_CPUID_ENTRIES, stop, type TdCommand } from "./tdx-plans.ts";
import { type KvmTdVcpu, TD_STATE } from "./tdx-state.ts";
import { CREATED, createdVcpus } from "./tdx-vcpus.ts";

const command = (context: Context): TdCommand => context.plan.data as TdCommand;
const vcpuOf = (context: Context): KvmTdVcpu => tdsOf(context.machine).vcpus[command(context).vcpu] as KvmTdVcpu;

/** The first lock on the way out, under each release's order of them. */
const UNLOCK = ["unlock_slots", "unlock_vcpus", "unlock_kvm"] as const;

/** tdx_td_init and setup_tdparams, in their order: state, flags, the table's size, vCPUs, then the parameters. */
const checkNewTd: StepCode = {
  reads: ["td", ...CREATED],
  writes: [],
  jumps: UNLOCK,
  run(context) {
    const { machine, state, plan } = context;
    const { refused } = command(context);
    const td = tdOf(context);
    const early = td.state.get(state) === TD_STATE.UNINITIALIZED ? initVmEarly(plan.call, plan.id) : "EINVAL";
    if (early) return stop(context, early, ...UNLOCK);
    // Of a TD that is not initialised there is no vCPU, but one may be on its way to find that out.
    if (createdVcpus(machine, state, td) > 0) return stop(context, "EBUSY", ...UNLOCK);
    if (refused) return stop(context, refused, ...UNLOCK);
    context.say(`the parameters are in order; a CPUID table has at most ${KVM_MAX_CPUID_ENTRIES} entries`);
    return NEXT;
  },
};

/** ida_alloc_range: the lowest one that is free. */
const takeKeyid: StepCode = {
  reads: ["td"],
  writes: ["td"],
  jumps: UNLOCK,
  run(context) {
    const { machine, state } = context;
    const { keyids } = tdsOf(machine);
    const key = keyids.findIndex((taken, index) => index > 0 && taken.get(state) === 0);
    if (key < 0) return stop(context, "ENOSPC", ...UNLOCK);
    const most = machine.setting("misc_max_tdx");
    if (most >= 0n && BigInt(keyids.filter((taken) => taken.get(state) === 1).length) >= most) {
      context.say("misc_cg_try_charge: the cgroup has no more of them, and the key id goes back");
      return stop(context, "EBUSY", ...UNLOCK);
    }
    keyids[key].set(state, 1);
    tdOf(context).hkid.set(state, key);
    if (context.telling) context.say(`takes key id ${machine.tdx?.keys[key].hkid}`);
    return NEXT;
  },
};

const tdrOf = (context: Context): number => tdOf(context).tdr.get(context.state);
const hkidOf = (context: Context): number => context.machine.tdx?.keys[tdOf(context).hkid.get(context.state)].hkid as number;

const tdCreate = kvmLeaf({
  leaf: "TDH.MNG.CREATE",
  registers: (context) => ({ page: tdrOf(context), hkid: hkidOf(context), makes: tdOf(context).td.object.index }),
  jumps: ["return_keyid"],
  reads: ["lock"],
  writes: ["free", "content", "reference", "lock"],
  before(context) {
    if (!lockModule(context)) return BLOCKED;
    pageFor(context, tdOf(context).tdr);
    return undefined;
  },
  answered(context, status) {
    unlockModule(context);
    if (isSuccess(status)) return NEXT;
    freePageOf(context, tdOf(context).tdr);
    return stop(context, status.status === "TDX_RND_NO_ENTROPY" ? "EAGAIN" : "EIO", "return_keyid");
  },
});

/** smp_call_on_cpu: the first processor of the package, one caller after the other. */
const processorOf = (context: Context): Field => tdsOf(context.machine).processors[localsOf(context).index.get(context.state)];

/** One package after the other; an error is a bug of KVM, and the TD is torn down. */
const keyConfig = kvmLeaf({
  leaf: "TDH.MNG.KEY.CONFIG",
  registers: (context) => ({ tdr: tdrOf(context), package: localsOf(context).index.get(context.state) }),
  jumps: ["key_config", "flush_vp"],
  reads: ["lock"],
  writes: ["lock"],
  before(context) {
    const processor = processorOf(context);
    if (processor.get(context.state) !== 0) return BLOCKED;
    processor.set(context.state, context.thread.index + 1);
    return undefined;
  },
  answered(context, status) {
    const { machine, state } = context;
    const { index } = localsOf(context);
    processorOf(context).set(state, 0);
    if (!isSuccess(status)) {
      index.set(state, 0);
      bug(context, "TDH.MNG.KEY.CONFIG failed");
      return stop(context, "EIO", "flush_vp");
    }
    index.set(state, index.get(state) + 1);
    if (index.get(state) < (machine.tdx?.packages ?? 1)) return context.onward("key_config");
    index.set(state, 0);
    return NEXT;
  },
});

const tdAddcx = kvmLeaf({
  leaf: "TDH.MNG.ADDCX",
  registers: (context) => ({ tdr: tdrOf(context), page: tdcs(context).get(context.state) }),
  jumps: ["td_addcx", "flush_vp"],
  writes: ["free", "content", "reference"],
  before(context) {
    pageFor(context, tdcs(context));
    return undefined;
  },
  answered(context, status) {
    const { state } = context;
    const { index } = localsOf(context);
    if (!isSuccess(status)) {
      freePageOf(context, tdcs(context));
      index.set(state, 0);
      return stop(context, status.status === "TDX_RND_NO_ENTROPY" ? "EAGAIN" : "EIO", "flush_vp");
    }
    index.set(state, index.get(state) + 1);
    if (index.get(state) < tdOf(context).tdcs.length) return context.onward("td_addcx");
    index.set(state, 0);
    return NEXT;
  },
});

const tdcs = (context: Context) => tdOf(context).tdcs[localsOf(context).index.get(context.state)];

/** More vCPUs than any scenario has; KVM hands over the number of processors. */
const MAX_VCPUS = 1024n;

const tdInit = kvmLeaf({
  leaf: "TDH.MNG.INIT",
  registers(context) {
    const { attributes, wide } = command(context);
    const maxVcpus = context.machine.program.machine?.cpus ?? MAX_VCPUS;
    return { tdr: tdrOf(context), values: { attributes, gpaw: wide ? 1n : 0n, max_vcpus: maxVcpus } };
  },
  jumps: ["flush_vp"],
  answered(context, status) {
    if (isSuccess(status)) return NEXT;
    return stop(context, status.status === "TDX_OPERAND_INVALID" ? "EINVAL" : "EIO", "flush_vp");
  },
});

const setTdInitialized: StepCode = {
  reads: [],
  writes: ["td"],
  jumps: UNLOCK,
  returns: false,
  run(context) {
    tdOf(context).state.set(context.state, TD_STATE.INITIALIZED);
    if (context.telling) context.say(`the TD is initialised; gfn_direct_bits says bit ${command(context).wide ? 51 : 47} is the shared bit`);
    return context.onward(UNLOCK.find((name) => context.operation.labels.has(name)) ?? "");
  },
};

/** tdx_vcpu_ioctl: no key id, or finalised. Behind it what the arguments say. */
export function gate(context: Context): boolean {
  const td = tdOf(context);
  if (context.machine.features.td_terminate === "guarded" && td.terminated?.get(context.state) === 1) return true;
  return td.hkid.get(context.state) === 0 || td.state.get(context.state) === TD_STATE.RUNNABLE;
}

const checkNewVcpu: StepCode = {
  reads: ["td"],
  writes: [],
  jumps: ["unlock_slots", "unlock_kvm"],
  run(context) {
    const { refused } = command(context);
    if (gate(context)) return stop(context, "EINVAL", "unlock_slots", "unlock_kvm");
    if (refused) return stop(context, refused, "unlock_slots", "unlock_kvm");
    if (vcpuOf(context).initialized.get(context.state) === 1) return stop(context, "EINVAL", "unlock_slots", "unlock_kvm");
    context.say("the TD is initialised and not finalised, the vCPU is not initialised");
    return NEXT;
  },
};

/** A leaf that fails here is a bug of KVM; pages that the module has stay with it until the TD is torn down. */
function failVcpu(context: Context, leaf: string, page: Parameters<typeof freePageOf>[1] | undefined): number {
  localsOf(context).index.set(context.state, 0);
  if (page) freePageOf(context, page);
  bug(context, `${leaf} failed`);
  return stop(context, "EIO", "unlock_mmu", "unlock_slots", "unlock_kvm");
}

const vpCreate = kvmLeaf({
  leaf: "TDH.VP.CREATE",
  registers: (context) => ({ tdr: tdrOf(context), page: vcpuOf(context).tdvpr.get(context.state), makes: vcpuOf(context).tdVcpu.object.index }),
  jumps: ["unlock_mmu", "unlock_slots", "unlock_kvm"],
  returns: true,
  writes: ["free", "content", "reference"],
  before(context) {
    pageFor(context, vcpuOf(context).tdvpr);
    return undefined;
  },
  answered: (context, status) => (isSuccess(status) ? NEXT : failVcpu(context, "TDH.VP.CREATE", vcpuOf(context).tdvpr)),
});

const tdcx = (context: Context) => vcpuOf(context).tdcx[localsOf(context).index.get(context.state)];

const vpAddcx = kvmLeaf({
  leaf: "TDH.VP.ADDCX",
  registers: (context) => ({ tdvpr: vcpuOf(context).tdvpr.get(context.state), page: tdcx(context).get(context.state) }),
  jumps: ["vp_addcx", "unlock_mmu", "unlock_slots", "unlock_kvm"],
  returns: true,
  writes: ["free", "content", "reference"],
  before(context) {
    pageFor(context, tdcx(context));
    return undefined;
  },
  answered(context, status) {
    const { state } = context;
    const { index } = localsOf(context);
    if (!isSuccess(status)) return failVcpu(context, "TDH.VP.ADDCX", tdcx(context));
    index.set(state, index.get(state) + 1);
    if (index.get(state) < vcpuOf(context).tdcx.length) return context.onward("vp_addcx");
    index.set(state, 0);
    return NEXT;
  },
});

const vpInit = kvmLeaf({
  leaf: "TDH.VP.INIT",
  registers: (context) => ({ tdvpr: vcpuOf(context).tdvpr.get(context.state) }),
  jumps: ["unlock_mmu", "unlock_slots", "unlock_kvm"],
  returns: true,
  answered: (context, status) => (isSuccess(status) ? NEXT : failVcpu(context, "TDH.VP.INIT", undefined)),
});

const setVcpuInitialized: StepCode = {
  reads: [],
  writes: ["td"],
  jumps: [],
  returns: false,
  run(context) {
    vcpuOf(context).initialized.set(context.state, 1);
    context.say("the vCPU is initialised");
    return NEXT;
  },
};

const checkFinal: StepCode = {
  reads: ["td"],
  writes: [],
  jumps: ["unlock_slots", "unlock_kvm"],
  run(context) {
    if (gate(context)) return stop(context, "EINVAL", "unlock_slots", "unlock_kvm");
    context.say("the TD has a key id and is not finalised");
    return NEXT;
  },
};

const checkPremapped: StepCode = {
  reads: ["td"],
  writes: [],
  jumps: ["unlock_slots", "unlock_kvm"],
  run(context) {
    const pages = tdOf(context).premapped.get(context.state);
    if (pages > 0) {
      if (context.telling) context.say(`${pages} pages are mapped that TDH.MEM.PAGE.ADD has not added`);
      return stop(context, "EINVAL", "unlock_slots", "unlock_kvm");
    }
    context.say("every page that is mapped has been added");
    return NEXT;
  },
};

const mrFinalize = kvmLeaf({
  leaf: "TDH.MR.FINALIZE",
  registers: (context) => ({ tdr: tdrOf(context) }),
  jumps: ["unlock_slots", "unlock_kvm"],
  returns: true,
  answered(context, status: TdxStatus) {
    if (isSuccess(status)) return NEXT;
    if (isBusy(status)) return stop(context, "EBUSY", "unlock_slots", "unlock_kvm");
    bug(context, "TDH.MR.FINALIZE failed");
    return stop(context, "EIO", "unlock_slots", "unlock_kvm");
  },
});

const setRunnable: StepCode = {
  reads: [],
  writes: ["td"],
  jumps: [],
  returns: false,
  run(context) {
    tdOf(context).state.set(context.state, TD_STATE.RUNNABLE);
    context.say("the TD is runnable");
    return NEXT;
  },
};

const allowPrefault: StepCode = {
  reads: [],
  writes: ["td"],
  jumps: [],
  returns: false,
  run(context) {
    tdOf(context).prefault.set(context.state, 1);
    context.say("KVM_PRE_FAULT_MEMORY is allowed from here on");
    return NEXT;
  },
};

const checkCpuid: StepCode = {
  reads: ["td"],
  writes: [],
  jumps: [],
  run(context) {
    const { refused } = command(context);
    if (gate(context)) return context.fail("EINVAL");
    return refused ? context.fail(refused) : NEXT;
  },
};

const readCpuid: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    context.say("the CPUID values that the TD sees are read from its metadata");
    return NEXT;
  },
};

export const initVmSteps = {
  ...lockSteps,
  check_td: checkNewTd,
  take_keyid: takeKeyid,
  td_create: tdCreate,
  key_config: keyConfig,
  td_addcx: tdAddcx,
  td_init: tdInit,
  set_initialized: setTdInitialized,
};
export const initVcpuSteps = {
  ...lockSteps,
  ...mmuSteps,
  check_td: checkNewVcpu,
  vp_create: vpCreate,
  vp_addcx: vpAddcx,
  vp_init: vpInit,
  set_initialized: setVcpuInitialized,
};
export const finalizeSteps = {
  ...lockSteps,
  check_td: checkFinal,
  check_premapped: checkPremapped,
  mr_finalize: mrFinalize,
  set_runnable: setRunnable,
  allow_prefault: allowPrefault,
};
export const cpuidSteps = { check_td: checkCpuid, read_cpuid: readCpuid };
