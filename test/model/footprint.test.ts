// Footprints: every step touches only the regions that it declares, in random scenarios over every modelled call.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { explore } from "../../src/explore/search.ts";
import type { Region } from "../../src/model/layout.ts";
import { scenario, textOf } from "./random.ts";
import { onMachine, still } from "./support.ts";
import { type Touched, watching } from "./watching.ts";

/** An actor's own control position and locals are nobody else's business. */
const OWN: readonly Region[] = ["thread"];
/** The phase of the scenario stands still while a parallel block runs. */
const STEADY: readonly Region[] = ["schedule"];

function undeclared({ where, reads, writes, declaredReads, declaredWrites, spoke, declaredEvents }: Touched): string[] {
  const missing: string[] = [];
  // Who declares the faults of all actors declares its own too.
  const covers = (declared: readonly Region[], region: Region): boolean => declared.includes(region) || (region === "fault" && declared.includes("faults"));
  // What a step writes it may read.
  for (const region of reads)
    if (!covers(declaredReads, region) && !covers([...declaredWrites, ...OWN, ...STEADY], region)) missing.push(`${where} reads ${region}`);
  for (const region of writes) if (!covers(declaredWrites, region) && !OWN.includes(region)) missing.push(`${where} writes ${region}`);
  if (spoke && !declaredEvents) missing.push(`${where} reports an event`);
  return missing;
}

it("each step reads and writes only what it declares", () => {
  const missing = new Set<string>();
  fc.assert(
    fc.property(scenario(2), (random) => {
      const note = (touched: Touched): void => {
        for (const line of undeclared(touched)) missing.add(line);
      };
      onMachine(textOf(random), (machine) =>
        watching(machine, note, () => explore(machine, {}, { maxStates: 1500, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still })),
      );
    }),
    { numRuns: 150 },
  );
  assert.deepEqual([...missing].sort(), []);
});
