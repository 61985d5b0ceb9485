// Programs that drive the TDX module survive being printed, and their conditions name states as a person would.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { printCondition, printProgram } from "../../../src/scenario/print.ts";
import type { Program } from "../../../src/scenario/program.ts";
import { program } from "../support.ts";
import { leafRace } from "./random.ts";

const PLACES: readonly string[] = ["site", "sites", "statement"];
/** A program without its places in the text. */
const meaning = (one: Program): string =>
  JSON.stringify(one, (key, value: unknown) => (PLACES.includes(key) ? undefined : typeof value === "bigint" ? `${value}n` : value));

it("a printed Program is read back as an equal one", () => {
  fc.assert(
    fc.property(leafRace(3), (text) => {
      const one = program(text);
      assert.equal(meaning(program(printProgram(one))), meaning(one), text);
    }),
    { numRuns: 40 },
  );
});

it("states stand by their names", () => {
  const conditions = [
    "sept(td, 0x1000) == PENDING_BLOCKED",
    "pamt(td) != PT_TDR && pamt(root) == PT_NDA",
    "life_cycle(td) == TD_KEYS_CONFIGURED",
    "key_state(33) == HKID_FLUSHED",
    "op_state(td) == OP_STATE_RUNNABLE",
  ];
  const text = `kernel 6.18\nroot = alloc_frame()\ntd = TDH.MNG.CREATE(root, 33)\n${conditions.map((condition) => `exists ${condition}`).join("\n")}\n`;
  const one = program(text);
  assert.deepEqual(
    one.questions.map((question) => printCondition(one, question.condition)),
    conditions,
  );
});
