// With TDs of KVM the reductions leave out nothing that an answer shows, and correct kernels break no rule: every call of the host that changes a TD against
// what its guest does, plainly and reduced.

import assert from "node:assert/strict";
import { it } from "node:test";
import { check } from "../../../src/check/index.ts";
import { answers, breaches, program, still } from "../support.ts";
import { CONVERT, DELETE, PUNCH, race } from "./tdx-support.ts";

const HOST = [
  PUNCH(0x1000),
  PUNCH(0x2000),
  CONVERT(0x1000, 0),
  CONVERT(0x2000, 0),
  CONVERT(0x2000, 8),
  DELETE,
  "KVM_PRE_FAULT_MEMORY(vcpu1, 0x2000, 4K)",
  "close(ram)",
  "munmap(host, 16K)",
];
const GUEST = ["store(0x1000, 1)", "TDG.MEM.PAGE.ACCEPT(0x2000, 0)", "load(0x2000)", "store(SHARED|0x2000, 1)", "TDG.VP.VMCALL.MAPGPA(SHARED|0x2000, 4K)"];
const MAX_STATES = 6000;

for (const kernel of ["6.16", "6.18", "7.2"]) {
  it(`${kernel}: the same answers with and without reductions, and only what is known breaks`, () => {
    let compared = 0;
    for (const host of HOST) {
      for (const guest of GUEST) {
        const one = program(race(kernel, `vmm { ${host} }  vcpu0 { ${guest} }`));
        const [full, reduced] = [false, true].map((reduce) => check(one, { now: still, maxStates: MAX_STATES, reduce }));
        const about = `${host} against ${guest}`;
        assert.ok(full.exploration.complete && reduced.exploration.complete, about);
        compared += 1;
        const results = [full, reduced].map((report) => one.calls.map((_, call) => answers(one, report, call)));
        assert.deepEqual(results[1], results[0], about);
        const broken = [full, reduced].map((report) => [...new Set(breaches(one, report).map((breach) => breach.split(" ")[0]))]);
        assert.deepEqual(broken[1], broken[0], about);
        // Up to 6.17 the local loop of a private violation holds SRCU, for which the deletion of the slot waits.
        const spins = kernel === "6.16" && host === DELETE && ["TDG.MEM.PAGE.ACCEPT(0x2000, 0)", "load(0x2000)"].includes(guest);
        assert.deepEqual(broken[0], spins ? ["no-livelock"] : [], about);
      }
    }
    assert.equal(compared, HOST.length * GUEST.length);
  });
}
