// What the steps of the punch/fault protocol touch, by control position and by what the state says: the partial-order reduction follows from it.

import type { Footprint, Independence, Location } from "../../src/explore/system.ts";
import {
  ALLOCATOR_BITS,
  ALLOCATOR_SHIFT,
  HOST,
  HOST_BITS,
  HOST_SHIFT,
  type Instance,
  PAGE,
  PAGE_BITS,
  PFN_SHIFT,
  SPTE_SHIFT,
  type Variant,
  VCPU,
  VCPU_BITS,
} from "./punch-fault-layout.ts";

// Atoms. What a page of the cache holds is two: a step that needs a page to be there is disturbed by its removal only, one that puts it there by both.
const LOCK_BIT = 1;
const PROGRESS_ATOM = 0;
const SEQ_ATOM = 1;
const LOCK_ATOM = 2;
const FRAMES_ATOM = 3;
const spteAtom = (page: number): number => 4 + page;
const arrivalAtom = (page: number): number => 7 + page;
const removalAtom = (page: number): number => 10 + page;

const footprint = (reads: readonly number[], writes: readonly number[], visible = false): Footprint => {
  const set = (atoms: readonly number[]): Int32Array => Int32Array.of(atoms.reduce((bits, atom) => bits | (1 << atom), 0));
  return { reads: set(reads), writes: set(writes), visible };
};

function vcpuFootprint(pc: number, page: number, variant: Variant): Footprint {
  switch (pc) {
    case VCPU.readSeq:
      return footprint([SEQ_ATOM], []);
    case VCPU.getPfn:
      return footprint([arrivalAtom(page), removalAtom(page), FRAMES_ATOM], [arrivalAtom(page), FRAMES_ATOM], true);
    case VCPU.lock:
      return footprint([LOCK_ATOM], [LOCK_ATOM]);
    case VCPU.check:
      return footprint(variant === "noseq" ? [PROGRESS_ATOM] : [PROGRESS_ATOM, SEQ_ATOM], []);
    case VCPU.map:
      return footprint([], [spteAtom(page)], true);
    default:
      return footprint([], [LOCK_ATOM]);
  }
}

function hostFootprint(pc: number, page: number): Footprint {
  switch (pc) {
    case HOST.lock:
    case HOST.lockAgain:
      return footprint([LOCK_ATOM], [LOCK_ATOM]);
    case HOST.begin:
      return footprint([PROGRESS_ATOM], [PROGRESS_ATOM]);
    case HOST.zap:
      return footprint([], [spteAtom(page)], true);
    case HOST.truncate:
      return footprint([], [removalAtom(page), FRAMES_ATOM], true);
    case HOST.end:
      return footprint([PROGRESS_ATOM, SEQ_ATOM], [PROGRESS_ATOM, SEQ_ATOM]);
    default:
      return footprint([], [LOCK_ATOM]);
  }
}

const HOST_NEXT: Record<"fixed" | "buggy", readonly number[]> = {
  fixed: [HOST.begin, HOST.zap, HOST.unlock, HOST.truncate, HOST.lockAgain, HOST.end, HOST.unlockAgain, HOST.ended],
  buggy: [HOST.zap, HOST.lock, HOST.end, HOST.ended, HOST.lock, HOST.ended, HOST.unlock, HOST.ended],
};
const VCPU_NEXT: readonly (readonly number[])[] = [
  [VCPU.getPfn],
  [VCPU.lock],
  [VCPU.check],
  [VCPU.map, VCPU.unlockRetry],
  [VCPU.unlockDone],
  [VCPU.readSeq],
  [VCPU.readSeq],
];

/** Where an actor stands, by a table over the bits of its record that say so. */
function placesOf({ vcpus, hosts, faults, rounds }: Instance, hostBase: number, allocatorBase: number): Independence["at"] {
  const table = new Int32Array(0x20 + 0x80 + 0x20);
  for (let local = 0; local < 0x20; local++) table[local] = (local & 7) === VCPU.ended || local >> 3 >= faults ? -1 : (local >> 3) * 8 + (local & 7);
  for (let local = 0; local < 0x80; local++) table[0x20 + local] = (local & 15) >= HOST.ended ? -1 : hostBase + (local >> 4) * 8 + (local & 15);
  for (let local = 0; local < 0x20; local++) table[0xa0 + local] = local >> 3 === rounds ? -1 : allocatorBase;
  return (state, actor) => {
    if (actor < vcpus) return table[(state[2] >> (actor * VCPU_BITS)) & 0x1f];
    if (actor >= vcpus + hosts) return table[0xa0 + ((state[0] >> (ALLOCATOR_SHIFT + (actor - vcpus - hosts) * ALLOCATOR_BITS)) & 0x1f)];
    const host = actor - vcpus;
    const place = table[0x20 + ((state[0] >> (HOST_SHIFT + host * HOST_BITS)) & 0x7f)];
    return place < 0 ? place : place + host * HOST_LOCATIONS;
  };
}

const HOST_LOCATIONS = 3 * 8;

