// Guest loads and stores: the access itself, and the page-fault path behind it (arch/x86/kvm/mmu/mmu.c; v4 09/12; v8 4/8 and 7/8). An access is retried until
// it hits; a fault holds the SRCU read side of the slots.

import { asU64, formatAddress } from "../../base/units.ts";
import type { Call, CallId, Result } from "../../scenario/program.ts";
import { SHARED_BIT } from "../cuts.ts";
import type { Machine } from "../machine.ts";
import { addPage, makeUptodate, sizeOf } from "../memory/file.ts";
import { readRange, release, writeRange } from "../memory/frames.ts";
import { byteResult, getUserPage, isWritable } from "../memory/mapping.ts";
import { intOf, KVM_MEM_PRIVATE, KVM_MEM_READONLY, NotModelled, type SlotConfig } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";
import { BOUND } from "../runner.ts";
import { AGAIN, BLOCKED, type Context, NEXT, type Plan, type StepCode } from "../step.ts";
import type { GuestAccess } from "./notifier.ts";
import { PRIVATE, SHARED, type VmState } from "./state.ts";

const MEMORY_EXIT_FLAG_PRIVATE = 1n;

export function planGuestAccess(machine: Machine, id: CallId, call: Call): Plan {
  const handle = machine.program.actors[call.actor].handle;
  const vcpu = machine.objects.vcpus.find((candidate) => candidate.handle === handle);
  if (!vcpu || handle === undefined) throw new NotModelled(id, "a guest access needs a vCPU that KVM_CREATE_VCPU on a known VM makes");
  const gpa = asU64(intOf(call, id, 0));
  const data: GuestAccess = {
    vm: vcpu.vm,
    vcpu: vcpu.index,
    gfn: Number((gpa & ~SHARED_BIT) >> 12n),
    byte: Number(gpa & 4095n),
    kind: gpa & SHARED_BIT ? SHARED : PRIVATE,
    value: call.spec === "guest.store" ? Number(intOf(call, id, 1) & 0xffn) : undefined,
  };
  return plan(id, call, {
    operations: ["fault"],
    success: ZERO,
    data,
    reads: ["handle"],
    decode: (context) => (machine.handles[handle].get(context.state) === BOUND ? undefined : "EBADF"),
  });
}

export const accessOf = (context: Context): GuestAccess => context.plan.data as GuestAccess;
const vmOf = (context: Context): VmState => context.machine.vms[accessOf(context).vm];
const cellOf = (context: Context): number => vmOf(context).cells.at(accessOf(context).gfn);
const gfnText = (context: Context): string => `gfn ${formatAddress(BigInt(accessOf(context).gfn))}`;

/** The slot that faults see at a gfn. */
export function slotAt(machine: Machine, state: Int32Array, vm: VmState, gfn: number): { config: SlotConfig; invalid: boolean } | undefined {
  for (const slot of vm.slots) {
    const config = machine.objects.slots[slot.config.get(state) - 1];
    if (config && gfn >= config.gfn && gfn < config.gfn + config.pages) return { config, invalid: slot.invalid.get(state) === 1 };
  }
  return undefined;
}

export const isPrivateSlot = (config: SlotConfig): boolean => (config.flags & KVM_MEM_PRIVATE) !== 0;

/** The kind of the mapping that an access uses: in a slot without private backing every access is ordinary (model.md, rule 2). */
function effectiveKind(context: Context): number {
  const { machine, state } = context;
  const { gfn, kind } = accessOf(context);
  const slot = slotAt(machine, state, vmOf(context), gfn);
  return slot && !isPrivateSlot(slot.config) ? SHARED : kind;
}

/** A leaf that a load put there lets a store pass only where the slot and the host's PTE do. */
function letsPass(context: Context, kind: number): boolean {
  const { machine, state } = context;
  const { gfn, value } = accessOf(context);
  const config = value === undefined || kind === PRIVATE ? undefined : slotAt(machine, state, vmOf(context), gfn)?.config;
  if (!config) return true;
  const mapping = config.mapping === undefined ? undefined : machine.mappings[config.mapping];
  return !(config.flags & KVM_MEM_READONLY) && (mapping === undefined || isWritable(state, mapping, config.mappingPage + gfn - config.gfn));
}

