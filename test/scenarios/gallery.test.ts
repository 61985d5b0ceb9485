// The bug gallery: each file under scenarios/bugs/ names its source, shows the bug under a kernel that has it and the same thing well under one that has not.

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { Report } from "../../src/check/report.ts";
import type { Analysis } from "../../src/language/index.ts";
import { underKernel } from "../../src/language/under.ts";
import { PROFILES } from "../../src/model/profile/index.ts";
import { profiles } from "../../src/scenario/catalogue/index.ts";
import type { Program } from "../../src/scenario/program.ts";
import { analysed, checked, SCENARIO_FILES, textOf } from "./engine.ts";

const GALLERY = SCENARIO_FILES.filter((file) => file.startsWith("bugs/"));

/** A commit with its subject, a message id, or a patch of a posted series. */
const SOURCES = [/\b[0-9a-f]{12} "[^"]+"/, /[\w.+-]+@[\w.-]+\.\w+/, /\[PATCH v\d+ \d+\/\d+\] [A-Za-z/]+: \w+/];

/** What a scenario's name begins with where no invariant breaks and the kernel gives a wrong answer. */
const WRONG_RESULT = "wrong result: ";

/** Invariants that no single step breaks. */
const ABOUT_THE_GRAPH = new Set(["no-livelock", "no-deadlock"]);

const firstComment = (text: string): string => (/^(?:\/\/[^\n]*\n)+/.exec(text)?.[0] ?? "").replace(/\n\/\/ /g, " ");

interface Run {
  readonly program: Program;
  readonly report: Report;
}

const isBroken = ({ program }: Run): boolean => program.expected.length > 0 || program.name.startsWith(WRONG_RESULT);
const kernelOf = ({ program }: Run): string => program.profile.name;

/** How each scenario that shows the bug ends under each kernel that is said to be well, where its calls mean something there. */
function swapped(analysis: Analysis, broken: Run, kernels: readonly string[]): { scenario: string; kernel: string; verdict: string }[] {
  return kernels.flatMap((kernel) => {
    const { program, findings } = underKernel(analysis, broken.program.name, kernel);
    const lost = findings.some(({ severity }) => severity !== "information");
    return program === undefined || lost ? [] : [{ scenario: program.name, kernel, verdict: checked(program).verdict }];
  });
}

describe("the bug gallery", () => {
  let swaps = 0;

  it("has at least 25 files", () => assert.ok(GALLERY.length >= 25, `${GALLERY.length}`));

  for (const file of GALLERY) {
    describe(file, () => {
      let analysis: Analysis;
      let runs: readonly Run[];

      before(() => {
        analysis = analysed(file);
        runs = analysis.programs.map((program) => ({ program, report: checked(program) }));
      });

      it("names what it shows and a source in its first comment", () => {
        const comment = firstComment(textOf(file));
        assert.ok(comment.split(". ").length >= 3, "what went wrong takes a few sentences");
        assert.ok(
          SOURCES.some((source) => source.test(comment)),
          comment,
        );
      });

      it("passes with all interleavings explored", () => {
        for (const { program, report } of runs) {
          const name = `"${program.name}" under ${report.kernel}`;
          assert.equal(report.verdict, "pass", name);
          assert.ok(report.exploration.complete, name);
          assert.deepEqual(report.notJudged, [], name);
        }
      });

      it("shows the bug: each violation that it expects happens, or an answer is wrong", () => {
        const broken = runs.filter(isBroken);
        assert.ok(broken.length > 0, "no scenario shows a bug");
        for (const { program, report } of broken) {
          const found = new Set(report.violations.map(({ invariant }) => invariant));
          assert.deepEqual([...found].sort(), [...new Set(program.expected.map(({ invariant }) => invariant))].sort(), program.name);
          const nowhere = program.expected.filter(({ invariant, at }) => at === undefined && !ABOUT_THE_GRAPH.has(invariant));
          assert.deepEqual(nowhere, [], `${program.name}: the step that breaks it is named`);
        }
      });

      it("is well under another kernel: nothing breaks there, and what is broken watches the same", () => {
        const well = runs.filter((run) => !isBroken(run));
        const bad = new Set(runs.filter(isBroken).map(kernelOf));
        assert.ok(well.length > 0, "no scenario shows the fix");
        for (const { program, report } of well) {
          assert.deepEqual(report.violations, [], `${program.name} under ${report.kernel}`);
          assert.ok(!bad.has(report.kernel), `${report.kernel} is said to have the bug`);
        }
        for (const { program } of runs.filter(isBroken)) {
          for (const { invariant } of program.expected)
            assert.ok(
              well.some((run) => watches(run, invariant)),
              `${invariant} is not watched where it holds`,
            );
        }
      });

      it("rests on the kernel: what shows the bug fails where the bug is mended", () => {
        const kernels = [...new Set(runs.filter((run) => !isBroken(run)).map(kernelOf))];
        const answers = runs.filter(isBroken).flatMap((broken) => swapped(analysis, broken, kernels));
        assert.deepEqual(
          answers.filter(({ verdict }) => verdict !== "fail"),
          [],
        );
        if (answers.length > 0) swaps += 1;
      });
    });
  }

  it("of most files the bug was held against a kernel without it; the others need calls that only one of the two has", () =>
    assert.ok(swaps > 0.75 * GALLERY.length, `${swaps}`));
});

function watches({ program }: Run, invariant: string): boolean {
  const { only, except } = program.watch;
  return only === undefined ? !(except ?? []).includes(invariant) : only.includes(invariant);
}

it("each kernel that is modelled runs in some scenario that ships", () => {
  const run = new Set(SCENARIO_FILES.flatMap((file) => analysed(file).programs.map(({ profile }) => profile.name)));
  assert.deepEqual(
    PROFILES.map(({ name }) => name).filter((name) => !run.has(name)),
    [],
  );
  assert.deepEqual(
    profiles.filter(({ name, modelled }) => modelled && name !== "mainline" && !run.has(name)),
    [],
  );
});
