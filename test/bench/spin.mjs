// The explorer against SPIN on the same protocol: equal counts are asserted, then rounds of both run in turn and the medians of their ratios are taken.

import assert from "node:assert/strict";
import { join } from "node:path";
import { median, quoted, timed } from "./table.mjs";

const ROUNDS = { L: 5, XL: 3 };
const BUILD_ROUNDS = 3;
const BUSY = 1.25;
const SIZES = { S: [1, 1, 1, 0], M: [2, 2, 1, 0], MA: [2, 2, 1, 1], L: [3, 3, 2, 0], XL: [3, 3, 2, 1] };
// Tables that SPIN is quickest with here; its default of 2^24 slots costs it a fifth more on L.
const PAN = { S: "-m100000 -w22", M: "-m100000 -w22", MA: "-m100000 -w22", L: "-m100000 -w22", XL: "-m100000 -w25" };

const compile = (options, into) => `gcc -w ${options} -DSAFETY -o ${into} pan.c`;

function readPan(output) {
  const number = (pattern) => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  const depth = number(/at depth (\d+)/);
  // SPIN counts the initial state as a transition, and depths from 0.
  return { states: number(/(\d+) states, stored/), transitions: number(/(\d+)\s+transitions/) - 1, steps: Number.isNaN(depth) ? undefined : depth + 1 };
}

/** `folder`: where SPIN generates and compiles. `once`: the bundle of once.ts. */
export function compareWithSpin(table, { here, folder, once }) {
  const generate = (instance, variant) => {
    const [pages, vcpus, hosts, allocators] = SIZES[instance];
    const sizes = `-DPAGES=${pages} -DVCPUS=${vcpus} -DHOSTS=${hosts} -DFAULTS=2 -DALLOCATORS=${allocators} -DROUNDS=2`;
    return `spin -a ${sizes} -D${variant.toUpperCase()} ${quoted(join(here, "punch-fault.pml"))}`;
  };
  const spin = (line) => {
    const run = timed(folder, line);
    return { ...run, ...readPan(run.output) };
  };
  const ours = (...words) => {
    const run = timed(folder, [process.execPath, once, ...words].map(quoted).join(" "));
    return { ...run, ...JSON.parse(run.output) };
  };
  const bench = { table, generate, spin, ours, folder };
  counts(bench);
  table.head("Source to verdict (spin -a, gcc and run; ours: the process)");
  verdicts(bench);
  for (const instance of ["L", "XL"]) {
    table.head(`All states of ${instance}`);
    exhaust(bench, instance);
  }
}

function counts({ generate, spin, ours }) {
  for (const instance of ["S", "M", "MA", "L"]) {
    for (const variant of ["fixed", "buggy", "noseq"]) {
      const theirs = spin(`${generate(instance, variant)} && ${compile("-O1 -DNOREDUCE", "pan")} && ./pan ${PAN[instance]} -c0 -E`);
      const mine = ours(instance, variant, "exhaust");
      assert.ok(mine.complete);
      assert.deepEqual([mine.states, mine.transitions], [theirs.states, theirs.transitions], `${instance} ${variant}`);
      console.log(`${instance.padEnd(2)} ${variant.padEnd(5)}  ${mine.states} states and ${mine.transitions} transitions in both`);
    }
  }
}

function verdicts({ table, generate, spin, ours }) {
  for (const variant of ["buggy", "noseq"]) {
    const fast = [];
    const quick = [];
    for (let round = 0; round < BUILD_ROUNDS; round++) {
      const [optimised, plain] = ["-O2", "-O0"].map((level) =>
        spin(`${generate("L", variant)} && ${compile(`${level} -DBFS -DNOREDUCE`, "pan")} && ./pan ${PAN.L} -E`),
      );
      const mine = ours("L", variant, "first");
      assert.deepEqual([mine.steps, mine.steps], [optimised.steps, plain.steps], "length of the shortest counterexample");
      fast.push([optimised, mine]);
      quick.push([plain, mine]);
    }
    table.pairs(`L ${variant}, shortest counterexample, wall s (gcc -O2)`, fast, 0.1, (run) => run.wall);
    table.pairs(`L ${variant}, shortest counterexample, wall s (gcc -O0)`, quick, undefined, (run) => run.wall);
  }
}

function exhaust({ table, generate, spin, ours, folder }, instance) {
  timed(folder, `${generate(instance, "fixed")} && ${compile("-O2 -DNOREDUCE", "whole")} && ${compile("-O2", "ordered")}`);
  const rounds = [];
  const reduced = [];
  const warm = [];
  for (let round = 0; round < ROUNDS[instance]; round++) {
    const theirs = spin(`./whole ${PAN[instance]} -E`);
    const mine = ours(instance, "fixed", "exhaust");
    const ordered = spin(`./ordered ${PAN[instance]} -E`);
    const fewer = ours(instance, "fixed", "exhaust", "reduce");
    assert.deepEqual([mine.states, mine.transitions, mine.complete, mine.steps], [theirs.states, theirs.transitions, true, undefined]);
    assert.deepEqual([fewer.complete, fewer.steps], [true, undefined]);
    rounds.push([theirs, mine]);
    reduced.push([ordered.wall < theirs.wall ? ordered : theirs, fewer]);
    if (instance === "L") {
      const again = ours(instance, "fixed", "exhaust", "repeat=4").milliseconds.slice(1);
      warm.push([theirs, { wall: Math.min(...again) / 1000 }]);
    }
  }
  const { states } = rounds[0][1];
  console.log(`${states} states and ${rounds[0][1].transitions} transitions in both; reduced ${reduced[0][1].states} and ${reduced[0][1].transitions}`);
  // SPIN has one thread: what its wall clock shows beyond its CPU, it waited for others.
  const waited = median(rounds.map(([theirs]) => theirs.wall / theirs.cpu));
  if (waited > BUSY) console.log(`The machine was busy (SPIN's wall clock ran ${waited.toFixed(1)} times its CPU time): wall figures say little, look at CPU.`);
  // The states are equal, so the ratio of the times is that of the states per second turned over.
  table.pairs(`${instance} without reductions, wall s of the process`, rounds, 1, (run) => run.wall);
  table.pairs(`${instance} without reductions, CPU s (with compiler and collector)`, rounds, undefined, (run) => run.cpu);
  if (instance === "L") table.pairs("L without reductions, wall s in a process that is warm", warm, 1, (run) => run.wall);
  table.pairs(`${instance} without reductions, peak resident MB`, rounds, instance === "XL" ? 1 : undefined, (run) => run.peakBytes / 1e6);
  table.pairs(`${instance} reduced against SPIN's best of NOREDUCE and POR, wall s`, reduced, instance === "XL" ? 0.1 : undefined, (run) => run.wall);
  table.pairs(`${instance} reduced against the same, CPU s`, reduced, undefined, (run) => run.cpu);
  table.pairs(`${instance} reduced, states stored`, reduced, undefined, (run) => run.states);
  table.pairs(`${instance} reduced, peak resident MB`, reduced, undefined, (run) => run.peakBytes / 1e6);
}
