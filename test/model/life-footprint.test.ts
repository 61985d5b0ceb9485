// MMU notifiers and the end of VMs: what the machine tells the reductions is what its steps do, and the reductions leave out nothing that an answer shows, in
// random races.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { sameWithReductions } from "./compare.ts";
import { LIFE_KERNELS, lifeRace } from "./life-random.ts";
import { program } from "./support.ts";
import { assertDeclared } from "./watching.ts";

for (const kernel of LIFE_KERNELS) {
  it(`${kernel}: each step touches only what it declares, and goes on where it declares`, () => {
    assertDeclared(lifeRace(kernel), { maxStates: 500, numRuns: 40 });
  });

  it(`${kernel}: the same answers with and without reductions`, () => {
    let compared = 0;
    fc.assert(
      fc.property(lifeRace(kernel), (text) => {
        if (sameWithReductions(program(text), { about: text, maxStates: 3000 })) compared += 1;
      }),
      { numRuns: 25 },
    );
    assert.ok(compared > 8, `${compared} races`);
  });
}
