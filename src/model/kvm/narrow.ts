// What the steps of a guest access touch in a given state, where the state already says what they will not do: a page that is there is not allocated, a
// reference on a page that its file holds frees nothing. And the locks that they need.

import type { Field } from "../layout.ts";
import type { Context, Machine, Plan, Shape } from "../machine.ts";
import { sizeOf } from "../memory/file.ts";
import { isWritable, protOf } from "../memory/state.ts";
import type { SlotConfig } from "../objects.ts";
import { accessOf, cellOf, configOf, effectiveKind, filePlace, letsPass, slotAt, vmOf } from "./access.ts";
import { convertedKind, isOrdinary, isPrivateSlot } from "./kinds.ts";
import type { GuestAccess } from "./notifier.ts";
import { PRIVATE, SHARED } from "./state.ts";

const MISS: Shape = { reads: ["tlb", "ept", "slot", "pte", "page"], writes: [], returns: false };
const CACHED_LOAD: Shape = { reads: ["tlb", "slot", "content"], writes: [] };
const LOAD: Shape = { reads: ["tlb", "ept", "slot", "content"], writes: ["tlb"] };
const CACHED_STORE: Shape = { reads: ["tlb", "slot", "pte", "page"], writes: ["content"] };

export const narrowAccess = (context: Context): Shape | undefined => narrowTouch(context, effectiveKind(context));

/** `kind`: of the mapping that the access uses. */
export function narrowTouch(context: Context, kind: number): Shape | undefined {
  const { machine, state } = context;
  const { vcpu, value } = accessOf(context);
  const cell = cellOf(context);
  const cached = machine.vcpus[vcpu].tlb[kind][cell]?.get(state) ?? 0;
  if ((cached || (vmOf(context).ept[kind][cell]?.get(state) ?? 0)) === 0 || !letsPass(context, kind)) return MISS;
  if (value === undefined) return cached ? CACHED_LOAD : LOAD;
  return cached ? CACHED_STORE : undefined;
}

export const SLOT_FOUND: Shape = { reads: ["slot"], writes: [], returns: false };

export function narrowFindSlot(context: Context): Shape | undefined {
  const slot = slotAt(context.machine, context.state, vmOf(context), accessOf(context).gfn);
  return slot && !slot.invalid ? SLOT_FOUND : undefined;
}

const RIGHT_KIND: Shape = { reads: ["kind"], writes: [], returns: false };
const RIGHT_KIND_DECIDED: Shape = { reads: ["kind"], writes: ["fault"], returns: false };
const ORDINARY: Shape = { reads: [], writes: [], returns: false };

export function narrowCheckKind(context: Context): Shape | undefined {
  const { machine, state } = context;
  if (!isPrivateSlot(configOf(context)) && machine.features.ordinary_slot !== "exits") return ORDINARY;
  if (convertedKind(machine, state, vmOf(context), cellOf(context)) !== accessOf(context).kind) return undefined;
  return machine.options.invalidationGhost ? RIGHT_KIND_DECIDED : RIGHT_KIND;
}

const PAGE_THERE: Shape = { reads: ["page", "lock", "uptodate"], writes: ["reference"], returns: false };
const PAGE_THERE_DECIDED: Shape = { reads: ["page", "lock", "uptodate"], writes: ["reference", "fault"], returns: false };

export function narrowGetPage(context: Context): Shape | undefined {
  const { machine, state, thread } = context;
  if (isOrdinary(machine, configOf(context), accessOf(context).kind)) return ORDINARY;
  if (!isPrivateSlot(configOf(context))) return undefined;
  const { file: index, cell } = filePlace(context);
  const file = machine.files[index];
  if (thread.frame.get(state) !== 0 || file.frames[cell].get(state) === 0) return undefined;
  if (machine.features.fresh_page === "zeroed" && file.uptodate[cell].get(state) === 0) return undefined;
  return machine.options.invalidationGhost ? PAGE_THERE_DECIDED : PAGE_THERE;
}

const FOLIO_LOCKED: Shape = { reads: ["page", "lock", "size", "uptodate"], writes: ["lock", "reference"], returns: false };
const FOLIO_LOCKED_DECIDED: Shape = { reads: ["page", "lock", "size", "uptodate"], writes: ["lock", "reference", "fault"], returns: false };

export function narrowGuestLookup(context: Context): Shape | undefined {
  const { machine, state, thread } = context;
  if (!isPrivateSlot(configOf(context))) return ORDINARY;
  const { file: index, cell, page } = filePlace(context);
  const file = machine.files[index];
  if (accessOf(context).kind !== PRIVATE || thread.frame.get(state) !== 0) return undefined;
  if (file.frames[cell].get(state) === 0 || file.uptodate[cell].get(state) === 0) return undefined;
  if (BigInt(page) << 12n >= sizeOf(machine, state, file)) return undefined;
  return machine.options.invalidationGhost ? FOLIO_LOCKED_DECIDED : FOLIO_LOCKED;
}

