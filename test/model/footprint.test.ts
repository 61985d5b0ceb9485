// Footprints: every step touches only the regions that it declares, in random scenarios over every modelled call.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { explore } from "../../src/explore/search.ts";
import type { Region } from "../../src/model/layout.ts";
import { CutNeeded, MoreFramesNeeded } from "../../src/model/refine.ts";
import { scenario, textOf } from "./random.ts";
import { onMachine, still } from "./support.ts";
import { type Touched, watching } from "./watching.ts";

/** An actor's own control position and locals are nobody else's business. */
const OWN: readonly Region[] = ["thread"];

function undeclared({ where, reads, writes, declaredReads, declaredWrites, spoke, declaredEvents }: Touched): string[] {
  const missing: string[] = [];
  // What a step writes it may read.
  for (const region of reads) if (!declaredReads.includes(region) && !declaredWrites.includes(region) && !OWN.includes(region)) missing.push(`${where} reads ${region}`);
  for (const region of writes) if (!declaredWrites.includes(region) && !OWN.includes(region)) missing.push(`${where} writes ${region}`);
  if (spoke && !declaredEvents) missing.push(`${where} reports an event`);
  return missing;
}

it("each step reads and writes only what it declares", () => {
  const missing = new Set<string>();
  fc.assert(
    fc.property(scenario(2), (random) => {
      onMachine(textOf(random), (plain) => {
        const { program, profile, options } = plain;
        void program;
        void profile;
        void options;
        return watching(plain, (touched) => undeclared(touched).forEach((line) => missing.add(line)), () =>
          explore(plain, {}, { maxStates: 1500, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still }));
      });
    }),
    { numRuns: 150 },
  );
  assert.deepEqual([...missing].sort(), []);
});

void CutNeeded;
void MoreFramesNeeded;
