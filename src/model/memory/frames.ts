// Page frames: who holds each, which are free, allocation and what a new owner finds in them. Ownership and reference counts are derived from the
// holders; a frame is freed by the step that drops its last holder.

import type { Context, Machine } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { MoreFramesNeeded } from "../refine.ts";
import { hostStores, isSpare, isTdLine, likeRemembered, remembers } from "../tdx/hardware.ts";
import { LINE } from "../tdx/state.ts";
import type { Holder } from "./holders.ts";
import { clearBytes, FOUND, LEFT } from "./state.ts";

const HELD = 1;
const MAPPED = 2;

/** Calls `visit` for every holder of a frame; in-flight references are no owners. */
export function eachHolder(machine: Machine, state: Int32Array, visit: (frame: number, holder: Holder) => void): void {
  const { holders, kinds } = machine.frameFields;
  for (let index = 0; index < holders.length; index++) {
    const frame = holders[index].get(state);
    if (frame > 0) visit(frame, kinds[index]);
  }
}

export function referencesOf(machine: Machine, state: Int32Array, frame: number): number {
  if (frame === 0) return 0;
  let count = 0;
  for (const holder of machine.frameFields.holders) if (holder.get(state) === frame) count += 1;
  return count;
}

/** A page table or TLB still names the frame. */
function isMapped(machine: Machine, state: Int32Array, frame: number): boolean {
  for (const field of machine.frameFields.mapped) if (field.get(state) === frame) return true;
  return false;
}

/** Frames that can still be allocated, of those that a `machine { frames = N }` gives the scenario. */
export function framesLeft(machine: Machine, state: Int32Array): number {
  const limit = Number(machine.setting("frames"));
  if (limit < 0) return Number.POSITIVE_INFINITY;
  const { holders, wide, blocks } = machine.frameFields;
  const held = new Set<number>();
  for (const holder of holders) held.add(holder.get(state));
  held.delete(0);
  let left = limit - held.size;
  for (const { field, pages } of [...wide, ...blocks]) if (field.get(state) > 0) left -= pages;
  return Math.max(0, left);
}

/**
 * Fills `free` and answers how many: one clean frame for all of them, then the frames that can be told apart from it. Where memory is
 * limited there may be no clean one left.
 */
function candidates(machine: Machine, state: Int32Array, control?: number): number {
  const { holders, mapped, marks, free } = machine.frameFields;
  for (const holder of holders) marks[holder.get(state)] |= HELD;
  for (const field of mapped) marks[field.get(state)] |= MAPPED;
  let clean = 0;
  let count = 1;
  for (let frame = 1; frame < marks.length; frame++) {
    if (marks[frame] & HELD) continue;
    if (marks[frame] & MAPPED) free[count++] = frame;
    else if (isClean(machine, state, frame)) clean = frame === control ? frame : clean || frame;
    else if (!machine.tdx || tellsApart(machine, state, frame, count, control !== undefined)) free[count++] = frame;
  }
  marks.fill(0);
  if (framesLeft(machine, state) < count) {
    free.copyWithin(0, 1, count);
    return count - 1;
  }
  if (clean === 0) throw new MoreFramesNeeded();
  free[0] = clean;
  return count;
}

/**
 * Whether a frame that the hardware or the module remembers is worth a choice of its own: it is like none of those before it in `free`, and where a control
 * page is looked for, which is written before anybody reads it, more of it is left than the owner of its lines.
 */
function tellsApart(machine: Machine, state: Int32Array, frame: number, count: number, control: boolean): boolean {
  const { free, mapped } = machine.frameFields;
  if (control && isSpare(machine, state, frame)) return false;
  for (let index = 1; index < count; index++) {
    const other = free[index];
    if (isAlike(machine, state, frame, other) && !mapped.some((field) => field.get(state) === other)) return false;
  }
  return true;
}

