// The forecast: never for a run that finishes, early for one that does not. Held against grids whose sizes are known, against every scenario that ships and
// random ones (with a limit at which each just finishes), and against scenarios that are too large.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Forecast, Forecaster, type ForecastLimits, forecast, forecastFinding, forecastText, type Pilot } from "../../src/check/forecast.ts";
import { type CheckOptions, check } from "../../src/check/index.ts";
import { PilotRuns } from "../../src/check/pilot.ts";
import type { Report } from "../../src/check/report.ts";
import type { Progress } from "../../src/explore/system.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import type { Program } from "../../src/scenario/program.ts";
import { scenario, textOf } from "../model/random.ts";
import { program, programs } from "../model/support.ts";
import { analysed, SCENARIO_FILES } from "../scenarios/engine.ts";

const ENOUGH: ForecastLimits = { maxStates: Number.MAX_VALUE, maxMilliseconds: Number.MAX_VALUE, maxBytes: Number.MAX_VALUE };

/** Widths of the levels of a product of chains, one of `steps` steps per thread: how many states lie at each depth. */
function widths(threads: number, steps: number): number[] {
  let level = [1];
  for (let thread = 0; thread < threads; thread++) {
    const next = new Array<number>(level.length + steps).fill(0);
    level.forEach((count, at) => {
      for (let more = 0; more <= steps; more++) next[at + more] += count;
    });
    level = next;
  }
  return level;
}

/** A search through levels of such widths that is heard at every level. */
function overLevels(levels: readonly number[], pilot: Pilot, limits: ForecastLimits): { made: Forecast | undefined; at: number } {
  const forecaster = new Forecaster(limits, () => pilot);
  let states = 0;
  for (const [depth, width] of levels.entries()) {
    states += width;
    const made = forecaster.hear({ states, transitions: states, frontier: width, depth, milliseconds: 1000 + depth });
    if (made !== undefined) return { made, at: depth };
  }
  return { made: undefined, at: -1 };
}

const grid = (threads: number, steps: number): Pilot => ({
  stretches: [{ threads, steps: threads * steps, branching: threads * steps, positions: threads * Math.log2(steps + 1) }],
  levels: threads * steps,
  bytesPerState: 100,
});

