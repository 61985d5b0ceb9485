// The list of invariants that can be watched. `no-deadlock` and `no-livelock` are judged by check/, for they are about the graph.

import { bindingInvariants } from "./bindings.ts";
import { kvmInvariants } from "./kvm.ts";
import { lifeInvariants } from "./life.ts";
import { memoryInvariants } from "./memory.ts";
import { tdxInvariants } from "./tdx.ts";
import { kvmTdInvariants } from "./tdx-kvm.ts";
import { tdxMemoryInvariants } from "./tdx-memory.ts";
import type { Invariant } from "./types.ts";

export { staleMappings } from "./memory.ts";
export type { About, Invariant } from "./types.ts";

export const INVARIANTS: readonly Invariant[] = [
  ...memoryInvariants,
  ...kvmInvariants,
  ...bindingInvariants,
  ...lifeInvariants,
  ...tdxInvariants,
  ...kvmTdInvariants,
  ...tdxMemoryInvariants,
];

export const NO_DEADLOCK = "no-deadlock";
export const NO_LIVELOCK = "no-livelock";
