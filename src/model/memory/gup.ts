// The host's page fault without a user access behind it: what get_user_pages gives for an address, and how a private mapping comes to a page of its own
// (mm/gup.c, mm/memory.c).

import { userFaultRefused } from "../kvm/gmem-file.ts";
import { invalidateHva } from "../kvm/notifier.ts";
import type { Context } from "../machine.ts";
import { copyFrame, holdCopy } from "./copying.ts";
import { addPage, makeUptodate, sizeOf } from "./file.ts";
import { allocateFrame, clearByHost, framesLeft, release } from "./frames.ts";
import { type FileState, fileCellOf, isAlone, isWritable, type MappingState, permits, protOf } from "./state.ts";

export function installPte(context: Context, mapping: MappingState, cell: number, frame: number): void {
  mapping.ptes[cell]?.set(context.state, frame);
  context.machine.emit("host-pte", frame);
}

/** The page of a private mapping that does not come from its file: what it holds already, alone or with its kin, and fresh anonymous memory. */
export function faultOwnPage(context: Context, mapping: MappingState, cell: number, write: boolean): boolean {
  const { machine, state } = context;
  const own = mapping.copies[cell]?.get(state) ?? 0;
  if (own === 0 && !mapping.object.anonymous) return false;
  if (own === 0) {
    const frame = allocateFrame(context);
    clearByHost(machine, state, frame);
    mapping.copies[cell]?.set(state, frame);
    installPte(context, mapping, cell, frame);
    if (context.telling) context.say(`anonymous memory: frame ${frame}, cleared`);
  } else if (write && !isAlone(state, mapping, cell)) {
    if (holdCopy(context, mapping, cell, own)) return true;
    installPte(context, mapping, cell, copyOf(context, mapping, cell, own));
    if (context.telling) context.say(`frame ${own} belongs to another process, too: the store gets a copy, frame ${mapping.copies[cell]?.get(state)}`);
    release(context, own);
  } else installPte(context, mapping, cell, own);
  return true;
}

/** VM_FAULT_OOM: the page of the file, fresh anonymous memory or the copy of a page would need a frame, and none is free. */
function lacksFrame(context: Context, mapping: MappingState, cell: number, write: boolean): boolean {
  const { machine, state } = context;
  if (framesLeft(machine, state) > 0) return false;
  const file = machine.files[mapping.object.file];
  const own = mapping.copies[cell]?.get(state) ?? 0;
  const copied = write && !mapping.object.shared && (own === 0 || !isAlone(state, mapping, cell));
  const lacks = copied || (own === 0 && file.frames[fileCellOf(file, mapping, cell)].get(state) === 0);
  if (lacks) context.say("no frame is free for the page");
  return lacks;
}

/** Copy on write of a private mapping. */
export function copyOf(context: Context, mapping: MappingState, cell: number, frame: number): number {
  const { state } = context;
  const copy = copyFrame(context, frame);
  if ((mapping.ptes[cell]?.get(state) ?? 0) !== 0) invalidateHva(context, mapping, cell);
  mapping.copies[cell]?.set(state, copy);
  return copy;
}

/** What GUP finds at a host address: the frame of the PTE, faulting it in when needed; undefined where nothing is mapped or its protection forbids it. */
export function getUserPage(context: Context, mapping: MappingState, page: number, write: boolean): number | "blocked" | "again" | undefined {
  const { machine, state } = context;
  if (page < 0 || page >= mapping.object.pages) return undefined;
  const cell = mapping.cells.one(page);
  const present = mapping.ptes[cell]?.get(state) ?? 0;
  if (!permits(protOf(state, mapping, cell), write)) return undefined;
  // GUP without mmap_lock looks at the page tables only.
  if (present !== 0 && (!write || isWritable(state, mapping, page))) return present;
  if (mapping.mapped[cell].get(state) === 0) return undefined;
  const file = machine.files[mapping.object.file];
  const fileCell = fileCellOf(file, mapping, cell);
  if (lacksFrame(context, mapping, cell, write)) return undefined;
  if (faultOwnPage(context, mapping, cell, write)) return mapping.ptes[cell]?.get(state);
  if (file.gmem && userFaultRefused(machine, file, BigInt(page + mapping.object.filePage)) !== undefined) return undefined;
  if (file.object.kind === "memfd" && BigInt(page + mapping.object.filePage) << 12n >= sizeOf(machine, state, file)) return undefined;
  if (file.folios[fileCell].get(state) !== 0 || holeCovers(context, file, fileCell)) return "blocked";
  if (file.frames[fileCell].get(state) === 0) {
    addPage(context, file, fileCell);
    makeUptodate(context, file, fileCell);
    if (write && !mapping.object.shared) return "again";
  }
  makeUptodate(context, file, fileCell);
  const frame = file.frames[fileCell].get(state);
  installPte(context, mapping, cell, write && !mapping.object.shared ? copyOf(context, mapping, cell, frame) : frame);
  return mapping.ptes[cell]?.get(state);
}

export function holeCovers(context: Context, file: FileState, cell: number): boolean {
  const { machine, state } = context;
  const punching = file.hole.get(state);
  const call = punching === 0 ? undefined : machine.instruction(state, punching - 1)?.call;
  return call !== undefined && (machine.plans[call]?.cells.includes(cell) ?? false);
}
