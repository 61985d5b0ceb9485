// What the machine tells the reductions, held against what its steps do: footprints, jumps and returns, locks and free frames, in random scenarios over every
// modelled call; and two steps that do not meet commute.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { explore } from "../../src/explore/search.ts";
import type { Footprint } from "../../src/explore/system.ts";
import type { Region } from "../../src/model/layout.ts";
import type { CompiledStep, Plan } from "../../src/model/machine.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import { HEADER, SETUP, scenario, textOf } from "./random.ts";
import { onMachine, still } from "./support.ts";
import { assertDeclared, watching } from "./watching.ts";

const budget = (maxStates: number) => ({ maxStates, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still });

it("each step touches only the atoms that it declares, goes on where it declares, and allocates and frees where it declares", () => {
  assertDeclared(scenario(2).map(textOf), { maxStates: 1000, numRuns: 150 });
});

const meets = (a: Footprint, b: Footprint): boolean => {
  for (let word = 0; word < a.writes.length; word++) if (a.writes[word] & (b.reads[word] | b.writes[word]) || a.reads[word] & b.writes[word]) return true;
  return false;
};

/** What one step did besides the state: its events. */
const told = (machine: MachineSystem): string => machine.events.map(({ kind, a, b }) => `${kind} ${a} ${b}`).join();

interface Taken {
  readonly choices: number;
  readonly state: Int32Array;
  readonly events: string;
}

function take(machine: MachineSystem, from: Int32Array, actor: number, choice: number): Taken {
  const state = from.slice();
  const choices = machine.step(state, actor, choice);
  return { choices, state, events: choices > 0 ? told(machine) : "" };
}

/** Both orders of two steps that do not meet: the same alternatives, the same events, the same state. */
function commute(machine: MachineSystem, state: Int32Array, a: number, b: number, name: string): void {
  const alone = take(machine, state, b, 0);
  const first = take(machine, state, a, 0);
  for (let i = 0; i < first.choices; i++) {
    const behindA = take(machine, state, a, i);
    const again = take(machine, behindA.state, b, 0);
    assert.equal(again.choices, alone.choices, `${name}: alternatives of the second step`);
    for (let j = 0; j < again.choices; j++) {
      const ab = take(machine, behindA.state, b, j);
      const behindB = take(machine, state, b, j);
      const ba = take(machine, behindB.state, a, i);
      assert.equal(ba.choices, first.choices, `${name}: alternatives of the first step`);
      assert.equal(ab.events, behindB.events, `${name}: events of the second step`);
      assert.equal(ba.events, behindA.events, `${name}: events of the first step`);
      assert.deepEqual(ab.state, ba.state, `${name}: the states`);
    }
  }
}

it("steps that do not meet commute, and neither enables nor disables the other", () => {
  let pairs = 0;
  fc.assert(
    fc.property(scenario(2), (random) => {
      onMachine(textOf(random), (machine) => {
        const { independence } = machine;
        const judged: Int32Array[] = [];
        explore(machine, { state: (state) => void judged.push(state.slice()) }, budget(250));
        for (const state of judged) {
          for (let a = 0; a < machine.actors; a++) {
            const own = independence.footprint(state, a);
            for (let b = 0; own && b < machine.actors; b++) {
              const other = a === b ? undefined : independence.footprint(state, b);
              if (!other || meets(own, other) || take(machine, state, a, 0).choices === 0) continue;
              pairs += 1;
              const call = (actor: number): string => machine.program.calls[machine.instruction(state, actor)?.call ?? -1]?.spec ?? "assert";
              const step = (actor: number): string => machine.position(state, actor)?.step?.name ?? "begin";
              commute(machine, state, a, b, `${call(a)}.${step(a)} and ${call(b)}.${step(b)}`);
            }
          }
        }
      });
    }),
    { numRuns: 200 },
  );
  assert.ok(pairs > 5000, `${pairs} pairs of steps`);
});

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What is said about one scenario in which a declaration has been changed. */
function complaints(block: string, operation: string, name: string, change: (step: Mutable<CompiledStep>, plans: readonly Mutable<Plan>[]) => void): string[] {
  const text = `${HEADER}scenario "changed" {\n  kernel v8-bracketed\n${SETUP}  parallel {\n${block}\n  }\n}\n`;
  return onMachine(text, (machine) => {
    const step = machine.operation(operation).steps.find((candidate) => candidate.name === name);
    assert.ok(step, name);
    change(
      step,
      machine.plans.filter((plan) => plan !== undefined),
    );
    const said = new Set<string>();
    watching(
      machine,
      (sentence) => said.add(sentence),
      () => explore(machine, {}, budget(20_000)),
    );
    return [...said];
  });
}

