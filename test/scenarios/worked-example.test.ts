// The worked example of TDX: none of what it asserts would hold anyway. Each part of each assertion is turned around, and then each has to fail. And the
// library that it builds on: the example in its comment runs, and every ready-made TD is what its name says.

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

const LIBRARY = "lib/td.memfd";
const NUMBERS: Readonly<Record<string, number>> = { one: 1, two: 2, four: 4 };

it("the example in the comment of the library runs as it stands", () => {
  const comment = /^(?:\/\/[^\n]*\n)+/.exec(textOf(LIBRARY))?.[0] ?? "";
  const example = comment
    .split("\n")
    .filter((line) => line.startsWith("//     ") || line === "//")
    .map((line) => line.slice(7));
  const analysis = analysed("tdx/example.memfd", `kernel 6.18\n${example.join("\n")}`);
  assert.deepEqual(analysis.findings, []);
  assert.equal(analysis.programs.length, 1);
  const report = checked(analysis.programs[0]);
  assert.equal(report.verdict, "pass");
  assert.ok(report.exploration.complete && report.exploration.states < 300, `${report.exploration.states} states`);
});

it("each ready-made TD has the vCPUs and the pages that its name says", () => {
  const names = [...textOf(LIBRARY).matchAll(/^setup (td-(\w+)-vcpus?-(\w+)-pages?) \{/gm)];
  assert.ok(names.length >= 5);
  for (const [, name, vcpus, pages] of names) {
    const [many, most] = [NUMBERS[vcpus], NUMBERS[pages]];
    const lines = [
      `use ${name}`,
      "assert op_state(td) == OP_STATE_RUNNABLE",
      // Six pages of TDCS, six for each vCPU, three tables.
      `assert chldcnt(td) == ${9 + 6 * many + most}`,
      ...Array.from({ length: most }, (_, page) => `assert sept(td, 0x${page + 1}000) == MAPPED && sept(td, 0x${page + 1}000).frame == page${page + 1}`),
      ...Array.from({ length: many }, (_, vcpu) => `vcpu${vcpu}: load(0x${most}000) = 0x4${most}`),
    ];
    const analysis = analysed("tdx/ready-made.memfd", `import "../lib/td.memfd"\nkernel 6.18\nscenario "s" {\n${lines.join("\n")}\n}\n`);
    assert.deepEqual(analysis.findings, [], name);
    assert.equal(checked(analysis.programs[0]).verdict, "pass", name);
  }
});
