// Footprints by regions, as bits: what a step may change, for who watches states from outside. By atoms, for reductions: independence.ts.

import { REGIONS, type Region } from "./layout.ts";

export interface RegionFootprint {
  /** A bit per region of `REGIONS`. */
  readonly reads: number;
  readonly writes: number;
}

const BIT = new Map<string, number>(REGIONS.map((region, index) => [region, 1 << index]));
/** A call that begins or returns moves its thread, binds names and opens or closes windows: nothing is taken for unchanged. */
export const EVERYTHING = ~0;

export function bits(regions: Iterable<string>): number {
  let set = 0;
  for (const region of regions) set |= BIT.get(region) ?? 0;
  return set;
}

/** The code of a step. */
interface Touching {
  readonly reads: readonly Region[];
  readonly writes: readonly Region[];
}

const FOOTPRINTS = new WeakMap<Touching, RegionFootprint>();

export function footprintOf(step: Touching): RegionFootprint {
  let footprint = FOOTPRINTS.get(step);
  if (!footprint) {
    footprint = { reads: bits(step.reads), writes: bits(step.writes) };
    FOOTPRINTS.set(step, footprint);
  }
  return footprint;
}