/** Translate and touch are one step: TLB, else the EPT (and the TLB is filled), else a fault. */
const access: StepCode = {
  reads: ["tlb", "ept", "slot", "content", "pte", "page"],
  writes: ["tlb", "content"],
  events: true,
  run(context) {
    const { machine, state } = context;
    const { vcpu, byte, value } = accessOf(context);
    const kind = effectiveKind(context);
    const cell = cellOf(context);
    const entry = machine.vcpus[vcpu].tlb[kind][cell];
    const leaf = vmOf(context).ept[kind][cell];
    const cached = entry?.get(state) ?? 0;
    const frame = cached || (leaf?.get(state) ?? 0);
    if (frame === 0) {
      if (context.telling) context.say(`neither TLB nor EPT maps ${gfnText(context)}: EPT violation`);
      return NEXT;
    }
    if (!letsPass(context, kind)) {
      context.say(`${gfnText(context)} is mapped read-only: EPT violation`);
      return NEXT;
    }
    entry?.set(state, frame);
    const where = cached ? "TLB hit" : "the EPT has it, the TLB is filled";
    const range = machine.bytes.range(byte, byte + 1)[0];
    if (value === undefined) return context.done(byteResult(readRange(context, frame, range), context, `${where}: loads from frame ${frame}`));
    writeRange(context, frame, range, value);
    if (machine.options.taint) machine.frames[frame].tainted.set(state, kind === PRIVATE ? 1 : 0);
    if (context.telling) context.say(`${where}: stores 0x${value.toString(16)} into frame ${frame}`);
    return context.done(ZERO);
  },
};

/** smp_rmb after reading mmu_invalidate_seq: what moves it from here on makes the fault try again. */
const snapshot: StepCode = {
  reads: [],
  writes: ["fault"],
  run(context) {
    const { state, thread } = context;
    thread.inFault.set(state, 1);
    thread.stale.set(state, 0);
    thread.decided.set(state, 0);
    thread.hit.set(state, 0);
    if (context.telling) context.say("remembers mmu_invalidate_seq");
    return NEXT;
  },
};

const findSlot: StepCode = {
  reads: ["slot"],
  writes: ["fault", "srcu"],
  run(context) {
    const { machine, state, thread } = context;
    const { gfn } = accessOf(context);
    const slot = slotAt(machine, state, vmOf(context), gfn);
    if (!slot) return mmioExit(context, `no slot has ${gfnText(context)}`);
    if (slot.invalid) {
      endFault(context);
      if (context.telling) context.say("the slot is being deleted: try again");
      return context.jump("access");
    }
    thread.slot.set(state, slot.config.index + 1);
    if (context.telling) context.say(`slot ${slot.config.id} has ${gfnText(context)}`);
    return NEXT;
  },
};

/** The access is emulated, finds no memory it may touch, and leaves the guest for user space to answer. */
function mmioExit(context: Context, why: string): number {
  const { gfn, byte, value } = accessOf(context);
  endFault(context);
  context.say(why);
  const fields = [
    { name: "phys_addr", value: (BigInt(gfn) << 12n) + BigInt(byte) },
    { name: "len", value: 1n },
    { name: "is_write", value: value === undefined ? 0n : 1n },
    ...(value === undefined ? [] : [{ name: "data", value: BigInt(value) }]),
  ];
  return context.done({ kind: "exit", exit: "KVM_EXIT_MMIO", fields });
}

/** The slot that find_slot left for the steps behind it; a variant may have taken find_slot away. */
function configOf(context: Context): SlotConfig {
  const config = context.machine.objects.slots[context.thread.slot.get(context.state) - 1];
  if (!config) throw new NotModelled(context.plan.id, `what ${context.step?.name ?? "a fault"} does without find_slot before it is not modelled`);
  return config;
}

/** The file page of the faulting gfn in the slot that find_slot saw. */
function filePlace(context: Context): { file: number; cell: number; page: number } {
  const config = configOf(context);
  const page = config.filePage + accessOf(context).gfn - config.gfn;
  const file = config.file as number;
  return { file, page, cell: context.machine.files[file].cells.at(page) };
}

function decide(context: Context): void {
  if (context.machine.options.invalidationGhost) context.thread.decided.set(context.state, 1);
}

