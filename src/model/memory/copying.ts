// Copy on write of a private mapping by a host thread (mm/memory.c wp_page_copy): the copy is made first, then the page table entry changes between the two
// halves of the MMU notifier. Where GUP copies for a guest (`gup`), all of that is one step: the fault that does it is the only one that could tell.

import { changeSptes } from "../kvm/hva.ts";
import { type Context, NEXT, type StepCode } from "../machine.ts";
import { allocateFrame, release } from "./frames.ts";
import type { MappingState } from "./state.ts";
import { isWritable } from "./state.ts";

/** A frame with the bytes of another one. */
export function copyFrame(context: Context, frame: number): number {
  const { machine, state } = context;
  const copy = allocateFrame(context);
  machine.frames[copy].content.forEach((field, range) => field.set(state, machine.frames[frame].content[range].get(state)));
  machine.frames[copy].tainted.set(state, machine.frames[frame].tainted.get(state));
  return copy;
}

/** The fault makes the copy and holds it until `change_pte`; false where the entry that it finds is empty, so that nobody has to be told. */
export function holdCopy(context: Context, mapping: MappingState, cell: number, frame: number): boolean {
  const { state, thread, operation } = context;
  if (!operation.labels.has("change_pte") || (mapping.ptes[cell]?.get(state) ?? 0) === 0) return false;
  thread.frame.set(state, copyFrame(context, frame));
  if (context.telling) context.say(`frame ${frame} is copied to frame ${thread.frame.get(state)}`);
  return true;
}

/** Back to the access, past the steps that only a copy needs. */
export function tryAgain(context: Context): number {
  const { state, thread, operation } = context;
  return operation.labels.has("change_pte") && thread.frame.get(state) === 0 ? context.jump("access_host") : NEXT;
}

/** Under the page table's lock: an entry that somebody has changed meanwhile stays, and the copy goes. */
const changePte: StepCode = {
  reads: ["pte", "page", "reference", "slot", "notifier"],
  writes: ["pte", "page", "reference", "content", "free", "ept", "tlb"],
  jumps: [],
  returns: false,
  events: true,
  run(context) {
    const { machine, state, thread, unmapping } = context;
    const copy = thread.frame.get(state);
    if (unmapping === undefined || copy === 0) return NEXT;
    const mapping = machine.mappings[unmapping.mapping];
    const [cell] = unmapping.cells;
    const old = mapping.ptes[cell]?.get(state) ?? 0;
    thread.frame.set(state, 0);
    if (old === 0 || isWritable(state, mapping, mapping.cells.start(cell))) {
      context.say("the entry has changed meanwhile: the copy goes");
      release(context, copy);
      return NEXT;
    }
    const own = mapping.copies[cell]?.get(state) ?? 0;
    mapping.ptes[cell]?.set(state, copy);
    mapping.copies[cell]?.set(state, copy);
    machine.emit("host-pte", copy);
    if (context.telling) context.say(`the host page table maps frame ${copy}, the copy`);
    if (machine.features.pte_callback === "change_pte") changeSptes(context, unmapping, copy);
    release(context, own);
    return NEXT;
  },
};

export const copyingSteps = { change_pte: changePte };