/** Locations: 8 per fault of a vCPU (all vCPUs share them), then 3 pages × 8 per host, then one for the allocators. */
export function independenceOf(instance: Instance, variant: Variant): Independence {
  const { pages, hosts, faults } = instance;
  const hostBase = faults * 8;
  const allocatorBase = hostBase + hosts * HOST_LOCATIONS;
  const locations: Location[] = [];
  for (let done = 0; done < faults; done++) {
    for (let pc = 0; pc < 8; pc++) {
      const to = done + (pc === VCPU.unlockDone ? 1 : 0);
      const next = to === faults ? [] : (VCPU_NEXT[pc] ?? []).map((after) => to * 8 + after);
      locations.push({ footprint: vcpuFootprint(pc, done % pages, variant), acquires: pc === VCPU.lock ? LOCK_BIT : 0, next });
    }
  }
  const chain = HOST_NEXT[variant === "buggy" ? "buggy" : "fixed"];
  for (let host = 0; host < hosts; host++) {
    const base = hostBase + host * HOST_LOCATIONS;
    for (let page = 0; page < 3; page++) {
      for (let pc = 0; pc < 8; pc++) {
        const loops = (pc === HOST.zap || pc === HOST.truncate) && page + 1 < pages;
        // The walks over the pages begin at the host's own first one; all other positions lie at page 0.
        const first = chain[pc] === HOST.zap || chain[pc] === HOST.truncate ? host % pages : 0;
        const next = loops ? [base + (page + 1) * 8 + pc] : chain[pc] === HOST.ended ? [] : [base + first * 8 + chain[pc]];
        const acquires = pc === HOST.lock || pc === HOST.lockAgain ? LOCK_BIT : 0;
        locations.push({ footprint: hostFootprint(pc, page), acquires, next });
      }
    }
  }
  locations.push({ footprint: footprint([FRAMES_ATOM], [FRAMES_ATOM]), acquires: 0, next: [allocatorBase] });
  const at = placesOf(instance, hostBase, allocatorBase);
  // By location: whether the lock is held there. It is where the step before it, in program order, took it and none gave it back.
  const holds = locations.map((_, location) => {
    if (location < hostBase) return location % 8 >= VCPU.check ? LOCK_BIT : 0;
    if (location >= allocatorBase) return 0;
    const pc = (location - hostBase) % 8;
    const under: readonly number[] = variant === "buggy" ? [HOST.zap, HOST.end, HOST.unlock] : [HOST.begin, HOST.zap, HOST.unlock, HOST.end, HOST.unlockAgain];
    return under.includes(pc) ? LOCK_BIT : 0;
  });
  const less = locations.map((location, number) => (number < allocatorBase ? lessOf(location, number, hostBase, pages) : undefined));
  const footprints = locations.map((location) => location.footprint);
  const shifts = locations.map((_, number) => pageOf(number, hostBase, pages) * PAGE_BITS);
  return {
    locations,
    at,
    held(state, actor) {
      const location = at(state, actor);
      return location < 0 ? 0 : holds[location];
    },
    footprint(state, actor) {
      const location = at(state, actor);
      if (location < 0) return undefined;
      const narrower = less[location];
      if (narrower === undefined) return footprints[location];
      const shift = shifts[location];
      const frame = (state[1] >> shift) & PAGE;
      const mapped = (state[1] >> (SPTE_SHIFT + shift)) & PAGE;
      // Only a vCPU has such a frame; for a host these bits say nothing and its footprints do not ask.
      const taken = actor < instance.vcpus && ((state[2] >> (actor * VCPU_BITS + PFN_SHIFT)) & PAGE) === frame ? TAKEN : 0;
      return narrower[(frame === 0 ? EMPTY : 0) | (mapped === 0 ? UNMAPPED : 0) | (mapped === frame ? SAME : 0) | taken];
    },
  };
}

function pageOf(location: number, hostBase: number, pages: number): number {
  return location < hostBase ? (location >> 3) % pages : ((location - hostBase) % HOST_LOCATIONS) >> 3;
}

// What a state says of the page of a step: the file has none there; it is not mapped; the mapped one is the file's; the one that the vCPU looked up is the
// file's.
const EMPTY = 1;
const UNMAPPED = 2;
const SAME = 4;
const TAKEN = 8;

/**
 * By these bits, the footprint that a step has in such a state, where that is less than its location's; `undefined` for steps to which the page says nothing.
 * A look-up of a page that is there, and a removal where there is none, leave all as it is. A step is visible where it may change whether the page that the
 * guest reaches is the file's: not where nothing is mapped, nor where both are the same before and after. What it looked at for that is among its reads.
 */
function lessOf(location: Location, number: number, hostBase: number, pages: number): readonly Footprint[] | undefined {
  const page = pageOf(number, hostBase, pages);
  const [spte, arrival, removal] = [spteAtom(page), arrivalAtom(page), removalAtom(page)];
  const all = location.footprint;
  const by = (choose: (bits: number) => Footprint): readonly Footprint[] => Array.from({ length: 16 }, (_, bits) => choose(bits));
  if (number < hostBase && number % 8 === VCPU.getPfn) {
    const [found, unseen] = [footprint([removal], []), footprint([arrival, removal, FRAMES_ATOM, spte], [arrival, FRAMES_ATOM])];
    return by((bits) => ((bits & EMPTY) === 0 ? found : (bits & UNMAPPED) !== 0 ? unseen : all));
  }
  if (number < hostBase && number % 8 === VCPU.map) {
    const same = footprint([removal], [spte]);
    return by((bits) => ((bits & TAKEN) !== 0 ? same : all));
  }
  if (number >= hostBase && (number - hostBase) % 8 === HOST.zap) {
    const [nothing, same] = [footprint([spte], []), footprint([removal], [spte])];
    return by((bits) => ((bits & UNMAPPED) !== 0 ? nothing : (bits & SAME) !== 0 ? same : all));
  }
  if (number >= hostBase && (number - hostBase) % 8 === HOST.truncate) {
    const [nothing, unseen] = [footprint([arrival], []), footprint([spte], [removal, FRAMES_ATOM])];
    return by((bits) => ((bits & EMPTY) !== 0 ? nothing : (bits & UNMAPPED) !== 0 ? unseen : all));
  }
  return undefined;
}
