// The worked example of TDX: none of what it asserts would hold anyway. Each part of each assertion is turned around, and then each has to fail.

import assert from "node:assert/strict";
import { it } from "node:test";
import { analysed, checked, textOf } from "./engine.ts";

const FILE = "tdx/worked-example.memfd";

/** `assert a && b` as `assert !(a)` and `assert !(b)`, one a line. */
function turned(text: string): { readonly text: string; readonly parts: number } {
  let parts = 0;
  const lines = text.split("\n").flatMap((line) => {
    const condition = /^\s*assert (.*)$/.exec(line)?.[1];
    if (condition === undefined) return [line];
    const conjuncts = condition.split(" && ");
    parts += conjuncts.length;
    return conjuncts.map((conjunct) => `  assert !(${conjunct})`);
  });
  return { text: lines.join("\n"), parts };
}

it("each assertion of the worked example fails when it is turned around", () => {
  const { text, parts } = turned(textOf(FILE));
  assert.ok(parts > 90, `${parts} values`);
  const analysis = analysed(FILE, text);
  assert.deepEqual(
    analysis.findings.filter(({ severity }) => severity === "error"),
    [],
  );
  // An assertion in a `repeat` is one for each round.
  const failed = new Set<string>();
  for (const program of analysis.programs)
    for (const { code, site } of checked(program).remarks) if (code === "MEMFD3024") failed.add(`${program.name} ${program.sites[site].from}`);
  assert.equal(failed.size, parts);
});
