// The punch/fault protocol of a KVM page fault against a hole punch, as a System of the explorer: the same atomic steps as test/bench/punch-fault.pml.
// Its numbers of states, transitions and steps to a violation were found independently by other model checkers.

import type { Footprint, Independence, Location, Symmetry, System } from "../../src/explore/system.ts";

/** `fixed`: begin and end around the punch · `buggy`: punch first, then invalidate · `noseq`: `fixed` whose fault forgets to compare the sequence counter. */
export type Variant = "fixed" | "buggy" | "noseq";

/**
 * Pages, vCPUs and faults ≤ 3, hosts and allocators ≤ 2, rounds ≤ 3. Each vCPU faults `faults` times (gfn = n mod pages), host h punches
 * [h mod pages, pages) once, each allocator takes the lowest free frame and frees it, `rounds` times. There are pages + allocators frames.
 */
export interface Instance {
  readonly pages: number;
  readonly vcpus: number;
  readonly hosts: number;
  readonly faults: number;
  readonly allocators: number;
  readonly rounds: number;
}

export const INSTANCES = {
  S: { pages: 1, vcpus: 1, hosts: 1, faults: 2, allocators: 0, rounds: 0 },
  M: { pages: 2, vcpus: 2, hosts: 1, faults: 2, allocators: 0, rounds: 0 },
  L: { pages: 3, vcpus: 3, hosts: 2, faults: 2, allocators: 0, rounds: 0 },
  /** M with an allocator beside it. */
  MA: { pages: 2, vcpus: 2, hosts: 1, faults: 2, allocators: 1, rounds: 2 },
  XL: { pages: 3, vcpus: 3, hosts: 2, faults: 2, allocators: 1, rounds: 2 },
} as const satisfies Record<string, Instance>;

const VCPU = { readSeq: 0, getPfn: 1, lock: 2, check: 3, map: 4, unlockDone: 5, unlockRetry: 6, ended: 7 } as const;
const HOST = { lock: 0, begin: 1, zap: 2, unlock: 3, truncate: 4, lockAgain: 5, end: 6, unlockAgain: 7, ended: 8 } as const;

// Word 0: in_progress (2 bits), seq (3), mmu_lock held (1), per host pc (4) and page index (3), per allocator frame (3; 0 = none) and rounds done (2).
// Word 1: page cache and second-level entries, 3 bits a page.
// Word 2: per vCPU pc (3), faults done (2), snapshot (2; seq counts hosts, of which there are two at most), pfn (3; 0 = none).
const IN_PROGRESS = 0x3;
const SEQ_SHIFT = 2;
const SEQ = 0x7;
const LOCKED = 1 << 5;
const HOST_SHIFT = 6;
const HOST_BITS = 7;
const ALLOCATOR_SHIFT = 20;
const ALLOCATOR_BITS = 5;
const PAGE_BITS = 3;
const PAGE = 0x7;
const SPTE_SHIFT = 12;
const VCPU_BITS = 10;
const VCPU_MASK = 0x3ff;
const SNAPSHOT = 0x3;
const SNAPSHOT_SHIFT = 5;
const PFN_SHIFT = 7;

export class PunchFault implements System {
  readonly words = 3;
  readonly actors: number;
  readonly independence: Independence;
  readonly symmetry: Symmetry;
  readonly instance: Instance;
  readonly variant: Variant;

  constructor(instance: Instance, variant: Variant) {
    this.instance = instance;
    this.variant = variant;
    this.actors = instance.vcpus + instance.hosts + instance.allocators;
    this.independence = independenceOf(instance, variant);
    this.symmetry = { canonicalise: (state, was) => sortVcpus(state, was, instance.vcpus, this.actors) };
  }

  initial(state: Int32Array): void {
    state.fill(0);
    if (this.variant !== "buggy") return;
    for (let host = 0; host < this.instance.hosts; host++) setHost(state, host, HOST.truncate, host % this.instance.pages);
  }

  step(state: Int32Array, actor: number, _choice: number): number {
    const { vcpus, hosts } = this.instance;
    if (actor < vcpus) return this.stepVcpu(state, actor);
    if (actor >= vcpus + hosts) return this.stepAllocator(state, actor - vcpus - hosts);
    return this.variant === "buggy" ? this.stepBuggyHost(state, actor - vcpus) : this.stepHost(state, actor - vcpus);
  }

