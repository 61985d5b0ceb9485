// Equal actors: who they are, and that exchanging them is a symmetry of the machine. The exchange of the test knows nothing of the layout's records: it goes
// through every field by its meaning.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { explore } from "../../src/explore/search.ts";
import type { Field } from "../../src/model/layout.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import type { ThreadState } from "../../src/model/threads.ts";
import type { ActorId } from "../../src/scenario/program.ts";
import { HEADER, SETUP, scenario, textOf } from "./random.ts";
import { onMachine, still } from "./support.ts";

const budget = (maxStates: number) => ({ maxStates, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still });

/** All pairs of equal actors, from the calls that stand at the same place. */
function equalPairs(machine: MachineSystem): [ActorId, ActorId][] {
  const pairs = new Map<string, [ActorId, ActorId]>();
  for (const calls of machine.twins) {
    const actors = calls.map((call) => machine.program.calls[call].actor);
    for (const a of actors) for (const b of actors) if (a < b) pairs.set(`${a} ${b}`, [a, b]);
  }
  return [...pairs.values()];
}

const threadFields = ({ index: _, vm: _vm, td, ...fields }: ThreadState): (Field | undefined)[] => [...Object.values(fields), ...Object.values(td ?? {})];

function ownFields(machine: MachineSystem, actor: ActorId): (Field | undefined)[] {
  const vcpu = machine.vcpus.find((candidate) => candidate.object.handle === machine.program.actors[actor].handle);
  return [...threadFields(machine.threads[actor]), ...(vcpu ? [vcpu.reader, ...vcpu.tlb.flat()] : [])];
}

/** Fields that name an actor. */
function naming(machine: MachineSystem): Field[] {
  const ofFiles = machine.files.flatMap(({ lock, shimLock, hole, folios }) => [lock, shimLock, hole, ...folios]);
  const ofGuestMemfds = machine.files.flatMap(({ gmem }) => (gmem ? [gmem.invalidateLock] : []));
  return [machine.atomicOwner, ...ofFiles, ...ofGuestMemfds, ...machine.vms.flatMap((vm) => [vm.slotsLock, vm.kvmLock, ...vm.writers])];
}

function exchanged(machine: MachineSystem, state: Int32Array, a: ActorId, b: ActorId): Int32Array {
  const other = state.slice();
  const [ownA, ownB] = [ownFields(machine, a), ownFields(machine, b)];
  assert.equal(ownA.length, ownB.length);
  ownA.forEach((field, index) => {
    const twin = ownB[index];
    assert.equal(field === undefined, twin === undefined, "equal actors have equal fields");
    if (!field || !twin) return;
    field.set(other, twin.get(state));
    twin.set(other, field.get(state));
  });
  for (const field of naming(machine)) {
    const name = field.get(state) - 1;
    if (name === a) field.set(other, b + 1);
    if (name === b) field.set(other, a + 1);
  }
  return other;
}

function canonical(machine: MachineSystem, state: Int32Array): { state: Int32Array; was: Uint8Array; moved: boolean } {
  const copy = state.slice();
  const was = new Uint8Array(machine.actors);
  const moved = machine.symmetry?.canonicalise(copy, was) ?? false;
  return { state: copy, was, moved };
}

/** States of one exploration, and of one in which equal actors are not told apart. */
function reached(machine: MachineSystem, most: number): Int32Array[] {
  const states: Int32Array[] = [];
  explore(machine, { state: (state) => void (machine.segments[machine.segment.get(state)]?.parallel && states.push(state.slice())) }, budget(most));
  return states;
}

it("canonicalise answers one state for all exchanges of equal actors, and says who took whose place", () => {
  let judged = 0;
  let moves = 0;
  fc.assert(
    fc.property(scenario(2), (random) => {
      onMachine(textOf(random), (machine) => {
        const pairs = equalPairs(machine);
        assert.equal(pairs.length > 0, machine.symmetry !== undefined);
        if (pairs.length === 0) return;
        judged += 1;
        for (const state of reached(machine, 250)) {
          const one = canonical(machine, state);
          if (one.moved) moves += 1;
          assert.equal(
            one.moved,
            one.was.some((actor, place) => actor !== place),
          );
          assert.deepEqual(canonical(machine, one.state).state, one.state, "the representative stays as it is");
          for (let place = 0; place < machine.actors; place++) {
            const values = (fields: readonly (Field | undefined)[], of: Int32Array): unknown[] => fields.map((field) => field?.get(of));
            assert.deepEqual(values(ownFields(machine, place), one.state), values(ownFields(machine, one.was[place]), state));
          }
          for (const [a, b] of pairs) assert.deepEqual(canonical(machine, exchanged(machine, state, a, b)).state, one.state);
        }
      });
    }),
    { numRuns: 200 },
  );
  assert.ok(judged > 30, `${judged} programs with equal actors`);
  assert.ok(moves > 500, `${moves} states had another representative`);
});

