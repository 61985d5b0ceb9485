// Every scenario that ships and has a `parallel` block, as the product runs it, with and without reductions; in a process of its own: `scenarios FOLDER`.
// Prints one line of JSON per scenario, kernel and mode.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { check } from "../../src/check/index.ts";
import { analyse } from "../../src/language/index.ts";
import type { Program } from "../../src/scenario/program.ts";

const ROUNDS = 5;
const SLOW = 400;
const now = (): number => performance.now();
const folder = resolve(process.argv[2] ?? ".");
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

function measure(file: string, program: Program, reduce: boolean): void {
  // The first run warms up; where one run takes long, it is the only one.
  const from = now();
  let report = check(program, { now, reduce, maxMilliseconds: 20_000 });
  const times = [now() - from];
  if (times[0] < SLOW) {
    times.length = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const begin = now();
      report = check(program, { now, reduce, maxMilliseconds: 20_000 });
      times.push(now() - begin);
    }
  }
  const { states, transitions, complete } = report.exploration;
  const row = { file: relative(folder, file), scenario: program.name, kernel: report.kernel, reduce, verdict: report.verdict, states, transitions, complete };
  process.stdout.write(`${JSON.stringify({ ...row, milliseconds: median(times) })}\n`);
}

for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
  if (!name.endsWith(".memfd")) continue;
  const file = join(folder, name);
  const imports = (path: string, from: string): { file: string; text: string } | undefined => {
    const found = join(dirname(from), path);
    try {
      return { file: found, text: readFileSync(found, "utf8") };
    } catch {
      return undefined;
    }
  };
  const { programs } = analyse(file, readFileSync(file, "utf8"), { imports });
  for (const program of programs) {
    if (!program.body.some((statement) => statement.kind === "parallel")) continue;
    for (const reduce of [true, false]) measure(file, program, reduce);
  }
}
