// Regions as bits: what a step may change, for who watches states from outside. What steps touch, by atoms, for reductions: independence.ts.

import { REGIONS } from "./layout.ts";

const BIT = new Map<string, number>(REGIONS.map((region, index) => [region, 1 << index]));
/** A call that begins or returns moves its thread, binds names and opens or closes windows: nothing is taken for unchanged. */
export const EVERYTHING = ~0;

/** A bit per region of `REGIONS`. */
export function bits(regions: Iterable<string>): number {
  let set = 0;
  for (const region of regions) set |= BIT.get(region) ?? 0;
  return set;
}
