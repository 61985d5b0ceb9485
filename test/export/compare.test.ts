// Model against this machine, call by call: what agrees, what differs, which deviations are known, and what is said where nothing can be run.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { type Compared, compareAnswers, compareStatus, headingOf } from "../../src/export/c/compare.ts";
import { DEVIATIONS, deviation, type MachineFacts } from "../../src/export/c/deviations.ts";
import type { Emitted } from "../../src/export/c/emit.ts";
import { thisMachine } from "../../src/export/c/machine.ts";
import type { Program } from "../../src/scenario/program.ts";
import { contentPrograms, filePrograms, guestPrograms, scenarioText, slotPrograms } from "../conformance/generate.ts";
import { memfd } from "../scenarios/engine.ts";
import { emit, noKvm, noRun, programsOf, run, scenarioFiles, skipped, sourceOf, withBuilt } from "./support.ts";

const SEED = Number(process.env.MEMFD_CONFORMANCE_SEED ?? 20_221_017);
const NEW: MachineFacts = { release: [6, 18], shadowGuest: false };

const one = (lines: readonly string[], kernel = "v8"): { text: string; program: Program } => {
  const text = scenarioText([lines], [kernel]);
  return { text, program: programsOf("one", text)[0] };
};

/** The comparison with what a machine would have printed. */
function held(lines: readonly string[], answers: readonly string[], facts = NEW, ended?: string): Compared & { emitted: Emitted } {
  const { text, program } = one(lines);
  const emitted = emit(program, text, { report: run(program) });
  let tests = 0;
  const output = emitted.entries
    .flatMap(({ title, tested }, at) => (answers[at] === undefined ? [] : [`${tested ? `ok ${(tests += 1)} - ` : "# "}${title}${answers[at]}`]))
    .join("\n");
  return { ...compareAnswers(program, run(program), emitted, { output: `TAP version 13\n${output}\n`, ended }, facts), emitted };
}

const agreements = ({ rows }: Compared): string[] => rows.map((row) => row.agreement);

test("the scenarios that ship and random programs: what runs on this kernel agrees, or deviates for a reason that is known", async (context) => {
  if (skipped(context, noRun() ?? noKvm())) return;
  const random = [filePrograms, contentPrograms, slotPrograms, guestPrograms].flatMap((programs) => fc.sample(programs, { numRuns: 3, seed: SEED }));
  const texts = [
    ...scenarioFiles()
      .filter((path) => path.includes("tutorial/"))
      .map(sourceOf),
    ...random.map((lines) => scenarioText([lines], ["v8"])),
  ];
  const all = texts.flatMap((text) => programsOf("one", text).map((program) => ({ text, program, report: run(program) })));
  const emitted = all.map(({ program, text, report }) => emit(program, text, { report }));
  const chosen = all
    .map((each, at) => ({ ...each, emitted: emitted[at] }))
    .filter((each) => each.emitted.entries.filter((entry) => entry.skipped !== undefined).length < 3);
  await withBuilt(
    chosen.map((each) => each.emitted.text),
    ({ run: execute }) => {
      const compared = chosen.map(({ program, report, emitted: c }, at) =>
        compareAnswers(program, report, c, { output: execute(at).output }, thisMachine.facts()),
      );
      const wrong = compared.flatMap((each, at) =>
        each.rows
          .filter((row) => row.agreement === "differs")
          .map((row) => `seed ${SEED}, "${chosen[at].program.name}": ${row.title}: model ${row.model}, kernel ${row.machine}`),
      );
      assert.deepEqual(wrong, []);
      const sum = (of: (each: Compared) => number): number => compared.reduce((total, each) => total + of(each), 0);
      console.log(
        `${sum((each) => each.agreed)} calls agree, ${sum((each) => each.deviated)} deviate, ${sum((each) => each.skipped)} skipped, in ${chosen.length} programs`,
      );
      assert.ok(sum((each) => each.agreed) > 200);
    },
  );
});