describe("grids", () => {
  const size = fc.record({ threads: fc.integer({ min: 1, max: 8 }), steps: fc.integer({ min: 1, max: 25 }) });

  it("of any size are never foretold where the limit just lets them finish", () => {
    fc.assert(
      fc.property(size, fc.integer({ min: 0, max: 60 }), ({ threads, steps }, tail) => {
        const levels = [...widths(threads, steps), ...new Array<number>(tail).fill(1)];
        const total = levels.reduce((sum, width) => sum + width, 0);
        assert.equal(overLevels(levels, grid(threads, steps), { ...ENOUGH, maxStates: total }).made, undefined);
      }),
    );
  });

  it("far beyond the limit are foretold in the first quarter", () => {
    for (const [threads, steps] of [
      [5, 40],
      [8, 25],
      [12, 50],
    ]) {
      const levels = widths(threads, steps);
      const total = levels.reduce((sum, width) => sum + width, 0);
      const { made, at } = overLevels(levels, grid(threads, steps), { ...ENOUGH, maxStates: total / 1000 });
      assert.ok(made !== undefined && at <= (threads * steps) / 4, `${threads} × ${steps}: ${at}`);
      assert.deepEqual(made.limit, { kind: "states", amount: total / 1000 });
      assert.ok(made.states < total / 1000, "said while it runs, not when the limit is hit");
    }
  });

  it("time and memory are limits too, and the one that comes first is named", () => {
    const levels = widths(12, 50);
    const pilot = grid(12, 50);
    assert.equal(overLevels(levels, pilot, { ...ENOUGH, maxMilliseconds: 10_000 }).made?.limit.kind, "time");
    assert.equal(overLevels(levels, pilot, { ...ENOUGH, maxBytes: 1 << 30 }).made?.limit.kind, "memory");
    assert.equal(overLevels(levels, pilot, { maxStates: 1e5, maxBytes: 1 << 30, maxMilliseconds: 1e9 }).made?.limit.kind, "states");
  });

  it("a search whose levels shrink is left alone", () => {
    const levels = [1, 1000, ...Array.from({ length: 40 }, (_, at) => 990 - at)];
    assert.equal(overLevels(levels, grid(12, 50), { ...ENOUGH, maxStates: 200_000 }).made, undefined);
  });

  it("a small block before a large one says nothing of the large one", () => {
    const small = { threads: 3, steps: 60, branching: 60, positions: 3 * Math.log2(21) };
    const large = { threads: 12, steps: 600, branching: 600, positions: 12 * Math.log2(51) };
    const pilot: Pilot = { stretches: [small, large], levels: 700, bytesPerState: 100 };
    assert.equal(overLevels([...widths(3, 20)], pilot, { ...ENOUGH, maxStates: 20_000 }).made, undefined);
  });

  it("nothing is said in the first moments, nor without a pilot", () => {
    const samples = [0, 1, 2, 3].map((depth) => ({ states: 10 ** depth, depth }));
    const progress = { states: 1000, transitions: 1, frontier: 1, depth: 3, milliseconds: 299 };
    const limits = { ...ENOUGH, maxStates: 2000 };
    const early = new Forecaster(limits, () => grid(12, 50));
    for (const sample of samples) assert.equal(early.hear({ ...progress, ...sample }), undefined);
    assert.ok(forecast(grid(12, 50), samples, progress, limits), "it would have been said");
    const blind = new Forecaster(limits, () => undefined);
    for (const sample of samples) assert.equal(blind.hear({ ...progress, ...sample, milliseconds: 900 }), undefined);
  });

  it("its numbers stay as they were first said, until the search begins anew", () => {
    const levels = widths(12, 50);
    const forecaster = new Forecaster({ ...ENOUGH, maxStates: 1e6 }, () => grid(12, 50));
    const said: (Forecast | undefined)[] = [];
    let states = 0;
    for (let depth = 0; depth < 12; depth++) {
      states += levels[depth];
      said.push(forecaster.hear({ states, transitions: 0, frontier: 0, depth, milliseconds: 500 + depth }));
    }
    const first = said.find((each) => each !== undefined);
    assert.ok(first);
    assert.equal(said.at(-1), first);
    assert.equal(forecaster.hear({ states: 1, transitions: 0, frontier: 0, depth: 0, milliseconds: 80 }), undefined);
  });
});

/** Runs a check whose clock goes two milliseconds further at each look, hears the forecast as the model worker does, and stops when it is made. */
function untilSaid(one: Program, limits: ForecastLimits): { report: Report; said: Forecast | undefined } {
  let clock = 0;
  let said: Forecast | undefined;
  let pilot: PilotRuns | undefined;
  let forecaster = new Forecaster(limits, () => pilot?.advance(10_000));
  const hooks: Pick<CheckOptions, "progress" | "exploring" | "cancelled"> = {
    exploring(machine: MachineSystem) {
      pilot = new PilotRuns(machine);
      forecaster = new Forecaster(limits, () => pilot?.advance(10_000));
      said = undefined;
    },
    progress(progress) {
      said ??= forecaster.hear(progress);
    },
    cancelled: () => said !== undefined,
  };
  const now = (): number => (clock += 2);
  return { report: check(one, { ...hooks, now, maxStates: 100_000, maxMilliseconds: 1e12 }), said };
}

