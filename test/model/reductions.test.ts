// Reductions change no answer of random programs in which everything is watched: each of them alone and both together, against the plain search. What only
// some invariants see is in watched.test.ts: together they are ten thousand programs.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import type { Program } from "../../src/scenario/program.ts";
import { programOf } from "./assemble.ts";
import { assertAtWork, type Counts, compare } from "./compare.ts";
import { type Scenario, scenario, textOf } from "./random.ts";
import { program } from "./support.ts";

const PROGRAMS = 5000;

it("reductions change no answer of random programs", (context) => {
  const counts: Counts = { judged: 0, fewerByOrder: 0, equal: 0, fewerBySymmetry: 0 };
  fc.assert(
    fc.property(scenario(2), (random) => compare(programOf(random), undefined, counts)),
    { numRuns: PROGRAMS },
  );
  context.diagnostic(assertAtWork(counts, PROGRAMS));
});

it("a program that is put together is the one that its text says", () => {
  const plain = (one: Program): unknown =>
    JSON.parse(
      JSON.stringify({ ...one, sites: [] }, (name, value: unknown) =>
        typeof value === "bigint" ? `${value}n` : name === "site" || name === "statement" || name === "label" ? undefined : value,
      ),
    );
  fc.assert(
    fc.property(scenario(2), (random: Scenario) => {
      const { actors, ...put } = plain(programOf(random)) as Record<string, unknown>;
      const { actors: named, ...read } = plain(program(textOf(random))) as Record<string, unknown>;
      assert.equal((put.calls as unknown[]).length, (read.calls as unknown[]).length);
      assert.ok(Array.isArray(actors) && Array.isArray(named));
      const byName = (list: readonly { readonly name: string }[], calls: unknown): unknown =>
        (calls as { readonly actor: number }[]).map((call) => ({ ...call, actor: list[call.actor].name }));
      assert.deepEqual(byName(actors, put.calls), byName(named, read.calls));
    }),
    { numRuns: 50 },
  );
});