/** Leaves a region out wherever a step declares it. */
const without = (region: Region) => (step: Mutable<CompiledStep>) => {
  const shorter = (list: readonly Region[]): Region[] => list.filter((own) => own !== region);
  const { narrow } = step;
  step.reads = shorter(step.reads);
  step.writes = shorter(step.writes);
  step.narrow = (context) => {
    const shape = narrow?.(context);
    return shape && { ...shape, reads: shorter(shape.reads), writes: shorter(shape.writes) };
  };
};

const PUNCH = "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)";
const RACE = `vmm { ${PUNCH} }  vcpu0 { store(0x1000, 1) }  vcpu1 { load(0x1000) }`;
const SLOT = "KVM_SET_USER_MEMORY_REGION(vm, slot=2, flags=0, guest_phys_addr=0xa000, memory_size";

it("a declaration that leaves something out is noticed", () => {
  const cases: [string, string, string, Region][] = [
    [RACE, "fault", "map", "ept"],
    [RACE, "fault", "map", "notifier"],
    [RACE, "fault", "access", "tlb"],
    [RACE, "fault", "snapshot", "fault"],
    [RACE, "fault", "get_page", "reference"],
    [RACE, "fault", "find_slot", "slot"],
    [RACE, "fallocate.punch_hole", "truncate", "page"],
    [RACE, "fallocate.punch_hole", "truncate", "lock"],
    [RACE, "fallocate.punch_hole", "invalidate_begin", "faults"],
    [RACE, "fallocate.punch_hole", "invalidate_end", "notifier"],
    ["vmm { ftruncate(mem, 16K) }  helper { ftruncate(mem, 4K) }", "ftruncate.plain", "set_size", "size"],
    ["vmm { ftruncate(mem, 16K) }  helper { ftruncate(mem, 4K) }", "ftruncate.plain", "lock_inode", "lock"],
    ["vmm { store(map, 0, 1) }  helper { munmap(map, 12K) }", "munmap", "unmap_vma", "pte"],
  ];
  for (const [block, operation, name, region] of cases) {
    assert.ok(
      complaints(block, operation, name, without(region)).some((said) => said.startsWith(`${operation}.${name} `)),
      `${operation}.${name} without ${region}`,
    );
  }
  const frees = complaints(RACE, "fault", "get_page", without("free"));
  assert.ok(frees.some((said) => said.includes("get_page changes the free frames")));
  assert.ok(complaints(RACE, "fault", "put_page", without("free")).some((said) => said.includes("put_page changes the free frames")));
});

it("a jump, a return, another operation, a lock or a scope that is declared wrongly is noticed", () => {
  const jumps = complaints(RACE, "fault", "get_page", (step) => void (step.jumps = []));
  assert.ok(jumps.some((said) => said.includes("fault.get_page jumps to map")) && jumps.some((said) => said.includes("fault.get_page goes on at")));
  assert.ok(complaints(RACE, "fault", "access", (step) => void (step.returns = false)).some((said) => said.includes("fault.access returns")));
  const locks = complaints("vmm { ftruncate(mem, 16K) }  helper { load(map, 0) }", "host.load", "lookup_page", (step) => {
    step.acquires = (machine) => [(machine.files[1] as (typeof machine.files)[number]).lock];
  });
  assert.ok(locks.some((said) => said.includes("runs while its lock is held")));
  const slots = `vmm { ${SLOT}=4K, userspace_addr=map) }  helper { ${SLOT}=0) }`;
  const switches = complaints(slots, "KVM_SET_USER_MEMORY_REGION.flags", "lock_slots", (step) => void (step.switches = false));
  assert.ok(switches.some((said) => said.includes("lock_slots goes on in KVM_SET_USER_MEMORY_REGION.delete")));
  const scopes = complaints(RACE, "fault", "map", (_, plans) => {
    for (const plan of plans) if (plan.call.spec === "guest.store") plan.scope = () => () => [];
  });
  assert.ok(scopes.some((said) => said.includes("fault.map writes ept")));
});
