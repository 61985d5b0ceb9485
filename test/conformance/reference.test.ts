// What was measured on 6.18.44, row by row in three sections (memfd_create, seals, fallocate and holes), is what the model of 6.18 answers, and what this
// kernel answers, where it is that one. Rows that no scenario can ask are counted, each with its reason.

import assert from "node:assert/strict";
import { release } from "node:os";
import { after, test } from "node:test";
import { compareAnswers } from "../../src/export/c/compare.ts";
import { emitC } from "../../src/export/c/emit.ts";
import { thisMachine } from "../../src/export/c/machine.ts";
import { callsNamed } from "../../src/scenario/catalogue/index.ts";
import { compare, showComparison, showDifference } from "./compare.ts";
import { abilities } from "./machine.ts";
import { programsOf, runModel } from "./model.ts";
import { type Row, textOf, type Unasked } from "./reference/rows.ts";
import { SECTION_1, UNASKED_1 } from "./reference/section1.ts";
import { SECTION_2, UNASKED_2 } from "./reference/section2.ts";
import { SECTION_3, UNASKED_3 } from "./reference/section3.ts";

const ROWS: readonly Row[] = [...SECTION_1, ...SECTION_2, ...SECTION_3];
const UNASKED: readonly Unasked[] = [...UNASKED_1, ...UNASKED_2, ...UNASKED_3];
const SECTIONS = ["1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "2.4", "2.5", "3.1", "3.2", "3.3", "3.4"];

const of = (section: string): readonly Row[] => ROWS.filter((row) => row.section === section);
const otherKernel = (): string | undefined => (/^6\.18\./.test(release()) ? undefined : `the rows are about 6.18, this machine runs ${release()}`);

const counts = { calls: 0 };
after(() => {
  const sections = SECTIONS.map((section) => `${section}: ${of(section).length}`).join(", ");
  console.log(`rows that were measured: ${ROWS.length} hold in the model (${sections}); ${UNASKED.length} that no scenario can ask`);
  for (const { section, name, reason } of UNASKED) console.log(`  not asked, ${section} ${name}: ${reason}`);
  console.log(`${counts.calls} calls of these rows agree with this kernel`);
});

for (const section of SECTIONS) {
  test(`${section}: the model answers what was measured`, () => {
    const rows = of(section);
    assert.ok(rows.length > 0);
    const programs = programsOf(`section-${section}.memfd`, textOf(rows));
    assert.equal(programs.length, rows.length);
    const wrong = programs.flatMap((program) => {
      const { problem, answers } = runModel(program);
      return problem === undefined ? [] : [`${program.name}: ${problem}; ${answers.join(", ")}`];
    });
    assert.deepEqual(wrong, []);
    const silent = programs.filter((program) => program.calls.every((call) => call.expect === undefined));
    assert.deepEqual(
      silent.map((program) => program.name),
      [],
      "a row that says no answer",
    );
  });

  test(`${section}: this kernel answers the same`, async (context) => {
    const lacks = abilities().noCompare ?? otherKernel();
    if (lacks !== undefined) {
      console.log(`skipped: ${context.name}: ${lacks}`);
      return context.skip(lacks);
    }
    if (section === "1.3") return underSettings();
    const comparison = compare(`section-${section}.memfd`, textOf(of(section)));
    console.log(showComparison(section, comparison));
    assert.deepEqual(comparison.differences.slice(0, 5).map(showDifference), []);
    counts.calls += comparison.compared;
  });
}

/** A setting of the machine needs a pid namespace of its own, which only the emitted program makes. */
async function underSettings(): Promise<void> {
  for (const program of programsOf("settings.memfd", textOf(of("1.3")))) {
    const { report } = runModel(program);
    const emitted = emitC(program, { report, placeOf: (site) => `call ${site}` });
    const ran = await thisMachine.run(emitted.text, new AbortController().signal);
    assert.ok(!("failure" in ran), JSON.stringify(ran));
    const { rows, agreed, differed } = compareAnswers(program, report, emitted, ran, thisMachine.facts());
    assert.deepEqual(
      rows.filter((row) => row.agreement === "differs").map((row) => `${row.title}: model ${row.model}, kernel ${row.machine}`),
      [],
    );
    assert.equal(differed, 0);
    if (process.getuid?.() === 0) assert.ok(agreed > 0, `${program.name}: nothing was compared`);
    counts.calls += agreed;
  }
}

test("what no scenario can ask has its reason: the model says that it does not model it, or the language has no such call", () => {
  for (const { section, name, reason, lines, call } of UNASKED) {
    if (lines === undefined) {
      assert.deepEqual(callsNamed(call ?? ""), [], `${section} ${name}`);
      continue;
    }
    const [program] = programsOf("unasked.memfd", textOf([{ section, name, lines }]));
    const { report, problem } = runModel(program);
    assert.ok(
      !report.exploration.complete && report.remarks.some(({ message }) => message.includes(reason) && /modelled/.test(message)),
      `${section} ${name}: ${problem}`,
    );
  }
});
