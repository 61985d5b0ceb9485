// Page frames: who holds each, which are free, allocation and what a new owner finds in them. Ownership and reference counts are derived from the
// holders (model.md 4); a frame is freed by the step that drops its last holder.

import type { Machine } from "../machine.ts";
import { MoreFramesNeeded } from "../refine.ts";
import type { Context } from "../step.ts";
import { FOUND, LEFT } from "./state.ts";

/** One who holds a frame. */
export type Holder =
  | { readonly kind: "page"; readonly file: number; readonly cell: number }
  | { readonly kind: "copy"; readonly mapping: number; readonly cell: number }
  | { readonly kind: "driver"; readonly driver: number }
  | { readonly kind: "fault"; readonly thread: number };

/** Calls `visit` for every holder of a frame; in-flight references are no owners. */
export function eachHolder(machine: Machine, state: Int32Array, visit: (frame: number, holder: Holder) => void): void {
  for (const file of machine.files) {
    for (let cell = 0; cell < file.frames.length; cell++) {
      const frame = file.cells.single(cell) ? file.frames[cell].get(state) : 0;
      if (frame > 0) visit(frame, { kind: "page", file: file.object.index, cell });
    }
  }
  for (const mapping of machine.mappings) {
    mapping.copies.forEach((copy, cell) => {
      const frame = copy?.get(state) ?? 0;
      if (frame > 0) visit(frame, { kind: "copy", mapping: mapping.object.index, cell });
    });
  }
  machine.drivers.forEach((driver, index) => {
    const frame = driver.get(state);
    if (frame > 0) visit(frame, { kind: "driver", driver: index });
  });
  for (const thread of machine.threads) {
    const frame = thread.frame.get(state);
    if (frame > 0) visit(frame, { kind: "fault", thread: thread.index });
  }
}

export function referencesOf(machine: Machine, state: Int32Array, frame: number): number {
  let count = 0;
  eachHolder(machine, state, (held) => {
    if (held === frame) count += 1;
  });
  return count;
}

/** Marks every frame that a page table or TLB still names. */
function markMapped(machine: Machine, state: Int32Array, marks: Uint8Array): void {
  for (const vm of machine.vms) for (const kind of vm.ept) for (const leaf of kind) if (leaf) marks[leaf.get(state)] = 1;
  for (const vcpu of machine.vcpus) for (const kind of vcpu.tlb) for (const leaf of kind) if (leaf) marks[leaf.get(state)] = 1;
  for (const mapping of machine.mappings) for (const pte of mapping.ptes) if (pte) marks[pte.get(state)] = 1;
}

/** Frames that can be told apart from a clean free one come first, then one clean one for all of them (model.md, rule 6). */
function candidates(machine: Machine, state: Int32Array): number[] {
  const count = machine.frames.length;
  const held = new Uint8Array(count);
  const mapped = new Uint8Array(count);
  eachHolder(machine, state, (frame) => {
    held[frame] = 1;
  });
  markMapped(machine, state, mapped);
  let clean = 0;
  const special: number[] = [];
  for (let frame = 1; frame < count; frame++) {
    if (held[frame]) continue;
    if (mapped[frame] || !isClean(machine, state, frame)) special.push(frame);
    else if (clean === 0) clean = frame;
  }
  if (clean === 0) throw new MoreFramesNeeded();
  return [clean, ...special];
}

function isClean(machine: Machine, state: Int32Array, frame: number): boolean {
  const { content, tainted } = machine.frames[frame];
  return tainted.get(state) === 0 && content.every((field) => field.get(state) === FOUND);
}

/** Takes any free frame: a free choice of the step. Its bytes are as found until `clear`. */
export function allocateFrame(context: Context): number {
  const { machine, state } = context;
  const free = candidates(machine, state);
  const frame = free[context.pick(free.length)];
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
  if (candidates(machine, state).length > 1) {
    machine.limit ??= `a range of ${cells.end(cell) - cells.start(cell)} pages could take a frame that is told apart from the others; name its pages one by one`;
  }
  machine.files[file].frames[cell].set(state, 1);
}

export function clear(machine: Machine, state: Int32Array, frame: number): void {
  for (const field of machine.frames[frame].content) field.set(state, 0);
}

/** Only KVM's private faults take a page uncleared; without a private slot nobody can read what a free frame holds, and free frames are all alike. */
const showsLeftovers = (machine: Machine): boolean =>
  machine.features.fresh_page === "as_found" && machine.objects.slots.some((slot) => slot.file !== undefined);

/** Called by the step that dropped a holder: when it was the last one the frame is free, and what nobody can read any more is forgotten. */
export function release(context: Context, frame: number): void {
  const { machine, state } = context;
  if (frame === 0 || referencesOf(machine, state, frame) > 0) return;
  if (context.telling) context.say(`frame ${frame} has no holder left and is free`);
  const mapped = new Uint8Array(machine.frames.length);
  markMapped(machine, state, mapped);
  if (showsLeftovers(machine) || mapped[frame]) return;
  for (const field of machine.frames[frame].content) field.set(state, FOUND);
  machine.frames[frame].tainted.set(state, 0);
}

/** A byte range as a reader gets it: a byte, or -1 for bytes that lay in the frame before and that nobody in the scenario wrote. */
export function readRange(context: Context, frame: number, range: number): number {
  const value = context.machine.frames[frame].content[range].get(context.state);
  if (value >= FOUND) context.machine.emit("leftover-read", frame, range);
  return value & LEFT ? value & 255 : value === FOUND ? -1 : value;
}

export function writeRange(context: Context, frame: number, range: number, byte: number): void {
  context.machine.frames[frame].content[range].set(context.state, byte);
}

/** A frame as a story names it. */
export const frameName = (frame: number): string => (frame === 0 ? "no frame" : `frame ${frame}`);