function memoryExit(context: Context): number {
  const { gfn, kind } = accessOf(context);
  endFault(context);
  if (context.telling) context.say(`a ${kind === PRIVATE ? "private" : "shared"} access to a ${kind === PRIVATE ? "shared" : "private"} gfn: leaves KVM_RUN`);
  const fields = [
    { name: "flags", value: kind === PRIVATE ? MEMORY_EXIT_FLAG_PRIVATE : 0n },
    { name: "gpa", value: BigInt(gfn) << 12n },
    { name: "size", value: 4096n },
  ];
  return context.done({ kind: "exit", exit: context.machine.features.exit, fields } satisfies Result);
}

/** The kind of a gfn where an ioctl decides it; undefined where pages in the file do. */
export function convertedKind(machine: Machine, state: Int32Array, vm: VmState, cell: number): number | undefined {
  if (machine.features.private_kind !== "xarray") return undefined;
  const standard = machine.features.default_kind === "private" ? PRIVATE : SHARED;
  return vm.converted[cell].get(state) === 1 ? 1 - standard : standard;
}

/** v8 7/8: only slots that can be private are asked; the access must be of the kind that the xarray says. */
const checkKind: StepCode = {
  reads: ["kind", "thread"],
  writes: ["fault", "srcu"],
  run(context) {
    const { machine, state } = context;
    if (!isPrivateSlot(configOf(context))) {
      if (context.telling) context.say("an ordinary slot");
      return context.jump("gup");
    }
    decide(context);
    const { kind } = accessOf(context);
    if (convertedKind(machine, state, vmOf(context), cellOf(context)) !== kind) return memoryExit(context);
    if (context.telling) context.say(`${gfnText(context)} is ${kind === PRIVATE ? "private" : "shared"}, as the access`);
    return kind === PRIVATE ? NEXT : context.jump("gup");
  },
};

/** v8 1/8 inaccessible_get_pfn: the page of the file with a reference, unlocked; allocated when it is not there, and not cleared (SGP_WRITE). */
const getPage: StepCode = {
  reads: ["page", "file", "content", "ept", "tlb", "pte", "driver", "thread"],
  writes: ["page", "content", "thread", "fault"],
  run(context) {
    const { machine, state, thread } = context;
    if (!isPrivateSlot(configOf(context)) || accessOf(context).kind === SHARED) return context.jump("gup");
    const { file: index, cell } = filePlace(context);
    const file = machine.files[index];
    if (file.folios[cell].get(state) !== 0) return BLOCKED;
    decide(context);
    const frame = file.frames[cell].get(state) || addPage(context, file, cell);
    if (machine.features.fresh_page === "zeroed") makeUptodate(context, file, cell);
    thread.frame.set(state, frame);
    if (context.telling) context.say(`gets frame ${frame} from the private file, with a reference`);
    return context.jump("map");
  },
};

/** v4 09/12: a look-up that allocates nothing tells private from shared, and leaves the folio locked for the private path. */
const lookupPage: StepCode = {
  reads: ["page", "file", "thread"],
  writes: ["page", "content", "thread", "fault", "srcu"],
  run(context) {
    const { machine, state, thread } = context;
    if (!isPrivateSlot(configOf(context))) return context.jump("gup");
    const { file: index, cell, page } = filePlace(context);
    const file = machine.files[index];
    if (file.folios[cell].get(state) !== 0) return BLOCKED;
    const frame = BigInt(page) << 12n < sizeOf(machine, state, file) ? file.frames[cell].get(state) : 0;
    decide(context);
    const { kind } = accessOf(context);
    if ((frame !== 0) !== (kind === PRIVATE)) return memoryExit(context);
    if (kind === SHARED) {
      if (context.telling) context.say("the private file holds no page here: shared");
      return context.jump("gup");
    }
    makeUptodate(context, file, cell);
    file.folios[cell].set(state, thread.index + 1);
    thread.frame.set(state, frame);
    if (context.telling) context.say(`frame ${frame} of the private file, with its folio locked`);
    return context.jump("map");
  },
};

