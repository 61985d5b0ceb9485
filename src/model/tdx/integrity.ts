// Ghost of private-integrity: what a TD may expect at each byte of its pages that a scenario names, since it accepted or was given the page. No hardware keeps
// it; it is in the state only while the invariant is watched.

import type { Machine } from "../machine.ts";
import { LEFT } from "../memory/state.ts";
import type { SeptEntry, TdState } from "./state.ts";

/** A byte as a reader has it. */
const seen = (content: number): number => (content & LEFT ? content & 255 : content);

/** What is kept of the pages that a leaf entry covers. */
function expectAll(state: Int32Array, td: TdState, { gfn, level }: SeptEntry, value: number): void {
  for (const [at, fields] of td.expected) if (at >= gfn && at < gfn + 512 ** level) for (const field of fields) field.set(state, value);
}

/** The TD has accepted the page. */
export const expectZeros = (state: Int32Array, td: TdState, entry: SeptEntry): void => expectAll(state, td, entry, 1);

/** The page was added with what the frame has now. */
export function expectPage(machine: Machine, state: Int32Array, td: TdState, gfn: number, frame: number): void {
  td.expected.get(gfn)?.forEach((field, range) => void field.set(state, 1 + seen(machine.frames[frame].content[range].get(state))));
}

export function expectByte(state: Int32Array, td: TdState, gfn: number, range: number, byte: number): void {
  td.expected.get(gfn)?.[range].set(state, 1 + byte);
}

/** The page has left the TD: whoever comes next owes it nothing. */
export const expectNothing = (state: Int32Array, td: TdState, entry: SeptEntry): void => expectAll(state, td, entry, 0);

/** A load of the TD found `content` in the frame; one that is not what it stored last is reported. */
export function judgeLoad(machine: Machine, state: Int32Array, td: TdState, gfn: number, range: number, frame: number, content: number): void {
  const expected = td.expected.get(gfn)?.[range].get(state) ?? 0;
  if (expected > 0 && expected - 1 !== seen(content)) machine.emit("integrity-lost", frame, td.object.index);
}
