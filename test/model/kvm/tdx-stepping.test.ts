// The TDX module's filter against zero-stepping behind KVM: which of KVM's ways back into the guest it sees, what KVM makes of a busy entry and of an exit that
// was made up, and what leaves on other threads meet.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { check } from "../../../src/check/index.ts";
import { explore } from "../../../src/explore/search.ts";
import { isInside } from "../../../src/model/tdx/enter.ts";
import { entersAgain, repeatedAccesses } from "../../../src/model/tdx/repeated.ts";
import { suspicion } from "../../../src/model/tdx/stepping.ts";
import { answers, breaches, labelled, onMachine, program, report, still } from "../support.ts";
import { watching } from "../watching.ts";
import { CONVERT, DELETE, PUNCH, race, TD } from "./tdx-support.ts";

const EXIT = "exit KVM_EXIT_MEMORY_FAULT {flags=8, gpa=0x2000, size=4K, errno=EFAULT}";
/** KVM_RUN again and again behind an exit that user space does not answer. */
const ignored = (times: number): string => `${CONVERT(0x2000, 0)} = 0\n  repeat ${times} as i { vcpu0: load(0x2000) = exit KVM_EXIT_MEMORY_FAULT }`;
const KERNELS = ["6.16", "6.18", "7.2"];
const one = (kernel: string, body: string, variants = ""): string => `${TD}\n${variants}\nscenario "stepping" {\n  kernel ${kernel}\n  use td\n${body}\n}\n`;

describe("what KVM does with a vCPU that is suspected", () => {
  for (const kernel of KERNELS) {
    it(`${kernel}: behind five exits the page comes and the VM is dead, behind seven it never comes in; another vCPU that accepts the page ends that`, () => {
      const given = (times: number): Record<string, string> =>
        labelled(one(kernel, `${ignored(times)}\n${CONVERT(0x2000, 8)} = 0\nvcpu1: TDG.MEM.PAGE.ACCEPT(0x2000, 0) = TDX_SUCCESS\nvcpu0: load(0x2000) @look`));
      assert.equal(given(6).look, "0x00");
      assert.equal(given(7).look, "0x00");
      const pending = (times: number): string[] => {
        const text = one(kernel, `check no-livelock\n${ignored(times)}\n${CONVERT(0x2000, 8)} = 0\nvcpu0: load(0x2000) = -EIO or blocks`);
        return breaches(program(text), report(text));
      };
      assert.deepEqual(pending(5), []);
      // The sixth and the seventh violation are KVM's own: the page comes, and is pending.
      assert.deepEqual(
        pending(7).map((breach) => breach.split(" ")[0]),
        ["no-livelock"],
      );
    });

    it(`${kernel}: a busy tree is no error for anybody`, () => {
      const text = race(
        kernel,
        `vcpu0 { load(0x2000) @kept }  vcpu1 { TDG.MEM.PAGE.ACCEPT(0x3000, 0) @accept }`,
        `check no-livelock, no-kvm-bug\n${ignored(7)}`,
      );
      assert.deepEqual(labelled(text), { kept: EXIT, accept: "TDX_SUCCESS" });
      assert.deepEqual(breaches(program(text), report(text)), []);
    });
  }

  it("another access, and the vCPU that is kept out has nowhere to go", () => {
    const text = one("6.18", `${ignored(7)}\nvcpu0: load(0x1000)`);
    const { verdict, remarks } = report(text);
    assert.equal(verdict, "incomplete");
    assert.match(remarks.map(({ message }) => message).join(), /keeps the vCPU out of the guest as long as its access to 0x2000/);
  });

  it("a signal that ends KVM_RUN behind an exit changes nothing in the count", () => {
    const body = `${ignored(7)}\nparallel {\n  vmm { signal(vcpu0) }\n  vcpu0 { load(0x2000) @kept }\n}`;
    assert.equal(labelled(one("6.18", body)).kept, ["-EINTR", EXIT].sort().join(" or "));
  });
});

/** How often in a row the module has counted, at most, over all schedules. */
function most(text: string): number {
  let found = 0;
  onMachine(text, (machine) => {
    const vcpu = machine.tdx?.vcpus[0];
    assert.ok(vcpu);
    const state = (words: Int32Array): void => void (found = Math.max(found, suspicion(vcpu, words)?.violations ?? 0));
    const { complete } = explore(machine, { state }, { maxStates: 20_000, maxMilliseconds: 1e9, maxBytes: 1 << 27, now: still });
    assert.ok(complete);
  });
  return found;
}

describe("violations that the module sees of one access", () => {
  // Six loads beside make the count part of the state.
  const spare = "repeat 6 as i { vcpu0: load(0x1000) = 0x41 }";
  const punch = (kernel: string, variants = ""): string => `${variants}\n${race(kernel, `vmm { ${PUNCH(0x1000)} @hole }  vcpu0 { load(0x1000) }`, spare)}`;

  it("one until the page comes and one because it is pending, where KVM tries again on the spot; as many as it takes, where it enters again", () => {
    for (const kernel of ["6.16", "6.18"]) assert.equal(most(punch(kernel)), 2, kernel);
    assert.equal(most(punch("before", "kernel before extends 6.16 { td_private_retry = enters }")), 7);
  });

  it("another instruction in between begins them anew, in private memory or not", () => {
    const twice = (between: string): string => one("6.18", `${ignored(4)}\n${between}\nrepeat 4 as i { vcpu0: load(0x2000) = exit KVM_EXIT_MEMORY_FAULT }`);
    const between = ["load(0x1000)", "store(SHARED|0x2000, 1)", "TDG.MEM.PAGE.ATTR.RD(0x1000)", "TDG.VP.VMCALL.MAPGPA(0x2800, 4K)", "hlt()", "load(1 << 52)"];
    for (const line of between) assert.equal(most(twice(`vcpu0: ${line} = _`)), 4, line);
    assert.equal(most(twice("store(host, 0, 1)")), 7);
  });

  it("while its slot is being deleted, from 6.18 on KVM leaves its loop and enters again", () => {
    assert.equal(most(race("6.18", `vmm { ${DELETE} }  vcpu0 { load(0x1000) }`)), 7);
    assert.equal(most(race("6.16", `vmm { ${DELETE} }  vcpu0 { load(0x1000) }`, spare)), 1);
  });
});

