// What is kept of an exploration: the same answers whichever of several equal actors the search looked at, bounded schedules, and nothing lost when telling a
// schedule runs other steps on the machine.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Collector } from "../../src/check/collect.ts";
import { check } from "../../src/check/index.ts";
import type { Report } from "../../src/check/report.ts";
import { replaySchedule } from "../../src/check/story.ts";
import { Watcher } from "../../src/check/watcher.ts";
import { explore } from "../../src/explore/search.ts";
import { INVARIANTS } from "../../src/invariants/index.ts";
import { resultKey } from "../../src/model/intern.ts";
import type { Machine } from "../../src/model/machine.ts";
import type { MachineSystem } from "../../src/model/system.ts";
import { answers, assertJudged, breaches, onMachine, program, report, still } from "../model/support.ts";

const SETUP = `ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, 8K)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0); vcpu1 = KVM_CREATE_VCPU(vm, 1); vcpu2 = KVM_CREATE_VCPU(vm, 2)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=8K, private_fd=ram, private_offset=0)
`;
const PUNCH = "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K)";

const EQUAL: Record<string, string> = {
  "vCPUs against a punch, in a kernel with a window": `kernel v8\n${SETUP}parallel {\n vmm { ${PUNCH} }\n vcpu0 { store(0x1000, 7); load(0x1000) }\n vcpu1 { store(0x1000, 7); load(0x1000) }\n}`,
  "three vCPUs": `kernel v8\n${SETUP}parallel {\n vmm { ${PUNCH} }\n vcpu0 { load(0x1000) }\n vcpu1 { load(0x1000) }\n vcpu2 { load(0x1000) }\n}`,
  "host threads that append": `kernel v8\nmem = memfd_create("m", 0)\nparallel {\n t1 { write(mem, "ab"); read(mem, 2) }\n t2 { write(mem, "ab"); read(mem, 2) }\n}`,
  "host threads, of which one waits for ever": `kernel a extends v8 { ftruncate.plain without unlock_inode }\nkernel a\nmem = memfd_create("m", 0)\nparallel {\n t1 { ftruncate(mem, 4K) }\n t2 { ftruncate(mem, 4K) }\n t3 { ftruncate(mem, 4K) }\n}`,
};

/** All that a report says, schedules apart; and the step behind which nobody can go on, for it is the last one of a schedule. */
function found(text: string, judged: Report): unknown {
  const one = program(text);
  const stuck = judged.violations.filter((violation) => violation.invariant === "no-deadlock").map((violation) => violation.subject);
  return {
    calls: one.calls.map((_, call) => answers(one, judged, call)),
    breaches: breaches(one, judged).filter((line) => !line.startsWith("no-deadlock")),
    stuck: stuck.sort(),
    verdict: judged.verdict,
  };
}

describe("equal actors", () => {
  for (const [name, text] of Object.entries(EQUAL)) {
    it(`${name}: each call has the answers, and each actor the violations, that it has without reductions`, () => {
      const [reduced, plain] = [true, false].map((reduce) => report(text, { reduce }));
      assertJudged(plain, text);
      assert.ok(reduced.exploration.states < plain.exploration.states, `${reduced.exploration.states} of ${plain.exploration.states}`);
      assert.deepEqual(found(text, reduced), found(text, plain));
    });
    it(`${name}: every schedule that is given shows what it is given for`, () =>
      onMachine(text, (machine) => {
        assert.ok(machine.twins.some((twins) => twins.length > 1));
        machine.watch(new Set(INVARIANTS.flatMap((invariant) => (invariant.state ? invariant.reads : []))));
        const collector = new Collector(machine, INVARIANTS);
        explore(machine, collector, { maxStates: 1e6, maxMilliseconds: 1e9, maxBytes: 1 << 28, now: still }, { reduce: true });
        collector.close();
        collector.results.forEach((results, call) => {
          for (const [number, schedule] of results) {
            const result = machine.results.result(number);
            const steps = replaySchedule(machine, schedule);
            assert.equal(steps.length, schedule.length);
            if (result.kind === "blocks") continue;
            const last = steps.at(-1);
            assert.equal(last?.call, call);
            assert.equal(last?.result && resultKey(last.result), resultKey(result));
          }
        });
        for (const { call, step, schedule } of collector.breaches.values()) {
          const last = replaySchedule(machine, schedule).at(-1);
          assert.deepEqual([last?.call, last?.step], [call, step]);
        }
      }));
  }
  it("what does not come true with the actors exchanged is not believed", () =>
    onMachine(EQUAL["host threads that append"], (machine) => {
      const collector = new Collector(machine, []);
      explore(machine, collector, { maxStates: 1e6, maxMilliseconds: 1e9, maxBytes: 1 << 28, now: still });
      const call = machine.twins.findIndex((twins) => twins.length > 1);
      const [one] = [...collector.results[call].values()];
      const never = machine.results.number({ kind: "errno", errno: "ENOSYS" });
      collector.results[call].set(never, one);
      collector.close();
      for (const twin of machine.twins[call]) assert.equal(collector.results[twin].has(never), twin === call);
    }));
});

