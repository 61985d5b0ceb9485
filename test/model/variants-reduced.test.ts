// Reductions change no answer under kernels that somebody has edited either: a step dropped, or two neighbours swapped, in one operation. What holds in the
// kernels that ship (a fault that ends with its put, a hole that is retracted) need not hold there.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { NotModelled } from "../../src/model/objects.ts";
import { PROFILES } from "../../src/model/profile/index.ts";
import type { Program } from "../../src/scenario/program.ts";
import { programOf } from "./assemble.ts";
import { type Counts, compare } from "./compare.ts";
import { SETUP, scenario } from "./random.ts";
import { report } from "./support.ts";

const PROGRAMS = 2000;
/** Operations of races: a change of what runs before the block is seen by nobody. */
const EDITED = /^(fault|fallocate|ftruncate|pwrite|write|pread|read|host|munmap|close|fcntl|KVM_)/;

/** One operation of the scenario's kernel with one step less, or with two neighbours swapped. */
function edited(one: Program, which: number, where: number, swap: boolean): Program {
  const profile = PROFILES.find((candidate) => candidate.name === one.profile.base);
  assert.ok(profile, one.profile.base);
  const operations = Object.keys(profile.operations).filter((name) => EDITED.test(name) && profile.operations[name].flat().length > 1);
  const operation = operations[which % operations.length];
  const steps = profile.operations[operation].flat();
  const at = where % (swap ? steps.length - 1 : steps.length);
  const changed = swap ? [...steps.slice(0, at), steps[at + 1], steps[at], ...steps.slice(at + 2)] : steps.filter((_, index) => index !== at);
  return { ...one, profile: { ...one.profile, edits: [...one.profile.edits, { kind: "steps", operation, steps: changed, site: 0 }] } };
}

it("reductions change no answer under edited kernels", (context) => {
  const counts: Counts = { judged: 0, fewerByOrder: 0, equal: 0, fewerBySymmetry: 0 };
  fc.assert(
    fc.property(scenario(2), fc.nat(1000), fc.nat(1000), fc.boolean(), (random, which, where, swap) => {
      try {
        compare(edited(programOf(random), which, where, swap), undefined, counts);
      } catch (error) {
        if (!(error instanceof NotModelled)) throw error;
      }
    }),
    { numRuns: PROGRAMS },
  );
  context.diagnostic(JSON.stringify(counts));
  assert.ok(counts.judged > PROGRAMS / 3, `${counts.judged} programs were judged`);
});

it("a slot that nobody makes, committed before lock_slots could refuse it, is not modelled and no bug", () => {
  const steps = "check_args, commit_slot, lock_slots, synchronize_srcu, unlock_slots";
  const gone = "KVM_SET_USER_MEMORY_REGION(vm, slot=4, flags=KVM_MEM_PRIVATE, guest_phys_addr=0x10000, memory_size=0)";
  const judged = report(`kernel swapped extends v8 { KVM_SET_USER_MEMORY_REGION.flags = ${steps} }\nscenario "x" {\n kernel swapped\n${SETUP}  ${gone}\n}\n`);
  assert.deepEqual(
    judged.remarks.map(({ code }) => code),
    ["MEMFD5091"],
  );
});