it("a scenario whose accesses cannot come so often does not count them", () => {
  const counted = (text: string): number =>
    onMachine(text, ({ tdx, features }) => {
      assert.ok(tdx);
      return repeatedAccesses(program(text), tdx.objects, features).flat().length;
    });
  assert.equal(counted(race("6.18", `vmm { ${PUNCH(0x1000)} }  vcpu0 { load(0x1000) }`)), 0);
  assert.equal(counted(one("6.18", ignored(7))), 1);
  const often = Array.from({ length: 6 }, () => PUNCH(0x1000)).join("; ");
  assert.equal(counted(race("6.18", `vmm { ${often} }  vcpu0 { load(0x1000) }`)), 1);
});

const HOST = [PUNCH(0x1000), PUNCH(0x2000), CONVERT(0x2000, 8), CONVERT(0x1000, 0), "KVM_PRE_FAULT_MEMORY(vcpu1, 0x3000, 4K)", "close(ram)"];

it("steps touch what they declare, and reductions change no answer", () => {
  for (const kernel of ["6.18", "7.2"]) {
    for (const host of HOST) {
      const text = race(kernel, `vmm { ${host} }  vcpu0 { load(0x2000) }`, ignored(7));
      const said = new Set<string>();
      const budget = { maxStates: 4000, maxMilliseconds: 1e9, maxBytes: 1 << 27, now: still };
      onMachine(text, (machine) =>
        watching(
          machine,
          (sentence) => said.add(sentence),
          () => explore(machine, {}, budget),
        ),
      );
      assert.deepEqual([...said], [], host);
      const parsed = program(text);
      const [full, reduced] = [false, true].map((reduce) => check(parsed, { now: still, maxStates: 20_000, reduce }));
      assert.ok(full.exploration.complete && reduced.exploration.complete, host);
      const results = [full, reduced].map((made) => parsed.calls.map((_, call) => answers(parsed, made, call)));
      assert.deepEqual(results[1], results[0], host);
      const broken = [full, reduced].map((made) => [...new Set(breaches(parsed, made).map((breach) => breach.split(" ")[0]))]);
      assert.deepEqual(broken[1], broken[0], host);
      // A page that comes while its access is listed is pending for ever.
      assert.deepEqual(broken[0], host === CONVERT(0x2000, 8) ? ["no-livelock"] : [], host);
    }
  }
});

/** The most violations of the load at 0x1000 in a row that random schedules show. */
function violationsSeen(text: string, schedules: number, random: () => number): { readonly seen: number; readonly most: number } {
  const parsed = program(text);
  return onMachine(text, (machine) => {
    const vcpu = machine.tdx?.vcpus[0];
    assert.ok(vcpu);
    const start = new Int32Array(machine.words);
    machine.initial(start);
    let seen = 0;
    for (let schedule = 0; schedule < schedules; schedule++) {
      let state: Int32Array = Int32Array.from(start);
      let inARow = 0;
      for (let steps = 0; steps < 600; steps++) {
        const actors = Array.from({ length: machine.actors }, (_, actor) => actor).sort(() => random() - 0.5);
        const next = actors
          .map((actor) => {
            const copy = Int32Array.from(state);
            const choices = machine.step(copy, actor, 0);
            if (choices === 0) return undefined;
            const choice = Math.floor(random() * choices);
            const chosen = Int32Array.from(state);
            machine.step(chosen, actor, choice);
            return { chosen, left: machine.lastStep === "td_access" && isInside(state, vcpu) && !isInside(chosen, vcpu) };
          })
          .find((each) => each !== undefined);
        if (!next) break;
        if (next.left) seen = Math.max(seen, (inARow += 1));
        state = next.chosen;
      }
    }
    return { seen, most: 1 + entersAgain(parsed, machine.features) };
  });
}

it("no schedule shows more violations of an access than are reckoned with", () => {
  const random = seeded(11);
  let highest = 0;
  for (const kernel of KERNELS) {
    for (const one of [PUNCH(0x1000), CONVERT(0x1000, 0), `${PUNCH(0x1000)}; ${PUNCH(0x1000)}`, `${CONVERT(0x1000, 0)}; ${CONVERT(0x1000, 8)}`]) {
      for (const other of [PUNCH(0x1000), CONVERT(0x1000, 8), "KVM_PRE_FAULT_MEMORY(vcpu1, 0x1000, 4K)"]) {
        const text = race(kernel, `vmm { ${one} }  helper { ${other} }  vcpu0 { load(0x1000) }`);
        const { seen, most } = violationsSeen(text.replace("attributes=TDX_TD_ATTR_SEPT_VE_DISABLE", "attributes=0"), 20, random);
        assert.ok(seen <= most, `${seen} of ${most} violations: ${one} and ${other} under ${kernel}`);
        highest = Math.max(highest, seen);
      }
    }
  }
  assert.ok(highest >= 2, `at most ${highest} violations in a row`);
});

/** Mulberry32. */
function seeded(seed: number): () => number {
  let at = seed;
  return () => {
    at = (at + 0x6d2b79f5) | 0;
    let mixed = Math.imul(at ^ (at >>> 15), 1 | at);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
