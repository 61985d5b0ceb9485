// Races on the TDX module explored with reductions have the answers of the plain search.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { NotModelled } from "../../../src/model/objects.ts";
import { sameWithReductions } from "../compare.ts";
import { program } from "../support.ts";
import { leafRace } from "./random.ts";

it("reductions change no answer", () => {
  let compared = 0;
  fc.assert(
    fc.property(leafRace(2), (text) => {
      try {
        if (sameWithReductions(program(text), { about: text, subjects: true, maxStates: 4000 })) compared += 1;
      } catch (error) {
        // The host has written to a page of the module; `compared` says that few runs end so.
        if (!(error instanceof NotModelled)) throw error;
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(compared > 30, `${compared} scenarios`);
});