test("every row of the table of deviations explains its own scenario on a machine that shows it, and on no other", () => {
  const here = { release: [6, 18], shadowGuest: true } as const;
  const before = { release: [5, 10], shadowGuest: false } as const;
  const explained = DEVIATIONS.filter((row) => {
    const kernel = Object.keys(row.model).find((name) => row.model[name] !== row.machine) as string;
    const { program } = one(row.lines, kernel);
    const call = program.calls[program.calls.length - 1];
    const found = deviation(program, call, row.model[kernel], row.machine, here);
    if (found === undefined) return false;
    assert.equal(found.name, row.name);
    assert.equal(deviation(program, call, row.model[kernel], row.machine, before), undefined, row.name);
    assert.equal(deviation(program, call, row.machine, row.machine, here), undefined, `${row.name}: an agreement is explained`);
    return true;
  });
  // Seals that follow from an earlier flag are a row for people: the flag is the call that deviates.
  assert.deepEqual(
    DEVIATIONS.filter((row) => !explained.includes(row)).map((row) => row.name),
    ["seals of 0x8"],
  );
});

test("an answer that the model does not have differs, and what follows is not held against anybody", () => {
  const lines = [
    'a = memfd_create("a", MFD_ALLOW_SEALING)',
    "ftruncate(a, 4K) = 0",
    "fcntl(a, F_ADD_SEALS, F_SEAL_SHRINK) = 0",
    "ftruncate(a, 0) = -EPERM",
    "pread(a, 2, 0)",
  ];
  const right = held(lines, [" = 200", " = 0", " = 0", " = -EPERM", ' = 2 "\\000\\000"']);
  assert.deepEqual(agreements(right), ["agrees", "agrees", "agrees", "agrees", "agrees"]);
  assert.equal(compareStatus([right]), 0);
  const wrong = held(lines, [" = 200", " = 0", " = -EINVAL", " = 0", " = 0"]);
  assert.deepEqual(agreements(wrong), ["agrees", "agrees", "differs", "follows", "follows"]);
  assert.deepEqual([wrong.rows[2].model, wrong.rows[2].machine], ["0", "-EINVAL"]);
  assert.equal(compareStatus([right, wrong]), 1);
  const data = held(lines, [" = 200", " = 0", " = 0", " = -EPERM", ' = 2 "\\000a"']);
  assert.deepEqual(agreements(data).slice(3), ["agrees", "differs"]);
});

test("a known deviation is a row with its source, and the two do not agree", () => {
  const lines = ['a = memfd_create("a", 0x10)'];
  const known = held(lines, [" = 200"]);
  assert.deepEqual(agreements(known), ["deviates"]);
  assert.match(known.rows[0].deviation?.source ?? "", /Linux 6\.3/);
  assert.equal(compareStatus([known]), 1);
  assert.deepEqual(agreements(held(lines, [" = 200"], { release: [6, 1], shadowGuest: false })), ["differs"]);
});

test("a program that ends before its time, or skips, is not one that agrees", () => {
  const lines = ['a = memfd_create("a", 0)', "ftruncate(a, 4K) = 0", "assert size(a) == 4K"];
  const dead = held(lines, [" = 200"], NEW, "the program was ended by SIGKILL");
  assert.deepEqual(agreements(dead), ["agrees", "differs", "follows"]);
  assert.equal(dead.rows[1].machine, "the program was ended by SIGKILL");
  // What the model leaves open may end the program: nothing is held against it.
  const open = held(['a = memfd_create("a", 0)', "munmap(NULL, 1G)", "close(a)"], [" = 200"], NEW, "the program was ended by SIGSEGV");
  assert.deepEqual(agreements(open), ["not judged", "not judged", "not judged"]);
  const idle = held(lines, [" # SKIP no reason", " # SKIP no reason", " # SKIP no reason"]);
  assert.equal(idle.skipped, 3);
  assert.equal(compareStatus([idle]), 3);
  assert.equal(compareStatus([]), 3);
  assert.deepEqual(agreements(held(lines, [" = 200", " = 0", " : does not hold"])), ["agrees", "agrees", "differs"]);
  assert.deepEqual(agreements(held(lines, [" = 200", " = 0", " : holds"])), ["agrees", "agrees", "agrees"]);
});

