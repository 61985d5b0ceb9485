// MMU notifiers and the end of VMs: what the machine tells the reductions is what its steps do, and the reductions leave out nothing that an answer shows, in
// random races.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { check } from "../../src/check/index.ts";
import { explore } from "../../src/explore/search.ts";
import { LIFE_KERNELS, lifeRace } from "./life-random.ts";
import { answers, breaches, onMachine, program, still } from "./support.ts";
import { watching } from "./watching.ts";

const budget = (maxStates: number) => ({ maxStates, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still });

for (const kernel of LIFE_KERNELS) {
  it(`${kernel}: each step touches only what it declares, and goes on where it declares`, () => {
    const missing = new Set<string>();
    fc.assert(
      fc.property(lifeRace(kernel), (text) => {
        onMachine(text, (machine) =>
          watching(
            machine,
            (sentence) => missing.add(sentence),
            () => explore(machine, {}, budget(500)),
          ),
        );
      }),
      { numRuns: 40 },
    );
    assert.deepEqual([...missing].sort(), []);
  });

  it(`${kernel}: the same answers with and without reductions`, () => {
    let compared = 0;
    fc.assert(
      fc.property(lifeRace(kernel), (text) => {
        const one = program(text);
        const [full, reduced] = [false, true].map((reduce) => check(one, { now: still, maxStates: 3000, reduce }));
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
