// What several file operations share: references of a file, dropping and finding pages, the size, and refusals of an inaccessible file.

import { formatAddress } from "../../base/units.ts";
import type { Context, Machine } from "../machine.ts";
import { descriptorsOf } from "../names.ts";
import { type FileObject, NotModelled, type SlotConfig } from "../objects.ts";
import { isOpen } from "../processes.ts";
import { allocateFrame, allocateWide, clearByHost, frameName, release } from "./frames.ts";
import type { FileState } from "./state.ts";

export const sizeOf = (machine: Machine, state: Int32Array, file: FileState): bigint => machine.values.value(file.size.get(state));

export function setSize(machine: Machine, state: Int32Array, file: FileState, size: bigint): void {
  file.size.set(state, machine.values.number(size));
}

/** User space is refused: v4 by the seal, when it is set; v5 to v7 by a flag of the inode; from v8 on because the shim inode has no such operation. */
export const isInaccessible = (state: Int32Array, file: FileState): boolean =>
  file.shim.get(state) === 1 || file.marked.get(state) !== 0 || (file.seals.get(state) & file.inaccessibleSeal) !== 0;

const MFD_INACCESSIBLE = 8n;

/** Made by memfd_restricted, or with MFD_INACCESSIBLE in a kernel that has the flag. */
export const isMadeInaccessible = (machine: Machine, { kind, flags, restricted }: FileObject): boolean =>
  restricted === true || (kind === "memfd" && machine.features.memfd_flags === "inaccessible" && (flags & MFD_INACCESSIBLE) !== 0n);

/** fdget: a call under way holds the file that it was given, though another thread closes the descriptor meanwhile. */
function isInUse(machine: Machine, state: Int32Array, index: number): boolean {
  if (!machine.closed.has(index)) return false;
  return machine.threads.some((thread) => {
    const plan = thread.operation.get(state) > 0 ? machine.planAt(state, thread.index) : undefined;
    // Who runs the release of a guest_memfd has dropped its reference.
    return plan?.file === index && plan.call.spec !== "close" && machine.operations[thread.operation.get(state) - 1].name !== "release";
  });
}

/** The last fput of a file that was closed under a call: its pages go before the call returns. */
export function releaseFile(context: Context, index: number): void {
  const { machine, state } = context;
  const file = machine.files[index];
  if (!isReferenced(machine, state, file)) file.frames.forEach((field, cell) => void (field.get(state) > 0 && dropPage(context, file, cell)));
}

/** A slot holds a reference on its private file, but none on its guest_memfd. */
const holds = (config: SlotConfig, file: number): boolean => config.file === file && !config.guestMemfd;

/** Descriptors, mappings, memory slots and calls under way keep a file alive. */
export function isReferenced(machine: Machine, state: Int32Array, file: FileState): boolean {
  const index = file.object.index;
  if (isInUse(machine, state, index)) return true;
  if (descriptorsOf(machine, index).some((handle) => isOpen(machine, state, handle))) return true;
  if (machine.mappings.some((mapping) => mapping.object.file === index && mapping.mapped.some((field) => field.get(state) === 1))) return true;
  if (file.gmem) return false;
  return machine.vms.some((vm) =>
    vm.slots.some((slot) => slot.files.has(index) && slot.bound.get(state) > 0 && holds(machine.objects.slots[slot.bound.get(state) - 1], index)),
  );
}

export const offsetOf = (file: FileState, cell: number): string => formatAddress(BigInt(file.cells.start(cell)) << 12n);

export function pagesOf(file: FileState, cell: number): string {
  const count = file.cells.end(cell) - file.cells.start(cell);
  return count === 1 ? `page ${offsetOf(file, cell)}` : `${count} pages at ${offsetOf(file, cell)}`;
}

export const isPoisoned = (machine: Machine, state: Int32Array, file: number, cell: number): boolean => machine.poisoned.get(file)?.[cell]?.get(state) === 1;

/** Before a page leaves its file: what becomes of a broken one no source tells. */
function checkNotPoisoned(context: Context, file: number, cell: number): void {
  if (isPoisoned(context.machine, context.state, file, cell))
    throw new NotModelled(context.plan.id, "what becomes of a page with a memory error that leaves its file is not modelled");
}

/** Takes a cell out of the page cache; without other holders its frame is free at once. */
export function dropPage(context: Context, file: FileState, cell: number): void {
  const { state } = context;
  const frame = file.frames[cell].get(state);
  if (frame === 0) {
    if (context.telling) context.say(`the file holds nothing at ${offsetOf(file, cell)}`);
    return;
  }
  checkNotPoisoned(context, file.object.index, cell);
  file.frames[cell].set(state, 0);
  file.uptodate[cell].set(state, 0);
  if (context.telling) context.say(`${pagesOf(file, cell)} leaves the file${file.cells.single(cell) ? `, which held ${frameName(frame)} there` : ""}`);
  if (file.cells.single(cell)) release(context, frame);
}

/** Puts a page into the page cache, not uptodate: its bytes are as found until somebody clears or writes it. */
export function addPage(context: Context, file: FileState, cell: number): number {
  const { state } = context;
  if (!file.cells.single(cell)) {
    allocateWide(context, file.object.index, cell);
    if (context.telling) context.say(`${pagesOf(file, cell)} get frames`);
    return 0;
  }
  const frame = allocateFrame(context);
  file.frames[cell].set(state, frame);
  file.uptodate[cell].set(state, 0);
  if (context.telling) context.say(`${frameName(frame)} enters the file at ${offsetOf(file, cell)}`);
  return frame;
}

/** shmem clears a page at its first use after allocation. */
export function makeUptodate(context: Context, file: FileState, cell: number): void {
  const { machine, state } = context;
  const frame = file.frames[cell].get(state);
  if (file.uptodate[cell].get(state) === 1 || frame === 0) return;
  if (file.cells.single(cell)) clearByHost(machine, state, frame);
  file.uptodate[cell].set(state, 1);
}

/** Zeroes byte ranges [from, to) of a page that is there. */
export function zeroPart(context: Context, file: FileState, cell: number, from: number, to: number): void {
  const { machine, state } = context;
  const frame = file.cells.single(cell) ? file.frames[cell].get(state) : 0;
  // A page that nobody has used yet is cleared at its first use.
  if (frame === 0 || file.uptodate[cell].get(state) === 0) return;
  for (const range of machine.bytes.range(from, to)) machine.frames[frame].content[range].set(state, 0);
  if (context.telling) context.say(`bytes ${from} to ${to - 1} of ${pagesOf(file, cell)} are zeroed`);
}