export const PTE_THERE: Shape = { reads: ["pte", "page"], writes: ["reference"], returns: false };
const PTE_THERE_DECIDED: Shape = { reads: ["pte", "page"], writes: ["reference", "fault"], returns: false };

export function narrowGup(context: Context): Shape | undefined {
  if (!isHostPageThere(context, configOf(context), accessOf(context).gfn, accessOf(context).value !== undefined)) return undefined;
  return context.machine.options.invalidationGhost ? PTE_THERE_DECIDED : PTE_THERE;
}

/** The PTE behind the slot's userspace_addr is there and allows the access. */
export function isHostPageThere(context: Context, config: SlotConfig, gfn: number, write: boolean): boolean {
  const { machine, state, thread } = context;
  const mapping = config.mapping === undefined ? undefined : machine.mappings[config.mapping];
  if (!mapping || thread.frame.get(state) !== 0) return false;
  const page = config.mappingPage + gfn - config.gfn;
  const cell = mapping.cells.at(page);
  // Where the protection or the VMA forbids it the fault returns: not narrowed.
  const readable = (protOf(state, mapping, cell) & (write ? 2 : 3)) !== 0 && (mapping.mapped[cell]?.get(state) ?? 0) === 1;
  const present = mapping.ptes[cell]?.get(state) ?? 0;
  return readable && present !== 0 && !(write && (config.flags !== 0 || !isWritable(state, mapping, page)));
}

export const RETRY: Shape = { reads: ["fault", "notifier"], writes: [], returns: false };
export const INSTALL: Shape = { reads: ["fault", "notifier", "ept"], writes: ["ept"], returns: false };

/** An empty leaf is filled; overwriting one that names another frame may take the last mapping of a free frame away. */
export function narrowMap(context: Context): Shape | undefined {
  const { machine, state, thread } = context;
  const vm = vmOf(context);
  const cell = cellOf(context);
  const ordinary = !isPrivateSlot(configOf(context)) || accessOf(context).kind === SHARED;
  if (ordinary || machine.features.private_fault_check === "seq") {
    if (thread.stale.get(state) === 1) return RETRY;
    if (vm.inProgress.get(state) > 0 && cell >= vm.rangeStart.get(state) && cell < vm.rangeEnd.get(state)) return RETRY;
  }
  const old = vm.ept[ordinary ? SHARED : PRIVATE][cell]?.get(state) ?? 0;
  return old === 0 || old === thread.frame.get(state) ? INSTALL : undefined;
}

const KEPT: Shape = { reads: ["page"], writes: ["reference", "fault", "srcu"], returns: false };
const KEPT_UNLOCKED: Shape = { reads: ["page", "lock"], writes: ["reference", "fault", "srcu", "lock"], returns: false };

export const narrowPut = (context: Context): Shape | undefined => (isKept(context) ? KEPT : undefined);
export const narrowUnlockPut = (context: Context): Shape | undefined => (isKept(context) ? KEPT_UNLOCKED : undefined);

/** The frame in hand stays where it came from: the private file, or the file or private copy behind userspace_addr. */
function isKept(context: Context): boolean {
  const { machine, state, thread } = context;
  const frame = thread.frame.get(state);
  const config = machine.objects.slots[thread.slot.get(state) - 1];
  if (!config || frame === 0) return frame === 0;
  if (config.file !== undefined && accessOf(context).kind === PRIVATE && isPrivateSlot(config)) {
    const { file, cell } = filePlace(context);
    return machine.files[file].frames[cell]?.get(state) === frame;
  }
  return isMapped(context, config, accessOf(context).gfn);
}

/** The frame in hand is the one behind userspace_addr: of the mapped file, or a private copy. */
export function isMapped({ machine, state, thread }: Context, config: SlotConfig, gfn: number): boolean {
  const frame = thread.frame.get(state);
  const mapping = config.mapping === undefined ? undefined : machine.mappings[config.mapping];
  if (!mapping) return false;
  const cell = mapping.cells.at(config.mappingPage + gfn - config.gfn);
  if (cell < 0 || !mapping.cells.single(cell)) return false;
  const file = machine.files[mapping.object.file];
  return file.frames[file.cells.at(mapping.cells.start(cell) + mapping.object.filePage)]?.get(state) === frame || mapping.copies[cell]?.get(state) === frame;
}

/** The folio of a private access, where only one slot can ever have its gfn. */
export function folioOf(machine: Machine, plan: Plan): readonly Field[] {
  const { vm, gfn, kind } = plan.data as GuestAccess;
  const configs = machine.objects.slots.filter((config) => config.vm === vm && gfn >= config.gfn && gfn < config.gfn + config.pages);
  const [config] = configs;
  if (configs.length !== 1 || config.file === undefined || !isPrivateSlot(config) || kind !== PRIVATE) return [];
  const file = machine.files[config.file];
  return [file.folios[file.cells.at(config.filePage + gfn - config.gfn)]].filter((field) => field !== undefined);
}
