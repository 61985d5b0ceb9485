// Rules that the TDX module keeps against any caller: in random races of leaves from two threads and two vCPUs none of them breaks in any state. With its
// checks taken away the same races do break them.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { explore } from "../../src/explore/search.ts";
import { tdxInvariants } from "../../src/invariants/tdx.ts";
import { NotModelled } from "../../src/model/objects.ts";
import { onMachine, still } from "../model/support.ts";
import { leafRace } from "../model/tdx/random.ts";

const BUDGET = { maxStates: 800, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still };

/** Names of the rules that break in some state of a race. */
function brokenIn(text: string): Set<string> {
  const broken = new Set<string>();
  try {
    onMachine(text, (machine) =>
      explore(
        machine,
        {
          state(state) {
            for (const rule of tdxInvariants) {
              rule.state?.(machine, state, (subject) => {
                assert.match(rule.describe(machine, subject, state).message, /\w/);
                broken.add(rule.name);
              });
            }
          },
        },
        BUDGET,
      ),
    );
  } catch (error) {
    if (!(error instanceof NotModelled)) throw error;
  }
  return broken;
}

it("the module keeps them, whatever is called in whatever order", () => {
  fc.assert(
    fc.property(leafRace(2), (text) => {
      assert.deepEqual([...brokenIn(text)], [], text);
    }),
    { numRuns: 60 },
  );
});

it("without its checks they can be broken, and what no source tells of such a module is refused aloud", () => {
  const broken = new Set<string>();
  fc.assert(
    fc.property(leafRace(2), (text) => {
      const unchecked = `kernel unchecked extends 6.18 { SEAMCALL without acquire }\n${text.replace("kernel 6.18", "kernel unchecked")}`;
      for (const name of brokenIn(unchecked)) broken.add(name);
    }),
    { numRuns: 40, seed: 7 },
  );
  assert.ok(broken.has("sept-pamt-agree"), [...broken].join());
});
