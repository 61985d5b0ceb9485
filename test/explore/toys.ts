// Toy machines that play the System of the explorer: dining philosophers, a lost update, a grid of counters. What they must answer is known beforehand.

import type { System } from "../../src/explore/system.ts";

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
