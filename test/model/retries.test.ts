// What `wentBack` promises to the search for livelocks: a run can only go round in a circle through a step that says it went back.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { withMachine } from "../../src/check/index.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import type { Program } from "../../src/scenario/program.ts";
import { scenario, textOf } from "./random.ts";
import { onMachine, profileOf, programs } from "./support.ts";

interface Graph {
  states: number;
  /** Edges that went back, and states that lie on a circle or behind one. */
  back: number;
  circling: number;
}

/** The graph of the first `most` states, without reductions. Without the edges that went back nothing of it may be left in a circle. */
function graphOf(machine: MachineSystem, most: number): Graph {
  const numbers = new Map<string, number>();
  const states: Int32Array[] = [];
  const edges: { readonly from: number; readonly to: number; readonly back: boolean }[] = [];
  const add = (state: Int32Array): number => {
    const key = state.join();
    const known = numbers.get(key);
    if (known !== undefined) return known;
    numbers.set(key, states.length);
    return states.push(state) - 1;
  };
  const first = new Int32Array(machine.words);
  machine.initial(first);
  add(first);
  for (let from = 0; from < states.length && from < most; from++) {
    for (let actor = 0; actor < machine.actors; actor++) {
      for (let choice = 0, choices = 1; choice < choices; choice++) {
        const after = Int32Array.from(states[from]);
        const answered = machine.step(after, actor, choice);
        if (choice === 0) choices = answered;
        if (answered === 0) break;
        const back = machine.wentBack;
        edges.push({ from, to: add(after), back });
      }
    }
  }
  const forward = circling(
    states.length,
    edges.filter((edge) => !edge.back),
  );
  assert.equal(forward, 0, `${forward} states of ${states.length} on circles of steps that say they only go forward`);
  return { states: states.length, back: edges.filter((edge) => edge.back).length, circling: circling(states.length, edges) };
}

/** How many states are left when those to which no edge leads are taken away, again and again. */
function circling(states: number, edges: readonly { readonly from: number; readonly to: number }[]): number {
  const into = new Int32Array(states);
  const out: number[][] = Array.from({ length: states }, () => []);
  for (const { from, to } of edges) {
    into[to] += 1;
    out[from].push(to);
  }
  const free = [...into.keys()].filter((state) => into[state] === 0);
  let taken = 0;
  for (let state = free.pop(); state !== undefined; state = free.pop()) {
    taken += 1;
    for (const to of out[state]) if (--into[to] === 0) free.push(to);
  }
  return states - taken;
}

const graphIn = (program: Program, most: number): Graph =>
  withMachine(program, profileOf(program), { cuts: [], extraFrames: 0 }, (machine) => graphOf(machine, most));

describe("steps that went back", () => {
  it("lie on every circle of the scenarios that ship", () => {
    let circles = 0;
    for (const folder of ["series", "tutorial"]) {
      const url = new URL(`../../scenarios/${folder}/`, import.meta.url);
      for (const name of readdirSync(url)) for (const program of programs(readFileSync(new URL(name, url), "utf8"))) circles += graphIn(program, 4000).circling;
    }
    assert.ok(circles > 0, "some of them retry");
  });
  it("lie on every circle of random scenarios", () => {
    const all: Graph = { states: 0, back: 0, circling: 0 };
    fc.assert(
      fc.property(scenario(2), (random) => {
        for (const program of programs(textOf(random))) {
          const one = graphIn(program, 1000);
          all.states += one.states;
          all.back += one.back;
          all.circling += one.circling;
        }
      }),
      { numRuns: 120 },
    );
    assert.ok(all.circling > 0 && all.back > 0 && all.back < all.states, JSON.stringify(all));
  });
  it("are no steps of a loop over cells, nor of a run that only goes forward", () =>
    onMachine(
      'kernel v8\nmem = memfd_create("m", 0)\nftruncate(mem, 12K)\npwrite(mem, 0x41 * 5000, 4000)\npread(mem, 5000, 4000)\nftruncate(mem, 0)',
      (machine) => {
        const told = graphOf(machine, 1000);
        assert.ok(told.states > 20);
        assert.equal(told.back, 0);
      },
    ));
  it("are the wrap of an access, a jump back and a GUP that comes again", () => {
    const text = `kernel v8
mem = memfd_create("mem", 0); ftruncate(mem, 4K); map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_PRIVATE, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=map)
vcpu0: store(0, 1)
load(map, 0)`;
    onMachine(text, (machine) => {
      const state = new Int32Array(machine.words);
      machine.initial(state);
      const back: string[] = [];
      while (!machine.finished(state)) {
        assert.ok([0, 1].some((actor) => machine.step(state, actor, 0) > 0));
        if (machine.wentBack) back.push(machine.lastStep);
      }
      assert.deepEqual(back, ["gup", "put_page"]);
    });
  });
});
