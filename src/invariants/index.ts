// The list of invariants that can be watched. `no-deadlock` is judged by check/ at the ends of the exploration, for it is about the graph.

import { kvmInvariants } from "./kvm.ts";
import { memoryInvariants } from "./memory.ts";
import type { Invariant } from "./types.ts";

export { staleMappings } from "./memory.ts";
export type { Invariant } from "./types.ts";

export const INVARIANTS: readonly Invariant[] = [...memoryInvariants, ...kvmInvariants];

export const NO_DEADLOCK = "no-deadlock";