/** hva_to_pfn: the frame behind the slot's host address. */
const gup: StepCode = {
  reads: ["pte", "file", "page", "content", "ept", "tlb", "driver", "thread"],
  writes: ["pte", "page", "content", "thread", "fault", "faults", "srcu"],
  events: true,
  run(context) {
    const { machine, state, thread } = context;
    const config = configOf(context);
    const write = accessOf(context).value !== undefined;
    // KVM_PFN_ERR_RO_FAULT: the store is emulated, and the emulator may not write there either.
    if (write && config.flags & KVM_MEM_READONLY) return mmioExit(context, "the slot is KVM_MEM_READONLY");
    const mapping = config.mapping === undefined ? undefined : machine.mappings[config.mapping];
    const frame = mapping && getUserPage(context, mapping, config.mappingPage + accessOf(context).gfn - config.gfn, write);
    if (frame === "blocked") return BLOCKED;
    if (frame === "again") return AGAIN;
    if (frame === undefined) {
      endFault(context);
      if (context.telling) context.say("nothing is mapped at the slot's userspace_addr");
      return context.fail("EFAULT");
    }
    decide(context);
    thread.frame.set(state, frame);
    if (context.telling) context.say(`gets frame ${frame} through userspace_addr`);
    return context.jump("map");
  },
};

/** Under mmu_lock: a fault that an invalidation overtook tries again, else the EPT leaf is installed. */
const map: StepCode = {
  reads: ["fault", "notifier", "thread"],
  writes: ["ept"],
  events: true,
  run(context) {
    const { machine, state, thread } = context;
    const vm = vmOf(context);
    const cell = cellOf(context);
    const ordinary = !isPrivateSlot(configOf(context)) || accessOf(context).kind === SHARED;
    const checked = ordinary || machine.features.private_fault_check === "seq";
    const after = ordinary ? "put_page" : lastStep(context);
    if (checked && thread.stale.get(state) === 1) {
      if (context.telling) context.say("mmu_invalidate_seq has moved: try again");
      return context.jump(after);
    }
    if (checked && vm.inProgress.get(state) > 0 && cell >= vm.rangeStart.get(state) && cell < vm.rangeEnd.get(state)) {
      if (context.telling) context.say(`an invalidation of ${gfnText(context)} is in progress: try again`);
      return context.jump(after);
    }
    if (thread.hit.get(state) === 1) machine.emit("install-after-invalidate", thread.index, cell);
    const kind = ordinary ? SHARED : PRIVATE;
    vm.ept[kind][cell]?.set(state, thread.frame.get(state));
    if (context.telling) context.say(`the EPT maps ${gfnText(context)} to frame ${thread.frame.get(state)}`);
    return context.jump(after);
  },
};

const lastStep = (context: Context): string => (context.operation.labels.has("unlock_folio_put") ? "unlock_folio_put" : "put_page");

const putPage: StepCode = {
  reads: ["thread", "page", "pte", "driver", "ept", "tlb"],
  writes: ["thread", "content", "fault", "srcu", "page"],
  run(context) {
    const { state, thread } = context;
    const frame = thread.frame.get(state);
    endFault(context);
    if (context.telling) context.say(`puts the reference on frame ${frame}`);
    release(context, frame);
    return context.jump("access");
  },
};

const unlockFolioPut: StepCode = {
  reads: putPage.reads,
  writes: putPage.writes,
  run(context) {
    const { machine, state, thread } = context;
    if (configOf(context).file !== undefined) {
      const { file, cell } = filePlace(context);
      const folio = machine.files[file].folios[cell];
      if (folio.get(state) === thread.index + 1) folio.set(state, 0);
    }
    if (context.telling) context.say("the folio is unlocked");
    return putPage.run(context);
  },
};

/** The SRCU read side ends; whoever waits for it may go on. */
function endFault(context: Context): void {
  const { state, thread } = context;
  const { vcpu } = accessOf(context);
  const vm = vmOf(context);
  for (const local of [thread.inFault, thread.stale, thread.decided, thread.hit, thread.frame, thread.slot]) local.set(state, 0);
  vm.readers.set(state, vm.readers.get(state) & ~(1 << vcpu));
}

export const faultSteps = {
  access,
  snapshot,
  find_slot: findSlot,
  check_kind: checkKind,
  get_page: getPage,
  gup,
  map,
  put_page: putPage,
  unlock_folio_put: unlockFolioPut,
};
export const lookupGuestPage = lookupPage;