/** With room for exactly the states that it has, a run is heard at every turn and never foretold to be too large. Its size is known when it is over. */
function neverForetold(one: Program, name: string): number {
  const heard: Progress[] = [];
  let turns = 0;
  let explored: MachineSystem | undefined;
  let clock = 0;
  const now = (): number => (clock += 30);
  const exploring = (machine: MachineSystem): void => {
    explored = machine;
    heard.length = 0;
  };
  const progress = (each: Progress): void => {
    turns += 1;
    heard.push({ ...each });
  };
  const { exploration } = check(one, { exploring, progress, now, maxStates: 20_000, maxMilliseconds: 1e12 });
  if (!exploration.complete || explored === undefined) return 0;
  const pilot = new PilotRuns(explored);
  const forecaster = new Forecaster({ ...ENOUGH, maxStates: exploration.states }, () => pilot.advance(10_000));
  for (const each of heard) {
    const said = forecaster.hear(each);
    assert.equal(said, undefined, `${name}: ${exploration.states} states, ${said === undefined ? "" : forecastText(said)}`);
  }
  return turns;
}

describe("runs that finish are never foretold", () => {
  it("every scenario that ships, under a limit at which it just finishes", () => {
    let heard = 0;
    for (const file of SCENARIO_FILES) for (const one of analysed(file).programs) heard += neverForetold(one, `${file}: ${one.name}`);
    assert.ok(heard > 100, `progress was heard ${heard} times`);
  });

  it("random scenarios, under a limit at which each just finishes", () => {
    let heard = 0;
    fc.assert(
      fc.property(scenario(4), (chosen) => {
        const text = textOf(chosen);
        for (const one of programs(text)) heard += neverForetold(one, text);
      }),
      { numRuns: 60 },
    );
    assert.ok(heard > 100, `progress was heard ${heard} times`);
  });
});

/** Threads that meet at a few pages of one file. */
const crowd = (threads: number, calls: number, tail = ""): string => {
  const page = (thread: number, call: number): string => `0x${(thread + call) % 4}000, 4K`;
  const call = (thread: number, at: number): string =>
    at % 2 === 0 ? `fallocate(ram, 0, ${page(thread, at)})` : `fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, ${page(thread, at)})`;
  const thread = (number: number): string => `t${number} { ${Array.from({ length: calls }, (_, at) => call(number, at)).join("; ")} }`;
  const block = `parallel {\n${Array.from({ length: threads }, (_, number) => thread(number)).join("\n")}\n}\n`;
  return `kernel v8\nram = memfd_create("x", MFD_INACCESSIBLE); ftruncate(ram, 64K)\n${block}${tail}`;
};

describe("scenarios that are too large are foretold", () => {
  for (const [threads, calls] of [
    [12, 50],
    [6, 20],
  ]) {
    it(`${threads} threads of ${calls} calls: early, with its size, how far it came, and the limit`, () => {
      const limits = { maxStates: 5_000_000, maxMilliseconds: 1e12, maxBytes: 1 << 30 };
      const one = program(crowd(threads, calls));
      const { said, report } = untilSaid(one, limits);
      assert.ok(said !== undefined, `nothing was said of ${JSON.stringify(report.exploration)}`);
      assert.equal(said.threads, threads);
      assert.ok(said.stepsPerThread >= calls, `${said.stepsPerThread} steps for ${calls} calls`);
      assert.ok(said.depth < said.levels / 4);
      assert.equal(report.exploration.cut, "cancelled", "it can be stopped then");
      const finding = forecastFinding(one, said);
      assert.deepEqual([finding.code, finding.severity, finding.span], ["MEMFD6007", "warning", one.sites[one.site]]);
      const shape = /^will not finish: (\d+) threads of about \d+ atomic steps each; after \d+\.\d s [\d,]+ states at depth \d+ of about [\d,]+, limit /;
      assert.match(finding.message, shape);
    });
  }

  it("a long thread beside a short one is long, and not large", () => {
    const calls = Array.from({ length: 60 }, (_, at) => `fallocate(ram, ${at % 2 === 0 ? "0" : "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE"}, 0, 4K)`);
    const block = `parallel {\nt0 { ${calls.join("; ")} }\nt1 { ${calls.slice(0, 2).join("; ")} }\n}\n`;
    const heard = neverForetold(program(`kernel v8\nram = memfd_create("x", MFD_INACCESSIBLE); ftruncate(ram, 8K)\n${block}`), "a long thread");
    assert.ok(heard > 20, `progress was heard ${heard} times`);
  });
});
