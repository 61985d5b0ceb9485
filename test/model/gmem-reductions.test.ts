// Under kernels with guest_memfd the reductions leave out nothing that an answer shows: with and without them, every call of random races has the same results and the
// same invariants break.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { check } from "../../src/check/index.ts";
import { GMEM_KERNELS, gmemRace } from "./gmem-random.ts";
import { answers, breaches, program, still } from "./support.ts";

const MAX_STATES = 4000;

for (const kernel of GMEM_KERNELS) {
  it(`${kernel}: the same answers with and without reductions`, () => {
    let compared = 0;
    fc.assert(
      fc.property(gmemRace(kernel), (text) => {
        const one = program(text);
        const [full, reduced] = [false, true].map((reduce) => check(one, { now: still, maxStates: MAX_STATES, reduce }));
        if (!full.exploration.complete || !reduced.exploration.complete) return;
        compared += 1;
        const results = [full, reduced].map((report) => one.calls.map((_, call) => answers(one, report, call)));
        assert.deepEqual(results[1], results[0], text);
        const invariants = [full, reduced].map((report) => [...new Set(breaches(one, report).map((breach) => breach.split(" ")[0]))]);
        assert.deepEqual(invariants[1], invariants[0], text);
      }),
      { numRuns: 25 },
    );
    assert.ok(compared > 8, `${compared} races`);
  });
}
