// Reductions change no answer whatever is watched: what an invariant reads decides which steps they may not hide.

import { it } from "node:test";
import * as fc from "fast-check";
import { programOf } from "./assemble.ts";
import { assertAtWork, type Counts, compare } from "./compare.ts";
import { scenario } from "./random.ts";

const PROGRAMS = 5000;

const WATCHES: readonly (readonly string[])[] = [
  [],
  ["no-stale-mapping"],
  ["attributes-respected"],
  ["private-inaccessible", "private-unmovable"],
  ["zeroed-on-allocation", "no-lost-invalidation"],
  ["frame-one-owner", "inaccessible-marked", "invalidate-balanced"],
];

it("reductions change no answer of random programs in which little is watched", (context) => {
  const counts: Counts = { judged: 0, fewerByOrder: 0, equal: 0, fewerBySymmetry: 0 };
  fc.assert(
    fc.property(scenario(2), fc.constantFrom(...WATCHES), (random, watch) => compare(programOf(random), watch, counts)),
    { numRuns: PROGRAMS },
  );
  context.diagnostic(assertAtWork(counts, PROGRAMS));
});
