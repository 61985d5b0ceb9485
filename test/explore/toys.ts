// Toy machines that play the System of the explorer: the punch/fault protocol of a KVM page fault against a hole punch, dining philosophers, a lost update.
// Their numbers of states, transitions and steps to a violation were found independently by other model checkers.

import type { System } from "../../src/explore/system.ts";

/** `fixed`: begin and end around the punch · `buggy`: punch first, then invalidate · `noseq`: `fixed` whose fault forgets to compare the sequence counter. */
export type Variant = "fixed" | "buggy" | "noseq";

/**
 * Pages, vCPUs and faults ≤ 3, hosts ≤ 2. Each vCPU faults `faults` times (gfn = n mod pages), host h punches [h mod pages, pages) once.
 */
export interface Instance {
  readonly pages: number;
  readonly vcpus: number;
  readonly hosts: number;
  readonly faults: number;
}

export const INSTANCES = {
  S: { pages: 1, vcpus: 1, hosts: 1, faults: 2 },
  M: { pages: 2, vcpus: 2, hosts: 1, faults: 2 },
  L: { pages: 3, vcpus: 3, hosts: 2, faults: 2 },
} as const satisfies Record<string, Instance>;

const VCPU = { readSeq: 0, getPfn: 1, lock: 2, check: 3, map: 4, unlockDone: 5, unlockRetry: 6, ended: 7 } as const;
const HOST = { lock: 0, begin: 1, zap: 2, unlock: 3, truncate: 4, lockAgain: 5, end: 6, unlockAgain: 7, ended: 8 } as const;

// Word 0: in_progress (2 bits), seq (3), mmu_lock held (1), then per host pc (4) and page index (3).
// Word 1: page cache and second-level entries, 3 bits a page.
// Word 2: per vCPU pc (3), faults done (2), snapshot (3), pfn (2; 0 = none).
const IN_PROGRESS = 0x3;
const SEQ_SHIFT = 2;
const SEQ = 0x7;
const LOCKED = 1 << 5;
const HOST_SHIFT = 6;
const HOST_BITS = 7;
const PAGE_BITS = 3;
const PAGE = 0x7;
const SPTE_SHIFT = 12;
const VCPU_BITS = 10;

export class PunchFault implements System {
  readonly words = 3;
  readonly actors: number;
  private readonly pages: number;
  private readonly vcpus: number;
  private readonly faults: number;
  private readonly variant: Variant;

  constructor(instance: Instance, variant: Variant) {
    this.pages = instance.pages;
    this.vcpus = instance.vcpus;
    this.faults = instance.faults;
    this.variant = variant;
    this.actors = instance.vcpus + instance.hosts;
  }

  initial(state: Int32Array): void {
    state.fill(0);
    if (this.variant !== "buggy") return;
    for (let host = 0; host < this.actors - this.vcpus; host++) this.setHost(state, host, HOST.truncate, host % this.pages);
  }

  step(state: Int32Array, actor: number, _choice: number): number {
    if (actor < this.vcpus) return this.stepVcpu(state, actor);
    return this.variant === "buggy" ? this.stepBuggyHost(state, actor - this.vcpus) : this.stepHost(state, actor - this.vcpus);
  }

  finished(state: Int32Array): boolean {
    for (let vcpu = 0; vcpu < this.vcpus; vcpu++) if (((state[2] >> (vcpu * VCPU_BITS)) & 7) !== VCPU.ended) return false;
    for (let host = 0; host < this.actors - this.vcpus; host++) {
      if (((state[0] >> (HOST_SHIFT + host * HOST_BITS)) & 15) !== HOST.ended) return false;
    }
    return true;
  }

  /**
   * Under mmu_lock the check and in_progress++ touch only what the lock protects; an unlock enables others and disturbs none; a map is visible, and seq++
   * is read outside the lock. Once all hosts have ended, nobody writes the sequence counter and no page goes away: reading the one and finding the other
   * go alone.
   */
  alone(state: Int32Array, actor: number): boolean {
    if (actor < this.vcpus) {
      const pc = (state[2] >> (actor * VCPU_BITS)) & 7;
      if (pc === VCPU.check || pc === VCPU.unlockDone || pc === VCPU.unlockRetry) return true;
      if (pc !== VCPU.readSeq && pc !== VCPU.getPfn) return false;
      if (pc === VCPU.getPfn && !this.present(state, actor)) return false;
      return this.hostsEnded(state);
    }
    const pc = (state[0] >> (HOST_SHIFT + (actor - this.vcpus) * HOST_BITS)) & 15;
    return pc === HOST.begin || pc === HOST.unlock || pc === HOST.unlockAgain;
  }

