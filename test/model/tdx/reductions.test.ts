// Races on the TDX module explored with reductions have the answers of the plain search.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { type CheckOptions, check } from "../../../src/check/index.ts";
import { resultKey } from "../../../src/model/intern.ts";
import { program, still } from "../support.ts";
import { leafRace } from "./random.ts";

it("reductions change no answer", () => {
  let compared = 0;
  fc.assert(
    fc.property(leafRace(2), (text) => {
      const one = program(text);
      const answers = (options: Partial<CheckOptions>) => {
        const { calls, violations, exploration, verdict, remarks } = check(one, { now: still, maxStates: 4000, ...options });
        return {
          complete: exploration.complete,
          found: {
            verdict,
            remarks: remarks.map((remark) => remark.message),
            results: calls.map((call) => call.results.map((outcome) => resultKey(outcome.result)).sort()),
            violations: violations.map((violation) => `${violation.invariant} ${violation.subject} ${violation.step}`).sort(),
          },
        };
      };
      const plain = answers({ reduce: false });
      if (!plain.complete) return;
      compared += 1;
      assert.deepEqual(answers({ reduce: true }).found, plain.found, text);
    }),
    { numRuns: 60 },
  );
  assert.ok(compared > 30, `${compared} scenarios`);
});
