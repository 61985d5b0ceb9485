// The punch/fault protocol of a KVM page fault against a hole punch, as a System of the explorer: the same atomic steps as test/bench/punch-fault.pml.
// Its numbers of states, transitions and steps to a violation were found independently by other model checkers.

import type { Independence, Symmetry, System } from "../../src/explore/system.ts";
import { independenceOf } from "./punch-fault-independence.ts";
import {
  ALLOCATOR_BITS,
  ALLOCATOR_SHIFT,
  HOST,
  HOST_BITS,
  HOST_SHIFT,
  IN_PROGRESS,
  type Instance,
  LOCKED,
  PAGE,
  PAGE_BITS,
  PFN_SHIFT,
  SEQ,
  SEQ_SHIFT,
  SNAPSHOT,
  SNAPSHOT_SHIFT,
  SPTE_SHIFT,
  type Variant,
  VCPU,
  VCPU_BITS,
  VCPU_MASK,
} from "./punch-fault-layout.ts";

export { INSTANCES, type Instance, type Variant } from "./punch-fault-layout.ts";

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
