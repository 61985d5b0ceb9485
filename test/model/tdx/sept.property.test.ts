// Random sequences of leaves, entries and accesses answer, call by call, what a second account of the secure EPT says.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { answers, program, report } from "../support.ts";
import { lineOf, Oracle, type Step } from "./sept.oracle.ts";
import { building } from "./support.ts";

const PAGES = 3;
const gpa = fc.integer({ min: 1, max: 3 });
const page = fc.integer({ min: 0, max: PAGES - 1 });
const vcpu = fc.integer({ min: 0, max: 1 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("aug" as const, "aug" as const, "relocate" as const), gpa, page }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("add" as const), gpa, page }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constantFrom("block" as const, "block" as const, "unblock" as const, "remove" as const, "remove" as const), gpa }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("read" as const, "extend" as const), gpa }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("blockTable" as const, "unblockTable" as const, "unblockTable" as const, "removeTable" as const), gpa }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("addTable" as const), page }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("track" as const, "track" as const, "track" as const, "finalize" as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("enter" as const, "kick" as const), vcpu }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom("load" as const, "store" as const, "accept" as const, "accept" as const), vcpu, gpa }) },
);

const SETUP = `${building(2)}\nrepeat ${PAGES} as i { page[i] = alloc_frame() }\nsource = alloc_frame()\nstore_frame(source, 0x41)\nclflush(source)`;

it("each call of a random sequence answers what the oracle says", () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), fc.boolean(), (steps, runs) => {
      const all: Step[] = runs ? [{ kind: "add", gpa: 1, page: 0 }, { kind: "finalize" }, ...steps] : steps;
      const lines = all.map((one, index) => `${lineOf(one)} @s${index}`);
      const text = `kernel 6.18\ncheck sept-pamt-agree, tlb-tracked, no-deadlock\n${SETUP}\n${lines.join("\n")}\n`;
      const made = program(text);
      const judged = report(text);
      assert.deepEqual(judged.violations, [], text);
      const oracle = new Oracle();
      const first = made.calls.length - all.length;
      all.forEach((one, index) => {
        const expected = oracle.answer(one);
        seen.set(expected.replace(/gpa=\w+/, ""), (seen.get(expected.replace(/gpa=\w+/, "")) ?? 0) + 1);
        assert.equal(answers(made, judged, first + index), expected, `${lineOf(one)} in\n${lines.slice(0, index + 1).join("\n")}`);
      });
    }),
    { numRuns: 150 },
  );
  assert.ok(seen.size > 15, [...seen.keys()].join("\n"));
});
