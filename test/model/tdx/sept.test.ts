// Leaves on the secure EPT: each goes down its checks in the module's order, and of two faults at once the earlier check answers.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { statusText } from "../../../src/model/tdx/leaf.ts";
import { leafNamed } from "../../../src/model/tdx/leaves.ts";
import { labelled } from "../support.ts";
import type { Case } from "./life-cycle.cases.ts";
import { SEPT_ROWS } from "./sept.cases.ts";
import { scenarioText } from "./td.ts";

/** The statuses of the call of a case, in all interleavings; `against` may name its own actor. */
function statuses({ prepare = "", call, against, machine }: Case): string[] {
  const other = against === undefined ? "" : /^\w+: /.test(against) ? against : `two: ${against}`;
  const body = against === undefined ? `${call} @it` : `parallel {\n  one: ${call} @it\n  ${other}\n}`;
  return labelled(scenarioText([prepare, body], machine === undefined ? {} : { machine })).it.split(" or ");
}

const withoutDoubles = (list: readonly string[]): string[] => [...new Set(list)];

for (const [name, { cases, impossible = {} }] of Object.entries(SEPT_ROWS)) {
  describe(name, () => {
    it("has the checks of the table, in its order", () => {
      const leaf = leafNamed(name);
      const answers = withoutDoubles([...(leaf?.checks.flatMap((check) => check.answers) ?? []).map(statusText), "TDX_SUCCESS"]);
      assert.deepEqual(
        withoutDoubles(cases.map(({ answer }) => answer)),
        answers.filter((answer) => !Object.hasOwn(impossible, answer)),
      );
    });
    for (const one of cases) {
      it(`${one.call}${one.against === undefined ? "" : ` against ${one.against}`}: ${one.answer}`, () => {
        const found = statuses(one);
        if (one.against !== undefined) assert.ok(found.includes(one.answer), found.join(" or "));
        else assert.deepEqual(found, [one.answer]);
      });
    }
  });
}
