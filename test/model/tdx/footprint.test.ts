// What the steps of the TDX module and of its guests touch, held against what they declare, in random races.

import { it } from "node:test";
import { assertDeclared } from "../watching.ts";
import { leafRace } from "./random.ts";

it("each step touches only what it declares, and goes on where it declares", () => {
  assertDeclared(leafRace(2), { maxStates: 600, numRuns: 60 });
});