test("in a race every answer that some interleaving gives agrees", () => {
  const race = [
    'a = memfd_create("a", MFD_ALLOW_SEALING)',
    "ftruncate(a, 4K)",
    "parallel {",
    "one { fcntl(a, F_ADD_SEALS, F_SEAL_WRITE) }",
    'two { pwrite(a, "x", 0) }',
    "}",
  ];
  for (const answer of [" = 1", " = -EPERM"]) assert.deepEqual(agreements(held(race, [" = 200", " = 0", " = 0", answer])).at(-1), "agrees");
  assert.equal(agreements(held(race, [" = 200", " = 0", " = 0", " = -EIO"])).at(-1), "differs");
});

test("the heading says when the scenario's kernel is not the machine's", () => {
  const { program } = one(["close(3)"]);
  assert.match(headingOf(program, "6.18.44-x"), /kernel v8 \(.*\) is not this machine's kernel, 6\.18\.44-x/);
  const own = { ...program, profile: { name: "6.18", base: "6.18", edits: [] } };
  assert.equal(headingOf(own, "6.18.44-x"), "kernel 6.18; this machine runs 6.18.44-x");
  assert.match(headingOf(own, "6.1.0-49-amd64"), /is not this machine's kernel/);
});

test("a C file that does not compile is a failure with the compiler's words; a run that is stopped leaves nothing behind", async (context) => {
  if (skipped(context, noRun())) return;
  const folders = (): number => readdirSync(tmpdir()).filter((name) => name.startsWith("memfd-compare-")).length;
  const before = folders();
  const broken = await thisMachine.run("int main(void) { return nothing; }", new AbortController().signal);
  assert.ok("failure" in broken && /nothing/.test(broken.failure));
  const stop = new AbortController();
  const endless = thisMachine.run("int main(void) { for (;;) ; }", stop.signal);
  setTimeout(() => stop.abort(), 50);
  assert.deepEqual(await endless, { failure: "stopped" });
  const crash = await thisMachine.run("#include <stdlib.h>\nint main(void) { abort(); }", new AbortController().signal);
  assert.ok("output" in crash && /SIGABRT/.test(crash.ended ?? ""), JSON.stringify(crash));
  assert.ok(folders() <= before);
});

test("the command compares, prints the table and has the status", async (context) => {
  if (skipped(context, noRun())) return;
  const folder = mkdtempSync(join(tmpdir(), "memfd-compare-test-"));
  try {
    const file = join(folder, "a.memfd");
    const words = (text: string): string => text.replaceAll(/\s+/g, " ");
    writeFileSync(file, 'kernel v8\nscenario "a" {\n  a = memfd_create("a", 0)\n  ftruncate(a, -1) = -EINVAL\n}\n');
    const same = await memfd("compare", file);
    assert.equal(same.status, 0, same.error);
    assert.match(words(same.out), /is not this machine's kernel/);
    assert.match(same.out, /^ {2}agrees line 4: ftruncate\(a, -1\) = -EINVAL$/m);
    assert.match(same.out, /^2 agree$/m);
    writeFileSync(file, 'kernel v8\nscenario "a" {\n  a = memfd_create("a", MFD_INACCESSIBLE)\n}\n');
    const none = await memfd("compare", file);
    assert.equal(none.status, 3, none.error);
    assert.match(words(none.out), /nothing of it runs here: MFD_INACCESSIBLE belongs to v8/);
    const c = await memfd("emit-c", file);
    assert.equal(c.status, 0, c.error);
    assert.match(c.out, /^int main\(void\)$/m);
    assert.equal((await memfd("emit-c", file, "--schedule", "9")).status, 2);
    assert.equal((await memfd("compare", join(folder, "no.memfd"))).status, 2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
