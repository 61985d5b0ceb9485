// The catalogue of diagnostics against the sources and the stages: every code has a row, every row is emitted, and each example triggers its code alone.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Finding } from "../../src/base/finding.ts";
import { diagnostics } from "../../src/check/diagnostics.ts";
import { forecast, forecastFinding } from "../../src/check/forecast.ts";
import { check, DEFAULT_LIMITS } from "../../src/check/index.ts";
import { INVARIANT_CODES, locate } from "../../src/check/locate.ts";
import { analyse } from "../../src/language/index.ts";
import { invariants } from "../../src/scenario/catalogue/index.ts";
import type { Program } from "../../src/scenario/program.ts";

type Imports = (path: string) => { file: string; text: string } | undefined;

const selfImport: Imports = (path) => (path === "self.memfd" ? { file: path, text: 'import "self.memfd"' } : undefined);
/** Room for every example but the one that is to hit the limit. */
const MAX_STATES = 400;

const run = (program: Program): Finding[] => locate(program, check(program, { now: () => 0, maxStates: MAX_STATES }));

function findingsOf(text: string, imports: Imports = selfImport): Finding[] {
  const { findings, programs } = analyse("self.memfd", text, { imports });
  return [...findings, ...programs.flatMap(run)];
}

const programOf = (text: string): Program => analyse("self.memfd", text, { imports: () => undefined }).programs[0];

/** Codes that no small text triggers, each made by other means; MEMFD1000 is the command line's (test/cli/check.test.ts). */
const OTHERWISE: Record<string, () => Finding[]> = {
  MEMFD4002: () => {
    const program = programOf('kernel v8\nmemfd_create("x", 0)');
    const report = check(program, { now: () => 0 });
    const story = { schedule: [], steps: [], shortest: true };
    const violation = {
      invariant: "frame-one-owner",
      subject: "frame 1",
      call: 0,
      step: "new_file",
      expected: false,
      message: "frame 1 has two owners",
      story,
    };
    return locate(program, { ...report, violations: [violation] });
  },
  MEMFD5090: () => {
    const program = programOf("kernel v8\nclose(-1)");
    return run({ ...program, profile: { name: "next", base: "next", edits: [] } });
  },
  MEMFD6005: () => findingsOf('import "0"', (path) => ({ file: path, text: `import "${Number(path) + 1}"` })),
  MEMFD6006: () => findingsOf(`// ${"x".repeat(1_000_000)}`),
  // Said while a run goes on, of one that takes longer than any test: forecast.test.ts holds it against real runs.
  MEMFD6007: () => {
    const program = programOf("kernel v8\nclose(-1)");
    const stretch = { threads: 12, steps: 2400, branching: 2400, positions: 90 };
    const samples = [0, 1, 2].map((depth) => ({ states: 100 ** depth, depth }));
    const progress = { ...samples[2], transitions: 1, frontier: 1, milliseconds: 400 };
    const made = forecast({ stretches: [stretch], levels: 2400, bytesPerState: 100 }, samples, progress, DEFAULT_LIMITS);
    return made === undefined ? [] : [forecastFinding(program, made)];
  },
  MEMFD9001: () => {
    const program = programOf("kernel v8\nclose(-1)");
    return run({ ...program, calls: [{ ...program.calls[0], spec: "no such call" }] });
  },
};

for (const row of diagnostics) {
  if (row.code === "MEMFD1000") continue;
  test(`${row.code}: ${row.title}`, () => {
    const make = OTHERWISE[row.code];
    assert.equal(make === undefined, row.example !== "", "an example, or another way to make the code");
    const findings = make?.() ?? findingsOf(row.example);
    const hit = findings.find((finding) => finding.code === row.code);
    assert.ok(hit, `got ${findings.map((finding) => `${finding.code} ${finding.message}`).join("; ") || "nothing"}`);
    assert.equal(hit.severity, row.severity);
    // The message about left out findings comes with findings.
    const others = row.code === "MEMFD6004" ? [] : findings.filter((finding) => finding.code !== row.code);
    assert.deepEqual(
      others.map((finding) => `${finding.code} ${finding.message}`),
      [],
    );
  });
}

test("an example is the smallest: without any one of its lines, the choice of kernel apart, it no longer triggers its code alone", () => {
  for (const { code, example } of diagnostics) {
    if (!/^MEMFD[345]/.test(code) || example === "" || /\n[ }]/.test(example)) continue;
    const lines = example.split("\n");
    for (const [at, line] of lines.entries()) {
      if (line.startsWith("kernel v")) continue;
      const rest = lines.filter((_, index) => index !== at).join("\n");
      const codes = new Set(findingsOf(rest).map((finding) => finding.code));
      assert.ok(codes.size !== 1 || !codes.has(code), `${code} does without ${JSON.stringify(line)}`);
    }
  }
});

const SOURCES = new URL("../../src/", import.meta.url);
const CATALOGUE = /^check\/diagnostics[./]/;

/** Code → files that name it, the catalogue apart. */
function codesInSources(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const name of readdirSync(SOURCES, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts") || CATALOGUE.test(name.replaceAll("\\", "/"))) continue;
    const text = readFileSync(new URL(name, SOURCES), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
    for (const [code] of text.matchAll(/MEMFD\d{4}/g)) found.set(code, [...(found.get(code) ?? []), name]);
  }
  return found;
}

test("every code in the sources has a row, and every row is emitted somewhere", () => {
  const found = codesInSources();
  assert.ok(found.size > 60);
  const rows = new Set(diagnostics.map((row) => row.code));
  assert.deepEqual(
    [...found].filter(([code]) => !rows.has(code)),
    [],
  );
  assert.deepEqual(
    [...rows].filter((code) => !found.has(code)),
    [],
  );
});

test("codes are unique and in order, and rows say something", () => {
  const codes = diagnostics.map((row) => row.code);
  assert.deepEqual(codes, [...new Set(codes)].sort());
  for (const { code, title, explanation } of diagnostics) {
    const sentences = explanation.match(/[.:](?= |$)/g)?.length ?? 0;
    assert.ok(sentences >= 1 && explanation.length > 60 && explanation.endsWith("."), `${code}: ${sentences} sentences`);
    assert.doesNotMatch(title, /\.$/, code);
  }
});

test("every modelled invariant has a code with a row of its name", () => {
  for (const row of invariants) {
    if (!row.modelled) continue;
    assert.equal(diagnostics.find((one) => one.code === INVARIANT_CODES[row.name])?.title, row.name);
  }
  const codes = Object.values(INVARIANT_CODES);
  assert.equal(new Set(codes).size, codes.length);
});
