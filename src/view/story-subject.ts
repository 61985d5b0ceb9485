// What a story is about, and the shape of those who read facts of it from a state.

import type { About } from "../invariants/index.ts";
import type { SlotConfig } from "../model/objects.ts";
import type { MachineSystem } from "../model/system.ts";

/** The subject, with the slot and the file that belong to it when the rule breaks. */
export interface Subject extends About {
  readonly slot?: SlotConfig;
}

/** A fact of one state; equal keys in neighbouring states are one fact. */
type Tell = (key: string, is: string, ended: string, on: string, off: string) => void;

export type Reader = (machine: MachineSystem, state: Int32Array, about: Subject, tell: Tell) => void;
