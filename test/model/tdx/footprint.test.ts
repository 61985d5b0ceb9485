// What the steps of the TDX module and of its guests touch, held against what they declare, in random races.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { explore } from "../../../src/explore/search.ts";
import { onMachine, still } from "../support.ts";
import { watching } from "../watching.ts";
import { leafRace } from "./random.ts";

it("each step touches only what it declares, and goes on where it declares", () => {
  const missing = new Set<string>();
  fc.assert(
    fc.property(leafRace(2), (text) => {
      onMachine(text, (machine) =>
        watching(
          machine,
          (sentence) => missing.add(sentence),
          () => explore(machine, {}, { maxStates: 600, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still }),
        ),
      );
    }),
    { numRuns: 60 },
  );
  assert.deepEqual([...missing].sort(), []);
});
