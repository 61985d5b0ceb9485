// Says of a run that goes on that it will not finish within its limits, once that is plain. Pure: it hears how far the search has come and knows, from a few
// runs straight through (pilot.ts), how far there is to go.

import type { Finding } from "../base/finding.ts";
import type { Progress } from "../explore/system.ts";
import type { Program } from "../scenario/program.ts";
import { counted, grouped } from "./extent.ts";

/** One `parallel` block, as the shortest of the pilot runs went through it. */
export interface Stretch {
  readonly threads: number;
  /** Atomic steps of all its threads together. */
  readonly steps: number;
  /** Stored states on the way at which more than one thread could go on: each of them is a level of the search that branches. */
  readonly branching: number;
  /** Base-2 logarithm of the number of ways to stand in it: the product of the threads' branching steps, equal threads counted as one set. */
  readonly positions: number;
}

export interface Pilot {
  readonly stretches: readonly Stretch[];
  /** Stored states from the beginning to the end of the whole run. */
  readonly levels: number;
  /** Bytes of one stored state. */
  readonly bytesPerState: number;
}

export interface ForecastLimits {
  readonly maxStates: number;
  readonly maxMilliseconds: number;
  readonly maxBytes: number;
}

export interface Forecast {
  readonly threads: number;
  /** Atomic steps of one thread, on average. */
  readonly stepsPerThread: number;
  readonly milliseconds: number;
  readonly states: number;
  readonly depth: number;
  readonly levels: number;
  /** The limit that it will hit first. */
  readonly limit: { readonly kind: "states" | "time" | "memory"; readonly amount: number };
}

/** Before that nothing is said: most runs are over. */
const PATIENCE_MILLISECONDS = 300;
/** Before that nobody runs ahead for the sake of a forecast. */
const PILOT_MILLISECONDS = 100;
/** The search has done at most so much of the way, where levels still grow; behind the middle they shrink. */
const EARLY = 1 / 4;
/** A rate may still grow by so much, for the engine compiles what it finds hot. */
const WARMING = 2;

interface Sample {
  readonly states: number;
  readonly depth: number;
}

export class Forecaster {
  readonly #limits: ForecastLimits;
  readonly #ask: () => Pilot | undefined;
  #pilot: Pilot | undefined;
  /** The first sample at each depth of the search that goes on. */
  #samples: Sample[] = [];
  #last = 0;
  #forecast: Forecast | undefined;

  /** `pilot` is asked, when a run has gone on for a while, until it answers. */
  constructor(limits: ForecastLimits, pilot: () => Pilot | undefined) {
    this.#limits = limits;
    this.#ask = pilot;
  }

  /** The forecast as it was first made, so that its numbers can be read; undefined as long as the run may still finish. */
  hear(progress: Progress): Forecast | undefined {
    // Cells were cut finer: the search begins again, on another machine.
    if (progress.states < this.#last) {
      this.#samples = [];
      this.#forecast = undefined;
      this.#pilot = undefined;
    }
    this.#last = progress.states;
    const { states, depth } = progress;
    if (this.#samples.length === 0) this.#samples.push({ states: 1, depth: 0 });
    if (depth > this.#samples[this.#samples.length - 1].depth) this.#samples.push({ states, depth });
    if (progress.milliseconds >= PILOT_MILLISECONDS) this.#pilot ??= this.#ask();
    if (this.#forecast !== undefined || this.#pilot === undefined || progress.milliseconds < PATIENCE_MILLISECONDS) return this.#forecast;
    this.#forecast = forecast(this.#pilot, this.#samples, progress, this.#limits);
    return this.#forecast;
  }
}

/** `samples`: the first one at each depth that was seen, from the initial state on. */
export function forecast(pilot: Pilot, samples: readonly Sample[], progress: Progress, limits: ForecastLimits): Forecast | undefined {
  const stretch = stretchOf(pilot, progress.states);
  if (stretch === undefined || samples.length < 3) return undefined;
  const limit = firstLimit(pilot, progress, limits);
  // So few ways to stand in it that all of them fit.
  if (stretch.positions <= Math.log2(limit.states) + 1) return undefined;
  const { depth, states, milliseconds } = progress;
  if (depth > stretch.branching * EARLY) return undefined;
  const [older, old, last] = samples.slice(-3);
  const width = (last.states - old.states) / (last.depth - old.depth);
  if (width < (old.states - older.states) / (old.depth - older.depth)) return undefined;
  // Every level up to the middle is at least as wide as this one, and as many behind it: widths rise and fall like those of a product of chains.
  const atLeast = states + width * (stretch.branching - 2 * depth);
  if (atLeast <= limit.states) return undefined;
  const { threads, steps } = stretch;
  const { kind, amount } = limit;
  return { threads, stepsPerThread: Math.round(steps / threads), milliseconds, states, depth, levels: pilot.levels, limit: { kind, amount } };
}

/** The block in which the search is: the first that holds more than it has found, when those before it are behind it for certain. */
function stretchOf(pilot: Pilot, states: number): Stretch | undefined {
  let before = 0;
  for (const stretch of pilot.stretches) {
    const positions = 2 ** stretch.positions;
    if (positions > states) return states > 10 * before ? stretch : undefined;
    before += positions;
  }
  return undefined;
}

/** How many states the run can find until a limit ends it, and which one that is. */
function firstLimit(pilot: Pilot, progress: Progress, limits: ForecastLimits): { kind: Forecast["limit"]["kind"]; amount: number; states: number } {
  const rate = progress.states / progress.milliseconds;
  const inTime = progress.states + WARMING * rate * Math.max(0, limits.maxMilliseconds - progress.milliseconds);
  const all = [
    { kind: "states", amount: limits.maxStates, states: limits.maxStates },
    { kind: "time", amount: limits.maxMilliseconds, states: inTime },
    { kind: "memory", amount: limits.maxBytes, states: limits.maxBytes / pilot.bytesPerState },
  ] as const;
  return all.reduce((first, each) => (each.states < first.states ? each : first));
}

/** "will not finish: 12 threads of about 210 atomic steps each; after 0.4 s 31,000 states at depth 9 of about 2,400, limit 5,000,000 states". */
export function forecastText(forecast: Forecast): string {
  const { threads, stepsPerThread, milliseconds, states, depth, levels, limit } = forecast;
  const amounts = { states: counted(limit.amount, "state"), time: `${limit.amount / 1000} s`, memory: `${grouped(limit.amount / 2 ** 20)} MiB` };
  const size = `${counted(threads, "thread")} of about ${counted(stepsPerThread, "atomic step")} each`;
  const far = `after ${(milliseconds / 1000).toFixed(1)} s ${counted(states, "state")} at depth ${grouped(depth)} of about ${grouped(levels)}`;
  return `will not finish: ${size}; ${far}, limit ${amounts[limit.kind]}`;
}

/** On the scenario's line, while it runs. What the run has found in the end takes its place. */
export function forecastFinding(program: Program, forecast: Forecast): Finding {
  return { code: "MEMFD6007", severity: "warning", span: program.sites[program.site], message: forecastText(forecast) };
}
