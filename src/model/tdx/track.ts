// TLB tracking: TD_EPOCH counts up, and each vCPU flushes at its next entry (tdh_mem_track.c).

import { NotModelled } from "../objects.ts";
import { ask, liveTd, tdrOperand } from "./checks.ts";
import { busy, type Check, type Leaf } from "./leaf.ts";
import type { LockMode } from "./locks.ts";
import { EPOCH_MAX } from "./state.ts";

export const epochLock = (mode: LockMode): Check => ({
  what: `TD_EPOCH, ${mode}`,
  answers: [busy("TD_EPOCH")],
  lock: (call) => ({ lock: call.theTd.epochLock, mode }),
});

export const memTrack: Leaf = {
  name: "TDH.MEM.TRACK",
  number: 38,
  checks: [
    ...tdrOperand("RCX", "shared"),
    ...liveTd("TDH.MEM.TRACK"),
    epochLock("exclusive"),
    ask("no vCPU is inside from the epoch before", { status: "TDX_PREVIOUS_TLB_EPOCH_BUSY" }, ({ theTd: td, state }) => {
      return td.refcount[1 - (td.epoch.get(state) & 1)].get(state) !== 0;
    }),
  ],
  writes: ["td"],
  commit(call) {
    const { epoch } = call.theTd;
    const next = epoch.get(call.state) + 1;
    if (next > EPOCH_MAX) throw new NotModelled(call.context.plan.id, `more than ${EPOCH_MAX} epochs of one TD are not modelled`);
    epoch.set(call.state, next);
    call.say(`TD_EPOCH is ${next}`);
    return undefined;
  },
};
