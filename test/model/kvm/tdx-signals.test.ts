// Signals to who runs a TD: what answers EINTR, what does not, and that footprints and reductions know of it.

import assert from "node:assert/strict";
import { it } from "node:test";
import { check } from "../../../src/check/index.ts";
import { explore } from "../../../src/explore/search.ts";
import { answers, breaches, onMachine, program, still } from "../support.ts";
import { watching } from "../watching.ts";
import { CONVERT, DELETE, race } from "./tdx-support.ts";

const KERNELS = ["6.16", "6.18", "7.2"] as const;
const limits = { now: still, maxStates: 20_000 };

/** What the call with this text answers, over all interleavings, plainly; and that the reductions lose none of it. */
function answersOf(text: string, spec: string): string[] {
  const one = program(text);
  const [full, reduced] = [false, true].map((reduce) => check(one, { ...limits, reduce }));
  assert.ok(full.exploration.complete && reduced.exploration.complete);
  const call = one.calls.findLastIndex((candidate) => candidate.spec === spec);
  assert.deepEqual(answers(one, reduced, call), answers(one, full, call));
  assert.deepEqual(breaches(one, reduced).length > 0, breaches(one, full).length > 0);
  return answers(one, full, call).split(" or ").sort();
}

for (const kernel of KERNELS) {
  it(`an access: in front of the entry, in the guest, or behind its end, ${kernel}`, () => {
    assert.deepEqual(answersOf(race(kernel, "vcpu0 { load(0x1000) }  vmm { signal(vcpu0) }"), "guest.load"), ["-EINTR", "0x41"]);
    assert.deepEqual(answersOf(race(kernel, "vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0) }  vmm { signal(vcpu0) }"), "TDG.MEM.PAGE.ACCEPT"), [
      "-EINTR",
      "TDX_SUCCESS",
    ]);
  });

  it(`one that came before makes the next entry fail, and is gone then, ${kernel}`, () => {
    const text = race(kernel, "vcpu0 { load(0x1000) = -EINTR\n load(0x1000) = 0x41 }", "signal(vcpu0)");
    assert.deepEqual(answersOf(text, "guest.load"), ["0x41"]);
    assert.equal(check(program(text), limits).verdict, "pass");
  });

  it(`the answer of a leaf goes to the guest: the signal is still to be taken, ${kernel}`, () => {
    const text = race(
      kernel,
      "vcpu0 { TDG.MEM.PAGE.ACCEPT(0x1000, 0) @first }  vmm { signal(vcpu0) @sent }  order sent before first.accept_walk",
      "",
      "vcpu0: load(0x1000) @second\n never result(first) == TDX_PAGE_ALREADY_ACCEPTED && result(second) == 0x41",
    );
    assert.equal(check(program(text), limits).verdict, "pass");
  });

  it(`a vCPU at rest in the guest, ${kernel}`, () => {
    assert.deepEqual(answersOf(race(kernel, "vcpu0 { run() }  vmm { signal(vcpu0) }"), "run"), ["-EINTR"]);
  });

  it(`a pre-fault of two pages answers 0 once one is there, ${kernel}`, () => {
    const prefault = "vmm { KVM_PRE_FAULT_MEMORY(vcpu1, 0x2000, 8K) }  sender { signal(vmm) }";
    assert.deepEqual(answersOf(race(kernel, prefault), "KVM_PRE_FAULT_MEMORY"), ["-EINTR", "0"]);
  });
}

it("ends the local loop of a private violation, for which 6.16 has nothing else while the slot is being deleted", () => {
  const spins = race("6.16", `vmm { ${DELETE} }  vcpu0 { load(0x2000) }`);
  const ends = race("6.16", `vmm { ${DELETE} }  vcpu0 { load(0x2000) }  sender { signal(vcpu0) }`);
  const rules = (text: string): string[] => [...new Set(breaches(program(text), check(program(text), limits)).map((breach) => breach.split(" ")[0]))];
  assert.deepEqual(rules(spins), ["no-livelock"]);
  assert.deepEqual(rules(ends), []);
});

it("steps touch what they declare where signals come", () => {
  const said = new Set<string>();
  for (const kernel of KERNELS) {
    for (const guest of ["load(0x1000)", "TDG.MEM.PAGE.ACCEPT(0x2000, 0)", "store(SHARED|0x2000, 1)", "run()"]) {
      const text = race(kernel, `vmm { ${CONVERT(0x2000, 0)} }  vcpu0 { ${guest} }  sender { signal(vcpu0) }`);
      onMachine(text, (machine) =>
        watching(
          machine,
          (sentence) => said.add(sentence),
          () => explore(machine, {}, { maxStates: 4000, maxMilliseconds: 1e9, maxBytes: 1 << 27, now: still }),
        ),
      );
    }
  }
  assert.deepEqual([...said], []);
});