  finished(state: Int32Array): boolean {
    for (let actor = 0; actor < this.actors; actor++) if (this.independence.at(state, actor) >= 0) return false;
    return true;
  }

  /** A page that the guest reaches is not the page that the file holds. */
  stale(state: Int32Array): boolean {
    const cache = state[1];
    const spte = state[1] >> SPTE_SHIFT;
    for (let shift = 0; shift < this.instance.pages * PAGE_BITS; shift += PAGE_BITS) {
      const mapped = (spte >> shift) & PAGE;
      if (mapped !== 0 && mapped !== ((cache >> shift) & PAGE)) return true;
    }
    return false;
  }

  private stepVcpu(state: Int32Array, vcpu: number): number {
    const at = vcpu * VCPU_BITS;
    const local = (state[2] >> at) & VCPU_MASK;
    const others = state[2] & ~(VCPU_MASK << at);
    const done = (local >> 3) & 3;
    const kept = done << 3;
    const page = (done % this.instance.pages) * PAGE_BITS;
    const shared = state[0];
    switch (local & 7) {
      case VCPU.readSeq:
        state[2] = others | ((VCPU.getPfn | kept | (((shared >> SEQ_SHIFT) & SNAPSHOT) << SNAPSHOT_SHIFT)) << at);
        return 1;
      case VCPU.getPfn: {
        let frame = (state[1] >> page) & PAGE;
        if (frame === 0) {
          frame = this.lowestFree(state);
          state[1] |= frame << page;
        }
        state[2] = others | ((VCPU.lock | (local & 0x78) | (frame << PFN_SHIFT)) << at);
        return 1;
      }
      case VCPU.lock:
        if (shared & LOCKED) return 0;
        state[0] = shared | LOCKED;
        state[2] = others | ((VCPU.check | (local & ~7)) << at);
        return 1;
      case VCPU.check: {
        const moved = this.variant !== "noseq" && ((shared >> SEQ_SHIFT) & SEQ) !== ((local >> SNAPSHOT_SHIFT) & SNAPSHOT);
        const next = (shared & IN_PROGRESS) !== 0 || moved ? VCPU.unlockRetry : VCPU.map;
        state[2] = others | ((next | (local & ~7)) << at);
        return 1;
      }
      case VCPU.map:
        state[1] = (state[1] & ~(PAGE << (SPTE_SHIFT + page))) | ((local >> PFN_SHIFT) << (SPTE_SHIFT + page));
        state[2] = others | ((VCPU.unlockDone | (local & ~7)) << at);
        return 1;
      case VCPU.unlockDone: {
        state[0] = shared & ~LOCKED;
        const next = done + 1 === this.instance.faults ? VCPU.ended : VCPU.readSeq;
        state[2] = others | ((next | ((done + 1) << 3)) << at);
        return 1;
      }
      case VCPU.unlockRetry:
        state[0] = shared & ~LOCKED;
        state[2] = others | ((VCPU.readSeq | kept) << at);
        return 1;
      default:
        return 0;
    }
  }

  private lowestFree(state: Int32Array): number {
    let taken = 0;
    for (let shift = 0; shift < this.instance.pages * PAGE_BITS; shift += PAGE_BITS) taken |= 1 << ((state[1] >> shift) & PAGE);
    for (let allocator = 0; allocator < this.instance.allocators; allocator++) {
      taken |= 1 << ((state[0] >> (ALLOCATOR_SHIFT + allocator * ALLOCATOR_BITS)) & PAGE);
    }
    let frame = 1;
    while ((taken >> frame) & 1) frame += 1;
    return frame;
  }

  private stepAllocator(state: Int32Array, allocator: number): number {
    const at = ALLOCATOR_SHIFT + allocator * ALLOCATOR_BITS;
    const local = (state[0] >> at) & 0x1f;
    const round = local >> 3;
    if (round === this.instance.rounds) return 0;
    const next = (local & 7) === 0 ? local | this.lowestFree(state) : (round + 1) << 3;
    state[0] = (state[0] & ~(0x1f << at)) | (next << at);
    return 1;
  }

