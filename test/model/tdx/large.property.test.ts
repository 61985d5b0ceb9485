// Random sequences of leaves on pages of 2 MB and on the 4 KB pages in them answer, call by call, what an account says that writes every page out.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { answers, program, report } from "../support.ts";
import { lineOf, Oracle, PAGES, type Step } from "./large.oracle.ts";
import { running } from "./support.ts";

const at = fc.constantFrom(...PAGES);
const page = fc.constantFrom(...PAGES);
const block = fc.constantFrom(0, 0, 1);
const level = fc.constantFrom(0, 1, 1);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("augLarge" as const), block, page: fc.constantFrom(0, 0, 0, 1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("aug" as const), at, block, page }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom("block" as const, "block" as const, "unblock" as const, "remove" as const), at, level }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom("demote" as const, "promote" as const, "removeTable" as const, "addTable" as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("track" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("enter" as const, "kick" as const, "kick" as const) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom("load" as const, "store" as const, "accept" as const, "accept" as const), at, level }) },
) as fc.Arbitrary<Step>;

/** What somebody who knows the protocol does, as a piece of a longer sequence. */
const cycle = (...kinds: readonly Step[]): fc.Arbitrary<Step[]> => fc.constant([...kinds]);
const turn = [{ kind: "block", at: 0, level: 1 }, { kind: "track" }, { kind: "kick" }] as const;
const piece: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 6, arbitrary: step.map((one) => [one]) },
  cycle(...turn, { kind: "demote" }),
  cycle(...turn, { kind: "promote" }),
  cycle(...turn, { kind: "remove", at: 0, level: 1 }),
);

const SETUP = `${running(1)}\none = alloc_frame(2M)\ntwo = alloc_frame(2M)\ntablePage = alloc_frame()`;

it("each call of a random sequence answers what the account of every page says", () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(piece, { minLength: 8, maxLength: 30 }), (pieces) => {
      const all: Step[] = [{ kind: "augLarge", block: 0, page: 0 }, { kind: "accept", at: 0, level: 1 }, ...pieces.flat()];
      const lines = all.map((one, index) => `${lineOf(one)} @s${index}`);
      const oracle = new Oracle();
      const expected = all.map((one) => oracle.answer(one));
      const text = `kernel 6.18\ncheck sept-pamt-agree, tlb-tracked, no-deadlock\n${SETUP}\n${lines.join("\n")}\nforall chldcnt(td) == ${oracle.children + 16}\n`;
      const made = program(text);
      const judged = report(text);
      assert.deepEqual(judged.violations, [], text);
      const first = made.calls.length - all.length;
      all.forEach((one, index) => {
        const kind = `${one.kind} ${expected[index].replace(/gpa=\w+/, "")}`;
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
        const where = `${lineOf(one)} in\n${lines.slice(0, index + 1).join("\n")}`;
        // An interrupt puts the vCPU out of an ACCEPT of 2 MB and in again, and what comes of it is the same.
        assert.equal(answers(made, judged, first + index), expected[index], where);
      });
      assert.equal(judged.verdict, "pass", text);
    }),
    { numRuns: 150 },
  );
  for (const kind of ["demote TDX_SUCCESS", "promote TDX_SUCCESS", "accept TDX_PAGE_SIZE_MISMATCH/LVL_PD", "promote TDX_EPT_INVALID_PROMOTE_CONDITIONS/RCX"])
    assert.ok(seen.has(kind), `${kind} is never answered:\n${[...seen.keys()].join("\n")}`);
});
