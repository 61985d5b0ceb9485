// Properties of whole runs over random small scenarios: the model never fails, reductions change no answer, every reported schedule can be replayed,
// a random walk meets nothing that the exhaustive run has not, and a run is a function of its text.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { check, withMachine } from "../../src/check/index.ts";
import type { Report } from "../../src/check/report.ts";
import { replaySchedule } from "../../src/check/story.ts";
import { INVARIANTS } from "../../src/invariants/index.ts";
import { resultKey } from "../../src/model/intern.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import type { Program } from "../../src/scenario/program.ts";
import { scenario, textOf } from "./random.ts";
import { answers, breaches, profileOf, program, still } from "./support.ts";

const MAX_STATES = 20_000;

const run = (one: Program, reduce: boolean): Report => check(one, { now: still, reduce, maxStates: MAX_STATES });

const resultSets = (one: Program, report: Report): string[] => one.calls.map((_, call) => answers(one, report, call));

/** What is watched decides which steps are visible, and so what a reduction may hide. */
const WATCHES: readonly Program["watch"][] = [
  {},
  { only: [] },
  { only: ["no-stale-mapping"] },
  { only: ["attributes-respected"] },
  { only: ["private-inaccessible"] },
  { only: ["zeroed-on-allocation", "no-lost-invalidation"] },
  { only: ["frame-one-owner", "inaccessible-marked"] },
];

it("reductions change no verdict, no result set and no violation", () => {
  let judged = 0;
  let smaller = 0;
  fc.assert(
    fc.property(scenario(2), fc.constantFrom(...WATCHES), (random, watch) => {
      const one = { ...program(textOf(random)), watch };
      const plain = run(one, false);
      assert.ok(!plain.remarks.some((remark) => remark.code === "MEMFD9001"), JSON.stringify(plain.remarks));
      if (!plain.exploration.complete) return;
      const reduced = run(one, true);
      judged += 1;
      if (reduced.exploration.states < plain.exploration.states) smaller += 1;
      assert.deepEqual(resultSets(one, reduced), resultSets(one, plain));
      assert.deepEqual(breaches(one, reduced), breaches(one, plain));
      assert.equal(reduced.verdict, plain.verdict);
      assert.ok(reduced.exploration.states <= plain.exploration.states);
    }),
    { numRuns: 200 },
  );
  assert.ok(judged > 100, `${judged} runs were complete`);
  assert.ok(smaller > judged / 8, `reductions made ${smaller} of ${judged} runs smaller`);
});

function replayed(machine: MachineSystem, report: Report): void {
  report.calls.forEach((call, id) => {
    for (const { result, schedule } of call.results) {
      if (result.kind === "blocks") continue;
      const last = replaySchedule(machine, schedule).at(-1);
      assert.equal(last?.call, id);
      assert.equal(last?.result && resultKey(last.result), resultKey(result));
    }
  });
  for (const violation of report.violations) {
    const invariant = INVARIANTS.find((candidate) => candidate.name === violation.invariant);
    if (!invariant) continue;
    let before = new Set<number>();
    let now = new Set<number>();
    let spoke = false;
    const steps = replaySchedule(machine, violation.story.schedule, (state) => {
      before = now;
      now = new Set();
      invariant.state?.(machine, state, (subject) => now.add(subject));
      spoke = machine.events.some((event) => invariant.event?.(machine, event, state) !== undefined);
    });
    assert.equal(steps.length, violation.story.schedule.length, "the whole schedule fits");
    assert.equal(steps.at(-1)?.call, violation.call);
    assert.equal(steps.at(-1)?.step, violation.step);
    assert.ok(invariant.event ? spoke : [...now].some((subject) => !before.has(subject)), `${violation.invariant} breaks with the last step`);
    assert.deepEqual(
      violation.story.steps.map((step) => step.step),
      steps.map((step) => step.step),
    );
  }
}

it("every reported schedule, replayed, gives the result or breaks the invariant again", () => {
  fc.assert(
    fc.property(scenario(2), (random) => {
      const one = program(textOf(random));
      const report = check(one, { now: still, maxStates: 5000 });
      withMachine(one, profileOf(one), report.refinement, (machine) => replayed(machine, report));
    }),
    { numRuns: 60 },
  );
});

/** A walk that takes enabled steps as the dice fall; answers what each call returned. */
function walk(machine: MachineSystem, dice: () => number, seen: Set<string>[]): void {
  const state = new Int32Array(machine.words);
  const next = new Int32Array(machine.words);
  machine.initial(state);
  for (let length = 0; length < 2000 && !machine.finished(state); length++) {
    const able: { actor: number; choices: number }[] = [];
    for (let actor = 0; actor < machine.actors; actor++) {
      next.set(state);
      const choices = machine.step(next, actor, 0);
      if (choices > 0) able.push({ actor, choices });
      else assert.deepEqual(next, state, "a step that is not enabled touches nothing");
    }
    if (able.length === 0) return;
    const { actor, choices } = able[Math.floor(dice() * able.length)];
    machine.step(state, actor, Math.floor(dice() * choices));
    for (const event of machine.events) if (event.kind === "returned") seen[event.a].add(resultKey(machine.results.result(event.b)));
  }
}

it("a random walk meets no result that the exhaustive run has not", () => {
  fc.assert(
    fc.property(scenario(2), fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })), (random, stream) => {
      const one = program(textOf(random));
      const report = check(one, { now: still, maxStates: MAX_STATES });
      if (!report.exploration.complete) return;
      const seen = one.calls.map(() => new Set<string>());
      const dice = (): number => stream.next().value as number;
      withMachine(one, profileOf(one), report.refinement, (machine) => {
        for (let walks = 0; walks < 8; walks++) walk(machine, dice, seen);
      });
      seen.forEach((keys, call) => {
        const all = new Set(report.calls[call].results.map((outcome) => resultKey(outcome.result)));
        for (const key of keys) assert.ok(all.has(key), `${one.calls[call].spec} answered ${key}; known are ${[...all].join(", ")}`);
      });
    }),
    { numRuns: 60 },
  );
});

it("two runs of one text give equal reports", () => {
  fc.assert(
    fc.property(scenario(2), (random) => {
      const text = textOf(random);
      assert.deepEqual(check(program(text), { now: still, maxStates: 3000 }), check(program(text), { now: still, maxStates: 3000 }));
    }),
    { numRuns: 20 },
  );
});

it("no state has a frame with two owners", () => {
  fc.assert(
    fc.property(scenario(3, 2), (random) => {
      const one = program(textOf(random));
      const report = check({ ...one, watch: { only: ["frame-one-owner"] } }, { now: still, maxStates: 10_000 });
      assert.deepEqual(
        report.violations.map((violation) => violation.message),
        [],
      );
    }),
    { numRuns: 60 },
  );
});
