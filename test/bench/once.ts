// One exploration of the punch/fault protocol for the benchmark, in a process of its own: `once INSTANCE VARIANT exhaust|first [reduce] [repeat=N]`.
// Prints one line of JSON: counts, the length of the first counterexample, and the milliseconds, wall and CPU, of each repetition.

import { explore } from "../../src/explore/search.ts";
import { INSTANCES, PunchFault, type Variant } from "../explore/punch-fault.ts";

const [instance, variant, mode, ...flags] = process.argv.slice(2);
const repeat = Number(flags.find((flag) => flag.startsWith("repeat="))?.slice("repeat=".length) ?? 1);
const reduce = flags.includes("reduce");
const milliseconds: number[] = [];
const cpuMilliseconds: number[] = [];
let steps: number | undefined;
let outcome = { states: 0, transitions: 0, complete: false };

for (let round = 0; round < repeat; round++) {
  const system = new PunchFault(INSTANCES[instance as keyof typeof INSTANCES], variant as Variant);
  steps = undefined;
  let memory = 0;
  const before = process.cpuUsage();
  const { milliseconds: took, ...counts } = explore(
    system,
    {
      state(state) {
        memory = state[1];
      },
      // Like SPIN's assertions, and like the product's collector: judged where a step has written what the invariant reads.
      edge(state, edge) {
        if (state[1] !== memory && steps === undefined && system.stale(state)) steps = edge.schedule().length;
      },
    },
    { maxStates: 1e8, maxMilliseconds: 600_000, maxBytes: 2 ** 31, now: () => performance.now(), cancelled: () => mode === "first" && steps !== undefined },
    { reduce },
  );
  const { user, system: kernel } = process.cpuUsage(before);
  cpuMilliseconds.push((user + kernel) / 1000);
  milliseconds.push(took);
  outcome = counts;
}

process.stdout.write(`${JSON.stringify({ ...outcome, steps, milliseconds, cpuMilliseconds, peakBytes: process.resourceUsage().maxRSS * 1024 })}\n`);