describe("long runs", () => {
  it("schedules of thousands of calls in a row do not add up: the first ones are kept, all answers are", () => {
    const judged = report('kernel v8\nmem = memfd_create("m", 0)\nrepeat 2500 as i { pwrite(mem, 0x41, 0) = 1 }');
    assert.equal(judged.verdict, "pass");
    assert.ok(judged.calls.every((call) => call.results.length === 1));
    const lengths = judged.calls.map((call) => call.results[0].schedule.length);
    assert.ok(lengths.slice(0, 50).every((length) => length > 0));
    assert.equal(lengths.at(-1), 0);
    assert.ok(lengths.reduce((sum, length) => sum + length, 0) < 100_000);
  });
  it("a rule that is broken over and over on one line is told so many times, and still found where it is expected", () => {
    const judged = report(
      `kernel v8\ncheck no-stale-mapping\n${SETUP}repeat 100 as i { vcpu0: store(0x1000, 1); ${PUNCH} @hole; vcpu0: store(0x1000, 1) }\nexpect violation no-stale-mapping at hole`,
    );
    assert.equal(judged.verdict, "pass", judged.remarks.map((remark) => remark.message).join());
    assert.ok(judged.violations.length >= 1 && judged.violations.length <= 40, `${judged.violations.length}`);
  });
});

describe("Collector", () => {
  it("takes what a step left on the machine before it asks for the schedule, which runs others there", () =>
    onMachine(EQUAL["three vCPUs"], (machine) => {
      const told = (disturb: boolean): unknown => {
        const collector = new Collector(machine, INVARIANTS);
        const disturbing = {
          state: (state: Int32Array) => collector.state(state),
          edge: (state: Int32Array, edge: Parameters<Collector["edge"]>[1]) =>
            collector.edge(state, { actor: edge.actor, choice: edge.choice, schedule: () => (disturb ? disturbed(machine, edge) : edge).schedule() }),
        };
        explore(machine, disturbing, { maxStates: 1e6, maxMilliseconds: 1e9, maxBytes: 1 << 28, now: still });
        return [collector.results, [...collector.breaches].map(([key, { subject, schedule }]) => [key, subject, schedule])];
      };
      assert.deepEqual(told(true), told(false));
    }));
});

function disturbed<T>(machine: MachineSystem, value: T): T {
  const state = new Int32Array(machine.words);
  machine.initial(state);
  for (let taken = 1; taken > 0; ) for (let actor = (taken = 0); actor < machine.actors; actor++) taken += machine.step(state, actor, 0);
  return value;
}

describe("Watcher", () => {
  it("a subject that stays broken is not told again, a new one is, and only where something that is read was written", () =>
    onMachine(EQUAL["three vCPUs"], (machine) => {
      const invariant = { ...INVARIANTS[0], reads: ["ept"] as const, compile: undefined, state: broken };
      function broken(_: Machine, state: Int32Array, tell: (subject: number) => void): void {
        for (const subject of [0, 1, 2]) if (state[0] & (1 << subject)) tell(subject * 2 ** 34);
      }
      const watcher = new Watcher(machine, [invariant]);
      const at = (bits: number): Int32Array => new Int32Array(machine.words).fill(bits);
      const told = (from: number, to: number, writes = ~0): number[] | undefined => {
        watcher.from(at(from));
        return watcher.broken(at(to), writes)?.map((one) => one.subject / 2 ** 34);
      };
      assert.equal(told(0, 0), undefined);
      assert.deepEqual(told(0, 3), [0, 1]);
      assert.equal(told(3, 3), undefined);
      assert.deepEqual(told(3, 6), [2]);
      assert.equal(told(7, 0), undefined);
      assert.equal(told(0, 3, 0), undefined);
      watcher.from(at(1));
      assert.deepEqual(
        [watcher.broken(at(3), ~0), watcher.broken(at(5), ~0)].map((all) => all?.map((one) => one.subject / 2 ** 34)),
        [[1], [2]],
      );
    }));
});

it("no-livelock: an invalidation that never ends catches every later fault, and no correct kernel does", () => {
  const race = (punch: string): string =>
    `kernel a extends v8 { notifier_units = pages; fallocate.punch_hole = check_alignment, ${punch} }\nkernel a\ncheck no-livelock, no-deadlock\n${SETUP}parallel {\n vmm { ${PUNCH} }\n vcpu0 { load(0x1000) }\n}`;
  const of = (text: string): string[] => check(program(text), { now: still }).violations.map((violation) => `${violation.invariant} ${violation.subject}`);
  assert.deepEqual(of(race("invalidate_begin, truncate")), ["no-livelock vcpu0"]);
  assert.deepEqual(of(race("invalidate_begin, truncate, invalidate_end")), []);
  assert.deepEqual(of(race("truncate, invalidate")), []);
});