function isAlike(machine: Machine, state: Int32Array, a: number, b: number): boolean {
  const [one, other] = [a, b].map((frame) => machine.frames[frame]);
  if (one.tainted.get(state) !== other.tainted.get(state) || !likeRemembered(machine, state, a, b)) return false;
  return one.content.every((field, range) => field.get(state) === other.content[range].get(state));
}

function isClean(machine: Machine, state: Int32Array, frame: number): boolean {
  const { content, tainted } = machine.frames[frame];
  if (tainted.get(state) !== 0 || remembers(machine, state, frame)) return false;
  for (const field of content) if (field.get(state) !== FOUND) return false;
  return true;
}

/**
 * Takes any free frame: a free choice of the step. Its bytes are as found until `clear`. `control`: for a page of the kernel that it writes before it reads; of
 * the clean ones, which are all alike, this one where it is free, so that threads that allocate at once come to equal states.
 */
export function allocateFrame(context: Context, control?: number): number {
  const { machine, state } = context;
  if (framesLeft(machine, state) === 0)
    throw new NotModelled(context.plan.id, "what the kernel does here without free memory (it kills a process) is not modelled");
  const frame = machine.frameFields.free[context.pick(candidates(machine, state, control))];
  const { content, tainted } = machine.frames[frame];
  for (const field of content) {
    const value = field.get(state);
    if (value < FOUND) field.set(state, machine.options.provenance ? value | LEFT : value);
  }
  tainted.set(state, 0);
  return frame;
}

/** A wide cell takes clean frames only; where a frame that could be told apart is free the run is not exhaustive any more, and says so. */
export function allocateWide(context: Context, file: number, cell: number): void {
  const { machine, state } = context;
  const cells = machine.files[file].cells;
  if (candidates(machine, state) > 1) {
    machine.limit ??= `a range of ${cells.end(cell) - cells.start(cell)} pages could take a frame that is told apart from the others; name its pages one by one`;
  }
  machine.files[file].frames[cell].set(state, 1);
}

/** The kernel clears a page through its direct map: whole lines, which belong to no TD from here on. */
export function clearByHost(machine: Machine, state: Int32Array, frame: number): void {
  clearBytes(state, machine.frames[frame]);
  for (const line of machine.tdx?.lines[frame].owner ?? []) line.set(state, LINE.HOST);
}

/** Only KVM's private faults take a page uncleared; without a private slot nobody can read what a free frame holds, and free frames are all alike. */
const showsLeftovers = (machine: Machine): boolean =>
  machine.features.fresh_page === "as_found" && machine.objects.slots.some((slot) => slot.file !== undefined);

/** Called by the step that dropped a holder: when it was the last one the frame is free, and what nobody can read any more is forgotten. */
export function release(context: Context, frame: number): void {
  const { machine, state } = context;
  if (frame === 0 || referencesOf(machine, state, frame) > 0) return;
  if (context.telling) context.say(`frame ${frame} has no holder left and is free`);
  if (showsLeftovers(machine) || isMapped(machine, state, frame)) return;
  for (const field of machine.frames[frame].content) field.set(state, FOUND);
  machine.frames[frame].tainted.set(state, 0);
}

/** A byte range as a reader gets it: a byte, or -1 for bytes that lay in the frame before and that nobody in the scenario wrote. */
export function readRange(context: Context, frame: number, range: number): number {
  if (isTdLine(context.machine, context.state, frame, range)) return 0;
  const value = context.machine.frames[frame].content[range].get(context.state);
  if (value >= FOUND) context.machine.emit("leftover-read", frame, range);
  return value & LEFT ? value & 255 : value === FOUND ? -1 : value;
}

export function writeRange(context: Context, frame: number, range: number, byte: number): void {
  hostStores(context.machine, context.state, frame, range);
  context.machine.frames[frame].content[range].set(context.state, byte);
}

/** A frame as a story names it. */
export const frameName = (frame: number): string => (frame === 0 ? "no frame" : `frame ${frame}`);
