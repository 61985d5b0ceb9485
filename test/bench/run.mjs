// The explorer against SPIN on the same protocol: equal counts are asserted, then rounds of both are run in turn and the medians of their ratios printed.
// Ratios and CPU time, not seconds: both share the machine with whatever else runs there.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const ROUNDS = 5;
const BUILD_ROUNDS = 3;
const here = fileURLToPath(new URL(".", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "memfd-bench-"));
const once = join(folder, "once.mjs");
const SIZES = { S: [1, 1, 1], M: [2, 2, 1], L: [3, 3, 2] };

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const quoted = (word) => `'${String(word).replaceAll("'", "'\\''")}'`;

// A table that SPIN is quickest with here; its default of 2^24 slots costs it a fifth more.
const PAN = "-m100000 -w22";

/** Runs a shell command line; wall and CPU seconds of it and its children. `times` is the one clock for CPU that every POSIX shell has. */
function timed(line) {
  const from = performance.now();
  const script = `${line}\nstatus=$?; echo "@times"; times; exit $status`;
  const { status, stdout, stderr } = spawnSync("sh", ["-c", script], { cwd: folder, encoding: "utf8", maxBuffer: 1 << 26 });
  const wall = (performance.now() - from) / 1000;
  const [output, times = ""] = stdout.split("@times\n");
  assert.equal(status, 0, `${line}\n${output}${stderr}`);
  const spent = [...(times.split("\n")[1] ?? "").matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds));
  return { wall, cpu: spent.reduce((sum, seconds) => sum + seconds, 0), output };
}

function ours(...words) {
  const run = timed([process.execPath, once, ...words].map(quoted).join(" "));
  return { ...run, ...JSON.parse(run.output) };
}

function readPan(output) {
  const number = (pattern) => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  const depth = number(/at depth (\d+)/);
  // SPIN counts the initial state as a transition, and depths from 0.
  return {
    states: number(/(\d+) states, stored/),
    transitions: number(/(\d+)\s+transitions/) - 1,
    steps: Number.isNaN(depth) ? undefined : depth + 1,
    peakBytes: number(/([\d.]+)\s+total actual memory usage/) * 1e6,
  };
}

function generate(instance, variant) {
  const [pages, vcpus, hosts] = SIZES[instance];
  const defines = `-DPAGES=${pages} -DVCPUS=${vcpus} -DHOSTS=${hosts} -DFAULTS=2 -D${variant.toUpperCase()}`;
  return `spin -a ${defines} ${quoted(join(here, "punch-fault.pml"))}`;
}

const compile = (options, into) => `gcc -w ${options} -DSAFETY -DNOREDUCE -o ${into} pan.c`;

function spin(line) {
  const run = timed(line);
  return { ...run, ...readPan(run.output) };
}

const table = [];

/** `rounds`: pairs of [spin, ours]; the ratios are taken round by round. `bar` is the most that design/product.md allows. */
function row(what, rounds, bar, measure) {
  const ratio = median(rounds.map(([theirs, mine]) => measure(mine) / measure(theirs)));
  const show = (side) => median(rounds.map((pair) => measure(pair[side])));
  table.push({ what, spin: show(0), ours: show(1), ratio, bar });
}

function counts() {
  for (const instance of ["S", "M", "L"]) {
    for (const variant of ["fixed", "buggy", "noseq"]) {
      const theirs = spin(`${generate(instance, variant)} && ${compile("-O1", "pan")} && ./pan ${PAN} -c0 -E`);
      const mine = ours(instance, variant, "exhaust");
      assert.ok(mine.complete);
      assert.deepEqual([mine.states, mine.transitions], [theirs.states, theirs.transitions], `${instance} ${variant}`);
      console.log(`${instance} ${variant.padEnd(5)}  ${mine.states} states and ${mine.transitions} transitions in both`);
    }
  }
}

function exhaust() {
  timed(`${generate("L", "fixed")} && ${compile("-O2", "exhaust")}`);
  const rounds = [];
  const reduced = [];
  for (let round = 0; round < ROUNDS; round++) {
    const theirs = spin(`./exhaust ${PAN} -E`);
    const mine = ours("L", "fixed", "exhaust");
    const fewer = ours("L", "fixed", "exhaust", "reduce");
    assert.deepEqual([mine.states, mine.steps, fewer.complete, fewer.steps], [theirs.states, undefined, true, undefined]);
    rounds.push([theirs, mine]);
    reduced.push([theirs, fewer]);
  }
  row("L exhaustive, CPU s of the process", rounds, 1, (run) => run.cpu);
  row("L exhaustive, wall s of the process", rounds, undefined, (run) => run.wall);
  row("L exhaustive, peak MB of the process", rounds, undefined, (run) => run.peakBytes / 1e6);
  row("L reduced, CPU s of the process", reduced, undefined, (run) => run.cpu);
  row("L reduced, states stored", reduced, undefined, (run) => run.states);
}

