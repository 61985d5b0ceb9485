// The module's internal rules under random calls from two host threads and two vCPUs: no exception, and in every state that is reached PAMT and secure EPT
// agree, no usable TLB entry leads to a page that is gone, REFCOUNT counts who is inside, and behind the last call no lock is left.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { explore } from "../../../src/explore/search.ts";
import { INVARIANTS } from "../../../src/invariants/index.ts";
import { Layout } from "../../../src/model/layout.ts";
import { NotModelled } from "../../../src/model/objects.ts";
import type { MachineSystem } from "../../../src/model/system.ts";
import { isInside } from "../../../src/model/tdx/enter.ts";
import { acquire, isFree, release } from "../../../src/model/tdx/locks.ts";
import type { TdVcpuState, TdxState } from "../../../src/model/tdx/state.ts";
import { isHeldAtTheDoor } from "../../../src/model/tdx/stepping.ts";
import { VCPU } from "../../../src/model/tdx/tables.ts";
import { onMachine, still } from "../support.ts";
import { leafRace } from "./random.ts";

const RULES = INVARIANTS.filter(({ name }) => name === "sept-pamt-agree" || name === "tlb-tracked");

function rules(machine: MachineSystem, tdx: TdxState, state: Int32Array): string[] {
  const broken: string[] = [];
  for (const rule of RULES) rule.state?.(machine, state, (subject) => void broken.push(rule.describe(machine, subject, state).message));
  for (const td of tdx.tds) {
    // A vCPU that the filter against stepping looks at counts before it is in.
    const counts = (vcpu: TdVcpuState): boolean => vcpu.state.get(state) === VCPU.ACTIVE || isHeldAtTheDoor(vcpu, state);
    const inside = tdx.vcpus.filter((vcpu) => vcpu.td.get(state) === td.object.index + 1 && counts(vcpu)).length;
    const counted = td.refcount[0].get(state) + td.refcount[1].get(state);
    // Where the TD has died, both stay as they were.
    if (inside !== counted) broken.push(`${inside} vCPUs are inside, REFCOUNT says ${counted}`);
  }
  return broken;
}

/** Locks behind the last call: only a vCPU that rests in the guest holds any. */
function lockedAtTheEnd(tdx: TdxState, state: Int32Array): string[] {
  if (tdx.vcpus.some((vcpu) => isInside(state, vcpu))) return [];
  const locks = [
    tdx.kotLock,
    ...tdx.cacheLocks,
    ...tdx.keyTables,
    ...tdx.vcpus.map((vcpu) => vcpu.association),
    ...tdx.pamt.map((entry) => entry.lock),
    ...tdx.tds.flatMap((td) => [td.tree, td.epochLock, ...td.entries.flatMap((level) => [...level.values()].map((entry) => entry.lock))]),
  ];
  return locks.filter((lock) => !isFree(state, lock)).map((lock) => `${lock.name} is left taken`);
}

it("whatever is called in whatever order, the module keeps its rules", () => {
  let commits = 0;
  let unmodelled = 0;
  fc.assert(
    fc.property(leafRace(3), (text) => {
      onMachine(text, (machine) => {
        const { tdx } = machine;
        assert.ok(tdx);
        const wrong = new Set<string>();
        const judged = (): unknown =>
          explore(
            machine,
            {
              state: (state) => rules(machine, tdx, state).forEach((sentence) => void wrong.add(sentence)),
              edge: () => void (commits += machine.lastStep === "commit" ? 1 : 0),
              end(state, finished) {
                if (!finished) wrong.add("somebody waits for ever");
                for (const lock of lockedAtTheEnd(tdx, state)) wrong.add(lock);
              },
            },
            { maxStates: 1500, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still },
          );
        try {
          judged();
        } catch (error) {
          // The host has written to a page of the module: as far as the run came it is judged.
          if (!(error instanceof NotModelled)) throw error;
          unmodelled += 1;
        }
        assert.deepEqual([...wrong], [], text);
      });
    }),
    { numRuns: 120 },
  );
  assert.ok(commits > 5000, `${commits} leaves had their effect`);
  assert.ok(unmodelled < 12, `${unmodelled} of 120 runs came to what is not modelled`);
});

it("a try-lock is shared by many or held by one", () => {
  const layout = new Layout();
  const lock = { field: layout.field("module", 4, "x"), name: "x" };
  const state = new Int32Array(layout.words);
  assert.ok(acquire(state, lock, "shared") && acquire(state, lock, "shared"));
  assert.ok(!acquire(state, lock, "exclusive"));
  release(state, lock, "shared");
  release(state, lock, "shared");
  assert.ok(isFree(state, lock) && acquire(state, lock, "exclusive"));
  assert.ok(!acquire(state, lock, "exclusive") && !acquire(state, lock, "shared"));
  release(state, lock, "exclusive");
  assert.ok(isFree(state, lock));
});