it("a step of the exchanged state is the exchanged step", () => {
  let steps = 0;
  fc.assert(
    fc.property(scenario(2), (random) => {
      onMachine(textOf(random), (machine) => {
        const pairs = equalPairs(machine);
        for (const state of pairs.length > 0 ? reached(machine, 200) : []) {
          for (const [a, b] of pairs) {
            const other = exchanged(machine, state, a, b);
            for (let actor = 0; actor < machine.actors; actor++) {
              const twin = actor === a ? b : actor === b ? a : actor;
              const choices = machine.step(state.slice(), actor, 0);
              assert.equal(machine.step(other.slice(), twin, 0), choices);
              for (let choice = 0; choice < choices; choice++) {
                const [here, there] = [state.slice(), other.slice()];
                machine.step(here, actor, choice);
                const [kinds, step] = [machine.events.map(({ kind }) => kind), machine.lastStep];
                machine.step(there, twin, choice);
                assert.deepEqual(exchanged(machine, here, a, b), there);
                assert.deepEqual([machine.events.map(({ kind }) => kind), machine.lastStep], [kinds, step]);
                steps += 1;
              }
            }
          }
        }
      });
    }),
    { numRuns: 200 },
  );
  assert.ok(steps > 5000, `${steps} steps`);
});

it("a field that names an actor and does not say so is noticed", () => {
  const text = scenarioWith(`vcpu0 { load(0x1000) }  vcpu1 { load(0x1000) }  vmm { fallocate(ram, 0, 0, 4K) }`, "v4-or", "fallocate(ram, 0, 0, 8K)");
  onMachine(text, (machine) => {
    machine.layout.actorFields.length = 0;
    const [[a, b]] = equalPairs(machine);
    const differs = reached(machine, 5000).some((state) => {
      const one = canonical(machine, state).state;
      return canonical(machine, exchanged(machine, state, a, b)).state.some((word, at) => word !== one[at]);
    });
    assert.ok(differs, "the folio lock of a faulting vCPU names it");
  });
});

const scenarioWith = (block: string, kernel = "v8", before = ""): string =>
  `${HEADER}scenario "equal" {\n  kernel ${kernel}\n${SETUP}  ${before}\n  parallel {\n${block}\n  }\n}\n`;

const groups = (text: string): string[] =>
  onMachine(text, (machine) => equalPairs(machine).map((pair) => pair.map((actor) => machine.program.actors[actor].name).join(" = ")));

it("equal are vCPUs of one VM, or host threads, with equal lists of calls", () => {
  assert.deepEqual(groups(scenarioWith("vcpu0 { load(0x1000) }  vcpu1 { load(0x1000) }")), ["vcpu0 = vcpu1"]);
  assert.deepEqual(groups(scenarioWith("vcpu0 { load(0x1000) }  vcpu1 { load(0x1000); load(0x2000) }")), []);
  assert.deepEqual(groups(scenarioWith("vcpu0 { load(0x1000) }  vcpu1 { load(SHARED|0x1000) }")), []);
  assert.deepEqual(groups(scenarioWith("a { pread(mem, 2, 0) }  b { pread(mem, 2, 0) }  c { pread(mem, 3, 0) }")), ["a = b"]);
  // A multi-index entry of the xarray (v7) has the number of the call that made it.
  const converts = "a { KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x1000, 4K) }  b { KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x1000, 4K) }";
  assert.deepEqual(groups(scenarioWith(converts, "v7")), []);
  assert.deepEqual(groups(scenarioWith(converts, "v8")), ["a = b"]);
  assert.deepEqual(
    groups(scenarioWith("a { atomic { pread(mem, 2, 0); F(mem) } }  b { pread(mem, 2, 0); F(mem) }").replaceAll("F(mem)", "pread(mem, 1, 0)")),
    [],
  );
  assert.deepEqual(groups(scenarioWith("vmm { pread(mem, 2, 0) }  b { pread(mem, 2, 0) }")), [], "vmm has statements of its own");
});

it("whoever is told apart by something else is not equal", () => {
  const two = "vcpu0 { load(0x1000) @one }  vcpu1 { load(0x1000) @two }";
  assert.deepEqual(groups(scenarioWith(two)), ["vcpu0 = vcpu1"], "a label that nobody refers to");
  assert.deepEqual(groups(scenarioWith(`${two}  order one before two`)), []);
  assert.deepEqual(groups(scenarioWith(two).replace(/\}\n$/, "  exists result(one) == 0\n}\n")), []);
  assert.deepEqual(groups(scenarioWith("vcpu0 { x = load(0x1000) }  vcpu1 { y = load(0x1000) }")), []);
  assert.deepEqual(groups(scenarioWith("vcpu0 { load(0x1000); assert allocated(ram, 0) }  vcpu1 { load(0x1000); assert allocated(ram, 0) }")), []);
  assert.deepEqual(groups(scenarioWith("a { alloc_frame() }  b { alloc_frame() }")), [], "each makes an object of its own");
  assert.deepEqual(groups(scenarioWith(two, "v8", "vcpu0: load(0x8000)")), [], "a statement of its own before the block");
  assert.deepEqual(groups(scenarioWith(two).replace(/\}\n$/, "  exists tlb(vcpu0, 0x1000) == NONE\n}\n")), []);
});

it("a schedule with two actors exchanged", () => {
  onMachine(scenarioWith("vcpu0 { load(0x1000) }  vcpu1 { load(0x1000) }"), (machine) => {
    assert.deepEqual(
      machine.exchange(
        [
          { actor: 0, choice: 0 },
          { actor: 1, choice: 2 },
          { actor: 2, choice: 1 },
        ],
        1,
        2,
      ),
      [
        { actor: 0, choice: 0 },
        { actor: 2, choice: 2 },
        { actor: 1, choice: 1 },
      ],
    );
  });
});