  private stepHost(state: Int32Array, host: number): number {
    const local = (state[0] >> (HOST_SHIFT + host * HOST_BITS)) & 0x7f;
    const page = local >> 4;
    switch (local & 15) {
      case HOST.lock:
        return takeLock(state, host, HOST.begin, 0);
      case HOST.begin:
        state[0] += 1;
        return setHost(state, host, HOST.zap, host % this.instance.pages);
      case HOST.zap:
        return this.clear(state, host, SPTE_SHIFT, page, HOST.unlock);
      case HOST.unlock:
        state[0] &= ~LOCKED;
        return setHost(state, host, HOST.truncate, host % this.instance.pages);
      case HOST.truncate:
        return this.clear(state, host, 0, page, HOST.lockAgain);
      case HOST.lockAgain:
        return takeLock(state, host, HOST.end, 0);
      case HOST.end:
        state[0] += (1 << SEQ_SHIFT) - 1;
        return setHost(state, host, HOST.unlockAgain, 0);
      case HOST.unlockAgain:
        state[0] &= ~LOCKED;
        return setHost(state, host, HOST.ended, 0);
      default:
        return 0;
    }
  }

  private stepBuggyHost(state: Int32Array, host: number): number {
    const local = (state[0] >> (HOST_SHIFT + host * HOST_BITS)) & 0x7f;
    const page = local >> 4;
    switch (local & 15) {
      case HOST.truncate:
        return this.clear(state, host, 0, page, HOST.lock);
      case HOST.lock:
        return takeLock(state, host, HOST.zap, host % this.instance.pages);
      case HOST.zap:
        return this.clear(state, host, SPTE_SHIFT, page, HOST.end);
      case HOST.end:
        state[0] += 1 << SEQ_SHIFT;
        return setHost(state, host, HOST.unlock, 0);
      case HOST.unlock:
        state[0] &= ~LOCKED;
        return setHost(state, host, HOST.ended, 0);
      default:
        return 0;
    }
  }

  private clear(state: Int32Array, host: number, table: number, page: number, after: number): number {
    state[1] &= ~(PAGE << (table + page * PAGE_BITS));
    const last = page + 1 === this.instance.pages;
    return setHost(state, host, last ? after : (state[0] >> (HOST_SHIFT + host * HOST_BITS)) & 15, last ? 0 : page + 1);
  }
}

function setHost(state: Int32Array, host: number, pc: number, page: number): number {
  const at = HOST_SHIFT + host * HOST_BITS;
  state[0] = (state[0] & ~(0x7f << at)) | ((pc | (page << 4)) << at);
  return 1;
}

function takeLock(state: Int32Array, host: number, next: number, page: number): number {
  if (state[0] & LOCKED) return 0;
  state[0] |= LOCKED;
  return setHost(state, host, next, page);
}

/** vCPUs run the same program, so their records are sorted; equal records keep their order. */
function sortVcpus(state: Int32Array, was: Uint8Array, vcpus: number, actors: number): boolean {
  const packed = state[2];
  let ordered = true;
  for (let at = 0; at + 1 < vcpus; at++) {
    if (((packed >> (at * VCPU_BITS)) & VCPU_MASK) > ((packed >> ((at + 1) * VCPU_BITS)) & VCPU_MASK)) ordered = false;
  }
  for (let actor = 0; actor < actors; actor++) was[actor] = actor;
  if (ordered) return false;
  let sorted = packed;
  for (let from = 1; from < vcpus; from++) {
    for (let at = from; at > 0; at--) {
      const low = (at - 1) * VCPU_BITS;
      const left = (sorted >> low) & VCPU_MASK;
      const right = (sorted >> (low + VCPU_BITS)) & VCPU_MASK;
      if (left <= right) break;
      sorted ^= ((left ^ right) << low) | ((left ^ right) << (low + VCPU_BITS));
      const moved = was[at];
      was[at] = was[at - 1];
      was[at - 1] = moved;
    }
  }
  state[2] = sorted;
  return true;
}

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
function independenceOf(instance: Instance, variant: Variant): Independence {
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

// What a state says of the page of a step: the file has none there; it is not mapped; the mapped one is the file's; the one that the vCPU looked up is the file's.
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
