// The guest's access to its memory, and what the fault behind it has in hand: the slot and the page.

import { formatAddress } from "../../base/units.ts";
import { AGAIN, BLOCKED, type Context, type Machine, NEXT } from "../machine.ts";
import { readRange, writeRange } from "../memory/frames.ts";
import { getUserPage } from "../memory/gup.ts";
import { isWritable } from "../memory/state.ts";
import { KVM_MEM_READONLY, NotModelled, type SlotConfig } from "../objects.ts";
import { byteResult, ZERO } from "../plan.ts";
import { INTERRUPTED } from "../signals.ts";
import { isOrdinary } from "./kinds.ts";
import type { GuestAccess } from "./notifier.ts";
import { PRIVATE, SHARED, type VmState } from "./state.ts";

export const accessOf = (context: Context): GuestAccess => context.plan.data as GuestAccess;
export const vmOf = (context: Context): VmState => context.machine.vms[accessOf(context).vm];
export const cellOf = (context: Context): number => accessOf(context).cell;
export const gfnText = (context: Context): string => `gfn ${formatAddress(BigInt(accessOf(context).gfn))}`;

/** The slot that faults see at a gfn. */
export function slotAt(machine: Machine, state: Int32Array, vm: VmState, gfn: number): { config: SlotConfig; invalid: boolean } | undefined {
  for (const slot of vm.slots) {
    if (gfn < slot.first || gfn >= slot.end) continue;
    const number = slot.config.get(state);
    if (number === 0) continue;
    const config = machine.objects.slots[number - 1];
    if (gfn >= config.gfn && gfn < config.gfn + config.pages) return { config, invalid: slot.invalid.get(state) === 1 };
  }
  return undefined;
}

/** The kind of the mapping that an access uses. */
export function effectiveKind(context: Context): number {
  const { machine, state } = context;
  const { gfn, kind } = accessOf(context);
  const slot = slotAt(machine, state, vmOf(context), gfn);
  return slot && isOrdinary(machine, slot.config, kind) ? SHARED : kind;
}

/** A leaf that a load put there lets a store pass only where the slot and the host's PTE do. */
export function letsPass(context: Context, kind: number): boolean {
  const { machine, state } = context;
  const { gfn, value } = accessOf(context);
  const config = value === undefined || kind === PRIVATE ? undefined : slotAt(machine, state, vmOf(context), gfn)?.config;
  if (!config || config.gmemOnly) return true;
  const mapping = config.mapping === undefined ? undefined : machine.mappings[config.mapping];
  return !(config.flags & KVM_MEM_READONLY) && (mapping === undefined || isWritable(state, mapping, config.mappingPage + gfn - config.gfn));
}

/** Translate and touch are one step: TLB, else the EPT (and the TLB is filled), else a fault. `kind`: of the mapping that the access uses. */
export function touch(context: Context, kind: number): number {
  const { machine, state } = context;
  const { vcpu, range, value } = accessOf(context);
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
  if (!cached) entry?.set(state, frame);
  const where = cached ? "TLB hit" : "the EPT has it, the TLB is filled";
  if (value === undefined)
    return context.done(byteResult(readRange(context, frame, range), context, context.telling ? `${where}: loads from frame ${frame}` : ""));
  writeRange(context, frame, range, value);
  if (machine.options.taint) machine.frames[frame].tainted.set(state, kind === PRIVATE ? 1 : 0);
  if (context.telling) context.say(`${where}: stores 0x${value.toString(16)} into frame ${frame}`);
  return context.done(ZERO);
}

/** xfer_to_guest_mode_handle_work, kvm_handle_signal_exit. */
export function interrupt(context: Context): number {
  context.say("a signal is pending: leaves KVM_RUN with EINTR and KVM_EXIT_INTR");
  return context.always(INTERRUPTED);
}

/** The slot that find_slot left for the steps behind it; a variant may have taken find_slot away. */
export function configOf(context: Context): SlotConfig {
  const config = context.machine.objects.slots[context.thread.slot.get(context.state) - 1];
  if (!config) throw new NotModelled(context.plan.id, `what ${context.step?.name ?? "a fault"} does without find_slot before it is not modelled`);
  return config;
}

/** The file page of the faulting gfn in the slot that find_slot saw. */
export function filePlace(context: Context): { file: number; cell: number; page: number } {
  const config = configOf(context);
  const page = config.filePage + accessOf(context).gfn - config.gfn;
  const file = config.file as number;
  return { file, page, cell: context.machine.files[file].cells.at(page) };
}

/** hva_to_pfn: takes the frame behind the slot's host address in hand; undefined where there is none. */
export function takeHostPage(context: Context, config: SlotConfig, gfn: number, write: boolean): number | undefined {
  const { machine, state, thread } = context;
  const mapping = config.mapping === undefined ? undefined : machine.mappings[config.mapping];
  const frame = mapping && getUserPage(context, mapping, config.mappingPage + gfn - config.gfn, write);
  if (frame === "blocked") return BLOCKED;
  if (frame === "again") return AGAIN;
  if (frame === undefined) return undefined;
  thread.frame.set(state, frame);
  if (context.telling) context.say(`gets frame ${frame} through userspace_addr`);
  return NEXT;
}

/** Of a pre-fault in a variant that does not put its page: the next one, or the end of the call, forgets the reference. */
export function leaveReference({ machine, thread, state }: Context): void {
  const held = thread.frame.get(state);
  thread.frame.set(state, 0);
  if (held > 0) machine.emit("reference-leaked", held, thread.index);
}

/** The SRCU read side ends; whoever waits for it may go on. */
export function endFault(context: Context): void {
  const { state, thread } = context;
  for (const local of [thread.inFault, thread.kind, thread.page, thread.stale, thread.decided, thread.hit, thread.frame, thread.slot]) local.set(state, 0);
  context.machine.vcpus[accessOf(context).vcpu].reader.set(state, 0);
}
