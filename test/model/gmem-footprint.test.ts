// What the machine tells the reductions under kernels with guest_memfd, held against what its steps do, in random races over files, slots, attributes,
// pre-faults and the release of a file.

import { it } from "node:test";
import { GMEM_KERNELS, gmemRace } from "./gmem-random.ts";
import { assertDeclared } from "./watching.ts";

for (const kernel of GMEM_KERNELS) {
  it(`${kernel}: each step touches only what it declares, and goes on where it declares`, () => {
    assertDeclared(gmemRace(kernel), { maxStates: 600, numRuns: 40 });
  });
}
