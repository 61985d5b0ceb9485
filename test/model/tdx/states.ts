// All states and all ends of a text, looked at in the machine itself: for what no expression of the language asks.

import assert from "node:assert/strict";
import { explore } from "../../../src/explore/search.ts";
import type { MachineSystem } from "../../../src/model/system.ts";
import type { TdxState } from "../../../src/model/tdx/state.ts";
import { onMachine, still } from "../support.ts";

const BUDGET = { maxStates: 200_000, maxMilliseconds: 1e9, maxBytes: 1 << 28, now: still };

export interface Look {
  readonly machine: MachineSystem;
  readonly tdx: TdxState;
  readonly state: Int32Array;
}

/** Every reachable state, and whether it is one in which all is over. Deadlocks fail. */
export function everyState(text: string, look: (at: Look, over: boolean) => void): void {
  onMachine(text, (machine) => {
    const { tdx } = machine;
    assert.ok(tdx, "the scenario uses the TDX module");
    const result = explore(
      machine,
      {
        state: (state) => look({ machine, tdx, state }, false),
        end(state, finished) {
          assert.ok(finished, `a deadlock\n${text}`);
          look({ machine, tdx, state }, true);
        },
      },
      BUDGET,
    );
    assert.ok(result.complete, text);
  });
}

/** What `ask` says of each end, without doubles, in order. */
export function ends<T>(text: string, ask: (at: Look) => T): T[] {
  const found = new Map<string, T>();
  everyState(text, (at, over) => {
    if (!over) return;
    const value = ask(at);
    found.set(JSON.stringify(value), value);
  });
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}

/** The frames of the ends that `alloc_frame` gave, by name. */
export function frameNamed({ machine, state }: Look, name: string): number {
  const handle = machine.program.handles.findIndex((one) => one.name === name);
  assert.ok(handle >= 0, name);
  const driver = machine.objects.driverOf.get(machine.program.handles[handle].call);
  assert.ok(driver !== undefined, name);
  return machine.drivers[driver].get(state);
}
