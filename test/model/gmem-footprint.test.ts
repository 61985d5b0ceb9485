// What the machine tells the reductions under kernels with guest_memfd, held against what its steps do, in random races over files, slots, attributes,
// pre-faults and the release of a file.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { explore } from "../../src/explore/search.ts";
import { GMEM_KERNELS, gmemRace } from "./gmem-random.ts";
import { onMachine, still } from "./support.ts";
import { watching } from "./watching.ts";

const budget = (maxStates: number) => ({ maxStates, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still });

for (const kernel of GMEM_KERNELS) {
  it(`${kernel}: each step touches only what it declares, and goes on where it declares`, () => {
    const missing = new Set<string>();
    fc.assert(
      fc.property(gmemRace(kernel), (text) => {
        onMachine(text, (machine) =>
          watching(
            machine,
            (sentence) => missing.add(sentence),
            () => explore(machine, {}, budget(600)),
          ),
        );
      }),
      { numRuns: 40 },
    );
    assert.deepEqual([...missing].sort(), []);
  });
}
