// `machine { … }`: where it stands, what it may set, what becomes of it, and what completion and hover know of its settings.

import assert from "node:assert/strict";
import { it } from "node:test";
import { completeAt } from "../../src/language/complete.ts";
import { describeAt } from "../../src/language/hover.ts";
import { analyse } from "../../src/language/index.ts";
import { settings } from "../../src/scenario/catalogue/index.ts";
import { printProgram } from "../../src/scenario/print.ts";

const read = (text: string) => analyse("a.memfd", text, { imports: () => undefined });
const codes = (text: string): string[] => read(text).findings.map(({ code, span }) => `${code} ${text.slice(span.from, span.to)}`);
const FILE = 'fd = memfd_create("x", 0)\n';

it("sets what it names, in a bare file, in a scenario, and for all scenarios of a file, of which each may set more", () => {
  const bare = read(`kernel 6.18\nmachine { memfd_noexec = 1; frames = 4K }\n${FILE}`);
  assert.deepEqual(bare.findings, []);
  assert.deepEqual(bare.programs[0].machine, { memfd_noexec: 1n, frames: 4096n });
  const whole = read(
    `kernel 6.18\nmachine {\n  memfd_noexec = 1\n}\nscenario "a" {\n${FILE}}\nscenario "b" {\n  machine { frames = 2; memfd_noexec = 1 + 1 }\n${FILE}}\n`,
  );
  assert.deepEqual(whole.findings, []);
  assert.deepEqual(
    whole.programs.map(({ machine }) => machine),
    [{ memfd_noexec: 1n }, { memfd_noexec: 2n, frames: 2n }],
  );
  assert.equal(read(`kernel 6.18\n${FILE}`).programs[0].machine, undefined);
});

it("an edit of the machine makes the scenarios below it new, and no other edit does", () => {
  const text = (value: number, name = "x"): string =>
    `kernel 6.18\nmachine { memfd_noexec = ${value} }\nscenario "a" {\n  fd = memfd_create("${name}", 0)\n}\n`;
  const first = read(text(1));
  const next = analyse("a.memfd", text(2), { imports: () => undefined, previous: first });
  assert.deepEqual(next.programs[0].machine, { memfd_noexec: 2n });
});

it("stands first", () => {
  assert.deepEqual(codes(`kernel 6.18\n${FILE}machine { frames = 1 }\n`), ["MEMFD2018 machine"]);
  assert.deepEqual(codes(`kernel 6.18\nscenario "a" {\n${FILE}machine { frames = 1 }\n}\n`), ["MEMFD2018 machine"]);
  assert.deepEqual(codes(`kernel 6.18\nscenario "a" {\n${FILE}}\nmachine { frames = 1 }\n`), ["MEMFD2018 machine"]);
  assert.deepEqual(codes(`kernel 6.18\nscenario "a" {\n${FILE}parallel { vmm { machine { frames = 1 } } }\n}\n`), ["MEMFD2018 machine"]);
});

it("knows its settings and their bounds", () => {
  const set = (entry: string): string[] => codes(`kernel 6.18\nmachine { ${entry} }\n${FILE}`);
  assert.deepEqual(set("memfd_noexec = 3"), ["MEMFD2037 3"]);
  assert.deepEqual(set("memfd_noexec = -1"), ["MEMFD2037 -1"]);
  assert.deepEqual(set("frames = 1; frames = 2"), ["MEMFD2037 frames"]);
  assert.deepEqual(set("frame = 1"), ["MEMFD2037 frame"]);
  assert.match(read(`kernel 6.18\nmachine { frame = 1 }\n${FILE}`).findings[0].message, /did you mean `frames`/);
  assert.deepEqual(set("memory_limit = 4096"), ["MEMFD5004 memory_limit"]);
  assert.deepEqual(set("packages = 2"), []);
});

it("is printed so that it reads the same", () => {
  const [program] = read(`kernel 6.18\nscenario "a" {\n  machine { memfd_noexec = 2; frames = 3 }\n${FILE}}\n`).programs;
  const [again] = read(printProgram(program)).programs;
  assert.deepEqual(again.machine, program.machine);
});

it("completion offers the settings, and hover tells what they are", () => {
  const text = "kernel 6.18\nmachine { m";
  const offered = completeAt(read(text), text.length).map(({ label }) => label);
  assert.deepEqual(
    offered,
    settings.map((row) => row.name),
  );
  const whole = `kernel 6.18\nmachine { memfd_noexec = 1 }\n${FILE}`;
  assert.match(JSON.stringify(describeAt(read(whole), whole.indexOf("memfd_noexec") + 2)), /vm\.memfd_noexec/);
});
