// What the steps of an access to guest_memfd touch in a given state (narrow.ts): the page of the file is there, nothing came in between, the leaf is empty.

import type { Context, Shape } from "../machine.ts";
import { isPoisoned, isReferenced } from "../memory/file.ts";
import type { SlotConfig } from "../objects.ts";
import { accessOf, configOf, slotAt, vmOf } from "./access.ts";
import { attributeKind, faultCell, gfnOf, isFromFile, isOvertaken, isPrefault, kindOf, presentKind } from "./gmem-access.ts";
import { isPrivateSlot } from "./kinds.ts";
import { INSTALL, isHostPageThere, isMapped, narrowTouch, PTE_THERE, RETRY, SLOT_FOUND } from "./narrow.ts";

export const narrowAccess = (context: Context): Shape | undefined => narrowTouch(context, presentKind(context));

// The kind of the access is the fault's.
const RIGHT_KIND: Shape = { reads: ["kind", "fault"], writes: [], returns: false };
const RIGHT_KIND_DECIDED: Shape = { reads: ["kind", "fault"], writes: ["fault"], returns: false };
const FROM_HOST: Shape = { reads: ["fault"], writes: [], returns: false };

export function narrowCheckKind(context: Context): Shape | undefined {
  if (attributeKind(context, vmOf(context), faultCell(context)) !== kindOf(context)) return undefined;
  return context.machine.options.invalidationGhost ? RIGHT_KIND_DECIDED : RIGHT_KIND;
}

export function narrowFindSlot(context: Context): Shape | undefined {
  const slot = slotAt(context.machine, context.state, vmOf(context), gfnOf(context));
  return slot && !slot.invalid ? SLOT_FOUND : undefined;
}

const IN_TIME: Shape = { reads: ["fault", "notifier"], writes: [], returns: false };

export const narrowEarlyRetry = (context: Context): Shape | undefined => (isOvertaken(context) ? undefined : IN_TIME);

const PAGE_THERE: Shape = { reads: ["page", "lock", "uptodate", "slot", "handle", "pte", "control", "file", "fault"], writes: ["reference"], returns: false };

export function narrowGetPage(context: Context): Shape | undefined {
  const { machine, state, thread } = context;
  const config = configOf(context);
  if (!isFromFile(config, kindOf(context))) return FROM_HOST;
  const file = machine.files[config.file ?? -1];
  const slot = vmOf(context).slots.find((one) => one.id === config.id);
  if (!isPrivateSlot(config) || !file || slot?.gmem?.file.get(state) !== 1 || !isReferenced(machine, state, file)) return undefined;
  const cell = fileCell(context, config);
  if (isPoisoned(machine, state, file.object.index, cell)) return undefined;
  return thread.frame.get(state) === 0 && file.frames[cell].get(state) !== 0 && file.uptodate[cell].get(state) !== 0 ? PAGE_THERE : undefined;
}

const fileCell = (context: Context, config: SlotConfig): number =>
  context.machine.files[config.file as number].cells.at(config.filePage + gfnOf(context) - config.gfn);

export function narrowGup(context: Context): Shape | undefined {
  const write = !isPrefault(context) && accessOf(context).value !== undefined;
  return isHostPageThere(context, configOf(context), gfnOf(context), write) ? PTE_THERE : undefined;
}

/** One page table: the leaf of the other kind must be empty as well. */
export function narrowMap(context: Context): Shape | undefined {
  const { state, thread } = context;
  if (isOvertaken(context)) return RETRY;
  const [kind, { ept }, cell] = [kindOf(context), vmOf(context), faultCell(context)];
  const [own, other] = [ept[kind][cell]?.get(state) ?? 0, ept[1 - kind][cell]?.get(state) ?? 0];
  return other === 0 && (own === 0 || own === thread.frame.get(state)) ? INSTALL : undefined;
}

const KEPT: Shape = { reads: ["page", "fault"], writes: ["reference", "fault", "srcu"], returns: false };

/** The frame in hand stays where it came from. */
export function narrowPut(context: Context): Shape | undefined {
  const { machine, state, thread } = context;
  const frame = thread.frame.get(state);
  const config = machine.objects.slots[thread.slot.get(state) - 1];
  if (!config || frame === 0) return frame === 0 ? KEPT : undefined;
  const kept = isFromFile(config, kindOf(context))
    ? config.file !== undefined && machine.files[config.file].frames[fileCell(context, config)]?.get(state) === frame
    : isMapped(context, config, gfnOf(context));
  return kept ? KEPT : undefined;
}
