// Under kernels with guest_memfd the reductions leave out nothing that an answer shows: with and without them, every call of random races has the same results
// and the same invariants break.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { sameWithReductions } from "./compare.ts";
import { GMEM_KERNELS, gmemRace } from "./gmem-random.ts";
import { program } from "./support.ts";

const MAX_STATES = 4000;

for (const kernel of GMEM_KERNELS) {
  it(`${kernel}: the same answers with and without reductions`, () => {
    let compared = 0;
    fc.assert(
      fc.property(gmemRace(kernel), (text) => {
        if (sameWithReductions(program(text), { about: text, maxStates: MAX_STATES })) compared += 1;
      }),
      { numRuns: 25 },
    );
    assert.ok(compared > 8, `${compared} races`);
  });
}