/** The editor's case: a process that has already explored something else. */
function warm() {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const theirs = spin(`./exhaust ${PAN} -E`);
    const mine = ours("L", "fixed", "exhaust", "repeat=4");
    rounds.push([{ seconds: theirs.cpu }, { seconds: median(mine.cpuMilliseconds.slice(1)) / 1000 }]);
  }
  row("L exhaustive, CPU s in a warm process", rounds, 1, (run) => run.seconds);
}

function verdicts() {
  for (const variant of ["buggy", "noseq"]) {
    const fast = [];
    const quick = [];
    for (let round = 0; round < BUILD_ROUNDS; round++) {
      const optimised = spin(`${generate("L", variant)} && ${compile("-O2 -DBFS", "pan")} && ./pan ${PAN} -E`);
      const plain = spin(`${generate("L", variant)} && ${compile("-O0 -DBFS", "pan")} && ./pan ${PAN} -E`);
      const mine = ours("L", variant, "first");
      assert.deepEqual([mine.steps, mine.steps], [optimised.steps, plain.steps], "length of the shortest counterexample");
      fast.push([optimised, mine]);
      quick.push([plain, mine]);
    }
    row(`L ${variant}, shortest counterexample, wall s (gcc -O2)`, fast, 0.1, (run) => run.wall);
    row(`L ${variant}, shortest counterexample, wall s (gcc -O0)`, quick, undefined, (run) => run.wall);
  }
}

function print() {
  const format = (value) => (value >= 1000 ? String(Math.round(value)) : value.toPrecision(3));
  console.log(`\n${"".padEnd(52)}${"SPIN".padStart(9)}${"ours".padStart(9)}${"ratio".padStart(8)}   bar`);
  for (const { what, spin: theirs, ours: mine, ratio, bar } of table) {
    const verdict = bar === undefined ? "" : `≤ ${bar} ${ratio <= bar ? "met" : "MISSED"}`;
    console.log(`${what.padEnd(52)}${format(theirs).padStart(9)}${format(mine).padStart(9)}${format(ratio).padStart(8)}   ${verdict}`);
  }
  console.log("ratio = ours / SPIN, median over the rounds; below 1 is better");
}

/** Rows without a peer: the whole tool from the text on. Seconds depend on the machine; the bars are those of design/product.md. */
function product() {
  const bundle = join(folder, "product.mjs");
  buildSync({ entryPoints: [join(here, "product.ts")], outfile: bundle, bundle: true, format: "esm", platform: "node", target: "es2022", logLevel: "error" });
  const { output } = timed(`${quoted(process.execPath)} ${quoted(bundle)}`);
  const { keystroke, small, huge } = JSON.parse(output);
  const say = (what, value, bar, unit) =>
    console.log(`${what.padEnd(60)}${value.toPrecision(3).padStart(9)} ${unit}   < ${bar} ${value < bar ? "met" : "MISSED"}`);
  console.log("");
  say("a keystroke in a 5,000-line file of 500 scenarios, median", median(keystroke), 50, "ms");
  say("a scenario on a 1 TiB guest against the same on 16 MiB", median(huge) / median(small), 2, "× ");
}

try {
  product();
  buildSync({ entryPoints: [join(here, "once.ts")], outfile: once, bundle: true, format: "esm", platform: "node", target: "es2022", logLevel: "error" });
  const missing = ["spin", "gcc"].filter((tool) => spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0);
  if (missing.length === 0) {
    counts();
    exhaust();
    warm();
    verdicts();
    print();
  } else {
    console.log(`SKIPPED the comparison with SPIN: ${missing.join(" and ")} not found (Debian: apt-get install spin gcc). The explorer alone:`);
    for (const line of ["L fixed exhaust repeat=4", "L fixed exhaust reduce repeat=4", "L buggy first", "L noseq first"]) {
      const { wall, cpu, states, milliseconds } = ours(...line.split(" "));
      const search = milliseconds.map((ms) => ms.toFixed(0)).join(" ");
      console.log(`${line.padEnd(34)} ${states} states, search ${search} ms, process ${wall.toFixed(2)} s wall ${cpu.toFixed(2)} s CPU`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