  /** A page that the guest reaches is not the page that the file holds. */
  stale(state: Int32Array): boolean {
    const cache = state[1];
    const spte = state[1] >> SPTE_SHIFT;
    for (let shift = 0; shift < this.pages * PAGE_BITS; shift += PAGE_BITS) {
      const mapped = (spte >> shift) & PAGE;
      if (mapped !== 0 && mapped !== ((cache >> shift) & PAGE)) return true;
    }
    return false;
  }

  private hostsEnded(state: Int32Array): boolean {
    for (let host = 0; host < this.actors - this.vcpus; host++) {
      if (((state[0] >> (HOST_SHIFT + host * HOST_BITS)) & 15) !== HOST.ended) return false;
    }
    return true;
  }

  private present(state: Int32Array, vcpu: number): boolean {
    const page = ((state[2] >> (vcpu * VCPU_BITS + 3)) & 3) % this.pages;
    return ((state[1] >> (page * PAGE_BITS)) & PAGE) !== 0;
  }

  private stepVcpu(state: Int32Array, vcpu: number): number {
    const at = vcpu * VCPU_BITS;
    const local = (state[2] >> at) & 0x3ff;
    const others = state[2] & ~(0x3ff << at);
    const done = (local >> 3) & 3;
    const kept = done << 3;
    const page = (done % this.pages) * PAGE_BITS;
    const shared = state[0];
    switch (local & 7) {
      case VCPU.readSeq:
        state[2] = others | ((VCPU.getPfn | kept | (((shared >> SEQ_SHIFT) & SEQ) << 5)) << at);
        return 1;
      case VCPU.getPfn: {
        let frame = (state[1] >> page) & PAGE;
        if (frame === 0) {
          frame = this.lowestFree(state[1]);
          state[1] |= frame << page;
        }
        state[2] = others | ((VCPU.lock | (local & 0xf8) | (frame << 8)) << at);
        return 1;
      }
      case VCPU.lock:
        if (shared & LOCKED) return 0;
        state[0] = shared | LOCKED;
        state[2] = others | ((VCPU.check | (local & 0x3f8)) << at);
        return 1;
      case VCPU.check: {
        const moved = this.variant !== "noseq" && ((shared >> SEQ_SHIFT) & SEQ) !== ((local >> 5) & SEQ);
        const next = (shared & IN_PROGRESS) !== 0 || moved ? VCPU.unlockRetry : VCPU.map;
        state[2] = others | ((next | (local & 0x3f8)) << at);
        return 1;
      }
      case VCPU.map:
        state[1] = (state[1] & ~(PAGE << (SPTE_SHIFT + page))) | ((local >> 8) << (SPTE_SHIFT + page));
        state[2] = others | ((VCPU.unlockDone | (local & 0x3f8)) << at);
        return 1;
      case VCPU.unlockDone: {
        state[0] = shared & ~LOCKED;
        const next = done + 1 === this.faults ? VCPU.ended : VCPU.readSeq;
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

  private lowestFree(pages: number): number {
    for (let frame = 1; ; frame++) {
      let taken = false;
      for (let shift = 0; shift < this.pages * PAGE_BITS; shift += PAGE_BITS) taken ||= ((pages >> shift) & PAGE) === frame;
      if (!taken) return frame;
    }
  }

  private setHost(state: Int32Array, host: number, pc: number, page: number): void {
    const at = HOST_SHIFT + host * HOST_BITS;
    state[0] = (state[0] & ~(0x7f << at)) | ((pc | (page << 4)) << at);
  }

  private stepHost(state: Int32Array, host: number): number {
    const local = (state[0] >> (HOST_SHIFT + host * HOST_BITS)) & 0x7f;
    const page = local >> 4;
    switch (local & 15) {
      case HOST.lock:
        return this.takeLock(state, host, HOST.begin, 0);
      case HOST.begin:
        state[0] += 1;
        this.setHost(state, host, HOST.zap, host % this.pages);
        return 1;
      case HOST.zap:
        return this.clear(state, host, SPTE_SHIFT, page, HOST.unlock);
      case HOST.unlock:
        state[0] &= ~LOCKED;
        this.setHost(state, host, HOST.truncate, host % this.pages);
        return 1;
      case HOST.truncate:
        return this.clear(state, host, 0, page, HOST.lockAgain);
      case HOST.lockAgain:
        return this.takeLock(state, host, HOST.end, 0);
      case HOST.end:
        state[0] += (1 << SEQ_SHIFT) - 1;
        this.setHost(state, host, HOST.unlockAgain, 0);
        return 1;
      case HOST.unlockAgain:
        state[0] &= ~LOCKED;
        this.setHost(state, host, HOST.ended, 0);
        return 1;
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
        return this.takeLock(state, host, HOST.zap, host % this.pages);
      case HOST.zap:
        return this.clear(state, host, SPTE_SHIFT, page, HOST.end);
      case HOST.end:
        state[0] += 1 << SEQ_SHIFT;
        this.setHost(state, host, HOST.unlock, 0);
        return 1;
      case HOST.unlock:
        state[0] &= ~LOCKED;
        this.setHost(state, host, HOST.ended, 0);
        return 1;
      default:
        return 0;
    }
  }

  private takeLock(state: Int32Array, host: number, next: number, page: number): number {
    if (state[0] & LOCKED) return 0;
    state[0] |= LOCKED;
    this.setHost(state, host, next, page);
    return 1;
  }

  private clear(state: Int32Array, host: number, table: number, page: number, after: number): number {
    state[1] &= ~(PAGE << (table + page * PAGE_BITS));
    const last = page + 1 === this.pages;
    this.setHost(state, host, last ? after : (state[0] >> (HOST_SHIFT + host * HOST_BITS)) & 15, last ? 0 : page + 1);
    return 1;
  }
}

/** `count` philosophers who take the left fork, then the right, and put both down, `meals` times. With `polite` the last one takes the right fork first. */
export function philosophers(count: number, meals: number, polite: boolean): System {
  const first = (who: number): number => (polite && who === count - 1 ? 0 : who);
  const second = (who: number): number => (polite && who === count - 1 ? who : (who + 1) % count);
  return {
    words: count * 3,
    actors: count,
    initial: (state) => void state.fill(0),
    step(state, who) {
      const pc = count + who;
      if (state[2 * count + who] === meals) return 0;
      const fork = state[pc] === 0 ? first(who) : second(who);
      if (state[pc] < 2) {
        if (state[fork] !== 0) return 0;
        state[fork] = 1;
        state[pc] += 1;
        return 1;
      }
      state[first(who)] = 0;
      state[second(who)] = 0;
      state[pc] = 0;
      state[2 * count + who] += 1;
      return 1;
    },
    finished: (state) => state.subarray(2 * count).every((done) => done === meals),
  };
}

/** Every actor reads a shared counter and writes back one more, without a lock, `times` times. Word 0 is the counter; per actor: pc, value read, rounds. */
export function lostUpdate(actors: number, times: number): System {
  return {
    words: 1 + actors * 3,
    actors,
    initial: (state) => void state.fill(0),
    step(state, actor) {
      const at = 1 + actor * 3;
      if (state[at + 2] === times) return 0;
      if (state[at] === 0) {
        state[at + 1] = state[0];
        state[at] = 1;
        return 1;
      }
      state[0] = state[at + 1] + 1;
      state[at] = 0;
      state[at + 1] = 0;
      state[at + 2] += 1;
      return 1;
    },
    finished: (state) => Array.from({ length: actors }, (_, actor) => state[3 + actor * 3]).every((rounds) => rounds === times),
  };
}

/** `width` counters of one actor each that run from 0 to `limit`: (limit + 1) ^ width states whose words differ little. */
export function grid(width: number, limit: number): System {
  return {
    words: width,
    actors: width,
    initial: (state) => void state.fill(0),
    step(state, actor) {
      if (state[actor] === limit) return 0;
      state[actor] += 1;
      return 1;
    },
    finished: (state) => state.every((value) => value === limit),
  };
}
